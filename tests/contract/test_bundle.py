"""What readers may rely on: the tables of a bundle, their columns, and what holds between their numbers."""

from __future__ import annotations

import random
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tailtracker_bi import bundle
from tailtracker_bi.access import IN_THE_WHOLE
from tailtracker_bi.analytics.mistakes import published_tables
from tailtracker_bi.inference import FORECAST
from tailtracker_bi.lake.lake import Lake
from tailtracker_bi.runs.pipeline import refresh
from tailtracker_bi.runs.planning import plan
from tailtracker_bi.runs.pulling import pull
from tailtracker_bi.runs.report import Progress, new_report
from tailtracker_bi.sandbox.servers.export_api import SECRET, USER, serve
from tailtracker_bi.settings.environment import load_settings
from tailtracker_bi.sources.records import each_day
from tailtracker_bi.warehouse import DuckDb
from tests.sources.export_lines import event_line

FIRST, LAST = date(2024, 1, 1), date(2024, 4, 20)
GAP = date(2024, 4, 17)
"""Never pulled: the last complete day is the one before."""

CONTRACT = {
    "annotations": "kind title started_at ended_at url",
    "metric_values": "metric_id grain period_start segment segment_value numerator denominator value is_complete",
    "metric_catalog": (
        "metric_id label description not_for unit format bigger_is_better domain owner decision status target "
        "exact_since caveat headline_rank quotient_of is_of_money"
    ),
    "retention_cohorts": (
        "retention_id mode cohort_grain cohort_start segment segment_value period_index cohort_size retained "
        "is_complete"
    ),
    "funnel_steps": (
        "funnel_id entry_grain entry_start segment segment_value step_index step_name users avg_seconds_from_previous "
        "median_seconds_from_previous is_complete"
    ),
    "stickiness": "grain period_start days_active users",
    "mrr_movements": "grain period_start currency movement segment segment_value customers amount is_complete",
    "payment_outcomes": (
        "grain period_start currency outcome decline_code payments attempts amount is_complete decline_kind"
    ),
    "dunning_curve": "cohort_month segment segment_value days_since_failure payments recovered is_complete",
    "revenue_cohorts": (
        "cohort_month month_index segment segment_value customers active_customers mrr net_revenue_cumulative "
        "is_complete gross_profit_cumulative"
    ),
    "ltv_predictions": (
        "as_of_month segment segment_value method horizon_months currency value ci_low ci_high customers status "
        "backtest_months backtest_error gross_margin"
    ),
    "subscriber_survival": ("as_of_month segment segment_value method month_index share ci_low ci_high at_risk"),
    "trials": "cohort_month segment segment_value started running converted ended_unpaid cancelled is_complete",
    "mrr_modes": "period_start currency mode reason amount is_complete",
    "slo_status": (
        "service slo month target value budget_minutes consumed_minutes remaining_share burn_per_hour policy "
        "is_complete"
    ),
    "event_catalog": "event first_day last_day events people property filled_share is_new",
    "data_status": "source table_name last_day days_missing rows quarantined loaded_at status reason source_title",
    "not_counted": (
        "source object_type what why objects amount currency example metric_ids first_day last_day source_title"
    ),
    "reconciliation": "what period_start currency left_value right_value difference reason example",
    "restatements": ("metric_id grain period_start segment segment_value old_value new_value build restated_on reason"),
    "anomalies": "metric_id grain period_start value expected low high is_anomaly method false_alarms_backtested",
    "forecasts": ("metric_id grain period_start value low high level method coverage_backtested origins_backtested"),
    "past_forecasts": "metric_id grain made_on period_start value low high level method half_width",
    "inference_status": "metric_id what reason",
    "bundle_info": "build built_at as_of currency engine version run_id finished_at landing definition",
}
KEYS = {
    "annotations": "kind, title, started_at",
    "metric_values": "metric_id, grain, period_start, segment, segment_value",
    "metric_catalog": "metric_id",
    "retention_cohorts": "retention_id, mode, cohort_grain, cohort_start, segment, segment_value, period_index",
    "funnel_steps": "funnel_id, entry_grain, entry_start, segment, segment_value, step_index",
    "stickiness": "grain, period_start, days_active",
    "mrr_movements": "grain, period_start, currency, movement, segment, segment_value",
    "payment_outcomes": "grain, period_start, currency, outcome, decline_code",
    "dunning_curve": "cohort_month, segment, segment_value, days_since_failure",
    "revenue_cohorts": "cohort_month, month_index, segment, segment_value",
    "ltv_predictions": "as_of_month, segment, segment_value, method, horizon_months",
    "subscriber_survival": "as_of_month, segment, segment_value, method, month_index",
    "trials": "cohort_month, segment, segment_value",
    "mrr_modes": "period_start, currency, mode, reason",
    "slo_status": "service, slo, month",
    "event_catalog": "event, property",
    "data_status": "source, table_name",
    "not_counted": "source, object_type, what, why, currency, metric_ids",
    "reconciliation": "what, period_start, currency",
    "restatements": "metric_id, grain, period_start, segment, segment_value, build",
    "anomalies": "metric_id, grain, period_start",
    "forecasts": "metric_id, grain, period_start",
    "past_forecasts": "metric_id, grain, made_on, period_start",
    "inference_status": "metric_id, what",
}
OFF_HERE = {
    "annotations", "mrr_movements", "payment_outcomes", "reconciliation", "slo_status", "restatements",
    "revenue_cohorts", "ltv_predictions", "subscriber_survival", "trials", "mrr_modes", "dunning_curve",
}  # fmt: skip
"""Tables that stay empty without Stripe, the app database and Prometheus, which `tests/metrics/` fills, and in a
first build."""
USER_ID, DEVICE_ID, EMAIL = "canary-user", "canary-device", "canary.jane@example.com"
COUNTS = {"people", "events", "pets", "alerts"}

