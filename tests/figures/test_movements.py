"""What moved MRR by week is what the days say."""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd
import pytest

from tailtracker_bi.figures.movements import by_week

MONDAY = date(2025, 3, 3)
OF = ["currency", "movement", "segment", "segment_value"]
COLUMNS = ["grain", "period_start", *OF, "customers", "amount", "is_complete"]
Told = dict[str, tuple[int, float | None]]


def days_of(told: list[Told], part: tuple[str, str, str] = ("all", "all", "all"), incomplete: int = 99) -> pd.DataFrame:
    """Rows of days from Monday on, each with its customers and amount by movement."""
    currency, segment, value = part
    rows = [
        ("day", MONDAY + timedelta(days=number), currency, movement, segment, value, *row, number < incomplete)
        for number, movements in enumerate(told)
        for movement, row in movements.items()
    ]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"amount": float})


def quiet(amount: float) -> Told:
    return {"opening": (1, amount), "new": (0, 0.0), "churn": (0, 0.0), "closing": (1, amount)}


def weeks_of(days: pd.DataFrame, **of: str) -> dict[tuple[date, str], tuple[int, float, bool]]:
    found = by_week(days)
    assert list(found.columns) == COLUMNS
    assert set(found["grain"]) == {"week"}
    for column, value in of.items():
        found = found[found[column] == value]
    told = ("period_start", "movement", "customers", "amount", "is_complete")
    return {
        (start.date(), movement): row for start, movement, *row in found[[*told]].itertuples(index=False, name=None)
    }  # type: ignore[misc]


def test_a_week_opens_with_its_first_day_closes_with_its_last_and_adds_up_between() -> None:
    busy = [
        {"opening": (1, 10.0), "new": (2, 5.0), "churn": (0, 0.0), "closing": (3, 15.0)},
        {"opening": (3, 15.0), "new": (1, 0.1), "churn": (1, 10.0), "closing": (3, 5.1)},
    ]
    weeks = weeks_of(days_of([*busy, *[quiet(5.1)] * 5, quiet(5.1)]))
    assert weeks == {
        (MONDAY, "opening"): [1, 10.0, True],
        (MONDAY, "new"): [3, 5.1, True],
        (MONDAY, "churn"): [1, 10.0, True],
        (MONDAY, "closing"): [1, 5.1, True],
        # The next week has one day yet.
        **{(MONDAY + timedelta(days=7), movement): [*row, False] for movement, row in quiet(5.1).items()},
    }


def test_exchange_rates_move_the_customers_of_the_last_day() -> None:
    told: list[Told] = [{**quiet(5.0), "fx": (number, 0.1)} for number in range(1, 8)]
    assert weeks_of(days_of(told))[MONDAY, "fx"] == [7, 0.7, True]


def test_a_movement_with_an_unknown_amount_is_unknown_for_the_week() -> None:
    told = [quiet(5.0) for _ in range(7)]
    told[3] = {**told[3], "new": (1, None)}
    weeks = weeks_of(days_of(told))
    assert pd.isna(weeks[MONDAY, "new"][1])
    assert weeks[MONDAY, "churn"][1] == 0


@pytest.mark.parametrize("first_incomplete", [0, 3, 6])
def test_one_incomplete_day_makes_the_week_incomplete_also_of_a_part_without_rows_on_it(first_incomplete: int) -> None:
    whole = days_of([quiet(5.0)] * 7, incomplete=first_incomplete)
    basic = days_of([{}, {"new": (1, 5.0), "closing": (1, 5.0)}, {"opening": (1, 5.0), "churn": (1, 5.0)}],
                    ("all", "plan", "basic"))  # fmt: skip
    days = pd.concat([whole, basic])
    assert not by_week(days)["is_complete"].any()
    assert by_week(pd.concat([days_of([quiet(5.0)] * 7), basic]))["is_complete"].all()
    # On Monday it had no customer, and by Sunday none: it opened and closed with nothing.
    weeks = weeks_of(days, segment="plan")
    assert {movement: row[1] for (_, movement), row in weeks.items()} == {"new": 5.0, "churn": 5.0}


def test_a_week_that_waits_for_rates_is_complete_in_its_own_currency() -> None:
    days = pd.concat([days_of([quiet(5.0)] * 7, incomplete=5), days_of([quiet(4.0)] * 7, ("USD", "all", "all"))])
    assert {row[2] for row in weeks_of(days, currency="all").values()} == {False}
    assert {row[2] for row in weeks_of(days, currency="USD").values()} == {True}
