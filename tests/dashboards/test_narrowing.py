"""A chart narrows its page to a period or a part: by a click or by keys, for who may see it, and with a way back."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from dashboards import components, controls
from dashboards.controls import Narrowing
from tests.dashboards import open_page


def narrow(page: AppTest, label: str, choice: str, place: int = 0) -> None:
    [*lists] = [box for box in page.selectbox if box.label == label]
    lists[place].set_value(choice).run()
    assert not page.exception


def ways_back(page: AppTest) -> list[str]:
    return [button.label.replace("\\", "") for button in page.button if button.label.startswith("Only")]


def test_a_period_narrows_the_dates_and_the_way_back_leads_to_what_was_shown() -> None:
    page = open_page("Revenue", range="30", against="year")
    assert ways_back(page) == []
    narrow(page, "Only one week", "2025-02-24")
    assert page.query_params == {"against": "year", "dates": ["2025-02-24", "2025-03-02"]}
    assert ways_back(page) == ["Only week of 24 Feb 2025"]
    assert page.metric[0].label == "MRR"
    page.run()
    assert page.query_params["dates"] == ["2025-02-24", "2025-03-02"]
    # Looked at by day it is still that week.
    page.button_group(key="grain").set_value("day").run()
    assert ways_back(page) == ["Only week of 24 Feb 2025"]
    next(button for button in page.button if button.label.startswith("Only")).click().run()
    assert page.query_params == {"against": "year", "grain": "day", "range": "30"}
    assert ways_back(page) == []


def test_a_period_is_narrowed_to_the_days_that_there_are() -> None:
    page = open_page("Active users", grain="month", range="all")
    narrow(page, "Only one month", "2025-03-01", 1)
    assert page.query_params["dates"][0] == "2025-03-01"
    assert page.query_params["dates"][1] < "2025-03-31"
    assert ways_back(page) == ["Only March 2025"]


@pytest.mark.parametrize(
    ("dates", "told"),
    [
        (["2025-02-24", "2025-03-02"], ["Only week of 24 Feb 2025"]),
        (["2025-02-25", "2025-03-03"], []),
        (["2025-02-25", "2025-02-25"], ["Only 25 Feb 2025"]),
        (["2025-02-01", "2025-02-28"], ["Only February 2025"]),
        (["2025-02-01", "2025-02-27"], []),
    ],
)
def test_a_link_to_a_single_period_has_a_way_back_to_all_that_a_page_begins_with(
    dates: list[str], told: list[str]
) -> None:
    page = open_page("Revenue", dates=dates)
    assert ways_back(page) == told
    for button in page.button:
        if button.label.startswith("Only"):
            button.click().run()
            assert page.query_params == {}


def test_a_part_narrows_the_page_and_the_way_back_leads_to_the_split() -> None:
    page = open_page("Active users", segment="country", grain="week")
    narrow(page, "Only one country", "Japan")
    assert page.query_params == {"segment": "country", "grain": "week", "of": "country=Japan"}
    assert ways_back(page) == ["Only Country: Japan"]
    next(button for button in page.button if button.label.startswith("Only")).click().run()
    assert page.query_params == {"segment": "country", "grain": "week"}
    assert ways_back(page) == []
    assert [box.value for box in page.selectbox if box.key == "segment"] == ["country"]


def test_bars_and_curves_of_parts_narrow_the_page_too() -> None:
    page = open_page("Funnels", segment="country", range="all")
    narrow(page, "Only one country", "Japan", -1)
    assert page.query_params["of"] == "country=Japan"
    page = open_page("Retention", segment="platform", range="all")
    narrow(page, "Only one platform", "ios")
    assert page.query_params["of"] == "platform=ios"


def test_what_a_page_shows_in_one_period_is_not_offered() -> None:
    page = open_page("Revenue", dates=["2025-02-24", "2025-03-02"])
    lists = [box for box in page.selectbox if box.label == "Only one week"]
    assert lists == []


class Kept(dict[str, Any]):
    """The state of a session."""


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ({"selection": {"picked_felt_3": [{"at": "2025-03-03"}]}}, ["2025-03-03"]),
        ({"selection": {"picked_felt_3": {}, "picked_notes_5": [{"at": "2025-03-10"}]}}, ["2025-03-10"]),
        ({"selection": {"picked_felt_3": [{}]}}, []),
        ({"selection": {"picked_felt_3": {}}}, []),
        ({"selection": {}}, []),
        ({"selection": {"picked_felt_3": [{"at": "1999-01-01"}, {"of": "2025-03-03"}]}}, []),
        ({"selection": {"picked_felt_3": [{"at": ["2025-03-03"]}]}}, []),
        ("2025-03-03", ["2025-03-03"]),
        (None, []),
    ],
)
def test_whatever_a_browser_says_only_what_was_offered_is_taken(
    said: Any, taken: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []
    offered = Narrowing("Only one week", "at", dict.fromkeys(["2025-03-03", "2025-03-10"], ""), found.append)
    monkeypatch.setattr(components.st, "session_state", Kept({"key": said}))
    components._narrow("key", offered)
    assert found == taken


def test_a_week_has_seven_days_and_a_month_its_own() -> None:
    bounds = (pd.Timestamp("2024-01-31").date(), pd.Timestamp("2025-03-12").date())
    for start, grain, first, last in (
        ("2024-02-26", "week", "2024-02-26", "2024-03-03"),
        ("2024-02-01", "month", "2024-02-01", "2024-02-29"),
        ("2024-01-01", "month", "2024-01-31", "2024-01-31"),
        ("2025-03-10", "week", "2025-03-10", "2025-03-12"),
        ("2025-03-10", "day", "2025-03-10", "2025-03-10"),
    ):
        found = controls._days_of(pd.Timestamp(start), grain, bounds)
        assert list(map(str, found)) == [first, last]
