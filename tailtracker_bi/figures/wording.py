"""How numbers, periods and names are written, in one way on every page and in every report."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from babel import Locale
from babel.numbers import (
    format_currency,
    get_currency_precision,
    get_currency_symbol,
    get_decimal_symbol,
    get_group_symbol,
)

NO_DATA, NO_CHANGE, NOT_SHOWN = "no data", "no change", "hidden"
MOST_PLACES = 4
"""Decimals of a percentage; a smaller share is written as none, a larger as all."""
HUGE = 1e15
"""From here on a number has more digits than a double knows, or than anybody reads."""
AXIS_FORMATS: dict[str, str] = {"integer": ",~d", "percent": ".3~%", "decimal": ",.2~f"}
WORD_JOINER = "\u2060"
NOTHING_COUNTED = {"", "share", "ratio", "currency", "currency_per_customer"}
"""Units that are no word to put beside a number."""
ENGLISH = "en"
_numbers_of: ContextVar[str] = ContextVar("_numbers_of", default=ENGLISH)


@contextmanager
def numbers_of(language: str) -> Iterator[None]:
    """Write the numbers of this block as a language does, given as CLDR names it: `1.234,5 %` of `de`."""
    before = _numbers_of.set(language)
    try:
        yield
    finally:
        _numbers_of.reset(before)


def digits(text: str) -> str:
    """An English number, or percentage, as it is written here."""
    language = _numbers_of.get()
    if language == ENGLISH:
        return text
    separators = str.maketrans({".": get_decimal_symbol(language), ",": get_group_symbol(language)})
    number = text.removesuffix("%").translate(separators)
    return _percentage(language).format(number) if text.endswith("%") else number


def _percentage(language: str) -> str:
    """How a language writes one, with a place for the number: `{} %`."""
    return re.sub(r"[#,.0]+", "{}", Locale.parse(language).percent_formats[None].pattern, count=1)


def axis_locale() -> dict[str, Any]:
    """The numbers of axes, as D3 takes it."""
    language = _numbers_of.get()
    return {
        "decimal": get_decimal_symbol(language),
        "thousands": get_group_symbol(language),
        "grouping": [3],
        "currency": ["", ""],
        "percent": _percentage(language).removeprefix("{}"),
    }


def number(value: float | None, form: str, unit: str = "") -> str:
    """`1,234 people`, `1 person`, `12.3%`, `0.45`, `€5.00` for the form `money EUR`; `no data` where there is none."""
    if value is None or not math.isfinite(value):
        return NO_DATA
    if abs(value) >= HUGE:
        return digits(f"{value:.2e}")
    if is_money(form):
        return money(value, currency_of(form))
    text = {"integer": f"{value:,.0f}", "percent": f"{value:.{_places(form, value)}%}"}.get(form, f"{value:,.2f}")
    text = digits(text)
    if unit in NOTHING_COUNTED:
        return text
    return f"{text} {'person' if unit == 'people' else unit.removesuffix('s')}" if text == "1" else f"{text} {unit}"


def money(value: float, currency: str) -> str:
    """`€12,345.60`, `¥12,346`, `12,345.678 KWD`: the currency's own decimals, and its sign where it has one."""
    if not re.fullmatch("[A-Z]{3}", currency):
        return digits(f"{value:,.2f}")
    has_sign = get_currency_symbol(currency, locale=ENGLISH) != currency
    return str(format_currency(value, currency, None if has_sign else "#,##0.00 ¤¤", locale=_numbers_of.get()))


def lasting(seconds: float | None) -> str:
    """`34 s`, `12.5 min`, `3.2 h`, `2.4 days`; `no data` where there is none."""
    if seconds is None or number(seconds, "decimal") == NO_DATA:
        return NO_DATA
    for unit, length in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length or (unit != "days" and seconds >= length):
            return f"{digits(f'{seconds / length:,.1f}')} {unit}"
    return f"{seconds:,.0f} s"


def promise(value: float | None, slo: str) -> str:
    """What a service level is or is to be: `99.950%`, as thousandths of a percent are what it is about; `740 ms`."""
    if value is None or number(value, "decimal") == NO_DATA:
        return NO_DATA
    return f"{digits(f'{value:,.0f}')} ms" if slo.endswith("_ms") else digits(f"{value:.3%}")


def is_money(form: str) -> bool:
    return form.split(" ")[0] == "money"


def currency_of(form: str) -> str:
    """`EUR` of `money EUR`; empty where no currency is named."""
    return form.partition(" ")[2]


def axis_label(form: str) -> str:
    """A Vega expression that writes the labels of an axis: `€1,200`, `12.5%`, `1,200`."""
    text = f"format(datum.value, '{AXIS_FORMATS.get(form, ',.2~f')}')"
    if not is_money(form):
        return text
    sign = get_currency_symbol(currency_of(form), locale=ENGLISH) if currency_of(form) else ""
    amount = "format(abs(datum.value), ',.2~f')"
    if Locale.parse(_numbers_of.get()).currency_formats["standard"].pattern.startswith("¤"):
        spaced = f"{sign} " if sign.isalpha() else sign
        amount = f"'{spaced}' + {amount}"
    elif sign:
        amount = f"{amount} + ' {sign}'"
    return f"(datum.value < 0 ? '-' : '') + {amount}"


