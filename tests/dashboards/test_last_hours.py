"""The page of the last hours: nothing read yet, read lately, too old; and of few people nothing but the whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dashboards import data
from tailtracker_bi import recent
from tailtracker_bi.access import Role, Visitor
from tailtracker_bi.runs.intraday import spans_of
from tests.dashboards import NOW, open_page

MORNING = datetime.fromisoformat(NOW)
PEOPLE = {None: 40, "Open": 31, "Pet Profile Created": 9, "Alert Shared": 2, "Search <b>Initiated": 6}


@pytest.fixture
def own_home(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A HOME with the build of the others, and last hours of its own."""
    folder = tmp_path / "own"
    (folder / "recent").mkdir(parents=True)
    (folder / "published").symlink_to(home / "published")
    monkeypatch.setenv("TAILTRACKER_HOME", str(folder))
    return folder


Charges = Mapping[str | None, tuple[int, Decimal | None]]


def write(home: Path, as_of: datetime, charges: Charges | None = None) -> None:
    rows = []
    for span in spans_of(as_of, "UTC"):
        told = {"span": span.kind, "is_day_before": span.is_day_before, "starts_at": span.starts_at}
        told |= {"ends_at": span.ends_at, "as_of": as_of, "observed_at": datetime.now(UTC)}
        rows += [
            {"source": "mixpanel", "event": event, "events": 10 * people, "people": people - span.is_day_before} | told
            for event, people in PEOPLE.items()
        ]
        rows += [
            {"source": "stripe", "event": event, "events": people, "people": people, "amount": amount} | told
            for event, (people, amount) in (charges or {}).items()
        ]
    recent.write(home, rows)


def said(page: AppTest, kind: str) -> list[str]:
    return [str(box.value) for box in getattr(page, kind)]


def test_before_anything_was_read_it_says_which_command_does(own_home: Path) -> None:
    page = open_page("Last hours")
    assert "Nothing of today has been read yet" in said(page, "info")[0]
    assert [code.value for code in page.code] == ["tailtracker-bi recent"]
    assert not page.dataframe


def test_what_was_read_lately_says_that_it_is_partial_and_as_of_when(own_home: Path) -> None:
    write(own_home, MORNING - timedelta(minutes=45))
    page = open_page("Last hours")
    [warning] = said(page, "warning")
    assert warning.startswith("**Partial, as of 12 Mar 2025, 06:15 UTC.**")
    assert "Don't compare them with days on other pages" in warning
    assert not page.error
    assert [heading.value for heading in page.header] == ["The last hour", "Today so far", "People by hour"]
    first = page.dataframe[0].value
    assert first.iloc[0].tolist() == ["All activity", "40", "39", "400", "400"]
    assert list(first["Event"][1:]) == ["Open", "Pet Profile Created", "Search <b>Initiated", "Alert Shared"]
    [chart] = page.get("vega_lite_chart")
    assert "06:00, so far: 40, a day before 39" in json.loads(chart.proto.spec)["description"]


def test_charges_stand_beside_events_with_their_amounts(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    charges = {None: (9, None), "Paid in EUR": (6, Decimal("1234.5")), "Failed": (3, None)}
    write(own_home, MORNING, charges)
    page = open_page("Last hours")
    assert not page.exception
    assert [heading.value for heading in page.header][2:4] == ["Charges, the last hour", "Charges, today so far"]
    table = page.dataframe[2].value.set_index("Charge")
    assert table.loc["Paid in EUR"].tolist() == ["6", "6", "6", "6", "€1,234.50", "€1,234.50"]
    assert table.loc["Failed", "Amount"] == ""
    # Who failed are so few that nothing of them may follow from the rest.
    monkeypatch.setattr("dashboards.access.here", lambda: Visitor((Role.executive,), 5))
    table = open_page("Last hours").dataframe[2].value.set_index("Charge")
    assert table.loc["Paid in EUR"].tolist() == ["hidden"] * 6
    assert table.loc["All charges"].tolist() == ["9", "9", "9", "9", "", ""]


def test_what_is_too_old_says_so(own_home: Path) -> None:
    write(own_home, MORNING - timedelta(minutes=46))
    [error] = said(open_page("Last hours"), "error")
    assert error.startswith("**This is 46 minutes old.**")
    assert "`tailtracker-bi recent`" in error


def test_a_file_that_cannot_be_read_is_told(own_home: Path) -> None:
    recent.file_in(own_home).write_bytes(b"no table")
    page = open_page("Last hours")
    assert "can't be read" in said(page, "error")[0]
    assert not page.dataframe


@pytest.mark.parametrize(("role", "few"), [(Role.executive, 5), (Role.analyst, 0)])
def test_events_of_few_people_are_hidden_with_the_smallest_beside_them(
    role: Role, few: int, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboards.access.here", lambda: Visitor((role,), few))
    write(own_home, MORNING)
    rows = data.recent_activity()
    assert rows is not None
    hidden: set[Any] = set(rows.loc[rows["is_hidden"], "event"])
    assert hidden == ({"Alert Shared", "Search <b>Initiated"} if few else set())
    assert rows.loc[rows["is_hidden"], ["events", "people"]].isna().all(axis=None)
    assert rows.loc[~rows["is_hidden"], ["events", "people"]].notna().all(axis=None)
    page = open_page("Last hours")
    shown = page.dataframe[0].value.set_index("Event")
    assert shown.loc["Alert Shared", "People"] == ("hidden" if few else "2")
    assert ("Hidden: parts of fewer than 5 people" in "".join(said(page, "caption"))) == bool(few)
