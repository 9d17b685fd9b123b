"""What is drawn over a chart: where, with which words, and what is left out."""

from __future__ import annotations

import json
from datetime import date, timedelta

import altair as alt
import pandas as pd
import pytest

from tailtracker_bi.figures import charts, layers
from tailtracker_bi.reports.formats import picture

FIRST = date(2025, 3, 1)
PEOPLE = {"form": "integer", "unit": "people"}


def chart(days: int = 20, grain: str = "day", incomplete: int = 0) -> charts.Spec:
    step = {"day": 1, "week": 7}[grain]
    points = pd.DataFrame(
        {
            "period_start": pd.to_datetime([FIRST + timedelta(days=step * number) for number in range(days)]),
            "value": [float(100 + number) for number in range(days)],
            "is_complete": [number < days - incomplete for number in range(days)],
        }
    )
    return charts.trend(points, label="Active people", grain=grain, **PEOPLE)


def note(title: str, started: str, ended: str | None = None, kind: str = "release") -> dict[str, object]:
    return {"kind": kind, "title": title, "started_at": started, "ended_at": ended}


def judged(**changes: object) -> pd.DataFrame:
    rows = [
        {"period_start": FIRST + timedelta(days=3), "value": 103.0, "low": 50.0, "high": 90.0, "is_anomaly": True},
        {"period_start": FIRST + timedelta(days=4), "value": 104.0, "low": 50.0, "high": 190.0, "is_anomaly": False},
        {"period_start": FIRST + timedelta(days=5), "value": 105.0, "low": None, "high": None, "is_anomaly": None},
    ]
    return pd.DataFrame(rows, dtype=object).assign(false_alarms_backtested=0.0123, **changes)


def ahead(first: date, days: int = 3) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "period_start": [first + timedelta(days=number) for number in range(days)],
            "value": [120.0 + number for number in range(days)],
            "low": 100.0,
            "high": 1500.0,
            "level": 0.8,
            "coverage_backtested": 0.7851,
            "origins_backtested": 10,
        }
    )


def is_drawn(spec: charts.Spec) -> bool:
    """Whether Vega-Lite knows all of it, and draws it."""
    frames = {
        name: json.loads(rows.to_json(orient="records", date_format="iso")) for name, rows in spec["datasets"].items()
    }
    alt.Chart.from_dict(spec | {"datasets": frames})
    return bool(picture(spec))


def test_notes_stand_at_the_day_on_which_they_began() -> None:
    notes = pd.DataFrame(
        [
            note("Version 2", "2025-03-05T23:59"),
            note("Cards are declined", "2025-03-05T00:00", "2025-03-07T00:00", "incident"),
            note("Long ago", "2025-02-28T23:00"),
            note("To come", "2025-03-21T00:00"),
        ]
    )
    found = layers.with_notes(chart(), notes, "day")
    drawn = found["datasets"]["notes"]
    assert drawn[["period_start", "when", "text"]].values.tolist() == [
        [pd.Timestamp(2025, 3, 5), "5 Mar 2025", "Release: Version 2; Incident: Cards are declined, until 7 Mar 2025"]
    ]
    [told] = (own["encoding"]["tooltip"] for own in found["layer"] if own["mark"].get("strokeWidth") == 12)
    assert {entry["title"]: drawn[entry["field"]].iloc[0] for entry in told} == {
        "Note": drawn["text"].iloc[0],
        "Period": "5 Mar 2025",
        "Active people": "104 people",
        "State": "complete",
    }
    assert found["description"].endswith(
        "Notes: Release: Version 2; Incident: Cards are declined, until 7 Mar 2025 (5 Mar 2025)."
    )
    assert is_drawn(found)


def test_notes_stand_at_the_week_that_they_fall_into() -> None:
    starts = {"A": "2025-03-14T12:00", "B": "2025-03-15T00:00", "C": "2025-03-22T00:00"}
    notes = pd.DataFrame([note(title, start) for title, start in starts.items()])
    drawn = layers.with_notes(chart(3, "week"), notes, "week")["datasets"]["notes"]
    assert drawn[["period_start", "text"]].values.tolist() == [
        [pd.Timestamp(2025, 3, 8), "Release: A"],
        [pd.Timestamp(2025, 3, 15), "Release: B"],
    ]


def test_notes_stand_over_the_bar_of_their_period_with_a_row_or_without() -> None:
    points = pd.DataFrame(
        {"period_start": pd.to_datetime(["2025-03-01", "2025-03-03"]), "value": [3.0, 4.0], "is_complete": True}
    )
    bars = charts.stacks(points.assign(group="Paid"), {"Paid": charts.BLUE}, label="Payments", grain="day", **PEOPLE)
    found = layers.with_notes(bars, pd.DataFrame([note("A", "2025-03-02T00:00"), note("B", "2025-03-03T08:00")]), "day")
    drawn = found["datasets"]["notes"]
    assert drawn[["at", "line_0", "state"]].values.tolist() == [
        ["2025-03-02", "no data", "no data"],
        ["2025-03-03", "4 people", "complete"],
    ]
    assert is_drawn(found)


def test_days_out_of_the_ordinary_are_ringed_with_what_was_expected() -> None:
    found = layers.with_anomalies(chart(), judged(), **PEOPLE)
    drawn = found["datasets"]["anomalies"]
    assert drawn[["period_start", "shown", "usual"]].values.tolist() == [
        [pd.Timestamp(2025, 3, 4), "103 people", "50 to 90 people"]
    ]
    assert "Out of the ordinary: 103 people on 4 Mar 2025, where 50 to 90 people was expected." in found["description"]
    assert layers.said_of_rings(judged()).endswith("by its past, at most 1.2% of days for nothing.")
    assert is_drawn(found)


def test_a_forecast_goes_on_from_the_last_complete_day() -> None:
    whole = chart(20, incomplete=2)
    found = layers.with_forecast(whole, ahead(date(2025, 3, 19)), **PEOPLE)
    drawn = found["datasets"]["ahead"]
    assert drawn[["period_start", "value", "low"]].values.tolist()[:2] == [
        [pd.Timestamp(2025, 3, 18), 117, 117],
        [pd.Timestamp(2025, 3, 19), 120, 100],
    ]
    assert "Forecast of 21 Mar 2025: 122 people; 80% band from 100 to 1,500 people." in found["description"]
    assert layers.said_of_forecast(ahead(FIRST)) == (
        "Pale and dashed: forecast. Bands for 80% of days held 79% in 10 forecasts of the past."
    )
    assert is_drawn(found)


@pytest.mark.parametrize("first", [date(2025, 3, 20), date(2025, 3, 22)])
def test_a_forecast_that_does_not_go_on_from_what_is_shown_is_left_out(first: date) -> None:
    whole = chart(20)
    assert layers.with_forecast(whole, ahead(first), **PEOPLE) == whole
    assert layers.continues(whole, ahead(date(2025, 3, 21)))


def test_where_there_is_nothing_to_draw_the_chart_is_as_it_was() -> None:
    whole = chart()
    assert layers.with_notes(whole, pd.DataFrame(columns=["kind", "title", "started_at", "ended_at"]), "day") == whole
    assert layers.with_anomalies(whole, judged(is_anomaly=False), **PEOPLE) == whole
    assert layers.with_forecast(whole, ahead(FIRST, 0), **PEOPLE) == whole
