"""What fires of the declared alerts, and when it did: judged from a build alone, on complete periods.

So it can be tried out on the past. An alert belongs to the period in which it began.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import pandas as pd

from tailtracker_bi import bundle
from tailtracker_bi.analytics import AlertRules
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.figures import data_status
from tailtracker_bi.figures.catalogue import Metric, catalog
from tailtracker_bi.figures.points import LENGTHS, ordered
from tailtracker_bi.figures.wording import number, period

TRIED_OUT = timedelta(days=90)
PER_HOUR = {"fast": 6.0, "slow": 1.0}
"""Minutes of an error budget: what an hour spends above the first, or from the second on, is told."""
SLOW_DAYS = 3


@dataclass(frozen=True)
class Firing:
    """An alert that began in a period and, where it is over, ended with the one before `ended`."""

    rules: AlertRules
    what: str
    began: date
    said: str
    ended: date | None = None

    @property
    def key(self) -> str:
        """What it is told apart by in the ledger."""
        return f"alert {self.rules.id} {self.what}".strip()


def firings(rules: Sequence[AlertRules], build: Bundle) -> Iterator[Firing]:
    """All of history's, each alert's own in their order."""
    info = bundle.read(build, "bundle_info").iloc[0]
    metrics = catalog(bundle.read(build, "metric_catalog"), str(info.get("currency", "")))
    for one in rules:
        if one.source is not None:
            yield from _of_sources(one, build, pd.Timestamp(info["as_of"]).date())
        elif one.metric in metrics:
            metric = metrics[one.metric].of_part(one.segment, one.segment_value)
            yield from _of_metric(one, metric, build, pd.Timestamp(info["as_of"]))


def _of_metric(rules: AlertRules, metric: Metric, build: Bundle, as_of: pd.Timestamp) -> Iterator[Firing]:
    if rules.condition == "unusual":
        yield from _runs(rules, _unusual(rules, metric, build))
        return
    known = _known(rules, build).dropna(subset="value")
    if rules.condition == "missing":
        yield from _missing(rules, metric, known, as_of)
    elif rules.condition == "burn":
        yield from _runs(rules, _burning(rules, metric, known))
    else:
        yield from _runs(rules, _beyond(rules, metric, known))


def _known(rules: AlertRules, build: Bundle) -> pd.DataFrame:
    """The rows that a metric's alert is judged by, in their order; without a value where there is nothing to judge."""
    part = {"segment": rules.segment, "segment_value": rules.segment_value}
    found = bundle.read(build, "metric_values", None, metric_id=rules.metric, grain=rules.grain, **part)
    points = ordered(found, "period_start")
    return points[points["is_complete"] | rules.even_incomplete]


def _beyond(rules: AlertRules, metric: Metric, known: pd.DataFrame) -> pd.DataFrame:
    """Of each known period whether it is beyond the bound, and what to say then."""
    enough = known[~(known["denominator"] < rules.of_at_least)]
    value, form = enough["value"], metric.format
    if rules.condition in ("below", "above"):
        bound = float(getattr(rules, rules.condition))
        fires = value < bound if rules.condition == "below" else value > bound
        said = [f"{number(one, form, metric.unit)}, {rules.condition} {number(bound, form)}" for one in value]
        return _judged(metric, enough["period_start"], fires, said, rules.grain)
    back = LENGTHS["week" if rules.grain == "day" else rules.grain]
    earlier = enough.set_index("period_start")["value"].reindex(enough["period_start"] - back).set_axis(value.index)
    by = float(getattr(rules, rules.condition))
    if rules.condition == "more_by":
        fires = value - earlier > by
        said = [
            f"{number(one, form, metric.unit)}, more by {number(one - before, form)} than {number(before, form)} before"
            for one, before in zip(value, earlier, strict=True)
        ]
    else:
        earlier = earlier.where(earlier > 0)
        change = value / earlier - 1
        fires = change <= -by if rules.condition == "falls_by" else change >= by
        said = [
            f"{number(one, form, metric.unit)} after {number(before, form)}, {moved:+.1%}"
            for one, before, moved in zip(value, earlier, change, strict=True)
        ]
    return _judged(metric, enough["period_start"], fires, said, rules.grain)


def _burning(rules: AlertRules, metric: Metric, known: pd.DataFrame) -> pd.DataFrame:
    """Of each day how many minutes of an error budget an hour spent: of the day, or of the three up to it."""
    days = known.set_index("period_start").asfreq("D") if len(known) else known.set_index("period_start")
    failed = days["denominator"] - days["numerator"] if metric.bigger_is_better else days["numerator"]
    window = 1 if rules.burn == "fast" else SLOW_DAYS
    spent = 60 * failed.rolling(window).sum() / days["denominator"].rolling(window).sum()
    spent = spent[spent.notna()]
    most = PER_HOUR[str(rules.burn)]
    # As `slo_status` has it: above 6 is fast, from 1 on is slow.
    fires = spent > most if rules.burn == "fast" else spent >= most
    over = "the day" if window == 1 else f"{window} days"
    said = [f"an hour spent {one:.1f} minutes of the error budget, over {over}" for one in spent]
    return _judged(metric, pd.Series(spent.index), fires, said, "day")


