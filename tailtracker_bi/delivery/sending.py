"""Sends what is due, each report once a period, channel and person; tells the owner of what went wrong.

A report waits for its data until its deadline, then goes out saying what is missing. Where a later build moves a figure
of its headline by more than the report declares, a corrected one follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from hashlib import sha256
from typing import Any

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from tailtracker_bi import bundle
from tailtracker_bi.access import Policy, load_policy
from tailtracker_bi.analytics import AlertRules, ReportRules
from tailtracker_bi.bundle import Bundle, BundleError, NoBundleError
from tailtracker_bi.crash_points import reached
from tailtracker_bi.delivery.channels import Channel, ChannelError, Message, News, channels_of, owner_of
from tailtracker_bi.delivery.ledger import Claim, Ledger
from tailtracker_bi.delivery.schedule import Due, due
from tailtracker_bi.errors import SettingsError
from tailtracker_bi.reports import Content, content_of
from tailtracker_bi.settings import ReportSettings
from tailtracker_bi.sources import readable

TRIES, LONGEST_WAIT = 3, 60
"""Of one delivery in a go, and seconds between them; the next go tries again."""
CORRECTED = "[CORRECTED] "
STALE_AFTER = timedelta(hours=30)
"""A day and the time that a refresh may take: without a build for so long the owner is told."""


@dataclass(frozen=True)
class Outcome:
    """What became of a report: `sent`, `waiting` for its data, `paused`, `failed`, or `done`: nothing to do."""

    report: str
    period_start: date
    what: str
    sent: int = 0
    pictures: int = 0
    errors: tuple[str, ...] = ()


def send_due(
    settings: ReportSettings,
    reports: Sequence[ReportRules],
    alerts: Sequence[AlertRules],
    ledger: Ledger,
    now: datetime,
) -> Iterator[Outcome]:
    """Send every report that is due by now and was not sent, from the current build, with the alerts of its period.

    Raises BundleError, StoreError.
    """
    build, paused = bundle.current(settings.home), ledger.paused()
    policy = _policy(settings, ledger, now)
    for rules in reports:
        what = due(rules, now, settings.timezone, settings.week_start)
        if rules.id in paused:
            yield Outcome(rules.id, what.period_start, "paused")
        else:
            yield _send(settings, rules, alerts, what, build, policy, ledger, now)


def watch(settings: ReportSettings, ledger: Ledger, now: datetime) -> str:
    """Tell the owner where nothing has been published for too long; what is so, or nothing."""
    try:
        built_at = bundle.read(bundle.current(settings.home), "bundle_info", ["built_at"])["built_at"].iloc[0]
    except (BundleError, NoBundleError) as error:
        said = f"There is no build to report from: {error}"
    else:
        age = datetime.now(UTC) - built_at.tz_localize("UTC")
        if age <= STALE_AFTER:
            return ""
        said = f"Nothing has been published for {int(age.total_seconds() // 3600)} hours."
    tell_owner(settings, ledger, now, "no build", said)
    return said


def send_now(
    settings: ReportSettings, rules: ReportRules, alerts: Sequence[AlertRules], channels: Sequence[Channel]
) -> None:
    """Send a report as a test, whatever was sent before, and note nothing. Raises ChannelError, SettingsError."""
    build, now = bundle.current(settings.home), settings.now
    policy = load_policy(settings.access_file) if settings.access_file else None
    for channel in channels:
        content = content_of(
            rules,
            build,
            settings.today,
            alerts=alerts,
            hidden_below=_hidden_below(policy, channel),
            timezone=settings.timezone,
            dashboard_url=settings.dashboard_url or "",
        )
        _try(settings, channel, Message(content, f"[TEST] {content.subject}", f"test {now.isoformat()}", now))


def _policy(settings: ReportSettings, ledger: Ledger, now: datetime) -> Policy | None:
    """Who has which role, where somebody has one; nobody where that can't be read, which the owner is told."""
    if settings.access_file is None:
        return None
    try:
        return load_policy(settings.access_file)
    except SettingsError as error:
        told = f"Parts of few people are in no report, as nobody knows who may see them: {error}"
        tell_owner(settings, ledger, now, "access", told)
        return Policy.model_validate({"roles": {}})


