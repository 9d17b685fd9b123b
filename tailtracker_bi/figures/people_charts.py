"""Charts of groups of people: retention of cohorts, days active, steps of a funnel, how long subscribers stay and what
they are worth; and of groups of payments: when they are recovered. No chart over time."""

from __future__ import annotations

import pandas as pd

from tailtracker_bi.figures.charts import BLUE, COLORS, GREY, HEIGHT, PADDING, Spec, bars, field, layer, legend, nearest
from tailtracker_bi.figures.wording import number, period

ROW_HEIGHT, LOW_ROW_HEIGHT, AXIS_HEIGHT = 26, 17, 70
MOST_LABELLED_COLUMNS, MOST_LABELLED_BARS = 16, 16
CLOSE: Spec = {"padding": 0.04}
NOT_COMPLETE = "not complete"
TABLE_BELOW = "The table below holds every value."


def retention_heat_map(cohorts: pd.DataFrame, grain: str) -> Spec:
    """A row per cohort, a column per period since it began; cells that are not over yet are grey."""
    cells = cohorts[cohorts["period_index"] > 0].copy()
    cells["share"] = (cells["retained"] / cells["cohort_size"]).where(cells["is_complete"])
    cells["told"] = [
        f"{back:,.0f} of {size:,}" if complete else NOT_COMPLETE
        for back, size, complete in zip(cells["retained"], cells["cohort_size"], cells["is_complete"], strict=True)
    ]
    said = f"the share of each that came back in each later period. {TABLE_BELOW}"
    return _heat_map(cells, grain, "Came back", "People", said)


def kept_revenue(cohorts: pd.DataFrame, form: str) -> Spec:
    """The same of months of `revenue_cohorts`: what a cohort pays at a month's end, of what it paid at its first's.

    `first` is that first MRR; amounts are in the form of money.
    """
    cells = cohorts[cohorts["month_index"] > 0].rename(
        columns={"cohort_month": "cohort_start", "customers": "cohort_size", "month_index": "period_index"}
    )
    is_known = cells["is_complete"] & cells["first"].gt(0)
    cells["share"] = (cells["mrr"].astype(float) / cells["first"].astype(float)).where(is_known)
    cells["told"] = [
        f"{number(now, form)} of {number(first, form)}" if known else NOT_COMPLETE
        for now, first, known in zip(cells["mrr"], cells["first"], is_known, strict=True)
    ]
    said = f"what each pays at the end of each later month, of what it paid at the end of its first. {TABLE_BELOW}"
    return _heat_map(cells, "month", "Still paid", "MRR", said)


def _heat_map(cells: pd.DataFrame, grain: str, share: str, told: str, said: str) -> Spec:
    """Cells with cohort_start, cohort_size, period_index, share and what is told of each, under these names."""
    cells["cohort"] = [
        f"{start:%b %Y} ({size:,})" if grain == "month" else f"{start.day} {start:%b} ({size:,})"
        for start, size in zip(cells["cohort_start"], cells["cohort_size"], strict=True)
    ]
    cells["text"] = [_percent(own) for own in cells["share"]]
    cells["when"] = [period(start, grain) for start in cells["cohort_start"]]
    cells["shown"] = cells["share"].map(lambda own: number(own, "percent"))
    is_labelled = has_numbers(cells)
    top = float(cells["share"].max()) if cells["share"].notna().any() else 1.0
    place = {
        "x": field(
            "period_index:O",
            title=f"{grain.capitalize()}s after the first",
            axis={"labelAngle": 0, "orient": "top", "labelOverlap": "greedy"},
            scale=CLOSE,
        ),
        "y": field("cohort:O", title=None, sort=list(cells["cohort"].unique()), axis={"labelLimit": 120}, scale=CLOSE),
    }
    tooltip = [
        field("when:N", title="Cohort"),
        field("period_index:O", title=f"{grain.capitalize()} after"),
        field("shown:N", title=share),
        field("told:N", title=told),
    ]
    color = field(
        "share:Q",
        scale={"scheme": "viridis", "domain": [0, top]},
        # Where no numbers fit into the cells, the colour alone must tell.
        legend=None if is_labelled else {"title": share, "format": ".0%", "orient": "bottom"},
    )
    known = layer("cells", "rect", {**place, "tooltip": tooltip, "color": color})
    unknown = layer("cells", "rect", {**place, "tooltip": tooltip}, color=GREY, opacity=0.2)
    layers = [
        known | {"transform": [{"filter": "isValid(datum.share)"}]},
        unknown | {"transform": [{"filter": "!isValid(datum.share)"}]},
    ]
    if is_labelled:
        is_dark = f"isValid(datum.share) && datum.share < {0.6 * top}"
        text_color = {"condition": {"test": is_dark, "value": "white"}, "value": "#1d2b36"}
        numbers = layer("cells", "text", {**place, "text": field("text:N"), "color": text_color}, fontSize=11)
        layers.append(numbers | {"transform": [{"filter": "isValid(datum.share)"}]})
    return {
        "layer": layers,
        "height": AXIS_HEIGHT + cells["cohort"].nunique() * (ROW_HEIGHT if is_labelled else LOW_ROW_HEIGHT),
        "description": f"Heat map of {cells['cohort'].nunique()} cohorts by {grain}: {said}",
        "datasets": {"cells": cells},
    }


