"""All pages over a small published build in a real browser, on a phone and a desk."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

from dashboards import components
from tests.dashboards import APP, CHARTS, NOW, PAGES, SECTIONS


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


OF_A_PHONE = "Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 Chrome/145.0.0.0 Mobile Safari/537.36"
LIKE = [
    pytest.param((390, 844, "light"), id="phone"),
    pytest.param((1440, 900, "dark"), id="desk-dark"),
    pytest.param((1920, 1080, "light"), id="wide", marks=pytest.mark.slow),
]


def on(quick: str) -> pytest.MarkDecorator:
    """On one of them; on the others, where little differs, among the slow tests."""
    params = [
        like if like.id == quick or like.marks else pytest.param(*like.values, id=like.id, marks=pytest.mark.slow)
        for like in LIKE
    ]
    return pytest.mark.parametrize("page", params, indirect=True)


ASKED = re.compile(r"^Asked \d+ s ago$")
"""A machine with much to do may pass over any one second."""
OF_STREAMLIT = {
    # Headings between the links of the menu.
    "list": "[data-testid=stSidebarNav]",
    "listitem": "[data-testid=stSidebarNav]",
    # Places for marks that a small line in a tile has, and which are empty.
    "svg-img-alt": "[data-testid=stMetric]",
}
"""What axe finds and Streamlit makes: the rule, and where."""


@pytest.fixture(scope="module")
def seats(chromium: Browser, server: str) -> Callable[[int, int, str], BrowserContext]:
    """Somebody's browser by its width, height and theme: whoever opens a page a second time has the program already."""

    @cache
    def seat(width: int, height: int, theme: Any) -> BrowserContext:
        viewport: Any = {"width": width, "height": height}
        # By its name Streamlit knows a phone, and shuts the menu behind who has chosen from it.
        name = OF_A_PHONE if width < 768 else None
        return chromium.new_context(viewport=viewport, user_agent=name, color_scheme=theme, base_url=server)

    return seat


@pytest.fixture(params=LIKE)
def page(
    request: pytest.FixtureRequest, seats: Callable[[int, int, str], BrowserContext], tmp_path: Path
) -> Iterator[Page]:
    """A page on a phone and a desk, in light and dark, which must end without an exception, an error in the console or
    a word with anyone but its server."""
    tab = seats(*request.param).new_page()
    troubles: list[str] = []
    hosts: set[str | None] = set()
    tab.on("console", lambda line: troubles.append(trouble(line)))
    tab.on("pageerror", lambda error: troubles.append(str(error)))
    tab.on("request", lambda sent: hosts.add(urlsplit(sent.url).hostname))
    tab.on("websocket", lambda socket: hosts.add(urlsplit(socket.url).hostname))
    yield tab
    tab.screenshot(path=tmp_path / f"{request.node.name}.png")
    expect(tab.get_by_test_id("stException")).to_have_count(0)
    expect(tab.get_by_test_id("stAlertContentError")).to_have_count(0)
    content = tab.get_by_test_id("stMain")
    assert content.evaluate("it => it.scrollWidth <= it.clientWidth"), "the page scrolls sideways"
    assert [line for line in troubles if line] == []
    assert hosts - {None} == {"127.0.0.1"}
    tab.close()


def trouble(line: ConsoleMessage) -> str:
    """What is wrong. Streamlit looks for itself below a page's path first, and finds itself one level up; and the marks
    of its small lines, of which none are to be seen, have no extent."""
    is_probe = re.search(r"/_stcore/(health|host-config)$", line.location["url"])
    is_small_line = "Infinite extent for field" in line.text
    return f"{line.type}: {line.text}" if line.type in {"error", "warning"} and not (is_probe or is_small_line) else ""


def settled(page: Page) -> None:
    """Wait until the page has run and its last section is there."""
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning", timeout=20_000)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.wait_for_timeout(500)  # Vega draws when the page has run.


