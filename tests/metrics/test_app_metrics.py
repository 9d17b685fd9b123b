"""Accounts, plans, pets and alerts, the whole way from a real Postgres, against answers worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tailtracker_bi.runs.pipeline import refresh
from tailtracker_bi.runs.report import Progress, RunReport
from tailtracker_bi.sandbox.servers.app_database import AppDatabase
from tailtracker_bi.sandbox.servers.export_api import serve
from tailtracker_bi.settings.model import Settings
from tests.sources.export_lines import event_line
from tests.worlds.tiny import assert_adds_up, at, published, rows

MakeSettings = Callable[..., Settings]

ANNA, BOB, CARL = (f"00000000-0000-4000-8000-00000000000{number}" for number in (1, 2, 3))
REX, TOM, MIA = (f"10000000-0000-4000-8000-00000000000{number}" for number in (1, 2, 3))
FRIDAY, SATURDAY, SUNDAY, MONDAY = date(2024, 3, 29), date(2024, 3, 30), date(2024, 3, 31), date(2024, 4, 1)


@pytest.fixture
def story(app_database: AppDatabase) -> AppDatabase:
    """Friday: Anna signs up, with Rex. Saturday: Bob, with Tom (a cat); Tom is lost and found on Sunday, 30 hours on.

    Anna is on premium from Saturday on, which the app recorded. Sunday: an alert for Rex, open, and one cancelled.
    """
    add = app_database.add
    for user, moment in ((ANNA, "2024-03-29 08:00+00"), (BOB, "2024-03-30 09:00+00")):
        add("user_profiles", user_id=user, created_at=moment, updated_at=moment, email=f"{user}@example.com")
    for pet, user, species, moment in (
        (REX, ANNA, "dog", "2024-03-29 08:30+00"),
        (TOM, BOB, "cat", "2024-03-30 10:00+00"),
    ):
        add("pets", id=pet, user_id=user, species=species, name="secret", created_at=moment, updated_at=moment)
    report = {"urgency": "high", "updated_at": "2024-03-31 18:00+00"}
    add(
        "lost_pet_reports", pet_id=TOM, user_id=BOB, status="found", created_at="2024-03-30 12:00+00",
        found_date="2024-03-31 18:00+00", **report,
    )  # fmt: skip
    for status in ("active", "canceled"):
        add("lost_pet_reports", pet_id=REX, user_id=ANNA, status=status, created_at="2024-03-31 07:00+00", **report)
    subscription = add(
        "subscriptions", user_id=ANNA, tier="premium", status="active", created_at="2024-03-29 08:00+00",
        updated_at="2024-03-30 20:00+00",
    )  # fmt: skip
    add(
        "subscription_history", subscription_id=subscription["id"], user_id=ANNA, action="upgrade", from_tier="free",
        to_tier="premium", created_at="2024-03-30 20:00+00",
    )  # fmt: skip
    return app_database


def run(settings: Settings) -> RunReport:
    report = refresh(settings, Progress())
    assert_adds_up(report)
    assert report.errors == []
    return report


def by_day(home: Path, metric_id: str, segment: str = "all", of: str = "all") -> dict[date, Any]:
    found = rows(
        home,
        f"select period_start, value from metric_values where metric_id = '{metric_id}' and grain = 'day' "
        f"and segment = '{segment}' and segment_value = '{of}'",
    )
    return dict(found)  # type: ignore[arg-type]


def of_days(home: Path, metric_id: str, *segment: str) -> list[Any]:
    """Friday to Sunday."""
    found = by_day(home, metric_id, *segment)
    return [found.get(day) for day in (FRIDAY, SATURDAY, SUNDAY)]


def test_the_story_gives_the_answers_worked_out_by_hand(
    story: AppDatabase, make_settings: MakeSettings, tmp_path: Path
) -> None:
    days = {
        FRIDAY: [
            event_line("Open", at("03-29 07:00"), "$device:d1", _device_id="d1", _insert_id="1"),
            event_line("User Registration", at("03-29 08:00"), ANNA, _user_id=ANNA, _device_id="d1", _insert_id="2"),
        ],
        SATURDAY: [
            event_line("Open", at("03-30 21:00"), ANNA, _user_id=ANNA, _insert_id="3"),
            event_line("Open", at("03-30 21:00"), BOB, _user_id=BOB, _insert_id="4"),
            event_line("Pet Profile Created", at("03-30 10:00"), BOB, _user_id=BOB, _insert_id="5"),
        ],
        SUNDAY: [event_line("Open", at("03-31 21:00"), "$device:d9", _device_id="d9", _insert_id="6")],
    }
    with serve(days) as api:
        settings = make_settings(
            MIXPANEL_EXPORT_URL=api.url,
            APP_DATABASE_URL=story.url,
            TAILTRACKER_NOW="2024-04-01T12:00:00Z",
            TAILTRACKER_HISTORY_START=FRIDAY,
        )
        report = run(settings)
    withheld = {line["table"]: line["withheld"] for line in report.days if line["source"] == "app_db"}
    assert {"email", "full_name", "phone"} <= set(withheld["user_profiles"])

    assert of_days(tmp_path, "sign_ups") == [1, 1, 0]
    assert of_days(tmp_path, "total_users") == [1, 2, 2]
    assert of_days(tmp_path, "pets_created") == [1, 1, 0]
    assert of_days(tmp_path, "pets_created", "species", "cat") == [None, 1, None]
    assert of_days(tmp_path, "total_pets") == [1, 2, 2]
    assert of_days(tmp_path, "total_pets", "species", "dog") == [1, 1, 1]
    assert of_days(tmp_path, "lost_pet_alerts") == [0, 1, 2]
    assert of_days(tmp_path, "lost_pet_alerts", "urgency", "high") == [None, 1, 2]
    assert of_days(tmp_path, "pets_recovered") == [0, 0, 1]
    # Tom's alert counts from Saturday, as found from Sunday; Rex's from Sunday; the cancelled one never.
    assert of_days(tmp_path, "recovery_rate_30d") == [None, 0, 0.5]
    assert of_days(tmp_path, "recovery_hours_avg") == [None, None, 30]
    assert of_days(tmp_path, "recovery_hours_median") == [None, None, 30]
    # Anna is free on Friday, premium at the end of Saturday; Bob is free; the device of Sunday has no account.
    assert of_days(tmp_path, "dau", "plan", "free") == [1, 1, None]
    assert of_days(tmp_path, "dau", "plan", "premium") == [None, 1, None]
    assert of_days(tmp_path, "dau", "plan", "(unknown)") == [None, None, 1]
    # Events miss Bob's registration and Rex.
    differing = rows(
        tmp_path, "select what, period_start, left_value, right_value, reason from reconciliation where difference <> 0"
    )
    assert sorted(row for row in differing if "account" in row[0] or "profiles" in row[0]) == [
        (
            "pets_created: profiles in the app, events", FRIDAY, 1.0, 0.0,
            "in the app before any such event, the first of which is of 2024-03-30: 1",
        ),
        (
            "sign_ups: accounts in the app, registration events", SATURDAY, 1.0, 0.0,
            "in the app without an event, likely lost: 1",
        ),
    ]  # fmt: skip
    # The database was first read on Monday: what had been deleted by then is in no count of the app's tables.
    exact = dict(rows(tmp_path, "select metric_id, exact_since from metric_catalog"))  # type: ignore[arg-type]
    of_the_app = {"sign_ups", "total_users", "pets_created", "total_pets", "lost_pet_alerts", "pets_recovered"}
    assert {exact[metric_id] for metric_id in of_the_app} == {MONDAY}
    assert {exact[metric_id] for metric_id in ("dau", "events", "retention_d1")} == {None}
    assert rows(tmp_path, "select caveat from metric_catalog where metric_id = 'sign_ups'") == [
        (
            "Deletions are known from 2024-04-01 on, when the app database was first read. What was deleted before, or "
            "made and deleted between two readings, is not counted.",
        )
    ]
    months = rows(
        tmp_path,
        "select metric_id, value, is_complete from metric_values where grain = 'month' and segment = 'all' "
        "and metric_id in ('sign_ups', 'total_users')",
    )
    # March has 31 days, and history starts on the 29th.
    assert sorted(months) == [("sign_ups", 2.0, False), ("total_users", 2.0, False)]


@pytest.mark.slow
def test_what_changes_between_two_refreshes_changes_no_past_day(
    story: AppDatabase, make_settings: MakeSettings, tmp_path: Path
) -> None:
    settings = {"APP_DATABASE_URL": story.url, "TAILTRACKER_HISTORY_START": FRIDAY, "MIXPANEL_SECRET": None}
    settings |= {"MIXPANEL_PROJECT_ID": None, "MIXPANEL_USERNAME": None}
    run(make_settings(TAILTRACKER_NOW="2024-04-01T12:00:00Z", **settings))
    past = past_rows(tmp_path)

    story.execute("delete from user_profiles where user_id = %s", BOB)
    story.execute("update subscriptions set tier = 'pro', updated_at = '2024-04-01 15:00+00'")
    # Found, but nobody wrote down when: it counts from the day on which that is seen.
    story.execute("update lost_pet_reports set status = 'found' where status = 'active'")
    story.execute("alter table user_profiles add column shoe_size text default 'jane@example.com'")
    story.add("user_profiles", user_id=CARL, created_at="2024-04-01 16:00+00", updated_at="2024-04-01 16:00+00")
    report = run(make_settings(TAILTRACKER_NOW="2024-04-02T12:00:00Z", **settings))

    (profiles,) = [line for line in report.days if line["table"] == "user_profiles"]
    assert "shoe_size" in profiles["withheld"]
    assert (profiles["received"], profiles["loaded"], profiles["deduplicated"]) == (3, 2, 1)
    assert past_rows(tmp_path) == past
    assert by_day(tmp_path, "sign_ups")[MONDAY] == 1
    # That Bob is gone was seen on Tuesday, which is not over.
    assert by_day(tmp_path, "total_users")[MONDAY] == 3
    run(make_settings(TAILTRACKER_NOW="2024-04-03T12:00:00Z", **settings))
    assert by_day(tmp_path, "total_users")[date(2024, 4, 2)] == 2
    assert by_day(tmp_path, "pets_recovered")[date(2024, 4, 2)] == 1
    assert past_rows(tmp_path) == past


def past_rows(home: Path) -> list[tuple[Any, ...]]:
    """All values of days up to Sunday."""
    return sorted(
        rows(home, f"select * from metric_values where grain = 'day' and period_start <= '{SUNDAY}'"), key=repr
    )


@pytest.mark.slow
def test_a_rebuild_from_the_lake_gives_the_same(
    story: AppDatabase, make_settings: MakeSettings, tmp_path: Path
) -> None:
    settings = make_settings(
        APP_DATABASE_URL=story.url,
        TAILTRACKER_NOW="2024-04-01T12:00:00Z",
        MIXPANEL_SECRET=None,
        MIXPANEL_PROJECT_ID=None,
        MIXPANEL_USERNAME=None,
    )
    run(settings)
    before = published(tmp_path)
    story.execute("drop schema public cascade")
    report = refresh(settings, Progress(), sources=["app_db"], rebuild=True)
    assert len(set(report.errors)) == 1
    after = published(tmp_path)
    assert {table for table in before if before[table] != after[table]} == {"data_status"}
