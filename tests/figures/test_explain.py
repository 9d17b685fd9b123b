"""Why a metric changed: by hand, by a slower way of working it out, and that whatever is told adds up."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailtracker_bi.figures import catalogue, charts, explained
from tailtracker_bi.figures.catalogue import Metric
from tailtracker_bi.figures.explain import Explanation, Part, Segmentation, explain
from tailtracker_bi.figures.points import by_segment
from tailtracker_bi.figures.wording import difference, in_steps
from tailtracker_bi.reports.formats import picture

BEFORE, NOW = date(2025, 1, 6), date(2025, 1, 13)
UNITS = {"integer": "people", "money EUR": "currency", "percent": "share", "decimal": "ratio"}

Both = tuple[Any, Any]
"""Of a value: before and now; a ratio's are (numerator, denominator), and None is no row."""


def metric(form: str, **other: Any) -> Metric:
    made = Metric("m", "Takings", "", "", UNITS[form], form, True, "", "", "", "active", None, ())
    return replace(made, **other)


def row(start: date, segment: str, name: str, value: Any) -> dict[str, Any]:
    over, under = value if isinstance(value, tuple) else (value, None)
    known = over if under is None else over / under if under else None
    return {
        "period_start": start, "segment": segment, "segment_value": name,
        "numerator": over, "denominator": under, "value": known, "is_complete": True,
    }  # fmt: skip


def table(whole: Both, **segments: dict[str, Both]) -> pd.DataFrame:
    """Rows of two weeks, as `metric_values` has them: the whole, and its values by segment."""
    every = {("all", "all"): whole}
    every |= {(segment, name): both for segment, values in segments.items() for name, both in values.items()}
    rows = [
        row(start, segment, name, value)
        for (segment, name), both in every.items()
        for start, value in zip((BEFORE, NOW), both, strict=True)
        if value is not None
    ]
    return pd.DataFrame(rows).astype(dict.fromkeys(("numerator", "denominator", "value"), float))


def why(form: str, whole: Both, **segments: dict[str, Both]) -> Explanation:
    return explain(metric(form), table(whole, **segments), NOW, BEFORE)


def by(explanation: Explanation, segment: str) -> dict[str, Part]:
    return {part.name: part for part in of(explanation, segment).parts}


def of(explanation: Explanation, segment: str) -> Segmentation:
    return next(one for one in explanation.segmentations if one.segment == segment)


def test_money_changes_by_what_its_parts_change_by() -> None:
    found = why(
        "money EUR",
        (30_000, 31_234),
        plan={"premium": (12_000, 12_900), "pro": (18_000, 18_334)},
        country={"DE": (15_000, 15_617), "FR": (15_000, 15_617)},
    )
    assert {name: part.change for name, part in by(found, "plan").items()} == {"premium": 900, "pro": 334}
    assert of(found, "plan").remainder == 0
    assert explained.change_in_words(found, "week") == (
        "Takings rose by €1,234.00 (+4.1%), from €30,000.00 to €31,234.00, between the week of 6 Jan 2025 and the week "
        "of 13 Jan 2025."
    )
    # By country both changed like the whole: that is no answer, however large DE is.
    assert explained.cause_in_words(found) == "It came mostly from plan premium (+€900.00)."
    # 900 / 1,234 of the change and 24,900 / 61,234 of the money; the other does not stand out.
    assert of(found, "plan").concentration == pytest.approx(900 / 1_234 - 24_900 / 61_234)
    assert of(found, "country").concentration == 0
    assert list(explained.table(found)["Of the change"]) == ["+€900.00", "+€334.00", "+€617.00", "+€617.00"]


def test_what_each_value_is_rounded_by_is_a_row_so_that_rows_agree_with_themselves_and_add_up() -> None:
    thirds = dict.fromkeys(("DE", "FR", "NL"), (100.004, 133.336))
    found = why("money EUR", (300.012, 400.008), country=thirds)
    shown = explained.table(found).set_index("Value")
    assert list(shown.loc["DE", ["Before", "After", "Of the change"]]) == ["€100.00", "€133.34", "+€33.34"]
    # 3 * 33.34 is 100.02, and 400.01 - 300.01 is 100.
    assert list(shown.loc["rounding", ["Before", "After", "Of the change"]]) == ["", "", "-€0.02"]
    assert of(found, "country").remainder == 0


