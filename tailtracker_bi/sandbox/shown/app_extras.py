"""The tables around the app's core: searches, families, reminders, experiments, threats, marketing, voices."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import numpy as np
import polars as pl

from tailtracker_bi.sandbox.shown.app_view import Row, View, frame_of, ids_of, moment_of, moments_of
from tailtracker_bi.sandbox.story.chance import Ints, between, is_chosen, of_rare_things, picked
from tailtracker_bi.sandbox.story.people import CHANNELS, PLATFORMS, WEB, People
from tailtracker_bi.sandbox.story.plot import CHECKLIST, DAY, HOUR, NEVER, PAYWALL, VARIANTS, Plot, dates_of

_REMINDERS = ("vaccination", "deworming", "medication", "grooming", "check_up")
_THREATS = ("brute_force_login", "credential_stuffing", "api_abuse", "sql_injection", "app_tampering")


def pet_sightings(view: View) -> pl.DataFrame:
    """What others saw of a lost pet, an hour or more after the alert."""
    which, turn = _each_alert(view, 3)
    alerts = [view.alerts[number] for number in which]
    key = which * 100 + turn
    seen = np.array([alert.created for alert in alerts], np.int64) + between(key, "sighting", HOUR, 3 * DAY)
    happens = (seen <= view.now) & (seen < np.array([alert.ends for alert in alerts], np.int64))
    happens &= is_chosen(key, "sees", 0.4)
    return pl.DataFrame(
        {
            "id": ids_of("sighting", key),
            "lost_pet_report_id": pl.Series([alert.alert_id for alert in alerts], dtype=pl.String),
            "reporter_user_id": view.users.gather(view.somebody(key)),
            "sighting_date": moments_of(seen),
            "location": pl.repeat("POINT(8.5 47.4)", len(which), eager=True),
            "confidence_level": between(key, "confidence", 1, 5),
            "verified": is_chosen(key, "verified", 0.3),
            "created_at": moments_of(seen),
        }
    ).filter(happens)


def lost_pet_notifications(view: View) -> pl.DataFrame:
    """Who is told of an alert, at once; some look."""
    which, turn = _each_alert(view, 40)
    alerts = [view.alerts[number] for number in which]
    key = which * 100 + turn
    created = np.array([alert.created for alert in alerts], np.int64)
    sent = created + between(key, "sent", 5, 90)
    opened = np.where(is_chosen(key, "opens", 0.45), sent + between(key, "opened", 20, 8 * HOUR), NEVER)
    who = view.somebody(key)
    is_known = view.people.signed_up[who] <= created
    happens = (turn < np.array([alert.notified for alert in alerts])) & is_known & (sent <= view.now)
    return pl.DataFrame(
        {
            "id": ids_of("notification", key),
            "lost_pet_report_id": pl.Series([alert.alert_id for alert in alerts], dtype=pl.String),
            "user_id": view.users.gather(who),
            "distance_meters": between(key, "distance", 20, 5000),
            "sent_at": moments_of(sent),
            "opened_at": moments_of(np.where(opened <= view.now, opened, NEVER)),
        }
    ).filter(happens)


def family_sharing(view: View) -> pl.DataFrame:
    """Some pets are shared with somebody else."""
    pets = view.pets
    which = view.pets_there[is_chosen(view.pets_there, "family", 0.15)]
    shared = pets.created[which] + between(which, "shared", HOUR, 30 * DAY)
    other = view.somebody(which)
    is_known = view.people.signed_up[other] <= shared
    happens = (shared <= view.now) & is_known & (other != pets.person[which])
    return pl.DataFrame(
        {
            "id": ids_of("sharing", which),
            "pet_id": pets.pet_id.gather(which),
            "owner_user_id": view.users.gather(pets.person[which]),
            "shared_with_user_id": view.users.gather(other),
            "status": picked(which, "answer", ("accepted", "accepted", "pending", "declined", "revoked")),
            "created_at": moments_of(shared),
        }
    ).filter(happens)


def health_reminders(view: View) -> pl.DataFrame:
    """Some pets have a reminder."""
    pets = view.pets
    which = view.pets_there[is_chosen(view.pets_there, "reminder", 0.5)]
    created = pets.created[which] + between(which, "reminded", 60, 20 * DAY)
    due = created + between(which, "due", 7, 180) * DAY
    is_completed = is_chosen(which, "completed", 0.7) & (due <= view.now)
    return pl.DataFrame(
        {
            "id": ids_of("reminder", which),
            "pet_id": pets.pet_id.gather(which),
            "user_id": view.users.gather(pets.person[which]),
            "reminder_type": picked(which, "kind", _REMINDERS),
            "due_date": dates_of(due),
            "is_recurring": is_chosen(which, "recurring", 0.4),
            "is_completed": is_completed,
            "created_at": moments_of(created),
            "updated_at": moments_of(np.where(is_completed, due, created)),
        }
    ).filter(created <= view.now)


def feature_flags(view: View) -> pl.DataFrame:
    switches = view.now >= view.plot.switches_from
    return pl.DataFrame(
        {
            "name": ["dark_mode", "vet_chat", "plan_switches", CHECKLIST.name, PAYWALL.name],
            "flag_type": ["boolean", "percentage", "boolean", "ab_test", "ab_test"],
            "is_active": [True, True, switches, True, True],
            "environment": ["production"] * 5,
        }
    )


def ab_tests(view: View) -> pl.DataFrame:
    def rows() -> Iterator[Row]:
        for experiment in (CHECKLIST, PAYWALL):
            begins, ends = view.plot.span(experiment)
            if begins <= view.now:
                yield {
                    "name": experiment.name,
                    "description": experiment.description,
                    "variants": json.dumps([{"name": variant, "weight": 50} for variant in VARIANTS]),
                    "status": "completed" if ends <= view.now else "active",
                    "winning_variant": VARIANTS[1] if ends <= view.now else None,
                    "created_at": moment_of(begins),
                    "ended_at": moment_of(ends) if ends <= view.now else None,
                    "environment": "production",
                }

    return frame_of(rows(), "name description variants status winning_variant created_at ended_at environment")


def ab_test_exposures(view: View) -> pl.DataFrame:
    people = view.people
    frames = []
    for experiment in (CHECKLIST, PAYWALL):
        variant = people.variants[experiment.name][: people.accounts]
        who = np.flatnonzero((variant >= 0) & view.is_there & (people.signed_up[: people.accounts] + 5 <= view.now))
        frames.append(
            pl.DataFrame(
                {
                    "test_name": pl.repeat(experiment.name, len(who), eager=True),
                    "user_id": view.users.gather(who),
                    "variant": pl.Series(VARIANTS).gather(variant[who]),
                    "timestamp": moments_of(people.signed_up[who] + 5),
                    "environment": pl.repeat("production", len(who), eager=True),
                }
            )
        )
    return pl.concat(frames)


def threats(plot: Plot) -> tuple[Ints, Ints, pl.Series]:
    """Three on every day: their numbers, when they came, and of what kind they are."""
    key = np.arange((plot.days + plot.ahead) * 3)
    return key, plot.start + key // 3 * DAY + between(key, "threat at", 0, DAY - 1), picked(key, "threat", _THREATS)


def security_events(view: View) -> pl.DataFrame:
    """Threats, answered within hours; and each account that asked to be deleted, a week before."""
    people = view.people
    key, at, kinds = threats(view.plot)
    resolved = np.where(is_chosen(key, "resolves", 0.9), at + between(key, "resolved", 60, 12 * HOUR), NEVER)
    leavers = np.flatnonzero(people.deleted < NEVER)
    asked = np.maximum(people.deleted[leavers] - 7 * DAY, people.signed_up[leavers] + HOUR)
    nobody = pl.Series([None] * len(key), dtype=pl.String)
    times = np.concatenate((at, asked))
    done = np.concatenate((resolved, people.deleted[leavers]))
    kinds = kinds.append(pl.repeat("gdpr_deletion_request", len(leavers), eager=True))
    numbers = np.concatenate((key, 10**7 + leavers))
    return pl.DataFrame(
        {
            "id": ids_of("security", numbers),
            "type": kinds,
            "severity": picked(numbers, "severity", ("low", "low", "medium", "high", "critical")),
            "user_id": nobody.append(view.users.gather(leavers)),
            "ip_address": "203.0.113." + between(numbers, "ip", 1, 254).astype(str).astype(object),
            "action_taken": picked(numbers, "action", ("blocked", "rate_limited", "reviewed")),
            "occurred_at": moments_of(times),
            "resolved_at": moments_of(np.where(done <= view.now, done, NEVER)),
        }
    ).filter(times <= view.now)


def marketing_metrics(view: View) -> pl.DataFrame:
    """What was spent a day and channel: around what each sign-up from it costs."""
    day, of, cents = marketing_spend(view.plot, view.people)
    is_there = day <= (view.now - view.plot.start) // DAY
    day, of, cents = day[is_there], of[is_there], cents[is_there]
    return pl.DataFrame(
        {
            "date": dates_of(view.plot.start + day * DAY),
            "channel": pl.Series([each.name for each in CHANNELS]).gather(of),
            "spend": [f"{each // 100}.{each % 100:02}" for each in cents.tolist()],
            "currency": pl.repeat("EUR", len(day), eager=True),
        }
    )


def marketing_spend(plot: Plot, people: People) -> tuple[Ints, Ints, Ints]:
    """Of each day and paid channel: the day from 0, the channel, and cents of a euro."""
    days = plot.days + plot.ahead
    paid = [number for number, channel in enumerate(CHANNELS) if channel.cost]
    joined = (people.signed_up[: people.accounts] - plot.start) // DAY
    counts = np.zeros((days, len(CHANNELS)), np.int64)
    np.add.at(counts, (joined, people.channel[: people.accounts]), 1)
    day, of = np.repeat(np.arange(days), len(paid)), np.tile(paid, days)
    cost = np.array([each.cost for each in CHANNELS])[of]
    return day, of, counts[day, of] * cost * between(day * 10 + of, "spend", 80, 120) // 100 + cost


def support_tickets(view: View) -> pl.DataFrame:
    who, at = _there(view, *tickets(view.people))
    resolved = at + between(who, "ticket resolved", HOUR, 6 * DAY)
    return pl.DataFrame(
        {
            "id": ids_of("ticket", who),
            "user_id": view.users.gather(who),
            "priority": picked(who, "priority", ("low", "medium", "medium", "high", "urgent")),
            "category": picked(who, "category", ("billing", "bug", "account", "feature_request", "lost_pet")),
            "created_at": moments_of(at),
            "resolved_at": moments_of(np.where(resolved <= view.now, resolved, NEVER)),
        }
    )


def app_store_ratings(view: View) -> pl.DataFrame:
    who, at = _there(view, *ratings(view.people))
    return pl.DataFrame(
        {
            "id": ids_of("rating", who),
            "platform": pl.Series(PLATFORMS).gather(view.people.platform[who]),
            "score": rating_scores(who),
            "created_at": moments_of(at),
        }
    )


def nps_responses(view: View) -> pl.DataFrame:
    who, at = _there(view, *nps_answers(view.people))
    return pl.DataFrame(
        {
            "id": ids_of("nps", who),
            "user_id": view.users.gather(who),
            "score": nps_scores(who),
            "created_at": moments_of(at),
        }
    )


def tickets(people: People) -> tuple[Ints, Ints]:
    """Who asks for help, and when."""
    return _now_and_then(people, "ticket", 0.06)


def ratings(people: People) -> tuple[Ints, Ints]:
    """Who rates the app in a store, and when."""
    who, at = _now_and_then(people, "rating", 0.04)
    is_in_a_store = people.platform[who] != WEB
    return who[is_in_a_store], at[is_in_a_store]


def rating_scores(who: Ints) -> pl.Series:
    return picked(who, "score", (5, 5, 5, 4, 4, 3, 2, 1))


def nps_answers(people: People) -> tuple[Ints, Ints]:
    """Who answers how likely they recommend the app, and when."""
    return _now_and_then(people, "nps", 0.05)


def nps_scores(who: Ints) -> pl.Series:
    return picked(who, "nps score", (10, 10, 9, 9, 9, 8, 8, 7, 6, 4, 2))


def _now_and_then(people: People, what: str, share: float) -> tuple[Ints, Ints]:
    """Some people, and a moment in their first 60 days."""
    who = np.arange(people.accounts)
    who = who[is_chosen(who, what, share * of_rare_things(people.accounts))]
    return who, people.signed_up[who] + between(who, f"{what} at", HOUR, 60 * DAY)


def _there(view: View, who: Ints, at: Ints) -> tuple[Ints, Ints]:
    """As far as it has come, and of those who are still there."""
    is_there = view.is_there[who] & (at <= view.now)
    return who[is_there], at[is_there]


def _each_alert(view: View, times: int) -> tuple[Ints, Ints]:
    """Each alert so many times, and which time it is."""
    size = len(view.alerts)
    return np.repeat(np.arange(size), times), np.tile(np.arange(times), size)


TABLES: dict[str, Callable[[View], pl.DataFrame]] = {
    "pet_sightings": pet_sightings,
    "lost_pet_notifications": lost_pet_notifications,
    "family_sharing": family_sharing,
    "health_reminders": health_reminders,
    "feature_flags": feature_flags,
    "ab_tests": ab_tests,
    "ab_test_exposures": ab_test_exposures,
    "security_events": security_events,
    "marketing_metrics": marketing_metrics,
    "support_tickets": support_tickets,
    "app_store_ratings": app_store_ratings,
    "nps_responses": nps_responses,
}
