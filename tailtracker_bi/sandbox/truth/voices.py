"""What is true of how well the app runs, and of what people say about it."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from datetime import timedelta

import numpy as np

from tailtracker_bi.sandbox.shown.app_extras import (
    nps_answers,
    nps_scores,
    rating_scores,
    ratings,
    threats,
    tickets,
)
from tailtracker_bi.sandbox.shown.monitoring import SHARES, SLOTS_A_DAY, SLOWER, Monitoring
from tailtracker_bi.sandbox.story.plot import NEVER
from tailtracker_bi.sandbox.truth.frame import Frame, Truth, ratio_of, shares_of, sums_of

# Service levels


def of_service_levels(frame: Frame) -> Iterator[Truth]:
    """What servers answered, but for the minutes that nobody measured and those in which they began anew.

    The budget is a thousandth of the month's minutes. It is used up by the share of requests that failed since the
    first of the month, times the minutes measured since then.
    """
    monitoring = Monitoring(frame.story.plot, frame.story.scenario.people, frame.story.scenario.seed)
    answered, failed, minutes = [0] * frame.days, [0] * frame.days, [0] * frame.days
    slower = {bound: [0] * frame.days for bound in SLOWER}
    for _, day in frame.each_day():
        slots = monitoring.first_slot + day * SLOTS_A_DAY + np.arange(SLOTS_A_DAY)
        slots = slots[monitoring.is_scraped(slots) & ~monitoring.is_restart(slots)]
        minutes[day] = 5 * len(slots)
        answered[day] = sum(int(monitoring.requests(service, slots).sum()) for service in SHARES)
        failed[day] = sum(int(monitoring.errors(service, slots).sum()) for service in SHARES)
        for bound, by_day in slower.items():
            by_day[day] = sum(int(monitoring.slower_than(bound, service, slots).sum()) for service in SHARES)
    served = [whole - part for whole, part in zip(answered, failed, strict=True)]
    yield from shares_of(frame, "availability", served, answered)
    yield from shares_of(frame, "error_rate", failed, answered)
    for grain, periods in frame.periods.items():
        for start, days in periods.items():
            longer = {bound: sum(by_day[day] for day in days) for bound, by_day in slower.items()}
            yield Truth("latency_p95_ms", grain, start, _p95(sum(answered[day] for day in days), longer))
            last = frame.story.plot.first + timedelta(days=days[-1])
            since = range(max(days[-1] - last.day + 1, 0), days[-1] + 1)
            share = ratio_of(sum(failed[day] for day in since), sum(answered[day] for day in since))
            used = None if share is None else share * sum(minutes[day] for day in since)
            budget = monthrange(last.year, last.month)[1] * 1.44
            yield Truth("error_budget_remaining", grain, start, None if used is None else 1 - used / budget)


def _p95(answered: int, longer: dict[float, int]) -> float | None:
    """Milliseconds that 95 of 100 requests stay below, which lie evenly between the bounds that they fall between."""
    rank, lower, below = 0.95 * answered, 0.0, 0
    for bound, count in longer.items():
        if answered and answered - count >= rank:
            return 1000 * (lower + (bound - lower) * (rank - below) / (answered - count - below))
        lower, below = bound, answered - count
    return None


def of_login_attacks(frame: Frame) -> Iterator[Truth]:
    """Threats to logins that some reading of the app's database shows, by the day on which they came."""
    by_day = [0] * frame.days
    _, moments, kinds = threats(frame.story.plot)
    for moment, kind in zip(moments.tolist(), kinds, strict=True):
        if kind in ("brute_force_login", "credential_stuffing") and frame.has_been(moment):
            by_day[frame.day_of(moment)] += frame.seen_and_missed(moment, NEVER)[0]
    yield from sums_of(frame, "login_attacks", by_day)


# Voices


def of_voices(frame: Frame) -> Iterator[Truth]:
    """Tickets, ratings and answers that some reading of the app's database shows, by the day on which they are given.

    The score of promoters: the answers of 9 and 10 less those of 0 to 6, of a hundred.
    """
    people = frame.story.people
    deleted = people.deleted.tolist()

    def shown(who: list[int], at: list[int]) -> Iterator[tuple[int, int]]:
        """Which of them, and the day."""
        for place, (person, moment) in enumerate(zip(who, at, strict=True)):
            if frame.seen_and_missed(moment, deleted[person])[0] and frame.has_been(moment):
                yield place, frame.day_of(moment)

    asked = [0] * frame.days
    who, at = tickets(people)
    for _, day in shown(who.tolist(), at.tolist()):
        asked[day] += 1
    yield from sums_of(frame, "support_tickets", asked)
    points = {10: 100, 9: 100, 8: 0, 7: 0}
    for metric_id, (who, at), scores in (
        ("app_store_rating", ratings(people), [int(score) for score in rating_scores(ratings(people)[0])]),
        ("nps", nps_answers(people), [points.get(score, -100) for score in nps_scores(nps_answers(people)[0])]),
    ):
        summed, given = [0] * frame.days, [0] * frame.days
        for place, day in shown(who.tolist(), at.tolist()):
            summed[day] += scores[place]
            given[day] += 1
        yield from shares_of(frame, metric_id, summed, given)
