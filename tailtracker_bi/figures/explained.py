"""Why a metric changed, as people read it: two sentences, a table, bars, and rows to hand out.

Numbers that stand together add up as they are shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

import pandas as pd

from tailtracker_bi.figures.catalogue import Metric
from tailtracker_bi.figures.explain import MOST_CAUSES, Explanation, Part, Segmentation
from tailtracker_bi.figures.readings import Figure
from tailtracker_bi.figures.wording import (
    currency_of,
    difference,
    in_steps,
    is_money,
    number,
    period,
    signed,
    words,
)

IN_SEVERAL, IN_NONE, ROUNDING = "in several", "in none", "rounding"
NOBODY = "none"
OTHERS = "{} others"
MOST_BARS = 8
TERMS = ("numerator", "denominator")


@dataclass(frozen=True)
class Shown:
    """What a part, or without one the remainder, did to the change as it is shown: `own` and `mix` are apart."""

    part: Part | None
    own: Decimal
    mix: Decimal = Decimal(0)

    @property
    def change(self) -> Decimal:
        return self.own + self.mix


def change_in_words(explanation: Explanation, grain: str) -> str:
    """The first sentence: `MRR rose by €1,234.00 (+4.1%), from €30,000.00 to €31,234.00, between ... and ....`."""
    reading = explanation.reading
    if explanation.why_not:
        return f"{reading.metric.label}: nothing to explain, as {explanation.why_not}."
    total = _total(explanation)
    by = signed(total, reading.metric.format).lstrip("+-")
    share = f" ({reading.change})" if reading.change.endswith("%") else ""
    values = f"from {reading.shown_before} to {reading.shown}"
    chance = ", which may be chance" if explanation.may_be_chance else ""
    spans = [_span(figure, grain) for figure in (reading.before, reading.now)]
    return (
        f"{reading.metric.label} {'rose' if total > 0 else 'fell'} by {by}{share}, {values}, "
        f"between {' and '.join(spans)}{chance}."
    )


def cause_in_words(explanation: Explanation, subject: str = "It") -> str:
    """The second sentence: which values of which segment made the change; empty where none stands out beyond chance."""
    best = explanation.best
    if best is None or explanation.may_be_chance:
        return ""
    every = {one.part.name: one for one in shown(explanation, best) if one.part}
    made = [_part_in_words(explanation, every[part.name]) for part in best.causes]
    against = [_part_in_words(explanation, one) for one in every.values() if one.part and one.part.works_against]
    rest = f", against {' and '.join(against[:MOST_CAUSES])}" if against else ""
    return f"{subject} came mostly from {words(best.segment).lower()} {' and '.join(made)}{rest}."


def why_no_cause(explanation: Explanation) -> str:
    """In place of the second sentence: why no value is named."""
    if explanation.may_be_chance:
        return "So no cause is named."
    if not explanation.segmentations:
        return "It is not split by anything."
    if all(one.why_not for one in explanation.segmentations):
        return "No segment can tell why."
    return "No few values made most of it: those of each segment changed about as the whole did, or perhaps by chance."


def terms_in_words(explanation: Explanation, catalog: Mapping[str, Metric]) -> str:
    """What numerator and denominator of a ratio did to it, named where the catalogue knows them; empty for a sum."""
    if explanation.numerator is None or explanation.denominator is None:
        return ""
    reading, form = explanation.reading, explanation.reading.metric.format
    known = [catalog[name].label for name in reading.metric.quotient_of if name in catalog]
    names = known if len(known) == len(TERMS) else [f"the {term}" for term in TERMS]
    sizes = in_steps([explanation.numerator, explanation.denominator], form, _total(explanation))
    told = [
        f"{signed(size, form)} by {name} ({getattr(reading.before, term):,.10g} to {getattr(reading.now, term):,.10g})"
        for size, name, term in zip(sizes, names, TERMS, strict=True)
    ]
    return f"Of this, {' and '.join(told)}."


def shown(explanation: Explanation, segmentation: Segmentation) -> list[Shown]:
    """The parts and then the rest, where there is one, with numbers that add up to the change as it is shown.

    A number or an amount differs by what its two values as shown do; what they are rounded by is in the rest. Of a
    ratio, effects are rounded so that they add up.
    """
    form, total, parts = explanation.reading.metric.format, _total(explanation), segmentation.parts
    if explanation.is_ratio:
        effects = [effect.size for part in parts for effect in (part.own, part.mix)]
        sizes = in_steps([*effects, segmentation.remainder], form, total)
        pairs = list(zip(sizes[:-1:2], sizes[1:-1:2], strict=True))
    else:
        pairs = [(_difference(part.now, part.before, form), Decimal(0)) for part in parts]
    found = [Shown(part, *pair) for part, pair in zip(parts, pairs, strict=True)]
    rest = total - sum(one.change for one in found)
    return [*found, Shown(None, rest)] if rest else found


def shown_total(explanation: Explanation) -> tuple[float, str]:
    """The change as it is shown, of shares in points, and in words."""
    total = _total(explanation)
    return float(total), signed(total, explanation.reading.metric.format)


def rest_name(explanation: Explanation, segmentation: Segmentation) -> str:
    """What the rest is: what several of the values count, what none of them counts, or how they are rounded."""
    if not in_steps([segmentation.remainder], explanation.reading.metric.format)[0]:
        return ROUNDING
    return IN_SEVERAL if segmentation.overlap >= 0 else IN_NONE


def table(explanation: Explanation) -> pd.DataFrame:
    """A row per value of every segment that can tell, those that tell most first; of a ratio, rate and mix apart."""
    form = explanation.reading.metric.format
    rows = []
    for segmentation in explanation.segmentations:
        for one in [] if segmentation.why_not else shown(explanation, segmentation):
            part = one.part
            row = {
                "Segment": words(segmentation.segment),
                "Value": part.name if part else rest_name(explanation, segmentation),
                "Before": _value(part.before, form) if part else "",
                "After": _value(part.now, form) if part else "",
                "Of the change": signed(one.change, form),
            }
            if explanation.is_ratio:
                row |= {
                    "By its rate": signed(one.own, form) if part else "",
                    "By mix": signed(one.mix, form) if part else "",
                }
            rows.append(row | {"Note": _note(part)})
    return pd.DataFrame(rows)


def bars(explanation: Explanation, segmentation: Segmentation) -> pd.DataFrame:
    """What made the change by one segment, to draw: name, amount (of shares in points), text, is_part; then the rest.

    Of a ratio, rate and mix have a bar each. The smallest are taken together.
    """
    form = explanation.reading.metric.format
    every = shown(explanation, segmentation)
    single = [
        (f"{one.part.name}{kind}", amount)
        for one in every
        if one.part
        for kind, amount in (((": rate", one.own), (": mix", one.mix)) if explanation.is_ratio else (("", one.own),))
        if amount
    ]
    single.sort(key=lambda one: -abs(one[1]))
    if len(single) > MOST_BARS + 1:
        rest = single[MOST_BARS:]
        single = [*single[:MOST_BARS], (OTHERS.format(len(rest)), sum((amount for _, amount in rest), Decimal(0)))]
    found = [(name, amount, True) for name, amount in single]
    found += [
        (rest_name(explanation, segmentation), one.change, False) for one in every if one.part is None and one.change
    ]
    return pd.DataFrame(
        [
            {"name": name, "amount": float(amount), "text": signed(amount, form), "is_part": is_part}
            for name, amount, is_part in found
        ]
    )


def as_data(explanation: Explanation, grain: str) -> pd.DataFrame:
    """A row per value of every segment, and per remainder: exact, and with the reason where nothing is told."""
    reading = explanation.reading
    about = {
        "metric_id": reading.metric.metric_id,
        "unit": reading.metric.unit,
        "currency": currency_of(reading.metric.format) if is_money(reading.metric.format) else None,
        "grain": grain,
        "period_start": reading.now.period_start,
        "before_start": reading.before.period_start,
    }
    return pd.DataFrame([about | row for one in explanation.segmentations for row in _data_of(explanation, one)])


def _data_of(explanation: Explanation, segmentation: Segmentation) -> Iterator[dict[str, object]]:
    about: dict[str, object] = {"segment": segmentation.segment, "concentration": segmentation.concentration}
    if segmentation.why_not:
        yield about | {"concentration": None, "why_not": segmentation.why_not}
        return
    for part in segmentation.parts:
        yield about | {
            "segment_value": part.name,
            **{f"{name}_before": getattr(part.before, name) for name in ("numerator", "denominator", "value")},
            **{name: getattr(part.now, name) for name in ("numerator", "denominator", "value")},
            "change": part.change,
            "by_own": part.own.size,
            "by_mix": part.mix.size,
            "beyond_chance": part.beyond_chance,
            "stands_out": part.stands_out,
        }
    if segmentation.remainder:
        yield about | {"segment_value": f"({rest_name(explanation, segmentation)})", "change": segmentation.remainder}


def _total(explanation: Explanation) -> Decimal:
    reading = explanation.reading
    return _difference(reading.now, reading.before, reading.metric.format)


def _difference(now: Figure, before: Figure, form: str) -> Decimal:
    return difference(now.value or 0.0, before.value or 0.0, form)


def _span(figure: Figure, grain: str) -> str:
    span = "" if figure.period_start is None else period(figure.period_start, grain)
    return f"the {span}" if grain == "week" else span


def _part_in_words(explanation: Explanation, one: Shown) -> str:
    """`premium (+€900.00)`; of a ratio what of it is no chance: `DE (-2.9 points: -2.4 points as its own rate ...)`."""
    part, form = one.part, explanation.reading.metric.format
    if part is None:
        return ""
    if not explanation.is_ratio:
        return f"{part.name} ({signed(one.change, form)})"
    causes = [amount for amount, effect in ((one.own, part.own), (one.mix, part.mix)) if not effect.is_chance]
    whole = "" if sum(causes) == one.change else f"{signed(one.change, form)}: "
    return f"{part.name} ({whole}{' and '.join(_effects_in_words(explanation, part, one))})"


def _effects_in_words(explanation: Explanation, part: Part, one: Shown) -> Iterator[str]:
    reading = explanation.reading
    form = reading.metric.format
    if one.own and not part.own.is_chance:
        rates = [number(own.value, form) for own in (part.before, part.now)]
        moved = _moved_from(part.before.value, part.now.value)
        yield f"{signed(one.own, form)} as its own rate {moved} {' to '.join(rates)}"
    if one.mix and not part.mix.is_chance:
        weights = [
            (own.denominator or 0.0) / (every.denominator or 1.0)
            for own, every in ((part.before, reading.before), (part.now, reading.now))
        ]
        shares = [number(weight, "percent") for weight in weights]
        yield f"{signed(one.mix, form)} by mix, as its part of the whole {_moved_from(*weights)} {' to '.join(shares)}"


def _moved_from(before: float | None, now: float | None) -> str:
    return "rose from" if (now or 0.0) > (before or 0.0) else "fell from"


def _value(figure: Figure, form: str) -> str:
    return NOBODY if figure.value is None and not figure.denominator else number(figure.value, form)


def _note(part: Part | None) -> str:
    if part is None:
        return "so that it adds up"
    if part.change and not part.beyond_chance:
        return "may be chance"
    return "stands out" if part.stands_out else "works against it" if part.works_against else ""