def _missing(rules: AlertRules, metric: Metric, known: pd.DataFrame, as_of: pd.Timestamp) -> Iterator[Firing]:
    """Whether so many periods are over by now since the last one that is known; where none ever was, nobody knows."""
    if known.empty:
        return
    length, last = LENGTHS[rules.grain], known["period_start"].iloc[-1]
    began = last + length
    if began + int(rules.missing or 0) * length <= as_of:
        said = f"{metric.label} has no complete value since {period(last, rules.grain)}."
        yield Firing(rules, "", began.date(), said)


def _unusual(rules: AlertRules, metric: Metric, build: Bundle) -> pd.DataFrame:
    found = bundle.read_if_there(build, "anomalies")
    own = found[found["metric_id"] == metric.metric_id] if len(found) else found
    if own.empty:
        return pd.DataFrame({"period_start": [], "fires": [], "said": []})
    own = ordered(own, "period_start")
    way = {"low": own["value"] < own["low"], "high": own["value"] > own["high"]}
    fires = own["is_anomaly"].eq(True) & (
        way["low"] | way["high"] if rules.unusual == "any" else way[str(rules.unusual)]
    )
    said = [
        f"{number(value, metric.format, metric.unit)}, where {number(low, metric.format)} to "
        f"{number(high, metric.format)} would be usual"
        for value, low, high in zip(own["value"], own["low"], own["high"], strict=True)
    ]
    return _judged(metric, own["period_start"], fires, said, "day")


def _judged(metric: Metric, starts: pd.Series, fires: pd.Series, said: Sequence[str], grain: str) -> pd.DataFrame:
    told = [f"{metric.label}, {period(start, grain)}: {one}." for start, one in zip(starts, said, strict=True)]
    return pd.DataFrame({"period_start": starts.to_numpy(), "fires": fires.to_numpy(dtype=bool), "said": told})


def _runs(rules: AlertRules, judged: pd.DataFrame) -> Iterator[Firing]:
    """Periods that fire one after the other are one alert, which begins with the first of them."""
    run = (judged["fires"] != judged["fires"].shift()).cumsum()
    for _, own in judged.groupby(run, sort=True):
        if not own["fires"].iloc[0] or len(own) < rules.in_a_row:
            continue
        later = judged.loc[judged.index > own.index[-1], "period_start"]
        ended = pd.Timestamp(later.iloc[0]).date() if len(later) else None
        yield Firing(rules, "", pd.Timestamp(own["period_start"].iloc[0]).date(), str(own["said"].iloc[0]), ended)


def _of_sources(rules: AlertRules, build: Bundle, as_of: date) -> Iterator[Firing]:
    """Those that are in trouble now: it is told anew each day, as nobody knows since when it is."""
    states = data_status.by_state(data_status.tables(bundle.read(build, "data_status")))
    for state in sorted(states, key=data_status.worst_first):
        source = str(state.tables["source"].iloc[0])
        if state.is_trouble and rules.source in ("any", source):
            yield Firing(rules, f"{source} {state.status}", as_of, f"{state.name} {state.trouble}")


def not_judged(rules: Sequence[AlertRules], build: Bundle, first: date, last: date) -> list[str]:
    """The metrics of which not all is known that could fire on these days, where anything ever was: their labels."""
    metrics = catalog(bundle.read(build, "metric_catalog"), "")
    found = []
    for one in rules:
        starts = _known(one, build)["period_start"]
        if starts.empty or one.metric not in metrics:
            continue
        length, day = LENGTHS[one.grain], timedelta(days=1)
        every = pd.date_range(starts.iloc[0], pd.Timestamp(last) + day - length, freq=length)
        if not every[every + length - day >= pd.Timestamp(first)].isin(starts).all():
            found.append(metrics[one.metric].label)
    return list(dict.fromkeys(found))


def is_judged(rules: AlertRules, build: Bundle, began: date) -> bool:
    """Whether a build can tell that an alert which began then is over: something is known of its metric since."""
    if rules.source is not None or rules.condition == "missing":
        return True
    return bool((_known(rules, build).dropna(subset="value")["period_start"] >= pd.Timestamp(began)).any())


def lately(found: Sequence[Firing], as_of: date) -> list[Mapping[str, str]]:
    """What would have been told in the 90 days before a day, for people."""
    return [
        {
            "alert": one.rules.id,
            "severity": one.rules.severity,
            "began": one.began.isoformat(),
            "over": "" if one.ended is None else one.ended.isoformat(),
            "said": one.said,
        }
        for one in found
        if as_of - one.began <= TRIED_OUT
    ]
