"""Who is to be told what of the noted alerts by now: once of each onset and once of its end.

What begins outside the hours of its alert or severity is told when they begin, what is snoozed if it still is when it
wakes. What could not be told is tried again with each go, whichever build is there then.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta

import pandas as pd

from tailtracker_bi import bundle
from tailtracker_bi.alerts import Book, Episode, firings, is_judged
from tailtracker_bi.analytics import AlertRules, Analytics
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.delivery.channels import Channel, News
from tailtracker_bi.delivery.incidents import alert_channels
from tailtracker_bi.delivery.ledger import Ledger
from tailtracker_bi.delivery.sending import over_key, tell_news
from tailtracker_bi.settings import ReportSettings

OWED = timedelta(days=7)
"""For so long it is told that something came and went, which nobody could be told before."""


def told_anew(
    settings: ReportSettings, analytics: Analytics, build: Bundle, ledger: Ledger, now: datetime
) -> list[str]:
    """Note what a build shows and tell what nobody was told yet; each once. What could not be told is returned."""
    book = Book(settings.home)
    as_of = pd.Timestamp(bundle.read(build, "bundle_info", ["as_of"])["as_of"].iloc[0]).date()
    rules = {one.id: one for one in analytics.alerts}

    def may_be_over(episode: Episode) -> bool:
        own = rules.get(episode.alert)
        return own is None or episode.ended is not None or is_judged(own, build, episode.began)

    book.note(firings(analytics.alerts, build), build.build, as_of, may_be_over)
    snoozed = book.snoozed(now)
    for episode in book.episodes():
        is_known = any(ledger.recipients(episode.key, episode.began, 0))
        if episode.ended is not None and episode.alert in snoozed and not is_known:
            book.pass_over(episode)
    found = untold(settings, analytics, ledger, now)
    return [error for channel, news in found if (error := tell_news(settings, ledger, channel, news, build.build, now))]


def untold(
    settings: ReportSettings, analytics: Analytics, ledger: Ledger, now: datetime
) -> list[tuple[Channel, list[News]]]:
    """What each channel may be told by now and was not."""
    book, rules = Book(settings.home), {rules.id: rules for rules in analytics.alerts}
    snoozed = book.snoozed(now)
    found: dict[tuple[str, str], tuple[Channel, list[News]]] = {}
    for episode in book.episodes():
        if not _may_be_told(episode, rules.get(episode.alert), analytics, now, settings.timezone):
            continue
        for channel in alert_channels(settings, analytics.alerting.of(episode.severity).channels):
            for one in _news(episode, channel, ledger, now.date(), is_snoozed=episode.alert in snoozed):
                found.setdefault((channel.name, channel.recipient), (channel, []))[1].append(one)
    return [*found.values()]


def _may_be_told(
    episode: Episode, rules: AlertRules | None, analytics: Analytics, now: datetime, timezone: str
) -> bool:
    """Whether it is within the hours of the alert, or of its severity where it has none of its own."""
    own = rules.hours if rules is not None else None
    hours = own or analytics.alerting.of(episode.severity).hours
    return hours is None or hours.are_now(now, timezone)


def _news(episode: Episode, channel: Channel, ledger: Ledger, today: date, *, is_snoozed: bool) -> Iterator[News]:
    who = (channel.name, ledger.hashed(channel.recipient))
    told = ledger.recipients(episode.key, episode.began, 0)
    is_new = who not in told
    if is_new and episode.seen_over is not None:
        # A channel that came later hears of what is, not of what was.
        is_owed = not told or ledger.has_failed(episode.key, episode.began)
        if not is_owed or today - episode.seen_over > OWED:
            return
    is_over_told = episode.ended is None or who in ledger.recipients(over_key(episode.key), episode.began, 0)
    if is_snoozed or episode.is_passed_over if is_new else is_over_told:
        return
    yield News(
        *(episode.key, episode.alert, episode.severity, episode.said, episode.began),
        *(episode.over, episode.ended, is_new),
    )
