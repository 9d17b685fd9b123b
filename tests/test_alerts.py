"""Alerts tell the right people once, of complete figures alone, and once when it is over."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from tailtracker_bi.alerts import Firing, firings, lately, told_anew
from tailtracker_bi.analytics import AlertRules, load_analytics
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.delivery import Ledger
from tailtracker_bi.errors import SettingsError
from tailtracker_bi.settings import ReportSettings
from tests.delivery.conftest import Webhook, webhook  # noqa: F401 - a fixture
from tests.worlds import sample_bundle
from tests.worlds.sample_bundle import changed

NOW = datetime(2025, 3, 12, 7, tzinfo=UTC)
Make = Callable[..., ReportSettings]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return sample_bundle.publish(tmp_path_factory.mktemp("home"))


def rule(**given: object) -> AlertRules:
    return AlertRules.model_validate({"id": "one", **given})


def with_mrr(build: Bundle, home: Path, days: dict[int, float | None], *further: str) -> Bundle:
    """MRR of days of February; none of any other day."""
    rows = ", ".join(f"(date '2025-02-{day:02}', {'null' if value is None else value})" for day, value in days.items())
    return changed(
        build,
        home,
        "delete from metric_values where metric_id = 'mrr' and segment = 'all' and grain = 'day'",
        "insert into metric_values by name "
        "select 'mrr' as metric_id, 'day' as grain, day as period_start, 'all' as segment, "
        f"'all' as segment_value, value, true as is_complete from (values {rows}) as told (day, value)",
        *further,
    )


def spans(found: list[Firing]) -> list[tuple[date, date | None]]:
    return [(one.began, one.ended) for one in found]


def february(day: int) -> date:
    return date(2025, 2, day)


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


def settings_of(home: Path, hook: Webhook) -> ReportSettings:
    given = {"TAILTRACKER_HOME": home, "TAILTRACKER_ALLOW_LOOPBACK": True, "TAILTRACKER_RETRY_SCALE": 0}
    return ReportSettings.model_validate(given | {"SLACK_WEBHOOK_URL": hook.url})


def test_each_is_told_once_when_it_begins_and_once_when_it_is_over(
    build: Bundle,
    tmp_path: Path,
    webhook: Webhook,  # noqa: F811
) -> None:
    rules = [rule(metric="mrr", below=90)]
    settings = settings_of(tmp_path, webhook)
    ledger = Ledger(tmp_path)
    falling = with_mrr(build, tmp_path / "a", {1: 100, 2: 80})
    for _ in range(2):
        assert told_anew(settings, rules, falling, ledger, NOW) == []
    later = with_mrr(build, tmp_path / "b", {1: 100, 2: 80, 3: 70})
    assert told_anew(settings, rules, later, ledger, NOW + timedelta(days=1)) == []
    assert [one["text"].splitlines()[0] for one in webhook.came] == ["[WARNING] one"]
    over = with_mrr(build, tmp_path / "c", {1: 100, 2: 80, 3: 70, 4: 100})
    for _ in range(2):
        assert told_anew(settings, rules, over, ledger, NOW + timedelta(days=2)) == []
    assert [one["text"].splitlines()[0] for one in webhook.came] == ["[WARNING] one", "[RESOLVED] one"]
    assert "It is over since 2025-02-04." in webhook.came[-1]["text"]


def test_what_was_over_before_anybody_was_told_stays_untold(
    build: Bundle,
    tmp_path: Path,
    webhook: Webhook,  # noqa: F811
) -> None:
    own = with_mrr(build, tmp_path / "a", {1: 80, 2: 100})
    told_anew(settings_of(tmp_path, webhook), [rule(metric="mrr", below=90)], own, Ledger(tmp_path), NOW)
    assert webhook.came == []


def test_what_could_not_be_told_is_told_with_the_next_build(
    build: Bundle,
    tmp_path: Path,
    webhook: Webhook,  # noqa: F811
) -> None:
    own, rules = with_mrr(build, tmp_path / "a", {1: 100, 2: 80}), [rule(metric="mrr", below=90)]
    settings, ledger = settings_of(tmp_path, webhook), Ledger(tmp_path)
    webhook.statuses = [500]
    assert told_anew(settings, rules, own, ledger, NOW) == ["Slack: Slack answered 500: no_service"]
    assert told_anew(settings, rules, own, ledger, NOW) == []
    assert len(webhook.came) == 1


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
