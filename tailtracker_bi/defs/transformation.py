"""Lake to warehouse: an asset a dbt model, a check a dbt test. The work is `pipeline.build`'s: whole, or not at all."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, dbt_assets

from tailtracker_bi.defs.refresh import Refresh
from tailtracker_bi.pipeline import build
from tailtracker_bi.warehouse import BuildError, written_manifest

MANIFEST = written_manifest()
UNIQUE_ID = "dagster_dbt/unique_id"
"""Under which dagster-dbt keeps dbt's name of a node in the metadata of its asset or check."""


class Translator(DagsterDbtTranslator):
    """Layers as groups; the rest is dagster-dbt's."""

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        return str(dbt_resource_props["fqn"][1])

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> Sequence[str]:
        return ["team:data"]

    def get_metadata(self, dbt_resource_props: Mapping[str, Any]) -> Mapping[str, Any]:
        own = super().get_metadata(dbt_resource_props)
        return {**own, "sql": f"dbt_project/{dbt_resource_props['original_file_path']}"}


given = [
    dg.AssetSpec(
        [node["source_name"], node["name"]],
        description=node["description"],
        group_name="configuration",
        owners=["team:data"],
        kinds={"duckdb"},
    )
    for node in MANIFEST["sources"].values()
    if node["source_name"] in {"config", "marks", "raw_lake"}
]
"""What `warehouse.py` writes for models to read, before each build."""


@dbt_assets(
    manifest=MANIFEST,
    name="models",
    dagster_dbt_translator=Translator(),
    required_resource_keys={"refresh"},
)
def models(context: dg.AssetExecutionContext) -> Iterator[dg.Output[None] | dg.AssetCheckResult]:
    """All models are built, whichever are selected: a build is tested as a whole, and published as a whole."""
    refresh: Refresh = context.resources.refresh
    if refresh.lake.is_empty:
        raise dg.Failure("nothing to build: no source is on and nothing has landed", allow_retries=False)
    try:
        warehouse = build(refresh.settings, refresh.analytics, refresh.lake, refresh.report, refresh.progress)
    except BuildError as error:
        yield from told(context, error.results, {})
        refresh.report.errors.append(str(error))
        raise dg.Failure(str(error), allow_retries=False) from None
    yield from told(context, warehouse.results, warehouse.row_counts())
    refresh.fail_if_wrong(context)


def told(
    context: dg.AssetExecutionContext, results: Sequence[Any], rows: Mapping[tuple[str, str], int]
) -> Iterator[dg.Output[None] | dg.AssetCheckResult]:
    """What dbt did, in Dagster's words; what this run did not ask for happened all the same."""
    assets = {spec.metadata[UNIQUE_ID]: spec.key for spec in context.assets_def.specs}
    checks = {spec.metadata[UNIQUE_ID]: spec.key for spec in context.assets_def.check_specs}
    for result in results:
        node, status = result.node, str(result.status)
        metadata: dict[str, Any] = {"seconds": round(result.execution_time, 3)}
        if key := assets.get(node.unique_id):
            if status != "success":
                continue
            if (count := rows.get((node.schema, node.name))) is not None:
                metadata["dagster/row_count"] = count
            if key in context.selected_asset_keys:
                yield dg.Output(None, output_name=key.to_python_identifier(), metadata=metadata)
            else:
                context.log_event(dg.AssetMaterialization(key, metadata=metadata))
        elif (check := checks.get(node.unique_id)) and status != "skipped":
            metadata |= {"rows that fail": result.failures} if result.failures else {}
            metadata |= {"message": result.message} if result.message else {}
            outcome = {
                "asset_key": check.asset_key,
                "check_name": check.name,
                "passed": status == "pass",
                "metadata": metadata,
            }
            if check in context.selected_asset_check_keys:
                yield dg.AssetCheckResult(**outcome)
            else:
                context.log_event(dg.AssetCheckEvaluation(**outcome))