def _hidden_below(policy: Policy | None, channel: Channel) -> int:
    """Parts of fewer people are in no report that goes there: who reads it may see none. Without roles all may."""
    return 0 if policy is None else policy.hidden_in_mails_to(channel.address)


def tell_owner(settings: ReportSettings, ledger: Ledger, now: datetime, about: str, text: str) -> None:
    """Once a day for the same thing; where even that fails, it is tried again with the next go."""
    owner = owner_of(settings)
    claim = None if owner is None else ledger.claim(**_claim(ledger, owner, f"owner: {about}", now.date()))
    if owner is None or claim is None:
        return
    try:
        owner.tell("TailTracker BI: reports need you", text, now)
    except (ChannelError, SettingsError, OSError) as error:
        ledger.end(claim, readable(str(error), settings.secrets))
    else:
        ledger.end(claim)


def tell_news(
    settings: ReportSettings, ledger: Ledger, channel: Channel, news: Sequence[News], build: str, now: datetime
) -> str:
    """What there is to say of alerts, in one message, once each; what went wrong, or nothing."""
    ours, claims = [], []
    for one in news:
        about = [one.key] * one.is_new + [over_key(one.key)] * one.is_over
        tried = [ledger.claim(**_claim(ledger, channel, key, one.began, build)) for key in about]
        own = [claim for claim in tried if claim is not None]
        if len(own) == len(about):
            ours.append(one)
            claims += own
    if not ours:
        return ""
    reached("delivery.begun")
    may_be_twice = any(claim.may_be_twice for claim in claims)

    def mark(state: RetryCallState) -> None:
        nonlocal may_be_twice
        may_be_twice = may_be_twice or _may_have_arrived(state)

    try:
        for attempt in _tries(settings, mark):
            with attempt:
                channel.alert(ours, now, may_be_twice)
    except (ChannelError, SettingsError, OSError) as error:
        said = readable(str(error), settings.secrets)
        for claim in claims:
            ledger.end(claim, said, may_have_arrived=may_be_twice)
        return f"{channel.shown}: {said}"
    reached("delivery.sent")
    for claim in claims:
        ledger.end(claim)
    return ""


def over_key(key: str) -> str:
    """What the end of an alert is known by in the ledger."""
    return f"{key} resolved"


def _claim(ledger: Ledger, channel: Channel, about: str, day: date, build: str = "") -> dict[str, Any]:
    return {
        "report": about,
        "period_start": day,
        "revision": 0,
        "channel": channel.name,
        "recipient": ledger.hashed(channel.recipient),
        "shown": channel.shown,
        "build": build,
        "headline": {},
        "is_troubled": True,
    }


