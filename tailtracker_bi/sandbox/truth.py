"""What is true of a story: each metric, counted one event and one record after the other, slowly and plainly.

Everything comes from what the story itself knows (whose event it is, how a subscription lived), never from what the
sources show of it. Days are UTC, weeks begin on Monday, and what counts as activity, the funnels and the retentions are
those that the product comes with. Each docstring says the definition that its function stands for.
"""

from __future__ import annotations

from calendar import monthrange
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from statistics import fmean, median
from typing import NamedTuple

import numpy as np

from tailtracker_bi.sandbox.shown.app_extras import (
    marketing_spend,
    nps_answers,
    nps_scores,
    rating_scores,
    ratings,
    tickets,
)
from tailtracker_bi.sandbox.shown.monitoring import SHARES, SLOTS_A_DAY, SLOWER, Monitoring
from tailtracker_bi.sandbox.story.behaviour import KINDS, TESTER
from tailtracker_bi.sandbox.story.money import Payment, Price, Subscription, balance_changes
from tailtracker_bi.sandbox.story.pets import TEST_SHARE
from tailtracker_bi.sandbox.story.plot import DAY, NEVER
from tailtracker_bi.sandbox.story.story import Story

UNKNOWABLE: dict[str, str] = {}
"""Metrics that nobody can know from the story, and why."""

GRAINS = ("day", "week", "month")
INACTIVE = {"Business Metrics Report", "Urgent Alert", "Daily Report Generated", "Payment Failed"}
"""Sent by servers: no sign that a person was there."""
ONBOARDING = ("User Registration", "Pet Profile Created", "Location Services Enabled", "Subscription Conversion")
LOST_PET_RECOVERY = ("Lost Pet Alert Created", "Alert Shared", "Search Initiated", "Pet Recovered")
MOVEMENTS = ("new", "reactivation", "expansion", "contraction", "churn")

Value = Decimal | float | None


class Truth(NamedTuple):
    """A true value. Counts and amounts are exact; None where there is nothing to divide by, or it is not known yet."""

    metric_id: str
    grain: str
    period_start: date
    value: Value


@dataclass
class _Frame:
    """The whole days of a story up to a moment, as numbers from 0, and the periods that they lie in."""

    story: Story
    now: int
    days: int
    readings: Sequence[int]
    """When the app's database was read."""
    periods: dict[str, dict[date, range]] = field(default_factory=dict)
    """By grain: the first day of each period, and which days of the story lie in it."""

    def __post_init__(self) -> None:
        first = self.story.plot.first
        for grain in GRAINS:
            found: dict[date, list[int]] = defaultdict(list)
            for day in range(self.days):
                found[_period_of(grain, first + timedelta(days=day))].append(day)
            self.periods[grain] = {start: range(own[0], own[-1] + 1) for start, own in found.items()}

    def each_day(self) -> Iterator[tuple[date, int]]:
        return ((self.story.plot.first + timedelta(days=day), day) for day in range(self.days))

    def day_of(self, at: int) -> int:
        return (at - self.story.plot.start) // DAY

    def seen_and_missed(self, created: int, deleted: int) -> tuple[bool, int]:
        """Whether a reading shows something, and when the first one after it is gone was: NEVER, if none was."""
        is_seen = any(created <= at < deleted for at in self.readings)
        return is_seen, min((at for at in self.readings if at >= deleted), default=NEVER)

    def has_been(self, at: int) -> bool:
        """Whether something is among the whole days."""
        return self.day_of(at) < self.days


