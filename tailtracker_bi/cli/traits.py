"""`tailtracker-bi traits`: what was computed of people, told to their profiles in Mixpanel, or taken away there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tailtracker_bi.cli.console import print_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from tailtracker_bi.settings import Settings
    from tailtracker_bi.traits import Profiles
    from tailtracker_bi.warehouse import Engine

app = typer.Typer(
    no_args_is_help=True, help="Traits of people who consented, as properties of their Mixpanel profiles."
)

DryRun = Annotated[bool, typer.Option("--dry-run", help="Send nothing: print how many profiles it would be.")]


@app.command()
def send(dry_run: DryRun = False) -> None:
    """Tell profiles what changed since the last time; take it away from who does not consent any more."""
    from tailtracker_bi.traits import current_profiles

    _run(current_profiles, dry_run)


@app.command()
def remove(dry_run: DryRun = False) -> None:
    """Take away from all profiles what they were ever told."""
    from tailtracker_bi.traits import nobody_told

    _run(lambda _, engine: nobody_told(engine), dry_run)


def _run(profiles_by: Callable[[Settings, Engine], Profiles], dry_run: bool) -> None:
    from tailtracker_bi.cli.bars import Bars
    from tailtracker_bi.crash_points import arm
    from tailtracker_bi.errors import TailTrackerError
    from tailtracker_bi.runs import locked
    from tailtracker_bi.settings import load_settings
    from tailtracker_bi.sources import MixpanelSettings
    from tailtracker_bi.traits import Told, planned, send
    from tailtracker_bi.warehouse import engine_of

    settings = load_settings()
    arm(settings.crash_at)
    with Bars() as bars, locked(settings.home, bars):
        told = Told(settings.home)
        profiles = profiles_by(settings, engine_of(settings))
        plan = planned(profiles, told)
        if not dry_run:
            send(plan, settings.of(MixpanelSettings), told)
    counts = {
        "told": len(plan.told), "taken away": len(plan.removed), "as they were": plan.unchanged,
        "without consent": plan.without_consent, "requests": plan.requests,
    }  # fmt: skip
    print_rows(["profiles", "number"], [[what, str(number)] for what, number in counts.items()])
    if profiles.too_old:
        raise TailTrackerError(profiles.too_old)
