"""Figures of so few people that somebody might be recognised: they are hidden in parts, never in the whole.

What is hidden must not be had by taking the rest from the whole either: where a part is hidden, the next smallest go
with it, until they are two, not few together, and more than one each. Which of them are the few is told to nobody, as
that would tell more. Not held against: who adds up days to a week in which the part is shown, or takes one split with
another.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from tailtracker_bi.access.policy import PartsNotOpenError
from tailtracker_bi.figures.catalogue import AVERAGED, Metric
from tailtracker_bi.figures.wording import words

PEOPLE_OF = {
    "mrr": "subscribers",
    "mrr_billed": "subscribers",
    "arr": "subscribers",
    "mrr_new": "subscribers_new",
    "mrr_churn": "subscribers_churned",
    "mrr_at_risk": "subscribers_at_risk",
    "gross_volume": "payments",
    "net_volume": "payments",
    "fees": "payments",
    "effective_fee_rate": "payments",
    "recovery_hours_median": "pets_recovered",
    "nrr": "subscribers",
    "grr": "subscribers",
}
"""The count that says of how few an amount, or an average that tells no number, is. One without is hidden in parts."""
IN_THE_WHOLE = {
    "annotations": (), "bundle_info": (), "data_status": (), "event_catalog": (), "metric_catalog": (),
    "not_counted": (), "reconciliation": (), "slo_status": (), "stickiness": (), "anomalies": (), "forecasts": (),
    "past_forecasts": (), "inference_status": (),
    "funnel_steps": ("segment",), "mrr_movements": ("segment", "currency"), "payment_outcomes": ("currency",),
    "dunning_curve": ("segment",),
    "restatements": ("segment",), "retention_cohorts": ("segment",), "revenue_cohorts": ("segment",),
    "ltv_predictions": ("segment", "currency"), "subscriber_survival": ("segment",), "trials": ("segment",),
    "mrr_modes": ("currency",),
}  # fmt: skip
"""The columns of a table that are `all` in rows of everyone. None of another table is shown in the whole."""
ROWS_OF_SOMEBODY = {"not_counted": "example", "reconciliation": "example"}
"""The column of a table that names an object of a single person."""
_CELL = ["grain", "period_start", "segment", "segment_value"]
_TOTAL = ["metric_id", "grain", "period_start", "segment"]


def hide_small(values: pd.DataFrame, metrics: Mapping[str, Metric], fewest: int) -> pd.DataFrame:
    """Rows of `metric_values` of whole segments, without the numbers of cells of fewer than `fewest` people.

    A column `is_hidden` says which those are. Nothing is 0 people, which hides nobody.
    """
    people = _people(values, metrics)
    # What is not about people has infinitely many; where nobody knows how many it is, there may be one.
    is_untold = people.isna() & values["value"].notna() & (values["value"] != 0)
    is_hidden = is_untold | _few_and_beside(values, people, fewest, _TOTAL)
    numbers = values[["numerator", "denominator", "value"]].mask(is_hidden)
    return values.assign(**{str(name): numbers[name] for name in numbers}, is_hidden=is_hidden)


def without_small(values: pd.DataFrame, metrics: Mapping[str, Metric], fewest: int) -> pd.DataFrame:
    """The same of rows of whole segments and of everyone, in their order: the whole is never hidden."""
    is_part = values["segment"] != "all"
    parts = hide_small(values[is_part], metrics, fewest)
    return pd.concat([values[~is_part].assign(is_hidden=False), parts]).sort_index()


def hide_few_events(rows: pd.DataFrame, fewest: int) -> pd.DataFrame:
    """Rows of `recent_activity` without the numbers of events that fewer than `fewest` people did within a span.

    A column `is_hidden` says which those are. All events together are the whole.
    """
    people = rows["people"].where(rows["event"].notna()).astype(float)
    is_hidden = _few_and_beside(rows, people, fewest, ["source", "span", "starts_at"])
    numbers = rows[["events", "people"]].astype("Int64").mask(is_hidden)
    amounts = rows["amount"].astype(object).mask(is_hidden, None)
    return rows.assign(**{str(name): numbers[name] for name in numbers}, amount=amounts, is_hidden=is_hidden)


def whole_rows(table: str, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of another table than `metric_values` that are of everyone, for whoever sees no parts of few.

    Raises PartsNotOpenError for a table of which nobody has said which those are.
    """
    if table not in IN_THE_WHOLE:
        raise PartsNotOpenError(words(table))
    for column in IN_THE_WHOLE[table]:
        # Payments of a single currency have no rows of all.
        if column == "segment" or (rows[column] == "all").any():
            rows = rows[rows[column] == "all"]
    return rows.assign(**{ROWS_OF_SOMEBODY[table]: None}) if table in ROWS_OF_SOMEBODY else rows


def _people(values: pd.DataFrame, metrics: Mapping[str, Metric]) -> pd.Series:
    """How many a row is of, at least by one of its numbers; unknown where nothing says so."""
    known = {metric_id: metrics[metric_id] for metric_id in values["metric_id"].unique() if metric_id in metrics}
    unit = values["metric_id"].map({metric_id: metric.unit for metric_id, metric in known.items()})
    domain = values["metric_id"].map({metric_id: metric.domain for metric_id, metric in known.items()})
    of, part = values["denominator"].astype(float), values["numerator"].astype(float)
    # Of 160 all but 2, and 2 of 160, say the same of two people.
    sides = pd.concat([side.where(side > 0) for side in (of, part, of - part)], axis=1)
    counts = values.set_index(["metric_id", *_CELL])["value"].astype(float)
    counted = values[_CELL].assign(metric_id=values["metric_id"].map(PEOPLE_OF))
    beside = counts.reindex(pd.MultiIndex.from_frame(counted[["metric_id", *_CELL]]))
    is_of_money = values["metric_id"].isin([key for key, metric in known.items() if not metric.is_of_a_sample])
    is_number = ~unit.isin({"currency", *AVERAGED}) & unit.notna()
    return pd.Series(
        np.select(
            [is_of_money, domain == "health", of.notna() & (unit == "share"), of.notna(), is_number],
            [beside.to_numpy(), np.inf, sides.min(axis=1).fillna(0), of, values["value"].astype(float)],
            beside.to_numpy(),
        ),
        values.index,
    )


def _few_and_beside(values: pd.DataFrame, people: pd.Series, fewest: int, total: list[str]) -> pd.Series:
    """Cells of few, and of the others those that would tell them, were they alone: the smallest of each total."""
    cells = values.loc[people > 0, total].assign(people=people[people > 0]).sort_values("people", kind="stable")
    totals = cells.groupby(total, sort=False)
    has_few = totals["people"].transform("min") < fewest
    before, sum_before = totals.cumcount(), totals["people"].cumsum() - cells["people"]
    # Of five cells with five people together, each has one.
    tells = (sum_before < fewest) | (sum_before == before)
    is_hidden = (cells["people"] < fewest) | (has_few & tells)
    return pd.Series(values.index.isin(cells.index[is_hidden]), values.index)