def test_a_ratio_changes_by_rates_and_by_mix_also_where_every_rate_rose_and_the_whole_fell() -> None:
    found = why("percent", ((110, 200), (106, 250)), card={"A": ((90, 100), (46, 50)), "B": ((20, 100), (60, 200))})
    a, b = by(found, "card")["A"], by(found, "card")["B"]
    # Of all, A was a half and is a fifth, B a half and four fifths: 0.35 * 2 points, 0.65 * 10 points.
    assert (a.own.size, b.own.size) == (pytest.approx(0.007), pytest.approx(0.065))
    # Each weight moves by 0.3, times how far its mean rate, 0.91 and 0.25, is from the whole's, 0.487.
    assert (a.mix.size, b.mix.size) == (pytest.approx(-0.3 * (0.91 - 0.487)), pytest.approx(0.3 * (0.25 - 0.487)))
    assert explained.cause_in_words(found) == (
        "It came mostly from card A (-12.0 points: -12.7 points by mix, as its part of the whole fell from 50.0% to "
        "20.0%)."
    )
    # 110 to 106 at 1/200 and at 1/250, and the other way round.
    assert found.numerator == pytest.approx(-4 * (1 / 200 + 1 / 250) / 2)
    assert found.denominator == pytest.approx(216 * (1 / 250 - 1 / 200) / 2)
    assert explained.terms_in_words(found, {}) == (
        "Of this, -1.8 points by the numerator (110 to 106) and -10.8 points by the denominator (200 to 250)."
    )


def test_a_quotient_of_known_metrics_names_what_it_divides() -> None:
    rows = table(((20, 100), (30, 100)))
    found = explain(metric("percent", quotient_of=("dau", "mau")), rows, NOW, BEFORE)
    names = {"dau": metric("integer", label="Daily people"), "mau": metric("integer", label="Monthly people")}
    assert explained.terms_in_words(found, names) == (
        "Of this, +10.0 points by Daily people (20 to 30) and +0.0 points by Monthly people (100 to 100)."
    )


def test_a_value_that_comes_or_goes_is_mix_alone_and_of_nobody_nothing_is_divided() -> None:
    found = why(
        "percent",
        ((90, 100), (140, 200)),
        card={"old": ((90, 100), None), "new": (None, (140, 200)), "never": ((0, 0), (0, 0))},
    )
    for part in by(found, "card").values():
        assert part.own.size == 0
    # 90 / 100 - 0.8 * 1 is what old had above the mean of both wholes, and 140 / 200 - 0.8 what new has below.
    changes = {name: part.change for name, part in by(found, "card").items()}
    assert changes == {"old": pytest.approx(-0.1), "new": pytest.approx(-0.1), "never": 0}
    shown = explained.table(found).set_index("Value")
    assert list(shown.loc["new", ["Before", "After"]]) == ["none", "70.0%"]


def test_people_who_are_counted_in_several_values_are_a_remainder_of_their_own() -> None:
    found = why("integer", (400, 560), platform={"ios": (300, 440), "android": (150, 180)})
    platform = of(found, "platform")
    assert {part.name: part.change for part in platform.parts} == {"ios": 140, "android": 30}
    # 50 were on both, 60 are.
    assert (platform.remainder, platform.overlap) == (-10, pytest.approx(110 / 960))
    assert list(explained.table(found)["Value"]) == ["ios", "android", "in several"]
    of_none = why("integer", (400, 560), platform={"ios": (200, 330), "android": (150, 180)})
    assert of(of_none, "platform").remainder == 0
    assert of(of_none, "platform").overlap < 0
    fewer = why("integer", (400, 560), platform={"ios": (200, 300), "android": (150, 180)})
    assert of(fewer, "platform").remainder == 30
    assert list(explained.table(fewer)["Value"])[-1] == "in none"


