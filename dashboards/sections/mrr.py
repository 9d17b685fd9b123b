"""MRR: what moved it, and what other tools would say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import pandas as pd
import streamlit as st

from dashboards import data
from dashboards.components import (
    card,
    download,
    draw,
    nothing_here,
    remark,
    say_what_is_left_out,
    show_table,
    table_behind,
)
from dashboards.controls import select
from dashboards.page import Page, Section
from dashboards.sections.over_time import Drawn, noted, say_where_there_is_no_total
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.figures import charts
from tailtracker_bi.figures.catalogue import Metric
from tailtracker_bi.figures.exported import of_metric
from tailtracker_bi.figures.points import within
from tailtracker_bi.figures.wording import number, period, plain, signed, words

# In the order in which they are stacked, from zero on: what came in, what went, and the exchange rates.
MOVEMENTS = {
    "expansion": charts.GREEN,
    "reactivation": charts.SKY,
    "new": charts.BLUE,
    "switched_in": charts.BROWN,
    "contraction": charts.PURPLE,
    "churn": charts.VERMILION,
    "switched_out": charts.BROWN,
    "fx": charts.GREY,
}
WENT = ("contraction", "churn", "switched_out")
NAMES = {key: "Exchange rates" if key == "fx" else words(key) for key in MOVEMENTS}
ALWAYS_SHOWN = ("new", "reactivation", "expansion", "contraction", "churn")
MOVED = "What moved MRR"
ABOUT_MOVED = (
    "Each customer's net change of a day, summed over the period. Within a plan or billing cycle, those who came from "
    "or went to another one have switched. The line is the net of all movements."
)
OTHER_TOOLS = "What other tools would say"
ABOUT_OTHER_TOOLS = (
    "MRR of the same subscriptions as others define it, and by what it differs from ours. What they do with what their "
    "documentation does not tell of is taken to be what we do: they may differ by more."
)
MODES = {
    "billed": "As billed now",
    "stripe_billing": "Stripe Billing",
    "chartmogul": "ChartMogul",
    "fivetran_dbt": "dbt package of Fivetran",
}
REASONS = {
    "coupons_that_end": "coupons that end",
    "coupons_kept": "coupons not taken off",
    "daily_prices": "daily prices left out",
    "paused": "paused",
    "trials": "trials",
    "unpaid": "unpaid",
    "ended_early": "ended before what was paid for",
}


@dataclass(frozen=True)
class MrrMovements(Section):
    """What moved MRR over time, and from the opening to the closing of one period."""

    def metric_ids(self, known: Mapping[str, Metric]) -> Sequence[str]:
        return ["mrr"]

    def show(self, page: Page) -> None:
        data.check_parts(page.view.of, MOVED)
        mrr, grain, build = page.metrics["mrr"], page.view.grain, page.build
        left, right = st.columns(2)
        with left, card(MOVED, ABOUT_MOVED):
            currency, segment, value = _part_of(page, data.movements(build, grain))
            moved, step_by_step = _moved(build, mrr.unit, currency, (segment, value), grain, page.view.dates)
            if currency == "all" and not moved.points.empty:
                say_where_there_is_no_total(page, mrr, grain)
            if not moved.charts:
                nothing_here(moved.notes[0])
                return
            narrowing = page.to_period(moved.points["period_start"], grain)
            draw(noted(page, moved.charts[""], grain, "mrr"), " ".join(moved.notes), narrowing)
            say_what_is_left_out(build, [mrr])
            name = f"mrr_movements_{currency}_{segment}_{value}".lower().replace(" ", "_")
            table_behind(build, moved.table, of_metric(mrr, moved.points), name, "Opening, movements and closing")
        with right, card("From opening to closing", "The same movements of one period, step by step."):
            if step_by_step.charts:
                draw(step_by_step.charts[""], step_by_step.notes[0])
            else:
                nothing_here(step_by_step.notes[0])


@data.once_a_build
def _moved(
    build: Bundle, unit: str, currency: str, part: data.Part, grain: str, dates: tuple[date, date]
) -> tuple[Drawn, Drawn]:
    """The movements over time, and those of the latest complete period."""
    found = data.movements(build, grain)
    own = found[found[["currency", "segment", "segment_value"]].eq([currency, *part]).all(axis="columns")]
    own = within(own, "period_start", dates, grain)
    if own.empty:
        nothing = Drawn(own, notes=["No movement between these dates: choose others, or other subscribers."])
        return nothing, nothing
    form = f"money {data.currency(build) if currency == 'all' else currency}"
    wide = by_start(own)
    shown = [key for key in NAMES if key in ALWAYS_SHOWN or wide[key].fillna(0).ne(0).any()]
    if wide[shown].isna().all(axis=None):
        nothing = Drawn(own, notes=["There is no total to draw: choose a single currency."])
        return nothing, nothing
    notes = ["Below zero: what was lost. Line: net."]
    notes += [] if wide["is_complete"].all() else ["Pale: not complete yet."]
    over_time = Drawn(own, {"": _stacked(wide, shown, unit, form, grain)}, notes, as_a_sum(wide, shown, form, grain))
    return over_time, _bridge(wide, shown, form, grain)


def _part_of(page: Page, found: pd.DataFrame) -> tuple[str, str, str]:
    """A currency to show the movements in, and whose they are; a page narrowed to a currency has it chosen."""
    segment, value = page.view.of
    if segment == "currency":
        return value, "all", "all"
    currencies = {"all": f"In {data.currency(page.build)}, all currencies"} | {
        currency: f"In {currency} alone" for currency in sorted(set(found["currency"]) - {"all"})
    }
    return select("In", currencies, "in", width=220), segment, value


def by_start(found: pd.DataFrame) -> pd.DataFrame:
    """A row per period and a column per movement: 0 where it has no row, unknown where its amount or closing is."""
    found = found.assign(period_start=pd.to_datetime(found["period_start"]))
    wide = found.pivot(index="period_start", columns="movement", values="amount").sort_index()
    has_row = found.pivot(index="period_start", columns="movement", values="customers").reindex(wide.index).notna()
    wide = wide.astype(float).mask(~has_row, 0.0).reindex(columns=["opening", *NAMES, "closing"], fill_value=0.0)
    complete = found.groupby("period_start")["is_complete"].all()
    return wide.assign(is_complete=complete).reset_index()


def _signed(wide: pd.DataFrame, shown: Sequence[str]) -> pd.DataFrame:
    return wide[[*shown]] * [-1.0 if key in WENT else 1.0 for key in shown]


def _stacked(wide: pd.DataFrame, shown: list[str], unit: str, form: str, grain: str) -> charts.Spec:
    drawn = wide.melt(["period_start", "is_complete"], shown, var_name="movement")
    net = wide[["period_start", "is_complete"]].assign(value=_signed(wide, shown).sum(axis="columns", skipna=False))
    return charts.stacks(
        drawn.assign(group=drawn["movement"].map(NAMES)),
        {NAMES[key]: color for key, color in MOVEMENTS.items()},
        label="MRR moved",
        unit=unit,
        form=form,
        grain=grain,
        below=[NAMES[key] for key in WENT],
        net=net,
    )


def _bridge(wide: pd.DataFrame, shown: list[str], form: str, grain: str) -> Drawn:
    complete = wide[wide["is_complete"]].dropna(subset=["opening", "closing", *shown])
    if complete.empty:
        return Drawn(complete, notes=["No period between these dates is complete and has a total."])
    last = complete.iloc[[-1]]
    moved = _signed(last, shown).iloc[0]
    parts = {"Opening": last["opening"].iloc[0], **{NAMES[key]: moved[key] for key in shown if moved[key]}}
    parts["Closing"] = last["closing"].iloc[0]
    steps = pd.DataFrame({"name": list(parts), "value": list(parts.values())})
    span = period(last["period_start"].iloc[0], grain)
    chart = charts.bridge(steps, label=f"MRR, {span}", form=form)
    return Drawn(steps, {"": chart}, [f"The latest complete {grain}: {span}."])


def as_a_sum(wide: pd.DataFrame, shown: list[str], form: str, grain: str) -> pd.DataFrame:
    """Newest period first; what went has a minus, so that a row adds up from left to right."""
    newest = wide.sort_values("period_start", ascending=False)
    table = pd.DataFrame({grain.capitalize(): [period(start, grain) for start in newest["period_start"]]})
    for key, title in {"opening": "Opening", **{key: NAMES[key] for key in shown}, "closing": "Closing"}.items():
        sign = -1 if key in WENT else 1
        table[title] = [number(sign * value if value else value, form) for value in newest[key]]
    return table.assign(State=list(newest["is_complete"].map(charts.STATES)))


@dataclass(frozen=True)
class OtherTools(Section):
    """What other tools would say of the last month's end, and by what it differs from our MRR."""

    def show(self, page: Page) -> None:
        segment, value = page.view.of
        data.check_parts(page.view.of, OTHER_TOOLS)
        with card(OTHER_TOOLS, ABOUT_OTHER_TOOLS):
            currency = value if segment == "currency" else "all"
            found = data.rows(page.build, "mrr_modes", currency=currency)
            last = found[found["is_complete"]]["period_start"].max()
            known = found[found["period_start"] == last]
            if known.empty:
                nothing_here("No month is complete yet.")
                return
            form = f"money {data.currency(page.build) if currency == 'all' else currency}"
            table = modes_table(known, form)
            everyone = "" if segment in ("all", "currency") else ", of everyone"
            said = [f"{name}: {mrr}" for name, mrr in zip(table["Tool"], table["MRR"], strict=True)]
            remark(plain(f"At the end of {period(last, 'month')}{everyone}. {'; '.join(said)}."))
            with st.expander("Why they differ", type="compact"):
                show_table(table, OTHER_TOOLS, right=["MRR"], wide=["Why it is another"])
            download(page.build, found, "mrr_modes")


def modes_table(rows: pd.DataFrame, form: str) -> pd.DataFrame:
    """A row per tool: its MRR, and what it counts beside ours or leaves out."""
    ours = rows.loc[rows["reason"] == "ours", "amount"].iloc[0]
    table = [{"Tool": "Here", "MRR": number(ours, form), "Why it is another": ""}]
    for mode, name in MODES.items():
        own = rows[rows["mode"] == mode].set_index("reason")["amount"]
        apart = [
            f"{REASONS[reason]} {signed(Decimal(str(own[reason])), form)}"
            for reason in REASONS
            if reason in own and not pd.isna(own[reason])
        ]
        why = ", ".join(apart) or "the same"
        table.append(
            {"Tool": name, "MRR": number(own["total"], form), "Why it is another": f"{why[0].upper()}{why[1:]}"}
        )
    return pd.DataFrame(table)
