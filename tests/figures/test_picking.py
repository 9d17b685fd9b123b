"""What of a chart can be clicked: by which column, in which layers, and that the pointer is told what it was."""

from __future__ import annotations

from datetime import date, timedelta

import altair as alt
import pandas as pd

from tailtracker_bi.figures import charts, layers, picking
from tailtracker_bi.figures.charts import Spec

START = date(2025, 3, 3)


def lines(*names: str) -> Spec:
    rows = [
        (name, pd.Timestamp(START + timedelta(days=7 * week)), float(10 * place + week), week < 3)
        for place, name in enumerate(names)
        for week in range(4)
    ]
    points = pd.DataFrame(rows, columns=["segment_value", "period_start", "value", "is_complete"])
    return charts.trend(points, label="Active people", unit="people", form="integer", grain="week")


def noted(chart: Spec) -> Spec:
    note = {"kind": "release", "title": "5.0", "started_at": "2025-03-12", "ended_at": None}
    return layers.with_notes(chart, pd.DataFrame([note]), "week")


def columns_clicked(chart: Spec) -> dict[str, list[str]]:
    """By the frame of a layer that can be clicked, the columns that say what was; each row has them."""
    alt.Chart.from_dict(chart | {"datasets": {}})
    found = {}
    for own in chart["layer"]:
        for param in own.get("params", []):
            if param["name"] in picking.params(chart):
                frame = chart["datasets"][own["data"]["name"]]
                assert frame[param["select"]["fields"]].notna().all(axis=None)
                found[own["data"]["name"]] = param["select"]["fields"]
    return found


def test_each_period_can_be_clicked_also_where_a_note_lies_over_it() -> None:
    chart = picking.by_period(noted(lines("all")))
    assert columns_clicked(chart) == {"felt": ["at"], "notes": ["at"]}
    assert list(chart["datasets"]["felt"]["at"]) == ["2025-03-03", "2025-03-10", "2025-03-17", "2025-03-24"]
    assert list(chart["datasets"]["notes"]["at"]) == ["2025-03-10"]
    # A layer hears of its own clicks alone.
    [over] = [own for own in chart["layer"] if own["data"]["name"] == "notes" and "params" in own]
    assert over["params"][0]["select"]["on"] == f"@{over['name']}_marks:click"


def test_bars_of_a_period_can_be_clicked_in_all_of_their_height() -> None:
    points = pd.DataFrame(
        {"group": ["New"] * 2, "value": [1.0, 2.0], "is_complete": True}
        | {"period_start": pd.to_datetime(["2025-03-03", "2025-03-10"])}
    )
    chart = charts.stacks(points, {"New": charts.BLUE}, label="People", unit="people", form="integer", grain="week")
    assert columns_clicked(picking.by_period(chart)) == {"felt": ["at"]}


def test_the_line_that_is_nearest_can_be_clicked_and_its_period_is_told_as_before() -> None:
    before = noted(lines("Japan", "Brazil"))
    chart = picking.by_part(before)
    assert columns_clicked(chart) == {"parts": ["line"]}
    [parts] = [own for own in chart["layer"] if own["data"]["name"] == "parts"]
    [felt] = [own for own in before["layer"] if own["data"]["name"] == "felt"]
    assert parts["encoding"]["tooltip"] == felt["encoding"]["tooltip"]
    told = {one["field"] for one in felt["encoding"]["tooltip"]}
    assert told <= {*chart["datasets"]["parts"]}
    assert len(chart["datasets"]["parts"]) == 8
    # In both directions: of lines one above the other the one that is meant.
    assert [param["select"].get("encodings") for param in parts["params"]] == [None, None]
    assert all(param["select"]["nearest"] for param in parts["params"])


def test_what_is_not_shown_can_not_be_clicked() -> None:
    chart = lines("Japan", "Brazil")
    known = chart["datasets"]["known"]
    assert {*picking.by_part(chart)["datasets"]["parts"]["line"]} == {"Japan", "Brazil"}
    chart["datasets"]["known"] = known.assign(value=known["value"].mask(known["line"] == "Japan"))
    assert {*picking.by_part(chart)["datasets"]["parts"]["line"]} == {"Brazil"}


def test_a_bar_and_what_is_told_at_its_end_can_be_clicked() -> None:
    rows = pd.DataFrame({"name": ["ios", "web"], "value": [0.5, 0.25], "text": ["50%", "25%"]})
    chart = picking.by_bar(charts.bars(rows, label="conversion", what="Platform"))
    assert columns_clicked(chart) == {"rows": ["name"]}
    assert len(picking.params(chart)) == 2


def test_the_chart_itself_stays_as_it_was() -> None:
    chart = lines("Japan", "Brazil")
    by_period, by_part = picking.by_period(chart), picking.by_part(chart)
    assert picking.params(chart) == []
    assert by_period["description"] == by_part["description"] == chart["description"]
    dashed = [own["data"]["name"] for own in by_part["layer"]]
    assert [name for name in dashed if name != "parts"] == [own["data"]["name"] for own in chart["layer"]]
