"""How numbers, periods and names are written, in one way on every page and in every report."""

from __future__ import annotations

import math
import re
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal

from babel.numbers import format_currency, get_currency_precision, get_currency_symbol

NO_DATA, NO_CHANGE = "no data", "no change"
HUGE = 1e15
"""From here on a number has more digits than a double knows, or than anybody reads."""
AXIS_FORMATS: dict[str, str] = {"integer": ",~d", "percent": ".0%", "decimal": ",.2~f"}
NOTHING_COUNTED = {"", "share", "ratio", "currency"}
"""Units that are no word to put beside a number."""


def number(value: float | None, form: str, unit: str = "") -> str:
    """`1,234 people`, `12.3%`, `0.45`, `€5.00` for the form `money EUR`; `no data` where there is none."""
    if value is None or not math.isfinite(value):
        return NO_DATA
    if abs(value) >= HUGE:
        return f"{value:.2e}"
    if is_money(form):
        return money(value, currency_of(form))
    text = {"integer": f"{value:,.0f}", "percent": f"{value:.1%}"}.get(form, f"{value:,.2f}")
    return text if unit in NOTHING_COUNTED else f"{text} {unit}"


def money(value: float, currency: str) -> str:
    """`€12,345.60`, `¥12,346`, `12,345.678 KWD`: the currency's own decimals, and its sign where it has one."""
    if not re.fullmatch("[A-Z]{3}", currency):
        return f"{value:,.2f}"
    has_sign = get_currency_symbol(currency, locale="en") != currency
    return str(format_currency(value, currency, None if has_sign else "#,##0.00 ¤¤", locale="en"))


def is_money(form: str) -> bool:
    return form.split(" ")[0] == "money"


def currency_of(form: str) -> str:
    """`EUR` of `money EUR`; empty where no currency is named."""
    return form.partition(" ")[2]


def titled(label: str, form: str, unit: str) -> str:
    """A label with what is counted, unless it says so itself: `Sign-ups (people)`, `Fees (EUR)`, `Payments`."""
    counted = currency_of(form) if is_money(form) else "" if unit in NOTHING_COUNTED else unit
    return f"{label} ({counted})" if counted and counted not in label.lower() else label


def change(now: float | None, before: float | None, form: str) -> str:
    """What differs between the two figures as they are shown; empty where there is nothing to compare.

    Shares change by percentage points, counts and money by percent. Money below zero changes by an amount: a percentage
    of it would have the wrong sign.
    """
    if number(now, form) == NO_DATA or number(before, form) == NO_DATA or now is None or before is None:
        return ""
    shown, shown_before = _shown(now, form), _shown(before, form)
    difference = shown - shown_before
    if not difference:
        return NO_CHANGE
    if form == "percent":
        return f"{difference:+,.1f} points"
    if (form == "integer" or is_money(form)) and shown_before > 0 and shown >= 0:
        return f"{difference / shown_before:+,.1%}"
    if is_money(form):
        return f"{'+' if difference > 0 else '-'}{number(float(abs(difference)), form)}"
    return f"{difference:+,.0f}" if form == "integer" else f"{difference:+,.2f}"


def _shown(value: float, form: str) -> Decimal:
    """The number that `number` writes; a share in percent."""
    if abs(value) >= HUGE:
        return Decimal(f"{value:.2e}")
    if is_money(form):
        places = get_currency_precision(currency_of(form)) if currency_of(form) else 2
        return Decimal(str(value)).quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN)
    return Decimal({"integer": f"{value:.0f}", "percent": f"{value * 100:.1f}"}.get(form, f"{value:.2f}"))


def sample(size: float | None, before: float | None) -> str:
    """Of how many a ratio is, and the one it is compared with: `n = 214, before 199`; empty where it is of nothing."""
    if size is None:
        return ""
    return f"n = {size:,.0f}" + ("" if before is None else f", before {before:,.0f}")


def day(moment: date) -> str:
    return f"{moment.day} {moment:%b %Y}"


def period(start: date, grain: str) -> str:
    """`6 Mar 2025`, `week of 3 Mar 2025`, `March 2025`."""
    if grain == "month":
        return f"{start:%B %Y}"
    return f"week of {day(start)}" if grain == "week" else day(start)


def words(identifier: str) -> str:
    """`sign_up` as `Sign up`."""
    return identifier.replace("_", " ").capitalize()


def plain(text: object) -> str:
    """Text that came from outside, so that it shows as it is where Markdown is understood."""
    return re.sub(r"([\\`*_{}\[\]()<>#+\-!|~$:^&])", r"\\\1", str(text))
