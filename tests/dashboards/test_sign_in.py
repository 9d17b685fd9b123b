"""Signing in at a real provider on this machine, in a real browser: as each role, and as who has none."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tailtracker_bi.access import Role
from tests.dashboards import CLIENT_SECRET, COOKIE_SECRET, NOW, PAGES
from tests.dashboards.test_access import CLOSED
from tests.dashboards.test_browser import settled, trouble

PEOPLE = {
    "edith": {"email": "Edith@Board.example", "email_verified": True},
    "alan": {"groups": ["staff", "analysts"]},
    "doris": {"groups": "engineers"},
    "grace": {"email": "grace@tailtracker.example", "email_verified": True},
    "mallory": {"email": "grace@tailtracker.example", "email_verified": False},
}
IS = {"edith": Role.executive, "alan": Role.analyst, "doris": Role.data_engineer, "grace": Role.admin}
ROLES = """
roles:
  executive: ["@board.example"]
  analyst: ["group:analysts"]
  data_engineer: ["group:engineers"]
  admin: [grace@tailtracker.example]
"""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def serving(where: Path, home: Path, port: int, *arguments: str, **settings: str) -> Iterator[Path]:
    """The dashboard, as the command starts it; gives what it says as a file."""
    log = where / f"log-{port}"
    environment = {"PATH": os.environ["PATH"], "TAILTRACKER_HOME": str(home), "TAILTRACKER_NOW": NOW, **settings}
    command = [str(Path(sys.executable).with_name("tailtracker-bi")), "dashboard", "--port", str(port), *arguments]
    with (
        log.open("wb") as out,
        subprocess.Popen(command, cwd=where, env=environment, stdout=out, stderr=out) as process,
    ):
        try:
            for _ in range(240):
                with closing(socket.socket()) as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert process.poll() is None, log.read_text()
                time.sleep(0.25)
            yield log
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def place(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, Path]]:
    """Where the dashboard is, what it logs, and who has which role."""
    from oidc_provider_mock import run_server_in_thread
    from oidc_provider_mock._storage import User

    where, port = tmp_path_factory.mktemp("sign_in"), free_port()
    roles = where / "access.yml"
    roles.write_text(ROLES)
    roles.chmod(0o600)
    users = [User(sub=name, claims=claims) for name, claims in PEOPLE.items()]
    with ExitStack() as stack:
        provider = stack.enter_context(run_server_in_thread(user_claims=users, require_nonce=True))
        url = f"http://localhost:{port}"
        log = stack.enter_context(
            serving(
                where,
                home,
                port,
                TAILTRACKER_OIDC_METADATA_URL=(
                    f"http://localhost:{provider.server_port}/.well-known/openid-configuration"
                ),
                TAILTRACKER_OIDC_CLIENT_ID="dashboard",
                TAILTRACKER_OIDC_CLIENT_SECRET=CLIENT_SECRET,
                TAILTRACKER_COOKIE_SECRET=COOKIE_SECRET,
                TAILTRACKER_DASHBOARD_URL=url,
                TAILTRACKER_ACCESS=str(roles),
                TAILTRACKER_ALLOW_LOOPBACK="1",
            )
        )
        yield url, log, roles


def sign_in(page: Page, name: str) -> None:
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name=name, exact=True).click()


def titled(page: Page, title: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(title)


@pytest.mark.browser
@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name != "edith")) for name in IS])
def test_each_role_signs_in_sees_its_pages_and_leaves(
    name: str,
    chromium: Browser,
    place: tuple[str, Path, Path],
) -> None:
    url, log, _ = place
    page = chromium.new_page(base_url=url)
    page.goto("/revenue?grain=month")
    titled(page, "TailTracker BI")
    sign_in(page, name)
    # The page that was asked for, and the view of its link.
    page.wait_for_url(f"{url}/revenue?grain=month")
    titled(page, "Revenue")
    closed = CLOSED[IS[name]]
    for title in ("SQL", "Explore", "Access", "Why did it change?"):
        expect(page.get_by_role("link", name=title, exact=True)).to_have_count(0 if title in closed else 1)
    page.goto("/sql?sql=from+metric_values+limit+3")
    titled(page, "SQL")
    refusal = page.get_by_text("SQL is not open to your role")
    expect(refusal).to_have_count(1 if "SQL" in closed else 0)
    expect(page.get_by_role("textbox", name="SELECT statement")).to_have_count(0 if "SQL" in closed else 1)
    left = page.context.cookies()
    page.get_by_role("button", name="Sign out").first.click()
    page.wait_for_url("**/oauth2/end_session**")
    assert not [one for one in page.context.cookies(url) if one["name"].startswith("_streamlit_user")]
    # Who has kept the cookie is out as well.
    page.context.add_cookies(left)
    page.goto(f"{url}/revenue")
    expect(page.get_by_text("You have signed out")).to_be_visible()
    page.close()
    said = log.read_text()
    for word in ("@board", "@tailtracker", "sub of", CLIENT_SECRET, COOKIE_SECRET, *PEOPLE):
        assert word not in said.lower()


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("name", IS)
def test_each_role_walks_every_page_and_finds_it_whole_or_closed(
    name: str, chromium: Browser, place: tuple[str, Path, Path]
) -> None:
    url, _, _ = place
    page = chromium.new_page(base_url=url)
    page.goto("/")
    titled(page, "TailTracker BI")
    sign_in(page, name)
    page.wait_for_url(f"{url}/")
    titled(page, "Overview")
    troubles: list[str] = []
    hosts: set[str | None] = set()
    page.on("console", lambda line: troubles.append(trouble(line)))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda sent: hosts.add(urlsplit(sent.url).hostname))
    for title, path in {**PAGES, "Access": "access"}.items():
        page.goto("/" if title == "Overview" else f"/{path}")
        settled(page)
        titled(page, title)
        expect(page.get_by_test_id("stException")).to_have_count(0)
        expect(page.get_by_text(f"{title} is not open to your role")).to_have_count(int(title in CLOSED[IS[name]]))
    page.close()
    assert [line for line in troubles if line] == []
    assert hosts - {None} == {"localhost"}


@pytest.mark.browser
def test_who_is_refused_at_the_provider_or_has_no_role_sees_nothing(
    chromium: Browser,
    place: tuple[str, Path, Path],
) -> None:
    url, log, _ = place
    page = chromium.new_page(base_url=url)
    page.goto("/")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Deny").click()
    page.wait_for_url(f"{url}/")
    titled(page, "TailTracker BI")
    sign_in(page, "mallory")
    expect(page.get_by_text("has not verified your address")).to_be_visible()
    expect(page.get_by_test_id("stMetric")).to_have_count(0)
    page.close()
    assert "address not verified" in log.read_text()


@pytest.mark.browser
def test_a_forged_cookie_is_no_sign_in_and_is_logged(
    chromium: Browser,
    place: tuple[str, Path, Path],
) -> None:
    from streamlit.web.server.starlette.starlette_app_utils import create_signed_value

    url, log, _ = place
    claims = f'{{"is_logged_in": true, "origin": "{url}", "iat": {int(time.time())}, "groups": ["analysts"]}}'
    page = chromium.new_page(base_url=url)
    for secret in ("guessed", "", "x" * 40):
        forged = create_signed_value(secret, "_streamlit_user", claims).decode()
        page.context.add_cookies([{"name": "_streamlit_user", "value": forged, "url": url}])
        page.goto("/revenue")
        titled(page, "TailTracker BI")
        expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    # The same, signed with the real secret, is one.
    real = create_signed_value(COOKIE_SECRET, "_streamlit_user", claims).decode()
    page.context.add_cookies([{"name": "_streamlit_user", "value": real, "url": url}])
    page.goto("/revenue")
    titled(page, "Revenue")
    page.close()
    assert "refused to nobody known: everything: not signed in" in log.read_text()


@pytest.mark.browser
def test_a_role_that_is_taken_away_is_gone_with_the_next_click(
    chromium: Browser,
    place: tuple[str, Path, Path],
) -> None:
    url, _, roles = place
    page = chromium.new_page(base_url=url)
    page.goto("/revenue")
    sign_in(page, "alan")
    titled(page, "Revenue")
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    try:
        roles.write_text(ROLES.replace("group:analysts", "group:nobody"))
        page.get_by_role("radio", name="Month").first.click()
        expect(page.get_by_text("nothing here is open to you")).to_be_visible()
        expect(page.get_by_test_id("stMetric")).to_have_count(0)
    finally:
        roles.write_text(ROLES)
    page.close()


def status(url: str, **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(url, headers=headers)  # noqa: S310

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: object) -> None:
            return None

    try:
        with urllib.request.build_opener(Stay).open(request) as answer:
            return answer.status, answer.headers.get("location", "")
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("location", "")


@pytest.mark.browser
def test_the_server_answers_under_its_own_name_alone(place: tuple[str, Path, Path]) -> None:
    url, _, _ = place
    port = url.rsplit(":", 1)[1]
    assert status(url)[0] == 200
    assert status(url, Host=f"evil.test:{port}")[0] == 400
    # A callback that nobody began signs nobody in, and leads nowhere else.
    assert status(f"{url}/oauth2callback?state=x&code=y", Cookie="tailtracker_asked=//evil.test/") == (302, "/")


def test_without_a_provider_the_command_serves_this_machine_alone_and_says_so(home: Path, tmp_path: Path) -> None:
    port = free_port()
    with serving(tmp_path, home, port) as log:
        assert status(f"http://127.0.0.1:{port}/_stcore/health")[0] == 200
        assert "nobody signs in (TAILTRACKER_OIDC_METADATA_URL is not set): on this machine alone" in log.read_text()
        # A page elsewhere whose name has come to lead to this machine.
        assert status(f"http://127.0.0.1:{port}/", Host="evil.test")[0] == 400
        # It holds its port at one address alone: at another of this machine's the port is free.
        with closing(socket.socket()) as other:
            other.bind(("127.0.0.2", port))


def test_the_command_serves_no_other_machine_where_nobody_signs_in(home: Path, tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("tailtracker-bi")), "dashboard", "--address", "0.0.0.0"]  # noqa: S104
    environment = {"PATH": os.environ["PATH"], "TAILTRACKER_HOME": str(home)}
    process = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert process.returncode == 2
    assert "nobody signs in, so that it can't be served on 0.0.0.0" in " ".join(process.stderr.split())
