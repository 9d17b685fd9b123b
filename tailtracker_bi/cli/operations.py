"""What whoever runs the machine needs: is all well, and back to an earlier build."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tailtracker_bi.cli.console import events_never_seen
from tailtracker_bi.cli.lean import without_pandas
from tailtracker_bi.errors import visible


@without_pandas()
def doctor(
    steps: Annotated[bool, typer.Option("--steps", help="List the steps that TAILTRACKER_CRASH_AT may name.")] = False,
) -> None:
    """Check settings, analytics.yml and each source: what is well, and what to do about the rest."""
    from tailtracker_bi import bundle, durable
    from tailtracker_bi.analytics import load_analytics
    from tailtracker_bi.crash_points import STEPS
    from tailtracker_bi.runs import check_home
    from tailtracker_bi.settings import SandboxPlace, load_settings
    from tailtracker_bi.sources import SOURCES
    from tailtracker_bi.warehouse import engine_of

    if steps:
        for step, happened in STEPS.items():
            print(f"{step:<24} {happened}")
        return
    settings = load_settings()
    analytics = load_analytics(settings.analytics_path)
    check_home(settings.home)
    lacking = durable.lacks_room(settings.home)
    rows = [
        ("settings", True, f"HOME is {settings.home}"),
        ("disk", not lacking, lacking or "has room for a refresh"),
        ("analytics.yml", True, "is sound"),
    ]
    place = SandboxPlace(settings.home)
    if place.exists:
        state = "" if place.is_up else ", which is not up: run `tailtracker-bi sandbox up`"
        rows.append(("sandbox", not state, f"sources: the sandbox in {place.folder}{state}"))
    rows += [("warehouse", is_ok, detail) for is_ok, detail in engine_of(settings).check()]
    on = [source for source in SOURCES if source.is_on(settings)]
    for source in SOURCES:
        if source in on:
            check = source(settings).check()
            rows.append((check.what, check.is_ok, check.detail))
        else:
            rows.append((source.name, True, f"is off: {source.why_off}"))
    if not on:
        rows.append(("sources", False, "none is on: set the credentials of one, see .env.example"))
    try:
        found = bundle.current(settings.home)
        sound = bundle.is_pointer_sound(settings.home)
        rows.append(
            (
                "bundle",
                sound,
                found.build if sound else "the pointer names no build: run `tailtracker-bi rollback`",
            )
        )
        rows += [("analytics.yml", True, warning) for warning in events_never_seen(analytics, found)]
    except bundle.NoBundleError as error:
        rows.append(("bundle", True, str(error)))
    for what, is_ok, detail in rows:
        print(f"{'ok   ' if is_ok else 'WRONG'}  {what:<14} {visible(detail)}")
    if not all(is_ok for _, is_ok, _ in rows):
        raise typer.Exit(1)


def rollback(
    to: Annotated[str | None, typer.Option(help="The build to go back to; without it, the one before.")] = None,
) -> None:
    """Make an earlier build the one that readers see, until the next refresh."""
    from tailtracker_bi import bundle
    from tailtracker_bi.cli.bars import Bars
    from tailtracker_bi.runs import locked
    from tailtracker_bi.settings import load_reader_settings

    settings = load_reader_settings()
    with Bars() as bars, locked(settings.home, bars):
        found = bundle.roll_back(settings.home, to)
    print(found.build)


def gauges(
    out: Annotated[Path | None, typer.Option(help="Write a textfile for a node exporter (gauges.prom).")] = None,
    http: Annotated[int | None, typer.Option(help="Answer scrapes on this port.", min=1, max=65535)] = None,
    address: Annotated[str, typer.Option(help="Address to answer on.")] = "127.0.0.1",
) -> None:
    """Metrics and the state of the pipeline for Prometheus: printed, as a textfile, or at an address."""
    from tailtracker_bi.gauges import as_text, serve, write_textfile
    from tailtracker_bi.settings import load_reader_settings

    home = load_reader_settings().home
    if http is not None:
        print(f"http://{address}:{http}/metrics", flush=True)
        serve(home, address, http)
    elif out is not None:
        write_textfile(home, out)
        print(out)
    else:
        print(as_text(home), end="")


def monitoring(
    out: Annotated[Path, typer.Option(help="Folder for the files.")] = Path("monitoring"),
) -> None:
    """Dashboards for Grafana and rules for Prometheus, made from the catalogue and analytics.yml."""
    from tailtracker_bi import bundle
    from tailtracker_bi.analytics import load_analytics
    from tailtracker_bi.monitoring import files
    from tailtracker_bi.settings import load_report_settings

    settings = load_report_settings()
    out.mkdir(parents=True, exist_ok=True)
    for name, content in files(bundle.current(settings.home), load_analytics(settings.analytics_path)).items():
        (out / name).write_text(content, encoding="utf-8")
        print(out / name)