def test_a_segment_that_leaves_out_most_or_counts_most_twice_names_no_cause() -> None:
    twice = {"1.0": (900, 1_000), "1.1": (950, 1_900)}
    assert why("integer", (1_000, 2_000), version=twice).best is None
    assert why("integer", (10_000, 11_000), service={"api": (1_000, 2_000), "web": (10, 10)}).best is None


def test_values_that_take_turns_explain_little() -> None:
    found = why(
        "integer", (10_000, 11_000), version={"1.0": (5_900, 5_900), "1.1": (4_000, 100), "1.2": (100, 5_000)},
        country={"DE": (5_000, 5_900), "FR": (5_000, 5_100)},
    )  # fmt: skip
    assert by(found, "version")["1.2"].stands_out
    assert of(found, "version").causes == []
    assert explained.cause_in_words(found) == "It came mostly from country DE (+900)."


def test_what_works_against_it_is_told_after_the_cause() -> None:
    found = why("integer", (1_000, 1_400), plan={"pro": (300, 800), "free": (600, 500), "basic": (100, 100)})
    assert (
        explained.cause_in_words(found, "The change")
        == "The change came mostly from plan pro (+500), against free (-100)."
    )
    notes = explained.table(found).set_index("Value")["Note"]
    assert dict(notes) == {"pro": "stands out", "free": "works against it", "basic": ""}


@pytest.mark.parametrize(
    ("form", "whole", "values"),
    [
        # As in every value; of few; +40 of 1,000 is no more than chance.
        ("integer", (2_000, 3_000), {"DE": (1_200, 1_800), "FR": (800, 1_200)}),
        ("integer", (10, 29), {"DE": (5, 24), "FR": (5, 5)}),
        ("integer", (2_000, 2_040), {"DE": (1_000, 1_040), "FR": (1_000, 1_000)}),
        # All rates fell alike; one fell, of few.
        ("percent", ((190, 200), (150, 200)), {"A": ((95, 100), (75, 100)), "B": ((95, 100), (75, 100))}),
        ("percent", ((196, 220), (180, 220)), {"A": ((180, 200), (180, 200)), "B": ((16, 20), (0, 20))}),
        # How far apart the values of an average are nobody knows.
        ("decimal", ((800, 200), (700, 200)), {"A": ((400, 100), (300, 100)), "B": ((400, 100), (400, 100))}),
    ],
)  # fmt: skip
def test_what_may_be_chance_or_is_the_same_everywhere_is_not_called_a_cause(
    form: str, whole: Both, values: dict[str, Both]
) -> None:
    found = why(form, whole, country=values)
    assert explained.cause_in_words(found) == ""
    assert explained.why_no_cause(found) in {
        "So no cause is named.",
        "No few values made most of it: those of each segment changed about as the whole did, or perhaps by chance.",
    }


def test_what_a_value_did_by_chance_is_no_cause_where_something_else_of_it_is_none() -> None:
    """A had more of the payments, of which as many succeed as elsewhere; of few others of its kind fewer did."""
    found = why(
        "percent",
        ((1_900, 2_000), (1_804, 2_000)),
        card={"A": ((380, 400), (760, 800)), "B": ((57, 60), (40, 50)), "C": ((1_463, 1_540), (1_004, 1_150))},
    )
    a, b, c = (by(found, "card")[name] for name in "ABC")
    assert [a.mix.is_chance, a.own.is_chance, b.own.is_chance, c.own.is_chance] == [False, True, True, True]
    assert (a.beyond_chance, b.beyond_chance) == (a.change, 0)
    assert not found.best


def test_a_rate_that_fell_in_one_value_beyond_chance_is_called_the_cause() -> None:
    found = why(
        "percent", ((1_900, 2_000), (1_800, 2_000)), card={"A": ((950, 1_000),) * 2, "B": ((950, 1_000), (850, 1_000))}
    )
    assert explained.cause_in_words(found) == (
        "It came mostly from card B (-5.0 points as its own rate fell from 95.0% to 85.0%)."
    )