def truth(story: Story, as_of: datetime, readings: Sequence[datetime] = ()) -> Iterator[Truth]:
    """All true values of all whole days before this moment, and of the weeks and months that they lie in.

    `readings` are the moments at which the app's database was read, where that was not once, at `as_of`: it forgets
    what is deleted, so who reads it knows only what is there then, and sees later that it is gone.
    """
    now = int(as_of.timestamp())
    plot = story.plot
    days = min(max((now - plot.start) // DAY, 0), plot.days + plot.ahead)
    frame = _Frame(story, now, days, sorted(int(at.timestamp()) for at in readings or [as_of]))
    yield from _people(frame)
    yield from _accounts(frame)
    yield from _alerts(frame)
    yield from _subscriptions(frame)
    yield from _payments(frame)
    yield from _balance(frame)
    yield from _service_levels(frame)
    yield from _voices(frame)


def quotients(rows: Iterable[Truth], of: Mapping[str, tuple[str, str]]) -> Iterator[Truth]:
    """What is true of metrics that are said to divide one metric by another: it follows from what is true of these."""
    known = {(row.metric_id, row.grain, row.period_start): row.value for row in rows}
    for metric_id, (over, under) in of.items():
        for (of_metric, grain, start), value in known.items():
            if of_metric == over and (under, grain, start) in known:
                whole = known[under, grain, start]
                yield Truth(
                    metric_id, grain, start, float(value) / float(whole) if value is not None and whole else None
                )


def _period_of(grain: str, day: date) -> date:
    if grain == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if grain == "month" else day


def _ratio(numerator: float | None, denominator: float) -> float | None:
    return numerator / denominator if denominator and numerator is not None else None


def _sums(frame: _Frame, metric_id: str, by_day: Sequence[Decimal | int]) -> Iterator[Truth]:
    """What is counted a day, and the sums of weeks and months."""
    for grain, periods in frame.periods.items():
        for start, days in periods.items():
            yield Truth(metric_id, grain, start, Decimal(sum(by_day[day] for day in days)))


def _ends(frame: _Frame, metric_id: str, by_day: Sequence[Decimal | int]) -> Iterator[Truth]:
    """What there is at the end of a day, and at the end of the last day of a week or month."""
    for grain, periods in frame.periods.items():
        for start, days in periods.items():
            yield Truth(metric_id, grain, start, Decimal(by_day[days[-1]]))


def _shares(frame: _Frame, metric_id: str, part: Sequence[int], whole: Sequence[int]) -> Iterator[Truth]:
    """Of so many a day so many: over weeks and months sum by sum."""
    for grain, periods in frame.periods.items():
        for start, days in periods.items():
            yield Truth(
                metric_id, grain, start, _ratio(sum(part[day] for day in days), sum(whole[day] for day in days))
            )


# People


def _people(frame: _Frame) -> Iterator[Truth]:
    """All that is counted from events: each that has arrived, once, and none of a load test."""
    story, plot = frame.story, frame.story.plot
    counted = [0] * frame.days
    active: list[set[int]] = [set() for _ in range(frame.days)]
    steps: dict[str, list[tuple[int, int, int, int]]] = defaultdict(list)
    events = story.events
    columns = (events.time, events.kind, events.person, events.arrived, events.is_copy, events.subject, events.value)
    for at, kind, person, arrived, is_copy, subject, value in zip(*(each.tolist() for each in columns), strict=True):
        if is_copy or person == TESTER or arrived > frame.now or not frame.has_been(at):
            continue
        name = KINDS[kind]
        day = (at - plot.start) // DAY
        counted[day] += 1
        if name not in INACTIVE:
            active[day].add(person)
        if name in ONBOARDING or name in LOST_PET_RECOVERY:
            steps[name].append((at, person, subject, value))
    yield from _sums(frame, "events", counted)
    yield from _active(frame, active)
    yield from _lifecycle(frame, active)
    yield from _retention(frame, active, steps["User Registration"])
    yield from _funnels(frame, steps)


def _active(frame: _Frame, active: list[set[int]]) -> Iterator[Truth]:
    """People with an activity on the day, in the 7 and in the 30 days that end on it. Stickiness: DAU / MAU."""
    inside = {7: Counter[int](), 30: Counter[int]()}
    for start, day in frame.each_day():
        for length, people in inside.items():
            people.update(active[day])
            if day >= length:
                people.subtract(active[day - length])
                for person in active[day - length]:
                    if not people[person]:
                        del people[person]
        yield Truth("dau", "day", start, Decimal(len(active[day])))
        yield Truth("wau", "day", start, Decimal(len(inside[7])))
        yield Truth("mau", "day", start, Decimal(len(inside[30])))


def _lifecycle(frame: _Frame, active: list[set[int]]) -> Iterator[Truth]:
    """New: never active before. Returning: active in the period before, too. Resurrecting: not then, but earlier.

    Dormant: active in the period before and not now. Pulse: (new + resurrecting) / dormant.
    """
    for grain, periods in frame.periods.items():
        before: set[int] = set()
        ever: set[int] = set()
        for start, days in periods.items():
            now = set().union(*(active[day] for day in days))
            new, returning, dormant = len(now - ever), len(now & before), len(before - now)
            resurrecting = len(now) - new - returning
            counts = {"new": new, "returning": returning, "resurrecting": resurrecting, "dormant": dormant}
            yield Truth("active_users", grain, start, Decimal(len(now)))
            for state, count in counts.items():
                yield Truth(f"users_{state}", grain, start, Decimal(count))
            yield Truth("pulse", grain, start, _ratio(new + resurrecting, dormant))
            before = now
            ever |= now


def _retention(
    frame: _Frame, active: list[set[int]], registrations: Iterable[tuple[int, int, int, int]]
) -> Iterator[Truth]:
    """Of those whose first registration is on the day, the share active on exactly the N-th day after it."""
    joined: dict[int, int] = {}
    for at, person, _, _ in registrations:
        joined.setdefault(person, frame.day_of(at))
    cohorts: list[set[int]] = [set() for _ in range(frame.days)]
    for person, day in joined.items():
        cohorts[day].add(person)
    for start, day in frame.each_day():
        for later in (1, 7, 30, 90):
            is_reached = day + later < frame.days
            back = len(cohorts[day] & active[day + later]) if is_reached else None
            yield Truth(f"retention_d{later}", "day", start, _ratio(back, len(cohorts[day])))


def _funnels(frame: _Frame, steps: dict[str, list[tuple[int, int, int, int]]]) -> Iterator[Truth]:
    """Of the people who enter in the period, the share that goes all the way within the window.

    Onboarding is a person's way, within 7 days. The search for a lost pet is the way of one alert, within 30 days;
    shares that only try it out are none.
    """
    ways: dict[str, dict[tuple[int, ...], list[list[int]]]] = {"onboarding": {}, "lost_pet_recovery": {}}
    for funnel_id, names in (("onboarding", ONBOARDING), ("lost_pet_recovery", LOST_PET_RECOVERY)):
        for place, name in enumerate(names):
            for at, person, subject, value in steps[name]:
                if name == "Alert Shared" and value == TEST_SHARE:
                    continue
                key = (person,) if funnel_id == "onboarding" else (person, subject)
                ways[funnel_id].setdefault(key, [[] for _ in names])[place].append(at)
    for funnel_id, window in (("onboarding", 7 * DAY), ("lost_pet_recovery", 30 * DAY)):
        entered: dict[int, set[int]] = defaultdict(set)
        through: dict[int, set[int]] = defaultdict(set)
        for (person, *_), times in ways[funnel_id].items():
            for entry in times[0]:
                day = frame.day_of(entry)
                entered[day].add(person)
                if _goes_through(entry, times[1:], entry + window):
                    through[day].add(person)
        for grain, periods in frame.periods.items():
            for start, days in periods.items():
                part, whole = (set().union(*(found[day] for day in days)) for found in (through, entered))
                yield Truth(f"{funnel_id}_conversion", grain, start, _ratio(len(part), len(whole)))


def _goes_through(entry: int, steps: Sequence[Sequence[int]], until: int) -> bool:
    """Each step at or after the one before, the earliest that there is."""
    at = entry
    for times in steps:
        following = [time for time in times if at <= time <= until]
        if not following:
            return False
        at = min(following)
    return True


# Accounts, pets and alerts


def _accounts(frame: _Frame) -> Iterator[Truth]:
    """Accounts and pets that some reading shows, by the day of their making; they are there until one does not."""
    people, pets = frame.story.people, frame.story.pets
    signed_up, deleted = people.signed_up.tolist(), people.deleted.tolist()
    accounts = zip(signed_up[: people.accounts], deleted[: people.accounts], strict=True)
    theirs = ((at, deleted[person]) for at, person in zip(pets.created.tolist(), pets.person.tolist(), strict=True))
    for made, total, objects in (("sign_ups", "total_users", accounts), ("pets_created", "total_pets", theirs)):
        created, gone = [0] * frame.days, [0] * frame.days
        for at, until in objects:
            is_seen, missed = frame.seen_and_missed(at, until)
            if is_seen and frame.has_been(at):
                created[frame.day_of(at)] += 1
                if frame.has_been(missed):
                    gone[frame.day_of(missed)] += 1
        yield from _sums(frame, made, created)
        yield from _ends(frame, total, [sum(created[: day + 1]) - sum(gone[: day + 1]) for day in range(frame.days)])


def _alerts(frame: _Frame) -> Iterator[Truth]:
    """Alerts by the day they begin, pets found by the day of that.

    The recovery rate of a day is over the alerts of the 30 days that end on it, less those that are cancelled by now:
    the share found by the end of the day. Hours to recovery are over the pets found in the period.
    """
    begun, found = [0] * frame.days, [0] * frame.days
    hours: list[list[float]] = [[] for _ in range(frame.days)]
    lasting: list[tuple[int, int]] = []
    for alert in frame.story.alerts:
        if not frame.has_been(alert.created):
            continue
        begun[frame.day_of(alert.created)] += 1
        if alert.canceled <= frame.now:
            continue
        lasting.append((frame.day_of(alert.created), frame.day_of(alert.found)))
        if frame.has_been(alert.found):
            found[frame.day_of(alert.found)] += 1
            hours[frame.day_of(alert.found)].append((alert.found - alert.created) / 3600)
    yield from _sums(frame, "lost_pet_alerts", begun)
    yield from _sums(frame, "pets_recovered", found)
    for start, day in frame.each_day():
        window = [by for created, by in lasting if day - 30 < created <= day]
        yield Truth("recovery_rate_30d", "day", start, _ratio(sum(by <= day for by in window), len(window)))
    for grain, periods in frame.periods.items():
        for start, days in periods.items():
            own = [each for day in days for each in hours[day]]
            yield Truth("recovery_hours_avg", grain, start, fmean(own) if own else None)
            yield Truth("recovery_hours_median", grain, start, median(own) if own else None)


# Subscriptions


def _subscriptions(frame: _Frame) -> Iterator[Truth]:
    """MRR at the end of each day, and what moves it: each customer's change from one day's end to the next.

    New: the first ever above 0. Reactivation: above 0 again. Churn: down to 0. Expansion and contraction: in between.
    """
    mrr, here = [Decimal(0)] * frame.days, [0] * frame.days
    amounts = {movement: [Decimal(0)] * frame.days for movement in MOVEMENTS}
    counts = {movement: [0] * frame.days for movement in MOVEMENTS}
    for customer in frame.story.customers:
        before, has_paid = Decimal(0), False
        for day in range(min(frame.day_of(customer.created), frame.days), frame.days):
            end = frame.story.plot.start + (day + 1) * DAY
            after = sum((_mrr(each, end) for each in customer.subscriptions), Decimal(0))
            if movement := _movement(before, after, has_paid):
                amounts[movement][day] += abs(after - before)
                counts[movement][day] += 1
            mrr[day] += after
            here[day] += after > 0
            before, has_paid = after, has_paid or after > 0
    yield from _ends(frame, "subscribers", here)
    yield from _sums(frame, "subscribers_new", counts["new"])
    yield from _sums(frame, "subscribers_churned", counts["churn"])
    yield from _ends(frame, "mrr", mrr)
    yield from _ends(frame, "arr", [12 * amount for amount in mrr])
    for movement, by_day in amounts.items():
        yield from _sums(frame, f"mrr_{movement}", by_day)
    yield from _sums(frame, "mrr_net_new", [now - was for was, now in zip([Decimal(0), *mrr], mrr, strict=False)])
    yield from _churn(frame, here, counts["new"], counts["churn"])
    yield from _acquisition(frame, counts["new"])


def _acquisition(frame: _Frame, new: list[int]) -> Iterator[Truth]:
    """Marketing spend per customer who begins to pay."""
    cents = [0] * frame.days
    for day, _, spent in zip(
        *(each.tolist() for each in marketing_spend(frame.story.plot, frame.story.people)), strict=True
    ):
        if day < frame.days:
            cents[day] += spent
    yield from _shares(frame, "cac", cents, [100 * customers for customers in new])


def _churn(frame: _Frame, here: list[int], new: list[int], churned: list[int]) -> Iterator[Truth]:
    """Of a month: who left / who was there before it. Of 30 days: who left / who was there before them or came new."""
    for start, days in frame.periods["month"].items():
        opening = here[days[0] - 1] if days[0] else 0
        yield Truth("subscriber_churn_rate", "month", start, _ratio(sum(churned[day] for day in days), opening))
    for start, day in frame.each_day():
        window = slice(max(0, day - 29), day + 1)
        at_risk = (here[day - 30] if day >= 30 else 0) + sum(new[window])
        yield Truth("subscriber_churn_rate_30d", "day", start, _ratio(sum(churned[window]), at_risk))


def _movement(before: Decimal, after: Decimal, has_paid: bool) -> str | None:
    if before == after:
        return None
    if not before:
        return "reactivation" if has_paid else "new"
    if not after:
        return "churn"
    return "expansion" if after > before else "contraction"


def _mrr(subscription: Subscription, end: int) -> Decimal:
    """What a subscription brings a month just before this moment: nothing on trial, while paused, before and after."""
    if not subscription.begins_to_pay < end <= subscription.ended or subscription.pause_at(end - 1):
        return Decimal(0)
    return _monthly(subscription.price_at(end - 1), subscription)


def _monthly(price: Price, subscription: Subscription) -> Decimal:
    """The price less a discount that lasts forever, a month, in euros, rounded half up to 6 decimals."""
    cents = Decimal(price.cents)
    if subscription.coupon and subscription.coupon.duration == "forever":
        cents = cents * (100 - subscription.coupon.percent) / 100 - subscription.coupon.cents
    return (max(cents, Decimal(0)) / 100 / price.months).quantize(Decimal("0.000001"), ROUND_HALF_UP)


# Payments


def _payments(frame: _Frame) -> Iterator[Truth]:
    """What was to be paid, on the day of the first attempt at it, with all attempts made by now.

    Successful: one attempt was. Unsuccessful: none was, and one failed (to be blocked is not to fail). Recovered, of
    renewals but not the first bill after a trial: the first attempt failed, and a later one was successful. Charges are
    each on their own day, as refunded or disputed if they are by now.
    """
    keys = ("payments", "paid", "decided", "first paid", "first decided", "attempts paid", "attempts decided",
            "recovered", "recoverable", "charges", "refunded", "disputed", "cents")  # fmt: skip
    found = {key: [0] * frame.days for key in keys}
    for customer in frame.story.customers:
        for _, invoice in customer.invoices():
            outcomes = _outcomes(frame, invoice.payment) if invoice.payment else []
            if not (invoice.payment and outcomes):
                continue
            _count_charge(frame, invoice.payment, found)
            if not frame.has_been(invoice.payment.attempts[0].at):
                continue
            paid, failed = outcomes.count("succeeded"), outcomes.count("failed")
            day = frame.day_of(invoice.payment.attempts[0].at)
            found["payments"][day] += 1
            found["paid"][day] += paid > 0
            found["decided"][day] += paid + failed > 0
            found["first paid"][day] += outcomes[0] == "succeeded"
            found["first decided"][day] += outcomes[0] != "blocked"
            found["attempts paid"][day] += paid
            found["attempts decided"][day] += paid + failed
            if invoice.reason == "subscription_cycle" and not invoice.is_after_trial and outcomes[0] == "failed":
                found["recoverable"][day] += 1
                found["recovered"][day] += paid > 0
    yield from _sums(frame, "payments", found["payments"])
    yield from _sums(frame, "gross_volume", [Decimal(cents) / 100 for cents in found["cents"]])
    for metric_id, part, whole in (
        ("payment_success_rate", "paid", "decided"),
        ("first_attempt_success_rate", "first paid", "first decided"),
        ("attempt_success_rate", "attempts paid", "attempts decided"),
        ("recovery_rate", "recovered", "recoverable"),
        ("refund_rate", "refunded", "charges"),
        ("dispute_rate", "disputed", "charges"),
    ):
        yield from _shares(frame, metric_id, found[part], found[whole])


def _outcomes(frame: _Frame, payment: Payment) -> list[str]:
    return [attempt.outcome for attempt in payment.attempts if attempt.at <= frame.now]


def _count_charge(frame: _Frame, payment: Payment, found: dict[str, list[int]]) -> None:
    if not frame.has_been(payment.paid_at):
        return
    day = frame.day_of(payment.paid_at)
    found["charges"][day] += 1
    found["cents"][day] += payment.cents
    found["refunded"][day] += payment.refund is not None and payment.refund.at <= frame.now
    found["disputed"][day] += payment.dispute is not None and payment.dispute.at <= frame.now


def _balance(frame: _Frame) -> Iterator[Truth]:
    """What moved the balance, each on its own day. Won disputes come back; payouts move what is counted already."""
    found = {metric_id: [0] * frame.days for metric_id in ("refunds", "disputes", "fees", "net_volume")}
    for change in balance_changes(frame.story.customers, frame.story.plot.end):
        if not frame.has_been(change.at) or change.category == "payout":
            continue
        day = frame.day_of(change.at)
        found["net_volume"][day] += change.cents - change.fee
        found["fees"][day] += change.fee
        match change.category:
            case "refund":
                found["refunds"][day] -= change.cents
            case "dispute" | "dispute_reversal":
                found["disputes"][day] -= change.cents
            case "fee":
                found["fees"][day] -= change.cents
    for metric_id, by_day in found.items():
        yield from _sums(frame, metric_id, [Decimal(cents) / 100 for cents in by_day])


# Service levels


def _service_levels(frame: _Frame) -> Iterator[Truth]:
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
    yield from _shares(frame, "availability", served, answered)
    yield from _shares(frame, "error_rate", failed, answered)
    for grain, periods in frame.periods.items():
        for start, days in periods.items():
            longer = {bound: sum(by_day[day] for day in days) for bound, by_day in slower.items()}
            yield Truth("latency_p95_ms", grain, start, _p95(sum(answered[day] for day in days), longer))
            last = frame.story.plot.first + timedelta(days=days[-1])
            since = range(max(days[-1] - last.day + 1, 0), days[-1] + 1)
            share = _ratio(sum(failed[day] for day in since), sum(answered[day] for day in since))
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


# Voices


def _voices(frame: _Frame) -> Iterator[Truth]:
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
    yield from _sums(frame, "support_tickets", asked)
    points = {10: 100, 9: 100, 8: 0, 7: 0}
    for metric_id, (who, at), scores in (
        ("app_store_rating", ratings(people), [int(score) for score in rating_scores(ratings(people)[0])]),
        ("nps", nps_answers(people), [points.get(score, -100) for score in nps_scores(nps_answers(people)[0])]),
    ):
        summed, given = [0] * frame.days, [0] * frame.days
        for place, day in shown(who.tolist(), at.tolist()):
            summed[day] += scores[place]
            given[day] += 1
        yield from _shares(frame, metric_id, summed, given)
