"""`tailtracker-bi traits`: what was computed of people, told to their profiles in Mixpanel, or taken away there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tailtracker_bi.cli.console import print_rows
from tailtracker_bi.errors import TailTrackerError

if TYPE_CHECKING:
    from tailtracker_bi.settings import Settings
    from tailtracker_bi.traits import Plan

app = typer.Typer(
    no_args_is_help=True, help="Traits of people who consented, as properties of their Mixpanel profiles."
)

DryRun = Annotated[bool, typer.Option("--dry-run", help="Send nothing: print how many profiles it would be.")]


@app.command()
def send(dry_run: DryRun = False) -> None:
    """Tell profiles what changed since the last time; take it away from who does not consent any more."""
    from tailtracker_bi.cli.bars import Bars
    from tailtracker_bi.traits import update_profiles

    with Bars() as bars:
        _print(update_profiles(_settings(), bars, is_dry=dry_run))


@app.command()
def remove(dry_run: DryRun = False) -> None:
    """Take away from all profiles what they were ever told."""
    from tailtracker_bi.cli.bars import Bars
    from tailtracker_bi.traits import nobody_told, update_profiles

    with Bars() as bars:
        _print(update_profiles(_settings(), bars, lambda _, engine: nobody_told(engine), is_dry=dry_run))


def _settings() -> Settings:
    from tailtracker_bi.crash_points import arm
    from tailtracker_bi.settings import load_settings

    settings = load_settings()
    arm(settings.crash_at)
    return settings


def _print(plan: Plan) -> None:
    counts = {
        "told": len(plan.told), "taken away": len(plan.removed), "as they were": plan.unchanged,
        "without consent": plan.without_consent, "requests": plan.requests,
    }  # fmt: skip
    print_rows(["profiles", "number"], [[what, str(number)] for what, number in counts.items()])
    if plan.too_old:
        raise TailTrackerError(plan.too_old)