def _send(
    settings: ReportSettings,
    rules: ReportRules,
    alerts: Sequence[AlertRules],
    what: Due,
    build: Bundle,
    policy: Policy | None,
    ledger: Ledger,
    now: datetime,
) -> Outcome:
    channels = [channel for channel in channels_of(settings) if channel.takes(rules.id)]
    before = ledger.last_sent(rules.id, what.period_start)
    revision = ledger.revision(rules.id, what.period_start)
    if before is not None and before.build == build.build and not _is_owed(ledger, rules, what, revision, channels):
        return Outcome(rules.id, what.period_start, "done")

    @cache
    def seen(hidden_below: int) -> Content:
        return content_of(
            rules,
            build,
            what.made_on,
            of=what.period_start,
            known_build=ledger.last_build(rules.id, what.period_start),
            alerts=alerts,
            hidden_below=hidden_below,
            timezone=settings.timezone,
            dashboard_url=settings.dashboard_url or "",
        )

    content = seen(0)
    if before is None and content.is_troubled and now < what.deadline:
        return Outcome(rules.id, what.period_start, "waiting")
    if before is not None and revision == before.revision and _has_moved(rules, before.headline, content):
        revision += 1
    subject = (CORRECTED if revision else "") + content.subject
    sent, errors, message = 0, [], None
    for channel in channels:
        claim = ledger.claim(
            rules.id,
            what.period_start,
            revision,
            channel.name,
            ledger.hashed(channel.recipient),
            shown=channel.shown,
            build=build.build,
            headline=content.headline_values,
            is_troubled=content.is_troubled,
        )
        if claim is None:
            continue
        reached("delivery.begun")
        own = seen(_hidden_below(policy, channel))
        message = Message(own, subject, _key(rules, what, revision), now, claim.may_be_twice)
        error = _deliver(settings, ledger, channel, claim, message)
        errors += [f"{channel.shown}: {error}"] if error else []
        sent += not error
    if errors:
        told = "\n".join(errors)
        tell_owner(settings, ledger, now, f"{rules.id} {what.period_start}", f"{subject}\nwas not delivered to\n{told}")
    pictures = len(message.report.pictures) if message is not None and sent else 0
    state = "failed" if errors else ("sent" if sent else "done")
    return Outcome(rules.id, what.period_start, state, sent, pictures, tuple(errors))


def _is_owed(ledger: Ledger, rules: ReportRules, what: Due, revision: int, channels: Sequence[Channel]) -> bool:
    """Whether somebody has not got the last revision yet."""
    have = ledger.recipients(rules.id, what.period_start, revision)
    return any((channel.name, ledger.hashed(channel.recipient)) not in have for channel in channels)


def _has_moved(rules: ReportRules, before: Mapping[str, float | None], content: Content) -> bool:
    """Whether a figure that was told, or was not known, is something else now by more than is declared."""
    for metric_id, now in content.headline_values.items():
        told = before.get(metric_id)
        if now is None or now == told:
            continue
        if told is None or abs(now - told) > rules.send.corrected_above * abs(told):
            return True
    return False


def _key(rules: ReportRules, what: Due, revision: int) -> str:
    return sha256(f"{rules.id}\0{what.period_start}\0{revision}".encode()).hexdigest()


def _deliver(settings: ReportSettings, ledger: Ledger, channel: Channel, claim: Claim, message: Message) -> str:
    """Try it, and note what became of it: what went wrong, or nothing."""
    try:
        _try(settings, channel, message)
    except (ChannelError, SettingsError, OSError) as error:
        said = readable(str(error), settings.secrets)
        ledger.end(claim, said, may_have_arrived=getattr(error, "may_have_arrived", False))
        return said
    reached("delivery.sent")
    ledger.end(claim)
    return ""


def _try(settings: ReportSettings, channel: Channel, message: Message) -> None:
    """A few times, with longer waits, where another try may help."""
    current = message

    def mark(state: RetryCallState) -> None:
        nonlocal current
        if _may_have_arrived(state):
            current = replace(message, may_be_twice=True)

    for attempt in _tries(settings, mark):
        with attempt:
            channel.send(current)


def _tries(settings: ReportSettings, after: Callable[[RetryCallState], None]) -> Retrying:
    return Retrying(
        stop=stop_after_attempt(TRIES),
        wait=wait_random_exponential(multiplier=2 * settings.retry_scale, max=LONGEST_WAIT * settings.retry_scale),
        retry=retry_if_exception(lambda error: isinstance(error, OSError) or getattr(error, "is_passing", False)),
        after=after,
        reraise=True,
    )


def _may_have_arrived(state: RetryCallState) -> bool:
    error = state.outcome.exception() if state.outcome else None
    return bool(getattr(error, "may_have_arrived", False))