def has_numbers(cohorts: pd.DataFrame) -> bool:
    """Whether the cells of a heat map of these cohorts are wide enough for numbers."""
    return cohorts.loc[cohorts["period_index"] > 0, "period_index"].nunique() <= MOST_LABELLED_COLUMNS


def _percent(share: float) -> str:
    return "" if pd.isna(share) else f"{share * 100:.0f}"


def retention_curve(curve: pd.DataFrame, grain: str) -> Spec:
    """The cohorts together by period since their start: a line for each `line`."""
    said = "Retention curve of complete cells, all cohorts together."
    return _curve(curve[curve["period_index"] > 0], grain, f"{grain.capitalize()}s after the first", said)


def dunning_curve(curve: pd.DataFrame) -> Spec:
    """The same of payments whose first attempt failed: the share that was recovered by each day since."""
    said = "Of payments whose first attempt failed, the share recovered by day."
    return _curve(curve, "day", "Days after the first attempt", said)


def _curve(points: pd.DataFrame, grain: str, since: str, said: str) -> Spec:
    """A line for each `line`: by `period_index`, how many are `back` of so many `people`."""
    names = list(points["line"].unique())
    drawn = points.assign(
        shown=[
            f"{number(share, 'percent')}, {back:,.0f} of {people:,.0f}"
            for share, back, people in zip(points["share"], points["back"], points["people"], strict=True)
        ],
    )
    wide = (
        drawn.pivot(index="period_index", columns="line", values="shown")
        .reindex(columns=names)
        .astype(object)
        .fillna("")
    )
    felt = wide.set_axis([f"line_{place}" for place in range(len(names))], axis="columns").reset_index()
    place = {
        "x": field("period_index:Q", title=since, axis={"tickMinStep": 1, "format": "d", "grid": False}),
        "y": field("share:Q", title=None, axis={"format": ".0%", "tickCount": 4}),
        "color": field(
            "line:N",
            scale={"domain": names, "range": COLORS[: len(names)]},
            legend=legend(names) if len(names) > 1 else None,
        ),
    }
    tooltip = [
        field("period_index:Q", title=f"{grain.capitalize()} after"),
        *(field(f"line_{index}:N", title=name) for index, name in enumerate(names)),
    ]
    ends = "; ".join(
        f"{row.line}, {grain} {row.period_index}: {row.shown}"
        for _, own in drawn.groupby("line", sort=False)
        for row in own.iloc[[0, -1] if len(own) > 1 else [0]].itertuples()
    )
    return {
        "layer": [
            layer("curve", "line", place, strokeWidth=2),
            layer("curve", "point", place, filled=True, size=45),
            nearest("felt", place["x"], tooltip),
        ],
        "height": HEIGHT,
        "padding": PADDING,
        "description": f"{said} {ends}.",
        "datasets": {"curve": drawn, "felt": felt},
    }


def days_active(people: pd.DataFrame) -> Spec:
    """How many people were active on how many days of a period."""
    every_day = pd.DataFrame({"days_active": range(1, int(people["days_active"].max()) + 1)})
    drawn = every_day.merge(people, on="days_active", how="left").fillna({"users": 0})
    drawn["shown"] = [number(users, "integer", "people") for users in drawn["users"]]
    encoding = {
        "x": field("days_active:O", title="Days active in the month", axis={"labelAngle": 0, "labelOverlap": "greedy"}),
        "y": field(
            "users:Q",
            title=None,
            axis={"format": ",~d", "tickCount": 4},
            scale={"domain": [0, 1.1 * float(drawn["users"].max())]},
        ),
        "tooltip": [field("days_active:O", title="Days active"), field("shown:N", title="People")],
    }
    layers = [layer("days", "bar", encoding, color=BLUE)]
    if len(drawn) <= MOST_LABELLED_BARS:
        texts = {**encoding, "text": field("users:Q", format=",")}
        layers.append(layer("days", "text", texts, dy=-7, fontSize=10))
    return {
        "layer": layers,
        "height": HEIGHT,
        "padding": PADDING,
        "description": f"Histogram of {int(people['users'].sum()):,} people by number of days active.",
        "datasets": {"days": drawn},
    }


