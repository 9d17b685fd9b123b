"""Why a metric changed between two periods: what each value of each segment did to it, adding up to the change.

A number or an amount changes by what its parts change by. A ratio is the mean of its parts' ratios, each weighed by its
part of the denominator: a part changes it by its own rate and by its weight (mix). Half of what both together do goes
to each, so that nothing is left over and the order of the two periods does not matter. What the parts have in common
or leave out, as people who are active on two platforms, is a remainder of its own.

Pure: rows of `metric_values` in, plain values out. How it is told, `explained` says.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import NamedTuple

import pandas as pd

from tailtracker_bi.figures.catalogue import Metric
from tailtracker_bi.figures.points import finite, ordered
from tailtracker_bi.figures.readings import Figure, Reading, at, figures, may_be_chance
from tailtracker_bi.figures.wording import HUGE, currency_of, is_money

NO_SUM, NO_RATIO = Figure(0.0, 0.0), Figure(None, 0.0, 0.0)
"""Of a value that has no row where others have: a number or an amount is 0, a ratio is of nothing."""
ROUNDING = 1e-9
"""Of the numbers that are added, what is no difference."""
STANDS_OUT = 0.1
"""A part stands out where its share of the change is so much larger than its share of the metric."""
MOST_APART = 0.5
"""A segment whose values leave out or count in several more than that, of the metric or of its change, says little."""
MOST_CAUSES, LEAST_CAUSED = 2, 0.5
"""How many values are named as the cause; what they made of the change, and it is of all that moved, at the least."""


class Effect(NamedTuple):
    """What a part did to the change, in the metric's unit, and whether chance alone does as much."""

    size: float = 0.0
    is_chance: bool = True


@dataclass(frozen=True)
class Part:
    """A value of a segment in both periods. `own` is its own change, of a ratio that of its rate; `mix` its weight's.

    `weight` is its share of the metric, or of a ratio's denominator, over both periods. `share` is how much of all that
    moved in the segment it did beyond chance, positive in the direction of the change.
    """

    name: str
    now: Figure
    before: Figure
    own: Effect
    mix: Effect
    weight: float
    share: float = 0.0

    @property
    def change(self) -> float:
        return self.own.size + self.mix.size

    @property
    def beyond_chance(self) -> float:
        """What of its change is no chance: no more than that, where chance worked against it."""
        sure = math.fsum(effect.size for effect in (self.own, self.mix) if not effect.is_chance)
        return min(sure, self.change, key=abs) if sure * self.change > 0 else 0.0

    @property
    def stands_out(self) -> bool:
        """Whether it made more of the change than its size would."""
        return self.share - self.weight >= STANDS_OUT

    @property
    def works_against(self) -> bool:
        """Whether it moved the other way."""
        return self.share <= -STANDS_OUT


@dataclass(frozen=True)
class Segmentation:
    """The change by the values of one segment, the largest first: they and the remainder add up to it.

    The remainder is what is counted in several of the values, or in none. `overlap` is how much more the values add up
    to than the metric, or than a ratio's denominator, as a share of it: below 0 where they leave out more. `why_not`
    says why it can't be told by this segment; it has no parts then.
    """

    segment: str
    parts: Sequence[Part] = ()
    remainder: float = 0.0
    overlap: float = 0.0
    why_not: str = ""

    @cached_property
    def left_over(self) -> float:
        """How much of all that moved is left as the change: little where values take turns, like versions of an app."""
        moves = [*(part.change for part in self.parts), self.remainder]
        return abs(math.fsum(moves)) / (math.fsum(map(abs, moves)) or 1.0)

    @cached_property
    def concentration(self) -> float:
        """How few values made how much of the change: 0 where all changed as the whole did, 1 at the most.

        How far the shares of the change are from those of the metric, as the root of the sum of squares, so that one
        value far off counts for more than many that are a little off each; times what is left over of all that moved.
        Values that do not stand out count as if they had changed like the whole.
        """
        moved = math.fsum([*(abs(part.change) for part in self.parts), abs(self.remainder)])
        if abs(self.overlap) > MOST_APART or abs(self.remainder) > MOST_APART * moved:
            return 0.0
        return self.left_over * math.hypot(*(part.share - part.weight for part in self.parts if part.stands_out))

    @property
    def causes(self) -> Sequence[Part]:
        """The few values that stand out and made most of the change, where most of what moved is left over."""
        found = [part for part in self.parts if part.stands_out][:MOST_CAUSES]
        made = math.fsum(part.share for part in found) / (self.left_over or 1.0)
        is_told = self.concentration > 0 and min(made, self.left_over) >= LEAST_CAUSED
        return found if is_told else []


