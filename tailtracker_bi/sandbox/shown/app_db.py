"""The story as the app's database holds it at a moment: a CSV file a table, with the app's own columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl

from tailtracker_bi.sandbox.shown import app_extras
from tailtracker_bi.sandbox.shown.app_view import Row, View, frame_of, ids_of, moment_of, moments_of
from tailtracker_bi.sandbox.shown.files import replaced
from tailtracker_bi.sandbox.shown.mixpanel import breeds
from tailtracker_bi.sandbox.shown.stripe_shapes import subscription_status
from tailtracker_bi.sandbox.story.chance import Ints, between, is_chosen, picked
from tailtracker_bi.sandbox.story.money import TIERS, Customer, Subscription
from tailtracker_bi.sandbox.story.people import WEB, name_of
from tailtracker_bi.sandbox.story.pets import SPECIES
from tailtracker_bi.sandbox.story.plot import DAY, HOUR, NEVER, dates_of
from tailtracker_bi.sandbox.story.story import Progress, Story

_STATUSES = {
    "active": "active", "trialing": "active", "past_due": "past_due", "unpaid": "past_due", "canceled": "cancelled",
}  # fmt: skip
"""The app's word for what Stripe says of a subscription; one whose first payment never came does not exist there."""


def write(story: Story, directory: Path, now: int, progress: Progress) -> None:
    """All tables as they are at this moment."""
    directory.mkdir(parents=True, exist_ok=True)
    view = View(story, now)
    for done, (table, rows_of) in enumerate(TABLES.items()):
        progress(f"app database: {table}", done, len(TABLES))
        with replaced(directory / f"{table}.csv") as file:
            rows_of(view).write_csv(file)


def user_profiles(view: View) -> pl.DataFrame:
    people, now = view.people, view.now
    who = np.flatnonzero(view.is_there)
    tier = view.plans.at(who, np.full(len(who), now))
    languages = picked(who, "language", ("de", "fr", "es", "it", "en"))
    ever = {customer.person for customer in view.customers if _subscription_at(customer, now)}
    has_paid = np.isin(who, np.array(sorted(ever), np.int64))
    return pl.DataFrame(
        {
            "id": ids_of("profile", who),
            "user_id": view.users.gather(who),
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
            "created_at": moments_of(people.signed_up[who]),
            "updated_at": moments_of(people.signed_up[who]),
        }
    )  # fmt: skip


def pets(view: View) -> pl.DataFrame:
    pets, which = view.pets, view.pets_there
    lost = {alert.pet for alert in view.alerts if alert.created <= view.now < alert.ends}
    return pl.DataFrame(
        {
            "id": pets.pet_id.gather(which),
            "user_id": view.users.gather(pets.person[which]),
            "name": picked(which, "name", ("Luna", "Milo", "Bella", "Rocky", "Nala", "Simba", "Coco")),
            "species": pl.Series(SPECIES).gather(pets.species[which]),
            "breed": breeds(pets.species[which], which),
            "date_of_birth": dates_of(pets.created[which] - between(which, "birth", 60, 5000) * DAY),
            "gender": picked(which, "gender", ("male", "female")),
            "weight": between(which, "weight", 20, 420) / 10,
            "photos": pl.repeat("{}", len(which), eager=True),
            "microchip_id": "2760981" + _digits(which, "chip", 8),
            "status": np.where(np.isin(which, np.array(sorted(lost), np.int64)), "lost", "active"),
            "profile_completeness": between(which, "complete", 4, 10) * 10,
            "is_public": is_chosen(which, "public", 0.3),
            "created_at": moments_of(pets.created[which]),
            "updated_at": moments_of(pets.created[which]),
        }
    )


