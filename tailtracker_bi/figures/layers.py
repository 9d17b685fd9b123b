"""What is drawn over a chart over time besides its values: notes, days out of the ordinary, the days to come.

Each function gives the chart of `charts` with more layers, and says in its description what they show. Where there is
nothing to draw between its periods, the chart is as it was.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from tailtracker_bi.figures.charts import BLUE, GREY, VERMILION, Spec, field, layer
from tailtracker_bi.figures.points import LENGTHS
from tailtracker_bi.figures.wording import NO_DATA, number, period

FELT_WIDTH = 12
"""Pixels around a line, or a day to come, within which the pointer is told of it."""


def with_notes(chart: Spec, notes: pd.DataFrame, grain: str) -> Spec:
    """A thin line at each period in which something began; near it the pointer is told what, beside the values.

    `notes` has kind and title, and started_at and ended_at in the reporting time zone, without it.
    """
    starts = _periods(chart)
    began = notes.assign(day=pd.to_datetime(notes["started_at"]).dt.normalize())
    began = began[(began["day"] >= starts.min()) & (began["day"] < starts.max() + LENGTHS[grain])]
    if began.empty:
        return chart
    # A day without data has no point, and yet its place.
    place = starts.searchsorted(began["day"], side="right") - 1
    began = began.assign(period_start=began["day"] if grain == "day" else starts[place], text=_texts(began))
    drawn = began.groupby("period_start")["text"].agg("; ".join).reset_index()
    drawn = drawn.assign(when=[period(start, grain) for start in drawn["period_start"]])
    # What is told of the period anyway is told here, too: this lies on top.
    [told] = (own["encoding"]["tooltip"] for own in chart["layer"] if own["data"]["name"] == "felt")
    x, tooltip = _x(chart), [field("text:N", title="Note"), field("when:N", title="Period"), *told[1:]]
    felt = chart["datasets"]["felt"].drop(columns=["when", "at"], errors="ignore")
    layers = [
        layer("notes", "rule", {"x": x}, color=GREY, strokeDash=[2, 3]),
        layer("notes", "rule", {"x": x, "tooltip": tooltip}, strokeWidth=FELT_WIDTH, opacity=0),
    ]
    words = "; ".join(f"{text} ({when})" for text, when in zip(drawn["text"], drawn["when"], strict=True))
    drawn = drawn.merge(felt, how="left", on="period_start").fillna(NO_DATA)
    return _over(chart, layers, "notes", drawn, f"Notes: {words}.")


def _texts(notes: pd.DataFrame) -> Sequence[str]:
    """`Incident: cards are declined, until 28 Apr 2026`."""
    until = ["" if pd.isna(end) else f", until {period(end, 'day')}" for end in pd.to_datetime(notes["ended_at"])]
    named = zip(notes["kind"], notes["title"], until, strict=True)
    return [f"{kind.capitalize()}: {title}{ended}" for kind, title, ended in named]


def with_anomalies(chart: Spec, judged: pd.DataFrame, form: str, unit: str) -> Spec:
    """A ring around each day out of the ordinary, and what was expected of it; `judged` has rows of `anomalies`."""
    drawn = ringed(chart, judged)
    if drawn.empty:
        return chart
    drawn = drawn.assign(
        when=[period(start, "day") for start in drawn["period_start"]],
        shown=[number(value, form, unit) for value in drawn["value"]],
        usual=_bands(drawn, form, unit),
    )
    tooltip = [
        field("when:N", title="Out of the ordinary"), field("shown:N", title="Value"),
        field("usual:N", title="Expected"),
    ]  # fmt: skip
    encoding = {"x": _x(chart), "y": field("value:Q"), "tooltip": tooltip}
    # What is filled, if with nothing to be seen, is felt within.
    ring = layer(
        "anomalies", "point", encoding, size=130, stroke=VERMILION, strokeWidth=2, fill="transparent", opacity=1
    )
    told = zip(drawn["shown"], drawn["when"], drawn["usual"], strict=True)
    words = "; ".join(f"{shown} on {when}, where {usual} was expected" for shown, when, usual in told)
    return _over(chart, [ring], "anomalies", drawn, f"Out of the ordinary: {words}.")


def ringed(chart: Spec, judged: pd.DataFrame) -> pd.DataFrame:
    """The days out of the ordinary that the chart shows a value of."""
    out = judged[judged["is_anomaly"].eq(True)]
    out = out.assign(period_start=pd.to_datetime(out["period_start"]))
    return out[out["period_start"].isin(_periods(chart))]


def with_forecast(chart: Spec, ahead: pd.DataFrame, form: str, unit: str) -> Spec:
    """A pale dashed line and its band, on from the last complete day; `ahead` has rows of `forecasts`."""
    if not continues(chart, ahead):
        return chart
    ahead = ahead.sort_values("period_start")
    told = ahead.assign(
        period_start=pd.to_datetime(ahead["period_start"]),
        when=[period(start, "day") for start in ahead["period_start"]],
        shown=[number(value, form, unit) for value in ahead["value"]],
        band=_bands(ahead, form, unit),
    )
    last = _last_complete(chart)[["period_start", "value"]]
    drawn = pd.concat([last.assign(low=last["value"], high=last["value"]), told], ignore_index=True)
    x, level = _x(chart), f"{ahead['level'].iloc[0]:.0%}"
    between = {"x": x, "y": field("low:Q"), "y2": field("high")}
    tooltip = [
        field("when:N", title="Forecast of"), field("shown:N", title="Value"),
        field("band:N", title=f"{level} band"),
    ]  # fmt: skip
    line = layer("ahead", "line", {"x": x, "y": field("value:Q")}, color=BLUE, strokeDash=[4, 4], opacity=0.6)
    felt = layer("told", "rule", {"x": x, "tooltip": tooltip}, strokeWidth=FELT_WIDTH, opacity=0)
    layers = [layer("ahead", "area", between, color=BLUE, opacity=0.15), line, felt]
    end = told.iloc[-1]
    words = f"Forecast of {end['when']}: {end['shown']}; {level} band from {end['band']}."
    return _over(_over(chart, layers, "ahead", drawn, words), [], "told", told, "")


def continues(chart: Spec, ahead: pd.DataFrame) -> bool:
    """Whether the chart shows the day that a forecast goes on from."""
    last = _last_complete(chart)
    if ahead.empty or last.empty:
        return False
    return bool(last["period_start"].iloc[0] + LENGTHS["day"] == pd.to_datetime(ahead["period_start"]).min())


def said_of_rings(judged: pd.DataFrame) -> str:
    """What the rings are, and how often they are for nothing."""
    rate = judged["false_alarms_backtested"].iloc[0]
    return (
        f"Ringed: out of the ordinary for its weekday and trend; by its past, at most {rate:.1%} of days for nothing."
    )


def said_of_forecast(ahead: pd.DataFrame) -> str:
    """What the pale line is, and how often its bands held."""
    first = ahead.iloc[0]
    return (
        f"Pale and dashed: forecast. Bands for {first['level']:.0%} of days held "
        f"{first['coverage_backtested']:.0%} in {first['origins_backtested']:.0f} forecasts of the past."
    )


def _bands(rows: pd.DataFrame, form: str, unit: str) -> Sequence[str]:
    return [
        f"{number(low, form)} to {number(high, form, unit)}"
        for low, high in zip(rows["low"], rows["high"], strict=True)
    ]


def _periods(chart: Spec) -> pd.DatetimeIndex:
    """The starts of the periods that a chart shows values of."""
    frames = chart["datasets"]
    shown = frames["bars"] if "bars" in frames else frames["known"]
    return pd.DatetimeIndex(sorted(shown["period_start"].unique()))


def _last_complete(chart: Spec) -> pd.DataFrame:
    """The row of the last complete value of a line; none where it has none."""
    known: pd.DataFrame = chart["datasets"]["known"]
    return known[known["is_complete"]].sort_values("period_start").tail(1)


def _x(chart: Spec) -> Spec:
    """Where a period is: bars have a band each, lines a point in time."""
    return field("at:O" if "bars" in chart["datasets"] else "period_start:T", title=None)


def _over(chart: Spec, layers: Sequence[Spec], name: str, rows: pd.DataFrame, words: str) -> Spec:
    """The chart with layers on top, which read these rows, and more words."""
    rows = rows.assign(at=[f"{start:%Y-%m-%d}" for start in rows["period_start"]])
    return chart | {
        "layer": [*chart["layer"], *layers],
        "datasets": {**chart["datasets"], name: rows},
        "description": f"{chart['description']} {words}".strip(),
    }