def violations(page: Page) -> list[str]:
    """What axe finds, of any severity, but for what Streamlit itself makes."""

    def is_of_streamlit(rule: str, target: str) -> bool:
        inside = OF_STREAMLIT.get(rule)
        return bool(inside and page.locator(target).first.evaluate("(it, inside) => !!it.closest(inside)", inside))

    return [
        f"{one['id']}: {node['html'][:120]}"
        for one in Axe().run(page).response["violations"]
        for node in one["nodes"]
        if not is_of_streamlit(one["id"], node["target"][0])
    ]


def link_of(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def choose(page: Page, label: str, option: str) -> None:
    """Pick from a list; on a phone it takes no letters. A rerun of the page may close it: then it is opened again."""
    for _ in range(6):
        expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning", timeout=20_000)
        choice = page.get_by_role("combobox", name=label, exact=True)
        choice.click()
        if choice.is_editable():
            choice.fill(option)
        with suppress(PlaywrightTimeoutError):
            page.get_by_role("option", name=option).click(timeout=5000)
            return
    raise AssertionError(f"{label} never offered {option}")


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("page", LIKE, indirect=True)
def test_all_pages_are_whole_and_open_to_everyone_in_a_browser(page: Page) -> None:
    found = {}
    for title, name in PAGES.items():
        page.goto("/" if title == "Overview" else f"/{name}")
        settled(page)
        expect(page.get_by_role("heading", level=1)).to_have_text(title)
        expect(page.get_by_role("heading", level=2)).to_have_count(len(SECTIONS[title]))
        expect(page.get_by_test_id("stVegaLiteChart")).to_have_count(CHARTS[title])
        expect(page.get_by_test_id("stException")).to_have_count(0)
        found[title] = violations(page)
    assert {title: some for title, some in found.items() if some} == {}


@pytest.mark.browser
def test_the_first_number_stands_at_the_top_in_a_browser(page: Page) -> None:
    """Less what says that a source is late, where one is."""
    page.goto("/revenue")
    settled(page)
    height = "it => it.getBoundingClientRect().height"
    warned = page.locator(".st-key-trouble").evaluate(height)
    first = page.get_by_test_id("stMetricValue").first.bounding_box()
    is_phone = page.viewport_size == {"width": 390, "height": 844}
    assert first is not None
    assert first["y"] - warned < (400 if is_phone else 200)


@pytest.mark.browser
def test_the_page_is_as_light_or_dark_as_the_system_in_a_browser(page: Page) -> None:
    page.goto("/")
    settled(page)
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    ground = page.get_by_test_id("stApp").evaluate("it => getComputedStyle(it).backgroundColor")
    assert ground == ("rgb(18, 24, 31)" if dark else "rgb(255, 255, 255)")
    told = page.locator("[data-testid=stVegaLiteChart] text", has_text="(100.0%)").first
    expect(told).to_have_attribute("fill", components.INK["dark" if dark else "light"])


@pytest.mark.browser
def test_a_chart_answers_wherever_the_pointer_is_in_a_browser(page: Page) -> None:
    page.goto("/revenue")
    settled(page)
    for chart in (0, 2):  # A line and bars.
        ground = page.get_by_test_id("stVegaLiteChart").nth(chart).locator("g.root > g > path.background").first
        expect(ground).to_be_attached()
        box = ground.bounding_box()
        assert box is not None
        for place in range(12):
            across, down = (place + 0.5) / 12, 0.1 + 0.8 * (place * 5 % 12) / 12
            ground.hover(position={"x": across * box["width"], "y": down * box["height"]}, force=True)
            expect(page.locator("#vg-tooltip-element.visible")).to_contain_text("Period")


def click_chart(page: Page, chart: int, across: float, down: float) -> None:
    ground = page.get_by_test_id("stVegaLiteChart").nth(chart).locator("g.root > g > path.background").first
    expect(ground).to_be_attached()
    box = ground.bounding_box()
    assert box is not None
    ground.click(position={"x": across * box["width"], "y": down * box["height"]}, force=True)


def menu_of(page: Page, title: str) -> None:
    """Open the menu of a card."""
    heading = page.get_by_role("heading", name=title, exact=True)
    page.get_by_test_id("stHorizontalBlock").filter(has=heading).last.get_by_role("button", name="More").click()


@pytest.mark.browser
@on("phone")
def test_a_chart_is_taken_away_as_a_picture_and_its_link_leads_to_it_in_a_browser(page: Page) -> None:
    page.goto("/revenue?range=30")
    settled(page)
    with page.expect_download(timeout=90_000) as download:
        page.get_by_role("button", name="PDF").click()
    assert re.fullmatch(r"revenue_\w+-\w+_2025-03-12\.pdf", download.value.suggested_filename)
    assert download.value.path().read_bytes().startswith(b"%PDF-")
    menu_of(page, "Subscribers")
    menu = page.get_by_test_id("stPopoverBody")
    with page.expect_download(timeout=90_000) as download:
        menu.get_by_role("button", name="PNG").click()
    assert download.value.suggested_filename.startswith("revenue_subscribers_")
    assert download.value.path().read_bytes().startswith(b"\x89PNG")
    assert violations(page) == []
    link = menu.get_by_test_id("stCode").inner_text().strip()
    assert link.endswith("/revenue?range=30#subscribers")
    page.goto("/")
    settled(page)
    page.goto(link)
    settled(page)
    expect(page.get_by_role("combobox", name="Period")).to_have_value("Last 30 days")
    expect(page.get_by_role("heading", name="Subscribers", exact=True)).to_be_in_viewport()


@pytest.mark.browser
@on("desk-dark")
def test_a_click_in_a_chart_narrows_the_page_once_and_back_undoes_it_in_a_browser(page: Page) -> None:
    page.goto("/revenue")
    settled(page)
    click_chart(page, 0, 0.3, 0.8)
    expect(page.get_by_role("button", name="Only week of")).to_be_visible()
    settled(page)
    narrowed = link_of(page)
    assert list(narrowed) == ["dates"]
    page.wait_for_timeout(1000)  # In which a click that is kept would be told again.
    assert link_of(page) == narrowed
    page.goto(page.url)
    settled(page)
    expect(page.get_by_role("button", name="Only week of")).to_be_visible()
    page.goto("/active_users?segment=country")
    settled(page)
    click_chart(page, 0, 0.5, 0.05)
    way_back = page.get_by_role("button", name="Only Country: ")
    expect(way_back).to_be_visible()
    settled(page)
    assert {*link_of(page)} == {"segment", "of"}
    assert violations(page) == []
    page.go_back()
    settled(page)
    expect(way_back).to_have_count(0)
    page.wait_for_timeout(1000)
    assert link_of(page) == {"segment": ["country"]}
    click_chart(page, 0, 0.5, 0.05)
    expect(way_back).to_be_visible()
    menu = page.get_by_test_id("stExpandSidebarButton")  # on a phone
    if menu.is_visible():
        menu.click()
    page.get_by_role("link", name="Revenue").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Revenue")
    settled(page)
    assert link_of(page) == {}
    expect(way_back).to_have_count(0)


@pytest.mark.browser
@on("phone")
def test_a_page_is_narrowed_by_keys_alone_in_a_browser(page: Page) -> None:
    page.goto("/funnels?segment=country")
    settled(page)
    more = page.get_by_role("button", name="More").last
    more.focus()
    more.press("Enter")
    choice = page.get_by_role("combobox", name="Only one country")
    choice.focus()
    choice.press("ArrowDown")
    choice.press("Enter")
    way_back = page.get_by_role("button", name="Only Country: ")
    expect(way_back).to_be_visible()
    settled(page)
    way_back.focus()
    way_back.press("Enter")
    expect(way_back).to_have_count(0)
    assert link_of(page) == {"segment": ["country"]}


@pytest.mark.browser
@on("desk-dark")
def test_back_and_forward_restore_the_view_in_a_browser(page: Page) -> None:
    page.goto("/")
    settled(page)
    month = page.get_by_role("radio", name="Month")
    month.click()
    expect(page).to_have_url(re.compile("grain=month"))
    settled(page)
    choose(page, "Period", "Own dates")
    expect(page).to_have_url(re.compile("range=own"))
    page.goto("/payments?dates=2025-02-01&dates=2025-02-20")
    settled(page)
    expect(page.get_by_role("combobox", name="Period")).to_have_value("Own dates")
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    settled(page)
    expect(month).to_be_checked()
    page.go_back()
    expect(page).to_have_url(re.compile("grain=month$"))
    settled(page)
    expect(page.get_by_role("combobox", name="Period")).to_have_value("Last 90 days")
    page.go_back()
    settled(page)
    expect(page.get_by_role("radio", name="Week")).to_be_checked()
    page.go_forward()
    expect(page).to_have_url(re.compile("grain=month$"))
    settled(page)
    expect(month).to_be_checked()


@pytest.mark.browser
@on("phone")
def test_a_tile_tells_what_it_is_and_a_link_restores_the_view_in_a_browser(page: Page) -> None:
    page.goto("/")
    settled(page)
    assert link_of(page) == {}
    page.get_by_test_id("stMetric").first.get_by_test_id("stTooltipHoverTarget").hover()
    for said in ("People active on the day.", "Not for:", "Target:", "Owner:"):
        expect(page.get_by_role("tooltip")).to_contain_text(said)
    choose(page, "Period", "Last 30 days")
    choose(page, "Of", "Country: Japan")
    expect(page).to_have_url(re.compile("of=country"))
    assert link_of(page) == {"range": ["30"], "of": ["country=Japan"]}
    page.goto(page.url)
    settled(page)
    expect(page.get_by_role("combobox", name="Period")).to_have_value("Last 30 days")
    expect(page.get_by_role("combobox", name="Of", exact=True)).to_have_value("Country: Japan")


@pytest.mark.browser
@on("phone")
def test_where_the_data_comes_from_is_one_click_away_in_a_browser(page: Page) -> None:
    page.goto("/")
    settled(page)
    page.get_by_text("Data as of 12 Mar 2025").click()
    expect(page.get_by_text("Stripe: up to 11 Mar 2025")).to_be_visible()


@pytest.mark.slow
@pytest.mark.browser
@on("desk-dark")
def test_what_moved_revenue_can_be_narrowed_linked_and_downloaded_in_a_browser(page: Page) -> None:
    page.goto("/revenue")
    expect(page.get_by_text("What are these numbers")).to_be_attached()
    choose(page, "In", "In USD alone")
    expect(page).to_have_url(re.compile("in=USD"))
    assert link_of(page) == {"in": ["USD"]}
    page.goto(page.url + "&segment=currency")
    settled(page)
    expect(page.get_by_role("combobox", name="In", exact=True)).to_have_value("In USD alone")
    menu_of(page, "What moved MRR")
    with page.expect_download(timeout=90_000) as download:
        page.get_by_test_id("stPopoverBody").get_by_role("button", name="CSV").click()
    lines = download.value.path().read_text().splitlines()
    assert lines[0] == (
        "metric_id,unit,grain,period_start,currency,movement,segment,segment_value,customers,amount,is_complete,build,as_of"
    )
    assert all(",USD," in line for line in lines[1:])


@pytest.mark.browser
@on("desk-dark")
def test_a_view_does_not_follow_to_the_next_page_in_a_browser(page: Page) -> None:
    page.goto("/payments?metric=fees&grain=month")
    expect(page.get_by_text("Fees as a table")).to_be_attached()
    if page.viewport_size == {"width": 390, "height": 844}:
        page.get_by_test_id("stExpandSidebarButton").click()
    page.get_by_role("link", name="Revenue").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Revenue")
    expect(page.get_by_text("What are these numbers")).to_be_attached()
    expect(page.get_by_role("combobox", name="Metric")).to_have_value("Subscriber churn, 30 days")
    expect(page.get_by_role("radio", name="Week")).to_be_checked()


@pytest.mark.slow
@pytest.mark.browser
def test_a_wrong_link_shows_the_default_view_and_says_so_in_a_browser(page: Page) -> None:
    page.goto("/active_users?metric=Pulse&range=Fortnight")
    expect(page.get_by_role("combobox", name="Metric")).to_have_value("Events")
    expect(page.get_by_text("the link asks for Pulse")).to_be_visible()


@pytest.mark.slow
@pytest.mark.browser
@on("desk-dark")
def test_a_statement_is_run_by_keys_linked_and_stopped_in_a_browser(page: Page) -> None:
    page.goto("/sql")
    editor = page.get_by_role("textbox", name="SELECT statement")
    editor.fill("select 41 + 1 as answer")
    editor.press("Control+Enter")
    expect(page.get_by_test_id("stDataFrame")).to_have_count(1)
    assert link_of(page) == {"sql": ["select 41 + 1 as answer"]}
    with page.expect_download(timeout=90_000) as download:
        page.get_by_role("button", name="CSV", exact=True).click()
    assert download.value.path().read_text() == "answer\n42\n"

    editor.fill("select sleep_ms(60000)")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_text(ASKED)).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("it was stopped")).to_be_visible()
    page.go_back()
    expect(editor).to_have_value("select 41 + 1 as answer")
    expect(page.get_by_test_id("stDataFrame")).to_have_count(1)