def funnel(steps: pd.DataFrame, entered_in: str) -> Spec:
    """A bar per step of a funnel, with the people who reached it and their share of those who entered."""
    entered = float(steps["users"].iloc[0])
    drawn = pd.DataFrame(
        {
            "name": [f"{index}. {name}" for index, name in zip(steps["step_index"], steps["step_name"], strict=True)],
            "value": steps["users"].astype(float),
            "text": [f"{users:,.0f}" + (f" ({users / entered:.1%})" if entered else "") for users in steps["users"]],
        }
    )
    return bars(drawn, label=f"people who entered {entered_in}, by the step that they reached", what="Step")


def survival_curve(curve: pd.DataFrame) -> Spec:
    """The share still there at the end of each month, as seen with its band, and dashed what was fitted to that.

    `curve` has rows of `subscriber_survival` of one segment value.
    """
    drawn = curve.assign(
        shown=[
            f"{number(share, 'percent')} ({number(low, 'percent')} to {number(high, 'percent')})"
            for share, low, high in zip(curve["share"], curve["ci_low"], curve["ci_high"], strict=True)
        ],
        behind=["" if pd.isna(count) else f"{count:,.0f}" for count in curve["at_risk"]],
    )
    seen, fitted = (drawn[drawn["method"] == method] for method in ("survival", "sbg"))
    x = field("month_index:Q", title="Months after the first", axis={"tickMinStep": 1, "format": "d", "grid": False})
    y = {"axis": {"format": ".0%", "tickCount": 4}, "scale": {"domain": [0, 1]}}
    line, band = {"x": x, "y": field("share:Q", title=None, **y)}, {
        "x": x, "y": field("ci_low:Q", title=None, **y), "y2": field("ci_high"),
    }  # fmt: skip
    felt = seen[["month_index", "shown", "behind"]].merge(
        fitted[["month_index", "shown"]].rename(columns={"shown": "fitted"}), on="month_index", how="outer"
    )
    felt = felt.astype({"shown": object, "behind": object, "fitted": object}).fillna("").sort_values("month_index")
    tooltip = [
        field("month_index:Q", title="Month"),
        field("shown:N", title="Still there"),
        field("behind:N", title="Subscribers behind"),
        field("fitted:N", title="Fitted"),
    ]
    last = seen.iloc[-1]
    return {
        "layer": [
            layer("seen", "area", band, color=BLUE, opacity=0.15),
            layer("fitted", "line", line, color=GREY, strokeWidth=2, strokeDash=[4, 3]),
            layer("seen", "line", line, color=BLUE, strokeWidth=2),
            layer("seen", "point", line, color=BLUE, filled=True, size=45),
            nearest("felt", x, tooltip),
        ],
        "height": HEIGHT,
        "padding": PADDING,
        "description": f"Survival of subscribers: after month {last['month_index']} {last['shown']} are still there. "
        f"{TABLE_BELOW}",
        "datasets": {"seen": seen, "fitted": fitted, "felt": felt},
    }


def estimates(rows: pd.DataFrame, label: str, form: str) -> Spec:
    """A point a row with its interval as a line, if it has one; `rows` have name, value, ci_low, ci_high and text."""
    place = {"y": field("name:N", title=None, sort=list(rows["name"]), axis={"labelLimit": 230})}
    axis = {"tickCount": 4, "format": ",.0f"}
    top = float(rows[["value", "ci_high"]].to_numpy(dtype=float, na_value=0.0).max())
    scale = {"domain": [0, 1.02 * top]}
    tooltip = [field("name:N", title="Method"), field("text:N", title=label)]
    between = {**place, "x": field("ci_low:Q", title=None, axis=axis, scale=scale), "x2": field("ci_high")}
    point = {**place, "x": field("value:Q", title=None, axis=axis, scale=scale), "tooltip": tooltip}
    told = {**place, "x": field("value:Q", scale=scale), "text": field("shown:N")}
    drawn = rows.assign(shown=[number(value, form) for value in rows["value"]])
    words = "; ".join(f"{name}: {text}" for name, text in zip(rows["name"], rows["text"], strict=True))
    return {
        "layer": [
            layer("intervals", "rule", between, color=BLUE, strokeWidth=3, opacity=0.4),
            layer("estimates", "point", point, color=BLUE, filled=True, size=70, opacity=1),
            layer("estimates", "text", told, dy=-10, fontSize=11),
        ],
        "height": AXIS_HEIGHT + len(rows) * ROW_HEIGHT,
        "padding": PADDING,
        "description": f"{label} by method: {words}. {TABLE_BELOW}",
        "datasets": {"estimates": drawn, "intervals": drawn.dropna(subset=["ci_low"])},
    }