Row = dict[str, Any]


def invented_days() -> dict[date, list[bytes]]:
    """Thirty people over the days, each first on a device of theirs; personal data wherever events can carry it."""
    dice = random.Random(20240101)
    days: dict[date, list[bytes]] = defaultdict(list)

    def happens(day: date, event: str, who: int, minute: int = 0, **properties: Any) -> None:
        at = datetime.combine(day, time(12), UTC) + timedelta(minutes=minute)
        mine = {
            "platform": "ios" if who % 2 else "android",
            "mp_country_code": ["DE", "FR", None][who % 3],
            # Personal data where a segment value comes from.
            "_app_version_string": EMAIL if who == 7 else f"1.{who % 3}",
        }
        user = EMAIL if who == 9 else f"{USER_ID}-{who}"
        known = {} if event == "Open" and minute == 0 else {"_user_id": user}
        properties = {"_device_id": f"{DEVICE_ID}-{who}", "owner_email": EMAIL, "note": f"ask {EMAIL}", **properties}
        distinct_id = user if known else f"$device:{DEVICE_ID}-{who}"
        line = event_line(event, int(at.timestamp()), distinct_id, **known, **mine, **properties)
        days[day].append(line)

    for who in range(30):
        joined = FIRST + timedelta(days=dice.randrange(60))
        happens(joined, "Open", who)
        happens(joined, "User Registration", who, 1)
        for number, event in enumerate(["Pet Profile Created", "Location Services Enabled", "Subscription Conversion"]):
            if who % (number + 2) == 0:
                happens(joined + timedelta(days=number), event, who, 10 * number + 2)
        for day in each_day(joined + timedelta(days=1), LAST):
            if dice.random() < 0.3 or (who % 2 and (day - joined).days in {1, 7, 30, 90}):
                happens(day, "Open", who, dice.randrange(1, 300))
        if who % 4 == 0:
            alert = {"alert_id": f"alert-{who}", "channel": "push"}
            steps = ["Lost Pet Alert Created", "Alert Shared", "Search Initiated", "Pet Recovered"]
            for number, event in enumerate(steps[: 2 + who % 3]):
                happens(joined + timedelta(days=2 + number), event, who, 5, **alert)
    # One is cut in the middle of a person's address.
    days[FIRST] += [b'{"event":"Cut","owner_email":"' + EMAIL.encode(), event_line("Nobody", noon(FIRST), None)]
    days[FIRST + timedelta(days=1)].append(b'{"event":"Cut","time":%d' % noon(FIRST + timedelta(days=1)))
    return days


