"""Whose profile is told what: the traits of those who have an account and consent now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from tailtracker_bi.errors import SettingsError, TailTrackerError
from tailtracker_bi.settings import Settings
from tailtracker_bi.sources import AppDb, MixpanelSettings
from tailtracker_bi.warehouse import Engine

PROPERTIES = {
    "plan": "TailTracker plan",
    "lifecycle": "TailTracker lifecycle",
    "churn_risk": "TailTracker churn risk",
    "ltv_band": "TailTracker LTV band",
}
"""By trait, what it is called in a profile."""
UNKNOWN = "unknown"
STALE_AFTER_DAYS = 3
"""Days by which what is complete may be behind: later than that nobody's state is what it was."""


@dataclass(frozen=True)
class Profiles:
    """What profiles are told, by the user's id in the app, which is Mixpanel's, too; `users` are all that ever were.

    `too_old` says why nothing that changed is to be told; empty where it is.
    """

    told: Mapping[str, Mapping[str, str]]
    users: frozenset[str]
    without_consent: int
    too_old: str = ""


def current_profiles(settings: Settings, engine: Engine) -> Profiles:
    """As the last build has them; who consents, the app's database is asked now. The caller holds the lock of HOME.

    Raises SettingsError where it is not asked for, and TailTrackerError where there is no build or nobody knows who
    consents.
    """
    consent = settings.of(MixpanelSettings).consent
    if consent is None:
        raise SettingsError("traits: nothing is told to Mixpanel: set MIXPANEL_TOKEN and MIXPANEL_CONSENT")
    if not AppDb.is_on(settings):
        raise SettingsError("traits: who consents only the app's database knows: set APP_DATABASE_URL")
    rows, through = _of_last_build(engine)
    is_old = through is None or (settings.today - through).days > STALE_AFTER_DAYS
    too_old = (
        f"traits: events are complete through {through or 'no day'}, too long ago to say what somebody is: nothing was "
        "told, only taken away; run `tailtracker-bi refresh`"
    )
    return replace(profiles_of(rows, AppDb(settings).consenting(consent)), too_old=too_old if is_old else "")


def nobody_told(engine: Engine) -> Profiles:
    """The profiles as they are to be where all is taken away. Raises TailTrackerError where there is no build."""
    return profiles_of(_of_last_build(engine)[0], set())


def profiles_of(rows: list[tuple[Any, ...]], consenting: set[str]) -> Profiles:
    """Of rows of `fct_profile_traits`: user_id, is_told, and the traits in the order of PROPERTIES."""
    there = {user: traits for user, is_told, *traits in rows if is_told}
    told = {
        user: {name: UNKNOWN if trait is None else trait for name, trait in zip(PROPERTIES.values(), own, strict=True)}
        for user, own in there.items()
        if user in consenting
    }
    return Profiles(told, frozenset(row[0] for row in rows), len(there) - len(told))


def _of_last_build(engine: Engine) -> tuple[list[tuple[Any, ...]], date | None]:
    """Its rows of `fct_profile_traits`, and the day through which events are complete."""
    with engine.session(is_reader=True) as session:
        if not session.has("marks", "finished"):
            raise TailTrackerError("traits: the last build did not finish: run `tailtracker-bi refresh`")
        covered = session.rows(
            f"select complete_through from {session.named('intermediate.int_sources_covered')} "  # noqa: S608
            "where source = 'mixpanel' and table_name = 'events'"
        )
        traits = session.named("marts.fct_profile_traits")
        rows = session.rows(f"select user_id, is_told, {', '.join(PROPERTIES)} from {traits}")  # noqa: S608
    return rows, covered[0][0] if covered else None
