"""Profiles are told what changed, of who consents alone, by Mixpanel's own client; nothing is told twice."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import duckdb
import pytest
from typer.testing import CliRunner

from tailtracker_bi.cli.app import app
from tailtracker_bi.errors import SettingsError, TailTrackerError
from tailtracker_bi.sandbox.servers.app_database import AppDatabase
from tailtracker_bi.settings import Settings
from tailtracker_bi.sources import AppDb, MixpanelSettings
from tailtracker_bi.traits import sending
from tailtracker_bi.traits.profiles import PROPERTIES, Profiles, current_profiles, profiles_of
from tailtracker_bi.traits.sending import Told, planned, send
from tailtracker_bi.warehouse import DuckDb

TOKEN = "f3a1c0de5eed4b7d9e"
ANNA, BOB, CARL, DORA = "anna", "bob", "carl", "dora"
TRAITS = ("premium", "returning", "low", "high")
MakeSettings = Callable[..., Settings]


class Ingestion(HTTPServer):
    """What stands in for Mixpanel's /engage: it keeps profiles as that does, and answers as it is told to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.profiles: dict[str, dict[str, Any]] = {}
        self.batches: list[list[dict[str, Any]]] = []
        self.answers: list[tuple[int, dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Ingestion

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        status, headers, body = self.server.answers.pop(0) if self.server.answers else (200, {}, b'{"status": 1}')
        if status == 200 and b"1" in body:
            assert self.path == "/engage"
            messages = json.loads(form["data"][0])
            self.server.batches.append(messages)
            for message in messages:
                assert (message["$token"], message["$ignore_time"], message["$ip"]) == (TOKEN, True, 0)
                profile = self.server.profiles.setdefault(message["$distinct_id"], {})
                profile.update(message.get("$set", {}))
                for name in message.get("$unset", []):
                    profile.pop(name, None)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mixpanel() -> Iterator[Ingestion]:
    with Ingestion() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def settings(make_settings: MakeSettings, mixpanel: Ingestion) -> MixpanelSettings:
    return make_settings(
        MIXPANEL_TOKEN=TOKEN, MIXPANEL_CONSENT="marketing", MIXPANEL_ENGAGE_URL=mixpanel.url
    ).of(MixpanelSettings)  # fmt: skip


def profiles(consenting: set[str], **others: tuple[str | None, ...]) -> Profiles:
    """Of Anna, Bob, Carl and Dora, who is a test account; what else is told of somebody comes by their name."""
    rows = [(user, user != DORA, *others.get(user, TRAITS)) for user in (ANNA, BOB, CARL, DORA)]
    return profiles_of(rows, consenting)


def test_who_consents_is_told_and_nobody_else(mixpanel: Ingestion, settings: MixpanelSettings, tmp_path: Path) -> None:
    told = Told(tmp_path)
    plan = planned(profiles({ANNA, BOB, DORA}, bob=("free", None, "none", "none")), told)
    assert (len(plan.told), plan.removed, plan.without_consent, plan.requests) == (2, (), 1, 1)
    send(plan, settings, told)
    assert mixpanel.profiles == {
        ANNA: dict(zip(PROPERTIES.values(), TRAITS, strict=True)),
        BOB: dict(zip(PROPERTIES.values(), ("free", "unknown", "none", "none"), strict=True)),
    }
    kept = (tmp_path / "traits" / "told.sqlite3").read_bytes()
    assert not any(word.encode() in kept for word in (ANNA, BOB, "premium", TOKEN))


def test_only_what_changed_is_sent(mixpanel: Ingestion, settings: MixpanelSettings, tmp_path: Path) -> None:
    told = Told(tmp_path)
    send(planned(profiles({ANNA, BOB}), told), settings, told)
    again = planned(profiles({ANNA, BOB}), told)
    assert (again.told, again.unchanged, again.requests) == ({}, 2, 0)
    send(again, settings, told)
    changed = planned(profiles({ANNA, BOB}, bob=("premium", "dormant", "raised", "high")), told)
    send(changed, settings, told)
    assert [[message["$distinct_id"] for message in batch] for batch in mixpanel.batches] == [[ANNA, BOB], [BOB]]
    assert mixpanel.profiles[BOB]["TailTracker lifecycle"] == "dormant"


def test_who_withdraws_or_leaves_is_told_of_no_more(
    mixpanel: Ingestion, settings: MixpanelSettings, tmp_path: Path
) -> None:
    told = Told(tmp_path)
    mixpanel.profiles[ANNA] = {"$name": "of the app's own"}
    send(planned(profiles({ANNA, BOB, CARL}), told), settings, told)
    withdrawn = planned(profiles({CARL}), told)
    assert (withdrawn.removed, withdrawn.told) == ((ANNA, BOB), {})
    send(withdrawn, settings, told)
    assert mixpanel.profiles == {
        ANNA: {"$name": "of the app's own"}, BOB: {}, CARL: dict(zip(PROPERTIES.values(), TRAITS, strict=True))
    }  # fmt: skip
    send(planned(profiles(set()), told), settings, told)
    assert mixpanel.profiles[CARL] == {}
    assert planned(profiles(set()), told).requests == 0


def test_batches_are_as_large_as_is_allowed_and_a_run_that_broke_off_goes_on(
    mixpanel: Ingestion, settings: MixpanelSettings, tmp_path: Path
) -> None:
    told = Told(tmp_path)
    users = [f"user-{number:04}" for number in range(4_500)]
    every = profiles_of([(user, True, *TRAITS) for user in users], set(users))
    mixpanel.answers = [(200, {}, b'{"status": 1}'), (200, {}, b'{"status": 0, "error": "some data was not valid"}')]
    with pytest.raises(TailTrackerError, match="some data was not valid; the next run goes on from there"):
        send(planned(every, told), settings, told)
    rest = planned(every, told)
    assert (len(rest.told), rest.unchanged, rest.requests) == (2_500, 2_000, 2)
    send(rest, settings, told)
    assert [len(batch) for batch in mixpanel.batches] == [2_000, 2_000, 500]
    assert set(mixpanel.profiles) == set(users)


def test_a_run_that_died_before_it_noted_a_batch_sends_that_batch_again(
    mixpanel: Ingestion, settings: MixpanelSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told(tmp_path)

    def die(step: str) -> None:
        raise KeyboardInterrupt(step)

    plan = planned(profiles({ANNA}), told)
    monkeypatch.setattr(sending, "reached", die)
    with pytest.raises(KeyboardInterrupt, match=r"traits\.sent"):
        send(plan, settings, told)
    monkeypatch.undo()
    once = dict(mixpanel.profiles)
    again = planned(profiles({ANNA}), told)
    assert [*again.told] == [ANNA]
    send(again, settings, told)
    assert (mixpanel.profiles, planned(profiles({ANNA}), told).requests) == (once, 0)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((200, {}, f'{{"status": 0, "error": "bad token {TOKEN} of ann@example.com"}}'.encode()), "bad token"),
        ((401, {}, b"<html>sign in</html>"), "Cannot interpret"),
        ((307, {"Location": "http://127.0.0.1:9/engage"}, b""), "redirect"),
    ],
)
def test_what_mixpanel_says_is_told_without_secrets_and_nothing_is_noted(
    mixpanel: Ingestion,
    settings: MixpanelSettings,
    tmp_path: Path,
    answer: tuple[int, dict[str, str], bytes],
    said: str,
) -> None:
    told = Told(tmp_path)
    mixpanel.answers = [answer]
    with pytest.raises(TailTrackerError) as failed:
        send(planned(profiles({ANNA}), told), settings, told)
    assert said in str(failed.value)
    assert TOKEN not in str(failed.value)
    assert "ann@example.com" not in str(failed.value)
    assert told.digests() == {}


def test_consent_is_what_the_app_says_now(app_database: AppDatabase, make_settings: MakeSettings) -> None:
    yes, text, no, none, other = (str(uuid.uuid4()) for _ in range(5))
    for user, said in {
        yes: '{"marketing": true}', text: '{"marketing": "true"}', no: '{"marketing": false}', none: "{}",
        other: '{"x": {"marketing": true}}',
    }.items():  # fmt: skip
        app_database.execute(f"insert into user_profiles (user_id, privacy_settings) values ('{user}', '{said}')")
    source = AppDb(make_settings(APP_DATABASE_URL=app_database.url))
    assert source.consenting("marketing") == {yes}
    assert source.consenting("x' or true --") == set()


def test_what_is_too_old_is_not_told_and_still_taken_away(
    mixpanel: Ingestion, settings: MixpanelSettings, make_settings: MakeSettings, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """By the command, on a warehouse that has what it reads of one."""
    with duckdb.connect(str(DuckDb(tmp_path).path)) as warehouse:
        for schema in ("marks", "intermediate", "marts"):
            warehouse.execute(f"create schema {schema}")
        warehouse.execute("create table marks.finished as select 1 as landing")
        warehouse.execute(
            "create table intermediate.int_sources_covered as "
            "select 'mixpanel' as source, 'events' as table_name, date '2024-03-31' as complete_through"
        )
        warehouse.execute(
            "create table marts.fct_profile_traits as select unnest(['anna', 'bob']) as user_id, true as is_told, "
            "'free' as plan, 'new' as lifecycle, 'none' as churn_risk, null::varchar as ltv_band"
        )
    for name, value in {
        "TAILTRACKER_HOME": str(tmp_path), "TAILTRACKER_ALLOW_LOOPBACK": "1", "MIXPANEL_TOKEN": TOKEN,
        "MIXPANEL_CONSENT": "marketing", "MIXPANEL_ENGAGE_URL": mixpanel.url,
        "APP_DATABASE_URL": "postgresql://reader@127.0.0.1/app",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    consenting = {"anna", "bob"}
    monkeypatch.setattr(AppDb, "consenting", lambda *_: consenting)

    def run(*arguments: str, today: str = "2024-04-02") -> tuple[int, str]:
        monkeypatch.setenv("TAILTRACKER_NOW", f"{today}T12:00:00Z")
        result = CliRunner().invoke(app, ["traits", *arguments])
        return result.exit_code, f"{result.stdout} {result.exception or ''}"

    assert "told            \u2502 2" in run("send", "--dry-run")[1]
    assert mixpanel.profiles == {}
    assert run("send")[0] == 0
    assert mixpanel.profiles["bob"]["TailTracker LTV band"] == "unknown"
    consenting.remove("bob")
    code, said = run("send", today="2024-04-05")
    assert (code, "events are complete through 2024-03-31" in said) == (1, True)
    assert (mixpanel.profiles["bob"], len(mixpanel.profiles["anna"])) == ({}, 4)
    assert run("remove", today="2025-04-05")[0] == 0
    assert mixpanel.profiles["anna"] == {}


def test_it_is_asked_for_by_settings_alone(make_settings: MakeSettings, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nothing is told to Mixpanel"):
        current_profiles(make_settings(), DuckDb(tmp_path))
    with pytest.raises(SettingsError, match="MIXPANEL_TOKEN and MIXPANEL_CONSENT are set together"):
        make_settings(MIXPANEL_TOKEN=TOKEN)
    with pytest.raises(SettingsError, match="who consents only the app's database knows"):
        current_profiles(make_settings(MIXPANEL_TOKEN=TOKEN, MIXPANEL_CONSENT="marketing"), DuckDb(tmp_path))
    with pytest.raises(SettingsError, match="MIXPANEL_ENGAGE_URL"):
        make_settings(MIXPANEL_ENGAGE_URL="https://api.mixpanel.com.evil.example")
