"""What currencies are worth: the reference rates of a central bank, which sets them on working days."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from tailtracker_bi.sandbox.story import chance
from tailtracker_bi.sandbox.story.plot import Plot

Rates = dict[date, dict[str, Decimal]]
"""By working day, in order: how much of a currency one euro buys."""

_AROUND = {
    "usd": Decimal("1.0850"), "jpy": Decimal("162.40"), "gbp": Decimal("0.84520"), "chf": Decimal("0.9610"),
}  # fmt: skip
"""With as many decimals as its rates have."""
_CLOSED = {(1, 1), (5, 1), (12, 25), (12, 26)}
"""Months and days without rates, whatever the weekday."""


def invent(plot: Plot, seed: int) -> Rates:
    """The rates from a week before the story on, to its end: each day's is a little off that of the day before."""
    days = (plot.first + timedelta(days=day) for day in range(-7, plot.days + plot.ahead))
    working = [day for day in days if day.weekday() < 5 and (day.month, day.day) not in _CLOSED]
    rates: Rates = {day: {} for day in working}
    for currency, around in _AROUND.items():
        off, steps = 0.0, chance.generator(seed, f"rate of {currency}").normal(0, 0.005, len(working))
        for day, step in zip(working, steps.tolist(), strict=True):
            off = 0.99 * off + step
            rates[day][currency] = (around * Decimal(1 + off)).quantize(around)
    return rates
