"""Lake to warehouse: an asset a dbt model, a check a dbt test. The work is `runs.build`'s: whole, or not at all."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, build_dbt_asset_specs

from tailtracker_bi.defs.refresh import Refresh
from tailtracker_bi.runs import build
from tailtracker_bi.settings import load_settings
from tailtracker_bi.shipped import DBT_PROJECT
from tailtracker_bi.warehouse import BuildError, Result, compiled_manifest, engine_of

ENGINE = engine_of(load_settings())
MANIFEST = compiled_manifest(ENGINE)
UNIQUE_ID = "dagster_dbt/unique_id"
"""Under which dagster-dbt keeps dbt's name of a node in the metadata of its asset or check."""


class Translator(DagsterDbtTranslator):
    """Layers as groups; the rest is dagster-dbt's."""

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        return str(dbt_resource_props["schema"])

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> Sequence[str]:
        return ["team:data"]

    def get_metadata(self, dbt_resource_props: Mapping[str, Any]) -> Mapping[str, Any]:
        own = super().get_metadata(dbt_resource_props)
        return {**own, "sql": dg.MetadataValue.path(DBT_PROJECT / dbt_resource_props["original_file_path"])}


GIVEN = {"config": "configuration", "marks": "marks", "raw_lake": "lake"}
"""What the warehouse is given before each build, by the source's name in dbt: settings and rules, what the last build
took in, the ledger."""

given = [
    dg.AssetSpec(
        [node["source_name"], node["name"]],
        description=node["description"],
        group_name=GIVEN[node["source_name"]],
        owners=["team:data"],
        kinds={ENGINE.name},
    )
    for node in MANIFEST["sources"].values()
    if node["source_name"] in GIVEN
]


def promise(test: Mapping[str, Any]) -> str:
    """What a data test of dbt holds, in a sentence: of its kind, or as its file begins."""
    about = test.get("test_metadata")
    if about is None:
        comment = takewhile(lambda line: line.startswith("--"), test["raw_code"].splitlines())
        return " ".join(line.removeprefix("--").strip() for line in comment)
    given = about["kwargs"]
    match about["name"]:
        case "primary_key":
            keys = given.get("columns") or [given["column_name"]]
            return f"Every row has {', '.join(keys)}, and no two have the same."
        case "filled":
            return f"{', '.join(given['columns'])} are in every row."
        case "not_null":
            return f"{given['column_name']} is in every row."
        case "unique":
            return f"No two rows have the same {given['column_name']}."
        case "unique_combination":
            return f"No two rows have the same {', '.join(given['columns'])} together."
        case "accepted_values":
            return f"{given['column_name']} is one of {', '.join(map(str, given['values']))}."
    raise LookupError(f"say here what a test {about['name']} holds")


TRANSLATOR = Translator()
# By dbt's name of the node.
MODELS = {
    spec.metadata[UNIQUE_ID]: spec
    for spec in build_dbt_asset_specs(manifest=MANIFEST, dagster_dbt_translator=TRANSLATOR)
}
TESTS = {
    child: check._replace(description=promise(MANIFEST["nodes"][child]))
    for name, spec in MODELS.items()
    for child in MANIFEST["child_map"][name]
    if child.startswith("test.") and (check := TRANSLATOR.get_asset_check_spec(spec, MANIFEST, child, None))
}


# Not `@dbt_assets`, which lets some models be built without the others: a build is tested and published as a whole.
@dg.multi_asset(
    name="models",
    specs=list(MODELS.values()),
    check_specs=list(TESTS.values()),
    required_resource_keys={"refresh"},
)
def models(context: dg.AssetExecutionContext) -> Iterator[dg.Output[None] | dg.AssetCheckResult]:
    """All models and data tests, as dbt compiled them, in one build: those whose input changed."""
    refresh: Refresh = context.resources.refresh
    with refresh.failing_for_its_own():
        if refresh.lake.ledger.is_empty:
            raise BuildError("nothing to build: no source is on and nothing has landed")
        try:
            warehouse = build(refresh.settings, refresh.analytics, refresh.lake, refresh.report, refresh.progress)
        except BuildError as error:
            yield from told(error.results, {})
            raise
        yield from told(warehouse.results, warehouse.row_counts())


def told(
    results: Sequence[Result], rows: Mapping[tuple[str, str], int]
) -> Iterator[dg.Output[None] | dg.AssetCheckResult]:
    """What became of the nodes that the build came to, in Dagster's words."""
    for result in results:
        node = result.node
        metadata: dict[str, Any] = {"seconds": round(result.seconds, 3)}
        if result.status == "unchanged":
            metadata["message"] = "not run: all that it reads is as it was in the build before"
        if node.id in MODELS and result.status != "error":
            count = rows.get((node.schema, node.name))
            metadata |= {} if count is None else {"dagster/row_count": count}
            name = MODELS[node.id].key.to_python_identifier()
            yield dg.Output(None, output_name=name, metadata=metadata)
        elif node.id in TESTS:
            metadata |= {"message": result.message} if result.message else {}
            check = TESTS[node.id].key
            passed = result.status in {"pass", "unchanged"}
            yield dg.AssetCheckResult(
                asset_key=check.asset_key, check_name=check.name, passed=passed, metadata=metadata
            )
