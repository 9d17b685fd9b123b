"""The reference itself, against answers worked out by hand. 2026-03-02 is a Monday."""

from datetime import date, datetime, timedelta
from typing import Any

from tests.worlds.reference import (
    Event,
    World,
    complete_through,
    covered_from,
    days,
    deduplicated,
    export_days_touched,
    funnel_rows,
    metric_values,
    person_of,
    retention_cells,
    segments_of,
)


def event(name: str, when: str, **properties: Any) -> Event:
    """An event at a UTC time such as 03-02 10:00:00 of 2026; user and device are short for their ids."""
    ids = {"user": "$user_id", "device": "$device_id", "insert": "$insert_id"}
    named = {ids.get(key, key): value for key, value in properties.items()}
    default_id = properties.get("user") or f"$device:{properties.get('device')}"
    time = int(datetime.fromisoformat(f"2026-{when}+00:00").timestamp())
    return {"event": name, "properties": {"time": time, "distinct_id": default_id, **named}}


def march(first: int, last: int) -> set[date]:
    return {date(2026, 3, day) for day in range(first, last + 1)}


def value(world: World, metric_id: str, day: int, segment: str = "all", of: str = "all", grain: str = "day") -> Any:
    return metric_values(world).get((metric_id, grain, date(2026, 3, day), segment, of))


def funnel(events: list[Event], steps: list[Any], window: int, **more: Any) -> list[tuple[Any, ...]]:
    """The steps of the whole, over all history."""
    as_dicts = [step if isinstance(step, dict) else {"event": step} for step in steps]
    spec = {"id": "f", "steps": as_dicts, "window": window, **more}
    rows = funnel_rows(World(events, landed_days=march(2, 8), funnels=[spec]))
    return [rows[("f", "all", None, "all", "all", step)] for step in range(1, len(steps) + 1)]


def test_the_copy_processed_last_stays_and_only_within_one_export_day() -> None:
    first = event("A", "03-02 10:00:00", user="u", insert="i", mp_processing_time_ms=5, v="first")
    last = event("A", "03-02 11:00:00", user="u", insert="i", mp_processing_time_ms=9, v="last")
    never_processed = event("A", "03-02 12:00:00", user="u", insert="i", v="none")
    next_day = event("A", "03-03 00:00:00", user="u", insert="i", mp_processing_time_ms=1)
    other_name = event("B", "03-02 10:00:00", user="u", insert="i", mp_processing_time_ms=1)
    bare = event("A", "03-02 10:00:00", user="u")
    kept = deduplicated([first, last, never_processed, next_day, other_name, bare, bare])
    # Of the first three only `last`; another day and another name are others; no id, no duplicate: 1+1+1+2.
    assert len(kept) == 5
    assert all(e in kept for e in (last, next_day, other_name, bare))
    tied = [event("A", "03-02 10:00:00", user="u", insert="i", v=text) for text in ("z", "a")]
    assert [e["properties"]["v"] for e in deduplicated(tied)] == ["z"]


def test_a_berlin_day_of_23_hours() -> None:
    # In Berlin 2026-03-29 lasts from 28 March 23:00 UTC up to 29 March 22:00 UTC. The 28th begins on the 27th
    # in UTC and the 31st ends on the 31st: neither export day has landed.
    world = World(
        [
            event("A", "03-28 22:59:59", user="the 28th"),
            event("A", "03-28 23:00:00", user="first second"),
            event("A", "03-29 21:59:59", user="last second"),
            event("A", "03-29 22:00:00", user="the 30th"),
            event("A", "03-30 22:00:00", user="the 31st"),
        ],
        timezone="Europe/Berlin",
        landed_days=march(28, 30),
    )
    assert days(world) == [date(2026, 3, 29), date(2026, 3, 30)]
    assert value(world, "dau", 29) == (2, None, 2, True)
    assert value(world, "dau", 30) == (1, None, 1, True)
    # What is known of the 28th counts, but seven whole days are not there; the 31st is no reporting day yet.
    assert value(world, "wau", 30) == (4, None, 4, False)
    assert value(world, "dau", 31) is None
    assert value(world, "events", 1, grain="month") == (4, None, 4, False)
    # 25 hours: 24 October 22:00 UTC up to 25 October 23:00 UTC.
    autumn = export_days_touched(world.timezone, date(2026, 10, 25))
    assert autumn == {date(2026, 10, 24), date(2026, 10, 25)}


