"""Sources to lake: an asset a table. The work is that of `pull.py`, and what has landed is the ledger's to say."""

from collections.abc import Iterator
from datetime import date

import dagster as dg

from tailtracker_bi.configuration import history_start
from tailtracker_bi.dbt_runner import written_manifest
from tailtracker_bi.defs.ledger import SILENT, asset_key, check_spec, untold
from tailtracker_bi.defs.refresh import Refresh
from tailtracker_bi.lake import Lake
from tailtracker_bi.pull import plan, pull
from tailtracker_bi.settings import load_settings
from tailtracker_bi.sources import SOURCES
from tailtracker_bi.sources.base import DaySource, Source

DESCRIPTIONS = {
    dg.AssetKey([node["source_name"], node["name"]]): node["description"]
    for node in written_manifest()["sources"].values()
}


def days_of(source: type[DaySource]) -> dg.DailyPartitionsDefinition:
    """Every day from history start, or from the first that has landed, to yesterday, in the source's time zone."""
    settings = load_settings()
    landed = Lake(settings.home).landed_days(source.name, source.tables[0].name)
    return dg.DailyPartitionsDefinition(
        start_date=str(min([history_start(settings, landed), *landed])),
        end_date=str(source.today(settings)) if settings.fixed_now else None,
        timezone=source.timezone(settings),
    )


def assets_of(source: type[Source]) -> dg.AssetsDefinition:
    """The tables of a source: it is read as of one moment, so one step brings all of them up to date."""
    days = days_of(source) if issubclass(source, DaySource) else None

    @dg.multi_asset(
        name=source.name,
        specs=[
            dg.AssetSpec(
                asset_key(source, table),
                description=DESCRIPTIONS[asset_key(source, table)],
                group_name="ingestion",
                owners=["team:data"],
                kinds={"deltalake"},
                metadata={"lake": dg.MetadataValue.path(load_settings().home / "lake" / source.name / table.name)},
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
        with refresh.noting():
            if source.is_on(refresh.settings):
                wanted = plan(refresh.settings, refresh.lake, *_range_of(context), sources=[source.name])
                for item in wanted:
                    refresh.progress.say(str(item))
                pull(refresh.settings, refresh.lake, wanted, refresh.report, refresh.progress)
            else:
                refresh.progress.say(f"{source.name} is off: its credentials are not set")
        for table in source.tables:
            for event in untold(context.instance, refresh.lake, source, table):
                context.log_event(event)
        for key in context.selected_asset_keys:
            yield dg.Output(None, output_name=key.to_python_identifier(), metadata=SILENT)
        refresh.fail_if_wrong(context)

    return pulled


def _range_of(context: dg.AssetExecutionContext) -> tuple[date | None, date | None]:
    """The days that the run was asked for, both inclusive; without, the ledger says what is needed."""
    if not (context.has_partition_key or context.has_partition_key_range):
        return None, None
    asked = context.partition_key_range
    return date.fromisoformat(asked.start), date.fromisoformat(asked.end)


sources = [assets_of(source) for source in SOURCES]
