"""What became of trials, what subscribers are worth, how long they stay, and what cohorts keep paying."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd

from dashboards import data
from dashboards.components import card, draw, nothing_here, say_what_is_left_out, table_behind, why_no_data
from dashboards.page import Page, Section
from dashboards.sections.over_time import Drawn, by_period, every_group, noted
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.figures import charts, people_charts
from tailtracker_bi.figures.catalogue import Metric
from tailtracker_bi.figures.exported import of_metric
from tailtracker_bi.figures.points import within
from tailtracker_bi.figures.wording import number, period, short_period, words

METHODS = {
    "realised": "Received",
    "arppu_over_churn": "ARPPU over churn",
    "survival": "By survival so far",
    "sbg": "By a fitted survival",
    "bg_nbd": "Bought beside",
}
ABOUT_WORTH = (
    "What a subscriber brings, from the month in which they begin. **Received:** charges less refunds and lost "
    "disputes, of cohorts that are old enough. **ARPPU over churn:** as if the same share left each month as in the "
    "last. **By survival so far:** ARPPU times the months that subscribers paid for (Kaplan-Meier). **By a fitted "
    "survival:** the same beyond what was seen (shifted beta-geometric). **Bought beside:** what a buyer pays beside "
    "subscriptions from the first time on (BG/NBD, Gamma-Gamma), where anybody does. Lines are intervals for 95 %, "
    "with ARPPU as it is. Tried: what a method would have said months ago of those who began next, against the MRR "
    "that they brought."
)
MOST_COHORTS = 24
# In the order in which they are stacked.
STATES_OF_TRIALS = {
    "converted": charts.BLUE,
    "running": charts.SKY,
    "ended_unpaid": charts.PURPLE,
    "cancelled": charts.VERMILION,
}
BECAME = "What became of trials"
ABOUT_TRIALS = (
    "By the month in which a trial began, as it stands now. Converted: it ended, and its first invoice was paid. Ended "
    "unpaid: that is not paid yet, or never will be. Cancelled: before the trial ended, or with it."
)


def _of(page: Page, found: pd.DataFrame) -> pd.DataFrame:
    """The rows of the part that the page is narrowed to."""
    return found[found[["segment", "segment_value"]].eq([*page.view.of]).all(axis="columns")]


@dataclass(frozen=True)
class Worth(Section):
    """Lifetime value by method and months ahead, each with its interval, what it is told by and how it did before."""

    def show(self, page: Page) -> None:
        data.check_parts(page.view.of, "Lifetime value of parts")
        found = _of(page, data.rows(page.build, "ltv_predictions"))
        with card("What a subscriber is worth", ABOUT_WORTH):
            if found.empty:
                nothing_here("No month is complete yet, or nothing is told of this part.")
                return
            known = found[found["status"] == "ok"]
            if known.empty:
                nothing_here(f"Too little is known yet: {found['status'].iloc[0]}.")
            else:
                form = f"money {known['currency'].iloc[0]}"
                rows = known.assign(
                    name=[
                        _named(method, months)
                        for method, months in zip(known["method"], known["horizon_months"], strict=True)
                    ],
                    text=[
                        number(value, form)
                        + ("" if pd.isna(low) else f" ({number(low, form)} to {number(high, form)})")
                        for value, low, high in zip(known["value"], known["ci_low"], known["ci_high"], strict=True)
                    ],
                )
                as_of = pd.Timestamp(known["as_of_month"].iloc[0])
                chart = people_charts.estimates(rows, "LTV", form)
                margin = known["gross_margin"].iloc[0] if "gross_margin" in known else 1
                of_margin = "" if margin == 1 else f" Gross margin: {number(margin, 'percent')} of revenue."
                draw(chart, f"As of the end of {period(as_of, 'month')}. Lines: intervals for 95 %.{of_margin}")
            of = f"{page.view.of[0]}_{page.view.of[1]}".lower().replace(" ", "_")
            table_behind(page.build, _worth_table(found), found, f"ltv_predictions_{of}", "What each method says")


def _named(method: str, months: float | None) -> str:
    return f"{METHODS[method]}, " + ("for ever" if pd.isna(months) else f"{months:.0f} months")


def _worth_table(found: pd.DataFrame) -> pd.DataFrame:
    table = []
    row: Any
    for row in found.itertuples():
        form = f"money {row.currency}"
        has_interval = row.status == "ok" and not pd.isna(row.ci_low)
        tried = (
            "" if pd.isna(row.backtest_error) else f"{row.backtest_error:+.0%} over {row.backtest_months:.0f} months"
        )
        table.append(
            {
                "Method": _named(row.method, row.horizon_months),
                "LTV": number(row.value, form) if row.status == "ok" else "",
                "95 % interval": f"{number(row.ci_low, form)} to {number(row.ci_high, form)}" if has_interval else "",
                "Subscribers (n)": "" if pd.isna(row.customers) else number(row.customers, "integer"),
                "Tried before": tried,
                "Why none": "" if row.status == "ok" else row.status,
            }
        )
    return pd.DataFrame(table)


@dataclass(frozen=True)
class Staying(Section):
    """The share of subscribers still there by months since they began, with its interval."""

    def show(self, page: Page) -> None:
        data.check_parts(page.view.of, "Survival of parts")
        curve = _of(page, data.rows(page.build, "subscriber_survival"))
        about = "Of all who ever began to pay, those still there at the end of each month; not who comes back later."
        with card("How long subscribers stay", about):
            if curve.empty:
                nothing_here("Too few subscribers have ended, or too few months are known, to tell how long they stay.")
                return
            note = "Band: interval for 95 %. Dashed: a shifted beta-geometric fitted to it."
            draw(people_charts.survival_curve(curve), note)
            table = pd.DataFrame(
                {
                    "Month": curve["month_index"].astype(str),
                    "Told": ["as seen" if method == "survival" else "fitted" for method in curve["method"]],
                    "Still there": [number(share, "percent") for share in curve["share"]],
                    "95 % interval": [
                        f"{number(low, 'percent')} to {number(high, 'percent')}"
                        for low, high in zip(curve["ci_low"], curve["ci_high"], strict=True)
                    ],
                    "Subscribers (n)": ["" if pd.isna(n) else number(n, "integer") for n in curve["at_risk"]],
                }
            )
            table_behind(page.build, table, curve, "subscriber_survival", "How long subscribers stay")


@dataclass(frozen=True)
class RevenueCohorts(Section):
    """What cohorts of subscribers keep paying, month by month, and what each customer of them has brought."""

    def show(self, page: Page) -> None:
        data.check_parts(page.view.of, "Revenue of cohorts of parts")
        found = _of(page, data.rows(page.build, "revenue_cohorts"))
        found = found.assign(cohort_month=pd.to_datetime(found["cohort_month"]))
        newest = sorted(found["cohort_month"].unique())[-MOST_COHORTS:]
        cohorts = found[found["cohort_month"].isin(newest)].sort_values(["cohort_month", "month_index"])
        about = "Percent of the MRR at the end of a cohort's first month that it pays at the end of a later one."
        with card("What cohorts keep paying", about):
            if cohorts.empty or cohorts["month_index"].max() < 1:
                nothing_here("No cohort is a month old yet.")
                return
            segment, value = page.view.of
            form = f"money {value if segment == 'currency' else data.currency(page.build)}"
            first = cohorts[cohorts["month_index"] == 0].set_index("cohort_month")["mrr"]
            drawn = cohorts.assign(first=cohorts["cohort_month"].map(first))
            draw(
                people_charts.kept_revenue(drawn, form),
                "Percent of the first month's MRR (customers in brackets). More than 100: those who stay pay more. "
                "Grey: not over yet, or a rate is missing.",
            )
            table = pd.DataFrame(
                {
                    "Cohort": [short_period(start, "month") for start in cohorts["cohort_month"]],
                    "Month": cohorts["month_index"].astype(str),
                    "Customers": [number(count, "integer") for count in cohorts["customers"]],
                    "Still paying": [number(count, "integer") for count in cohorts["active_customers"]],
                    "MRR": [number(amount, form) for amount in cohorts["mrr"].astype(float)],
                    "Received a customer": [
                        number(amount / count, form)
                        for amount, count in zip(
                            cohorts["net_revenue_cumulative"].astype(float), cohorts["customers"], strict=True
                        )
                    ],
                }
            )
            if "gross_profit_cumulative" in cohorts and cohorts["gross_profit_cumulative"].notna().any():
                each = cohorts["gross_profit_cumulative"].astype(float) / cohorts["customers"]
                table["Gross profit a customer"] = [number(amount, form) for amount in each]
            table_behind(page.build, table, found, "revenue_cohorts", "What cohorts keep paying")


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
            begun = _begun(page.build, page.view.of, page.view.dates)
            if not begun.charts:
                nothing_here("No trial began between these dates.")
                return
            narrowing = page.to_period(begun.points["period_start"], "month")
            draw(noted(page, begun.charts[""], "month", rate.metric_id), " ".join(begun.notes), narrowing)
            say_what_is_left_out(page.build, [rate])
            table_behind(page.build, begun.table, of_metric(rate, begun.points), "trials_by_month", BECAME)


@data.once_a_build
def _begun(build: Bundle, of: data.Part, dates: tuple[date, date]) -> Drawn:
    found = data.rows(build, "trials", segment=of[0], segment_value=of[1])
    found = within(found.rename(columns={"cohort_month": "period_start"}), "period_start", dates, "month")
    if found.empty:
        return Drawn(found)
    found = found.assign(period_start=pd.to_datetime(found["period_start"]))
    counted = found.melt(["period_start", "is_complete"], [*STATES_OF_TRIALS], var_name="state")
    counted["group"] = counted["state"].map(words)
    colors = {words(state): color for state, color in STATES_OF_TRIALS.items()}
    chart = charts.stacks(counted, colors, label="Trials", unit="trials", form="integer", grain="month")
    notes = ["Trials by the month in which they began."]
    notes += [] if counted["is_complete"].all() else ["Pale: the month or some of its trials are not over."]
    table = by_period(every_group(counted, list(colors)), "month", dict.fromkeys(colors, "integer"))
    return Drawn(found, {"": chart}, notes, table)