def lost_pet_reports(view: View) -> pl.DataFrame:
    pets = view.pets

    def rows() -> Iterator[Row]:
        for alert in view.alerts:
            if alert.created > view.now:
                continue
            is_found, is_canceled = alert.found <= view.now, alert.canceled <= view.now
            yield {
                "id": alert.alert_id,
                "pet_id": pets.pet_id[alert.pet],
                "user_id": view.users[alert.person],
                "status": "found" if is_found else "canceled" if is_canceled else "active",
                "last_seen_date": moment_of(alert.created - HOUR),
                "last_seen_location": f"POINT({8 + alert.pet % 100 / 100} {47 + alert.pet % 77 / 100})",
                "urgency": alert.urgency,
                "alert_radius": 5000,
                "reward_amount": alert.reward,
                "is_resolved": is_found or is_canceled,
                "found_date": moment_of(alert.found) if is_found else None,
                "created_at": moment_of(alert.created),
                "updated_at": moment_of(alert.ends if is_found or is_canceled else alert.created),
            }

    columns = (
        "id pet_id user_id status last_seen_date last_seen_location urgency alert_radius reward_amount is_resolved "
        "found_date created_at updated_at"
    )
    return frame_of(rows(), columns)


def subscriptions(view: View) -> pl.DataFrame:
    return frame_of(
        _subscription_rows(view),
        "id user_id tier billing_cycle status current_period_start current_period_end cancel_at_period_end "
        "downgrade_to_tier stripe_subscription_id stripe_customer_id created_at updated_at",
    )


def _subscription_rows(view: View) -> Iterator[Row]:
    now = view.now
    for customer in view.customers_there():
        subscription = _subscription_at(customer, now)
        if subscription is None:
            continue
        price = subscription.price_at(now)
        has_ended = subscription.ended <= now
        period = next(each.period for each in reversed(subscription.invoices) if each.created <= now)
        status = "paused" if subscription.pause_at(now) else _STATUSES[subscription_status(subscription, now)]
        yield {
            "id": view.subscription_ids[customer.person],
            "user_id": view.users[customer.person],
            "tier": "free" if has_ended else price.tier,
            "billing_cycle": price.cycle_in_app,
            "status": status,
            "current_period_start": moment_of(period[0]),
            "current_period_end": moment_of(period[1]),
            "cancel_at_period_end": subscription.asked_to_end <= now < subscription.ended,
            "downgrade_to_tier": "free" if subscription.asked_to_end <= now < subscription.ended else None,
            "stripe_subscription_id": subscription.subscription_id,
            "stripe_customer_id": customer.customer_id,
            "created_at": moment_of(customer.created),
            "updated_at": moment_of(subscription.ended if has_ended else period[0]),
        }


def subscription_history(view: View) -> pl.DataFrame:
    def rows() -> Iterator[Row]:
        for customer in view.customers_there():
            turns = sorted(turn for each in customer.subscriptions for turn in _turns(each))
            for number, (at, action, before, after, cycle) in enumerate(turns):
                if at <= view.now:
                    yield {
                        "id": customer.person * 1000 + number,
                        "subscription_id": view.subscription_ids[customer.person],
                        "user_id": view.users[customer.person],
                        "action": action,
                        "from_tier": before,
                        "to_tier": after,
                        "from_billing_cycle": cycle,
                        "to_billing_cycle": cycle,
                        "proration_amount": None,
                        "created_at": moment_of(at),
                    }

    frame = frame_of(
        rows(),
        "id subscription_id user_id action from_tier to_tier from_billing_cycle to_billing_cycle proration_amount "
        "created_at",
    )
    return frame.with_columns(id=ids_of("turn", frame["id"].cast(pl.Int64).to_numpy()))


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
        yield max(at, subscription.paid_first), action, before, price.tier, price.cycle_in_app
        before = price.tier
    cycle = subscription.terms[-1][1].cycle_in_app
    if subscription.asked_to_end < NEVER:
        yield subscription.asked_to_end, "cancel", before, before, cycle
    if subscription.ended < NEVER:
        yield subscription.ended, "period_end", before, "free", cycle
    for begins, _ in subscription.late:
        yield begins, "payment_failed", before, before, cycle


def _digits(numbers: Ints, salt: str, digits: int) -> pl.Series:
    """So many digits for each number."""
    return pl.Series(between(numbers, salt, 0, 10**digits - 1)).cast(pl.String).str.zfill(digits)


TABLES: dict[str, Callable[[View], pl.DataFrame]] = {
    "user_profiles": user_profiles,
    "pets": pets,
    "lost_pet_reports": lost_pet_reports,
    "subscriptions": subscriptions,
    "subscription_history": subscription_history,
    **app_extras.TABLES,
}
