"""What buyers bring who buy when they like, beside subscriptions: how often they do, and for how much.

How often: BG/NBD (Fader, Hardie and Lee 2005, "Counting your customers" the easy way). For how much: Gamma-Gamma (Fader
and Hardie 2013). Both by maximum likelihood; the interval is by the delta method.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tailtracker_bi.inference.survival import Estimate, Floats, TooLittleError, with_normal_interval

LEAST_REPEATED, MOST_BUYERS = 30, 20_000
"""Fewer buyers who bought again say too little; of more buyers in all, so many are looked at, evenly spread."""
DAYS_A_MONTH = 365 / 12
FARTHEST = 12.0
"""Of the logarithms of all parameters: there the data does not tell them apart."""
_MOST_TRIES = 2_000


@dataclass(frozen=True)
class Buyers:
    """Of each buyer: how often they bought after the first time, when last since then, and for how long they were seen,
    in days, and what they paid each time after the first, on average (0 where there was none)."""

    repeats: Floats
    last_after: Floats
    seen_for: Floats
    mean_amount: Floats

    @cached_property
    def fit(self) -> tuple[Floats, Floats]:
        """The parameters of both models, and their covariance. Raises TooLittleError where these say too little."""
        repeated = int((self.repeats > 0).sum())
        if repeated < LEAST_REPEATED:
            raise TooLittleError(f"{repeated} buyers bought again, where {LEAST_REPEATED} say something")
        (often, of_often), (much, of_much) = fit_bg_nbd(self), fit_gamma_gamma(self)
        covariance = np.zeros((7, 7))
        covariance[:4, :4], covariance[4:, 4:] = of_often, of_much
        return np.concatenate([often, much]), covariance

    def worth(self, months: float) -> Estimate:
        """What a new buyer brings within so many months: the first purchase, and all that are expected after it."""
        from statsmodels.tools.numdiff import approx_fprime

        parameters, covariance = self.fit

        def total(at: Floats) -> float:
            return (1 + expected_repeats(at[:4], months * DAYS_A_MONTH)) * expected_amount(at[4:])

        slope = np.asarray(approx_fprime(parameters, total, centered=True)).reshape(-1)
        value, variance = total(parameters), float(slope @ covariance @ slope)
        if not np.isfinite([value, variance]).all():
            raise TooLittleError("a few pay so much more than others that nothing can be expected of them")
        return with_normal_interval(value, variance)


def buyers_of(purchases: Floats, through: int) -> Buyers:
    """Of rows of buyer, day and what they paid on it, in order of both: what was known when day `through` was over."""
    known = purchases[purchases[:, 1] <= through]
    buyers, first, counts = np.unique(known[:, 0], return_index=True, return_counts=True)
    looked_at = np.linspace(0, len(buyers) - 1, min(len(buyers), MOST_BUYERS)).astype(int)
    last = first + counts - 1
    repeats = counts - 1.0
    totals = np.add.reduceat(known[:, 2], first) if len(first) else np.zeros(0)
    amounts = np.divide(totals - known[first, 2], repeats, out=np.zeros(len(first)), where=repeats > 0)
    columns = (repeats, known[last, 1] - known[first, 1], through - known[first, 1], amounts)
    return Buyers(*(column[looked_at] for column in columns))


def fit_bg_nbd(buyers: Buyers) -> tuple[Floats, Floats]:
    """The logarithms of r, alpha (in days), a and b that are likeliest for these, and their covariance."""
    from scipy.special import gammaln

    x, last, seen = buyers.repeats, buyers.last_after, buyers.seen_for

    def surprise(parameters: Floats) -> float:
        r, alpha, a, b = np.exp(parameters)
        shared = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
        shared += gammaln(a + b) + gammaln(b + x) - gammaln(b) - gammaln(a + b + x)
        there = -(r + x) * np.log(alpha + seen)
        gone = np.log(a) - np.log(b + np.maximum(x, 1) - 1) - (r + x) * np.log(alpha + last)
        return -float((shared + np.where(x > 0, np.logaddexp(there, gone), there)).sum())

    return _likeliest(surprise, np.array([0.0, np.log(max(float(seen.mean()), 1.0)), 0.0, 0.0]))


def fit_gamma_gamma(buyers: Buyers) -> tuple[Floats, Floats]:
    """The logarithms of p, q and v that are likeliest for what those paid who bought again, and their covariance."""
    from scipy.special import gammaln

    is_again = (buyers.repeats > 0) & (buyers.mean_amount > 0)
    x, mean = buyers.repeats[is_again], buyers.mean_amount[is_again]

    def surprise(parameters: Floats) -> float:
        p, q, v = np.exp(parameters)
        told = gammaln(p * x + q) - gammaln(p * x) - gammaln(q) + q * np.log(v)
        told += (p * x - 1) * np.log(mean) + p * x * np.log(x) - (p * x + q) * np.log(x * mean + v)
        return -float(told.sum())

    return _likeliest(surprise, np.array([1.0, 1.0, np.log(max(float(mean.mean()), 1e-6))]))


def expected_repeats(parameters: Floats, days: float) -> float:
    """How often a new buyer buys again within so many days, by the logarithms of r, alpha, a and b."""
    from scipy.special import hyp2f1

    r, alpha, a, b = np.exp(parameters)
    left = (alpha / (alpha + days)) ** r * hyp2f1(r, b, a + b - 1, days / (alpha + days))
    return float((a + b - 1) / (a - 1) * (1 - left))


def expected_amount(parameters: Floats) -> float:
    """What is paid each time, by the logarithms of p, q and v; infinite where a few pay without end."""
    p, q, v = np.exp(parameters)
    return float(p * v / (q - 1)) if q > 1 else float("inf")


def _likeliest(surprise: Callable[[Floats], float], start: Floats) -> tuple[Floats, Floats]:
    """Where the surprise is least, and what its curvature says of how well that is known."""
    from scipy.optimize import minimize
    from statsmodels.tools.numdiff import approx_hess

    bounds = [(-FARTHEST, FARTHEST)] * len(start)
    options = {"ftol": 1e-13, "gtol": 1e-7, "maxiter": _MOST_TRIES}
    best = np.asarray(minimize(surprise, start, method="L-BFGS-B", bounds=bounds, options=options).x)
    curvature = np.asarray(approx_hess(best, surprise))
    if (
        np.abs(best).max() >= FARTHEST - 1
        or not np.isfinite(curvature).all()
        or np.linalg.eigvalsh(curvature).min() <= 0
    ):
        raise TooLittleError("what was bought does not tell how often buyers buy, and for how much")
    return best, np.asarray(np.linalg.inv(curvature))