def noon(day: date) -> int:
    return int(datetime.combine(day, time(12), UTC).timestamp())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> bundle.Bundle:
    home = tmp_path_factory.mktemp("home")
    with serve(invented_days()) as api:
        settings = load_settings(
            TAILTRACKER_HOME=home,
            TAILTRACKER_ALLOW_LOOPBACK=True,
            TAILTRACKER_RETRY_SCALE=0,
            TAILTRACKER_HISTORY_START=FIRST,
            TAILTRACKER_NOW=f"{LAST + timedelta(days=1)}T06:00:00Z",
            MIXPANEL_PROJECT_ID="1",
            MIXPANEL_USERNAME=USER,
            MIXPANEL_SECRET=SECRET,
            MIXPANEL_EXPORT_URL=api.url,
        )
        lake = Lake(home)
        pull(settings, lake, plan(settings, lake, GAP + timedelta(days=1), LAST), new_report(), Progress())
        report = refresh(settings, Progress(), first=FIRST, last=GAP - timedelta(days=1))
    assert report.errors == []
    return bundle.current(home)


@pytest.fixture
def ask(built: bundle.Bundle) -> Iterator[duckdb.DuckDBPyConnection]:
    with bundle.connect(built) as connection:
        yield connection


def records(ask: duckdb.DuckDBPyConnection, sql: str) -> list[Row]:
    found: list[Row] = ask.execute(sql).to_arrow_table().to_pylist()
    return found


NOT_OF_PEOPLE = {"reconciliation": {"currency"}, "not_counted": {"currency"}, "bundle_info": {"currency"}}
"""Columns that tell of amounts, by table, and make no part of people."""


def test_of_every_table_it_is_said_which_rows_are_of_everyone() -> None:
    """Another is not shown to whom parts of few people are hidden. Values are hidden one by one."""
    assert IN_THE_WHOLE.keys() | {"metric_values"} == CONTRACT.keys() == published_tables()
    for table, columns in IN_THE_WHOLE.items():
        assert {*columns} == {"segment", "currency"} & {*CONTRACT[table].split()} - NOT_OF_PEOPLE.get(table, set())


@pytest.mark.parametrize("table", CONTRACT)
def test_tables_have_the_columns_that_were_promised(table: str, ask: duckdb.DuckDBPyConnection) -> None:
    columns = [row["column_name"] for row in records(ask, f"describe {table}")]
    promised = CONTRACT[table].split()
    assert [column for column in columns if column in promised] == promised
    assert (ask.table(table).fetchone() is None) == (table in OFF_HERE)


def test_columns_have_the_types_that_readers_count_on(ask: duckdb.DuckDBPyConnection) -> None:
    types = {
        (row["table_name"], row["column_name"]): row["data_type"]
        for row in records(ask, "select table_name, column_name, data_type from duckdb_columns() where not internal")
    }
    for (table, column), kind in types.items():
        if column.endswith("_start") or column in {"last_day", "as_of", "made_on"}:
            assert kind == "DATE", (table, column)
        if column.endswith("_at"):
            assert kind == "TIMESTAMP", (table, column)
        if column.startswith("is_"):
            assert kind == "BOOLEAN", (table, column)
    assert {types["metric_values", column] for column in ("numerator", "denominator", "value")} == {"DOUBLE"}


def test_every_table_says_what_a_row_of_it_is(built: bundle.Bundle) -> None:
    tables = {table.name: table for table in bundle.describe(built)}
    assert tables.keys() == CONTRACT.keys()
    assert [name for name, table in tables.items() if not table.description.startswith("One row")] == []
    columns = {column.name: column.description for column in tables["metric_values"].columns}
    assert columns["period_start"] == "The period's first day."


