"""Reads `analytics.yml` and tells every mistake in it with its line.

The shipped file holds the defaults; TAILTRACKER_ANALYTICS may replace top-level keys.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import (
    ValidationError,
)

from tailtracker_bi.analytics.rules import Analytics
from tailtracker_bi.errors import SettingsError
from tailtracker_bi.shipped import DBT_PROJECT

DEFAULT_FILE = "analytics.yml"
MADE_BY_PUBLISHING = (
    "anomalies", "bundle_info", "forecasts", "inference_status", "ltv_predictions", "past_forecasts", "restatements",
    "subscriber_survival",
)  # fmt: skip
"""The tables of a build that no model makes."""


def load_analytics(override: Path | None = None) -> Analytics:
    """Read and check the defaults and, where given, the file that replaces some of their top-level keys.

    Raises SettingsError naming the file, the line and the field of each mistake.
    """
    default_text = resources.files("tailtracker_bi.analytics").joinpath(DEFAULT_FILE).read_text(encoding="utf-8")
    content, lines = yaml_with_lines(DEFAULT_FILE, default_text)
    name = DEFAULT_FILE
    if override is not None:
        name = str(override)
        try:
            text = override.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"TAILTRACKER_ANALYTICS: can't read {override}: {error}") from None
        own, lines = yaml_with_lines(name, text)
        content = {**content, **own}
    try:
        analytics = Analytics.model_validate(content)
    except ValidationError as error:
        messages = [_explain(problem, lines) for problem in error.errors(include_url=False)]
        raise SettingsError(f"{name}: " + "; ".join(messages)) from None
    # What the shipped file names is there: only a file of the user's own can name what is not.
    given = own if override is not None else {}
    named = _metrics_named(analytics, given)
    handed_out = [
        (("exports", place, "of", at), key)
        for place, rules in enumerate(analytics.exports if "exports" in given else [])
        for at, key in enumerate(rules.of)
    ]
    known = catalogued_metrics([funnel.id for funnel in analytics.funnels]) if named or handed_out else set()
    unknown = [
        f"line {_line(path, lines)}: {'.'.join(map(str, path))}: no such metric{'' if path[-1] == key else f', {key}'}"
        for path, key in named
        if key not in known
    ]
    known |= published_tables() if handed_out else set()
    for path, key in handed_out:
        if key not in known:
            near = get_close_matches(key, sorted(known), 1)
            meant = f"; did you mean {near[0]}?" if near else ""
            unknown.append(
                f"line {_line(path, lines)}: {'.'.join(map(str, path))}: no table and no metric {key}{meant}"
            )
    if unknown:
        raise SettingsError(f"{name}: " + "; ".join(unknown))
    return analytics


def _metrics_named(analytics: Analytics, own: dict[str, Any]) -> list[tuple[tuple[Hashable, ...], str]]:
    """Where the user's own file names a metric, and which."""
    noted: list[tuple[tuple[Hashable, ...], str]] = [(("metrics", key), key) for key in analytics.metrics]
    reports = enumerate(analytics.reports if "reports" in own else [])
    noted += [(("reports", place), metric) for place, report in reports for metric in report.metrics]
    alerts = enumerate(analytics.alerts if "alerts" in own else [])
    return noted + [(("alerts", place), alert.metric) for place, alert in alerts if alert.metric]


def catalogued_metrics(funnel_ids: list[str]) -> set[str]:
    """The ids of all metrics, as the catalogue beside the SQL has them."""
    files = (DBT_PROJECT / "models" / "metrics").glob("*/*__metrics.yml")
    models = [model for file in files for model in yaml.safe_load(file.read_text(encoding="utf-8"))["models"]]
    entries = [entry["id"] for model in models for entry in model.get("config", {}).get("meta", {}).get("metrics", [])]
    return {entry.replace("{funnel_id}", funnel_id) for entry in entries for funnel_id in ["", *funnel_ids]}


def published_tables() -> set[str]:
    """The tables of a build."""
    models = DBT_PROJECT / "models"
    aggregates = "".join(file.read_text(encoding="utf-8") for file in models.glob("metrics/*/agg_*.sql"))
    copied = [file.stem.removeprefix("pub_") for file in models.glob("published/*.sql")]
    return {*MADE_BY_PUBLISHING, *copied, *re.findall(r"alias='pub_(\w+)'", aggregates)}


def _explain(problem: Any, lines: dict[tuple[Hashable, ...], int]) -> str:
    path = tuple(part for part in problem["loc"])
    field = ".".join(str(part) for part in path)
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        message = "unknown key"
    return f"line {_line(path, lines)}: {field}: {message}"


def _line(path: tuple[Hashable, ...], lines: dict[tuple[Hashable, ...], int]) -> int:
    """Of the innermost part of a path that stands in the file."""
    return next((lines[path[:length]] for length in range(len(path), 0, -1) if path[:length] in lines), 1)


def yaml_with_lines(name: str, text: str) -> tuple[dict[str, Any], dict[tuple[Hashable, ...], int]]:
    """The content of a file whose keys stand once each, and the line of each path into it.

    Raises SettingsError with the file's name, the line and what is wrong.
    """
    try:
        lines: dict[tuple[Hashable, ...], int] = {}
        # libyaml is six times as quick, and ends the process where lists lie in lists a hundred thousand deep.
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if root is None:
            return {}, lines
        _note_lines(root, (), lines)
        content = loader.construct_document(root)
        if content is None:
            return {}, lines
    except _RepeatedKeyError as error:
        raise SettingsError(f"{name}: {error}") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SettingsError(f"{name}: line {line}: not YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SettingsError(f"{name}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise SettingsError(f"{name}: line 1: must be a mapping of top-level keys")
    return content, lines


class _RepeatedKeyError(ValueError):
    pass


def _note_lines(node: yaml.Node, path: tuple[Hashable, ...], lines: dict[tuple[Hashable, ...], int]) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):  # which is refused when it is read
                continue
            place = (*path, key.value)
            if place in lines:
                raise _RepeatedKeyError(f"line {key.start_mark.line + 1}: {key.value} stands twice")
            lines[place] = key.start_mark.line + 1
            _note_lines(value, place, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[(*path, index)] = value.start_mark.line + 1
            _note_lines(value, (*path, index), lines)
