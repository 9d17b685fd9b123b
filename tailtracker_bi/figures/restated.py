"""What is told otherwise than by a build that somebody knows: restatements since then, value by value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from tailtracker_bi.figures.catalogue import Metric
from tailtracker_bi.figures.wording import number, period

VALUE = ["metric_id", "grain", "period_start", "segment", "segment_value"]
NOTHING = pd.DataFrame(columns=[*VALUE, "old_value", "new_value", "build", "restated_on", "reason"])


def since(restatements: pd.DataFrame, known: str) -> pd.DataFrame:
    """A row a value that later builds than `known` restated, the newest periods first, from what it was to what it is.

    What was restated several times is told once, with all reasons; what is again as it was, not at all.
    """
    later = restatements[restatements["build"] > known].sort_values("build", kind="stable")
    # The first and the last are rows: where there is no number, that is what is told.
    first = later.drop_duplicates(VALUE)[[*VALUE, "old_value"]]
    last = later.drop_duplicates(VALUE, keep="last").drop(columns=["old_value", "reason"])
    reasons = later.groupby(VALUE, dropna=False)["reason"].agg(lambda own: "; ".join(dict.fromkeys(own))).reset_index()
    net = first.merge(last, on=VALUE).merge(reasons, on=VALUE)[[*NOTHING.columns]]
    is_same = np.isclose(net["old_value"].astype(float), net["new_value"].astype(float), 1e-9, 0, equal_nan=True)
    return net[~is_same].sort_values("period_start", ascending=False, kind="stable").reset_index(drop=True)


def table(rows: pd.DataFrame, metrics: Mapping[str, Metric]) -> pd.DataFrame:
    """Restatements of known metrics as people read them."""
    forms = [metrics[name].of_part(*part).format for name, *part in _cells(rows)]
    return pd.DataFrame(
        {
            "Metric": [metrics[name].label for name in rows["metric_id"]],
            "Period": list(map(period, rows["period_start"], rows["grain"])),
            "Of": ["Everyone" if value == "all" else value for value in rows["segment_value"]],
            **{
                title: [number(value, form) for value, form in zip(rows[column], forms, strict=True)]
                for title, column in (("Before", "old_value"), ("After", "new_value"))
            },
            "Why": list(rows["reason"]),
        }
    )


def _cells(rows: pd.DataFrame) -> Sequence[tuple[str, str, str]]:
    return list(zip(rows["metric_id"], rows["segment"], rows["segment_value"], strict=True))
