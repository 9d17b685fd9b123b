"""`tailtracker-bi delivery`: which reports went to whom, and sending those that are due."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from tailtracker_bi.cli.console import DAY_FORMAT, print_rows
from tailtracker_bi.errors import SettingsError, TailTrackerError

if TYPE_CHECKING:
    from tailtracker_bi.delivery import Ledger

app = typer.Typer(no_args_is_help=True, help="Who is sent which report: what is due, what went out, what failed.")

Name = Annotated[str, typer.Argument(help="Which of those that analytics.yml declares.")]


@app.command()
def run() -> None:
    """Send every report and export that is due and was not sent; for a cron job where Dagster is not used."""
    from tailtracker_bi.analytics import load_analytics
    from tailtracker_bi.crash_points import arm
    from tailtracker_bi.delivery import Ledger, channels_of, export_due, send_due, watch
    from tailtracker_bi.settings import load_report_settings, load_settings

    settings = load_report_settings()
    arm(load_settings().crash_at)
    if not channels_of(settings) and settings.export_folder is None:
        raise SettingsError(
            "reports go nowhere: set SMTP_URL and REPORT_RECIPIENTS, or another channel of .env.example"
        )
    ledger = Ledger(settings.home)
    late = watch(settings, ledger, settings.now)
    analytics = load_analytics(settings.analytics_path)
    reports = analytics.reports if channels_of(settings) else []
    outcomes = [
        *send_due(settings, reports, analytics.alerts, ledger, settings.now),
        *export_due(settings, analytics.exports, ledger, settings.now),
    ]
    print_rows(
        ["report", "period from", "state", "sent to"],
        [[one.report, str(one.period_start), one.what, str(one.sent)] for one in outcomes],
    )
    errors = [error for one in outcomes for error in one.errors]
    if late or errors:
        raise TailTrackerError("; ".join(filter(None, [late, *errors])))


@app.command("list")
def list_deliveries() -> None:
    """What went out lately, the latest first, and which reports are paused."""
    from tailtracker_bi.delivery import Ledger
    from tailtracker_bi.settings import load_report_settings

    ledger = Ledger(load_report_settings().home)
    print_rows(
        ["report", "period from", "channel", "to", "state", "tries", "when (UTC)", "what went wrong"],
        [
            [
                one.report + (f", correction {one.revision}" if one.revision else ""),
                one.period_start,
                one.channel,
                one.shown,
                one.state + (", may be twice" if one.may_be_twice else ""),
                str(one.tries),
                one.changed_at[:16].replace("T", " "),
                one.error,
            ]
            for one in ledger.deliveries()
        ],
    )
    for report, since in ledger.paused().items():
        print(f"{report} is paused since {since[:16].replace('T', ' ')} UTC: `tailtracker-bi delivery resume {report}`")


@app.command()
def pause(name: Name) -> None:
    """Send nothing of a report or export until it is resumed."""
    ledger = _ledger_of(name)
    ledger.pause(name)
    print(f"{name} is paused")


@app.command()
def resume(name: Name) -> None:
    """Send a report or export again; what was due meanwhile goes out if it is still the latest."""
    _ledger_of(name).resume(name)
    print(f"{name} goes out again")


@app.command()
def resend(
    name: Name, period: Annotated[datetime, typer.Argument(formats=DAY_FORMAT, help="First day of its period.")]
) -> None:
    """Let a period go out anew to everybody, with the next `delivery run` or run of Dagster, while it is the latest."""
    forgotten = _ledger_of(name).forget(name, period.date())
    if not forgotten:
        raise TailTrackerError(f"{name} of {period.date()} went to nobody: there is nothing to send again")
    print(f"{name} of {period.date()} goes out anew: {forgotten} deliveries are forgotten")


@app.command("test")
def send_test(
    name: Name,
    to: Annotated[
        str | None, typer.Option(help="A mail address; without it, every channel that the report goes to.")
    ] = None,
) -> None:
    """Send a report now, marked as a test; nothing is noted."""
    from tailtracker_bi.analytics import load_analytics
    from tailtracker_bi.delivery import channels_of, mail_to, send_now
    from tailtracker_bi.reports import declared
    from tailtracker_bi.settings import load_report_settings

    settings = load_report_settings()
    analytics = load_analytics(settings.analytics_path)
    rules = declared(analytics.reports, name)
    chosen = [mail_to(settings, to)] if to else [one for one in channels_of(settings) if one.takes(name)]
    if not chosen:
        raise SettingsError(f"{name} goes nowhere: set REPORT_RECIPIENTS or another channel, or give --to")
    send_now(settings, rules, analytics.alerts, chosen)
    print(f"sent to {', '.join(one.shown for one in chosen)}")


def _ledger_of(name: str) -> Ledger:
    from tailtracker_bi.analytics import load_analytics
    from tailtracker_bi.delivery import Ledger
    from tailtracker_bi.reports import declared
    from tailtracker_bi.settings import load_report_settings

    settings = load_report_settings()
    analytics = load_analytics(settings.analytics_path)
    if name not in {rules.id for rules in analytics.exports}:
        declared(analytics.reports, name)
    return Ledger(settings.home)
