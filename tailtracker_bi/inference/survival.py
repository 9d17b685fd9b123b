"""How long subscribers stay: the share still there at the end of each month since they began, which is month 0.

Who is there at a month's end pays for it, so that the shares of the first H months, summed, are the months that a
subscriber is expected to pay for within them. As seen: Kaplan and Meier's estimate with Greenwood's variance. Beyond
what was seen: the shifted beta-geometric distribution (Fader and Hardie 2007), fitted by maximum likelihood, with an
interval by the delta method.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

Z = 1.959963984540054
"""Of a normal distribution, where 95 % of it lies between."""
LEAST_ENDED, LEAST_MONTHS, LEAST_AT_RISK = 30, 4, 10
"""Fewer subscribers who ended, months that are known, or subscribers behind the last of these say too little."""
FARTHEST = 9.0
"""Of the logarithms of alpha and beta: there everybody is as likely to leave, and the two only grow."""


class TooLittleError(Exception):
    """What is missing to tell a number."""


@dataclass(frozen=True)
class Estimate:
    """A value with its interval, in the unit of what it was asked of; the interval is NaN where there is none."""

    value: float
    low: float = math.nan
    high: float = math.nan

    def times(self, factor: float) -> Estimate:
        return Estimate(self.value * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True)
class Lives:
    """Of subscribers by months since they began: how many were seen through each, and ended or were last seen in it."""

    ended: Floats
    last_seen: Floats

    @property
    def at_risk(self) -> Floats:
        """Those who were still there when the month began and are seen to its end."""
        return np.cumsum((self.ended + self.last_seen)[::-1])[::-1]

    @property
    def months(self) -> int:
        """How many months enough subscribers are behind."""
        return int((self.at_risk >= LEAST_AT_RISK).sum())

    @cached_property
    def fit(self) -> tuple[Floats, Floats]:
        """The parameters of `sbg_shares` that are likeliest for these, and their covariance."""
        return fit_sbg(self)

    def check(self) -> None:
        """Raise TooLittleError where they say too little."""
        ended = int(self.ended[: self.months].sum())
        if ended < LEAST_ENDED:
            raise TooLittleError(f"{ended} subscribers ended, where {LEAST_ENDED} say something")
        if self.months < LEAST_MONTHS:
            raise TooLittleError(f"{self.months} months are known, where {LEAST_MONTHS} say something")


def lives_of(known: Sequence[tuple[date, date | None, int]], through: date) -> Lives:
    """As they were known when a month was over: when they began and ended, or that they have not, and how many."""
    seen = [(began, ended, count) for began, ended, count in known if began <= through]
    longest = 1 + max((months_between(began, through) for began, _, _ in seen), default=-1)
    found = Lives(np.zeros(longest), np.zeros(longest))
    for began, ended, count in seen:
        if ended is None or ended > through:
            found.last_seen[months_between(began, through)] += count
        else:
            found.ended[months_between(began, ended)] += count
    return found


def months_between(first: date, last: date) -> int:
    return 12 * (last.year - first.year) + last.month - first.month


def months_before(month: date, count: int) -> date:
    whole = 12 * month.year + month.month - 1 - count
    return date(whole // 12, whole % 12 + 1, 1)


def kaplan_meier(lives: Lives) -> tuple[Floats, Floats]:
    """The share still there at the end of each month, and the covariance of these shares (Greenwood)."""
    at_risk, ended = lives.at_risk[: lives.months], lives.ended[: lives.months]
    shares = np.asarray(np.cumprod(1 - ended / at_risk))
    # Where all ended nobody is left to vary.
    terms = np.divide(ended, at_risk * (at_risk - ended), out=np.zeros_like(shares), where=at_risk > ended)
    sums = np.cumsum(terms)
    return shares, np.asarray(np.outer(shares, shares) * np.minimum.outer(sums, sums))


def survival(lives: Lives, horizon: int) -> Estimate:
    """Months that a subscriber is expected to pay for within a horizon that was seen."""
    lives.check()
    if lives.months < horizon:
        raise TooLittleError(f"{lives.months} of {horizon} months are known")
    shares, covariance = kaplan_meier(lives)
    return with_normal_interval(float(shares[:horizon].sum()), float(covariance[:horizon, :horizon].sum()))


def sbg_shares(parameters: Floats, months: int) -> Floats:
    """The share still there at the end of each month.

    By the logarithms of alpha and beta or, of one parameter, by the logit of the share who leave each month.
    """
    from scipy.special import betaln, expit

    later = np.arange(1, months + 1)
    if len(parameters) == 1:
        return np.asarray(expit(-parameters[0]) ** later)
    alpha, beta = np.exp(parameters)
    return np.asarray(np.exp(betaln(alpha, beta + later) - betaln(alpha, beta)))


def fit_sbg(lives: Lives) -> tuple[Floats, Floats]:
    """The likeliest parameters of `sbg_shares`, and their covariance.

    Where all leave alike, or later ones more, alpha and beta grow without end: what they grow to is a geometric.
    """
    from scipy.optimize import minimize
    from scipy.special import logit
    from statsmodels.tools.numdiff import approx_hess

    lives.check()

    def surprise(parameters: Floats) -> float:
        shares = sbg_shares(parameters, len(lives.ended))
        leaving = -np.diff(shares, prepend=1.0)
        tiny = np.finfo(float).tiny
        logs = [np.log(np.maximum(each, tiny)) for each in (leaving, shares)]
        return float(-(lives.ended * logs[0]).sum() - (lives.last_seen * logs[1]).sum())

    bounds = [(-FARTHEST, FARTHEST)] * 2
    best = minimize(surprise, np.zeros(2), method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-13, "gtol": 1e-8}).x
    if np.abs(best).max() >= FARTHEST - 1:
        best = np.array([logit(lives.ended.sum() / lives.at_risk.sum())])
    curvature = np.asarray(approx_hess(best, surprise))
    if not np.isfinite(curvature).all() or np.linalg.eigvalsh(curvature).min() <= 0:
        raise TooLittleError("what is known does not tell the parameters of a shifted beta-geometric apart")
    return np.asarray(best), np.asarray(np.linalg.inv(curvature))


def sbg(lives: Lives, horizon: int) -> Estimate:
    """Months that a subscriber is expected to pay for within a horizon, however much of it was seen."""
    from statsmodels.tools.numdiff import approx_fprime

    parameters, covariance = lives.fit

    def total(at: Floats) -> float:
        return float(sbg_shares(at, horizon).sum())

    slope = np.asarray(approx_fprime(parameters, total, centered=True)).reshape(-1)
    return with_normal_interval(total(parameters), float(slope @ covariance @ slope))


def sbg_shares_with_band(lives: Lives, months: int) -> list[Estimate]:
    """The share still there at the end of each month, by the fit."""
    from statsmodels.tools.numdiff import approx_fprime

    parameters, covariance = lives.fit
    slopes = np.asarray(approx_fprime(parameters, lambda at: sbg_shares(at, months), centered=True)).reshape(months, -1)
    variances = np.einsum("ij,jk,ik->i", slopes, covariance, slopes)
    pairs = zip(sbg_shares(parameters, months), variances, strict=True)
    return [with_normal_interval(float(share), float(variance)) for share, variance in pairs]


def with_normal_interval(value: float, variance: float) -> Estimate:
    half = Z * math.sqrt(max(variance, 0.0))
    return Estimate(value, max(value - half, 0.0), value + half)