@pytest.mark.slow
def test_many_looks_do_not_make_chance_a_cause() -> None:
    """Five segments of 3 to 12 values that all grow by a fifth: of 200 such weeks, a cause is named in 5 % at most."""
    dice = np.random.default_rng(17)
    named = 0
    for _ in range(200):
        segments = {}
        for count in (3, 4, 6, 8, 12):
            sizes = 6_000 * dice.dirichlet(np.full(count, 2.0))
            pairs = zip(dice.multinomial(6_000, sizes / 6_000), dice.multinomial(7_200, sizes / 6_000), strict=True)
            segments[f"of_{count}"] = {str(number): (int(a), int(b)) for number, (a, b) in enumerate(pairs)}
        named += bool(explained.cause_in_words(why("integer", (6_000, 7_200), **segments)))
    assert named <= 10


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"value": None}, "the later period has no value"),
        ({"value": math.inf}, "the later period has no value"),
        ({"is_complete": False}, "the later period is not complete yet"),
        ({"value": 1e300}, "the later period's value has more digits than are known"),
        ({"value": 100.2}, "both periods are shown alike"),
    ],
)
def test_what_is_not_known_or_not_complete_is_compared_with_nothing(changes: dict[str, Any], because: str) -> None:
    rows = table((100, 200), plan={"a": (60, 100), "b": (40, 100)})
    is_whole_now = (rows["segment"] == "all") & (rows["period_start"] == NOW)
    for name, value in changes.items():
        rows.loc[is_whole_now, name] = value
    found = explain(metric("integer"), rows, NOW, BEFORE)
    assert (found.why_not, found.segmentations) == (because, ())
    assert explained.change_in_words(found, "week") == f"Takings: nothing to explain, as {because}."
    assert explain(metric("integer"), rows, date(2025, 1, 20), BEFORE).why_not == "the later period has no value"


def test_a_median_is_not_made_of_its_parts() -> None:
    rows = table((10, 20), plan={"a": (5, 30), "b": (12, 18)})
    assert explain(metric("decimal", unit="hours"), rows, NOW, BEFORE).why_not.startswith("it is neither a sum nor")
    assert explain(metric("integer", unit="milliseconds"), rows, NOW, BEFORE).segmentations == ()


def test_a_segment_that_can_not_tell_says_why_and_is_never_zero() -> None:
    rows = table(
        (100, 200),
        unknown={"a": (60, 100), "b": (40, 100)},
        unfinished={"a": (60, 100), "b": (40, 100)},
        single={"a": (100, 200)},
        later={"a": (None, 100), "b": (None, 100)},
        currency={"EUR": (60, 100), "USD": (40, 100)},
    )
    is_last = rows["segment_value"].eq("b") & (rows["period_start"] == NOW)
    rows.loc[is_last & (rows["segment"] == "unknown"), "value"] = None
    rows.loc[is_last & (rows["segment"] == "unfinished"), "is_complete"] = False
    found = explain(metric("money EUR"), rows, NOW, BEFORE)
    assert {one.segment: one.why_not for one in found.segmentations} == {
        "unknown": "not all is known of b",
        "unfinished": "b is not complete yet",
        "single": "there is one value only",
        "later": "the earlier period is not split by it",
        "currency": "each amount is in a currency of its own",
    }
    assert explained.why_no_cause(found) == "No segment can tell why."
    assert explained.table(found).empty
    told = explained.as_data(found, "week").set_index("segment")
    assert told["why_not"].notna().all()
    # What is counted can be told by currency.
    assert of(explain(metric("integer"), rows, NOW, BEFORE), "currency").why_not == ""


def test_a_metric_without_segments_says_so() -> None:
    assert explained.why_no_cause(why("integer", (100, 300))) == "It is not split by anything."


def test_bars_take_the_smallest_together_and_add_up() -> None:
    found = why(
        "integer", (0, 1_000), country={f"c{number:02}": (0, 10 * number + 5) for number in range(12)} | {"x": (0, 280)}
    )
    drawn = explained.bars(found, found.segmentations[0])
    assert list(drawn["name"])[:2] == ["x", "c11"]
    assert drawn["name"].iloc[-1] == "5 others"
    assert drawn["amount"].sum() == 1_000
    ratio = why("percent", ((110, 200), (106, 250)), card={"A": ((90, 100), (46, 50)), "B": ((20, 100), (60, 200))})
    assert list(explained.bars(ratio, ratio.segmentations[0])["name"]) == ["A: mix", "B: mix", "B: rate", "A: rate"]