@dataclass(frozen=True)
class Explanation:
    """A change and what made it, by segment: those that have causes first, by how concentrated it is; the mute last.

    `why_not` says why there is no change to explain; there are no segmentations then. Of a ratio, `numerator` and
    `denominator` are what each of the two did to it.
    """

    reading: Reading
    segmentations: Sequence[Segmentation] = ()
    numerator: float | None = None
    denominator: float | None = None
    why_not: str = ""

    @property
    def is_ratio(self) -> bool:
        return self.numerator is not None

    @property
    def change(self) -> float:
        return (self.reading.now.value or 0.0) - (self.reading.before.value or 0.0)

    @property
    def best(self) -> Segmentation | None:
        """The segment whose values tell most of why; none where no few values did most of it."""
        first = next(iter(self.segmentations), None)
        return first if first is not None and first.causes else None

    @property
    def may_be_chance(self) -> bool:
        """Whether chance alone changes the whole by as much."""
        metric = self.reading.metric
        return metric.is_of_a_sample and may_be_chance(metric.format, self.reading.now, self.reading.before)


def explain(metric: Metric, rows: pd.DataFrame, now: date, before: date) -> Explanation:
    """Why a metric differs in two periods; `rows` are its values by one grain, whole and by every segment."""
    dated = ordered(finite(rows), "period_start")
    found = dated[dated["period_start"].isin([pd.Timestamp(now), pd.Timestamp(before)])]
    whole = found[found["segment"] == "all"]
    reading = Reading(metric, at(whole, now), at(whole, before))
    why_not = _no_change_to_explain(reading)
    if why_not:
        return Explanation(reading, why_not=why_not)
    split = {str(name): own for name, own in found[found["segment"] != "all"].groupby("segment", sort=True)}
    looks = sum(own["segment_value"].nunique() for own in split.values())
    told = [_by_segment(reading, name, own, looks) for name, own in split.items()]
    ranked = sorted(told, key=lambda one: (bool(one.why_not), not one.causes, -one.concentration, one.segment))
    over, under = _of_both_terms(reading.now, reading.before) if _is_ratio(reading) else (None, None)
    return Explanation(reading, ranked, over, under)


def _no_change_to_explain(reading: Reading) -> str:
    for figure, which in ((reading.now, "later"), (reading.before, "earlier")):
        if figure.value is None:
            return f"the {which} period has no value"
        if not figure.is_complete:
            return f"the {which} period is not complete yet"
        if abs(figure.value) >= HUGE:
            return f"the {which} period's value has more digits than are known"
    if reading.is_same or reading.now.value == reading.before.value:
        return "both periods are shown alike"
    if not _is_ratio(reading) and not reading.metric.is_sum:
        return "it is neither a sum nor a ratio, so that it is not made of its parts"
    return ""


def _is_ratio(reading: Reading) -> bool:
    return bool(reading.now.denominator and reading.before.denominator)


def _of_both_terms(now: Figure, before: Figure) -> tuple[float, float]:
    """What numerator and denominator did to a ratio: each is changed alone, before the other and after it."""
    over, over_before, under, under_before = (
        one or 0.0 for one in (now.numerator, before.numerator, now.denominator, before.denominator)
    )
    by_numerator = (over - over_before) * (1 / under + 1 / under_before) / 2
    by_denominator = (over + over_before) * (1 / under - 1 / under_before) / 2
    return by_numerator, by_denominator


def _by_segment(reading: Reading, segment: str, rows: pd.DataFrame, looks: int) -> Segmentation:
    why_not = _why_not_by(reading, segment, rows)
    if why_not:
        return Segmentation(segment, why_not=why_not)
    pairs = list(_in_both_periods(reading, rows))
    part_of = _part_of_ratio if _is_ratio(reading) else _part_of_sum
    parts = [part_of(reading, *pair, looks) for pair in pairs]
    total = (reading.now.value or 0.0) - (reading.before.value or 0.0)
    remainder = math.fsum([total, *(-part.change for part in parts)])
    sizes = (reading.now.value or 0.0, reading.before.value or 0.0, *(part.change for part in parts))
    remainder = 0.0 if abs(remainder) <= ROUNDING * max(map(abs, sizes)) else remainder
    moved = math.fsum([*(abs(part.change) for part in parts), abs(remainder)])
    weights = math.fsum(part.weight for part in parts)
    weighed = [
        replace(
            part,
            weight=part.weight / weights if weights else 0.0,
            share=math.copysign(1.0, total) * part.beyond_chance / moved if moved else 0.0,
        )
        for part in parts
    ]
    weighed.sort(key=lambda part: (-abs(part.change), part.name))
    return Segmentation(
        segment, weighed, remainder, _overlap(reading, [figure for _, *both in pairs for figure in both])
    )


