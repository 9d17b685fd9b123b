"""All that is inferred of a build: what is kept of the build before, and what is said where nothing comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from tailtracker_bi.inference import SCHEMAS, SERIES, infer, series
from tailtracker_bi.inference.anomalies import LEAST_DAYS
from tailtracker_bi.inference.series import Floats, series_of

FIRST = date(2024, 1, 1)


def values_of(
    metric_id: str, values: Sequence[float] | Floats, unit: str = "people", form: str = "integer"
) -> pa.Table:
    days = [FIRST + timedelta(days=number) for number in range(len(values))]
    rows = [
        {"metric_id": metric_id, "unit": unit, "format": form, "period_start": day, "value": value}
        for day, value in zip(days, values, strict=True)
        if not np.isnan(value)
    ]
    return pa.Table.from_pylist(rows, SERIES)


def counts(days: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).poisson(50, days).astype(float)


def both(dau: Floats, payments: Floats) -> pa.Table:
    return pa.concat_tables([values_of("dau", dau), values_of("payments", payments)])


def test_an_increment_equals_the_whole_and_nothing_new_loads_no_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    then = both(counts(99), counts(70, 1))
    before = {"values": then, **infer(then, {}, FIRST + timedelta(days=99))}
    mended = counts(71, 1)
    mended[60] += 90
    now, as_of = both(counts(100), mended), FIRST + timedelta(days=100)
    whole = infer(now, {}, as_of)
    assert infer(now, before, as_of) == whole
    assert {table.num_rows > 0 for table in whole.values()} == {True}
    assert {name: table.schema for name, table in whole.items()} == SCHEMAS

    def unwanted(*_: object) -> None:
        raise AssertionError("nothing changed")

    for place in ("anomalies.judge", "forecasts.forecast"):
        monkeypatch.setattr(f"tailtracker_bi.inference.{place}", unwanted)
    assert infer(now, {"values": now, **whole}, as_of) == whole


def test_a_day_that_turned_unknown_is_no_longer_told() -> None:
    then = values_of("payments", counts(70))
    before = {"values": then, **infer(then, {}, FIRST + timedelta(days=70))}
    known = counts(70)
    known[66] = np.nan
    now = values_of("payments", known)
    found = infer(now, before, FIRST + timedelta(days=70))
    assert FIRST + timedelta(days=66) not in found["anomalies"]["period_start"].to_pylist()
    assert found == infer(now, {}, FIRST + timedelta(days=70))


def test_what_another_method_told_is_not_kept() -> None:
    then = values_of("dau", counts(100))
    made = infer(then, {}, FIRST + timedelta(days=100))
    other = {
        name: table.set_column(table.schema.get_field_index("method"), "method", pa.array(["older"] * table.num_rows))
        if "method" in table.column_names
        else table
        for name, table in made.items()
    }
    assert infer(then, {"values": then, **other}, FIRST + timedelta(days=100)) == made


@pytest.mark.parametrize(
    ("values", "what", "reason"),
    [
        (counts(LEAST_DAYS - 1), "anomalies", f"{LEAST_DAYS - 1} days, where {LEAST_DAYS} say what is usual"),
        (counts(10), "forecasts", "10 days are complete, where 84 say how well forecasts do"),
        (counts(100), "anomalies", None),
        (counts(100), "forecasts", None),
    ],
)
def test_a_reason_stands_where_nothing_came_of_it(values: Floats, what: str, reason: str | None) -> None:
    found = infer(values_of("dau", values), {}, FIRST + timedelta(days=len(values)))
    reasons = {row["what"]: row["reason"] for row in found["inference_status"].to_pylist()}
    assert reasons[what] == reason
    assert (found["forecasts"].num_rows == 0) == (reasons["forecasts"] is not None)


def test_what_is_always_the_same_gives_no_band_and_says_so() -> None:
    found = infer(values_of("mrr", np.full(100, 7.0), "currency", "money EUR"), {}, FIRST + timedelta(days=100))
    assert [row["reason"] for row in found["inference_status"].to_pylist()] == [
        "on most days it is as before, or unknown, so that nothing says how much change is usual",
        "it was the same on each of the last 28 days",
    ]


def test_without_values_there_is_nothing_to_tell() -> None:
    assert infer(SERIES.empty_table(), {}, FIRST) == {name: schema.empty_table() for name, schema in SCHEMAS.items()}


def test_days_without_a_value_are_unknown_in_a_series() -> None:
    [one, other] = series_of(pa.concat_tables([values_of("a", [1, np.nan, 3]), values_of("b", [np.inf, 2])]))
    assert (one.metric_id, one.first, one.end) == ("a", FIRST, FIRST + timedelta(days=3))
    assert np.array_equal(one.values, [1, np.nan, 3], equal_nan=True)
    assert np.array_equal(other.values, [np.nan, 2], equal_nan=True)


def test_a_gap_is_filled_by_the_nearest_of_its_weekday_the_week_before_first() -> None:
    values = np.arange(21.0)
    values[[2, 8, 9, 20]] = np.nan
    assert [series.filled(values)[place] for place in (2, 8, 9, 20)] == [16, 1, 16, 13]
    assert series.filled(np.array([np.nan, 4.0, 6.0])).tolist() == [5, 4, 6]


@pytest.mark.parametrize(
    ("now", "then", "changed"),
    [
        ([1, 2, 3], [1, 2, 3], None),
        ([1, 2, 3, 4], [1, 2, 3], 3),
        ([1, 2], [1, 2, 3], 2),
        ([1, 5, 3], [1, 2, 3], 1),
        ([1, np.nan, 3], [1, 2, 3], 1),
        ([1, np.nan, 3], [1, np.nan, 3], None),
        ([4, np.nan, 3, 4], [1, np.nan, 3], 0),
    ],
)
def test_the_first_change_is_found(now: list[float], then: list[float], changed: int | None) -> None:
    [one], [other] = (series_of(values_of("dau", values)) for values in (now, then))
    assert series.first_change(one, other) == (None if changed is None else FIRST + timedelta(days=changed))


def test_all_is_new_of_a_series_that_begins_on_another_day_or_is_told_in_another_way() -> None:
    [one] = series_of(values_of("dau", [1, 2, 3]))
    [share] = series_of(values_of("dau", [1, 2, 3], "share", "percent"))
    [later] = series_of(values_of("dau", [np.nan, 2, 3]))
    assert [series.first_change(now, then) for now, then in ((one, None), (one, share), (later, one))] == [
        FIRST,
        FIRST,
        FIRST + timedelta(days=1),
    ]
