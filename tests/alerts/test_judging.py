"""What fires, and when it did: of complete figures alone, from a build and nothing else."""

from __future__ import annotations

import random
from datetime import date
from pathlib import Path

import pytest

from tailtracker_bi.alerts import Firing, firings, lately
from tailtracker_bi.analytics import load_analytics
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.errors import SettingsError
from tests.alerts import february, rule, with_mrr, with_values
from tests.worlds.sample_bundle import changed


def spans(found: list[Firing]) -> list[tuple[date, date | None]]:
    return [(one.began, one.ended) for one in found]


def test_an_alert_begins_with_the_first_period_beyond_and_ends_with_the_first_within(
    build: Bundle, tmp_path: Path
) -> None:
    own = with_mrr(build, tmp_path, {1: 100, 2: 80, 3: 70, 4: 100, 5: 60, 6: 50})
    found = list(firings([rule(metric="mrr", below=90)], own))
    assert spans(found) == [(february(2), february(4)), (february(5), None)]
    assert found[0].said == "MRR, 2 Feb 2025: €80.00, below €90.00."
    assert spans(list(firings([rule(metric="mrr", above=90)], own))) == [
        (february(1), february(2)),
        (february(4), february(5)),
    ]


def test_a_fall_is_against_the_same_weekday_and_of_what_is_known_alone(build: Bundle, tmp_path: Path) -> None:
    own = with_mrr(build, tmp_path, {1: 100, 2: 100, 3: None, 4: 0, 8: 94, 9: 96, 10: 1, 11: 50})
    found = list(firings([rule(metric="mrr", falls_by=0.05)], own))
    assert spans(found) == [(february(8), february(9))]
    assert found[0].said == "MRR, 8 Feb 2025: €94.00 after €100.00, -6.0%."
    # Nothing before, or 0, is nothing to compare with.
    assert spans(list(firings([rule(metric="mrr", rises_by=0.01)], own))) == []


def test_what_is_not_complete_fires_nothing(build: Bundle, tmp_path: Path) -> None:
    own = with_mrr(build, tmp_path, {1: 100, 2: 10}, "update metric_values set is_complete = false where value = 10")
    assert list(firings([rule(metric="mrr", below=90)], own)) == []


def test_a_ratio_of_few_is_not_judged(build: Bundle) -> None:
    ever = rule(metric="payment_success_rate", below=1.01)
    judged = rule(metric="payment_success_rate", below=1.01, of_at_least=1e6)
    assert list(firings([ever], build))
    assert list(firings([judged], build)) == []


def test_a_segment_has_its_own_bounds_and_money_its_own_currency(build: Bundle) -> None:
    part = {"metric": "mrr", "segment": "currency", "segment_value": "USD"}
    [first, *_] = firings([rule(**part, above=1)], build)
    assert "above $1.00" in first.said


def test_a_source_in_trouble_is_an_alert_of_the_day(build: Bundle) -> None:
    [found] = firings([rule(source="any")], build)
    assert (found.key, found.began) == ("alert one mixpanel late", date(2025, 3, 12))
    assert "Mixpanel events is late, 1 day is missing." in found.said
    assert list(firings([rule(source="stripe")], build)) == []


def test_a_count_that_grows_by_a_number_is_against_the_same_weekday(build: Bundle, tmp_path: Path) -> None:
    own = with_mrr(build, tmp_path, {1: 10, 2: 0, 8: 60, 9: 51, 10: 900, 15: 60})
    [found] = firings([rule(metric="mrr", more_by=50)], own)
    assert (found.began, found.ended) == (february(9), february(10))
    assert found.said == "MRR, 9 Feb 2025: €51.00, more by €51.00 than €0.00 before."


def test_periods_have_to_fire_one_after_the_other_where_several_are_asked_for(build: Bundle, tmp_path: Path) -> None:
    own = with_mrr(build, tmp_path, {1: 100, 2: 80, 3: 100, 4: 80, 5: 70, 6: 100, 7: 10})
    assert spans(list(firings([rule(metric="mrr", below=90, in_a_row=2)], own))) == [(february(4), february(6))]


def test_what_is_not_complete_is_judged_where_that_is_asked_for(build: Bundle, tmp_path: Path) -> None:
    own = with_mrr(build, tmp_path, {1: 100, 2: 10}, "update metric_values set is_complete = false where value = 10")
    assert spans(list(firings([rule(metric="mrr", below=90, even_incomplete=True)], own))) == [(february(2), None)]


def test_a_metric_without_complete_values_is_missing_until_it_has_one(build: Bundle, tmp_path: Path) -> None:
    # The build is of 12 March.
    own = with_mrr(build, tmp_path, {1: 100, 28: 100})
    [found] = firings([rule(metric="mrr", missing=11)], own)
    assert (found.began, found.ended) == (date(2025, 3, 1), None)
    assert found.said == "MRR has no complete value since 28 Feb 2025."
    assert list(firings([rule(metric="mrr", missing=12)], own)) == []
    none = with_mrr(build, tmp_path / "none", {1: None})
    assert list(firings([rule(metric="mrr", missing=1)], none)) == []


