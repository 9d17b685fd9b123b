"""Reports arrive: once, whole, late data waited for and then told, failures tried again and told to the owner."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import orjson
import pytest

from tailtracker_bi import bundle
from tailtracker_bi.analytics import load_analytics
from tailtracker_bi.delivery import Ledger, channels, send_due, tell_owner, watch
from tailtracker_bi.delivery.channels import Folder, Mail
from tailtracker_bi.delivery.sending import STALE_AFTER, Outcome
from tailtracker_bi.errors import SettingsError
from tailtracker_bi.settings import ReportSettings, load_report_settings
from tests.delivery.conftest import MailServer, Webhook, publish
from tests.worlds.sample_bundle import changed, with_mixpanel

ANN, BOB, OWNER = "ann@tails.example", "bob@tails.example", "owner@tails.example"
SHIPPED = load_analytics()
WEEKLY = [rules for rules in SHIPPED.reports if rules.id == "weekly"]
EARLY, NOON = datetime(2025, 3, 10, 7, 30, tzinfo=UTC), datetime(2025, 3, 10, 12, 0, tzinfo=UTC)
Make = Callable[..., ReportSettings]


def go(settings: ReportSettings, now: datetime = NOON) -> Outcome:
    [outcome] = send_due(settings, WEEKLY, SHIPPED.alerts, Ledger(settings.home), now)
    return outcome


def part(mail: EmailMessage, kind: str) -> str:
    found = mail.get_body((kind,))
    assert found is not None
    return str(found.get_content())


def test_a_mail_is_whole_and_each_person_gets_their_own(settings_of: Make, mail: MailServer) -> None:
    settings = settings_of(SMTP_URL=mail.url, REPORT_RECIPIENTS=f"{ANN}, board:{BOB}, weekly+pulse:eve@tails.example")
    outcome = go(settings)
    assert (outcome.what, outcome.sent) == ("sent", 2)
    assert [one["To"] for one in mail.came] == [ANN, "eve@tails.example"]
    came = mail.came[0]
    assert came["From"] == "bi@tails.example"
    assert came["Subject"].startswith("[DATA LATE: MIXPANEL] TailTracker, week of 3 Mar 2025")
    assert came["List-Unsubscribe"] == "<mailto:bi@tails.example?subject=unsubscribe%20weekly>"
    assert came["Auto-Submitted"] == "auto-generated"
    assert "MRR: €512.77, before €453.01, +13.2%, better" in part(came, "plain")
    html = part(came, "html")
    shown = set(re.findall(r'(?:src|srcset)="cid:([^"]+)"', html))
    attached = {str(one["Content-ID"])[1:-1] for one in came.walk() if one.get_content_type() == "image/png"}
    assert shown == attached
    assert all(name.endswith("@tailtracker-bi") for name in attached)
    assert shown
    assert outcome.pictures == len(attached)
    assert "data:" not in html
    # Whoever gets it knows nobody else, and it is known again when it comes twice.
    assert mail.came[0]["Message-ID"] != mail.came[1]["Message-ID"]


def test_a_report_goes_out_once_whatever_how_often_it_is_asked_for(settings_of: Make, mail: MailServer) -> None:
    settings = settings_of(SMTP_URL=mail.url, REPORT_RECIPIENTS=ANN)
    assert [go(settings, NOON + timedelta(hours=hour)).what for hour in range(3)] == ["sent", "done", "done"]
    assert len(mail.came) == 1
    # Who comes later gets it, too; who has it does not.
    more = settings_of(SMTP_URL=mail.url, REPORT_RECIPIENTS=f"{ANN}, {BOB}")
    assert go(more).sent == 1
    assert [one["To"] for one in mail.came] == [ANN, BOB]


def test_who_may_see_no_parts_of_few_people_gets_a_report_without_them(
    settings_of: Make, mail: MailServer, webhook: Webhook, home: Path, tmp_path: Path
) -> None:
    few = "update metric_values set value = 3 where metric_id = 'subscribers' and segment_value = 'France'"
    others = "delete from metric_values where metric_id = 'mrr' and segment in ('plan', 'billing_cycle', 'currency')"
    publish(home, changed(bundle.current(home), tmp_path / "few", few, others))
    access = tmp_path / "access.yml"
    access.write_text("roles: {analyst: ['@tails.example']}")
    named = {
        "SMTP_URL": mail.url,
        "REPORT_RECIPIENTS": f"{ANN}, board@others.example",
        "REPORT_OWNER": OWNER,
    }
    settings = settings_of(**named, SLACK_WEBHOOK_URL=webhook.url, TAILTRACKER_ACCESS=str(access))
    assert go(settings).sent == 3
    assert "country France" in part(mail.to(ANN)[0], "plain")
    assert "country France" not in part(mail.to("board@others.example")[0], "plain")
    assert "France" not in orjson.dumps(webhook.came[0]).decode()
    # Who is an executive may not, as who has no role.
    Ledger(settings.home).forget("weekly", date(2025, 3, 3))
    access.write_text(f"roles: {{executive: ['{ANN}']}}")
    go(settings)
    assert "country France" not in part(mail.to(ANN)[1], "plain")
    # Where nobody knows who may, nobody may, and the owner is told.
    Ledger(settings.home).forget("weekly", date(2025, 3, 3))
    access.write_text("roles: {analist: []}")
    assert go(settings).what == "sent"
    assert "country France" not in part(mail.to(ANN)[2], "plain")
    [told] = mail.to(OWNER)
    assert "no such role" in part(told, "plain")
    # Without roles the dashboard is open to all on this machine, and so are reports.
    Ledger(settings.home).forget("weekly", date(2025, 3, 3))
    go(settings_of(**named))
    assert "country France" in part(mail.to(ANN)[3], "plain")


def test_a_report_waits_for_its_data_until_its_deadline_and_then_says_what_is_missing(
    settings_of: Make, mail: MailServer
) -> None:
    settings = settings_of(SMTP_URL=mail.url, REPORT_RECIPIENTS=ANN)
    assert go(settings, EARLY).what == "waiting"
    assert go(settings, NOON - timedelta(seconds=1)).what == "waiting"
    assert mail.came == []
    assert go(settings, NOON).what == "sent"
    assert mail.came[0]["Subject"].startswith("[DATA LATE: MIXPANEL]")
    assert "READ THESE FIGURES WITH CARE" in part(mail.came[0], "plain")


def test_a_report_whose_data_is_in_goes_out_at_its_time(
    settings_of: Make, mail: MailServer, home: Path, tmp_path: Path
) -> None:
    own = changed(
        with_mixpanel(bundle.current(home), tmp_path / "ok", "ok", None),
        tmp_path / "whole",
        "update metric_values set is_complete = true",
    )
    publish(home, own)
    settings = settings_of(SMTP_URL=mail.url, REPORT_RECIPIENTS=ANN)
    assert go(settings, EARLY).what == "sent"
    assert mail.came[0]["Subject"] == "TailTracker, week of 3 Mar 2025"


def test_a_build_that_ends_before_the_period_does_is_said_to(settings_of: Make, mail: MailServer) -> None:
    settings = settings_of(SMTP_URL=mail.url, REPORT_RECIPIENTS=ANN)
    assert go(settings, datetime(2025, 3, 17, 8, tzinfo=UTC)).what == "waiting"
    assert go(settings, datetime(2025, 3, 17, 13, tzinfo=UTC)).what == "sent"
    assert "THE WEEK'S END IS MISSING" in mail.came[0]["Subject"].upper()
    assert "ends before the week does" in " ".join(part(mail.came[0], "plain").split())


@pytest.mark.parametrize(("factor", "follows"), [(1.005, False), (1.02, True)])
def test_a_corrected_report_follows_where_the_headline_moved_by_more_than_is_declared(
    factor: float, follows: bool, settings_of: Make, mail: MailServer, home: Path, tmp_path: Path
) -> None:
    settings = settings_of(SMTP_URL=mail.url, REPORT_RECIPIENTS=ANN)
    go(settings)
    publish(
        home,
        changed(
            bundle.current(home),
            tmp_path / "later",
            f"update metric_values set value = value * {factor} where metric_id = 'mrr' and segment = 'all'",
        ),
    )
    go(settings)
    go(settings)
    assert [one["Subject"].startswith("[CORRECTED] ") for one in mail.came] == [False, *([True] if follows else [])]
    ids = [one["Message-ID"] for one in mail.came]
    assert len(set(ids)) == len(ids)


def test_who_is_refused_is_told_of_and_tried_again_and_the_others_have_theirs(
    settings_of: Make, mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Mail, "_sign_in", lambda *_: None)
    mail.refused = {ANN}
    settings = settings_of(
        SMTP_URL=mail.url.replace("smtp://", "smtp://me:s3cret-of-mail@"),
        REPORT_RECIPIENTS=f"{ANN}, {BOB}",
        REPORT_OWNER=OWNER,
    )
    outcome = go(settings)
    assert (outcome.what, outcome.sent) == ("failed", 1)
    assert outcome.errors == ("a...@tails.example: is refused: 550 no such person, said [secret]",)
    [told] = mail.to(OWNER)
    assert "was not delivered to" in part(told, "plain")
    assert go(settings).what == "failed"
    assert len(mail.to(OWNER)) == 1
    mail.refused = set()
    assert go(settings).what == "sent"
    assert [len(mail.to(one)) for one in (ANN, BOB)] == [1, 1]
    tries = {one.shown: one.tries for one in Ledger(settings.home).deliveries() if one.report == "weekly"}
    assert tries == {"a...@tails.example": 3, "b...@tails.example": 1}


def test_what_passes_is_tried_again_at_once(settings_of: Make, mail: MailServer) -> None:
    mail.answers = ["451 busy", "451 busy"]
    settings = settings_of(SMTP_URL=mail.url, REPORT_RECIPIENTS=ANN)
    assert go(settings).what == "sent"
    assert len(mail.came) == 1
    assert mail.came[0]["X-TailTracker-May-Be-Twice"] is None


def test_a_mail_that_may_have_arrived_is_marked_when_it_comes_again(settings_of: Make, mail: MailServer) -> None:
    mail.answers = ["hang up"]
    settings = settings_of(SMTP_URL=mail.url, REPORT_RECIPIENTS=ANN)
    assert go(settings).what == "sent"
    first, second = mail.came
    assert first["Message-ID"] == second["Message-ID"]
    assert (first["X-TailTracker-May-Be-Twice"], second["X-TailTracker-May-Be-Twice"]) == (None, "yes")


def test_nothing_is_sent_without_encryption_to_another_machine(
    settings_of: Make, monkeypatch: pytest.MonkeyPatch, mail: MailServer
) -> None:
    monkeypatch.setattr(channels, "is_loopback", lambda _: False)
    monkeypatch.setattr("smtplib.SMTP.has_extn", lambda *_: False)
    outcome = go(settings_of(SMTP_URL=mail.url, REPORT_RECIPIENTS=ANN))
    assert outcome.errors == ("a...@tails.example: the mail server [ip] offers no encryption: nothing is sent",)
    assert mail.came == []


def test_a_server_with_a_certificate_that_nobody_trusts_gets_nothing(settings_of: Make, mail: MailServer) -> None:
    outcome = go(settings_of(SMTP_URL=mail.url.partition("&ca=")[0], REPORT_RECIPIENTS=ANN))
    assert "is not who it should be" in outcome.errors[0]
    assert mail.came == []


def test_pausing_resuming_and_sending_anew(settings_of: Make, mail: MailServer) -> None:
    settings = settings_of(SMTP_URL=mail.url, REPORT_RECIPIENTS=ANN)
    ledger = Ledger(settings.home)
    ledger.pause("weekly")
    assert go(settings).what == "paused"
    ledger.resume("weekly")
    assert go(settings).what == "sent"
    assert ledger.forget("weekly", date(2025, 3, 3)) == 1
    assert go(settings).what == "sent"
    assert len(mail.came) == 2


def test_the_owner_is_told_once_a_day_that_nothing_is_published(settings_of: Make, mail: MailServer) -> None:
    settings = settings_of(SMTP_URL=mail.url, REPORT_OWNER=OWNER)
    ledger = Ledger(settings.home)
    # The sample was built in 2025 by the clock that builds go by.
    assert datetime.now(UTC) - datetime(2025, 3, 12, 6, tzinfo=UTC) > STALE_AFTER
    for hour in range(3):
        assert "Nothing has been published for" in watch(settings, ledger, NOON + timedelta(hours=hour))
    assert len(mail.came) == 1
    watch(settings, ledger, NOON + timedelta(days=1))
    assert len(mail.came) == 2
    (settings.home / "published" / "current").unlink()
    for build in (settings.home / "published").glob("*.duckdb"):
        build.unlink()
    assert "There is no build to report from" in watch(settings, ledger, NOON + timedelta(days=2))


def test_two_troubles_of_a_day_are_two_mails_and_the_same_one_is_one(settings_of: Make, mail: MailServer) -> None:
    settings = settings_of(SMTP_URL=mail.url, REPORT_OWNER=OWNER)
    ledger = Ledger(settings.home)
    for about, text in (("run a", "daily failed"), ("run b", "daily failed again"), ("run a", "daily failed")):
        tell_owner(settings, ledger, NOON, about, text)
    assert [part(one, "plain").strip() for one in mail.came] == ["daily failed", "daily failed again"]
    channel = Folder(str(settings.home / "told"))
    for text in ("daily failed", "daily failed again"):
        channel.tell("the same subject", text, NOON)
    assert len(list((settings.home / "told").iterdir())) == 2
    # A mail client shows but one of two with the same id.
    assert mail.came[0]["Message-ID"] != mail.came[1]["Message-ID"]


def within_the_limits_of_slack(told: dict[str, Any]) -> bool:
    """By the reference of Block Kit."""
    blocks = told["blocks"]
    headers = [block["text"]["text"] for block in blocks if block["type"] == "header"]
    sections = [block for block in blocks if block["type"] == "section"]
    fields = [block["fields"] for block in sections if "fields" in block]
    return (
        len(blocks) <= 50
        and all(0 < len(text) <= 150 for text in headers)
        and all(0 < len(block["text"]["text"]) <= 3000 for block in sections)
        and all(0 < len(own) <= 10 for own in fields)
        and all(0 < len(one["text"]) <= 2000 for own in fields for one in own)
    )


def test_slack_gets_blocks_within_its_limits_and_what_passes_is_tried_again(
    settings_of: Make, webhook: Webhook
) -> None:
    webhook.statuses = [500, 429]
    settings = settings_of(SLACK_WEBHOOK_URL=webhook.url)
    assert go(settings).what == "sent"
    [told] = webhook.came
    assert within_the_limits_of_slack(told)
    assert told["text"].startswith("[DATA LATE: MIXPANEL]")
    texts = orjson.dumps(told).decode()
    assert "*€512.77* ▲ +13.2%" in texts
    # It waited too long for what may have come all the same.
    webhook.statuses = [408, 408, 408]
    Ledger(settings.home).forget("weekly", date(2025, 3, 3))
    assert go(settings).what == "failed"
    [tried] = [one for one in Ledger(settings.home).deliveries() if one.report == "weekly"]
    assert (tried.state, bool(tried.may_be_twice)) == ("failed", True)
    assert go(settings).what == "sent"
    assert webhook.came[-1]["blocks"][-1]["elements"][-1]["text"] == channels.TWICE


def test_an_app_of_slack_gets_the_pdf_into_the_thread_once(settings_of: Make, webhook: Webhook) -> None:
    base = webhook.url.removesuffix("/services/T/B/x")
    answers: dict[str, list[dict[str, Any]]] = {
        "/api/chat.postMessage": [{"ok": False, "error": "ratelimited"}, {"ok": True, "ts": "17.4"}],
        "/api/files.getUploadURLExternal": [{"ok": True, "file_id": "F1", "upload_url": f"{base}/upload"}] * 2,
        "/upload": [{"ok": True}] * 2,
        "/api/files.completeUploadExternal": [
            {"ok": False, "error": "internal_error"}, {"ok": True, "files": [{"id": "F1"}]},
        ],
    }  # fmt: skip
    webhook.answer = lambda path: answers[path].pop(0)
    named = {"SLACK_BOT_TOKEN": "xoxb-1-s3cret", "SLACK_CHANNEL": "C0123456", "SLACK_API_URL": f"{base}/api"}
    outcome = go(settings_of(**named))
    assert (outcome.what, outcome.errors) == ("sent", ())
    paths = [path for path, _, _ in webhook.asked]
    assert [paths.count(path) for path in answers] == [2, 2, 2, 2]
    bodies = {path: body for path, _, body in webhook.asked}
    assert within_the_limits_of_slack(orjson.loads(bodies["/api/chat.postMessage"]))
    assert bodies["/upload"].startswith(b"%PDF-")
    assert b"17.4" in bodies["/api/files.completeUploadExternal"]
    assert b"weekly-2025-03-03.pdf" in bodies["/api/files.getUploadURLExternal"]
    webhook.answer = lambda path: {"ok": False, "error": "channel_not_found"}
    Ledger(settings_of().home).forget("weekly", date(2025, 3, 3))
    assert go(settings_of(**named)).errors == ("Slack: Slack answered channel_not_found",)


def test_a_webhook_that_is_gone_is_told_without_its_address(settings_of: Make, webhook: Webhook) -> None:
    webhook.statuses = [404]
    assert go(settings_of(SLACK_WEBHOOK_URL=webhook.url)).errors == ("Slack: Slack answered 404: no_service",)


def test_texts_from_outside_are_inert_in_slack(settings_of: Make, webhook: Webhook, home: Path) -> None:
    text = "<!channel> <https://evil.example|here> *bold* ~gone~ `code` &"
    own = changed(
        bundle.current(home),
        home / "hostile",
        "update metric_catalog set label = $text",
        "update data_status set reason = $text where source = 'mixpanel'",
        text=text,
    )
    publish(home, own)
    assert go(settings_of(SLACK_WEBHOOK_URL=webhook.url)).what == "sent"
    said = orjson.dumps(webhook.came[0]).decode()
    assert "<!channel>" not in said
    assert "<https://evil" not in said
    assert "&lt;!channel&gt;" in said
    assert "\u200b*bold" in said


def test_other_channels_and_a_folder_get_it_too(settings_of: Make, webhook: Webhook, tmp_path: Path) -> None:
    address = webhook.url.replace("http://", "json://")
    settings = settings_of(REPORT_CHANNELS=address, REPORT_FOLDER=str(tmp_path / "for reports"))
    assert go(settings).sent == 2
    assert "MRR: €512.77" in webhook.came[0]["message"]
    names = {file.name for file in (tmp_path / "for reports").iterdir()}
    assert names == {f"weekly-2025-03-03.{ending}" for ending in ("html", "txt", "json")}


def test_an_address_that_apprise_does_not_know_is_told_without_it(settings_of: Make) -> None:
    outcome = go(settings_of(REPORT_CHANNELS="nosuch://token-of-mine@host"))
    assert "apprise does not understand an address that begins with nosuch" in outcome.errors[0]
    assert "token-of-mine" not in outcome.errors[0]


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"REPORT_RECIPIENTS": "ann@tails.example"}, "SMTP_URL is missing"),
        ({"SMTP_URL": "smtp://127.0.0.1:25"}, "must say who writes"),
        ({"SMTP_URL": "http://mail.example?from=a@b.example"}, "must look like smtp://"),
        (
            {"SMTP_URL": "smtp://127.0.0.1?from=a@b.example", "REPORT_RECIPIENTS": "ann"},
            "entry 1 must be a mail address",
        ),
        (
            {"SMTP_URL": "smtp://127.0.0.1?from=a@b.example", "REPORT_RECIPIENTS": "a@b.example\nBcc: c@d.example"},
            "entry 1",
        ),
        ({"SLACK_BOT_TOKEN": "xoxb-1"}, "are set together"),
        ({"SLACK_WEBHOOK_URL": "https://evil.example/services/x"}, "must be an https URL of slack.com"),
    ],
)
def test_settings_that_can_not_be_are_told(
    named: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in (named | {"TAILTRACKER_HOME": str(tmp_path), "TAILTRACKER_ALLOW_LOOPBACK": "1"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=re.escape(said)):
        load_report_settings()


def run(settings: ReportSettings, mail: MailServer, **further: str) -> subprocess.CompletedProcess[str]:
    own = {
        "TAILTRACKER_HOME": str(settings.home), "TAILTRACKER_ALLOW_LOOPBACK": "1", "TAILTRACKER_RETRY_SCALE": "0",
        "TAILTRACKER_NOW": NOON.isoformat(), "SMTP_URL": mail.url, "REPORT_RECIPIENTS": f"weekly:{ANN},weekly:{BOB}",
    }  # fmt: skip
    command = [str(Path(sys.executable).with_name("tailtracker-bi")), "delivery", "run"]
    env = {"PATH": os.environ["PATH"], **own, **further}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.slow
@pytest.mark.parametrize("step", ["delivery.begun", "delivery.sent"])
def test_a_run_that_is_killed_loses_no_report_and_marks_what_may_come_twice(
    step: str, settings_of: Make, mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(SMTP_URL=mail.url, REPORT_RECIPIENTS=f"{ANN},{BOB}")
    assert run(settings, mail, TAILTRACKER_CRASH_AT=step).returncode == -signal.SIGKILL
    # Nobody else is at it after a while.
    monkeypatch.setattr("tailtracker_bi.delivery.ledger.ABANDONED", timedelta(0))
    assert go(settings).sent == 2
    assert [len(mail.to(one)) for one in (ANN, BOB)] == [1 if step == "delivery.begun" else 2, 1]
    last = mail.to(ANN)[-1]
    assert last["X-TailTracker-May-Be-Twice"] == "yes"
    assert len({one["Message-ID"] for one in mail.to(ANN)}) == 1


def test_what_another_process_is_at_is_left_to_it(settings_of: Make, mail: MailServer) -> None:
    settings = settings_of(SMTP_URL=mail.url, REPORT_RECIPIENTS=ANN)
    assert run(settings, mail, TAILTRACKER_CRASH_AT="delivery.begun").returncode == -signal.SIGKILL
    assert go(settings).sent == 0
    assert mail.came == []


@pytest.mark.slow
def test_fifty_kills_lose_nothing_and_send_nothing_twice_unmarked(
    settings_of: Make, mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tailtracker_bi.delivery.ledger.ABANDONED", timedelta(0))
    dice, settings = random.Random(50), settings_of(SMTP_URL=mail.url, REPORT_RECIPIENTS=f"{ANN},{BOB}")
    for _ in range(50):
        mail.came.clear()
        Ledger(settings.home).forget("weekly", date(2025, 3, 3))
        step = dice.choice(["delivery.begun", "delivery.sent"])
        assert run(settings, mail, TAILTRACKER_CRASH_AT=step).returncode == -signal.SIGKILL
        go(settings)
        for one in (ANN, BOB):
            came = mail.to(one)
            assert len(came) in (1, 2)
            assert all(again["X-TailTracker-May-Be-Twice"] == "yes" for again in came[1:])
            assert len({again["Message-ID"] for again in came}) == 1