def test_a_merge_moves_past_days_to_the_user() -> None:
    before = [
        event("A", "03-02 10:00:00", device="phone"),
        event("A", "03-02 11:00:00", user="u"),
        event("A", "03-03 10:00:00", device="phone"),
    ]
    login = event("A", "03-04 10:00:00", device="phone", user="u")
    # Two people on the 2nd and one on the 3rd, until the phone turns out to be u's.
    world = World(before, landed_days=march(2, 4))
    assert [value(world, "dau", day)[2] for day in (2, 3, 4)] == [2, 1, 0]
    assert [value(world, "users_new", day)[2] for day in (2, 3, 4)] == [2, 0, 0]
    world = World([*before, login], landed_days=march(2, 4))
    assert [value(world, "dau", day)[2] for day in (2, 3, 4)] == [1, 1, 1]
    assert [value(world, "users_new", day)[2] for day in (2, 3, 4)] == [1, 0, 0]
    assert [value(world, "users_returning", day)[2] for day in (2, 3, 4)] == [0, 1, 1]
    # A login on a day that has not landed is not known.
    assert value(World([*before, login], landed_days=march(2, 3)), "dau", 2)[2] == 2


def test_whose_an_event_is() -> None:
    shared = event("A", "03-02 09:00:00", device="tablet")
    anna = event("A", "03-02 10:00:00", device="tablet", user="anna")
    ben = event("A", "03-02 11:00:00", device="tablet", user="ben")
    no_login = event("A", "03-02 09:00:00", device="old phone", distinct_id="carl")
    same_phone = event("A", "03-02 08:00:00", device="old phone")
    placeholders = [
        event("A", "03-02 09:00:00", device="old phone", user="undefined"),
        event("A", "03-02 09:00:00", device="laptop", user="00-00"),
    ]
    nobodys = event("A", "03-02 09:00:00", distinct_id="")
    carl = event("A", "03-02 12:00:00", user="carl")
    stranger = event("A", "03-02 12:00:00", device="laptop")
    merges = [
        event("$identify", "03-02 13:00:00", user="x", **{"$anon_id": "a1", "$identified_id": "dora"}),
        event("$create_alias", "03-02 13:00:00", distinct_id="dora", alias="a2"),
        event("$merge", "03-02 13:00:00", user="x", **{"$distinct_ids": ["$device:a2", "a3"]}),
    ]
    dora = [event("A", "03-02 14:00:00", distinct_id=name) for name in ("a1", "dora", "$device:a2", "a3")]
    events = [shared, anna, ben, no_login, same_phone, carl, stranger, *placeholders, nobodys, *merges, *dora]
    world = World(events, landed_days=march(2, 2))
    person = person_of(world)
    # The tablet is anna's, who was first; ben's own event is his.
    assert person(shared) == person(anna) != person(ben)
    # A distinct_id without a user is a person of its own: the phone alone ties nobody, nor does a placeholder.
    assert person(no_login) == person(carl) != person(same_phone)
    assert [person(e) for e in placeholders] == [person(same_phone), person(stranger)]
    assert person(nobodys) == ""
    assert len({person(e) for e in dora}) == 1
    # anna, ben, carl, dora, the old phone and the stranger; the three merges are no events: 7 + 3 + 4.
    assert value(world, "dau", 2)[2] == 6
    assert value(world, "events", 2)[2] == 14


def test_lifecycle_pulse_and_stickiness() -> None:
    # a: 2, 3, 5    b: 2, 4    c: 4
    active = [("a", 2), ("a", 3), ("a", 5), ("b", 2), ("b", 4), ("c", 4)]
    world = World([event("A", f"03-0{d} 10:00:00", user=u) for u, d in active], landed_days=march(2, 6))

    def daily(metric_id: str) -> list[Any]:
        return [value(world, metric_id, day)[2] for day in (2, 3, 4, 5, 6)]

    assert daily("active_users") == [2, 1, 2, 1, 0]
    assert daily("users_new") == [2, 0, 1, 0, 0]
    assert daily("users_returning") == [0, 1, 0, 0, 0]
    assert daily("users_resurrecting") == [0, 0, 1, 1, 0]
    assert daily("users_dormant") == [0, 1, 1, 2, 1]
    assert daily("pulse") == [None, 0, 2, 0.5, 0]
    assert daily("stickiness") == [1, 0.5, 2 / 3, 1 / 3, 0]
    # The first day has no whole day before it; new people need none.
    assert [value(world, "users_dormant", day)[3] for day in (2, 3)] == [False, True]
    assert value(world, "users_new", 2)[3]
    assert value(world, "active_users", 2, grain="week") == (3, None, 3, False)
    assert value(world, "users_new", 1, grain="month") == (3, None, 3, False)