@pytest.mark.parametrize("table", KEYS)
def test_keys_tell_rows_apart(table: str, ask: duckdb.DuckDBPyConnection) -> None:
    assert records(ask, f"select {KEYS[table]} from {table} group by all having count(*) > 1") == []


def test_the_bundle_says_which_build_it_is(built: bundle.Bundle, ask: duckdb.DuckDBPyConnection) -> None:
    info = records(ask, "from bundle_info")
    assert [(row["build"], row["as_of"], row["engine"]) for row in info] == [
        (built.build, LAST + timedelta(days=1), "duckdb")
    ]


def test_every_metric_is_catalogued_and_has_values(ask: duckdb.DuckDBPyConnection) -> None:
    catalogued = {row["metric_id"]: row for row in records(ask, "from metric_catalog")}
    found = records(
        ask, "select metric_id, list(distinct grain) as grains, count(value) as values from metric_values group by all"
    )  # fmt: skip
    active = {metric_id for metric_id, entry in catalogued.items() if entry["status"] == "active"}
    assert {row["metric_id"] for row in found} == active
    # What only other sources can tell has no data here; what events can stand in for has.
    assert {
        source.split(".")[0]
        for metric_id, entry in catalogued.items()
        if metric_id not in active
        for source in entry["sources"].split(",")
    } == {"stripe", "app_db", "csv_files", "prometheus", "mixpanel"}  # ARPU reads the last, too.
    assert {"sign_ups", "total_pets", "pets_recovered"} < active
    assert {"onboarding_conversion", "lost_pet_recovery_conversion", "retention_d90"} < set(catalogued)
    for row in found:
        entry = catalogued[row["metric_id"]]
        assert row["values"] > 0, entry
        assert set(row["grains"]) == set(entry["grains"].split(",")), entry
        for column in ("label", "description", "not_for", "unit", "format", "domain", "decision"):
            assert entry[column], entry


def test_grains_are_those_that_a_metric_makes_sense_at(ask: duckdb.DuckDBPyConnection) -> None:
    grains = {
        row["metric_id"]: set(row["grains"])
        for row in records(ask, "select metric_id, list(distinct grain) as grains from metric_values group by all")
    }
    for metric_id, found in grains.items():
        is_daily = metric_id in {"dau", "wau", "mau", "stickiness"} or metric_id.startswith("retention_d")
        assert found == ({"day"} if is_daily else {"day", "week", "month"}), metric_id


def test_counts_are_their_own_numerator_and_ratios_a_division(ask: duckdb.DuckDBPyConnection) -> None:
    for row in records(ask, "from metric_values join metric_catalog using (metric_id)"):
        if row["unit"] in COUNTS:
            assert row["numerator"] == row["value"], row
            assert row["denominator"] is None, row
        elif row["denominator"] and row["numerator"] is not None:
            assert row["value"] == pytest.approx(row["numerator"] / row["denominator"]), row
        else:
            assert row["value"] is None, row


def values(ask: duckdb.DuckDBPyConnection) -> dict[str, dict[tuple[str, str, str, date], float | None]]:
    """By metric, and then by grain, segment, segment value and period. Counts without a row are 0: ask with `get`."""
    found: dict[str, dict[tuple[str, str, str, date], float | None]] = defaultdict(dict)
    for row in records(ask, "from metric_values"):
        key = (row["grain"], row["segment"], row["segment_value"], row["period_start"])
        found[row["metric_id"]][key] = row["value"]
    return found


def test_days_lie_within_weeks_and_weeks_within_months(ask: duckdb.DuckDBPyConnection) -> None:
    by_metric = values(ask)
    for key, mau in by_metric["mau"].items():
        dau, wau = (by_metric[metric].get(key, 0) for metric in ("dau", "wau"))
        if key[-1] == GAP:
            assert (dau, wau, mau) == ((None, None, None) if key[1] == "all" else (0, 0, 0))
        else:
            assert dau is not None
            assert wau is not None
            assert mau is not None
            assert 0 <= dau <= wau <= mau, key
    assert by_metric["dau"].keys() | by_metric["wau"].keys() <= by_metric["mau"].keys()