def test_in_a_waterfall_each_bar_begins_where_the_one_above_ended_and_the_last_is_the_whole() -> None:
    found = why("integer", (1_000, 900), plan={"pro": (300, 400), "free": (600, 400), "basic": (100, 100)})
    total, text = explained.shown_total(found)
    drawn = explained.bars(found, found.segmentations[0])
    chart = charts.waterfall(drawn, label="People", total=total, total_text=text)
    rows = chart["datasets"]["parts"][["name", "start", "end", "text"]].values.tolist()
    assert rows == [["free", 0, -200, "-200"], ["pro", -200, -100, "+100"], ["all of it", 0, -100, "-100"]]
    assert "free -200; pro +100; all of it -100" in chart["description"]
    assert picture(chart)  # A schema takes what Vega-Lite then fails to draw.


def test_units_of_averages_are_those_of_which_the_models_say_that_nothing_is_not_zero() -> None:
    sql = (Path(__file__).parents[2] / "dbt_project/models/metrics/metric_definitions.sql").read_text()
    listed = re.search(r"unit not in \((.*)\) as is_zero_of_nothing", sql)
    assert listed
    assert set(re.findall(r"'(\w+)'", listed[1])) == catalogue.AVERAGED


def test_a_percentile_of_a_value_without_a_row_is_not_known_whatever_it_is_written_like() -> None:
    rows = table((100, 200), service={"api": (90, None), "web": (None, 210)})
    whole, parts = rows[rows["segment"] == "all"], rows[rows["segment"] == "service"]
    whole = whole.assign(period_start=pd.to_datetime(whole["period_start"]))
    for unit, expected in (("milliseconds", [90, 210]), ("events", [90, 210, 0, 0])):
        filled = by_segment(metric("integer", unit=unit), whole, parts)["value"].dropna()
        assert sorted(filled) == sorted(expected)


@given(
    st.sampled_from([*UNITS]),
    st.lists(st.floats(-1e9, 1e9).map(lambda size: round(size, 5)), min_size=1, max_size=12),
    st.floats(0, 1e6),
)
def test_parts_as_they_are_shown_add_up_to_the_whole_as_it_is_shown(
    form: str, parts: list[float], before: float
) -> None:
    total = difference(before + sum(parts), before, form)
    if not any(parts):
        return
    shown = in_steps(parts, form, total)
    assert sum(shown) == total
    step = Decimal({"integer": "1", "percent": "0.1"}.get(form, "0.01"))
    scale = 100 if form == "percent" else 1
    # Two roundings of the whole and one of each part: nobody's is off by more than one step and its own half.
    assert all(
        abs(near - Decimal(part) * scale) <= 3 * step / 2 + Decimal("1e-4")
        for near, part in zip(shown, parts, strict=True)
    )
    assert all(near == 0 for near, part in zip(shown, parts, strict=True) if part == 0)


counts = st.one_of(st.none(), st.integers(0, 5_000))
amounts = st.one_of(st.none(), st.floats(-1e6, 1e6).map(lambda amount: round(amount, 2)))
ratios = st.one_of(
    st.none(),
    st.tuples(st.integers(0, 400), st.integers(0, 400)).map(lambda both: (min(both), max(both))),
    st.tuples(st.integers(0, 400), st.integers(1, 400)),
)
VALUES = {"integer": counts, "money EUR": amounts, "percent": ratios, "decimal": ratios}


