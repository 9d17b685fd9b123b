"""The metrics of a build in the words of open semantic layers: dbt's (MetricFlow), and the draft of Apache Ossie.

A published value is of one period and one part, and is added to no other: people of two weeks are not the sum of both.
So each metric and grain is a metric here, of everyone, or of a part where it is grouped by parts; over several periods
it is the last one's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from tailtracker_bi import bundle
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.figures.catalogue import Metric, catalog

VALUES, ROW = "metric_values", "value_row"
"""The published table, and what a row of it is called."""
DIMENSIONS = {
    "metric_id": "Which metric.",
    "grain": "By day, week or month.",
    "segment": "What it is split by; `all` is everyone.",
    "segment_value": "The part; `all` is everyone.",
    "is_complete": "Whether the value is known and stays.",
}
MODEL = "One row per metric, grain, period, segment and segment value: how it is computed the catalogue says."
TERMS = ("numerator", "denominator")
OF_PARTS = " By part: group by segment and segment_value, and add up neither."
OSSIE_VERSION = "0.2.0.dev0"


MODEL_OF_DBT = {
    "name": VALUES,
    "description": MODEL,
    "model": f"ref('pub_{VALUES}')",
    "defaults": {"agg_time_dimension": "period_start"},
    "entities": [
        {"name": ROW, "type": "primary", "expr": "metric_id || grain || segment || segment_value || period_start"}
    ],
    "dimensions": [
        {"name": "period_start", "type": "time", "type_params": {"time_granularity": "day"}},
        *({"name": name, "type": "categorical", "description": said} for name, said in DIMENSIONS.items()),
    ],
    "measures": [
        {"name": name, "agg": "sum", "non_additive_dimension": {"name": "period_start", "window_choice": "max"}}
        for name in ("value", *TERMS)
    ],
}


class _Text(yaml.SafeDumper):
    """Writes nothing by reference, as readers of YAML by hand expect."""

    def ignore_aliases(self, _: object) -> bool:
        return True


@dataclass(frozen=True)
class Counted:
    """A metric by one grain; `of_parts` where it is split, `is_ratio` where it has a denominator."""

    metric: Metric
    label: str
    grain: str
    is_ratio: bool
    of_parts: bool

    @property
    def name(self) -> str:
        return f"{self.metric.metric_id}_{self.grain}"


def metricflow(build: Bundle) -> str:
    """What dbt takes as a file of its project: a semantic model over `pub_metric_values`, and its metrics.

    Raises TailTrackerError where dbt's own rules for these would not have it.
    """
    found = list(_counted(build))
    told = {"semantic_models": [MODEL_OF_DBT], "metrics": [it for one in found for it in _metrics(one)]}
    _check(told)
    return _as_yaml(told)


def ossie(build: Bundle) -> str:
    """The same as one document of Apache Ossie, over the table of a build."""
    found = list(_counted(build))
    fields: list[dict[str, Any]] = [
        {"name": name, "description": said, "expression": _ansi(name), "datatype": _datatype(name)}
        for name, said in DIMENSIONS.items()
    ]
    period = {
        "name": "period_start", "description": "The first day of the period.", "expression": _ansi("period_start"),
        "datatype": "Date", "dimension": {"is_time": True},
    }  # fmt: skip
    numbers = [{"name": name, "expression": _ansi(name), "datatype": "Float"} for name in ("value", *TERMS)]
    return _as_yaml(
        {
            "version": OSSIE_VERSION,
            "name": "tailtracker",
            "description": MODEL,
            "datasets": [
                {
                    "name": VALUES,
                    "source": f"main.{VALUES}",
                    "primary_key": ["metric_id", "grain", "period_start", "segment", "segment_value"],
                    "description": MODEL,
                    "fields": [*fields, period, *numbers],
                }
            ],
            "metrics": [_of_ossie(one) for one in found],
        }
    )


def _counted(build: Bundle) -> Iterator[Counted]:
    """Every metric of the catalogue by each grain that it has values of."""
    currency = str(bundle.read(build, "bundle_info").iloc[0].get("currency", ""))
    metrics = catalog(bundle.read(build, "metric_catalog"), currency)
    grains = bundle.query(
        build,
        "select metric_id, grain, count(denominator) > 0 as is_ratio, bool_or(segment <> 'all') as of_parts "
        "from metric_values group by metric_id, grain order by metric_id, grain",
    )
    times = Counter(metric.label for metric in metrics.values())
    for row in grains.to_pylist():
        metric = metrics.get(row["metric_id"])
        if metric is not None:
            # dbt takes each label once; people may have called two funnels the same.
            label = metric.label if times[metric.label] == 1 else f"{metric.label} ({metric.metric_id})"
            yield Counted(metric, label, row["grain"], row["is_ratio"], row["of_parts"])


def _metrics(one: Counted) -> Iterator[dict[str, Any]]:
    """Of everyone and, where it is split, of parts; of a ratio its two numbers are metrics of their own."""
    metric_id, about = one.metric.metric_id, one.metric.about
    for kind, which, more in (("", "= 'all'", ""), ("_by_part", "<> 'all'", OF_PARTS)):
        if kind and not one.of_parts:
            continue
        rules = {
            "metric_id": f" = '{metric_id}'",
            "grain": f" = '{one.grain}'",
            "segment": f" {which}",
            "is_complete": "",
        }
        where = " and ".join(f"{{{{ Dimension('{ROW}__{name}') }}}}{rule}" for name, rule in rules.items())
        label = f"{one.label}, by {one.grain}{' and part' if kind else ''}"
        told = {"description": f"{about}{more}", "config": {"meta": _meta(one)}}
        if not one.is_ratio:
            yield _simple(f"{one.name}{kind}", label, "value", where, told)
            continue
        terms = {term: f"{metric_id}_{term}_{one.grain}{kind}" for term in TERMS}
        for term, name in terms.items():
            yield _simple(name, f"{label}: {term}", term, where, told)
        params = {term: {"name": name} for term, name in terms.items()}
        yield {"name": f"{one.name}{kind}", "label": label, "type": "ratio", "type_params": params, **told}


def _simple(name: str, label: str, measure: str, where: str, told: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": name, "label": label, "type": "simple", "type_params": {"measure": measure}, "filter": where, **told
    }  # fmt: skip


def _meta(one: Counted) -> dict[str, Any]:
    """What the catalogue says beside the definition."""
    metric = one.metric
    told = {
        "metric_id": metric.metric_id, "grain": one.grain, "not_for": metric.not_for, "unit": metric.unit,
        "format": metric.format, "domain": metric.domain, "owner": metric.owner, "decision": metric.decision,
        "bigger_is_better": metric.bigger_is_better, "target": metric.target,
        "exact_since": metric.exact_since and metric.exact_since.isoformat(), "caveat": metric.caveat,
    }  # fmt: skip
    return {name: it for name, it in told.items() if it not in (None, "")}


def _check(told: Mapping[str, Any]) -> None:
    """By dbt's own rules for semantic models and metrics."""
    from dbt_semantic_interfaces.implementations.metric import PydanticMetric
    from dbt_semantic_interfaces.implementations.project_configuration import PydanticProjectConfiguration
    from dbt_semantic_interfaces.implementations.semantic_manifest import PydanticSemanticManifest
    from dbt_semantic_interfaces.implementations.semantic_model import PydanticSemanticModel
    from dbt_semantic_interfaces.transformations.semantic_manifest_transformer import (
        PydanticSemanticManifestTransformer,
    )
    from dbt_semantic_interfaces.validations.semantic_manifest_validator import SemanticManifestValidator

    # What dbt makes of `model: ref(...)`.
    place = {"node_relation": {"alias": f"pub_{VALUES}", "schema_name": "published"}}
    models = [{name: it for name, it in one.items() if name != "model"} | place for one in told["semantic_models"]]
    metrics = [
        dict(one) | ({"filter": {"where_filters": [{"where_sql_template": one["filter"]}]}} if "filter" in one else {})
        for one in told["metrics"]
    ]
    manifest = PydanticSemanticManifestTransformer.transform(
        PydanticSemanticManifest(
            semantic_models=[PydanticSemanticModel.parse_obj(one) for one in models],
            metrics=[PydanticMetric.parse_obj(one) for one in metrics],
            project_configuration=PydanticProjectConfiguration(),
        )
    )
    wrong = SemanticManifestValidator[PydanticSemanticManifest]().validate_semantic_manifest(manifest)
    if wrong.has_blocking_issues:
        raise TailTrackerError("; ".join(issue.message for issue in wrong.errors))


def _of_ossie(one: Counted) -> dict[str, Any]:
    rows = (
        f"{VALUES}.metric_id = '{one.metric.metric_id}' and {VALUES}.grain = '{one.grain}' "
        f"and {VALUES}.segment = 'all' and {VALUES}.is_complete"
    )
    value, over, under = (f"sum(case when {rows} then {VALUES}.{column} end)" for column in ("value", *TERMS))
    expression = f"{over} / nullif({under}, 0)" if one.is_ratio else value
    meta = _meta(one)
    instructions = f"Group by {VALUES}.period_start: it is added up over no periods. Not for: {one.metric.not_for}"
    return {
        "name": one.name,
        "description": one.metric.about,
        "expression": _ansi(expression),
        "datatype": "Float",
        "ai_context": {"instructions": instructions, **meta},
    }


def _ansi(expression: str) -> dict[str, Any]:
    return {"dialects": [{"dialect": "ANSI_SQL", "expression": expression}]}


def _datatype(name: str) -> str:
    return "Boolean" if name.startswith("is_") else "String"


def _as_yaml(told: Mapping[str, Any]) -> str:
    return yaml.dump(dict(told), Dumper=_Text, sort_keys=False, allow_unicode=True, width=120)