def test_active_people_are_new_returning_or_resurrecting(ask: duckdb.DuckDBPyConnection) -> None:
    by_metric = values(ask)
    states = [by_metric[f"users_{state}"] for state in ("new", "returning", "resurrecting")]
    active = by_metric["active_users"]
    for key in {key for metric in (active, *states) for key in metric}:
        parts = [state.get(key, 0) for state in states]
        if active.get(key, 0) is None:
            assert parts == [None, None, None], key
        else:
            assert active.get(key, 0) == sum(part or 0 for part in parts), key
    assert {key: value for key, value in active.items() if key[0] == "day"} == by_metric["dau"]


def test_dormant_people_were_active_before_and_did_not_return(ask: duckdb.DuckDBPyConnection) -> None:
    by_metric = values(ask)
    active, returning, dormant = (by_metric[f"{name}"] for name in ("active_users", "users_returning", "users_dormant"))
    before: dict[tuple[str, date], date] = {}
    for grain in ("day", "week", "month"):
        periods = sorted(key[-1] for key in active if key[:3] == (grain, "all", "all"))
        before |= {(grain, later): earlier for earlier, later in pairwise(periods)}
    compared = 0
    for grain, segment, value, start in {*active, *returning, *dormant}:
        key = (grain, segment, value, start)
        earlier = active.get((*key[:3], before[grain, start]), 0) if (grain, start) in before else 0
        if dormant.get(key, 0) is None or earlier is None:
            continue
        assert dormant.get(key, 0) == earlier - (returning.get(key, 0) or 0), key
        compared += 1
    assert compared > 500


def test_the_whole_has_a_row_a_day_and_segments_no_zeros(ask: duckdb.DuckDBPyConnection) -> None:
    (status,) = records(ask, "from data_status where source = 'mixpanel'")
    assert (status["last_day"], status["days_missing"], status["status"]) == (LAST, 1, "late")
    assert status["complete_through"] == GAP - timedelta(days=1)
    days = records(
        ask, "select metric_id, list(period_start) as days from metric_values "
        "where grain = 'day' and segment = 'all' group by metric_id"
    )  # fmt: skip
    for row in days:
        assert sorted(row["days"]) == list(each_day(FIRST, LAST)), row["metric_id"]
    assert records(
        ask, "from metric_values join metric_catalog using (metric_id) "
        f"where segment <> 'all' and unit in {tuple(COUNTS)} and coalesce(value, 0) = 0"
    ) == []  # fmt: skip


def test_a_day_that_did_not_land_has_no_values_and_leaves_incomplete_what_reads_it(
    ask: duckdb.DuckDBPyConnection,
) -> None:
    gap = records(ask, f"from metric_values where grain = 'day' and period_start = '{GAP}'")
    assert {(row["value"], row["numerator"], row["denominator"], row["is_complete"]) for row in gap} == {
        (None, None, None, False)
    }
    first_complete = {
        row["metric_id"]: row["day"]
        for row in records(
            ask, "select metric_id, min(period_start) as day from metric_values "
            f"where grain = 'day' and segment = 'all' and period_start >= '{GAP}' and is_complete group by metric_id"
        )
    }  # fmt: skip
    after = {metric: (day - GAP).days for metric, day in first_complete.items()}
    assert (after["dau"], after["users_returning"], after["events"]) == (1, 2, 1)
    assert "wau" not in after, "the gap is within 7 days of the last day"
    assert after.keys() & {"users_new", "users_resurrecting", "pulse", "retention_d1"} == set(), "all of history"
    assert records(ask, f"from metric_values where period_start = '{GAP - timedelta(days=1)}' and is_complete")


