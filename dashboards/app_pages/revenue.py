"""Revenue: what subscriptions pay a month, what moved it, and how many subscribers stay."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboards import data
from dashboards.components import (
    COMPARED,
    draw,
    explain,
    nothing_here,
    open_page,
    say_what_is_left_out,
    select,
    table_behind,
    tiles,
    why_no_data,
)
from dashboards.over_time import (
    SEGMENTS,
    Dates,
    differences,
    grain_and_dates,
    over_time,
    say_where_there_is_no_total,
    split_by,
)
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.figures import charts
from tailtracker_bi.figures.catalogue import Metric
from tailtracker_bi.figures.exported import of_metric
from tailtracker_bi.figures.points import within
from tailtracker_bi.figures.wording import number, period, words

OVER_TIME = (
    "mrr",
    "arr",
    "mrr_net_new",
    "subscribers",
    "subscribers_new",
    "subscribers_churned",
    "subscriber_churn_rate",
    "subscriber_churn_rate_30d",
)
MOVEMENTS = ("mrr_new", "mrr_reactivation", "mrr_expansion", "mrr_contraction", "mrr_churn")
# In the order in which they are stacked, from zero on: what came in, what went, and the exchange rates.
COLORS = {
    "expansion": charts.GREEN,
    "reactivation": charts.SKY,
    "new": charts.BLUE,
    "switched_in": charts.YELLOW,
    "contraction": charts.ORANGE,
    "churn": charts.VERMILION,
    "switched_out": charts.PURPLE,
    "fx": charts.GREY,
}
WENT = ("contraction", "churn", "switched_out")
NAMES = {key: "Exchange rates" if key == "fx" else words(key) for key in COLORS}
ALWAYS_SHOWN = ("new", "reactivation", "expansion", "contraction", "churn")


def movements(build: Bundle, mrr: Metric, dates: Dates) -> None:
    st.header(
        "What moved MRR",
        help="Each customer's net change of a day, summed over the month. Within a plan or billing cycle, those who "
        "came from or went to another one have switched.",
    )
    monthly = data.rows(build, "mrr_movements", grain="month")
    currency, segment, value = chosen_part(build, monthly)
    is_of_part = monthly[["currency", "segment", "segment_value"]].eq([currency, segment, value]).all(axis="columns")
    found = within(monthly[is_of_part], "period_start", dates, "month")
    if found.empty:
        nothing_here("No movement between these dates: choose others, or other subscribers.")
        return
    if currency == "all":
        say_where_there_is_no_total(build, mrr, "month", dates)
    say_what_is_left_out(build, [mrr])
    form = f"money {data.currency(build) if currency == 'all' else currency}"
    wide = by_month(found)
    shown = [key for key in NAMES if key in ALWAYS_SHOWN or wide[key].fillna(0).ne(0).any()]
    drawn = wide.melt(["period_start", "is_complete"], shown, var_name="movement")
    drawn["group"] = drawn["movement"].map(NAMES)
    if drawn["value"].isna().all():
        nothing_here("There is no total to draw: choose a single currency.")
        return
    draw(
        charts.stacks(
            drawn,
            {NAMES[key]: color for key, color in COLORS.items()},
            label="MRR moved",
            unit=mrr.unit,
            form=form,
            grain="month",
            below=[NAMES[key] for key in WENT],
        ),
        "Above zero: what was gained. Below: what was lost. Pale: the month is not complete yet. "
        "The table is rounded to whole cents; the CSV has every decimal.",
    )
    name = f"mrr_movements_{currency}_{segment}_{value}".lower().replace(" ", "_")
    table_behind(build, as_a_sum(wide, shown, form), of_metric(mrr, found), name, "Opening, movements and closing")


def chosen_part(build: Bundle, found: pd.DataFrame) -> tuple[str, str, str]:
    """A currency, a segment and a segment value to show the movements of."""
    kinds = found[["currency", "segment", "segment_value"]].drop_duplicates()
    currencies = {"all": f"All, in {data.currency(build)}"} | {
        currency: currency for currency in sorted(set(kinds["currency"]) - {"all"})
    }
    parts = {"all": "All subscribers"} | {
        f"{row.segment}={row.segment_value}": f"{SEGMENTS.get(str(row.segment), row.segment)}: {row.segment_value}"
        for row in kinds.sort_values(["segment", "segment_value"]).itertuples()
        if row.segment != "all"
    }
    with st.container(horizontal=True, vertical_alignment="top"):
        with st.container(width=180):
            currency = select("In", currencies, "in")
        with st.container(width=240):
            segment, _, value = select("Of", parts, "of").partition("=")
    return currency, segment, value or "all"


def by_month(found: pd.DataFrame) -> pd.DataFrame:
    """A row per month and a column per movement: 0 where it has no row, unknown where its amount or closing is."""
    found = found.assign(period_start=pd.to_datetime(found["period_start"]))
    wide = found.pivot(index="period_start", columns="movement", values="amount").sort_index()
    has_row = found.pivot(index="period_start", columns="movement", values="customers").reindex(wide.index).notna()
    wide = wide.astype(float).mask(~has_row, 0.0).reindex(columns=["opening", *NAMES, "closing"], fill_value=0.0)
    complete = found.groupby("period_start")["is_complete"].all()
    return wide.assign(is_complete=complete).reset_index()


def as_a_sum(wide: pd.DataFrame, shown: list[str], form: str) -> pd.DataFrame:
    """Newest month first; what went has a minus, so that a row adds up from left to right."""
    newest = wide.sort_values("period_start", ascending=False)
    table = pd.DataFrame({"Month": [period(start, "month") for start in newest["period_start"]]})
    for key, title in {"opening": "Opening", **{key: NAMES[key] for key in shown}, "closing": "Closing"}.items():
        sign = -1 if key in WENT else 1
        table[title] = [number(sign * value if value else value, form) for value in newest[key]]
    return table.assign(State=list(newest["is_complete"].map(charts.STATES)))


build = open_page(
    "Revenue",
    "What subscribers pay a month, what moved it, and whether they stay.",
    ["mrr_movements", "reconciliation"],
)
metrics = data.catalog(build)
mrr = metrics.get("mrr")
if mrr is None or not data.grains_of(build, "mrr"):
    if mrr is None:
        nothing_here("No revenue has been counted yet.")
    else:
        why_no_data(build, mrr)
    st.stop()
monthly = {"subscriber_churn_rate": "month", "mrr_net_new": "month", "subscribers_new": "month"}
st.header("Latest complete figures", help=COMPARED)
tiles(build, metrics, {"mrr": "day", "arr": "day", "subscribers": "day"} | monthly)
with st.container(horizontal=True, vertical_alignment="top"):
    listed = {key: metrics[key].label for key in OVER_TIME if key in metrics}
    with st.container(width=240):
        metric = metrics[select("Metric", listed, "metric", "mrr")]
    segment = split_by(build, [metrics[key] for key in listed], "All subscribers")
    grain, dates = grain_and_dates(build, mrr)
over_time(build, metric, segment, grain, dates)
movements(build, mrr, dates)
differences(build, ["subscriptions"])
explain([metrics[key] for key in (*OVER_TIME, *MOVEMENTS) if key in metrics])