def change(now: float | None, before: float | None, form: str) -> str:
    """What differs between the two figures as they are shown; empty where there is nothing to compare.

    Shares change by percentage points, counts and money by percent. Money below zero changes by an amount: a percentage
    of it would have the wrong sign.
    """
    if number(now, form) == NO_DATA or number(before, form) == NO_DATA or now is None or before is None:
        return ""
    apart = difference(now, before, form)
    if not apart:
        return NO_CHANGE
    shown_before = _shown(before, form)
    if (form == "integer" or is_money(form)) and shown_before > 0 and shown_before + apart >= 0:
        return digits(f"{apart / shown_before:+,.1%}")
    return signed(apart, form)


def difference(now: float, before: float, form: str) -> Decimal:
    """What the two figures differ by as they are shown; of shares in percentage points."""
    return _shown(now, form) - _shown(before, form)


def signed(apart: Decimal, form: str) -> str:
    """A difference with its sign: `+1.2 points`, `-3`, `+€5.00`."""
    if form == "percent":
        places = min(max(1, -int(apart.as_tuple().exponent)), MOST_PLACES)
        return f"{digits(f'{apart:+,.{places}f}')} points"
    if is_money(form):
        return f"{'-' if apart < 0 else '+'}{number(float(abs(apart)), form)}"
    return digits(f"{apart:+,.0f}" if form == "integer" else f"{apart:+,.2f}")


def in_steps(parts: Sequence[float], form: str, total: Decimal | None = None) -> list[Decimal]:
    """Parts of a difference as they are shown, so that they add up to the total as that is shown; of shares in points.

    Each is rounded; those that are off by most go up or down by one of the last digit shown. What is 0 stays 0.
    """
    # A total of a very small share is shown with more digits.
    places = max(_places(form), 0 if total is None else -int(total.as_tuple().exponent))
    step = Decimal(1).scaleb(-places)
    exact = [Decimal(part) * (100 if form == "percent" else 1) for part in parts]
    # No zero is below zero.
    shown = [part.quantize(step, ROUND_HALF_EVEN) + 0 for part in exact]
    off = Decimal(0) if total is None else total - sum(shown)
    one = step.copy_sign(off)
    for _ in range(int(abs(off / step))):
        most = max(range(len(exact)), key=lambda place: (exact[place] != 0, (exact[place] - shown[place]) / one))
        shown[most] += one
    return shown


def _shown(value: float, form: str) -> Decimal:
    """The number that `number` writes; a share in percent."""
    if abs(value) >= HUGE:
        return Decimal(f"{value:.2e}")
    if is_money(form):
        return Decimal(str(value)).quantize(Decimal(1).scaleb(-_places(form)), ROUND_HALF_EVEN)
    return Decimal(f"{value * 100 if form == 'percent' else value:.{_places(form, value)}f}")


def _places(form: str, value: float = 0.5) -> int:
    """How many decimals of a value are shown; of a share those of its percentage.

    A share has one or, where that would make none or all of it, as many as tell it apart.
    """
    if is_money(form):
        return get_currency_precision(currency_of(form)) if currency_of(form) else 2
    places = {"integer": 0, "percent": 1}.get(form, 2)
    if form == "percent" and value not in (0, 1):
        while places < MOST_PLACES and round(value * 100, places) in (0, 100):
            places += 1
    return places


def counted(label: str, unit: str) -> str:
    """What is counted, where neither the number nor its label says so: `people` of `New accounts`, none of `Fees`."""
    return "" if unit in NOTHING_COUNTED or unit in label.lower() else unit


def sample(size: float | None, before: float | None) -> str:
    """Of how many a ratio is, and the one it is compared with: `n = 214, before 199`; empty where it is of nothing."""
    if size is None:
        return ""
    return digits(f"n = {size:,.0f}") + ("" if before is None else f", before {digits(f'{before:,.0f}')}")


def day(moment: date) -> str:
    return f"{moment.day} {moment:%b %Y}"


def period(start: date, grain: str) -> str:
    """`6 Mar 2025`, `week of 3 Mar 2025`, `March 2025`."""
    if grain == "month":
        return f"{start:%B %Y}"
    return f"week of {day(start)}" if grain == "week" else day(start)


def short_period(start: date, grain: str) -> str:
    """The same without the year, where it stands beside one that has it: `6 Mar`, `week of 3 Mar`; `Mar 2025`."""
    if grain == "month":
        return f"{start:%b %Y}"
    return f"{'week of ' if grain == 'week' else ''}{start.day} {start:%b}"


def words(identifier: str) -> str:
    """`sign_up` as `Sign up`."""
    return identifier.replace("_", " ").capitalize()


def plain(text: object) -> str:
    """Text that came from outside, so that it shows as it is where Markdown is understood, and leads nowhere."""
    # An address is a link there whatever is escaped, unless something that nobody sees stands in it.
    text = re.sub(r"(?<=:)(?=//)|(?<=www)(?=\.)|(?<=@)", WORD_JOINER, str(text), flags=re.IGNORECASE)
    return re.sub(r"([\\`*_{}\[\]()<>#+\-!|~$:^&])", r"\\\1", text)