def test_a_day_that_has_not_landed_is_null_and_leaves_incomplete_what_reads_it() -> None:
    world = World(
        [event("A", "03-02 10:00:00", user="a"), event("A", "03-05 10:00:00", user="b")],
        landed_days=march(1, 3) | march(5, 5),
        history_start=date(2026, 3, 2),
        week_start="sunday",
    )
    assert (covered_from(world), complete_through(world)) == (date(2026, 3, 2), date(2026, 3, 3))
    # The 1st lies before history start, the 4th is missing, the 5th lies behind the gap.
    assert value(world, "dau", 1) == (0, None, 0, False)
    assert value(world, "dau", 2) == (1, None, 1, True)
    assert value(world, "dau", 3) == (0, None, 0, True)
    assert value(world, "dau", 4) == (None, None, None, False)
    assert value(world, "dau", 5) == (1, None, 1, True)
    # Nobody can say whether b, or a week's people, were there on the 4th.
    assert value(world, "users_new", 5) == (1, None, 1, False)
    assert value(world, "users_returning", 5) == (0, None, 0, False)
    assert value(world, "wau", 5)[3] is False
    assert value(world, "dau", 6) is None
    # The week from Sunday the 1st.
    assert value(world, "active_users", 1, grain="week") == (2, None, 2, False)


def test_segments_are_sparse_and_a_person_counts_in_every_value() -> None:
    def mobile(when: str, os: str, **more: Any) -> Event:
        return event("A", when, user="u", **{"$os": os}, **more)

    world = World(
        [
            mobile("03-02 10:00:00", "iPadOS", mp_country_code="DE", country="FR"),
            mobile("03-02 11:00:00", "Windows", platform="ANDROID"),
            mobile("03-03 11:00:00", "Windows"),
        ],
        landed_days=march(2, 3),
    )
    assert segments_of(world.events[0]) == {
        "all": "all",
        "platform": "ios",
        "country": "DE",
        "app_version": "(unknown)",
    }
    assert value(world, "dau", 2) == (1, None, 1, True)
    assert value(world, "dau", 2, "platform", "ios") == value(world, "dau", 2, "platform", "android")
    assert value(world, "dau", 2, "platform", "web") is None
    # New on web on the 3rd, though no new person.
    assert value(world, "users_new", 3, "platform", "web")[2] == 1
    assert value(world, "users_new", 3)[2] == 0
    # The ratio 0 of 1 stays, for its denominator; 0 of 0 goes.
    assert value(world, "stickiness", 3, "platform", "ios") == (0, 1, 0, False)
    assert value(world, "pulse", 2, "platform", "ios") is None


def test_what_is_excluded_and_what_is_no_activity() -> None:
    world = World(
        [
            event("A", "03-02 10:00:00", device="d"),
            event("A", "03-02 11:00:00", device="d", user="tester"),
            event("A", "03-02 11:00:00", user="u", mp_lib="load-test"),
            event("Report", "03-02 12:00:00", user="u"),
            event("A", "03-02 12:00:00", user="v", mp_lib="web"),
        ],
        landed_days=march(2, 2),
        exclude_events={"Report"},
        excluded_user_ids={"tester"},
        excluded_properties=[("mp_lib", "load-test")],
    )
    # The tester goes with the device, of u the load test; the report is an event without activity.
    assert value(world, "dau", 2)[2] == 1
    assert value(world, "events", 2)[2] == 2


def test_retention_of_day_and_week_cohorts() -> None:
    spec = {
        "id": "sign_up",
        "start_event": "S",
        "return_event": "any",
        "cohort": "first",
        "modes": ["n_day", "unbounded"],
        "grains": ["day", "week"],
    }
    events = [
        event("S", "03-02 10:00:00", user="a", platform="ios"),
        event("S", "03-02 10:00:00", user="b", platform="web"),
        event("S", "03-03 10:00:00", user="a", platform="ios"),
        event("A", "03-05 10:00:00", user="b", platform="web"),
    ]
    world = World(events, landed_days=march(2, 5), retention=[spec])
    cells = retention_cells(world)

    def row(mode: str, segment: str = "all", of: str = "all") -> list[Any]:
        return [cells.get(("sign_up", mode, "day", date(2026, 3, 2), segment, of, k)) for k in range(5)]

    # Both sign up on the 2nd; a is back after 1 day, b after 3. Day 4 is not there yet.
    assert row("n_day") == [(2, 2, True), (2, 1, True), (2, 0, True), (2, 1, True), None]
    assert row("unbounded") == [(2, 2, True), (2, 2, True), (2, 1, True), (2, 1, True), None]
    assert row("n_day", "platform", "web") == [(1, 1, True), None, None, (1, 1, True), None]
    # a's second sign-up opens no cohort, unless it recurs.
    second = ("sign_up", "n_day", "day", date(2026, 3, 3), "all", "all", 0)
    assert second not in cells
    recurring = World(events, landed_days=march(2, 5), retention=[{**spec, "cohort": "recurring"}])
    assert retention_cells(recurring)[second] == (1, 1, True)
    assert cells[("sign_up", "n_day", "week", date(2026, 3, 2), "all", "all", 0)] == (2, 2, False)
    # Headlines: 1 of 2; a cohort of nobody has no rate; that of the 5th is there, incomplete: its next day is not yet.
    assert value(world, "retention_d1", 2) == (1, 2, 0.5, True)
    assert value(world, "retention_d1", 3) == (0, 0, None, True)
    assert value(world, "retention_d1", 5) == (0, 0, None, False)
    assert value(world, "retention_d7", 2) == (None, 2, None, False)