def _overlap(reading: Reading, parts: Sequence[Figure]) -> float:
    """How much more the parts are than the whole, of both periods together, as a share of it."""
    of_what = "denominator" if _is_ratio(reading) else "value"
    of_parts, of_whole = (
        math.fsum(getattr(figure, of_what) or 0.0 for figure in own) for own in (parts, (reading.now, reading.before))
    )
    overlap = (of_parts - of_whole) / abs(of_whole) if of_whole else 0.0
    return 0.0 if abs(overlap) <= ROUNDING else overlap


def _why_not_by(reading: Reading, segment: str, rows: pd.DataFrame) -> str:
    """Why the values of a segment do not tell of the change; empty where they do. What is not known is no 0."""
    own_currency = {currency_of(reading.metric.format)}
    if segment == "currency" and is_money(reading.metric.format) and set(rows["segment_value"]) != own_currency:
        return "each amount is in a currency of its own"
    if rows["segment_value"].nunique() < 2:
        return "there is one value only"
    unknown = rows[rows["value"].isna() & ~(rows["denominator"] == 0)]
    if len(unknown):
        return f"not all is known of {unknown['segment_value'].iloc[0]}"
    unfinished = rows[~rows["is_complete"]]
    if len(unfinished):
        return f"{unfinished['segment_value'].iloc[0]} is not complete yet"
    for figure, which in ((reading.now, "later"), (reading.before, "earlier")):
        if not (rows["period_start"] == figure.period_start).any() and (figure.denominator or figure.value):
            return f"the {which} period is not split by it"
    return ""


def _in_both_periods(reading: Reading, rows: pd.DataFrame) -> Iterator[tuple[str, Figure, Figure]]:
    """Each value with its later and earlier figure: where it has no row, nothing of it was there."""
    absent = NO_RATIO if _is_ratio(reading) else NO_SUM
    known = {
        (name, figure.period_start): figure for name, figure in zip(rows["segment_value"], figures(rows), strict=True)
    }
    for name in sorted({name for name, _ in known}):
        now, before = (known.get((name, own.period_start), absent) for own in (reading.now, reading.before))
        yield str(name), now, before


def _part_of_sum(reading: Reading, name: str, now: Figure, before: Figure, looks: int) -> Part:
    """It is no chance where both it and its share of the whole have changed by more; of money nothing is."""
    form = reading.metric.format
    size, size_before = now.value or 0.0, before.value or 0.0
    is_chance = may_be_chance(form, now, before, looks) or (
        not is_money(form) and _has_kept_its_share(reading, "value", now, before, looks)
    )
    own = Effect(size - size_before, is_chance)
    return Part(name, now, before, own, Effect(), (abs(size) + abs(size_before)) / 2)


def _part_of_ratio(reading: Reading, name: str, now: Figure, before: Figure, looks: int) -> Part:
    """What its own rate did, at its mean weight, and what its weight did, at its mean distance from the whole.

    A part that was not there in one of the periods had no rate of its own: all of it is mix.
    """
    whole, whole_before = reading.now, reading.before
    all_now, all_before = whole.denominator or 1.0, whole_before.denominator or 1.0
    over, over_before = (now.numerator or 0.0) / all_now, (before.numerator or 0.0) / all_before
    weight, weight_before = (now.denominator or 0.0) / all_now, (before.denominator or 0.0) / all_before
    middle = ((whole.value or 0.0) + (whole_before.value or 0.0)) / 2
    change = over - over_before - middle * (weight - weight_before)
    own = Effect()
    if weight and weight_before:
        by_rate = (weight + weight_before) / 2 * (over / weight - over_before / weight_before)
        own = Effect(by_rate, _may_rate_be_chance(reading, now, before, looks))
    mix = Effect(change - own.size, _has_kept_its_share(reading, "denominator", now, before, looks))
    return Part(name, now, before, own, mix, (abs(weight) + abs(weight_before)) / 2)


def _may_rate_be_chance(reading: Reading, now: Figure, before: Figure, looks: int) -> bool:
    """Whether its share changes so much, or so much otherwise than the whole's, by chance.

    How far apart the values of an average are nobody knows, so that of many averages none is sure. Shares of money are.
    """
    form = reading.metric.format
    if not reading.metric.is_of_a_sample:
        return False
    size = before.denominator or 0.0
    like_whole = (before.numerator or 0.0) + size * ((reading.now.value or 0.0) - (reading.before.value or 0.0))
    expected = replace(before, numerator=min(max(like_whole, 0.0), size))
    return form != "percent" or may_be_chance(form, now, before, looks) or may_be_chance(form, now, expected, looks)


def _has_kept_its_share(reading: Reading, of: str, now: Figure, before: Figure, looks: int) -> bool:
    """Whether its share of the whole's value or denominator differs by no more than chance makes it."""
    share, share_before = (
        Figure(numerator=getattr(own, of) or 0.0, denominator=getattr(whole, of))
        for own, whole in ((now, reading.now), (before, reading.before))
    )
    return reading.metric.is_of_a_sample and may_be_chance("percent", share, share_before, looks)
