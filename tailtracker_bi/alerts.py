"""Tells the right people once when a figure breaks its bounds or a source is in trouble, and once when that is over.

What fires is judged from the published build alone, on complete periods; so it can be tried out on the past. What was
told stands in the ledger of deliveries: an alert belongs to the period in which it began.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import pandas as pd

from tailtracker_bi import bundle
from tailtracker_bi.analytics import AlertRules
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.delivery import Ledger, alert_channels, tell
from tailtracker_bi.figures import data_status
from tailtracker_bi.figures.catalogue import Metric, catalog
from tailtracker_bi.figures.points import LENGTHS, ordered
from tailtracker_bi.figures.wording import number, period
from tailtracker_bi.settings import ReportSettings

TRIED_OUT = timedelta(days=90)
FORGOTTEN = timedelta(days=60)
"""What began so long before the build's day is told of no more."""


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
            yield from _of_metric(one, metrics[one.metric].of_part(one.segment, one.segment_value), build)


def told_anew(
    settings: ReportSettings, rules: Sequence[AlertRules], build: Bundle, ledger: Ledger, now: datetime
) -> list[str]:
    """Tell what began, and what is over of that which was told; each once. What could not be told is returned."""
    as_of = pd.Timestamp(bundle.read(build, "bundle_info", ["as_of"])["as_of"].iloc[0]).date()
    errors = []
    for firing in firings(rules, build):
        if as_of - firing.began > FORGOTTEN:
            continue
        channels = alert_channels(settings, is_critical=firing.rules.severity == "critical")
        begun = f"[{firing.rules.severity.upper()}] {firing.rules.id}"
        if firing.ended is None:
            errors += tell(settings, ledger, channels, firing.key, firing.began, begun, firing.said, now)
        elif any(ledger.recipients(firing.key, firing.began, 0)):
            over = f"{firing.said}\nIt is over since {firing.ended}."
            resolved = f"[RESOLVED] {firing.rules.id}"
            errors += tell(settings, ledger, channels, f"{firing.key} resolved", firing.began, resolved, over, now)
    return errors


def _of_metric(rules: AlertRules, metric: Metric, build: Bundle) -> Iterator[Firing]:
    if rules.condition == "unusual":
        judged = _unusual(rules, metric, build)
    else:
        part = {"segment": rules.segment, "segment_value": rules.segment_value}
        found = bundle.read(build, "metric_values", None, metric_id=metric.metric_id, grain=rules.grain, **part)
        judged = _beyond(rules, metric, ordered(found, "period_start"))
    yield from _runs(rules, judged)


def _beyond(rules: AlertRules, metric: Metric, points: pd.DataFrame) -> pd.DataFrame:
    """Of each complete period whether it is beyond the bound, and what to say then."""
    known = points[points["is_complete"] & points["value"].notna()]
    enough = known[~(known["denominator"] < rules.of_at_least)]
    value, form = enough["value"], metric.format
    if rules.condition in ("below", "above"):
        bound = float(getattr(rules, rules.condition))
        fires = value < bound if rules.condition == "below" else value > bound
        said = [f"{number(one, form, metric.unit)}, {rules.condition} {number(bound, form)}" for one in value]
    else:
        back = LENGTHS["week" if rules.grain == "day" else rules.grain]
        earlier = enough.set_index("period_start")["value"].reindex(enough["period_start"] - back)
        earlier = earlier.where(earlier > 0).set_axis(value.index)
        change = value / earlier - 1
        by = float(getattr(rules, rules.condition))
        fires = change <= -by if rules.condition == "falls_by" else change >= by
        said = [
            f"{number(one, form, metric.unit)} after {number(before, form)}, {moved:+.1%}"
            for one, before, moved in zip(value, earlier, change, strict=True)
        ]
    return _judged(metric, enough["period_start"], fires, said, rules.grain)


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
        if not own["fires"].iloc[0]:
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