def test_complete_days_alone_are_judged_and_are_what_metrics_say(ask: duckdb.DuckDBPyConnection) -> None:
    judged = records(
        ask, "select anomalies.*, metric_values.value as told from anomalies left join metric_values on "
        "metric_values.metric_id = anomalies.metric_id and metric_values.grain = anomalies.grain and segment = 'all' "
        "and metric_values.period_start = anomalies.period_start and is_complete"
    )  # fmt: skip
    assert {row["metric_id"] for row in judged} >= {"dau", "wau", "users_new"}
    assert GAP not in {row["period_start"] for row in judged}
    assert LAST in {
        row["period_start"] for row in judged if row["metric_id"] == "dau" and row["is_anomaly"] is not None
    }
    for row in judged:
        assert row["value"] == row["told"], row
        assert (row["is_anomaly"] is None) == (row["low"] is None) == (row["high"] is None), row
        if row["low"] is not None:
            assert row["low"] <= row["expected"] <= row["high"], row
            assert row["is_anomaly"] == (not row["low"] <= row["value"] <= row["high"]), row
            assert 0 <= row["false_alarms_backtested"] < 0.2, row


def test_forecasts_begin_where_what_is_complete_ends(ask: duckdb.DuckDBPyConnection) -> None:
    told = records(ask, "from forecasts order by metric_id, period_start")
    starts = {row["metric_id"]: row["period_start"] for row in reversed(told)}
    # MAU is complete from the thirtieth day on, and so for too short a time.
    assert starts == {"active_users": LAST + timedelta(days=1), "dau": LAST + timedelta(days=1), "wau": GAP}
    for row in told:
        assert 0 <= row["low"] <= row["value"] <= row["high"], row
        assert (row["level"], row["origins_backtested"] >= 4) == (0.8, True), row
        assert 0 <= row["coverage_backtested"] <= 1, row


def test_of_each_metric_that_was_tried_it_is_said_why_nothing_came_of_it(ask: duckdb.DuckDBPyConnection) -> None:
    for what in ("anomalies", "forecasts"):
        came = f"select distinct metric_id from {what}" + (" where is_anomaly is not null" * (what == "anomalies"))
        tried = f"from inference_status where what = '{what}'"
        assert records(ask, f"select metric_id {tried} and reason is null except {came}") == []
        assert records(ask, f"{came} except select metric_id {tried} and reason is null") == []
    headlines = "select metric_id from metric_catalog where status = 'active' and headline_rank is not null"
    assert records(
        ask, f"{headlines} and contains(grains, 'day') except select metric_id from inference_status"
    ) == []  # fmt: skip
    catalogued = {row["metric_id"] for row in records(ask, "from metric_catalog where contains(grains, 'day')")}
    assert FORECAST.keys() <= catalogued


def test_nothing_lies_after_the_last_landed_day(ask: duckdb.DuckDBPyConnection) -> None:
    for table, column in {
        "metric_values": "period_start",
        "stickiness": "period_start",
        "funnel_steps": "entry_start",
        "retention_cohorts": "cohort_start",
    }.items():
        assert records(ask, f"from {table} where {column} > '{LAST}'") == [], table
    assert records(
        ask, "from retention_cohorts where cohort_grain = 'day' "
        f"and cohort_start + cast(period_index as integer) > '{LAST}'"
    ) == []  # fmt: skip


def test_funnels_have_every_step_and_never_widen(ask: duckdb.DuckDBPyConnection) -> None:
    funnels: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in records(ask, "from funnel_steps order by step_index"):
        funnels[row["funnel_id"], row["entry_grain"], row["entry_start"], row["segment"], row["segment_value"]].append(
            row
        )
    assert {key[0] for key in funnels} == {"onboarding", "lost_pet_recovery"}
    for key, steps in funnels.items():
        assert [step["step_index"] for step in steps] == [1, 2, 3, 4], key
        users = [step["users"] for step in steps]
        assert users == sorted(users, reverse=True), key
        assert (key[1] == "all") == (key[2] is None), key
    assert all(
        funnels[funnel_id, "all", None, "all", "all"][3]["users"] > 0
        for funnel_id in ("onboarding", "lost_pet_recovery")
    )


