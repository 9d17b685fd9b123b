"""Notes, days out of the ordinary and forecasts on the charts of pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import altair as alt
import pyarrow as pa
import pytest
from streamlit.testing.v1 import AppTest

from tailtracker_bi import bundle
from tests.dashboards import open_page
from tests.worlds import sample_bundle

INFERRED = (
    "create table annotations as from (values ('release', 'Version 2', timestamp '2025-03-03 23:30', null::timestamp, "
    "null)) as known (kind, title, started_at, ended_at, url)",
    "create table anomalies as select 'active_users' as metric_id, 'day' as grain, date '2025-03-03' as period_start, "
    "value, value + 20 as expected, value + 10 as low, value + 30 as high, true as is_anomaly, "
    "0.012 as false_alarms_backtested from metric_values where metric_id = 'active_users' and grain = 'day' "
    "and segment = 'all' and period_start = '2025-03-03'",
    "create table forecasts as select 'active_users' as metric_id, 'day' as grain, day::date as period_start, "
    "30.0 as value, 20.0 as low, 40.0 as high, 0.8 as level, 0.75 as coverage_backtested, 9 as origins_backtested "
    "from range(timestamp '2025-03-07', timestamp '2025-04-04', interval 1 day) as days (day)",
    "create table inference_status as from (values ('mrr', 'forecasts', '60 days are complete, where 84 say more')) "
    "as tried (metric_id, what, reason)",
)


@pytest.fixture
def inferred(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sample_bundle.changed(bundle.current(home), tmp_path / "home", *INFERRED)
    monkeypatch.setenv("TAILTRACKER_HOME", str(tmp_path / "home"))


def first_chart(page: AppTest) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """The first chart of a page, and the rows of its frames."""
    drawn = page.get("vega_lite_chart")[0].proto
    spec = json.loads(drawn.spec)
    alt.Chart.from_dict(spec)
    return spec, {one.name: pa.ipc.open_stream(one.data.data).read_all().to_pylist() for one in drawn.datasets}


def captions(page: AppTest) -> str:
    return " ".join(caption.value for caption in page.caption)


@pytest.mark.usefixtures("inferred")
def test_a_daily_chart_of_everyone_shows_all_and_says_how_sure_it_is() -> None:
    page = open_page("Active users", grain="day")
    _, frames = first_chart(page)
    assert [row["text"] for row in frames["notes"]] == ["Release: Version 2"]
    assert [row["when"] for row in frames["anomalies"]] == ["3 Mar 2025"]
    assert len(frames["told"]) == 28
    assert "at most 1.2% of days for nothing" in captions(page)
    assert "Bands for 80% of days held 75% in 9 forecasts of the past." in captions(page)


@pytest.mark.usefixtures("inferred")
@pytest.mark.parametrize(
    "link", [{"grain": "week"}, {"segment": "platform", "grain": "day"}, {"of": "platform=ios", "grain": "day"}]
)
def test_a_part_or_a_longer_period_has_notes_alone(link: dict[str, str]) -> None:
    _, frames = first_chart(open_page("Active users", **link))
    assert "notes" in frames
    assert frames.keys().isdisjoint({"anomalies", "ahead", "told"})


@pytest.mark.usefixtures("inferred")
def test_notes_stand_at_their_day_in_the_reporting_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILTRACKER_TIMEZONE", "Europe/Berlin")
    _, frames = first_chart(open_page("Active users", grain="day"))
    assert [row["when"] for row in frames["notes"]] == ["4 Mar 2025"]


@pytest.mark.usefixtures("inferred")
def test_where_there_is_no_forecast_the_page_says_why() -> None:
    assert "No forecast: 60 days are complete, where 84 say more." in captions(open_page("Revenue", grain="day"))


def test_an_older_build_has_none_of_it_and_shows_its_charts() -> None:
    _, frames = first_chart(open_page("Active users", grain="day"))
    assert "known" in frames
    assert frames.keys().isdisjoint({"notes", "anomalies", "ahead", "told"})
