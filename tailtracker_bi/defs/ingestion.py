"""Sources to lake: what the daily run brings up to date, and an asset a table for backfills.

    lake/<source>           asks the ledger what is needed; no partition. The daily run is made of these
    raw_<source>/<table>    a table; of days, each a partition: backfills ask for exactly these

The work is that of `runs`, and what has landed is the ledger's to say, whichever of them landed it.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import date

import dagster as dg

from tailtracker_bi.defs.ledger import asset_key, check_spec, untold, untold_lag
from tailtracker_bi.defs.refresh import FIRST, Refresh
from tailtracker_bi.lake import Lake
from tailtracker_bi.runs import plan, pull
from tailtracker_bi.settings import history_start, load_settings
from tailtracker_bi.sources import SOURCES, DaySource, Source
from tailtracker_bi.warehouse import compiled_manifest, engine_of

DESCRIPTIONS = {
    dg.AssetKey([node["source_name"], node["name"]]): node["description"]
    for node in compiled_manifest(engine_of(load_settings()))["sources"].values()
}


def source_key(source: type[Source]) -> dg.AssetKey:
    """The key of what the lake knows of a source."""
    return dg.AssetKey(["lake", source.name])


def days_of(source: type[DaySource]) -> dg.DailyPartitionsDefinition:
    """Every day from history start, or from the first that has landed, to yesterday, in the source's time zone."""
    settings = load_settings()
    landed = Lake(settings.home).ledger.landed_days(source.name, source.tables[0].name)
    return dg.DailyPartitionsDefinition(
        start_date=str(min([history_start(settings, landed), *landed])),
        end_date=str(source.today(settings)) if settings.fixed_now else None,
        timezone=source.timezone(settings),
    )


def source_asset(source: type[Source]) -> dg.AssetsDefinition:
    """All tables of a source, as of one moment: a step that fails for what went wrong with this source alone.

    Models don't depend on it, so that what could be pulled is built and published; its priority has it run before them.
    """

    @dg.asset(
        key=source_key(source),
        description=f"Every table of {source.name}, brought up to date. It has no partition: the ledger says which "
        "days are needed.",
        group_name="lake",
        owners=["team:data"],
        kinds={"deltalake"},
        op_tags=FIRST,
        output_required=False,
        required_resource_keys={"refresh"},
    )
    def brought_up_to_date(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        refresh: Refresh = context.resources.refresh
        with refresh.failing_for_its_own():
            outcomes = _pull(context, source)
            for event in _untold(context, source):
                context.log_event(event)
            if outcomes:
                yield dg.MaterializeResult(metadata=Counter(outcomes))

    return brought_up_to_date


def table_assets(source: type[Source]) -> dg.AssetsDefinition:
    """The tables of a source, each an asset; one step brings those selected up to date, as of one moment."""
    days = days_of(source) if issubclass(source, DaySource) else None

    @dg.multi_asset(
        name=source.name,
        specs=[
            dg.AssetSpec(
                asset_key(source, table),
                description=DESCRIPTIONS[asset_key(source, table)],
                group_name="lake",
                owners=["team:data"],
                kinds={"deltalake"},
                metadata={"lake": dg.MetadataValue.path(load_settings().home / "lake" / source.name / table.name)},
                skippable=True,
            )
            for table in source.tables
        ],
        check_specs=[check_spec(source, table) for table in source.tables],
        can_subset=True,
        partitions_def=days,
        backfill_policy=dg.BackfillPolicy.single_run() if days else None,
        required_resource_keys={"refresh"},
    )
    def pulled(context: dg.AssetExecutionContext) -> Iterator[dg.Output[None]]:
        refresh: Refresh = context.resources.refresh
        with refresh.failing_for_its_own():
            _pull(context, source)
            for event in _untold(context, source):
                # An output is of all days that were asked for, those that failed as well: days are told one by one.
                is_whole = isinstance(event, dg.AssetMaterialization) and event.partition is None
                if is_whole and event.asset_key in context.selected_asset_keys:
                    yield dg.Output(None, output_name=event.asset_key.to_python_identifier(), metadata=event.metadata)
                else:
                    context.log_event(event)
            for lag in untold_lag(context.instance, refresh.settings.home, refresh.lake):
                context.log_event(lag)

    return pulled


def _pull(context: dg.AssetExecutionContext, source: type[Source]) -> list[str]:
    """Bring a source up to date, or pull the days that the run asks for; what became of each day or table."""
    refresh: Refresh = context.resources.refresh
    if not source.is_on(refresh.settings):
        refresh.progress.say(f"{source.name} is off: {source.why_off}")
        return []
    wanted = plan(refresh.settings, refresh.lake, *_range_of(context), sources=[source.name])
    for item in wanted:
        refresh.progress.say(str(item))
    known = len(refresh.report.days)
    pull(refresh.settings, refresh.lake, wanted, refresh.report, refresh.progress)
    return [line["status"] for line in refresh.report.days[known:]]


def _untold(
    context: dg.AssetExecutionContext, source: type[Source]
) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    """What Dagster does not know yet of a source."""
    for table in source.tables:
        yield from untold(context.instance, context.resources.refresh.lake, source, table)


def _range_of(context: dg.AssetExecutionContext) -> tuple[date | None, date | None]:
    """The days that the run was asked for, both inclusive; without, the ledger says what is needed."""
    if not (context.has_partition_key or context.has_partition_key_range):
        return None, None
    asked = context.partition_key_range
    return date.fromisoformat(asked.start), date.fromisoformat(asked.end)


sources = [make(source) for source in SOURCES for make in (source_asset, table_assets)]
