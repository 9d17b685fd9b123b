"""Lines of an export: each becomes a row, a dropped duplicate or a quarantined record, and counts as that."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailtracker_bi import durable
from tailtracker_bi.sources.digests import digests_by_day
from tailtracker_bi.sources.mixpanel import event_lines
from tailtracker_bi.sources.mixpanel.event_lines import EVENTS_SCHEMA, EventLines
from tailtracker_bi.sources.records import BadResponseError, Counts, TooLargeError
from tests.sources.export_lines import event_line

DAY, NEXT_DAY = date(2024, 1, 1), date(2024, 1, 2)
START = 1_704_067_200
"""DAY begins."""
HOUR, WHOLE_DAY = 3600, 86400
KEY = b"a key of the tests"
GOOD = event_line("Neighbour", START + 1, "neighbour", _insert_id="n", note="as it is, \u00e9")


@dataclass
class Outcome:
    rows: list[dict[str, Any]]
    quarantine: list[dict[str, Any]]
    counts: dict[date, Counts]
    content: dict[date, str]

    def column(self, name: str) -> list[Any]:
        return [row[name] for row in self.rows]

    def reasons(self) -> list[str]:
        return [row["reason"] for row in self.quarantine]


def process(spool: Path, *batches: bytes, last: date = DAY) -> Outcome:
    with EventLines(DAY, last, spool, KEY) as lines:
        for batch in batches:
            lines.add(batch)
        counts = lines.deduplicate()
        rows = lines.rows()
        assert rows.schema == EVENTS_SCHEMA
        landed, aside = rows.read_all(), lines.quarantine().read_all()
        outcome = Outcome(landed.to_pylist(), aside.to_pylist(), counts, lines.content())
        received = lines.received
    parts = [digests_by_day(part, counts) for part in (landed, aside)]
    assert outcome.content == {day: added(*(part[day] for part in parts)) for day in counts}
    for day, count in counts.items():
        count.check(str(day))
        assert count.loaded == sum(row["day"] == day for row in outcome.rows)
        assert count.quarantined == sum(row["day"] == day for row in outcome.quarantine)
    assert received == sum(count.received for count in counts.values())
    return outcome


def added(one: str, other: str) -> str:
    """The digest of the rows of two."""
    (rows, hashes), (more, their_hashes) = (part.split(":") for part in (one, other))
    return f"{int(rows) + int(more)}:{(int(hashes, 16) + int(their_hashes, 16)) % 2**128:032x}"


def process_lines(spool: Path, lines: Sequence[bytes], last: date = DAY) -> Outcome:
    return process(spool, b"".join(line + b"\n" for line in lines), last=last)


def process_beside_neighbours(spool: Path, line: bytes) -> Outcome:
    """What becomes of a line between two that must come through untouched."""
    outcome = process_lines(spool, [GOOD, line, event_line("Neighbour", START + 2, "after")])
    neighbours = [row for row in outcome.rows if row["event"] == "Neighbour"]
    assert [row["distinct_id"] for row in neighbours] == ["neighbour", "after"]
    assert json.loads(neighbours[0]["properties"]) == json.loads(GOOD)["properties"]
    outcome.rows = [row for row in outcome.rows if row["event"] != "Neighbour"]
    assert len(outcome.rows) + len(outcome.quarantine) == 1
    return outcome


def test_an_event_becomes_a_row_with_its_columns(tmp_path: Path) -> None:
    line = event_line(
        "Pet Profile Created",
        START + HOUR,
        "u1",
        _insert_id="i1",
        _device_id="d1",
        _user_id="u1",
        _os="Android",
        mp_country_code="DE",
        _app_version_string="5.12.3.104",
        mp_processing_time_ms=(START + HOUR) * 1000 + 1,
    )
    (row,) = process_lines(tmp_path, [line]).rows
    assert json.loads(row.pop("properties")) == json.loads(line)["properties"]
    assert row == {
        "day": DAY,
        "event": "Pet Profile Created",
        "time": datetime.fromisoformat("2024-01-01T01:00"),
        "distinct_id": "u1",
        "device_id": "d1",
        "user_id": "u1",
        "insert_id": "i1",
        "processed_at": datetime.fromisoformat("2024-01-01T01:00:00.001"),
        "platform": "android",
        "country": "DE",
        "app_version": "5.12.3.104",
    }


def test_days_without_lines_are_counted_as_empty(tmp_path: Path) -> None:
    assert process(tmp_path, last=NEXT_DAY).counts == {DAY: Counts(), NEXT_DAY: Counts()}


def test_lines_may_come_in_many_batches_and_the_last_without_newline(tmp_path: Path) -> None:
    lines = [event_line("E", START + number, f"u{number}") for number in range(5)]
    outcome = process(tmp_path, lines[0] + b"\n", lines[1] + b"\r\n" + lines[2] + b"\n\n", lines[3] + b"\n" + lines[4])
    assert outcome.column("distinct_id") == ["u0", "u1", "u2", "u3", "u4"]
    assert outcome.counts[DAY] == Counts(received=5, loaded=5)


@pytest.mark.parametrize(
    ("tail", "is_cut"), [(b"", False), (b'{"event":"Op', True), (b'{"event":"Op\n', False), (GOOD, False)]
)
def test_an_export_that_ends_inside_a_line_is_found_out(tmp_path: Path, tail: bytes, is_cut: bool) -> None:
    with EventLines(DAY, DAY, tmp_path, KEY) as lines:
        lines.add(GOOD + b"\n" + tail)
        assert lines.is_cut is is_cut


# Duplicates: the same event, person and insert id on the same day.


def copies(*changes: dict[str, Any]) -> list[bytes]:
    """Copies of one event, each with changes."""
    same = {"event": "Open", "at": START + HOUR, "distinct_id": "u1", "_insert_id": "i1"}
    return [event_line(**{**same, **change}) for change in changes]


def test_an_event_sent_twice_in_a_day_is_one_row(tmp_path: Path) -> None:
    outcome = process_lines(tmp_path, copies({}, {}, {}))
    assert outcome.counts == {DAY: Counts(received=3, loaded=1, deduplicated=2)}


@pytest.mark.parametrize(
    "other",
    [
        {"at": START + WHOLE_DAY},
        {"distinct_id": "u2"},
        {"event": "Close"},
        {"_insert_id": "I1"},
        {"_insert_id": "i2"},
    ],
    ids=["another day", "another person", "another event", "insert id in other case", "another insert id"],
)
def test_events_that_differ_in_what_identifies_them_stay_two(tmp_path: Path, other: dict[str, Any]) -> None:
    outcome = process_lines(tmp_path, copies({}, other), last=NEXT_DAY)
    assert len(outcome.rows) == 2
    assert sum(count.deduplicated for count in outcome.counts.values()) == 0
    twice = process_lines(tmp_path, copies({}, other, {}, other), last=NEXT_DAY)
    assert len(twice.rows) == 2
    assert sum(count.deduplicated for count in twice.counts.values()) == 2


@pytest.mark.parametrize("missing", [None, ""])
def test_equal_events_without_insert_id_stay_two(tmp_path: Path, missing: str | None) -> None:
    outcome = process_lines(tmp_path, copies({"_insert_id": missing}, {"_insert_id": missing}))
    assert outcome.counts == {DAY: Counts(received=2, loaded=2)}


def test_of_two_copies_at_different_times_of_a_day_one_stays(tmp_path: Path) -> None:
    assert len(process_lines(tmp_path, copies({"at": START}, {"at": START + WHOLE_DAY - 1})).rows) == 1


def test_the_copy_processed_last_stays_whatever_the_order(tmp_path: Path) -> None:
    lines = copies(
        {"v": "early", "mp_processing_time_ms": START * 1000 + 1},
        {"v": "late", "mp_processing_time_ms": START * 1000 + 2},
        {"v": "unknown"},
    )
    kept = {
        process_lines(tmp_path, order).rows[0]["properties"] for order in (lines, lines[::-1], lines[1:] + lines[:1])
    }
    assert [json.loads(text)["v"] for text in kept] == ["late"]


def test_which_of_equally_late_copies_stays_does_not_depend_on_the_order(tmp_path: Path) -> None:
    lines = copies({"v": "a"}, {"v": "b"})
    assert process_lines(tmp_path, lines).rows == process_lines(tmp_path, lines[::-1]).rows


@pytest.mark.parametrize("examples", [10, pytest.param(60, marks=pytest.mark.slow)])
def test_the_same_lines_in_any_order_and_any_batches_have_the_same_digest(examples: int, tmp_path: Path) -> None:
    changes: list[dict[str, Any]] = [
        {}, {}, {"mp_processing_time_ms": 2}, {"at": START + WHOLE_DAY}, {"_insert_id": None}, {"_insert_id": None},
        {"distinct_id": "a@b.de"}, {"at": "never"}, {"at": "never", "distinct_id": "a@b.de"},
    ]  # fmt: skip
    lines = [*copies(*changes), b"{broken"]
    in_order = process_lines(tmp_path, lines, NEXT_DAY).content

    @settings(max_examples=examples, deadline=None)
    @given(shuffled=st.permutations(lines), cut=st.integers(0, len(lines)))
    def check(shuffled: list[bytes], cut: int) -> None:
        batches = [b"".join(line + b"\n" for line in part) for part in (shuffled[:cut], shuffled[cut:])]
        assert process(tmp_path, *batches, last=NEXT_DAY).content == in_order

    check()


def test_a_line_more_less_or_other_has_another_digest_on_its_day_alone(tmp_path: Path) -> None:
    lines = copies({}, {"_insert_id": None}, {"at": START + WHOLE_DAY}, {"at": "never"})
    before = process_lines(tmp_path, lines, NEXT_DAY).content
    for other in (
        lines[1:],
        [*lines, lines[1]],
        [*copies({"mp_processing_time_ms": 1}), *lines[1:]],
        [*copies({"_device_id": "d"}), *lines[1:]],
        [*lines, b"{broken"],
        [*lines[:3], *copies({"at": "ever"})],
    ):
        content = process_lines(tmp_path, other, NEXT_DAY).content
        assert (content[DAY] != before[DAY], content[NEXT_DAY]) == (True, before[NEXT_DAY])


def test_an_event_at_the_edge_of_a_day_lands_once_on_its_own_day(tmp_path: Path) -> None:
    edges = [START, START + WHOLE_DAY - 1, START + WHOLE_DAY, START + 2 * WHOLE_DAY - 0.001]
    outcome = process_lines(tmp_path, [event_line("E", at, _insert_id="same") for at in edges], last=NEXT_DAY)
    assert outcome.counts[DAY] == outcome.counts[NEXT_DAY] == Counts(received=2, loaded=1, deduplicated=1)


def test_copies_in_different_batches_are_one_row_whichever_comes_first(tmp_path: Path) -> None:
    early, late, other = copies(
        {"mp_processing_time_ms": START * 1000 + 1}, {"mp_processing_time_ms": START * 1000 + 2}, {"_insert_id": "i2"}
    )
    for batches in ([early, other, late], [late, early, other], [other, late, early]):
        outcome = process(tmp_path, *(batch + b"\n" for batch in batches))
        assert outcome.counts == {DAY: Counts(received=3, loaded=2, deduplicated=1)}
        assert {row["processed_at"] and row["processed_at"].microsecond for row in outcome.rows} == {None, 2000}


def test_lines_are_worked_through_in_parts_and_keep_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_lines, "LINES_AT_ONCE", 2)
    lines = [event_line("E", START + number, f"u{number}") for number in range(5)]
    lines[2] = lines[2].replace(b'"event": ', b'"event":').replace(b', "properties": ', b',"properties":')
    assert process_lines(tmp_path, lines).column("distinct_id") == ["u0", "u1", "u2", "u3", "u4"]


def test_a_disk_that_would_fill_up_is_told_before_it_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=durable.ROOM + 3 * len(GOOD))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with EventLines(DAY, DAY, tmp_path, KEY) as lines:
        lines.add(GOOD)
        usage = usage._replace(free=durable.ROOM)
        with pytest.raises(TooLargeError, match=r"256 MiB more are needed .*, and 256 MiB are free"):
            lines.add(GOOD)
    assert list(tmp_path.iterdir()) == []


# Times.


@pytest.mark.parametrize(
    "at",
    [START + 5, START + 5.0, str(START + 5), f"{START + 5}.000", (START + 5) * 1000, str((START + 5) * 1000)],
)
def test_a_time_in_any_readable_form_is_read(tmp_path: Path, at: float | str) -> None:
    (row,) = process_beside_neighbours(tmp_path, event_line("E", at)).rows
    assert row["time"] == datetime.fromisoformat("2024-01-01T00:00:05")


def test_parts_of_seconds_are_kept(tmp_path: Path) -> None:
    (row,) = process_lines(tmp_path, [event_line("E", (START + 5) * 1000 + 250)]).rows
    assert row["time"] == datetime.fromisoformat("2024-01-01T00:00:05.250")


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        (None, "no readable time"),
        ("", "no readable time"),
        ("yesterday", "no readable time"),
        ("2024-01-01T00:00:00", "no readable time"),
        (True, "no readable time"),
        (START * 1_000_000, "no readable time"),
        (float("nan"), "no readable time"),
        (float("inf"), "no readable time"),
        (-START, "time outside the days asked for"),
        (0, "time outside the days asked for"),
        (4_102_444_800, "time outside the days asked for"),
        (START - 20 * HOUR, "time outside the days asked for"),
        (START - HOUR, "shifted"),
        (START + WHOLE_DAY + HOUR, "shifted"),
    ],
)
def test_a_time_that_is_not_of_the_day_is_quarantined(tmp_path: Path, at: Any, reason: str) -> None:
    assert process_beside_neighbours(tmp_path, event_line("E", at)).reasons() == [reason]


@pytest.mark.parametrize("processed", [1e30, -1e30, 9.3e18, -9.2233720368547e15, "never", None, float("nan")])
def test_an_absurd_processing_time_is_left_out_and_the_row_stays(tmp_path: Path, processed: Any) -> None:
    (row,) = process_beside_neighbours(tmp_path, event_line("E", START, mp_processing_time_ms=processed)).rows
    assert row["processed_at"] is None


# Texts and numbers.


@pytest.mark.parametrize(
    "text",
    [
        "\u2028",
        "\u2029",
        "\u0085",
        "\x1c",
        "\r",
        "\r\n",
        "\x00",
        "\U0001f415",
        "\\",
        '"',
        "\t",
        "\ufeff",
        "e\u0301",
    ],
)
@pytest.mark.parametrize("escaped", [True, False])
def test_a_row_with_an_odd_character_is_kept_as_it_is(tmp_path: Path, text: str, escaped: bool) -> None:
    event = {
        "event": f"E{text}",
        "properties": {"time": START, "distinct_id": "u", "note": f"before{text}after"},
    }
    line = json.dumps(event, ensure_ascii=escaped).encode()
    (row,) = process_beside_neighbours(tmp_path, line).rows
    assert row["event"] == event["event"]
    assert json.loads(row["properties"]) == event["properties"]


@pytest.mark.parametrize("surrogate", [r"\ud800", r"\udc00", r"\ud800x", r"\udc00\ud800"])
def test_half_a_character_is_replaced_and_the_row_stays(tmp_path: Path, surrogate: str) -> None:
    note = rf"jane@example.com \\ud800 \ud83d\ude00 {surrogate}"
    line = event_line("E", START, note="SURROGATE").replace(b"SURROGATE", note.encode())
    (row,) = process_beside_neighbours(tmp_path, line).rows
    kept = surrogate.count(r"\u") * "\ufffd" + surrogate.endswith("x") * "x"
    assert json.loads(row["properties"])["note"] == f"[email] \\ud800 \U0001f600 {kept}"


def test_half_a_character_does_not_save_a_line_that_is_broken_otherwise(tmp_path: Path) -> None:
    outcome = process_beside_neighbours(tmp_path, rb'{"event":"\ud83d","properties":{')
    assert outcome.reasons() == ["not JSON"]


def test_an_event_whose_id_is_empty_is_kept(tmp_path: Path) -> None:
    (row,) = process_beside_neighbours(tmp_path, event_line("E", START, "")).rows
    assert (row["distinct_id"], row["user_id"], row["device_id"]) == ("", None, None)


def test_bytes_that_are_not_utf8_are_replaced_and_the_row_stays(tmp_path: Path) -> None:
    (row,) = process_beside_neighbours(
        tmp_path, event_line("E", START, note="BYTES").replace(b"BYTES", b"caf\xe9 \xff")
    ).rows
    assert json.loads(row["properties"])["note"] == "caf\ufffd \ufffd"


@pytest.mark.parametrize(
    "number",
    ["1e400", "-1e400", "12345678901234567890123", "-12345678901234567890123", "NaN", "Infinity", "1.5", "0"],
)
@pytest.mark.parametrize("other", ["plain", "jane@example.com"], ids=["nothing to clean", "something to clean"])
def test_a_row_with_any_number_is_kept_and_the_number_exact(tmp_path: Path, number: str, other: str) -> None:
    line = event_line("E", START, number=0, other=other).replace(b'"number": 0', f'"number": {number}'.encode())
    (row,) = process_beside_neighbours(tmp_path, line).rows
    assert "jane" not in row["properties"]
    assert str(json.loads(row["properties"], parse_float=str, parse_constant=str)["number"]) == number


def test_a_row_with_repeated_keys_is_kept(tmp_path: Path) -> None:
    line = event_line("E", START, note="x").replace(b'"note": "x"', b'"note": "x", "note": "y", "time": 5')
    (row,) = process_beside_neighbours(tmp_path, line).rows
    assert row["time"] == datetime.fromisoformat("2024-01-01")


def test_types_may_differ_from_event_to_event(tmp_path: Path) -> None:
    values = [1, "1", 1.5, True, None, [1, "a"], {"a": {"b": []}}]
    outcome = process_lines(tmp_path, [event_line("E", START + n, value=value) for n, value in enumerate(values)])
    assert [json.loads(text)["value"] for text in outcome.column("properties")] == values


@pytest.mark.parametrize("depth", [10, 100, 5000])
def test_deep_nesting_neither_fails_nor_lets_personal_data_through(tmp_path: Path, depth: int) -> None:
    deep = b'{"a":' * depth + b'"jane@example.com"' + b"}" * depth
    line = event_line("E", START, value=0).replace(b'"value": 0', b'"value": ' + deep)
    (row,) = process_beside_neighbours(tmp_path, line).rows
    assert "jane" not in row["properties"]
    if depth < 1000:
        assert json.loads(row["properties"])["distinct_id"] == "u1"


def test_many_properties_are_kept(tmp_path: Path) -> None:
    many = {f"p{number}": number for number in range(300)} | {"city": "Bonn", "_city": "Berlin"}
    (row,) = process_beside_neighbours(tmp_path, event_line("E", START, **many)).rows
    kept = json.loads(row["properties"])
    assert (kept["city"], kept["$city"], kept["p299"]) == ("Bonn", "Berlin", 299)


@pytest.mark.parametrize(
    "name",
    ["../../x", "x" * 4096, "", "$ignore", "'; drop table received; --", '"', "<img onerror=x>", "Brand New"],
)
def test_any_event_name_is_text(tmp_path: Path, name: str) -> None:
    (row,) = process_beside_neighbours(tmp_path, event_line(name, START)).rows
    assert row["event"] == name


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"terminated early", "not JSON"),
        (b'{"event":"E","properties":{"time":1704067200', "not JSON"),
        (b"<html>", "not JSON"),
        (b'{"error":"down"}', "error"),
        (b'{"properties":{"time":1704067200,"distinct_id":"u"}}', "no event name"),
        (b'{"event":null,"properties":{"time":1704067200,"distinct_id":"u"}}', "no event name"),
        (b"[]", "no event name"),
        (b"null", "no event name"),
        (b'"text"', "no event name"),
        (b'{"event":"E"}', "no properties"),
        (b'{"event":"E","properties":[]}', "no properties"),
        (b'{"event":"E","properties":"x"}', "no properties"),
        (event_line("E", START, None), "no distinct_id"),
    ],
)
def test_what_is_no_event_is_quarantined_with_its_reason(tmp_path: Path, line: bytes, reason: str) -> None:
    outcome = process_beside_neighbours(tmp_path, line)
    assert outcome.reasons() == [reason]
    assert outcome.quarantine[0]["record"] == line.decode()


def test_a_line_that_is_not_json_counts_for_the_day_that_it_claims(tmp_path: Path) -> None:
    broken = [b'{"time": %d, broken' % (START + WHOLE_DAY), b"{broken", b'{"time": 4102444800, broken']
    outcome = process_lines(tmp_path, broken, last=NEXT_DAY)
    assert [row["day"] for row in outcome.quarantine] == [DAY, DAY, NEXT_DAY]


# Personal data.


def test_personal_data_is_in_no_column_and_not_in_the_quarantine(tmp_path: Path) -> None:
    personal = {
        "email": "jane@example.com",
        "address": {"street": "Elm Street 3"},
        "note": "ring +49 170 1234567",
    }
    lines = [
        event_line("Mail from jane@example.com", START, "jane@example.com", _user_id="jane@example.com", **personal),
        event_line("Early", START - 10 * WHOLE_DAY, "jane@example.com", **personal),
        event_line("Cut", START, "jane@example.com", **personal)[:-1],
    ]
    outcome = process_lines(tmp_path, lines)
    assert (len(outcome.rows), len(outcome.quarantine)) == (1, 2)
    kept = str(outcome)
    assert not [canary for canary in ("jane", "Elm Street", "1234567") if canary in kept]


def told_of_cards(spool: Path, *lines: bytes, last: date = DAY) -> list[tuple[date, str]]:
    with EventLines(DAY, last, spool, KEY) as export:
        export.add(b"".join(line + b"\n" for line in lines))
        export.deduplicate()
        kept = str(export.rows().read_all().to_pylist())
        assert not [number for number in ("4242424242", "4242 4242", "4242-4242") if number in kept]
        assert all(remark.is_alarm for remarks in export.remarks().values() for remark in remarks)
        return [(day, str(remark)) for day, remarks in export.remarks().items() for remark in remarks]


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ({"note": "4242424242424242"}, "note"),
        ({"note": "paid with 4242 4242 4242 4242, 12/27"}, "note"),
        ({"payment": {"card": {"number": "4242-4242-4242-4242"}}}, "payment.card.number"),
        ({"cards": ["none", "4242424242424242"]}, "cards"),
        ({"note": "378282246310005", "other": "1"}, "note"),
        ({"note": "4242424242424242", "order": 5555555555554444}, "note"),
        ({"jane@example.com": "4242424242424242"}, "[email]"),
    ],
)
def test_a_card_number_in_a_text_is_told_with_event_property_and_count(
    tmp_path: Path, sent: dict[str, Any], name: str
) -> None:
    lines = [event_line("Payment Failed", START + second, **sent) for second in range(3)]
    assert told_of_cards(tmp_path, *lines, event_line("Open", START), last=NEXT_DAY) == [
        (
            DAY,
            f"3 values of {name} in Payment Failed held a card number, which did not land: take it out where the app "
            "sends it",
        )
    ]


@pytest.mark.parametrize(
    "values",
    [
        ["4111111111111112"],  # no check digit
        [5555555555554444],  # no text
        ["1704067200123456"],  # no issuer
        ["0000000000000000"],
        ["9f86d081-884c-4d63-a5fc-411111111111"],  # inside an id
        [f"45{number:014}" for number in range(200)],  # one in ten has a right check digit by chance
    ],
)
def test_numbers_that_are_no_cards_turn_nothing_red(tmp_path: Path, values: list[Any]) -> None:
    lines = [event_line("Order", START + n, order=value) for n, value in enumerate(values)]
    assert told_of_cards(tmp_path, *lines) == []


def test_a_quarantined_event_keeps_all_but_its_personal_data(tmp_path: Path) -> None:
    line = event_line("E", None, "jane@example.com", address={"street": "Elm Street 3"}, plan="pro")
    (row,) = process_beside_neighbours(tmp_path, line).quarantine
    properties = json.loads(row["record"])["properties"]
    assert properties.pop("distinct_id").startswith("hashed-")
    assert properties == {"time": None, "plan": "pro"}


def test_an_id_that_is_an_e_mail_still_tells_people_apart(tmp_path: Path) -> None:
    people = ["jane@example.com", "john@example.com", "jane@example.com", "plain-id"]
    outcome = process_lines(tmp_path, [event_line("E", START + n, person) for n, person in enumerate(people)])
    ids = outcome.column("distinct_id")
    assert ids[0] == ids[2] != ids[1]
    assert all(one.startswith("hashed-") for one in ids[:3])
    assert ids[3] == "plain-id"
    assert [json.loads(text)["distinct_id"] for text in outcome.column("properties")] == ids


@pytest.mark.parametrize("line", [b"0", b'{"event":"Open","properties":{"time":1704110400}}'])
def test_an_answer_that_begins_with_nothing_but_junk_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: bytes
) -> None:
    monkeypatch.setattr(event_lines, "LINES_AT_ONCE", 10)
    monkeypatch.setattr(event_lines, "HOPELESS_LINES", 20)
    with (
        EventLines(DAY, DAY, tmp_path, KEY) as lines,
        pytest.raises(BadResponseError, match="not an export: none of the first 20 lines is an event"),
    ):
        lines.add(b"\n".join([line] * 100))
    with EventLines(DAY, DAY, tmp_path, KEY) as lines:
        lines.add(b"\n".join([GOOD, *[line] * 100]))
        assert lines.received == 101


TEXT = st.text(max_size=12) | st.sampled_from(
    ['","properties":{', '"}}', '{"event":"', "\\", "\u2028", "a@b.de", "+49 170 1234567", "52.5, 13.4"]
)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
SENT = st.dictionaries(
    TEXT | st.sampled_from(["time", "distinct_id", "$insert_id", "$os", "platform", "email", "mp_country_code"]),
    VALUE,
    max_size=6,
)


@pytest.mark.parametrize("examples", [15, pytest.param(100, marks=pytest.mark.slow)])
def test_lines_written_as_mixpanel_does_come_to_the_same_as_those_with_spaces(examples: int, tmp_path: Path) -> None:
    good = json.loads(GOOD)["properties"]

    def outcome(
        events: list[dict[str, Any]], separators: tuple[str, str]
    ) -> tuple[list[dict[str, Any]], list[tuple[str, Any]]]:
        lines = [json.dumps(event, ensure_ascii=False, separators=separators).encode() for event in events]
        found = process_lines(tmp_path, lines)
        rows = [row | {"properties": json.loads(row["properties"])} for row in found.rows]
        return rows, [(row["reason"], json.loads(row["record"])) for row in found.quarantine]

    @settings(max_examples=examples, deadline=None)
    @given(st.lists(st.tuples(TEXT, SENT, st.booleans()), min_size=1, max_size=8))
    def come_to_the_same(sent: list[tuple[str, dict[str, Any], bool]]) -> None:
        events = [
            {"event": name, "properties": (good if is_good else {}) | properties} for name, properties, is_good in sent
        ]
        assert outcome(events, (",", ":")) == outcome(events, (", ", ": "))

    come_to_the_same()


def test_a_line_that_is_cut_at_any_byte_is_set_aside_and_its_neighbours_come_through(tmp_path: Path) -> None:
    line = json.dumps(
        {"event": "Größe", "properties": {"time": START, "distinct_id": "Malmö", "city": "東京"}},
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()
    cuts = [line[:end] for end in range(1, len(line))]
    neighbours = [event_line("Neighbour", START + place, f"u{place}") for place in range(len(cuts) + 1)]
    between = [one for pair in zip(neighbours, cuts, strict=False) for one in pair]
    outcome = process_lines(tmp_path, [*between, neighbours[-1]])
    assert outcome.reasons() == ["not JSON"] * len(cuts)
    assert [json.loads(text) for text in outcome.column("properties")] == [
        json.loads(neighbour)["properties"] for neighbour in neighbours
    ]
