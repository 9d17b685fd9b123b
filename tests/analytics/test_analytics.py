"""analytics.yml: the shipped file holds, and each mistake in another is named with its field and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tailtracker_bi.analytics.mistakes import load_analytics
from tailtracker_bi.analytics.rules import Analytics
from tailtracker_bi.errors import SettingsError


def own_file(text: str) -> Path:
    """In the current directory, which the tests have to themselves."""
    file = Path("own.yml")
    file.write_text(text, encoding="utf-8")
    return file


def load(text: str) -> Analytics:
    return load_analytics(own_file(text))


def mistake(text: str) -> str:
    with pytest.raises(SettingsError) as refusal:
        load(text)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_the_shipped_file_holds_what_the_business_watches() -> None:
    analytics = load_analytics()
    assert [funnel.id for funnel in analytics.funnels] == ["onboarding", "lost_pet_recovery"]
    lost_pet = analytics.funnels[1]
    assert [step.event for step in lost_pet.steps] == [
        "Lost Pet Alert Created", "Alert Shared", "Search Initiated", "Pet Recovered",
    ]  # fmt: skip
    assert lost_pet.same_property == "alert_id"
    assert lost_pet.window.total_seconds == 30 * 86400
    assert lost_pet.steps[1].where[0].not_equals == "test"
    assert "Payment Failed" in analytics.activity.exclude_events
    assert [retention.id for retention in analytics.retention] == ["sign_up"]


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n", "---\n", "{}"])
def test_a_file_without_keys_changes_nothing(text: str) -> None:
    assert load(text) == load_analytics()


def test_a_key_given_replaces_that_key_whole_and_the_others_stay() -> None:
    analytics = load("test_accounts: {user_ids: [42, tester]}\nfunnels: []\n")
    assert analytics.test_accounts.user_ids == ["42", "tester"]
    assert analytics.test_accounts.event_properties == []
    assert analytics.funnels == []
    assert analytics.retention == load_analytics().retention


def test_the_parts_of_a_window_add_up() -> None:
    window = "{days: 1, hours: 1, minutes: 1, seconds: 1}"
    (funnel,) = load(f"funnels: [{{id: f, steps: [a, b], window: {window}}}]").funnels
    assert funnel.window.total_seconds == 86400 + 3600 + 60 + 1


EXPORT = '{period: day, send: {at: "07:00", deadline: "08:00"}, id: numbers'
FUNNEL = "funnels:\n  - id: f\n    steps: [a, b]\n    window: {days: 1}\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("activty: {}", "line 1: activty: unknown key"),
        ("activity: {}\nactivity: {}", "line 2: activity stands twice"),
        ("cost_share: 25", "line 1: cost_share: Input should be less than 1"),
        ("metrics:\n  dau: {ownr: Growth}", "line 2: metrics.dau.ownr: unknown key"),
        ("metrics:\n  dau:\n    target: lots", "line 3: metrics.dau.target: Input should be a valid number"),
        ("metrics: {dau: {target: .nan}}", "line 1: metrics.dau.target: Input should be a finite number"),
        ("\n\nfunnels:", "line 3: funnels: Input should be a valid list"),
        (
            "test_accounts:\n  user_ids:\n    - a\n    - [b]",
            "line 4: test_accounts.user_ids.1: Input should be a valid string",
        ),
        (
            "retention:\n  - id: Bad Id\n    start_event: x",
            "line 2: retention.0.id: String should match pattern",
        ),
        ("retention:\n  - id: a\n", "line 2: retention.0.start_event: Field required"),
        (
            "retention:\n  - id: a\n    start_event: ''",
            "line 3: retention.0.start_event: String should have at least 1",
        ),
        (
            "retention:\n  - {id: a, start_event: s}\n  - {id: a, start_event: s}",
            "the id 'a' stands more than once",
        ),
        (
            "retention:\n- id: a\n  start_event: s\n  grains:\n  - day\n  - year",
            "line 6: retention.0.grains.1: Input should be 'day', 'week' or 'month'",
        ),
        (FUNNEL.replace("[a, b]", "[a]"), "line 3: funnels.0.steps: List should have at least 2 items"),
        (FUNNEL.replace("days: 1", "days: 0"), "line 4: funnels.0.window: the window must be longer than 0"),
        (FUNNEL.replace("days: 1", "weeks: 1"), "line 4: funnels.0.window.weeks: unknown key"),
        (
            FUNNEL.replace("days: 1", "days: -1"),
            "line 4: funnels.0.window.days: Input should be greater than",
        ),
        (
            FUNNEL.replace("days: 1", "days: 999999999999"),
            "line 4: funnels.0.window.days: Input should be less than",
        ),
        (FUNNEL + "    order: any", "line 5: funnels.0.order: Input should be 'ordered'"),
        (
            FUNNEL.replace("[a, b]", "\n    - a\n    - {event: b, where: [{property: p}]}"),
            "line 5: funnels.0.steps.1.where.0: give either equals or not_equals",
        ),
        (
            FUNNEL.replace("[a, b]", "\n    - a\n    - {event: b, where: [{property: p, equals: x, not_equals: y}]}"),
            "line 5: funnels.0.steps.1.where.0: give either equals or not_equals",
        ),
        (
            "test_accounts:\n  event_properties:\n  - property: email\n    equals: qa@example.com",
            "line 3: test_accounts.event_properties.0.property: 'email' is personal data and never lands, "
            "so that nothing can be found by it: use test_accounts.user_ids",
        ),
        (
            "test_accounts:\n  event_properties:\n  - {property: note, equals: qa@example.com}",
            "line 3: test_accounts.event_properties.0: the value of note is personal data and lands only masked",
        ),
        (
            "test_accounts:\n  event_properties:\n  - {property: distinct_id, equals: qa@example.com}",
            "line 3: test_accounts.event_properties.0: distinct_id that is personal data lands only as a hash",
        ),
        ("test_accounts: {user_ids: [' Undefined']}", "' Undefined' is nobody's id"),
        ("test_accounts: {user_ids: [00-0]}", "'00-0' is nobody's id"),
        ("identities: {nobodys_ids: [tablet]}\ntest_accounts: {user_ids: [Tablet]}", "'Tablet' is nobody's id"),
        (
            FUNNEL + "    same_property: contact.phone",
            "line 5: funnels.0.same_property: 'contact.phone' is personal data",
        ),
        (FUNNEL.replace("[a, b]", "[a, jane@example.com]"), "lands only masked, as '[email]'"),
        (
            FUNNEL.replace("[a, b]", "\n    - a\n    - {event: b, where: [{property: ip, not_equals: x}]}"),
            "line 5: funnels.0.steps.1.where.0.property: 'ip' is personal data and never lands",
        ),
        ("\nmetrics:\n  dau: {owner: Growth}\n  dua: {target: 5}\n", "line 4: metrics.dua: no such metric"),
        (
            f"\nexports:\n  - {EXPORT}, of: [mrr, mrr_movements]}}\n  - {EXPORT}2, of: [dau, mrr_movement]}}",
            "line 4: exports.1.of.1: no table and no metric mrr_movement; did you mean mrr_movements?",
        ),
        ("a: b: c", "line 1: not YAML"),
        ("\nfunnels: [", "not YAML"),
        ("\t- a", "line 1: not YAML"),
        ("- a\n- b", "line 1: must be a mapping"),
        ("[]", "line 1: must be a mapping"),
        ("just text", "line 1: must be a mapping"),
        ("? [a, b]\n: c", "line 1: not YAML: found unhashable key"),
        ("x: 2024-13-45", "not YAML: month must be in 1..12"),
        ("metrics: &m {x: *m}", "not YAML"),
        ("x: !!python/object:os.system {}", "line 1: not YAML"),
        ("x: \x07", "not YAML"),
        ("{}\n---\n{}", "not YAML"),
        pytest.param("x: " + "[" * 100_000, "not YAML: maximum recursion depth exceeded", id="lists in lists"),
    ],
)
def test_mistake_is_named_with_file_line_and_field(text: str, told: str) -> None:
    message = mistake(text)
    assert message.startswith("own.yml: ")
    assert told in message


def test_every_mistake_is_named() -> None:
    message = mistake("activity: {exclude: []}\nfunnels:\n- {id: F, steps: [a, b], window: {days: 1}}\nmetrics: []\n")
    for told in ("line 1: activity.exclude", "line 3: funnels.0.id", "line 4: metrics"):
        assert told in message


@pytest.mark.parametrize("name", ["missing.yml", "."])
def test_a_file_that_cannot_be_read_is_named(name: str) -> None:
    with pytest.raises(SettingsError, match="TAILTRACKER_ANALYTICS: can't read"):
        load_analytics(Path(name))


def test_a_file_that_is_not_text_is_named() -> None:
    Path("own.yml").write_bytes(b"activity: \xff")
    with pytest.raises(SettingsError, match=r"TAILTRACKER_ANALYTICS: can't read own\.yml"):
        load_analytics(Path("own.yml"))


def test_the_shipped_service_levels_have_the_budgets_of_their_targets() -> None:
    levels = {str(level): level for level in load_analytics().service_levels}
    assert {name: (level.target, level.alert_threshold, level.allowed_share) for name, level in levels.items()} == {
        "availability of all": (0.999, 0.995, 0.001),
        "availability of api": (0.9995, 0.995, 0.0005),
        "availability of payments": (0.998, 0.995, 0.002),
        "latency_p95_ms of all": (1000, 2000, 0.05),
        "error_rate of all": (0.001, 0.01, 0.001),
        "app_crash_rate of all": (0.001, None, 0.001),
        "alert_success of all": (0.3, None, 0.7),
        "payment_success of all": (0.995, None, 0.005),
    }


@pytest.mark.parametrize(
    ("level", "reason"),
    [
        ("{slo: x, good: a, bad: b, total: c, target: 0.9}", "give one of good, bad and buckets"),
        ("{slo: x, target: 0.9}", "give one of good, bad and buckets"),
        ("{slo: x, good: a, target: 0.9}", "need a total"),
        ("{slo: x, buckets: a, total: c, target: 900}", "buckets have none"),
        ("{slo: x, good: a, total: c, target: 99.9}", "must be below 1"),
        ("{slo: x, good: a, total: c, target: 0.9, query: d}", "unknown key"),
        ("{slo: x, good: a, total: c, target: 0.9}, {slo: x, bad: a, total: c, target: 0.9}", "more than once"),
    ],
)
def test_a_service_level_that_can_t_be_measured_is_refused(level: str, reason: str) -> None:
    assert reason in mistake(f"service_levels: [{level}]")
