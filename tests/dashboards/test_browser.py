"""All pages over a small published build in a real browser, on a phone and a desk."""

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
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

from tests.dashboards import APP, NOW, PAGES, SECTIONS


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


@pytest.fixture(params=[390, pytest.param(1400, marks=pytest.mark.slow)])
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


def choose(page: Page, label: str, option: str) -> None:
    """Pick from a list. A rerun of the page may close it: then it is opened again."""
    for _ in range(6):
        expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning", timeout=20_000)
        page.get_by_role("combobox", name=label, exact=True).click()
        page.get_by_role("combobox", name=label, exact=True).fill(option)
        with suppress(PlaywrightTimeoutError):
            page.get_by_role("option", name=option).click(timeout=5000)
            return
    raise AssertionError(f"{label} never offered {option}")


@pytest.mark.browser
def test_overview_in_a_browser(page: Page) -> None:
    page.goto("/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    expect(page.get_by_role("heading", level=2)).to_have_count(4)
    expect(page.get_by_test_id("stMetric")).to_have_count(17)
    expect(page.locator("[role=graphics-document]").first).to_have_attribute(
        "aria-label", re.compile("^Line chart of Daily active people by day: .* to 44 people")
    )
    assert link_of(page) == {}

    page.get_by_test_id("stMetric").first.get_by_test_id("stTooltipHoverTarget").hover()
    expect(page.get_by_role("tooltip")).to_contain_text("People active on the day.")
    expect(page.get_by_role("tooltip")).to_contain_text("Not for:")

    page.get_by_role("radio", name="90 days").click()
    expect(page).to_have_url(re.compile("range=90"))
    choose(page, "Metric", "Stickiness")
    expect(page).to_have_url(re.compile("metric=stickiness"))
    assert link_of(page) == {"metric": ["stickiness"], "range": ["90"]}

    page.goto(page.url)
    expect(page.get_by_role("combobox", name="Metric")).to_have_value("Stickiness")
    expect(page.get_by_role("radio", name="90 days")).to_be_checked()


@pytest.mark.browser
def test_active_users_and_retention_in_a_browser(page: Page) -> None:
    page.goto("/active_users_and_retention")
    expect(page.get_by_role("heading", level=1)).to_have_text("Active users and retention")
    expect(page.get_by_role("heading", level=2)).to_have_count(4)
    expect(page.get_by_test_id("stVegaLiteChart")).to_have_count(5)

    choose(page, "Split by", "Platform")
    expect(page.get_by_text("Platform: which").first).to_be_visible()
    # While the page is drawn anew its later half is not there, and the last of them is another.
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning", timeout=20_000)
    expect(page.get_by_role("radio", name="Month")).to_have_count(2)
    page.get_by_role("radio", name="Month").last.click()
    expect(page).to_have_url(re.compile("cohorts=month"))
    assert link_of(page) == {"segment": ["platform"], "cohorts": ["month"]}

    page.goto(page.url + "&platform=ios&dates=2025-02-01&dates=2025-02-20")
    expect(page.get_by_role("combobox", name="Split by")).to_have_value("Platform")
    expect(page.get_by_test_id("stMultiSelect")).to_contain_text("ios")
    expect(page.get_by_test_id("stMultiSelect")).not_to_contain_text("android")
    expect(page.get_by_role("radio", name="Month").last).to_be_checked()
    assert link_of(page)["dates"] == ["2025-02-01", "2025-02-20"]


@pytest.mark.browser
@pytest.mark.parametrize(
    ("title", "charts", "begins"),
    [
        ("Revenue", 2, "Line chart of MRR by day: MRR from €145.74 (1 Jan 2025) to €507.77 (11 Mar 2025)"),
        ("Payments", 4, "Line chart of Success rates by week: Payments from"),
        ("Pets and alerts", 3, "Line chart of Sign-ups by week: Sign-ups from"),
    ],
)
def test_pages_of_money_and_pets_in_a_browser(page: Page, title: str, charts: int, begins: str) -> None:
    page.goto(f"/{PAGES[title]}")
    expect(page.get_by_role("heading", level=1)).to_have_text(title)
    expect(page.get_by_role("heading", level=2)).to_have_count(len(SECTIONS[title]))
    expect(page.get_by_test_id("stVegaLiteChart")).to_have_count(charts)
    expect(page.get_by_text("What are these numbers")).to_be_visible()
    expect(page.locator("[role=graphics-document]").first).to_have_attribute(
        "aria-label", re.compile("^" + re.escape(begins))
    )
    page.get_by_test_id("stMetric").first.get_by_test_id("stTooltipHoverTarget").hover()
    expect(page.get_by_role("tooltip")).to_contain_text("Not for:")


@pytest.mark.browser
def test_what_moved_revenue_can_be_narrowed_linked_and_downloaded_in_a_browser(page: Page) -> None:
    page.goto("/revenue")
    expect(page.get_by_text("What are these numbers")).to_be_attached()
    choose(page, "In", "USD")
    expect(page).to_have_url(re.compile("in=USD"))
    assert link_of(page) == {"in": ["USD"]}
    page.goto(page.url + "&segment=currency")
    expect(page.get_by_role("combobox", name="In", exact=True)).to_have_value("USD")
    expect(page.get_by_test_id("stVegaLiteChart")).to_have_count(4)
    page.get_by_text("Opening, movements and closing as a table").click()
    with page.expect_download() as download:
        page.get_by_test_id("stExpander").filter(has_text="Opening, movements").get_by_role("button").last.click()
    lines = download.value.path().read_text().splitlines()
    assert lines[0] == (
        "metric_id,unit,grain,period_start,currency,movement,segment,segment_value,customers,amount,is_complete,build,as_of"
    )
    assert all(",USD," in line for line in lines[1:])


@pytest.mark.browser
def test_a_view_does_not_follow_to_the_next_page_in_a_browser(page: Page) -> None:
    page.goto("/payments?metric=fees&grain=month")
    expect(page.get_by_role("heading", name="Fees")).to_be_visible()
    if page.viewport_size == {"width": 390, "height": 900}:
        page.get_by_test_id("stExpandSidebarButton").click()
    page.get_by_role("link", name="Revenue").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Revenue")
    expect(page.get_by_text("What are these numbers")).to_be_attached()
    expect(page.get_by_role("combobox", name="Metric")).to_have_value("MRR")


@pytest.mark.browser
def test_a_wrong_link_shows_the_default_view_and_says_so_in_a_browser(page: Page) -> None:
    page.goto("/active_users_and_retention?metric=Pulse&cohorts=Fortnight")
    expect(page.get_by_role("combobox", name="Metric")).to_have_value("Active people")
    expect(page.get_by_text("the link asks for Pulse")).to_be_visible()
