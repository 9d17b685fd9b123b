"""Numbers as people read them."""

from __future__ import annotations

import pytest

from tailtracker_bi.figures.wording import number


@pytest.mark.parametrize(
    ("value", "form", "unit", "written"),
    [
        (1234, "integer", "people", "1,234 people"),
        (1, "integer", "people", "1 person"),
        (1, "integer", "customers", "1 customer"),
        (0, "integer", "tickets", "0 tickets"),
        (1, "decimal", "hours", "1.00 hours"),
        (1, "integer", "", "1"),
        (1, "percent", "share", "100.0%"),
        (1, "money EUR", "currency", "€1.00"),
        (None, "integer", "people", "no data"),
        (float("nan"), "percent", "share", "no data"),
    ],
)
def test_a_number_is_written_with_what_it_counts(value: float | None, form: str, unit: str, written: str) -> None:
    assert number(value, form, unit) == written
