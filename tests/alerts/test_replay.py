"""The shipped alerts over two years of the sandbox, day by day, with incidents whose days are known.

What its figures were is counted of the story alone, so that no build is made. The story has an incident of its own;
others are put into its figures here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from tailtracker_bi import bundle
from tailtracker_bi.alerts import Book, Episode, Firing, firings
from tailtracker_bi.analytics import load_analytics
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.figures.points import LENGTHS
from tailtracker_bi.inference import SERIES, infer
from tailtracker_bi.sandbox.story import behaviour
from tailtracker_bi.sandbox.story.plot import NEVER
from tailtracker_bi.sandbox.story.story import Scenario, tell
from tailtracker_bi.sandbox.truth.frame import Frame, Truth, sums_of
from tailtracker_bi.sandbox.truth.money import of_payments, of_subscriptions
from tailtracker_bi.sandbox.truth.people import of_accounts, of_alerts
from tailtracker_bi.sandbox.truth.voices import of_service_levels

DAY = timedelta(days=1)
STORY = Scenario(60_000, 730, date(2025, 12, 31))
FIRST = STORY.until - 729 * DAY
FOR_A_LARGER_COMPANY = "registrations_low"
"""Its floor is that of forty times as many people."""
FALSE_ALARMS = {"sign_ups_low": 2, "new_subscribers_gone": 2}
"""In two years, of all shipped alerts; docs/operations.md says so."""


@dataclass(frozen=True)
class Incident:
    """So many days from one on in which a metric is another, by a factor and a number, and the alerts that it is to set
    off."""

    metric: str
    day: int
    days: int
    told_by: frozenset[str]
    factor: float = 1.0
    more: float = 0.0


INCIDENTS = [
    Incident("sign_ups", 300, 2, frozenset({"sign_ups_low"}), factor=0.1),
    Incident("sign_ups", 610, 1, frozenset({"sign_ups_low"}), factor=0.2),
    Incident("lost_pet_alerts", 340, 1, frozenset({"lost_pet_alerts_jump", "lost_pet_alerts_high"}), more=70),
    Incident("lost_pet_alerts", 650, 1, frozenset({"lost_pet_alerts_high"}), more=25),
    Incident("subscription_conversions", 420, 3, frozenset({"conversions_gone"}), factor=0),
    Incident("payment_success_rate", 640, 1, frozenset({"payments_fail"}), factor=0.7),
    Incident("mrr", 560, 7, frozenset({"mrr_falls"}), factor=0.9),
    Incident("availability", 200, 1, frozenset({"availability_missed", "availability_low"}), factor=0.994),
    Incident(
        "availability",
        380,
        1,
        frozenset({"availability_missed", "availability_low", "availability_burns_fast", "availability_burns_slowly"}),
        factor=0.85,
    ),
    Incident("latency_p95_ms", 250, 2, frozenset({"latency_missed", "latency_high"}), factor=4),
    Incident("error_rate", 250, 1, frozenset({"errors_high"}), more=0.03),
]
ITS_OWN = [
    Incident("payment_success_rate", 510, 2, frozenset({"payments_fail"})),
    Incident("availability", 510, 1, frozenset({"availability_missed"})),
    Incident("lost_pet_alerts", 729, 1, frozenset({"lost_pet_alerts_high"})),
]
"""What the story tells of: cards are declined and servers fail; pets run from the fireworks of New Year's Eve."""
MISSED = [Incident("lost_pet_alerts", 364, 1, frozenset({"lost_pet_alerts_high"}))]
"""A year earlier these are 12 where 2 are expected, and up to 16 usual. docs/operations.md says so."""


@pytest.fixture(scope="module")
def values() -> pd.DataFrame:
    """The true values of two years by metric, grain and start, as `metric_values` has them, with the incidents."""
    with pytest.MonkeyPatch.context() as patch:
        # What people do every day takes long, and has no alert.
        patch.setattr(behaviour, "invent", lambda *_: None)
        story = tell(STORY)
    now = int(datetime.combine(STORY.until + DAY, time(6), UTC).timestamp())
    frame = Frame(story, now, STORY.days, [now])
    converted = [0] * STORY.days
    for customer in story.customers:
        for subscription in customer.subscriptions:
            if subscription.paid_first < NEVER and 0 <= (day := frame.day_of(subscription.paid_first + 2)) < STORY.days:
                converted[day] += 1
    half = copy(story)
    half.customers = story.customers[::2]
    counted = [
        *of_accounts(frame), *of_alerts(frame), *of_payments(frame),
        # Of all customers it takes twice as long.
        *of_subscriptions(Frame(half, now, STORY.days, [now])),
        *of_service_levels(frame), *sums_of(frame, "subscription_conversions", converted),
    ]  # fmt: skip
    found = pd.DataFrame(counted, columns=Truth._fields).drop(columns="currency")
    found = found.assign(
        value=pd.to_numeric(found["value"]).astype(float), period_start=pd.to_datetime(found["period_start"])
    )
    for one in INCIDENTS:
        began = pd.Timestamp(FIRST + one.day * DAY)
        hit = (found["metric_id"] == one.metric) & (found["grain"] == "day")
        hit &= found["period_start"].between(began, began + (one.days - 1) * DAY)
        found.loc[hit, "value"] = found.loc[hit, "value"] * one.factor + one.more
    of = found[found["metric_id"] == "payments"].set_index(["grain", "period_start"])["value"]
    asked = pd.MultiIndex.from_frame(found[["grain", "period_start"]])
    found["denominator"] = of.reindex(asked).to_numpy()
    found.loc[found["metric_id"].isin(["availability", "error_rate"]), "denominator"] = 100_000.0
    found["numerator"] = found["value"] * found["denominator"]
    ends = [start + LENGTHS[grain] for start, grain in zip(found["period_start"], found["grain"], strict=True)]
    return found.assign(is_complete=True, segment="all", segment_value="all", period_end=ends)


