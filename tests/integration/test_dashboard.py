"""The dashboard over a small published build: its pages alone, and both pages in a real browser."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright
from streamlit.testing.v1 import AppTest

from dashboards import data, wording
from tests import sample_bundle

APP = Path(__file__).parents[2] / "dashboards" / "streamlit_app.py"
PAGES = {"Overview": "overview", "Active users and retention": "active_users_and_retention"}
NOW = "2025-03-12T07:00:00Z"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    sample_bundle.publish(folder)
    return folder


@pytest.fixture(autouse=True)
def environment(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAILTRACKER_HOME", str(home))
    monkeypatch.setenv("TAILTRACKER_NOW", NOW)


def open_page(title: str, **link: Any) -> AppTest:
    page = AppTest.from_file(str(APP), default_timeout=60)
    if title != "Overview":
        page.switch_page(f"app_pages/{PAGES[title]}.py")
    page.query_params = dict(link)
    page.run()
    assert not page.exception, page.exception[0].message
    assert [heading.value for heading in page.title] == [title]
    return page


def said(page: AppTest) -> str:
    return "\n".join(str(block.value) for kind in (page.info, page.warning, page.error) for block in kind)


def controls(page: AppTest) -> dict[str, Any]:
    kinds = (page.selectbox, page.button_group, page.multiselect, page.date_input)
    return {str(control.key): control.value for kind in kinds for control in kind}


def test_tiles_show_the_latest_complete_day_not_the_newest_day() -> None:
    tiles = {tile.label: tile.value for tile in open_page("Overview").metric}
    active = sum(date(2025, 3, 6) in person.active for person in sample_bundle.invent_people())
    assert tiles["Daily active people"] == str(active)
    assert tiles["Stickiness"].endswith("%")


def test_both_pages_show_their_sections() -> None:
    overview = [heading.value for heading in open_page("Overview").header]
    assert overview == ["Latest complete figures", "Trend", "Funnels", "All metrics"]
    active = [heading.value for heading in open_page("Active users and retention").header]
    assert active == ["Active people", "Who came and who left", "Days active in February 2025", "Retention"]


@pytest.mark.parametrize("title", PAGES)
def test_without_a_bundle_a_page_tells_how_to_get_one(
    title: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TAILTRACKER_HOME", str(tmp_path / "empty"))
    page = open_page(title)
    assert "no data to show yet" in said(page)
    assert page.code[0].value == "tailtracker-bi refresh"


@pytest.mark.parametrize("title", PAGES)
def test_wrong_settings_are_told_and_not_shown_as_a_traceback(title: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILTRACKER_TIMEZONE", "Mars/Olympus")
    assert "TAILTRACKER_TIMEZONE" in said(open_page(title)).replace("\\", "")


@pytest.mark.parametrize(("status", "words"), [("late", "is late"), ("failed", "could not be read")])
def test_a_source_in_trouble_is_told_in_words(
    status: str, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sample_bundle.publish(tmp_path, mixpanel=(status, "the export was <cut> short"))
    monkeypatch.setenv("TAILTRACKER_HOME", str(tmp_path))
    message = said(open_page("Overview"))
    assert words in message
    assert "1 day is missing" in message
    assert r"\<cut\>" in message


def test_an_old_build_says_how_old_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "days old" not in said(open_page("Overview"))
    monkeypatch.setenv("TAILTRACKER_NOW", "2025-03-20T07:00:00Z")
    assert "8 days old" in said(open_page("Overview"))


def test_a_new_build_shows_on_the_next_rerun(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sample_bundle.publish(tmp_path)
    monkeypatch.setenv("TAILTRACKER_HOME", str(tmp_path))
    page = open_page("Overview")
    sample_bundle.publish(tmp_path, mixpanel=("ok", None), build="20250313T060000-77aa01")
    page.run()
    assert "is late" not in said(page)
    assert any("20250313T060000-77aa01" in caption.value for caption in page.caption)


def test_a_metric_without_data_says_why() -> None:
    message = said(open_page("Overview", metric="Subscribers")).replace("\\", "")
    assert "Subscribers: no data." in message
    assert "STRIPE_API_KEY is not set" in message


LINKS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "Overview",
        {"metric": "Pulse", "range": "All", "grain": "Week", "compare": "Month"},
        {"metric": "pulse", "range": "all", "grain": "week", "compare": "month"},
    ),
    (
        "Active users and retention",
        {"metric": "Weekly active people", "segment": "Country", "country": ["Japan", "Brazil"]}
        | {"dates": ["2025-02-01", "2025-02-20"], "mode": "In that period or later", "cohorts": "Month"},
        {"metric": "wau", "segment": "country", "country": ["Japan", "Brazil"], "mode": "unbounded"}
        | {"dates": (date(2025, 2, 1), date(2025, 2, 20)), "cohorts": "month"},
    ),
]


@pytest.mark.parametrize(("title", "link", "view"), LINKS)
def test_a_link_restores_the_view_and_stays_in_the_address_bar(
    title: str, link: dict[str, Any], view: dict[str, Any]
) -> None:
    page = open_page(title, **link)
    assert {key: controls(page)[key] for key in view} == view
    assert page.query_params == link


WRONG = ["zzz", "", "-1", "9999-99-99", "=1+1", "<script>", ["a", "b", "c"], ["2030-01-01", "2019-01-01"]]


@pytest.mark.parametrize("title", PAGES)
def test_a_wrong_value_in_the_address_bar_gives_the_default_view(title: str) -> None:
    default = controls(open_page(title))
    for value in WRONG:
        page = open_page(title, **dict.fromkeys([*default, "country", "unheard_of"], value))
        shown = {key: chosen for key, chosen in controls(page).items() if chosen is not None}
        assert shown.items() <= default.items(), value


@pytest.mark.parametrize("grain", ["Day", "Week", "Month"])
@pytest.mark.parametrize("segment", ["Everyone", "Platform", "Country", "App version"])
def test_every_grain_and_segment_draws(grain: str, segment: str) -> None:
    page = open_page("Active users and retention", grain=grain, segment=segment, cohorts=grain)
    assert len(page.get("vega_lite_chart")) == 5


def test_a_segment_value_without_a_row_is_zero_and_a_day_not_received_is_unknown() -> None:
    build = data.current_build()
    points = data.series_by_segment(build, data.catalog(build)["dau"], "day", "country")
    canada = points[points["segment_value"] == "Canada"].set_index("period_start")["value"]
    assert canada[pd.Timestamp("2025-01-01")] == 0
    assert pd.isna(canada[pd.Timestamp(sample_bundle.GAP)])


def test_only_complete_values_are_compared() -> None:
    points = pd.DataFrame(
        {
            "period_start": pd.date_range("2025-01-01", periods=4),
            "value": [10.0, None, 30.0, 99.0],
            "is_complete": [True, False, True, False],
        }
    )
    reading = data.latest(points)
    assert (reading.value, reading.before, reading.before_start) == (30.0, 10.0, pd.Timestamp("2025-01-01"))


def test_retention_over_cohorts_is_sum_over_sum_of_complete_cells() -> None:
    cohorts = pd.DataFrame(
        {
            "cohort_start": pd.to_datetime(["2025-01-06", "2025-01-13", "2025-01-20"]),
            "period_index": [1, 1, 1],
            "cohort_size": [10, 90, 50],
            "retained": [10, 0, 50],
            "is_complete": [True, True, False],
        }
    )
    assert data.retention_curve(cohorts)["share"].tolist() == [0.1]


def test_numbers_are_written_by_their_format() -> None:
    written = [
        wording.number(1234.0, "integer", "people"),
        wording.number(0.1234, "percent"),
        wording.number(1.5, "decimal"),
    ]
    assert written == ["1,234 people", "12.3%", "1.50"]
    assert wording.number(None, "integer", "people") == "no data"
    assert wording.change(0.25, 0.2, "percent") == "+5.0 points"
    assert wording.change(90, 100, "integer") == "-10.0%"
    assert wording.change(1, None, "integer") == ""


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\r=1", "\uff1d1"])
def test_csv_neutralises_formulas_and_keeps_numbers(cell: str) -> None:
    assert wording.csv(pd.DataFrame({"a": [cell]})).decode().split("\n", 1)[1].lstrip('"').startswith("'")
    assert wording.csv(pd.DataFrame({"a": [-1.5]})).decode() == "a\n-1.5\n"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    program = os.environ.get("TAILTRACKER_CHROMIUM") or shutil.which("chromium")
    if program is None:
        reason = "NO BROWSER TEST HAS RUN: no chromium found; install it or name it in TAILTRACKER_CHROMIUM"
        if os.environ.get("TAILTRACKER_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    expect.set_options(timeout=30_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {"port": port, "address": "127.0.0.1", "headless": "true", "fileWatcherType": "none"}
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "streamlit",
            "run",
            str(APP),
            *(f"--server.{k}={v}" for k, v in options.items()),
        ],
        env={name: value for name, value in os.environ.items() if not name.startswith("TAILTRACKER_")}
        | {"TAILTRACKER_HOME": str(home), "TAILTRACKER_NOW": NOW},
        cwd=tmp_path_factory.mktemp("elsewhere"),
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(120):
            with suppress(OSError), urllib.request.urlopen(f"{url}/_stcore/health"):  # noqa: S310
                break
            time.sleep(0.25)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture(params=[1400, 390])
def page(request: pytest.FixtureRequest, chromium: Browser, server: str, tmp_path: Path) -> Iterator[Page]:
    """A page at desktop and phone width, which must end without an exception or an error in the console."""
    tab = chromium.new_page(viewport={"width": request.param, "height": 900}, base_url=server)
    troubles: list[str] = []
    tab.on("console", lambda line: troubles.append(trouble(line)))
    tab.on("pageerror", lambda error: troubles.append(str(error)))
    yield tab
    tab.screenshot(path=tmp_path / f"{request.node.name}.png")
    expect(tab.get_by_test_id("stException")).to_have_count(0)
    expect(tab.get_by_test_id("stAlertContentError")).to_have_count(0)
    content = tab.get_by_test_id("stMain")
    assert content.evaluate("it => it.scrollWidth <= it.clientWidth"), "the page scrolls sideways"
    assert [line for line in troubles if line] == []
    tab.close()


def trouble(line: ConsoleMessage) -> str:
    """Streamlit looks for itself below a page's path first, and finds itself one level up."""
    is_probe = re.search(r"/_stcore/(health|host-config)$", line.location["url"])
    return f"{line.type}: {line.text}" if line.type in {"error", "warning"} and not is_probe else ""


