"""The true value of each metric: what is counted of a story by the story alone.

It shares nothing with the warehouse, so that what both say is right.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from tailtracker_bi.sandbox.story.plot import DAY
from tailtracker_bi.sandbox.story.story import Story
from tailtracker_bi.sandbox.truth.frame import EURO, Frame, Truth
from tailtracker_bi.sandbox.truth.money import of_balance, of_payments, of_subscriptions, of_trials
from tailtracker_bi.sandbox.truth.people import of_accounts, of_alerts, of_people
from tailtracker_bi.sandbox.truth.voices import of_login_attacks, of_service_levels, of_voices

UNKNOWABLE: dict[str, str] = {}
"""Metrics that nobody can know from the story, and why."""


def truth(story: Story, as_of: datetime, readings: Sequence[datetime] = (), currency: str = EURO) -> Iterator[Truth]:
    """All true values of all whole days before this moment, and of the weeks and months that they lie in; of money in
    each currency, too. Totals are in `currency`.

    `readings` are the moments at which the app's database was read, where that was not once, at `as_of`: it forgets
    what is deleted, so who reads it knows only what is there then, and sees later that it is gone.
    """
    now = int(as_of.timestamp())
    plot = story.plot
    days = min(max((now - plot.start) // DAY, 0), plot.days + plot.ahead)
    frame = Frame(story, now, days, sorted(int(at.timestamp()) for at in readings or [as_of]), currency)
    yield from of_people(frame)
    yield from of_accounts(frame)
    yield from of_alerts(frame)
    for of_money in (of_subscriptions, of_trials, of_payments, of_balance):
        yield from of_money(frame)
        for part in frame.of_currencies():
            yield from (row._replace(currency=part.currency.upper()) for row in of_money(part))
    yield from of_service_levels(frame)
    yield from of_voices(frame)
    yield from of_login_attacks(frame)


def quotients(rows: Iterable[Truth], of: Mapping[str, tuple[str, str]]) -> Iterator[Truth]:
    """What is true of metrics that are said to divide one metric by another: it follows from what is true of these."""
    known = {(row.metric_id, row.grain, row.period_start, row.currency): row.value for row in rows}
    for metric_id, (over, under) in of.items():
        for (of_metric, grain, start, currency), value in known.items():
            if of_metric == over and (under, grain, start, currency) in known:
                whole = known[under, grain, start, currency]
                share = float(value) / float(whole) if value is not None and whole else None
                yield Truth(metric_id, grain, start, share, currency)
