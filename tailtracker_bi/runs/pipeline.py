"""Pull, build, publish: what the CLI runs and what Dagster's assets call.

    pull      sources -> lake (`pulling.py`)
    build     lake -> warehouse, models and data tests
    publish   warehouse -> a new bundle

`refresh` is the three in a row under the one lock, and writes the run report that adds up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

from deltalake.exceptions import DeltaError

from tailtracker_bi import bundle, crash_points, durable
from tailtracker_bi.analytics import Analytics, load_analytics
from tailtracker_bi.errors import SettingsError, TailTrackerError
from tailtracker_bi.lake import NEW_KEY, Lake, LakeError
from tailtracker_bi.runs.lock import locked
from tailtracker_bi.runs.planning import check_accepted, plan
from tailtracker_bi.runs.pulling import pull
from tailtracker_bi.runs.report import Progress, RunReport, new_report
from tailtracker_bi.settings import SandboxPlace, Settings, SourceSettings, load_settings, note_first_run
from tailtracker_bi.sources import SOURCES
from tailtracker_bi.warehouse import DAMAGED, BuildError, Warehouse

INTERRUPTED = "interrupted: what has landed stays, readers keep the last build, and the next refresh goes on from there"


def check_sources(settings: Settings) -> None:
    """Raise SettingsError where HOME lives by a sandbox that is not up, or not the one that these settings name.

    Under the lock it says for certain that invented data and real ones are not about to mix.
    """
    place = SandboxPlace(settings.home)
    place.check_is_up()
    if place.exists:
        now = load_settings(TAILTRACKER_HOME=settings.home)
        if any(now.of(kind) != settings.of(kind) for kind in SourceSettings.kinds()):
            raise SettingsError(f"the sandbox in {place.folder} came up, or changed, meanwhile: run this again")


def check_home_is_whole(settings: Settings, analytics: Analytics, lake: Lake, *, rebuild: bool = False) -> None:
    """Raise LakeError where parts of HOME are gone, older than the others or not its own: what is there would be lost.

    `rebuild`: the warehouse is to be made anew, so that it need not be of this lake.
    """
    if lacking := durable.lacks_room(settings.home):
        raise TailTrackerError(lacking)
    lake.check()
    if lake.knows_hash_key and not settings.has_hash_key:
        raise LakeError(f"{settings.home / 'hash.key'}, by which people are told apart, is gone", NEW_KEY)
    if not rebuild:
        Warehouse(settings, analytics, lake).check_is_of_lake()
    lake.check_hash_key(settings.hash_key)


def build(
    settings: Settings,
    analytics: Analytics,
    lake: Lake,
    report: RunReport,
    progress: Progress,
    *,
    full_refresh: bool = False,
    rebuild: bool = False,
) -> Warehouse:
    """Bring the warehouse up to the lake. Raises BuildError; the next build then does it again."""
    warehouse = Warehouse(settings, analytics, lake)
    if rebuild:
        warehouse.drop()
        report.notes.append("the warehouse is made anew from the lake, as asked")

    engine = warehouse.engine
    unbuilt: tuple[type[Exception], ...] = (BuildError, *engine.errors)
    unshown: tuple[type[Exception], ...] = (DeltaError, *engine.errors)

    def attempt() -> None:
        try:
            notes = warehouse.prepare(full_refresh)
        except unshown as error:
            if isinstance(error, BuildError) or engine.is_damaged(to_its_last_block=True):
                raise
            why = f"the lake can't be shown to the engine ({type(error).__name__})"
            raise BuildError(f"build: {why}: `tailtracker-bi verify` names what is damaged") from None
        for note in notes:
            progress.say(note)
            report.notes.append(note)
        warehouse.build(lambda what, done, total: progress.step("build", what, done, total))

    try:
        attempt()
    except unbuilt as error:
        if not engine.is_damaged(to_its_last_block=True):
            progress.say("the build failed: looking whether the lake is whole")
            damaged = _damaged_lake(lake)
            if damaged is None:
                raise
            damaged.results = getattr(error, "results", ())
            raise damaged from None
        # The engine sees that a block is bad only as it reads it, so that this can come up anywhere in a build.
        warehouse.drop()
        report.notes.append(f"{DAMAGED} ({error})")
        progress.say(report.notes[-1])
        attempt()
    return warehouse


def _damaged_lake(lake: Lake) -> BuildError | None:
    """What to say where the lake has a file that no build can read; None where it is sound."""
    for source in SOURCES:
        for table in source.tables:
            try:
                damage = lake.damage(source.name, table.name)
            except Exception as error:
                damage = {str(lake.root / source.name / table.name): f"can't be read ({type(error).__name__})"}
            for name, problem in damage.items():
                file = Path(name).relative_to(lake.root.parent)
                return BuildError(f"build: {file} {problem}: `tailtracker-bi verify` says how to mend it")
    return None


def publish(settings: Settings, warehouse: Warehouse, report: RunReport, progress: Progress) -> bundle.Bundle:
    """Publish what the warehouse holds as a new bundle. Raises BuildError where its last build did not finish."""
    warehouse.check_finished()
    published = bundle.publish(
        settings.home,
        warehouse.engine,
        run_id=report.run_id,
        as_of=settings.today,
        currency=settings.currency,
        hash_key=settings.hash_key,
        described=warehouse.described(),
        explored=warehouse.explored,
        progress=lambda what, done, total: progress.step("publish", what, done, total),
    )
    report.build = published.build
    return published


def landed_since(build: bundle.Bundle, lake: Lake) -> list[str]:
    """The tables, as `source.table`, of which something landed that a published build does not hold yet."""
    published = bundle.query(build, "select source, table_name, loaded_at from data_status where loaded_at is not null")
    taken_in = {
        (row["source"], row["table_name"]): row["loaded_at"].replace(tzinfo=None) for row in published.to_pylist()
    }
    landed = {
        (row["source"], row["table_name"]): row["landed_at"]
        for row in lake.ledger.landings().to_pylist()
        if row["status"] == "landed"
    }
    return sorted(".".join(key) for key, moment in landed.items() if key not in taken_in or moment > taken_in[key])


def refresh(
    settings: Settings,
    progress: Progress,
    *,
    first: date | None = None,
    last: date | None = None,
    sources: Sequence[str] = (),
    full_refresh: bool = False,
    rebuild: bool = False,
    relist: bool = False,
    accept: Iterable[str] = (),
) -> RunReport:
    """Pull, build, check and publish; what failed or is held stands in the report, which is also written to HOME.

    `accept` names what is held and may land all the same, `relist` is that of `plan`. Raises SettingsError before
    anything runs. Where nothing has ever landed there is nothing to build.
    """
    crash_points.arm(settings.crash_at)
    check_sources(settings)
    analytics = load_analytics(settings.analytics_path)
    lake = Lake(settings.home)
    report = new_report()
    with locked(settings.home, progress):
        check_sources(settings)
        note_first_run(settings)
        try:
            check_home_is_whole(settings, analytics, lake, rebuild=rebuild)
            plans = plan(settings, lake, first, last, sources, relist=relist)
            if relist:
                report.notes.append("all that sources list is listed again, as asked")
            pull(settings, lake, plans, report, progress, check_accepted(lake, accept, plans))
            if not lake.ledger.is_empty:
                warehouse = build(
                    settings, analytics, lake, report, progress, full_refresh=full_refresh, rebuild=rebuild
                )
                publish(settings, warehouse, report, progress)
            elif not report.errors:
                report.errors.append("nothing to build: no source is on and nothing has landed")
        except SettingsError:
            raise
        except TailTrackerError as error:
            report.errors.append(str(error))
        except KeyboardInterrupt:
            report.errors.append(INTERRUPTED)
            report.write(settings.home)
            raise
        except Exception as error:
            report.errors.append(type(error).__name__)  # its text may hold values
            report.write(settings.home)
            if lacking := durable.lacks_room(settings.home):
                raise TailTrackerError(lacking) from None
            raise
        if report.errors and (lacking := durable.lacks_room(settings.home)) and lacking not in report.errors:
            report.errors.append(lacking)
        report.write(settings.home)
    return report
