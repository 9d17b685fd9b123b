"""How long subscribers stay, against what can be worked out by hand, what others published, and a slow version."""

from __future__ import annotations

import math
from datetime import date
from fractions import Fraction
from itertools import groupby
from random import Random

import numpy as np
import pytest
from statsmodels.duration.survfunc import SurvfuncRight

from tailtracker_bi.inference import survival
from tailtracker_bi.inference.survival import Lives, TooLittleError, fit_sbg, kaplan_meier, lives_of, sbg


def lives(ended: list[float], last_seen: list[float]) -> Lives:
    return Lives(np.array(ended, dtype=float), np.array(last_seen, dtype=float))


def month(number: int) -> date:
    """Months of 2024 and after, from 1."""
    return date(2024 + (number - 1) // 12, (number - 1) % 12 + 1, 1)


def test_months_count_from_the_one_in_which_they_began_as_known_by_then() -> None:
    known = [(month(1), month(1), 1), (month(1), month(3), 2), (month(2), None, 5), (month(4), None, 7)]
    by_march = lives_of(known, month(3))
    assert by_march.ended.tolist() == [1, 0, 2]
    assert by_march.last_seen.tolist() == [0, 5, 0]
    by_february = lives_of(known, month(2))
    assert by_february.ended.tolist() == [1, 0]
    assert by_february.last_seen.tolist() == [5, 2]
    assert lives_of(known, month(14)).at_risk.tolist() == [15, 14, 14, 12, 12, 12, 12, 12, 12, 12, 12, 5, 5, 0]
    assert lives_of([], month(1)).at_risk.tolist() == []


def test_shares_and_their_interval_are_as_worked_out_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """20 begin: 4 end in month 0, and 6 are seen no longer; of the other 10 one ends in month 1."""
    monkeypatch.setattr(survival, "LEAST_ENDED", 5)
    monkeypatch.setattr(survival, "LEAST_MONTHS", 2)
    own = lives([4, 1], [6, 9])
    shares, covariance = kaplan_meier(own)
    assert shares.tolist() == pytest.approx([0.8, 0.72])
    first, second = 4 / (20 * 16), 4 / (20 * 16) + 1 / (10 * 9)
    assert covariance.tolist() == pytest.approx(
        np.array([[0.8 * 0.8 * first, 0.8 * 0.72 * first], [0.8 * 0.72 * first, 0.72 * 0.72 * second]])
    )
    found = survival.survival(own, 2)
    assert found.value == pytest.approx(1.52)
    assert found.high - found.value == pytest.approx(1.959964 * math.sqrt(covariance.sum()))
    with pytest.raises(TooLittleError, match="2 of 3 months"):
        survival.survival(own, 3)


@pytest.mark.parametrize("seed", range(20))
def test_shares_are_those_of_one_by_one_and_of_statsmodels(seed: int) -> None:
    chance = Random(seed)
    people = [(chance.randint(0, 9), chance.random() < 0.6) for _ in range(200)]
    counts = {key: len(list(own)) for key, own in groupby(sorted(people))}
    own = lives([counts.get((at, True), 0) for at in range(10)], [counts.get((at, False), 0) for at in range(10)])
    shares, covariance = kaplan_meier(own)
    left = Fraction(1)
    for at in range(own.months):
        there = [end for end, _ in people if end >= at]
        left *= 1 - Fraction(sum(end == at and is_over for end, is_over in people), len(there))
        assert shares[at] == pytest.approx(float(left), abs=1e-12)
    other = SurvfuncRight([end + 1 for end, _ in people], [is_over for _, is_over in people])
    places = [int(time) - 1 for time in other.surv_times if time <= own.months]
    assert shares[places] == pytest.approx(other.surv_prob[: len(places)])
    assert np.sqrt(np.diag(covariance))[places] == pytest.approx(other.surv_prob_se[: len(places)], nan_ok=True)


@pytest.mark.parametrize(
    ("there", "alpha", "beta"),
    [
        ([1000, 869, 743, 653, 593, 551, 517, 491], 0.668, 3.806),
        ([1000, 631, 468, 382, 326, 289, 262, 241], 0.704, 1.182),
    ],
)
def test_the_fit_is_the_published_one(there: list[int], alpha: float, beta: float) -> None:
    """Fader and Hardie, How to project customer retention (2007): both of its groups of customers, over 7 years."""
    own = lives([-after for after in np.diff(there)], [0] * 6 + [there[-1]])
    parameters, _ = fit_sbg(own)
    assert np.exp(parameters).tolist() == pytest.approx([alpha, beta], abs=0.001)
    assert sbg(own, 7).value == pytest.approx(sum(there[1:]) / 1000, rel=0.01)


def test_where_all_leave_alike_the_fit_is_a_geometric() -> None:
    """A tenth leaves each month, so that 9 tenths, 81 hundredths, ... are there."""
    left = [1000 * 0.9**month * 0.1 for month in range(8)]
    own = lives(left, [0] * 7 + [1000 * 0.9**8])
    assert sbg(own, 3).value == pytest.approx(0.9 + 0.81 + 0.729, rel=1e-3)
    rising = lives([10, 20, 40, 80, 160], [0, 0, 0, 0, 50])
    found = sbg(rising, 2)
    leaving = 310 / sum([360, 350, 330, 290, 210])
    assert found.value == pytest.approx((1 - leaving) + (1 - leaving) ** 2, rel=1e-3)
    assert 0 < found.low < found.value < found.high


@pytest.mark.slow
def test_intervals_hold_what_is_true_about_as_often_as_they_say() -> None:
    """Of 200 samples of 300 from a shifted beta-geometric, seen for 8 months."""
    chance = np.random.default_rng(1)
    alpha, beta, months = 1.5, 6.0, 8
    shares = survival.sbg_shares(np.log([alpha, beta]), 24)
    true = float(shares[:12].sum())
    leaving = np.append(-np.diff(shares[:months], prepend=1.0), shares[months - 1])
    held = []
    for _ in range(200):
        counts = chance.multinomial(300, leaving)
        found = sbg(lives(list(counts[:-1]), [0] * (months - 1) + [counts[-1]]), 12)
        held.append(found.low <= true <= found.high)
    assert 0.90 <= np.mean(held) <= 0.99


@pytest.mark.parametrize(
    ("own", "why"),
    [
        (lives([29, 0, 0, 0], [0, 0, 0, 100]), "29 subscribers ended"),
        (lives([30, 0, 0], [0, 0, 100]), "3 months are known"),
        # Of what fewer than ten are behind nothing counts.
        (lives([25, 0, 0, 0, 6], [0, 0, 0, 100, 3]), "25 subscribers ended"),
        (lives([], []), "0 subscribers ended"),
    ],
)
def test_too_little_is_said_in_place_of_a_number(own: Lives, why: str) -> None:
    for ask in (lambda: survival.survival(own, 1), lambda: sbg(own, 12)):
        with pytest.raises(TooLittleError, match=why):
            ask()
