"""CSV that is handed out: a program reads back what was there, and a spreadsheet runs none of it."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from tailtracker_bi.figures.csv_output import to_csv


def read_back(*row: object, is_raw: bool = False) -> list[str]:
    names = [f"column {number}" for number in range(len(row))]
    header, found = csv.reader(io.StringIO(to_csv(names, [row], is_raw=is_raw), newline=""))
    assert header == names
    return found


def test_values_are_written_as_data() -> None:
    moment = datetime(2025, 3, 1, 7, 30, tzinfo=UTC)
    assert read_back(4671, -0.073, Decimal("-1E+3"), True, None, float("nan"), date(2025, 3, 1), moment) == [
        "4671", "-0.073", "-1000", "true", "", "", "2025-03-01", "2025-03-01T07:30:00Z",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\r=1", "\n=1", "\uff1d1", "-€120.00"])
def test_text_that_a_spreadsheet_would_run_is_neutral_unless_it_is_to_stay_raw(text: str) -> None:
    assert read_back(text) == [f"'{text}"]
    assert read_back(text, is_raw=True) == [text]
    assert to_csv([text], []).lstrip('"').startswith("'")


def test_other_text_stays_as_it_is() -> None:
    texts = ['a "b", c', "two\nlines", "1=1", "München", "'quoted"]
    assert read_back(*texts) == texts
