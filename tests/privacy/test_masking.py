"""Personal data: what is taken out, what stays, and that the sieve misses nothing that cleaning changes."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tailtracker_bi.privacy.masking import (
    SIEVE,
    clean_broken_json,
    clean_json,
    clean_value,
    is_personal_name,
    mask_text,
)
from tailtracker_bi.privacy.pseudonyms import hash_personal_id, is_personal_id

CONNECTION = duckdb.connect()


def passes_sieve(texts: Sequence[str]) -> list[str]:
    """The texts in which the sieve catches nothing, as production asks: DuckDB runs it."""
    CONNECTION.register("texts", pa.table({"text": pa.array(texts, pa.string())}))
    rows = CONNECTION.execute("select text from texts where not regexp_matches(text, $sieve)", {"sieve": SIEVE})
    return [row[0] for row in rows.fetchall()]


def test_values_that_only_look_like_personal_names_cost_no_cleaning() -> None:
    text = json.dumps({"$model": "iPhone14,5", "registration_method": "email", "device_type": "phone"})
    assert passes_sieve([text, text.replace(" ", "")]) == [text, text.replace(" ", "")]


PERSONAL_NAMES = (
    "email", "$email", "e-mail", "E_Mail", "eMail", "EMAIL", "emails", "email2", "user_email",
    "emailAddress", "contact.email", "phone", "$phone", "phoneNumber", "phonenumber", "Phone Number",
    "telephone", "mobile_number", "mobileNumber", "name", "Name", "$name", "first_name", "$first_name",
    "FirstName", "firstname", "lastName", "fullname", "surname", "username", "userName", "display_name",
    "pet_name", "petName", "owner_name", "finder name", "address", "addresses", "home_address", "Address1",
    "emailaddress", "ip", "$ip", "ips", "IP", "ipAddress", "IPAddress", "ipaddress", "client_ip",
    "clientIp", "clientIP", "client/ip", "remote.ip", "ip:", "lat", "lng", "lon", "location_lat",
    "location_lng", "lat_lng", "lastLat", "latitude", "$longitude", "Longitudes", "coordinates",
    "geo_coordinates", "user_agent", "userAgent", "useragent", "$user_agent", "push_token", "pushTokens",
    "device_token", "fcmToken", "apns_token", "$android_devices", "$ios_devices", "ssn", "iban",
)  # fmt: skip
OTHER_NAMES = (
    "", "event", "time", "distinct_id", "$insert_id", "$device_id", "pet_id", "plan_type", "plate",
    "platform", "slip", "tip", "zip_code_region", "shipping_method", "trip", "description", "latency",
    "latest", "flat", "long", "longest", "colon", "lonely", "translation", "test_name", "screen_name_id_x",
    "event_name", "feature_name", "campaign_name", "token_count", "mailbox_count_total", "emailing",
    "agent_type", "mobile", "is_mobile", "$city", "city", "country", "mp_country_code", "$os",
    "$os_version", "$app_version_string", "device_type", "number", "renamed", "filename",
    "location_enabled", "multiplication", "Multiple", "HIPAA", "equip", "ipad", "iPad", "VIP", "vip_level",
)  # fmt: skip


@pytest.mark.parametrize("name", PERSONAL_NAMES)
def test_property_of_a_personal_name_is_dropped_at_every_depth(name: str) -> None:
    texts = [
        json.dumps({"a": 1, name: "Elm Street"}),
        json.dumps({"deep": [{"x": {name: {"street": "Elm Street"}}}]}),
        json.dumps({name: ["Elm Street", {"more": "Elm Street"}], "a": 1}),
    ]
    assert passes_sieve(texts) == []
    assert [json.loads(clean_json(text)) for text in texts] == [{"a": 1}, {"deep": [{"x": {}}]}, {"a": 1}]


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_property_of_another_name_is_kept(name: str) -> None:
    assert not is_personal_name(name)
    assert json.loads(clean_json(json.dumps({name: "Elm Street"}))) == {name: "Elm Street"}


MASKED = {
    "jane@example.com": "[email]",
    "Jane <jane.doe+pets@mail.example.co.uk>, thanks": "Jane <[email]>, thanks",
    "mailto:jane@example.com?subject=x": "mailto:[email]?subject=x",
    "j\u00e4ne@ex\u00e4mple.de": "[email]",
    "+49 170 1234567": "[phone]",
    "+491701234567": "[phone]",
    "tel:+49-170-1234567.": "tel:[phone].",
    "Tel.+49 170 1234567": "Tel.[phone]",
    "+49 (0) 170 / 1234567": "[phone]",
    "T\u00e9l\u00e9+33 6 12 34 56 78": "T\u00e9l\u00e9[phone]",
    "+1 (202) 555-0123": "[phone]",
    "(202) 555-0123": "[phone]",
    "202-555-0123": "[phone]",
    "1-202-555-0123": "[phone]",
    "202.555.0123": "[phone]",
    "0170 1234567": "[phone]",
    "0170/1234567": "[phone]",
    "030-12345678": "[phone]",
    "0049 170 1234567": "[phone]",
    "06 12 34 56 78": "[phone]",
    "0170 12 34 567": "[phone]",
    "192.168.0.1": "[ip]",
    "from 8.8.8.8:53": "from [ip]:53",
    "http://93.184.216.34/x": "http://[ip]/x",
    "2001:db8::1": "[ip]",
    "2001:0db8:0000:0000:0000:0000:0000:0001": "[ip]",
    "fe80::1%eth0": "[ip]%eth0",
    "::ffff:8.8.8.8": "[ip]",
    "2001:db8::1: connection refused": "[ip] connection refused",
    "8.8.8.8.": "[ip].",
    "52.520008, 13.404954": "[coordinates]",
    "52.520008,13.404954": "[coordinates]",
    "-33.8688; 151.2093": "[coordinates]",
    "52.520008,\u00a013.404954": "[coordinates]",
    "52.520008,\n13.404954": "[coordinates]",
    "4111111111111111": "[card]",
    "4111 1111 1111 1111": "[card]",
    "4111-1111-1111-1111": "[card]",
    "5555555555554444": "[card]",
    "2223003122003222": "[card]",
    "378282246310005": "[card]",
    "6011111111111117": "[card]",
    "4222222222222": "[card]",
    "4111111111111111 12/27": "[card] 12/27",
    "4111 1111 1111 1111 12 27 123": "[card] 12 27 123",
    "order 32 4111 1111 1111 1111": "order 32 [card]",
    "4111111111111111 5555555555554444": "[card] [card]",
}
KEPT = (
    "", "plain text", "a@b", "@handle", "5.99", "1,234.56", "12:30:45", "2024-01-01",
    "2024-01-01T10:20:30.123Z", "2024-01-01 10:20:30", "550e8400-e29b-41d4-a716-446655440000", "1.2.3",
    "v1.2.3.4", "300.300.300.300", "std::string", "10:20", "::", "1704067200", "1704067200123",
    "1704067200123456", "4111111111111112", "52.5, 13.4", "520.12345, 13.40495", "\u00a3 20", "#42",
    "iPhone14,5", "0.123456789012345", "3 of 4", "x" * 200, "0x1f", "100%", "a\u2028b",
)  # fmt: skip


@pytest.mark.parametrize("text", MASKED)
def test_value_that_looks_like_personal_data_is_masked(text: str) -> None:
    assert mask_text(text) == MASKED[text]
    assert passes_sieve([text, json.dumps({"note": text}), json.dumps([text], ensure_ascii=False)]) == []


@pytest.mark.parametrize("text", KEPT)
def test_other_value_is_kept_as_it_is(text: str) -> None:
    assert mask_text(text) == text
    assert json.loads(clean_json(json.dumps({"note": text}))) == {"note": text}


def test_version_of_four_parts_is_no_ip_address_where_its_name_says_so() -> None:
    versions = {"$app_version_string": "5.12.3.104", "os_build": "10.0.0.1", "release": "1.2.3.4"}
    assert json.loads(clean_json(json.dumps(versions | {"note": "5.12.3.104"}))) == versions | {"note": "[ip]"}


@pytest.mark.parametrize(
    ("value", "cleaned"),
    [
        ([52.520008, 13.404954], "[coordinates]"),
        ({"at": [13.404954, 52.520008]}, {"at": "[coordinates]"}),
        ([5e1, 1.5e-7], "[coordinates]"),
        ([52, 13], [52, 13]),
        ([520.5, 13.4], [520.5, 13.4]),
        ([1.5, 2.5, 3.5], [1.5, 2.5, 3.5]),
        (4111111111111111, "[card]"),
        ([4111111111111111], ["[card]"]),
        (4111111111111112, 4111111111111112),
        (True, True),
        (None, None),
        ({"jane@example.com": 1}, {"[email]": 1}),
    ],
)
def test_numbers_lists_and_keys_are_looked_at_too(value: Any, cleaned: Any) -> None:
    assert clean_value(value) == cleaned


CANARIES = {
    "e-mail": "jane.canary@example.com",
    "phone": "+49 170 5550199",
    "IPv4": "203.0.113.77",
    "IPv6": "2001:db8:77::abcd",
    "coordinates": "52.520008, 13.404954",
    "card": "4111 1111 1111 1111",
}
POSITIONS = {
    "value": {"note": "CANARY"},
    "sentence": {"note": "write to CANARY, please"},
    "nested": {"a": {"b": [{"c": "CANARY"}]}},
    "list": {"a": ["x", "CANARY"]},
    "key": {"CANARY": 1},
    "nested key": {"a": [{"CANARY": {"b": 1}}]},
    "JSON in a text": {"payload": json.dumps({"note": "CANARY"})},
    "personal name": {"email": "CANARY", "user_agent": {"x": ["CANARY"]}},
    "id": {
        "distinct_id": "CANARY",
        "$user_id": "CANARY",
        "$distinct_ids": ["CANARY", "x"],
        "alias": "CANARY",
    },
    "beside odd characters": {
        "note": "\u2028CANARY\u0085",
        "tab": "\tCANARY\n",
        "dog": "\U0001f415CANARY\U0001f415",
    },
    "quotes": {"note": '"CANARY"', "other": "(CANARY)", "third": "=CANARY;"},
}


def _hashed(raw_id: str) -> str:
    return hash_personal_id(raw_id, b"key") if is_personal_id(raw_id) else raw_id


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("kind", CANARIES)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_canary_survives_in_no_position(kind: str, position: str, ascii_only: bool) -> None:
    text = json.dumps(POSITIONS[position], ensure_ascii=ascii_only).replace("CANARY", CANARIES[kind])
    assert passes_sieve([text]) == []
    cleaned = clean_json(text, hash_id=_hashed)
    assert CANARIES[kind] not in cleaned
    json.loads(cleaned)
    for broken in (text[:-1], text + "}", "terminated " + text, text.replace("{", "", 1)):
        assert CANARIES[kind] not in clean_broken_json(broken)


@pytest.mark.parametrize("kind", CANARIES)
def test_canary_behind_escapes_does_not_survive(kind: str) -> None:
    hidden = "".join(f"\\u{ord(character):04x}" for character in CANARIES[kind])
    text = f'{{"note": "{hidden}"}}'
    assert passes_sieve([text]) == []
    assert CANARIES[kind] not in clean_json(text)
    assert hidden not in clean_broken_json(text[:-1])
    assert CANARIES[kind] not in clean_broken_json(text[:-1])


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ('{"email": "x", "a": 1', '{"email": "[dropped]", "a": 1'),
        ('{"name": "Jane \\"J\\" Doe", "a": "b', '{"name": "[dropped]", "a": "b'),
        ('{"name": "Jane', '{"name": "[dropped]"'),
        ('{"lat": 52.520008, "a": 1', '{"lat": "[dropped]", "a": 1'),
        ('{"a": 1, "address": {"street": "Elm Street"}, "b": 2', '{"a": 1, "address": "[dropped]"'),
        ('{"a": 1, "phone": ["123", "456"', '{"a": 1, "phone": "[dropped]"'),
        ('{"e\\u006dail": "x"', '{"email": "[dropped]"'),
        ("terminated early", "terminated early"),
        ('{"plan": "pro", "price": 5.99', '{"plan": "pro", "price": 5.99'),
    ],
)
def test_broken_text_loses_the_values_of_personal_names(text: str, cleaned: str) -> None:
    assert clean_broken_json(text) == cleaned


@pytest.mark.parametrize(
    "number", ["12345678901234567890123", "-0.1", "1E3", "NaN", "-Infinity", "18446744073709551616"]
)
def test_cleaning_keeps_every_number_exact(number: str) -> None:
    cleaned = clean_json(f'{{"email": "x", "number": {number}}}')
    assert str(json.loads(cleaned)) == str({"number": json.loads(number)})


@pytest.mark.parametrize(
    "text", ['{"a":' * 5000 + '"jane@example.com"' + "}" * 5000, "[1" + "0" * 5000 + ',"jane@example.com"]']
)
def test_what_cannot_be_gone_through_comes_back_as_json_without_personal_data(text: str) -> None:
    cleaned = clean_json(text)
    assert "jane" not in cleaned
    assert list(json.loads(cleaned)) == ["[unreadable]"]


@pytest.mark.parametrize(
    "part", ["4 ", "4", "1.2.3.", "1.000,", "f:", "::", "+1", "(12)", "a@b.", "x", "-", '"a', '"\\']
)
def test_hostile_text_takes_no_longer_than_its_length_explains(part: str) -> None:
    started = time.process_time()
    assert clean_broken_json(part * 20_000 + "1")
    assert time.process_time() - started < 2


def test_hashed_id_tells_people_apart_and_hides_them() -> None:
    jane, john = (hash_personal_id(raw_id, b"key") for raw_id in ("jane@example.com", "john@example.com"))
    assert jane != john
    assert jane == hash_personal_id("jane@example.com", b"key") != hash_personal_id("jane@example.com", b"other key")
    assert not is_personal_id(jane)
    assert not is_personal_id("550e8400-e29b-41d4-a716-446655440000")
    assert "jane" not in jane


# The sieve. What it lets through in production nobody looks at again.


def test_the_sieve_lets_ordinary_events_through() -> None:
    ordinary = {
        "time": 1704067200, "distinct_id": "550e8400-e29b-41d4-a716-44665544abcd", "$insert_id": "kx3v9q2m1z",
        "mp_processing_time_ms": 1704067200123, "$os": "iOS", "$app_version_string": "5.12.3", "price": 5.99,
        "screen": "Trip \"planner\"", "is_premium_feature": True, "platform": "ios", "plan_type": "pro",
    }  # fmt: skip
    ids = ["0f000953-4855-4080-8862-890712345678", "a1b2c3d4-0123-4567-89ab-642352725272"]
    texts = [json.dumps(ordinary), *(json.dumps({"pet_id": one}) for one in ids)]
    assert passes_sieve(texts) == texts


_FRAGMENTS = (
    "ip", "IP", "Ip", "iP", "lat", "LNG", "Lon", "s", "S", "e", "E", "mail", "pho", "ne", "na", "me", "x",
    "X", "_", "-", ".", " ", "$", "/", ":", "::", "(", ")", "+", "#", "\u00e9", "\u00a0", "\u2028",
    "\u0085", "\x0b", "\x1f", "\n", "\t", "\\", '"', ",", ";", "0", "1", "4", "49", "170", "0123", "4111",
    "1111", "192.168", "52.520", "13.404", "fe80", "db8", "a", "@", "token", "push", "user", "agent",
)  # fmt: skip
_TEXTS = st.one_of(st.lists(st.sampled_from(_FRAGMENTS), max_size=8).map("".join), st.text(max_size=12))
_NUMBERS = st.one_of(
    st.integers(),
    st.integers(min_value=-(10**25), max_value=10**25),
    st.floats(allow_nan=False),
    st.floats(min_value=-180, max_value=180),
)
_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), _NUMBERS, _TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(_NUMBERS, _NUMBERS).map(list),
        st.dictionaries(_TEXTS, inner, max_size=4),
    ),
    max_leaves=6,
)


@given(st.lists(_VALUES, min_size=1, max_size=60), st.booleans())
@example(
    [{"\u00e9ip": 1}, {"ips": 1}, {"client/ip": 1}, {"\nlat": 1}, [5e1, 1.5e-7], "52.5200,\u00a013.4049"],
    False,
)
@settings(max_examples=150, deadline=None)
def test_json_that_the_sieve_lets_through_would_not_be_changed_by_cleaning(values: list[Any], ascii_only: bool) -> None:
    texts = [json.dumps(value, ensure_ascii=ascii_only) for value in values]
    for text in passes_sieve(texts):
        assert json.dumps(json.loads(clean_json(text))) == json.dumps(json.loads(text))


@given(st.lists(_TEXTS, min_size=1, max_size=60))
@settings(max_examples=100, deadline=None)
def test_text_that_the_sieve_lets_through_would_not_be_changed_by_masking(texts: list[str]) -> None:
    for text in passes_sieve(texts):
        assert mask_text(text) == text