def test_a_funnel_with_a_repeated_step_needs_another_event() -> None:
    once = [event("A", "03-02 10:00:00", user="u"), event("B", "03-02 10:00:10", user="u")]
    again = event("A", "03-02 10:00:30", user="u")
    assert funnel(once, ["A", "A", "B"], 60) == [(1, None, None), (0, None, None), (0, None, None)]
    # The second A is 30 s after the first; the only B came before it.
    assert funnel([*once, again], ["A", "A", "B"], 60) == [(1, None, None), (1, 30, 30), (0, None, None)]
    # A, B, A: 10 s, then 20 s.
    assert funnel([*once, again], ["A", "B", "A"], 60) == [(1, None, None), (1, 10, 10), (1, 20, 20)]


def test_a_funnel_counts_the_windows_last_second_and_one_instant() -> None:
    # a: B exactly 60 s after A. b: 61 s. c: B and A in one instant, B first in the file.
    events = [
        event("A", "03-02 10:00:00", user="a"),
        event("B", "03-02 10:01:00", user="a"),
        event("A", "03-02 10:00:00", user="b"),
        event("B", "03-02 10:01:01", user="b"),
        event("B", "03-02 10:00:00", user="c"),
        event("A", "03-02 10:00:00", user="c"),
        event("B", "03-02 10:00:20", user="c"),
    ]
    # a after 60 s, c after 0 s: mean and median 30.
    assert funnel(events, ["A", "B"], 60) == [(3, None, None), (2, 30, 30)]
    # c alone goes on to a second B, 20 s after the first.
    assert funnel(events, ["A", "B", "B"], 60)[2] == (1, 20, 20)


def test_a_funnel_takes_the_best_attempt_of_each_period() -> None:
    events = [
        event("A", "03-02 23:00:00", user="u", alert=1, platform="ios"),
        event("B", "03-02 23:30:00", user="u", alert=2),
        event("A", "03-03 09:00:00", user="u", alert=2, platform="web"),
        event("A", "03-03 09:01:00", user="u", alert=2, platform="ios"),
        event("B", "03-03 09:02:00", user="u", alert=2, channel="test"),
        event("B", "03-03 09:03:00", user="u", alert=2),
        event("A", "03-03 09:00:30", user="v"),
    ]
    steps = [{"event": "A"}, {"event": "B", "where": [{"property": "channel", "not_equals": "test"}]}]
    spec = {"id": "f", "steps": steps, "window": 3600, "same_property": "alert"}
    world = World(events, landed_days=march(2, 4), funnels=[spec])
    rows = funnel_rows(world)
    # On the 2nd alert 1 goes nowhere. On the 3rd both attempts of alert 2 get to 09:03; the one with the
    # earlier entry, on the web, takes 180 s. v lacks the property.
    monday, tuesday = date(2026, 3, 2), date(2026, 3, 3)
    assert rows[("f", "day", monday, "all", "all", 1)] == (1, None, None)
    assert rows[("f", "day", monday, "all", "all", 2)] == (0, None, None)
    assert rows[("f", "day", tuesday, "all", "all", 2)] == (1, 180, 180)
    assert rows[("f", "all", None, "all", "all", 2)] == (1, 180, 180)
    assert rows[("f", "week", monday, "platform", "web", 2)] == (1, 180, 180)
    assert ("f", "week", monday, "platform", "ios", 1) not in rows
    assert rows[("f", "day", tuesday + timedelta(days=1), "all", "all", 1)] == (0, None, None)
    # An hour's window may end on the next day: the 4th is not closed.
    assert value(world, "f_conversion", 2) == (0, 1, 0, True)
    assert value(world, "f_conversion", 3) == (1, 1, 1, True)
    assert value(world, "f_conversion", 4) == (0, 0, None, False)
