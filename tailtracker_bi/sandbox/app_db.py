"""The story as the app's database holds it at a moment: a CSV file a table, with the app's own columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from tailtracker_bi.sandbox import chance
from tailtracker_bi.sandbox.chance import Ints, between, is_chosen, picked
from tailtracker_bi.sandbox.files import replaced
from tailtracker_bi.sandbox.mixpanel import breeds
from tailtracker_bi.sandbox.money import TIERS, Customer, Subscription
from tailtracker_bi.sandbox.people import CHANNELS, PLATFORMS, WEB, name_of
from tailtracker_bi.sandbox.pets import SPECIES
from tailtracker_bi.sandbox.plot import CHECKLIST, DAY, HOUR, NEVER, PAYWALL, VARIANTS
from tailtracker_bi.sandbox.stripe_shapes import subscription_status

if TYPE_CHECKING:
    from tailtracker_bi.sandbox.story import Progress, Story

Row = dict[str, Any]

_STATUSES = {"active": "active", "trialing": "active", "past_due": "past_due", "canceled": "cancelled"}
"""The app's word for what Stripe says of a subscription; one whose first payment never came does not exist there."""
_REMINDERS = ("vaccination", "deworming", "medication", "grooming", "check_up")
_THREATS = ("brute_force_login", "credential_stuffing", "api_abuse", "sql_injection", "app_tampering")


def write(story: Story, directory: Path, now: int, progress: Progress) -> None:
    """All tables as they are at this moment."""
    directory.mkdir(parents=True, exist_ok=True)
    tables = _Tables(story, now)
    for done, (table, rows_of) in enumerate(_TABLES.items()):
        progress(f"app database: {table}", done, len(_TABLES))
        with replaced(directory / f"{table}.csv") as file:
            rows_of(tables).write_csv(file)


def _moment(times: Any) -> pl.Series:
    """Times as Postgres writes them, null for what has not happened."""
    series = pl.Series("time", times, pl.Int64)
    return pl.from_epoch(series).dt.strftime("%Y-%m-%d %H:%M:%S+00").set(series >= NEVER, None)


def _text(at: int | None) -> str | None:
    return None if at is None or at >= NEVER else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S+00")


