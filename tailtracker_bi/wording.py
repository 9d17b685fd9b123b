"""How numbers, periods and names are written, in one way on every page and in every report."""

from __future__ import annotations

import math
import re
from datetime import date

import pandas as pd
from babel.numbers import format_currency, get_currency_symbol

NO_DATA = "no data"
HUGE = 1e15
"""From here on a number has more digits than a double knows, or than anybody reads."""
AXIS_FORMATS: dict[str, str] = {"integer": ",~d", "percent": ".0%", "decimal": ",.2~f"}
COUNTED = {"people", "events", "pets", "alerts", "hours", "customers", "payments", "tickets", "milliseconds"}
SOURCE_NAMES = {"app_db": "App database", "csv_files": "CSV files", "exchange_rates": "Exchange rates"}
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def number(value: float | None, form: str, unit: str = "") -> str:
    """`1,234 people`, `12.3%`, `0.45`, `€5.00` for the form `money EUR`; `no data` where there is none."""
    if value is None or pd.isna(value) or math.isinf(value):
        return NO_DATA
    if abs(value) >= HUGE:
        return f"{value:.2e}"
    if is_money(form):
        return money(value, currency_of(form))
    text = {"integer": f"{value:,.0f}", "percent": f"{value:.1%}"}.get(form, f"{value:,.2f}")
    return f"{text} {unit}" if unit in COUNTED else text


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
    counted = currency_of(form) if is_money(form) else unit if unit in COUNTED else ""
    return f"{label} ({counted})" if counted and counted not in label.lower() else label


def change(now: float | None, before: float | None, form: str) -> str:
    """Shares change by percentage points, counts and money by percent; empty where there is nothing to compare.

    Money below zero changes by an amount: a percentage of it would have the wrong sign.
    """
    if now is None or before is None or pd.isna(now) or pd.isna(before):
        return ""
    if now == before:
        return "no change"
    if form == "percent":
        return f"{(now - before) * 100:+.1f} points"
    if (form == "integer" or is_money(form)) and before > 0 and now >= 0:
        return f"{(now - before) / before:+.1%}"
    if is_money(form):
        return f"{'+' if now > before else '-'}{number(abs(now - before), form)}"
    return f"{now - before:+,.0f}" if form == "integer" else f"{now - before:+,.2f}"


def day(moment: date | pd.Timestamp) -> str:
    return f"{moment.day} {moment:%b %Y}"


def period(start: date | pd.Timestamp, grain: str) -> str:
    """`6 Mar 2025`, `week of 3 Mar 2025`, `March 2025`."""
    if grain == "month":
        return f"{start:%B %Y}"
    return f"week of {day(start)}" if grain == "week" else day(start)


def words(identifier: str) -> str:
    """`sign_up` as `Sign up`."""
    return identifier.replace("_", " ").capitalize()


def source_name(source: str) -> str:
    return SOURCE_NAMES.get(source, words(source))


def plain(text: object) -> str:
    """Text that came from outside, so that it shows as it is where Markdown is understood."""
    return re.sub(r"([\\`*_{}\[\]()<>#+\-!|~$:^&])", r"\\\1", str(text))


def csv(frame: pd.DataFrame) -> bytes:
    """The rows as CSV; text that a spreadsheet would run as a formula gets a leading apostrophe."""
    safe = frame.map(_neutral)
    safe.columns = pd.Index([_neutral(str(name)) for name in frame.columns])
    return safe.to_csv(index=False, date_format="%Y-%m-%d").encode("utf-8")


def _neutral(cell: object) -> object:
    if isinstance(cell, str) and cell.lstrip(" \u00a0").startswith(FORMULA_STARTS):
        return f"'{cell}"
    return cell