def test_a_budget_burns_fast_in_a_day_and_slowly_over_three(build: Bundle, tmp_path: Path) -> None:
    # Minutes of an hour that failed: 0.6, 6.6, 0.6, 0.6, 0.6, 1.2, 1.2, and after a gap 1.2.
    shares = {1: 0.99, 2: 0.89, 3: 0.99, 4: 0.99, 5: 0.99, 6: 0.98, 7: 0.98, 9: 0.98, 10: 0.98, 11: 0.98}
    own = with_values(build, tmp_path, "availability", {day: (share, 1000) for day, share in shares.items()})
    [fast] = firings([rule(metric="availability", burn="fast")], own)
    assert (fast.began, fast.ended) == (february(2), february(3))
    assert fast.said == "Availability, 2 Feb 2025: an hour spent 6.6 minutes of the error budget, over the day."
    slow = list(firings([rule(metric="availability", burn="slow")], own))
    assert spans(slow) == [(february(3), february(5)), (february(7), None)]
    assert "2.6 minutes of the error budget, over 3 days" in slow[0].said
    # Of what counts as bad, the part itself is what failed.
    bad = with_values(
        build,
        tmp_path / "bad",
        "availability",
        {1: (0.01, 1000), 2: (0.11, 1000)},
        "update metric_catalog set bigger_is_better = false where metric_id = 'availability'",
    )
    assert spans(list(firings([rule(metric="availability", burn="fast")], bad))) == [(february(2), None)]


def test_random_days_fire_as_the_slow_version_says(build: Bundle, tmp_path: Path) -> None:
    dice = random.Random(20)
    days = {day: dice.choice([50.0, 89.0, 91.0, 120.0, None]) for day in range(1, 29)}
    own = with_mrr(build, tmp_path, days)
    expected, began = [], None
    for day, value in days.items():
        if value is None:
            continue
        if value < 90 and began is None:
            began = february(day)
        elif value >= 90 and began is not None:
            expected.append((began, february(day)))
            began = None
    if began is not None:
        expected.append((began, None))
    assert spans(list(firings([rule(metric="mrr", below=90)], own))) == expected


def test_the_declared_alerts_can_be_tried_out_on_the_past(build: Bundle) -> None:
    found = list(firings(load_analytics().alerts, build))
    shown = lately(found, date(2025, 3, 12))
    assert {one["alert"] for one in shown} <= {rules.id for rules in load_analytics().alerts}
    assert "source_in_trouble" in {one["alert"] for one in shown}
    assert lately(found, date(2025, 12, 31)) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{id: a, metric: mrr}", "give one of below, above"),
        ("{id: a, metric: mrr, below: 1, above: 2}", "give one of below, above"),
        ("{id: a, below: 1}", "give either a metric or a source"),
        ("{id: a, source: any, below: 1}", "a source has no below"),
        ("{id: a, metric: mrrr, below: 1}", "alerts.0: no such metric, mrrr"),
        ("{id: a, metric: mrr, unusual: low, grain: week}", "known of days and of the whole alone"),
        ("{id: a, metric: availability, burn: fast, grain: week}", "what a budget burns is told by day"),
        ("{id: a, metric: mrr, missing: 2, even_incomplete: true}", "missing is of complete values alone"),
        ("{id: a, metric: mrr, missing: 0}", "greater than or equal to 1"),
        ('{id: a, metric: mrr, below: 1, hours: {from: "20:00", to: "08:00"}}', "to must be after from"),
        ('{id: a, metric: mrr, below: 1, hours: {from: 8, to: "20:00"}}', "time of day in quotation marks"),
        (
            '{id: a, metric: mrr, below: 1, hours: {from: "08:00", to: "20:00", days: [mon]}}',
            "Input should be 'monday'",
        ),
        ('{id: a, metric: mrr, below: 1, hours: {from: "08:00", to: "20:00", timezone: Mars}}', "is not a time zone"),
    ],
)
def test_a_mistake_is_told_with_its_line(given: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "own.yml"
    file.write_text(f"alerts:\n  - {given}\n")
    with pytest.raises(SettingsError, match=f"line 2: .*{said}"):
        load_analytics(file)


def test_what_is_unusual_is_what_the_build_says_of_days(build: Bundle, tmp_path: Path) -> None:
    days = [(1, 100, 90, 110, False), (2, 60, 90, 110, True), (3, 130, 90, 110, True), (4, 100, None, None, None)]
    rows = ", ".join(
        f"('mrr', date '2025-02-{day:02}', {value}, {low or 'null'}, {high or 'null'}, {'null' if it is None else it})"
        for day, value, low, high, it in days
    )
    names = "metric_id, period_start, value, low, high, is_anomaly"
    told = f"select * replace (low::double as low, high::double as high) from (values {rows}) as told ({names})"
    own = changed(build, tmp_path, "drop table if exists anomalies", f"create table anomalies as {told}")
    [low] = firings([rule(metric="mrr", unusual="low")], own)
    assert (low.began, low.ended) == (february(2), february(3))
    assert low.said == "MRR, 2 Feb 2025: €60.00, where €90.00 to €110.00 would be usual."
    [high] = firings([rule(metric="mrr", unusual="high")], own)
    assert (high.began, high.ended) == (february(3), february(4))
    [either] = firings([rule(metric="mrr", unusual="any")], own)
    assert (either.began, either.ended) == (february(2), february(4))
    older = changed(build, tmp_path / "older", "drop table if exists anomalies")
    assert list(firings([rule(metric="mrr", unusual="any")], older)) == []
