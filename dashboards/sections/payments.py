"""Payments: how they end, how soon failed ones are recovered, and why they fail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import pandas as pd

from dashboards import data
from dashboards.components import (
    card,
    download,
    draw,
    nothing_here,
    say_what_is_left_out,
    show_table,
    table_behind,
    why_no_data,
)
from dashboards.page import Page, Section
from dashboards.sections.over_time import Drawn, by_period, every_group, noted
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.figures import charts, people_charts
from tailtracker_bi.figures.catalogue import Metric
from tailtracker_bi.figures.exported import of_metric
from tailtracker_bi.figures.points import within
from tailtracker_bi.figures.wording import number, words

# In the order in which they are stacked.
OUTCOMES = {
    "first_attempt": charts.BLUE,
    "recovered": charts.SKY,
    "failed": charts.VERMILION,
    "pending": charts.PURPLE,
    "blocked": charts.GREY,
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
            ended = _ended(page.build, payments.unit, grain, page.view.dates)
            if not ended.charts:
                nothing_here("No payment between these dates.")
                return
            narrowing = page.to_period(ended.points["period_start"], grain)
            draw(noted(page, ended.charts[""], grain, "payments"), " ".join(ended.notes), narrowing)
            say_what_is_left_out(page.build, [payments])
            rows = of_metric(payments, ended.points)
            table_behind(page.build, ended.table, rows, f"payment_outcomes_by_{grain}", "How payments ended")


@data.once_a_build
def _ended(build: Bundle, unit: str, grain: str, dates: tuple[date, date]) -> Drawn:
    found = of_all_currencies(data.rows(build, "payment_outcomes", grain=grain))
    found = within(found, "period_start", dates, grain)
    if found.empty:
        return Drawn(found)
    counted = found.groupby(["period_start", "outcome"], as_index=False).agg(
        value=("payments", "sum"), is_complete=("is_complete", "all")
    )
    counted["group"] = counted["outcome"].map(words)
    colors = {words(outcome): color for outcome, color in OUTCOMES.items()}
    chart = charts.stacks(counted, colors, label="Payments", unit=unit, form="integer", grain=grain)
    notes = [f"Payments by the {grain} of their first attempt."]
    notes += [] if counted["is_complete"].all() else ["Pale: not complete yet, so payments may still succeed."]
    table = by_period(every_group(counted, list(colors)), grain, dict.fromkeys(colors, "integer"))
    return Drawn(found, {"": chart}, notes, table)


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
            curve = _curve(page.build, page.view.dates)
            if not curve.charts:
                nothing_here("No such payment failed in these months.")
                return
            note = "Of the months between the dates. Later days rest on fewer payments: n is in the table."
            draw(curve.charts[""], note)
            say_what_is_left_out(page.build, [rate])
            table_behind(page.build, curve.table, of_metric(rate, curve.points), "dunning_curve", RECOVERED)


@data.once_a_build
def _curve(build: Bundle, dates: tuple[date, date]) -> Drawn:
    found = data.rows(build, "dunning_curve").rename(columns={"cohort_month": "period_start"})
    found = found.sort_values(["period_start", "segment", "segment_value", "days_since_failure"])
    found = within(found, "period_start", dates, "month")
    if found.empty:
        return Drawn(found)
    curve = recovered_by_day(found)
    table = pd.DataFrame(
        {
            "Day": curve["period_index"].astype(str),
            "Of": curve["line"],
            "Recovered": [number(share, "percent") for share in curve["share"]],
            "Recovered payments": [number(count, "integer") for count in curve["back"]],
            "Payments (n)": [number(count, "integer") for count in curve["people"]],
        }
    )
    return Drawn(found, {"": people_charts.dunning_curve(curve)}, table=table)


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
            declined = _declined(page.build, page.view.dates)
            if declined.points.empty:
                nothing_here("No payment failed between these dates.")
                return
            show_table(declined.table, "Decline codes by number of payments", right=list(declined.table.columns[2:]))
            download(page.build, of_metric(payments, declined.points), "decline_codes")


@data.once_a_build
def _declined(build: Bundle, dates: tuple[date, date]) -> Drawn:
    """A row per decline code, and the same in words."""
    found = of_all_currencies(data.rows(build, "payment_outcomes", grain="day"))
    found = within(found[found["is_complete"]], "period_start", dates, "day")
    declined = found[found["outcome"].isin(["failed", "recovered"])].fillna(
        {"decline_code": "(unknown)", "decline_kind": "unknown"}
    )
    if declined.empty:
        return Drawn(declined)
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
    exported = ranked[["decline_code", "decline_kind", "payments", "share", "recovered", "recovered_share"]]
    return Drawn(exported.assign(first_day=dates[0], last_day=dates[1], is_complete=True), table=table)


def by_code(declined: pd.DataFrame) -> pd.DataFrame:
    """Payments that failed first, by decline code, the most frequent first, and how many of them were recovered."""
    counts = declined.pivot_table(
        index=["decline_code", "decline_kind"], columns="outcome", values="payments", aggfunc="sum", fill_value=0
    ).reindex(columns=["failed", "recovered"], fill_value=0)
    ranked = counts.assign(payments=counts.sum(axis="columns")).sort_values("payments", ascending=False, kind="stable")
    ranked["share"] = ranked["payments"] / ranked["payments"].sum()
    ranked["recovered_share"] = ranked["recovered"] / ranked["payments"]
    return ranked.reset_index()