def link_of(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


@pytest.mark.browser
def test_overview_in_a_browser(page: Page) -> None:
    page.goto("/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    expect(page.get_by_role("heading", level=2)).to_have_count(4)
    expect(page.get_by_test_id("stMetric")).to_have_count(8)
    expect(page.locator("[role=graphics-document]").first).to_have_attribute(
        "aria-label", re.compile("^Line chart of Daily active people by day: .* to 44 people")
    )
    assert link_of(page) == {}

    page.get_by_test_id("stMetric").first.get_by_test_id("stTooltipHoverTarget").hover()
    expect(page.get_by_role("tooltip")).to_contain_text("People active on the day.")
    expect(page.get_by_role("tooltip")).to_contain_text("Not for:")

    page.get_by_role("radio", name="90 days").click()
    page.get_by_role("combobox", name="Metric").click()
    page.get_by_role("option", name="Stickiness").click()
    expect(page).to_have_url(re.compile("metric=Stickiness"))
    assert link_of(page) == {"metric": ["Stickiness"], "range": ["90 days"]}

    page.goto(page.url)
    expect(page.get_by_role("combobox", name="Metric")).to_have_value("Stickiness")
    expect(page.get_by_role("radio", name="90 days")).to_be_checked()


@pytest.mark.browser
def test_active_users_and_retention_in_a_browser(page: Page) -> None:
    page.goto("/active_users_and_retention")
    expect(page.get_by_role("heading", level=1)).to_have_text("Active users and retention")
    expect(page.get_by_role("heading", level=2)).to_have_count(4)
    expect(page.get_by_test_id("stVegaLiteChart")).to_have_count(5)

    page.get_by_role("combobox", name="Split by").click()
    page.get_by_role("option", name="Platform").click()
    expect(page.get_by_text("Platform: which").first).to_be_visible()
    page.get_by_role("radio", name="Month").last.click()
    expect(page).to_have_url(re.compile("cohorts=Month"))
    assert link_of(page) == {"segment": ["Platform"], "cohorts": ["Month"]}

    page.goto(page.url + "&platform=ios&dates=2025-02-01&dates=2025-02-20")
    expect(page.get_by_role("combobox", name="Split by")).to_have_value("Platform")
    expect(page.get_by_test_id("stMultiSelect")).to_contain_text("ios")
    expect(page.get_by_test_id("stMultiSelect")).not_to_contain_text("android")
    expect(page.get_by_role("radio", name="Month").last).to_be_checked()
    assert link_of(page)["dates"] == ["2025-02-01", "2025-02-20"]


@pytest.mark.browser
def test_a_wrong_link_shows_the_default_view_in_a_browser(page: Page) -> None:
    page.goto("/active_users_and_retention?metric=Pulse&cohorts=Fortnight")
    expect(page.get_by_role("combobox", name="Metric")).to_have_value("Active people")
    expect(page).to_have_url(re.compile("active_users_and_retention$"))
