"""What a subscriber is worth: what cohorts have brought, and what survival so far says of what they will.

What a subscriber brings within H months is ARPPU times the months that they are expected to pay for.

All are less what it costs to serve them, where that is known.

- `realised`: receipts by then, over the newest cohorts that are old enough; an interval would need each customer's.
- `arppu_over_churn`: as if the share who left in the last month left in each; Wilson's interval of that share.
- `survival` and `sbg`: by how long subscribers stayed, as `survival` has it.
- `bg_nbd`: not of subscribers, but of who buys something beside, as `purchases` has it.

Each is tried on its past: what it would have said some months ago of those who began next, and what they brought.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tailtracker_bi.inference.purchases import Buyers, buyers_of
from tailtracker_bi.inference.survival import (
    LEAST_ENDED,
    Estimate,
    Floats,
    Lives,
    TooLittleError,
    kaplan_meier,
    lives_of,
    months_before,
    sbg,
    sbg_shares_with_band,
    survival,
    with_normal_interval,
)

LIVES = pa.schema(
    [
        ("segment", pa.string()),
        ("segment_value", pa.string()),
        ("began_month", pa.date32()),
        ("ended_month", pa.date32()),
        ("customers", pa.int64()),
    ]
)
"""How many subscribers began in a month and ended in another, or have not (null)."""
COHORTS = pa.schema(
    [
        ("segment", pa.string()),
        ("segment_value", pa.string()),
        ("cohort_month", pa.date32()),
        ("month_index", pa.int64()),
        ("customers", pa.int64()),
        ("mrr", pa.float64()),
        ("net_revenue_cumulative", pa.float64()),
    ]
)
"""Complete months of cohorts."""
MONTHS = pa.schema(
    [
        ("segment", pa.string()),
        ("segment_value", pa.string()),
        ("month", pa.date32()),
        ("arppu", pa.float64()),
        ("subscribers", pa.float64()),
        ("churned", pa.float64()),
        ("opening", pa.float64()),
    ]
)
"""Complete months."""
PURCHASES = pa.schema(
    [
        ("segment", pa.string()),
        ("segment_value", pa.string()),
        ("buyer", pa.int64()),
        ("day", pa.date32()),
        ("amount", pa.float64()),
    ]
)
"""What buyers, who are but numbers, paid beside subscriptions, by day; null where a rate is not known."""
NOTHING_BOUGHT = PURCHASES.empty_table()
PREDICTIONS = pa.schema(
    [
        ("as_of_month", pa.date32()),
        ("segment", pa.string()),
        ("segment_value", pa.string()),
        ("method", pa.string()),
        ("horizon_months", pa.int64()),
        ("currency", pa.string()),
        ("value", pa.float64()),
        ("ci_low", pa.float64()),
        ("ci_high", pa.float64()),
        ("customers", pa.int64()),
        ("status", pa.string()),
        ("backtest_months", pa.int64()),
        ("backtest_error", pa.float64()),
        ("gross_margin", pa.float64()),
    ]
)
CURVES = pa.schema(
    [
        ("as_of_month", pa.date32()),
        ("segment", pa.string()),
        ("segment_value", pa.string()),
        ("method", pa.string()),
        ("month_index", pa.int64()),
        ("share", pa.float64()),
        ("ci_low", pa.float64()),
        ("ci_high", pa.float64()),
        ("at_risk", pa.int64()),
    ]
)
HORIZONS: dict[str, tuple[int | None, ...]] = {
    "realised": (6, 12, 24),
    "arppu_over_churn": (None,),
    "survival": (6, 12, 24),
    "sbg": (12, 24, 60),
}
"""Months ahead that each method is asked for; None is for ever."""
BOUGHT = (6, 12, 24)
"""Months from a first purchase."""
BACK = (12, 6)
"""Months ago from which a method is tried, where it can be from the first of them."""
DRAWN = 24
"""Months of a fitted curve."""
SEGMENTS = ("all", "plan", "billing_cycle", "currency")
OK = "ok"


def over_churn(churned: float, opening: float, horizon: int | None) -> Estimate:
    """Months that a subscriber is expected to pay for where the same share leaves each month."""
    from statsmodels.stats.proportion import proportion_confint

    if not churned:
        raise TooLittleError("nobody left in the month")
    low, high = (float(bound) for bound in proportion_confint(churned, opening, method="wilson"))

    def months(share: float) -> float:
        return (1 - (1 - share) ** horizon) / share if horizon else 1 / share

    return Estimate(months(churned / opening), months(high), months(low))


@dataclass(frozen=True)
class Part:
    """All that is known of a segment value, as of the last complete month; `arppu` and the like are by month."""

    segment: str
    value: str
    currency: str
    month: date
    known: Sequence[tuple[date, date | None, int]]
    cohorts: Sequence[dict[str, Any]]
    months: dict[date, dict[str, Any]]
    margin: float
    purchases: Floats
    _lives: dict[date, Lives] = field(default_factory=dict)
    _buyers: dict[int, Buyers] = field(default_factory=dict)

    def lives(self, through: date) -> Lives:
        """As they were known when a month was over."""
        if through not in self._lives:
            self._lives[through] = lives_of(self.known, through)
        return self._lives[through]

    def buyers(self, back: int = 0) -> Buyers:
        """Those who bought something beside subscriptions, as they were known some months ago."""
        if back not in self._buyers:
            self._buyers[back] = buyers_of(self.purchases, _last_day(months_before(self.month, back)))
        return self._buyers[back]

    def predictions(self) -> Iterator[dict[str, Any]]:
        """A row per method and horizon, with a value or with why there is none."""
        of = {
            "as_of_month": self.month,
            "segment": self.segment,
            "segment_value": self.value,
            "currency": self.currency,
            "gross_margin": self.margin,
        }
        asked = HORIZONS | ({"bg_nbd": BOUGHT} if len(self.purchases) else {})
        for method, horizons in asked.items():
            tried = (
                {} if method == "realised" else self._tried_on_buyers() if method == "bg_nbd" else self._tried(method)
            )
            for horizon in horizons:
                row = {**of, "method": method, "horizon_months": horizon, **tried}
                try:
                    found, customers = self._worth(method, horizon)
                except TooLittleError as error:
                    yield {**of, "method": method, "horizon_months": horizon, "status": str(error)}
                    continue
                found = found.times(self.margin)
                yield row | {
                    "value": found.value,
                    "ci_low": found.low if method != "realised" else None,
                    "ci_high": found.high if method != "realised" else None,
                    "customers": customers,
                    "status": OK,
                }

    def curve(self) -> Iterator[dict[str, Any]]:
        """A row per method and month: the share still there at its end; none where too little is known."""
        of = {"as_of_month": self.month, "segment": self.segment, "segment_value": self.value}
        lives = self.lives(self.month)
        try:
            lives.check()
        except TooLittleError:
            return
        shares, covariance = kaplan_meier(lives)
        for index, share in enumerate(shares):
            found = with_normal_interval(float(share), float(covariance[index, index]))
            at_risk = int(lives.at_risk[index])
            yield {**of, "method": "survival", "month_index": index, "at_risk": at_risk, **_told(found)}
        try:
            fitted = sbg_shares_with_band(lives, DRAWN)
        except TooLittleError:
            return
        for index, found in enumerate(fitted):
            yield {**of, "method": "sbg", "month_index": index, **_told(found)}

    def _worth(self, method: str, horizon: int | None, back: int = 0) -> tuple[Estimate, int]:
        """What a customer will bring, and how many customers that is told by; as it was known some months ago."""
        if method == "realised":
            return self._realised(horizon or 0)
        if method == "bg_nbd":
            buyers = self.buyers(back)
            return buyers.worth(horizon or 0), len(buyers.repeats)
        month = months_before(self.month, back)
        then = self.months.get(month)
        if then is None or not then["arppu"]:
            raise TooLittleError("ARPPU is not known")
        if method == "arppu_over_churn":
            if not then["opening"]:
                raise TooLittleError("nobody was there when the month began")
            return over_churn(then["churned"], then["opening"], horizon).times(then["arppu"]), int(then["opening"])
        lives = self.lives(month)
        expected = {"survival": survival, "sbg": sbg}[method](lives, horizon or 0)
        return expected.times(then["arppu"]), int(lives.at_risk[0])

    def _realised(self, horizon: int) -> tuple[Estimate, int]:
        """Receipts a customer within a horizon, of the cohorts that came so far in the last 12 months, and how many."""
        old_enough = [row for row in self.cohorts if row["month_index"] == horizon - 1][-12:]
        customers = sum(row["customers"] for row in old_enough)
        if customers < LEAST_ENDED:
            raise TooLittleError(f"{customers} customers began {horizon} months ago, where {LEAST_ENDED} say something")
        return Estimate(sum(row["net_revenue_cumulative"] for row in old_enough) / customers), customers

    def _tried_on_buyers(self) -> dict[str, Any]:
        """As `_tried`, of those who first bought in the month after what was known: half a month less, on average."""
        began = np.minimum.reduceat(self.purchases[:, 1], np.unique(self.purchases[:, 0], return_index=True)[1])
        for back in BACK:
            first, last = (_last_day(months_before(self.month, ago)) for ago in (back, back - 1))
            new = np.unique(self.purchases[:, 0])[(began > first) & (began <= last)]
            came = self.purchases[np.isin(self.purchases[:, 0], new) & (self.purchases[:, 1] <= _last_day(self.month))]
            try:
                if len(new) and came[:, 2].sum() > 0:
                    said = self.buyers(back).worth(back - 0.5).value
                    return {"backtest_months": back, "backtest_error": said / (came[:, 2].sum() / len(new)) - 1}
            except TooLittleError:
                continue
        return {}

    def _tried(self, method: str) -> dict[str, Any]:
        """How far off the method was: the longest time back for which it can be told."""
        for back in BACK:
            began = months_before(self.month, back - 1)
            came = [row for row in self.cohorts if row["cohort_month"] == began and row["month_index"] < back]
            brought = sum(row["mrr"] for row in came)
            if len(came) < back or not brought:
                continue
            try:
                said, _ = self._worth(method, back, back)
            except TooLittleError:
                continue
            customers = came[0]["customers"]
            return {"backtest_months": back, "backtest_error": said.value / (brought / customers) - 1}
        return {}


def _told(found: Estimate) -> dict[str, float]:
    return {"share": found.value, "ci_low": found.low, "ci_high": min(found.high, 1.0)}


def predict(
    lives: pa.Table,
    cohorts: pa.Table,
    months: pa.Table,
    currency: str,
    margin: float = 1,
    purchases: pa.Table = NOTHING_BOUGHT,
) -> tuple[pa.Table, pa.Table]:
    """PREDICTIONS and CURVES of LIVES, COHORTS, MONTHS and PURCHASES, as of the last of the months.

    Totals are in `currency`; `margin` is what is left of each unit that a customer pays.
    """
    parts = list(_parts(lives, cohorts, months, currency, margin, purchases))
    predictions = [row for part in parts for row in part.predictions()]
    curves = [row for part in parts for row in part.curve()]
    return pa.Table.from_pylist(predictions, PREDICTIONS), pa.Table.from_pylist(curves, CURVES)


def _parts(
    lives: pa.Table, cohorts: pa.Table, months: pa.Table, currency: str, margin: float, purchases: pa.Table
) -> Iterator[Part]:
    last = pc.max(months["month"]).as_py()  # None where there is none, and then no part.
    by_part = [_by_part(table) for table in (lives, cohorts.sort_by("cohort_month"), months)]
    for segment, value in sorted(by_part[2]):
        if segment in SEGMENTS:
            known, own, of_months = (rows.get((segment, value), []) for rows in by_part)
            yield Part(
                segment,
                value,
                value if segment == "currency" else currency,
                last,
                [(row["began_month"], row["ended_month"], row["customers"]) for row in known],
                own,
                {row["month"]: row for row in of_months},
                margin,
                _bought(purchases, segment, value),
            )


def _bought(purchases: pa.Table, segment: str, value: str) -> Floats:
    """Rows of buyer, day as a number and amount, in order of both."""
    is_own = pc.and_(pc.equal(purchases["segment"], segment), pc.equal(purchases["segment_value"], value))
    own = purchases.filter(is_own).sort_by([("buyer", "ascending"), ("day", "ascending")])
    if not own.num_rows or own["amount"].null_count:
        return np.zeros((0, 3))
    days = own["day"].cast(pa.int32()).to_numpy()
    return np.column_stack([own["buyer"].to_numpy(), days, own["amount"].to_numpy()]).astype(float)


def _last_day(month: date) -> int:
    """The last day of a month as a number, as Arrow counts days."""
    return (months_before(month, -1) - date(1970, 1, 1)).days - 1


def _by_part(table: pa.Table) -> dict[tuple[str, str], list[dict[str, Any]]]:
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in table.to_pylist():
        found.setdefault((row["segment"], row["segment_value"]), []).append(row)
    return found