@pytest.mark.slow
@pytest.mark.browser
@on("desk-dark")
def test_what_is_asked_ends_when_its_reader_leaves_in_a_browser(page: Page) -> None:
    started = [child for task in Path("/proc/self/task").glob("*/children") for child in task.read_text().split()]
    [server] = [child for child in started if b"streamlit" in Path(f"/proc/{child}/cmdline").read_bytes()]

    def answering() -> int:
        return sum(len(task.read_text().split()) for task in Path(f"/proc/{server}/task").glob("*/children"))

    page.goto("/sql?sql=select%20sleep_ms(60000)")
    expect(page.get_by_text(ASKED)).to_be_visible()
    assert answering() == 1
    page.goto("/data_health")
    expect(page.get_by_role("heading", level=1)).to_have_text("Data health")
    for _ in range(40):
        if not answering():
            break
        time.sleep(0.1)
    assert answering() == 0


@pytest.mark.browser
@pytest.mark.parametrize("page", [LIKE[0], LIKE[1]], indirect=True)
def test_notes_and_views_are_written_and_removed_by_keys_in_a_browser(page: Page) -> None:
    """What is written says nothing but itself: no markup, no link."""
    page.goto("/lifecycle?grain=day")
    settled(page)
    notes = page.locator("summary", has_text="Notes on these days")
    notes.focus()
    page.keyboard.press("Enter")
    title = "<img src=x onerror=alert(1)> [a](http://evil.example) www.evil.example"
    page.get_by_role("textbox", name="Note", exact=True).fill(title)
    page.keyboard.press("Enter")
    line = page.get_by_role("listitem").filter(has_text="(by you)")
    expect(line).to_contain_text("<img src=x onerror=alert(1)> [a](http:")
    settled(page)
    expect(line.get_by_role("link")).to_have_count(0)
    expect(line.get_by_role("img")).to_have_count(0)
    expect(page.locator(f"[aria-label*='{title}']").first).to_be_attached()

    views = page.get_by_role("button", name="Saved views")
    views.focus()
    page.keyboard.press("Enter")
    page.get_by_role("textbox", name="Save this view as").fill("By day")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="By day")).to_be_visible()
    assert violations(page) == []
    page.goto("/")
    settled(page)
    views.click()
    page.get_by_role("link", name="By day").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Lifecycle")
    settled(page)
    assert link_of(page) == {"grain": ["day"]}

    views.click()
    settled(page)
    page.get_by_text("Rename or remove").click()
    settled(page)  # what opens moves the button
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.get_by_role("link", name="By day")).to_have_count(0)
    page.keyboard.press("Escape")
    notes.click()
    settled(page)
    choose(page, "Write or change", title)
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.get_by_text("Nothing is noted on these days.")).to_be_visible()
