"""Alerts reach the right people once when they begin and once when they are over, at the hours at which they may."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from tailtracker_bi.alerts import Book, Firing
from tailtracker_bi.analytics import Alerting, AlertRules, Analytics, load_analytics
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.cli.app import app
from tailtracker_bi.delivery import Ledger, told_anew, untold
from tailtracker_bi.settings import ReportSettings
from tests.alerts import february, rule, with_mrr
from tests.delivery.conftest import Webhook
from tests.worlds.sample_bundle import changed, with_mixpanel

NOW = datetime(2025, 3, 12, 7, tzinfo=UTC)
SHIPPED = load_analytics()
ROUTING_KEY, SECRET = "0123456789abcdef0123456789abcdef", "s3cret-of-the-webhook"


def declared(*rules: AlertRules, **alerting: object) -> Analytics:
    told = Alerting.model_validate(SHIPPED.alerting.model_dump(by_alias=True) | alerting)
    return SHIPPED.model_copy(update={"alerts": list(rules), "alerting": told})


@pytest.fixture
def settings_of(tmp_path: Path, webhook: Webhook) -> Callable[..., ReportSettings]:
    """Settings of a HOME whose named channels are the same fake."""
    base = webhook.url.removesuffix("/services/T/B/x")
    (tmp_path / "home").mkdir(exist_ok=True)
    given: dict[str, dict[str, object]] = {
        "slack": {"SLACK_WEBHOOK_URL": webhook.url},
        "pagerduty": {"PAGERDUTY_URL": base, "PAGERDUTY_ROUTING_KEY": ROUTING_KEY},
        "webhook": {"ALERT_WEBHOOK_URL": f"{base}/alerts/token-of-mine", "ALERT_WEBHOOK_SECRET": SECRET},
    }

    def make(*channels: str) -> ReportSettings:
        own: dict[str, object] = {"TAILTRACKER_HOME": tmp_path / "home", "TAILTRACKER_ALLOW_LOOPBACK": True}
        own |= {"TAILTRACKER_RETRY_SCALE": 0, "TAILTRACKER_DASHBOARD_URL": "https://bi.tails.example"}
        for channel in channels:
            own |= given[channel]
        return ReportSettings.model_validate(own)

    return make


Make = Callable[..., ReportSettings]


@pytest.fixture
def falling(build: Bundle, tmp_path: Path) -> Bundle:
    return named(with_mrr(build, tmp_path / "falling", {1: 100, 2: 80}), "20250312T070000-000001")


@pytest.fixture
def over(build: Bundle, tmp_path: Path) -> Bundle:
    return named(with_mrr(build, tmp_path / "over", {1: 100, 2: 80, 3: 70, 4: 100}), "20250312T080000-000002")


def named(build: Bundle, name: str) -> Bundle:
    return Bundle(name, build.path)


def go(settings: ReportSettings, analytics: Analytics, build: Bundle, now: datetime = NOW) -> list[str]:
    return told_anew(settings, analytics, build, Ledger(settings.home), now)


def said(webhook: Webhook) -> list[str]:
    return [one["text"].splitlines()[0] for one in webhook.came]


LOW = rule(metric="mrr", below=90)


def test_each_is_told_once_when_it_begins_and_once_when_it_is_over(
    build: Bundle, falling: Bundle, over: Bundle, settings_of: Make, webhook: Webhook, tmp_path: Path
) -> None:
    settings = settings_of("slack")
    for _ in range(2):
        assert go(settings, declared(LOW), falling) == []
    later = named(with_mrr(build, tmp_path / "later", {1: 100, 2: 80, 3: 70}), "20250312T073000-00000a")
    assert go(settings, declared(LOW), later, NOW + timedelta(days=1)) == []
    assert said(webhook) == ["[WARNING] one"]
    for _ in range(2):
        assert go(settings, declared(LOW), over, NOW + timedelta(days=2)) == []
    assert said(webhook) == ["[WARNING] one", "[RESOLVED] one"]
    assert "It is over since 2025-02-04." in webhook.came[-1]["text"]


def test_of_the_past_nothing_is_told_but_what_came_and_went_between_two_builds_is(
    build: Bundle, falling: Bundle, over: Bundle, settings_of: Make, webhook: Webhook
) -> None:
    settings = settings_of("slack")
    go(settings, declared(LOW), over)
    assert webhook.came == []
    book = Book(settings.home)
    for as_of, name in ((date(2025, 3, 12), "20250312T090000-000003"), (date(2025, 3, 15), "20250315T090000-000004")):
        book.note([Firing(LOW, "", date(2025, 3, 13), "MRR fell.", date(2025, 3, 14))], name, as_of)
    go(settings, declared(LOW), over)
    assert said(webhook) == ["[RESOLVED] one"]
    assert webhook.came[0]["text"] == "[RESOLVED] one\nMRR fell.\nIt is over since 2025-03-14."


def test_an_alert_whose_figures_are_corrected_away_is_over_and_comes_back_as_another(tmp_path: Path) -> None:
    book = Book(tmp_path)
    low = Firing(LOW, "", date(2025, 3, 10), "MRR fell.")
    book.note([low], "a", date(2025, 3, 12))
    # Late data moves its beginning: it is the same.
    book.note([Firing(LOW, "", date(2025, 3, 9), "MRR fell.")], "b", date(2025, 3, 13))
    assert [(one.began, one.ended) for one in book.episodes()] == [(date(2025, 3, 10), None)]
    book.note([], "c", date(2025, 3, 14))
    [gone] = book.episodes()
    assert (gone.ended, gone.over) == (
        date(2025, 3, 14),
        "It is over: what is known by 2025-03-14 shows it no more.",
    )
    book.note([low], "d", date(2025, 3, 15))
    assert [(one.began, one.ended) for one in book.episodes()] == [
        (date(2025, 3, 14), None),
        (date(2025, 3, 10), date(2025, 3, 14)),
    ]
    # Readers who go back to an earlier build are told nothing by it.
    before = book.episodes()
    book.note([], "a", date(2025, 3, 12))
    assert book.episodes() == before


def test_an_alert_whose_figures_are_not_known_any_more_is_not_over(
    build: Bundle, falling: Bundle, settings_of: Make, webhook: Webhook, tmp_path: Path
) -> None:
    settings = settings_of("slack")
    go(settings, declared(LOW), falling)
    unknown = "update metric_values set is_complete = false where metric_id = 'mrr' and period_start >= '2025-02-02'"
    unsure = named(changed(falling, tmp_path / "unsure", unknown), "20250312T080000-00000b")
    go(settings, declared(LOW), unsure, NOW + timedelta(days=1))
    assert said(webhook) == ["[WARNING] one"]
    well = with_mrr(build, tmp_path / "well", {1: 100, 2: 100})
    go(settings, declared(LOW), named(well, "20250312T090000-00000c"), NOW + timedelta(days=2))
    assert said(webhook) == ["[WARNING] one", "[RESOLVED] one"]


def test_a_source_in_trouble_is_told_once_and_once_that_it_is_well(
    build: Bundle, settings_of: Make, webhook: Webhook, tmp_path: Path
) -> None:
    settings, analytics = settings_of("slack"), declared(rule(source="any"))
    go(settings, analytics, named(build, "20250312T060000-a"))
    go(settings, analytics, named(build, "20250313T060000-b"), NOW + timedelta(days=1))
    assert said(webhook) == ["[WARNING] one"]
    well = with_mixpanel(build, tmp_path / "well", "ok", None)
    go(settings, analytics, named(well, "20250314T060000-c"), NOW + timedelta(days=2))
    assert said(webhook) == ["[WARNING] one", "[RESOLVED] one"]


def test_what_could_not_be_told_is_tried_at_once_and_again_before_the_next_build(
    falling: Bundle, settings_of: Make, webhook: Webhook
) -> None:
    settings, analytics = settings_of("slack"), declared(LOW)
    webhook.statuses = [500, 500, 500]
    assert go(settings, analytics, falling) == ["Slack: Slack answered 500: no_service"]
    assert len(webhook.asked) == 3
    assert untold(settings, analytics, Ledger(settings.home), NOW)
    assert go(settings, analytics, falling) == []
    assert said(webhook) == ["[WARNING] one"]
    assert untold(settings, analytics, Ledger(settings.home), NOW) == []


def test_alerts_of_a_build_are_one_message_a_channel_the_worst_first(
    falling: Bundle, settings_of: Make, webhook: Webhook
) -> None:
    rules = [LOW, rule(id="two", metric="mrr", below=85), rule(id="three", metric="mrr", below=81, severity="critical")]
    go(settings_of("slack", "webhook"), declared(*rules), falling)
    assert len(webhook.came) == 2
    text = webhook.came[0]["text"]
    assert text.startswith(
        "[CRITICAL] 3 alerts: one, three, two\n[WARNING] one\nMRR, 2 Feb 2025: €80.00, below €90.00."
    )
    assert [one["alert"] for one in webhook.came[1]["alerts"]] == ["one", "three", "two"]


def test_a_severity_goes_by_its_channels(falling: Bundle, settings_of: Make, webhook: Webhook) -> None:
    rules = [LOW, rule(id="two", metric="mrr", below=85, severity="critical")]
    go(settings_of("slack", "pagerduty"), declared(*rules, warning={"channels": ["slack"]}), falling)
    assert {path for path, _, _ in webhook.asked} == {"/services/T/B/x", "/v2/enqueue"}
    assert [one["payload"]["class"] for one in webhook.came if "payload" in one] == ["two"]


def test_a_channel_that_comes_later_hears_of_what_is_and_not_of_what_was(
    falling: Bundle, over: Bundle, settings_of: Make, webhook: Webhook
) -> None:
    open_now, was = rule(metric="mrr", below=101), rule(id="two", metric="mrr", below=85)
    for build in (falling, over):
        go(settings_of("slack"), declared(open_now, was), build)
    webhook.came.clear()
    go(settings_of("slack", "webhook"), declared(open_now, was), over)
    assert [one["alert"] for told in webhook.came for one in told["alerts"]] == ["one"]
    # Nor, after a week, does the first channel of all.
    ledger = Ledger(settings_of().home)
    ledger.forget("alert two", february(2))
    for days, owed in ((7, 1), (8, 0)):
        assert len(untold(settings_of("slack"), declared(was), ledger, NOW + timedelta(days=days))) == owed


OFFICE = {"from": "08:00", "to": "18:00", "days": ["monday", "tuesday", "wednesday", "thursday", "friday"]}


@pytest.mark.parametrize("place", ["of the alert", "of its severity"])
def test_what_begins_at_night_is_told_when_the_hours_begin(
    place: str, falling: Bundle, settings_of: Make, webhook: Webhook
) -> None:
    hours = OFFICE | {"timezone": "Europe/Berlin"}
    if place == "of the alert":
        analytics = declared(rule(metric="mrr", below=90, hours=hours))
    else:
        analytics = declared(LOW, warning={"channels": ["slack"], "hours": hours})
    settings = settings_of("slack")
    saturday = datetime(2025, 3, 15, 12, tzinfo=UTC)
    for moment in (saturday, datetime(2025, 3, 17, 6, 59, tzinfo=UTC)):
        assert go(settings, analytics, falling, moment) == []
        assert untold(settings, analytics, Ledger(settings.home), moment) == []
    assert webhook.came == []
    # 8 in Berlin, before any further build.
    assert untold(settings, analytics, Ledger(settings.home), datetime(2025, 3, 17, 7, tzinfo=UTC))
    assert go(settings, analytics, falling, datetime(2025, 3, 17, 7, tzinfo=UTC)) == []
    assert said(webhook) == ["[WARNING] one"]


def test_what_came_and_went_at_night_is_told_in_the_morning_and_calls_nobody(
    falling: Bundle, over: Bundle, settings_of: Make, webhook: Webhook
) -> None:
    analytics = declared(rule(metric="mrr", below=90, severity="critical", hours=OFFICE))
    settings = settings_of("slack", "pagerduty")
    go(settings, analytics, falling, datetime(2025, 3, 12, 3, tzinfo=UTC))
    go(settings, analytics, over, datetime(2025, 3, 12, 5, tzinfo=UTC))
    assert webhook.came == []
    for _ in range(2):
        go(settings, analytics, over, datetime(2025, 3, 12, 8, tzinfo=UTC))
    assert said(webhook) == ["[RESOLVED] one"]
    assert webhook.came[0]["text"].endswith("below €90.00.\nIt is over since 2025-02-04.")


def test_what_is_snoozed_is_told_if_it_still_is_when_it_wakes(
    falling: Bundle, settings_of: Make, webhook: Webhook
) -> None:
    settings, analytics = settings_of("slack"), declared(LOW)
    Book(settings.home).snooze("one", NOW + timedelta(days=2))
    go(settings, analytics, falling, NOW)
    assert untold(settings, analytics, Ledger(settings.home), NOW + timedelta(days=1)) == []
    assert webhook.came == []
    go(settings, analytics, falling, NOW + timedelta(days=2))
    assert said(webhook) == ["[WARNING] one"]


def test_what_came_and_went_while_it_was_snoozed_is_told_to_nobody(
    falling: Bundle, over: Bundle, settings_of: Make, webhook: Webhook
) -> None:
    settings, analytics = settings_of("slack"), declared(LOW)
    Book(settings.home).snooze("one", NOW + timedelta(days=2))
    go(settings, analytics, falling, NOW)
    go(settings, analytics, over, NOW + timedelta(days=1))
    go(settings, analytics, over, NOW + timedelta(days=3))
    assert webhook.came == []
    assert [one.is_passed_over for one in Book(settings.home).episodes()] == [True]


def test_that_it_is_over_is_told_of_what_is_snoozed_too(
    falling: Bundle, over: Bundle, settings_of: Make, webhook: Webhook
) -> None:
    settings, analytics = settings_of("slack"), declared(LOW)
    go(settings, analytics, falling, NOW)
    Book(settings.home).snooze("one", NOW + timedelta(days=2))
    go(settings, analytics, over, NOW + timedelta(days=1))
    assert said(webhook) == ["[WARNING] one", "[RESOLVED] one"]
    Book(settings.home).wake("one")
    assert Book(settings.home).snoozed(NOW) == {}


def as_pagerduty(path: str, body: bytes) -> int:
    """By the reference of the Events API v2: 202, or 400 for what it refuses."""
    event = orjson.loads(body)
    is_sound = (
        path == "/v2/enqueue"
        and len(body) <= 512 * 1024
        and len(event["routing_key"]) == 32
        and event["event_action"] in ("trigger", "acknowledge", "resolve")
        and 0 < len(event["dedup_key"]) <= 255
        and event.keys() <= {"routing_key", "event_action", "dedup_key", "payload", "client", "client_url"}
    )
    if event["event_action"] == "trigger":
        payload = event["payload"]
        is_sound &= (
            0 < len(payload["summary"]) <= 1024
            and bool(payload["source"])
            and payload["severity"] in ("critical", "error", "warning", "info")
            and datetime.fromisoformat(payload["timestamp"]).tzinfo is not None
            and payload.keys()
            <= {*("summary", "source", "severity", "timestamp", "component", "group", "class", "custom_details")}
        )
    return 202 if is_sound else 400


def pages(webhook: Webhook) -> list[dict[str, Any]]:
    return [one for one in webhook.came if "routing_key" in one]


def test_pagerduty_opens_an_incident_and_resolves_the_same(
    falling: Bundle, over: Bundle, settings_of: Make, webhook: Webhook
) -> None:
    webhook.judge = as_pagerduty
    analytics = declared(rule(metric="mrr", below=90, severity="critical"))
    settings = settings_of("pagerduty")
    webhook.statuses = [429, 503]
    assert go(settings, analytics, falling) == []
    assert go(settings, analytics, over, NOW + timedelta(days=1)) == []
    opened, resolved = pages(webhook)
    assert opened["dedup_key"] == resolved["dedup_key"]
    assert [one["event_action"] for one in (opened, resolved)] == ["trigger", "resolve"]
    assert opened["payload"]["summary"] == "one: MRR, 2 Feb 2025: €80.00, below €90.00."
    assert opened["payload"]["timestamp"] == "2025-02-02T00:00:00+00:00"
    # All tries of the first were the same.
    assert len({body for _, _, body in webhook.asked[:3]}) == 1


def test_what_is_said_fits_what_pagerduty_takes_and_every_alert_has_a_key_of_its_own(
    settings_of: Make, webhook: Webhook, build: Bundle
) -> None:
    webhook.judge = as_pagerduty
    settings = settings_of("pagerduty")
    rules = [rule(id=f"a{'b' * 60}{n}", metric="mrr", below=90, severity="critical") for n in range(3)]
    found = [Firing(one, "x" * 300, february(2), "said " * 900) for one in rules]
    book = Book(settings.home)
    book.note(found, "20250312T070000-000001", february(20))
    [(channel, news)] = untold(settings, declared(*rules), Ledger(settings.home), NOW)
    channel.alert(news, NOW)
    assert len({one["dedup_key"] for one in pages(webhook)}) == 3
    assert {len(one["payload"]["summary"]) for one in pages(webhook)} == {1024}


def test_pagerduty_that_refuses_is_told_without_its_key(falling: Bundle, settings_of: Make, webhook: Webhook) -> None:
    webhook.statuses = [400]
    analytics = declared(rule(metric="mrr", below=90, severity="critical"))
    assert go(settings_of("pagerduty"), analytics, falling) == ["PagerDuty: PagerDuty answered 400: no_service"]
    assert len(webhook.asked) == 1


def test_a_webhook_is_signed_with_its_time_and_the_same_each_time_it_is_tried(
    falling: Bundle, over: Bundle, settings_of: Make, webhook: Webhook
) -> None:
    settings, analytics = settings_of("webhook"), declared(LOW)
    webhook.statuses = [500, 429]
    assert go(settings, analytics, falling) == []
    assert len(webhook.asked) == 3
    seen = set()
    for path, headers, body in webhook.asked:
        stamp, signature = headers["X-TailTracker-Timestamp"], headers["X-TailTracker-Signature"]
        assert path == "/alerts/token-of-mine"
        assert int(stamp) == NOW.timestamp()
        expected = hmac.new(SECRET.encode(), stamp.encode() + b"." + body, sha256).hexdigest()
        assert signature == f"v1={expected}"
        seen.add((stamp, signature, headers["X-TailTracker-Delivery"]))
    assert len(seen) == 1
    assert go(settings, analytics, over, NOW + timedelta(days=1)) == []
    first, last = (one["alerts"][0] for one in webhook.came)
    assert (first["state"], last["state"]) == ("firing", "resolved")
    assert first["key"] == last["key"]
    assert webhook.asked[-1][1]["X-TailTracker-Delivery"] not in {delivery for _, _, delivery in seen}


def test_a_webhook_that_fails_is_told_without_its_address_and_secret(
    falling: Bundle, settings_of: Make, webhook: Webhook
) -> None:
    webhook.statuses = [404]
    assert go(settings_of("webhook"), declared(LOW), falling) == ["the webhook: the webhook answered 404: no_service"]
    shown = [(one.channel, one.shown, one.error) for one in Ledger(settings_of().home).deliveries()]
    assert shown == [("webhook", "the webhook", "the webhook answered 404: no_service")]


def test_an_alert_that_may_come_twice_says_so(
    falling: Bundle, settings_of: Make, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, analytics = settings_of("slack"), declared(LOW)

    class KilledError(BaseException):
        pass

    def killed(step: str) -> None:
        if step == "delivery.sent":
            raise KilledError

    monkeypatch.setattr("tailtracker_bi.delivery.sending.reached", killed)
    with pytest.raises(KilledError):
        go(settings, analytics, falling)
    monkeypatch.undo()
    # Another process may still be at it.
    assert go(settings, analytics, falling) == []
    assert len(webhook.came) == 1
    monkeypatch.setattr("tailtracker_bi.delivery.ledger.ABANDONED", timedelta(0))
    assert go(settings, analytics, falling) == []
    assert [("This may come twice" in one["text"]) for one in webhook.came] == [False, True]


def test_texts_from_outside_are_inert_in_slack(settings_of: Make, webhook: Webhook, falling: Bundle) -> None:
    settings = settings_of("slack")
    Book(settings.home).note([Firing(LOW, "", february(2), "<!channel> <https://evil.example|here>")], "1", february(9))
    go(settings, declared(), falling)
    assert "<" not in webhook.came[0]["text"]
    assert "&lt;!channel&gt;" in webhook.came[0]["text"]


def test_the_command_snoozes_wakes_and_lists(
    build: Bundle, tmp_path: Path, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed(build, tmp_path, "select 1")
    for name, value in {
        "TAILTRACKER_HOME": str(tmp_path),
        "TAILTRACKER_NOW": NOW.isoformat(),
        "TAILTRACKER_ALLOW_LOOPBACK": "1",
        "SLACK_WEBHOOK_URL": webhook.url,
    }.items():
        monkeypatch.setenv(name, value)

    def command(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["alerts", *arguments])
        assert done.exit_code == 0, done.exception
        return done.stdout

    assert "until 2025-03-14 07:00 UTC" in command("snooze", "source_in_trouble", "--days", "2")
    command()
    told = [line for one in webhook.came for line in one["text"].splitlines()]
    assert not any("source_in_trouble" in line for line in told)
    listed = command("list")
    assert "source_in_trouble mixpanel late" in " ".join(listed.split())
    assert "source_in_trouble is snoozed until 2025-03-14 07:00 UTC" in listed
    command("wake", "source_in_trouble")
    command()
    assert webhook.came[-1]["text"].startswith("[WARNING] source_in_trouble")
    wrong = CliRunner().invoke(app, ["alerts", "snooze", "source_in_troubl"])
    assert "did you mean source_in_trouble" in str(wrong.exception)
