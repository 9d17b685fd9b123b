"""`tailtracker-bi alerts`: telling what is to be told at once, what there was, and leaving somebody in peace."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from tailtracker_bi.cli.console import print_rows
from tailtracker_bi.errors import SettingsError, TailTrackerError

if TYPE_CHECKING:
    from tailtracker_bi.alerts import Book
    from tailtracker_bi.settings import ReportSettings

app = typer.Typer()

Name = Annotated[str, typer.Argument(help="Which of those that analytics.yml declares.")]


@app.callback(invoke_without_command=True)
def alerts(
    context: typer.Context,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell nobody: print what would have been told in the last 90 days.")
    ] = False,
) -> None:
    """Tell the right people of what analytics.yml declares as alerts: once when one begins, once when it is over."""
    if context.invoked_subcommand is not None:
        return
    from tailtracker_bi import bundle
    from tailtracker_bi.alerts import firings, lately
    from tailtracker_bi.analytics import load_analytics
    from tailtracker_bi.delivery import Ledger, alert_channels, told_anew
    from tailtracker_bi.settings import load_report_settings

    settings = load_report_settings()
    analytics, build = load_analytics(settings.analytics_path), bundle.current(settings.home)
    if dry_run:
        found = lately(list(firings(analytics.alerts, build)), settings.today)
        print_rows(["alert", "severity", "began", "over", "said"], [list(one.values()) for one in found])
        return
    told_how = analytics.alerting
    if not alert_channels(settings, {*told_how.warning.channels, *told_how.critical.channels}):
        raise SettingsError("alerts go nowhere: set REPORT_OWNER, SLACK_WEBHOOK_URL or another channel of .env.example")
    errors = told_anew(settings, analytics, build, Ledger(settings.home), settings.now)
    if errors:
        raise TailTrackerError("; ".join(errors))


@app.command("list")
def list_alerts() -> None:
    """What there was, the latest first: since when, until when, to how many it was told, and what is snoozed."""
    from tailtracker_bi.delivery import Ledger

    settings, book = _book()
    ledger = Ledger(settings.home)
    print_rows(
        ["alert", "severity", "began", "over", "told to", "said"],
        [
            [
                f"{one.alert} {one.what}".strip(),
                one.severity,
                str(one.began),
                str(one.ended or ""),
                str(len(ledger.recipients(one.key, one.began, 0))),
                one.said,
            ]
            for one in book.episodes()
        ],
    )
    for alert, until in book.snoozed(settings.now).items():
        print(f"{alert} is snoozed until {until:%Y-%m-%d %H:%M} UTC: `tailtracker-bi alerts wake {alert}`")


@app.command()
def snooze(
    name: Name, days: Annotated[float, typer.Option(help="For how long.", min=0.01, max=366, show_default=True)] = 1
) -> None:
    """Tell nobody for some days that an alert began; that one is over which was told is still said."""
    settings, book = _book(name)
    until = settings.now + timedelta(days=days)
    book.snooze(name, until)
    print(f"{name} is snoozed until {until:%Y-%m-%d %H:%M} UTC")


@app.command()
def wake(name: Name) -> None:
    """Tell of an alert again, of what still is with the next go."""
    _book(name)[1].wake(name)
    print(f"{name} is told again")


def _book(name: str = "") -> tuple[ReportSettings, Book]:
    """What there was; a name has to be that of an alert. Raises SettingsError."""
    from tailtracker_bi.alerts import Book, declared
    from tailtracker_bi.analytics import load_analytics
    from tailtracker_bi.settings import load_report_settings

    settings = load_report_settings()
    if name:
        declared(load_analytics(settings.analytics_path).alerts, name)
    return settings, Book(settings.home)