def added(values: list[Any]) -> Any:
    """What the parts of one period are together: the sum, or sums of numerators and denominators."""
    known = [value for value in values if value is not None]
    if known and isinstance(known[0], tuple):
        return tuple(map(sum, zip(*known, strict=True)))
    return sum(known)


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, pd.DataFrame]:
    """A metric of any form by one to three segments: sparse, with values that come and go, and whole or overlapping."""
    form = draw(st.sampled_from([*UNITS]))
    both = st.tuples(VALUES[form], VALUES[form])
    names = st.sampled_from(["a", "b", "c", "d", "e", "(unknown)"])
    segments = draw(st.lists(st.dictionaries(names, both, min_size=2), min_size=1, max_size=3))
    parts = segments[0].values()
    adds_up = tuple(added(list(of_period)) for of_period in zip(*parts, strict=True))
    alone = VALUES[form].filter(lambda value: value is not None)
    whole = adds_up if draw(st.booleans()) else draw(st.tuples(alone, alone))
    zero = (0, 0) if form in {"percent", "decimal"} else 0
    whole = tuple(one or zero for one in whole)
    return form, table(whole, **{f"segment {number}": values for number, values in enumerate(segments)})


@settings(deadline=None, max_examples=120)
@given(tables())
def test_contributions_add_up_to_the_change_whatever_the_numbers(drawn: tuple[str, pd.DataFrame]) -> None:
    form, rows = drawn
    found = explain(metric(form), rows, NOW, BEFORE)
    if found.why_not:
        assert found.segmentations == ()
        return
    values = rows[rows["segment"] == "all"].set_index("period_start")["value"]
    change = values[NOW] - values[BEFORE]
    assert found.change == change
    told = [one for one in found.segmentations if not one.why_not]
    backwards = explain(metric(form), rows, BEFORE, NOW)
    for one in told:
        moves = [size for part in one.parts for size in (part.own.size, part.mix.size)]
        close = pytest.approx(change, rel=1e-9, abs=1e-9 * max(map(abs, [*values, *moves])))
        assert math.fsum([*moves, one.remainder]) == close
        assert sum(row.change for row in explained.shown(found, one)) == difference(values[NOW], values[BEFORE], form)
        assert 0 <= one.concentration <= 1 + 1e-9
        # Nothing depends on which period comes first.
        forth, back = ({part.name: part.change for part in seg.parts} for seg in (one, of(backwards, one.segment)))
        assert forth == pytest.approx({name: -size for name, size in back.items()}, rel=1e-9, abs=1e-9)
    if found.numerator is not None and found.denominator is not None:
        assert found.numerator + found.denominator == pytest.approx(change, rel=1e-9, abs=1e-9)
    for sentence in (explained.change_in_words(found, "week"), explained.terms_in_words(found, {})):
        assert "nan" not in sentence
    assert explained.cause_in_words(found) or explained.why_no_cause(found)
    data = explained.as_data(found, "week")
    for one in told:
        own = data.loc[data["segment"] == one.segment, "change"].sum()
        assert own == pytest.approx(change, rel=1e-9, abs=1e-9 * data["change"].abs().max())


pairs = st.tuples(st.integers(0, 50), st.integers(1, 50))


@settings(deadline=None, max_examples=100)
@given(st.dictionaries(st.sampled_from("abcde"), st.tuples(pairs, pairs), min_size=2))
def test_rate_and_mix_are_the_means_over_both_orders_of_changing_them(values: dict[str, Both]) -> None:
    """Slowly and exactly: first the rates change and then the weights, and the other way round."""
    before, now = (added([both[number] for both in values.values()]) for number in (0, 1))
    found = why("decimal", (before, now), part=values)
    if found.why_not:
        return
    whole = [Fraction(*total) for total in (before, now)]
    for name, (was, is_now) in values.items():
        rates = [Fraction(*was), Fraction(*is_now)]
        weights = [Fraction(was[1], before[1]), Fraction(is_now[1], now[1])]
        own = [weight * (rates[1] - rates[0]) for weight in weights]
        mix = [(weights[1] - weights[0]) * (rate - all_) for rate, all_ in zip(rates, whole, strict=True)]
        part = by(found, "part")[name]
        assert part.own.size == pytest.approx(float(sum(own) / 2), abs=1e-12)
        assert part.mix.size == pytest.approx(float(sum(mix) / 2), abs=1e-12)