def test_cohorts_are_whole_at_first_and_never_exceeded(ask: duckdb.DuckDBPyConnection) -> None:
    cells = records(ask, "from retention_cohorts where retention_id = 'sign_up'")
    assert {row["mode"] for row in cells} == {"n_day", "unbounded"}
    assert {row["cohort_grain"] for row in cells} == {"day", "week", "month"}
    assert all(row["retained"] <= row["cohort_size"] for row in cells)
    headlines = records(
        ask, "select period_start, numerator, denominator from metric_values "
        "where metric_id = 'retention_d90' and segment = 'all' and value is not null"
    )  # fmt: skip
    at_90 = {
        row["cohort_start"]: (row["retained"], row["cohort_size"])
        for row in cells
        if (row["cohort_grain"], row["mode"], row["segment"], row["period_index"]) == ("day", "n_day", "all", 90)
    }
    assert headlines
    assert {row["period_start"]: (row["numerator"], row["denominator"]) for row in headlines} == at_90


def test_nobody_can_be_found_in_a_bundle(built: bundle.Bundle, ask: duckdb.DuckDBPyConnection) -> None:
    canaries = [USER_ID, DEVICE_ID, EMAIL, EMAIL.split("@")[0], "alert-4", "hashed-", SECRET, USER]
    content = built.path.read_bytes()
    assert [canary for canary in canaries if canary.encode() in content] == []
    # Texts are compressed in the file: look at every value, too.
    tables = [row["table_name"] for row in records(ask, "select table_name from duckdb_tables()")]
    written = "\n".join(str(value) for table in tables for row in ask.table(table).fetchall() for value in row)
    assert [canary for canary in canaries if canary in written] == []
    assert "[email]" in written, "the canary never was where a segment value comes from"


def test_what_is_set_aside_is_told_to_each_metric_that_reads_its_table(ask: duckdb.DuckDBPyConnection) -> None:
    told = {row["what"]: row for row in records(ask, "from not_counted")}
    assert {what: (row["objects"], row["first_day"], row["last_day"]) for what, row in told.items()} == {
        "not JSON": (2, FIRST, FIRST + timedelta(days=1)),
        "no distinct_id": (1, FIRST, FIRST),
    }
    of_events = {row["metric_id"] for row in records(ask, "from metric_values")}
    for row in told.values():
        named = row["metric_ids"].split(",")
        assert named == sorted(named)
        assert (row["source"], row["object_type"], row["example"]) == ("mixpanel", "event", None)
        # What reads the app's tables where there are any reads events, too.
        assert of_events <= set(named)
        assert not {"gross_volume", "availability"} & set(named)


def test_an_example_is_a_keyed_hash_and_no_raw_id_reaches_the_file(built: bundle.Bundle, tmp_path: Path) -> None:
    home = built.path.parents[1]
    shutil.copy(home / "warehouse.duckdb", tmp_path / "warehouse.duckdb")
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        connection.execute(
            "insert into published.pub_not_counted values ('stripe', 'charge', 'a', 'b', 1, null, null, "
            f"'{USER_ID}-1', '', null, null, 'Stripe')"
        )

    def example(key: bytes) -> str:
        made = bundle.publish(
            tmp_path, DuckDb(tmp_path), run_id="r", as_of=LAST, currency="EUR", hash_key=key, described={}, explored=[]
        )
        assert USER_ID.encode() not in made.path.read_bytes()
        [hashed] = bundle.read(made, "not_counted", ["example"], source="stripe")["example"]
        return str(hashed)

    assert re.fullmatch("[0-9a-f]{16}", example(b"one"))
    assert example(b"one") == example(b"one") != example(b"two")


def test_many_may_read_at_once(built: bundle.Bundle) -> None:
    with ThreadPoolExecutor(8) as threads:
        sizes = list(threads.map(lambda _: len(bundle.read(built, "metric_catalog", ["metric_id"])), range(80)))
    assert set(sizes) == {sizes[0]}
    with bundle.connect(built) as connection, pytest.raises(duckdb.Error):
        connection.execute("set enable_external_access = true")