class _Tables:
    """The rows of each table at one moment. What belongs to a deleted account is gone with it."""

    def __init__(self, story: Story, now: int) -> None:
        self._story, self._now = story, now
        people = story.people
        self._users = people.user_id
        self._is_there = (people.signed_up[: people.accounts] <= now) & (people.deleted[: people.accounts] > now)
        self._pets = np.flatnonzero(self._of_people(story.pets.person, story.pets.created))

    def _of_people(self, person: Ints, created: Ints) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        return (created <= self._now) & self._is_there[person]

    def user_profiles(self) -> pl.DataFrame:
        people, now = self._story.people, self._now
        who = np.flatnonzero(self._is_there)
        tier = self._story.plans.at(who, np.full(len(who), now))
        languages = picked(who, "language", ("de", "fr", "es", "it", "en"))
        ever = {customer.person for customer in self._story.customers if _subscription_at(customer, now)}
        has_paid = np.isin(who, np.array(sorted(ever), np.int64))
        return pl.DataFrame(
            {
                "id": _ids("profile", who),
                "user_id": self._users.gather(who),
                "full_name": [name_of(person) for person in who.tolist()],
                "email": "user" + pl.Series(who).cast(pl.String) + "@example.com",
                "phone": "+49 30 555" + pl.Series(who).cast(pl.String).str.zfill(6),
                "preferences": '{"language": "' + languages + '", "subscription_tier": "'
                + pl.Series(TIERS).gather(tier) + '"}',
                "subscription_status": pl.Series(["inactive", "canceled", "active"]).gather(
                    np.where(tier > 0, 2, np.where(has_paid, 1, 0))
                ),
                "subscription_expires_at": pl.Series([None] * len(who), dtype=pl.String),
                "location_sharing_enabled": (people.platform[who] != WEB) & is_chosen(who, "location", 0.5),
                "notification_preferences": pl.repeat('{"push": true}', len(who), eager=True),
                "privacy_settings": pl.repeat("{}", len(who), eager=True),
                "created_at": _moment(people.signed_up[who]),
                "updated_at": _moment(people.signed_up[who]),
            }
        )  # fmt: skip

    def pets(self) -> pl.DataFrame:
        pets, which = self._story.pets, self._pets
        lost = {alert.pet for alert in self._story.alerts if alert.created <= self._now < alert.ends}
        return pl.DataFrame(
            {
                "id": pets.pet_id.gather(which),
                "user_id": self._users.gather(pets.person[which]),
                "name": picked(which, "name", ("Luna", "Milo", "Bella", "Rocky", "Nala", "Simba", "Coco")),
                "species": pl.Series(SPECIES).gather(pets.species[which]),
                "breed": breeds(pets.species[which], which),
                "date_of_birth": pl.from_epoch(pets.created[which] - between(which, "birth", 60, 5000) * DAY).dt.date(),
                "gender": picked(which, "gender", ("male", "female")),
                "weight": between(which, "weight", 20, 420) / 10,
                "photos": pl.repeat("{}", len(which), eager=True),
                "microchip_id": "2760981" + between_text(which, "chip", 8),
                "status": np.where(np.isin(which, np.array(sorted(lost), np.int64)), "lost", "active"),
                "profile_completeness": between(which, "complete", 4, 10) * 10,
                "is_public": is_chosen(which, "public", 0.3),
                "created_at": _moment(pets.created[which]),
                "updated_at": _moment(pets.created[which]),
            }
        )

    def lost_pet_reports(self) -> pl.DataFrame:
        pets = self._story.pets

        def rows() -> Iterator[Row]:
            for alert in self._story.alerts:
                if alert.created > self._now:
                    continue
                is_found, is_canceled = alert.found <= self._now, alert.canceled <= self._now
                yield {
                    "id": alert.alert_id,
                    "pet_id": pets.pet_id[alert.pet],
                    "user_id": self._users[alert.person],
                    "status": "found" if is_found else "canceled" if is_canceled else "active",
                    "last_seen_date": _text(alert.created - HOUR),
                    "last_seen_location": f"POINT({8 + alert.pet % 100 / 100} {47 + alert.pet % 77 / 100})",
                    "urgency": alert.urgency,
                    "alert_radius": 5000,
                    "reward_amount": alert.reward,
                    "is_resolved": is_found or is_canceled,
                    "found_date": _text(alert.found) if is_found else None,
                    "created_at": _text(alert.created),
                    "updated_at": _text(alert.ends if is_found or is_canceled else alert.created),
                }

        columns = (
            "id pet_id user_id status last_seen_date last_seen_location urgency alert_radius reward_amount is_resolved "
            "found_date created_at updated_at"
        )
        return _frame(rows(), columns)

    def pet_sightings(self) -> pl.DataFrame:
        """What others saw of a lost pet, an hour or more after the alert."""
        which, turn = self._each_alert(3)
        alerts = [self._story.alerts[number] for number in which]
        key = which * 100 + turn
        seen = np.array([alert.created for alert in alerts], np.int64) + between(key, "sighting", HOUR, 3 * DAY)
        happens = (seen <= self._now) & (seen < np.array([alert.ends for alert in alerts], np.int64))
        happens &= is_chosen(key, "sees", 0.4)
        return pl.DataFrame(
            {
                "id": _ids("sighting", key),
                "lost_pet_report_id": pl.Series([alert.alert_id for alert in alerts], dtype=pl.String),
                "reporter_user_id": self._users.gather(self._somebody(key)),
                "sighting_date": _moment(seen),
                "location": pl.repeat("POINT(8.5 47.4)", len(which), eager=True),
                "confidence_level": between(key, "confidence", 1, 5),
                "verified": is_chosen(key, "verified", 0.3),
                "created_at": _moment(seen),
            }
        ).filter(happens)

    def lost_pet_notifications(self) -> pl.DataFrame:
        """Who is told of an alert, at once; some look."""
        which, turn = self._each_alert(40)
        alerts = [self._story.alerts[number] for number in which]
        key = which * 100 + turn
        created = np.array([alert.created for alert in alerts], np.int64)
        sent = created + between(key, "sent", 5, 90)
        opened = np.where(is_chosen(key, "opens", 0.45), sent + between(key, "opened", 20, 8 * HOUR), NEVER)
        who = self._somebody(key)
        is_known = self._story.people.signed_up[who] <= created
        happens = (turn < np.array([alert.notified for alert in alerts])) & is_known & (sent <= self._now)
        return pl.DataFrame(
            {
                "id": _ids("notification", key),
                "lost_pet_report_id": pl.Series([alert.alert_id for alert in alerts], dtype=pl.String),
                "user_id": self._users.gather(who),
                "distance_meters": between(key, "distance", 20, 5000),
                "sent_at": _moment(sent),
                "opened_at": _moment(np.where(opened <= self._now, opened, NEVER)),
            }
        ).filter(happens)

    def family_sharing(self) -> pl.DataFrame:
        """Some pets are shared with somebody else."""
        pets = self._story.pets
        which = self._pets[is_chosen(self._pets, "family", 0.15)]
        shared = pets.created[which] + between(which, "shared", HOUR, 30 * DAY)
        other = self._somebody(which)
        is_known = self._story.people.signed_up[other] <= shared
        happens = (shared <= self._now) & is_known & (other != pets.person[which])
        return pl.DataFrame(
            {
                "id": _ids("sharing", which),
                "pet_id": pets.pet_id.gather(which),
                "owner_user_id": self._users.gather(pets.person[which]),
                "shared_with_user_id": self._users.gather(other),
                "status": picked(
                    which, "answer", ("accepted", "accepted", "accepted", "pending", "declined", "revoked")
                ),
                "created_at": _moment(shared),
            }
        ).filter(happens)

    def health_reminders(self) -> pl.DataFrame:
        """Some pets have a reminder."""
        pets = self._story.pets
        which = self._pets[is_chosen(self._pets, "reminder", 0.5)]
        created = pets.created[which] + between(which, "reminded", 60, 20 * DAY)
        due = created + between(which, "due", 7, 180) * DAY
        is_completed = is_chosen(which, "completed", 0.7) & (due <= self._now)
        return pl.DataFrame(
            {
                "id": _ids("reminder", which),
                "pet_id": pets.pet_id.gather(which),
                "user_id": self._users.gather(pets.person[which]),
                "reminder_type": picked(which, "kind", _REMINDERS),
                "due_date": pl.from_epoch(due).dt.date(),
                "is_recurring": is_chosen(which, "recurring", 0.4),
                "is_completed": is_completed,
                "created_at": _moment(created),
                "updated_at": _moment(np.where(is_completed, due, created)),
            }
        ).filter(created <= self._now)

    def subscriptions(self) -> pl.DataFrame:
        return _frame(
            self._subscription_rows(),
            "id user_id tier billing_cycle status current_period_start current_period_end cancel_at_period_end "
            "downgrade_to_tier stripe_subscription_id stripe_customer_id created_at updated_at",
        )

    def _subscription_rows(self) -> Iterator[Row]:
        now = self._now
        for customer in self._customers_there():
            subscription = _subscription_at(customer, now)
            if subscription is None:
                continue
            price = subscription.price_at(now)
            has_ended = subscription.ended <= now
            period = next(each.period for each in reversed(subscription.invoices) if each.created <= now)
            status = "paused" if subscription.pause_at(now) else _STATUSES[subscription_status(subscription, now)]
            yield {
                "id": _app_id(customer),
                "user_id": self._users[customer.person],
                "tier": "free" if has_ended else price.tier,
                "billing_cycle": price.cycle,
                "status": status,
                "current_period_start": _text(period[0]),
                "current_period_end": _text(period[1]),
                "cancel_at_period_end": subscription.asked_to_end <= now < subscription.ended,
                "downgrade_to_tier": "free" if subscription.asked_to_end <= now < subscription.ended else None,
                "stripe_subscription_id": subscription.subscription_id,
                "stripe_customer_id": customer.customer_id,
                "created_at": _text(customer.created),
                "updated_at": _text(subscription.ended if has_ended else period[0]),
            }

    def subscription_history(self) -> pl.DataFrame:
        def rows() -> Iterator[Row]:
            for customer in self._customers_there():
                turns = sorted(turn for each in customer.subscriptions for turn in _turns(each))
                for number, (at, action, before, after, cycle) in enumerate(turns):
                    if at <= self._now:
                        yield {
                            "id": str(_ids("turn", np.array([customer.person * 1000 + number]))[0]),
                            "subscription_id": _app_id(customer),
                            "user_id": self._users[customer.person],
                            "action": action,
                            "from_tier": before,
                            "to_tier": after,
                            "from_billing_cycle": cycle,
                            "to_billing_cycle": cycle,
                            "proration_amount": None,
                            "created_at": _text(at),
                        }

        return _frame(
            rows(),
            "id subscription_id user_id action from_tier to_tier from_billing_cycle to_billing_cycle proration_amount "
            "created_at",
        )

    def feature_flags(self) -> pl.DataFrame:
        switches = self._now >= self._story.plot.switches_from
        return pl.DataFrame(
            {
                "name": ["dark_mode", "vet_chat", "plan_switches", CHECKLIST.name, PAYWALL.name],
                "flag_type": ["boolean", "percentage", "boolean", "ab_test", "ab_test"],
                "is_active": [True, True, switches, True, True],
                "environment": ["production"] * 5,
            }
        )

    def ab_tests(self) -> pl.DataFrame:
        def rows() -> Iterator[Row]:
            for experiment in (CHECKLIST, PAYWALL):
                begins, ends = self._story.plot.span(experiment)
                if begins <= self._now:
                    yield {
                        "name": experiment.name,
                        "description": experiment.description,
                        "variants": json.dumps([{"name": variant, "weight": 50} for variant in VARIANTS]),
                        "status": "completed" if ends <= self._now else "active",
                        "winning_variant": VARIANTS[1] if ends <= self._now else None,
                        "created_at": _text(begins),
                        "ended_at": _text(ends) if ends <= self._now else None,
                        "environment": "production",
                    }

        return _frame(rows(), "name description variants status winning_variant created_at ended_at environment")

    def ab_test_exposures(self) -> pl.DataFrame:
        people = self._story.people
        frames = []
        for experiment in (CHECKLIST, PAYWALL):
            variant = people.variants[experiment.name][: people.accounts]
            who = np.flatnonzero(
                (variant >= 0) & self._is_there & (people.signed_up[: people.accounts] + 5 <= self._now)
            )
            frames.append(
                pl.DataFrame(
                    {
                        "test_name": pl.repeat(experiment.name, len(who), eager=True),
                        "user_id": self._users.gather(who),
                        "variant": pl.Series(VARIANTS).gather(variant[who]),
                        "timestamp": _moment(people.signed_up[who] + 5),
                        "environment": pl.repeat("production", len(who), eager=True),
                    }
                )
            )
        return pl.concat(frames)

    def security_events(self) -> pl.DataFrame:
        """Threats on every day, answered within hours; and each account that asked to be deleted, a week before."""
        plot, people = self._story.plot, self._story.people
        key = np.arange((plot.days + plot.ahead) * 3)
        at = plot.start + key // 3 * DAY + between(key, "threat at", 0, DAY - 1)
        resolved = np.where(is_chosen(key, "resolves", 0.9), at + between(key, "resolved", 60, 12 * HOUR), NEVER)
        leavers = np.flatnonzero(people.deleted < NEVER)
        asked = np.maximum(people.deleted[leavers] - 7 * DAY, people.signed_up[leavers] + HOUR)
        nobody = pl.Series([None] * len(key), dtype=pl.String)
        times = np.concatenate((at, asked))
        done = np.concatenate((resolved, people.deleted[leavers]))
        kinds = picked(key, "threat", _THREATS).append(pl.repeat("gdpr_deletion_request", len(leavers), eager=True))
        numbers = np.concatenate((key, 10**7 + leavers))
        return pl.DataFrame(
            {
                "id": _ids("security", numbers),
                "type": kinds,
                "severity": picked(numbers, "severity", ("low", "low", "medium", "high", "critical")),
                "user_id": nobody.append(self._users.gather(leavers)),
                "ip_address": "203.0.113." + between(numbers, "ip", 1, 254).astype(str).astype(object),
                "action_taken": picked(numbers, "action", ("blocked", "rate_limited", "reviewed")),
                "occurred_at": _moment(times),
                "resolved_at": _moment(np.where(done <= self._now, done, NEVER)),
            }
        ).filter(times <= self._now)

    def marketing_metrics(self) -> pl.DataFrame:
        """What was spent a day and channel: around what each sign-up from it costs."""
        plot, people = self._story.plot, self._story.people
        days = min((self._now - plot.start) // DAY + 1, plot.days + plot.ahead)
        paid = [number for number, channel in enumerate(CHANNELS) if channel.cost]
        joined = (people.signed_up[: people.accounts] - plot.start) // DAY
        channel = people.channel[: people.accounts]
        counts = np.zeros((plot.days + plot.ahead, len(CHANNELS)), np.int64)
        np.add.at(counts, (joined, channel), 1)
        day, of = np.repeat(np.arange(days), len(paid)), np.tile(paid, days)
        cost = np.array([each.cost for each in CHANNELS])[of]
        cents = counts[day, of] * cost * between(day * 10 + of, "spend", 80, 120) // 100 + cost
        return pl.DataFrame(
            {
                "date": pl.from_epoch(plot.start + day * DAY).dt.date(),
                "channel": pl.Series([each.name for each in CHANNELS]).gather(of),
                "spend": [f"{each // 100}.{each % 100:02}" for each in cents.tolist()],
                "currency": pl.repeat("EUR", len(day), eager=True),
            }
        )

    def support_tickets(self) -> pl.DataFrame:
        who, at = self._now_and_then("ticket", 0.06)
        resolved = at + between(who, "ticket resolved", HOUR, 6 * DAY)
        return pl.DataFrame(
            {
                "id": _ids("ticket", who),
                "user_id": self._users.gather(who),
                "priority": picked(who, "priority", ("low", "medium", "medium", "high", "urgent")),
                "category": picked(who, "category", ("billing", "bug", "account", "feature_request", "lost_pet")),
                "created_at": _moment(at),
                "resolved_at": _moment(np.where(resolved <= self._now, resolved, NEVER)),
            }
        )

    def app_store_ratings(self) -> pl.DataFrame:
        who, at = self._now_and_then("rating", 0.04)
        platform = self._story.people.platform[who]
        return pl.DataFrame(
            {
                "id": _ids("rating", who),
                "platform": pl.Series(PLATFORMS).gather(platform),
                "score": picked(who, "score", (5, 5, 5, 4, 4, 3, 2, 1)),
                "created_at": _moment(at),
            }
        ).filter(platform != WEB)

    def nps_responses(self) -> pl.DataFrame:
        who, at = self._now_and_then("nps", 0.05)
        return pl.DataFrame(
            {
                "id": _ids("nps", who),
                "user_id": self._users.gather(who),
                "score": picked(who, "nps score", (10, 10, 9, 9, 9, 8, 8, 7, 6, 4, 2)),
                "created_at": _moment(at),
            }
        )

    def _now_and_then(self, what: str, share: float) -> tuple[Ints, Ints]:
        """Some people, and a moment in their first 60 days, as far as it has come and they are still there."""
        people = self._story.people
        who = np.flatnonzero(self._is_there)
        who = who[is_chosen(who, what, share)]
        at = people.signed_up[who] + between(who, f"{what} at", HOUR, 60 * DAY)
        return who[at <= self._now], at[at <= self._now]

    def _somebody(self, key: Ints) -> Ints:
        """Somebody with an account, for each key."""
        there = np.flatnonzero(self._story.people.deleted[: self._story.people.accounts] == NEVER)
        return there[between(key, "somebody", 0, len(there) - 1)]

    def _each_alert(self, times: int) -> tuple[Ints, Ints]:
        """Each alert so many times, and which time it is."""
        size = len(self._story.alerts)
        return np.repeat(np.arange(size), times), np.tile(np.arange(times), size)

    def _customers_there(self) -> Iterator[Customer]:
        return (customer for customer in self._story.customers if self._is_there[customer.person])


_TABLES: dict[str, Callable[[_Tables], pl.DataFrame]] = {
    name: getattr(_Tables, name)
    for name in (
        "user_profiles", "pets", "lost_pet_reports", "pet_sightings", "lost_pet_notifications", "family_sharing",
        "health_reminders", "subscriptions", "subscription_history", "feature_flags", "ab_tests", "ab_test_exposures",
        "security_events", "marketing_metrics", "support_tickets", "app_store_ratings", "nps_responses",
    )
}  # fmt: skip


def _subscription_at(customer: Customer, now: int) -> Subscription | None:
    """The latest that has begun, and was paid or is on trial."""
    return next((each for each in reversed(customer.subscriptions) if each.paid_first <= now), None)


def _turns(subscription: Subscription) -> Iterator[tuple[int, str, str, str, str]]:
    """(time, action, plan before, plan after, billing cycle) of all that the app records of a subscription."""
    if subscription.paid_first == NEVER:
        return
    before = "free"
    for at, price in subscription.terms:
        rises = TIERS.index(price.tier) > TIERS.index(before)
        action = "upgrade" if rises else "downgrade" if price.tier != before else "billing_cycle_change"
        yield max(at, subscription.paid_first), action, before, price.tier, price.cycle
        before = price.tier
    cycle = subscription.terms[-1][1].cycle
    if subscription.asked_to_end < NEVER:
        yield subscription.asked_to_end, "cancel", before, before, cycle
    if subscription.ended < NEVER:
        yield subscription.ended, "period_end", before, "free", cycle
    for begins, _ in subscription.late:
        yield begins, "payment_failed", before, before, cycle


def _app_id(customer: Customer) -> str:
    return str(_ids("subscription", np.array([customer.person]))[0])


def _ids(kind: str, numbers: Ints) -> pl.Series:
    return chance.uuids_of(numbers, kind)


def between_text(numbers: Ints, salt: str, digits: int) -> pl.Series:
    """So many digits for each number."""
    return pl.Series(between(numbers, salt, 0, 10**digits - 1)).cast(pl.String).str.zfill(digits)


def _frame(rows: Iterator[Row], columns: str) -> pl.DataFrame:
    """Rows as a table that has its columns also where there is no row."""
    return pl.DataFrame(list(rows), dict.fromkeys(columns.split()), infer_schema_length=None)
