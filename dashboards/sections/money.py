"""Money: what moved MRR, and how payments end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    why_no_data,
)
from dashboards.controls import select
from dashboards.page import Page, Section
from dashboards.sections.over_time import by_period, noted, say_where_there_is_no_total
from tailtracker_bi.figures import charts, people_charts
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
# In the order in which they are stacked.
OUTCOMES = {
    "first_attempt": charts.BLUE,
    "recovered": charts.SKY,
    "failed": charts.VERMILION,
    "pending": charts.PURPLE,
    "blocked": charts.GREY,
}

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

# In the order in which they are stacked.
STATES_OF_TRIALS = {
    "converted": charts.BLUE,
    "running": charts.SKY,
    "ended_unpaid": charts.PURPLE,
    "cancelled": charts.VERMILION,
}
ABOUT_KINDS = (
    "Hard: Stripe does not try again before there is another payment method. Soft: it does. Unknown: Stripe documents "
    "no such code."
)
ABOUT_DUNNING = (
    "Of payments of recurring invoices whose first attempt failed, but for the first invoice after a trial, the share "
    "that a later attempt had paid by the end of each day after it. A payment counts on the days that it has had, so "
    f"the curve may dip where few are old enough. By the decline code of the first failure. {ABOUT_KINDS}"
)
LINES_OF_DECLINES = {"all": "All", "hard": "Hard declines", "soft": "Soft declines", "unknown": "Unknown declines"}
RECOVERED = "When failed payments are recovered"
BECAME = "What became of trials"
ABOUT_TRIALS = (
    "By the month in which a trial began, as it stands now. Converted: it ended, and its first invoice was paid. Ended "
    "unpaid: that is not paid yet, or never will be. Cancelled: before the trial ended, or with it."
)


@dataclass(frozen=True)
class MrrMovements(Section):
    """What moved MRR over time, and from the opening to the closing of one period."""

    def metric_ids(self, known: Mapping[str, Metric]) -> Sequence[str]:
        return ["mrr"]

    def show(self, page: Page) -> None:
        data.check_parts(page.view.of, MOVED)
        mrr = page.metrics["mrr"]
        grain = page.view.grain
        found = data.movements(page.build, grain)
        left, right = st.columns(2)
        with left, card(MOVED, ABOUT_MOVED):
            currency, segment, value = _part_of(page, found)
            own = found[
                found[["currency", "segment", "segment_value"]].eq([currency, segment, value]).all(axis="columns")
            ]
            own = within(own, "period_start", page.view.dates, grain)
            if own.empty:
                nothing_here("No movement between these dates: choose others, or other subscribers.")
                return
            if currency == "all":
                say_where_there_is_no_total(page, mrr, grain)
            form = f"money {data.currency(page.build) if currency == 'all' else currency}"
            wide = by_start(own)
            shown = [key for key in NAMES if key in ALWAYS_SHOWN or wide[key].fillna(0).ne(0).any()]
            if wide[shown].isna().all(axis=None):
                nothing_here("There is no total to draw: choose a single currency.")
                return
            notes = ["Below zero: what was lost. Line: net."]
            notes += [] if wide["is_complete"].all() else ["Pale: not complete yet."]
            chart = noted(page, _stacked(wide, shown, mrr.unit, form, grain), grain, "mrr")
            draw(chart, " ".join(notes), page.to_period(wide["period_start"], grain))
            say_what_is_left_out(page.build, [mrr])
            name = f"mrr_movements_{currency}_{segment}_{value}".lower().replace(" ", "_")
            table = as_a_sum(wide, shown, form, grain)
            table_behind(page.build, table, of_metric(mrr, own), name, "Opening, movements and closing")
        with right, card("From opening to closing", "The same movements of one period, step by step."):
            _bridge(wide, shown, form, grain)


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


def _bridge(wide: pd.DataFrame, shown: list[str], form: str, grain: str) -> None:
    complete = wide[wide["is_complete"]].dropna(subset=["opening", "closing", *shown])
    if complete.empty:
        nothing_here("No period between these dates is complete and has a total.")
        return
    last = complete.iloc[[-1]]
    moved = _signed(last, shown).iloc[0]
    parts = {"Opening": last["opening"].iloc[0], **{NAMES[key]: moved[key] for key in shown if moved[key]}}
    parts["Closing"] = last["closing"].iloc[0]
    steps = pd.DataFrame({"name": list(parts), "value": list(parts.values())})
    span = period(last["period_start"].iloc[0], grain)
    draw(charts.bridge(steps, label=f"MRR, {span}", form=form), f"The latest complete {grain}: {span}.")


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


@dataclass(frozen=True)
class PaymentOutcomes(Section):
    """How payments ended, of all currencies together."""

    def metric_ids(self, known: Mapping[str, Metric]) -> Sequence[str]:
        return ["payments"]

    def show(self, page: Page) -> None:
        payments, grain = page.metrics.get("payments"), page.view.grain
        if payments is None:
            return
        about = "Booked on the day of the first attempt. Recovered: the first attempt failed and a later one succeeded."
        with card("How payments ended", about):
            if not data.grains_of(page.build, "payments"):
                why_no_data(page.build, payments)
                return
            found = of_all_currencies(data.rows(page.build, "payment_outcomes", grain=grain))
            found = within(found, "period_start", page.view.dates, grain)
            if found.empty:
                nothing_here("No payment between these dates.")
                return
            counted = found.groupby(["period_start", "outcome"], as_index=False).agg(
                value=("payments", "sum"), is_complete=("is_complete", "all")
            )
            counted["group"] = counted["outcome"].map(words)
            colors = {words(outcome): color for outcome, color in OUTCOMES.items()}
            chart = charts.stacks(counted, colors, label="Payments", unit=payments.unit, form="integer", grain=grain)
            pale = "" if counted["is_complete"].all() else " Pale: not complete yet, so payments may still succeed."
            said = f"Payments by the {grain} of their first attempt.{pale}"
            draw(noted(page, chart, grain, "payments"), said, page.to_period(counted["period_start"], grain))
            say_what_is_left_out(page.build, [payments])
            table = by_period(_every_outcome(counted, list(colors)), grain, dict.fromkeys(colors, "integer"))
            name = f"payment_outcomes_by_{grain}"
            table_behind(page.build, table, of_metric(payments, found), name, "How payments ended")


def _every_outcome(counted: pd.DataFrame, order: list[str]) -> pd.DataFrame:
    """A row per period and outcome, in the order given, 0 where none ended so."""
    every = pd.MultiIndex.from_product([sorted(counted["period_start"].unique()), counted["group"].unique()])
    rows = counted.set_index(["period_start", "group"])[["value"]].reindex(every, fill_value=0).reset_index()
    rows.columns = pd.Index(["period_start", "segment_value", "value"])
    rows["is_complete"] = rows["period_start"].map(counted.groupby("period_start")["is_complete"].all())
    return rows.sort_values("segment_value", key=lambda names: names.map(order.index), kind="stable")


def of_all_currencies(found: pd.DataFrame) -> pd.DataFrame:
    """Each payment once: the rows of all currencies together where there are such, else those of each."""
    together = found[found["currency"] == "all"]
    rows = found if together.empty else together
    return rows.assign(period_start=pd.to_datetime(rows["period_start"]))


@dataclass(frozen=True)
class DunningCurve(Section):
    """How soon payments whose first attempt failed are recovered, of all currencies together."""

    def show(self, page: Page) -> None:
        rate = page.metrics.get("recovery_rate")
        if rate is None:
            return
        with card(RECOVERED, ABOUT_DUNNING):
            if not data.grains_of(page.build, "recovery_rate"):
                why_no_data(page.build, rate)
                return
            found = data.rows(page.build, "dunning_curve").rename(columns={"cohort_month": "period_start"})
            found = found.sort_values(["period_start", "segment", "segment_value", "days_since_failure"])
            found = within(found, "period_start", page.view.dates, "month")
            if found.empty:
                nothing_here("No such payment failed in these months.")
                return
            curve = recovered_by_day(found)
            note = "Of the months between the dates. Later days rest on fewer payments: n is in the table."
            draw(people_charts.dunning_curve(curve), note)
            say_what_is_left_out(page.build, [rate])
            table = pd.DataFrame(
                {
                    "Day": curve["period_index"].astype(str),
                    "Of": curve["line"],
                    "Recovered": [number(share, "percent") for share in curve["share"]],
                    "Recovered payments": [number(count, "integer") for count in curve["back"]],
                    "Payments (n)": [number(count, "integer") for count in curve["people"]],
                }
            )
            table_behind(page.build, table, of_metric(rate, found), "dunning_curve", RECOVERED)


def recovered_by_day(found: pd.DataFrame) -> pd.DataFrame:
    """The months together: a line for all payments and one for each kind of decline, `back` of `people` by each day."""
    keys = ["segment", "segment_value", "days_since_failure"]
    curve = found.groupby(keys, as_index=False)[["payments", "recovered"]].sum()
    curve["line"] = curve["segment_value"].map(lambda kind: LINES_OF_DECLINES[kind])
    curve["share"] = curve["recovered"] / curve["payments"]
    return curve.rename(columns={"days_since_failure": "period_index", "recovered": "back", "payments": "people"})


@dataclass(frozen=True)
class DeclineCodes(Section):
    """Why first attempts fail, and how often a later one succeeds."""

    def show(self, page: Page) -> None:
        payments = page.metrics.get("payments")
        if payments is None:
            return
        about = "The decline code of a payment's first failure, over the complete days between the dates."
        with card("Why first attempts fail", f"{about} {ABOUT_KINDS}"):
            if not data.grains_of(page.build, "payments"):
                why_no_data(page.build, payments)
                return
            found = of_all_currencies(data.rows(page.build, "payment_outcomes", grain="day"))
            found = within(found[found["is_complete"]], "period_start", page.view.dates, "day")
            declined = found[found["outcome"].isin(["failed", "recovered"])].fillna(
                {"decline_code": "(unknown)", "decline_kind": "unknown"}
            )
            if declined.empty:
                nothing_here("No payment failed between these dates.")
                return
            ranked = by_code(declined)
            table = pd.DataFrame(
                {
                    "Decline code": [words(code) for code in ranked["decline_code"]],
                    "Kind": ranked["decline_kind"],
                    "Payments": [number(count, "integer") for count in ranked["payments"]],
                    "Share": [number(share, "percent") for share in ranked["share"]],
                    "Recovered share": [number(share, "percent") for share in ranked["recovered_share"]],
                }
            )
            show_table(table, "Decline codes by number of payments", right=list(table.columns[2:]))
            exported = ranked[["decline_code", "decline_kind", "payments", "share", "recovered", "recovered_share"]]
            first, last = page.view.dates
            exported = exported.assign(first_day=first, last_day=last, is_complete=True)
            download(page.build, of_metric(payments, exported), "decline_codes")


def by_code(declined: pd.DataFrame) -> pd.DataFrame:
    """Payments that failed first, by decline code, the most frequent first, and how many of them were recovered."""
    counts = declined.pivot_table(
        index=["decline_code", "decline_kind"], columns="outcome", values="payments", aggfunc="sum", fill_value=0
    ).reindex(columns=["failed", "recovered"], fill_value=0)
    ranked = counts.assign(payments=counts.sum(axis="columns")).sort_values("payments", ascending=False, kind="stable")
    ranked["share"] = ranked["payments"] / ranked["payments"].sum()
    ranked["recovered_share"] = ranked["recovered"] / ranked["payments"]
    return ranked.reset_index()


@dataclass(frozen=True)
class Trials(Section):
    """What became of the trials that began in a month."""

    def metric_ids(self, known: Mapping[str, Metric]) -> Sequence[str]:
        return ["trial_conversion_rate_30d"]

    def show(self, page: Page) -> None:
        rate = page.metrics.get("trial_conversion_rate_30d")
        if rate is None:
            return
        data.check_parts(page.view.of, BECAME)
        with card(BECAME, ABOUT_TRIALS):
            if not data.grains_of(page.build, rate.metric_id):
                why_no_data(page.build, rate)
                return
            segment, value = page.view.of
            found = data.rows(page.build, "trials", segment=segment, segment_value=value)
            found = within(
                found.rename(columns={"cohort_month": "period_start"}), "period_start", page.view.dates, "month"
            )
            if found.empty:
                nothing_here("No trial began between these dates.")
                return
            found = found.assign(period_start=pd.to_datetime(found["period_start"]))
            counted = found.melt(["period_start", "is_complete"], [*STATES_OF_TRIALS], var_name="state")
            counted["group"] = counted["state"].map(words)
            colors = {words(state): color for state, color in STATES_OF_TRIALS.items()}
            chart = charts.stacks(counted, colors, label="Trials", unit="trials", form="integer", grain="month")
            pale = "" if counted["is_complete"].all() else " Pale: the month or some of its trials are not over."
            said = f"Trials by the month in which they began.{pale}"
            drawn = noted(page, chart, "month", rate.metric_id)
            draw(drawn, said, page.to_period(counted["period_start"], "month"))
            say_what_is_left_out(page.build, [rate])
            table = by_period(_every_outcome(counted, list(colors)), "month", dict.fromkeys(colors, "integer"))
            table_behind(page.build, table, of_metric(rate, found), "trials_by_month", BECAME)