@pytest.fixture(scope="module")
def unusual(values: pd.DataFrame) -> pd.DataFrame:
    """What the build says of its days: of each by the days before it alone."""
    own = values[values["metric_id"].isin(["sign_ups", "lost_pet_alerts"]) & (values["grain"] == "day")]
    own = own.sort_values(["metric_id", "period_start"]).assign(unit="people", format="integer", denominator=None)
    table = pa.Table.from_pandas(own[SERIES.names], schema=SERIES, preserve_index=False)
    anomalies: pd.DataFrame = infer(table, {}, STORY.until + DAY)["anomalies"].to_pandas()
    return anomalies


@pytest.fixture(scope="module")
def catalog(build: Bundle) -> pd.DataFrame:
    """That of the sample, with the metrics that it has not got."""
    known = bundle.read(build, "metric_catalog")
    like = known[known["metric_id"] == "sign_ups"]
    more = [
        like.assign(metric_id=metric_id, label=metric_id, bigger_is_better=metric_id == "subscription_conversions")
        for metric_id in ("subscription_conversions", "latency_p95_ms", "error_rate")
    ]
    return pd.concat([known, *more])


def shown(as_of: date, **of_all_days: pd.DataFrame) -> list[Firing]:
    """What fires in a build of a day, which has the periods that are over by then."""
    values, unusual, catalog = (of_all_days[name] for name in ("values", "unusual", "catalog"))
    tables = {
        "bundle_info": pd.DataFrame({"as_of": [as_of], "currency": ["EUR"]}),
        "metric_catalog": catalog,
        "anomalies": unusual[pd.to_datetime(unusual["period_start"]) < pd.Timestamp(as_of)],
        "metric_values": values[values["period_end"] <= pd.Timestamp(as_of)],
    }

    def read(_: object, table: str, columns: object = None, **where: str) -> pd.DataFrame:
        found = tables[table]
        for column, value in where.items():
            found = found[found[column] == value]
        return found

    rules = [one for one in load_analytics().alerts if one.source is None and one.id != FOR_A_LARGER_COMPANY]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle, "read", read)
        patch.setattr(bundle, "read_if_there", read)
        return list(firings(rules, Bundle("", Path())))


def as_of_day(found: list[Firing], as_of: date) -> Iterator[Firing]:
    """What a build of an earlier day shows of the same: a period is judged by those before it."""
    for one in found:
        length = LENGTHS[one.rules.grain]
        needed = one.rules.in_a_row * length
        if pd.Timestamp(one.began) + needed <= pd.Timestamp(as_of):
            is_over = one.ended is not None and pd.Timestamp(one.ended) + length <= pd.Timestamp(as_of)
            yield one if is_over else replace(one, ended=None)


@pytest.mark.slow
def test_each_incident_of_two_years_is_found_once_and_false_alarms_are_few(
    values: pd.DataFrame, unusual: pd.DataFrame, catalog: pd.DataFrame, tmp_path: Path
) -> None:
    of_all_days = {"values": values, "unusual": unusual, "catalog": catalog}
    found = shown(STORY.until + DAY, **of_all_days)
    for day in (342, 512):
        as_of = FIRST + day * DAY
        told, cut = shown(as_of, **of_all_days), as_of_day(found, as_of)
        assert spans(told) == spans(cut), as_of
    book = Book(tmp_path)
    for day in range(1, STORY.days + 1):
        as_of = FIRST + day * DAY
        book.note(as_of_day(found, as_of), f"{as_of:%Y%m%d}", as_of)
    episodes = book.episodes()
    explained: set[Episode] = set()
    for one in [*INCIDENTS, *ITS_OWN, *MISSED]:
        began = FIRST + one.day * DAY
        for alert in one.told_by:
            own = [each for each in episodes if each.alert == alert and began <= each.began < began + one.days * DAY]
            assert len(own) == (one not in MISSED), (one, alert, own)
            explained.update(own)
    assert Counter(episode.alert for episode in episodes if episode not in explained) == FALSE_ALARMS


def spans(found: Iterable[Firing]) -> list[tuple[str, date, date | None]]:
    return sorted(((one.key, one.began, one.ended) for one in found), key=str)
