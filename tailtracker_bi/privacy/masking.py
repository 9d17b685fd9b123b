"""What is personal data, and how it leaves a record before the record lands.

Names decide first (a property called e-mail, phone, address, latitude ... is dropped), then values (what looks like an
e-mail, phone number, IP address, coordinate or card number is masked). What has landed can't be unlanded, so a mask too
many is better than one too few.

Going through every value in Python would be slow. `SIEVE` is one regular expression, in RE2's syntax, that an engine
runs over whole JSON texts: a text it does not match needs no cleaning, which `tests/privacy/test_masking.py` holds.
"""

from __future__ import annotations

import ipaddress
import json
import math
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Any

# Each pattern stands once, in syntax that both Python and RE2 read. Python adds what must not stand around a match.
_EMAIL = r"(?<![^\s\"@<>,;:\\])[^\s\"@<>,;:\\]+@[^\s\"@<>,;:\\]+\.[A-Za-z]{2,}"
_IP = r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}|(?:[0-9A-Fa-f]{1,4}:){3}[0-9A-Fa-f:.]*|[0-9A-Fa-f:]*::[0-9A-Fa-f:.]*"
_CARD = r"[2-6](?:[ -]?[0-9]){12,18}"
_COORDINATES = r"-?[0-9]{1,3}\.[0-9]{3,}[ \t\r\n\f\xa0]*[,;][ \t\r\n\f\xa0]*-?[0-9]{1,3}\.[0-9]{3,}"
_PHONE = (
    r"\+[ (]?[0-9](?:[ ()./-]{0,3}[0-9]){6,14}"
    r"|\([0-9]{2,5}\)(?:[ ./-]?[0-9]){5,10}"
    r"|0[0-9]{1,5}[ /-][0-9]{3,}(?:[ -]?[0-9]){0,8}"
    r"|0[0-9]{1,5}(?:[ .-][0-9]{2,3}){3,5}"
    r"|(?:1[ .-])?[0-9]{3}[ .-][0-9]{3}[ .-][0-9]{4}"
)
_PERSONAL_WORDS = (
    r"mail|phone|telephone|mobile_number|phonenumber|address|addresses|emailaddress|ipaddress|ip|lat|lng|lon|latitude"
    r"|longitude|coordinates|useragent|ssn|iban"
)
_NAME_OWNERS = (
    r"first|last|full|middle|given|family|sur|maiden|nick|display|user|owner|contact|customer|reporter|finder|pet"
)
_PUSH_KINDS = r"push|device|fcm|apns|gcm|registration|android|ios"
# Wide on purpose: any key with one of these in it is looked at closely. The short words count where `_WORD` would
# cut them out. The long ones stand in values all the time (iPhone14,5), so what follows must be the end of a key.
_KEY_HINT = (
    r"(?i:mail|phone|mobile|address|latitude|longitude|coord|agent|token|ssn|iban|devices"
    rf"|(?:{_NAME_OWNERS})[^A-Za-z0-9]*name)(?:[^\"\\]|\\(?s:.))*\"[^\"]*:"
    r"|\"[^A-Za-z0-9]*(?i:name)[^A-Za-z0-9]*:"
    r"|[^A-Za-z](?:ip|lat|lng|lon)s?[^a-z]|(?:Ip|Lat|Lng|Lon)s?[^a-z]"
    r"|[^A-Z](?:IP|LAT|LNG|LON)S?(?:[^A-Za-z]|[A-Z][a-z])"
)
_PLACE_LIST = r"\[\s*-?[0-9][0-9.eE+-]*\s*,\s*-?[0-9][0-9.eE+-]*\s*\]"
# What hides behind an escape would slip past the other patterns.
_ESCAPE = r"\\[^\"\\]"

# RE2 can't look around: it takes in what stands beside a match. Else half of all UUIDs would pass for phone numbers.
_BEFORE, _AFTER = r"(?:^|[^\w+-])", r"(?:$|[^\w-])"

SIEVE = "|".join(
    (
        r"@",
        rf"{_BEFORE}(?:{_IP}){_AFTER}",
        rf"{_BEFORE}(?:[0-9][ -]?)*{_CARD}",
        _COORDINATES,
        rf"{_BEFORE}(?:{_PHONE}){_AFTER}",
        _PLACE_LIST,
        _KEY_HINT,
        _ESCAPE,
    )
)


def _alone(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w+-])(?<![0-9]\.)(?:{pattern})(?![\w-])", re.ASCII)


_EMAIL_PATTERN = re.compile(_EMAIL)
_IP_PATTERN = _alone(_IP)
_COORDINATES_PATTERN = _alone(_COORDINATES)
_PHONE_PATTERN = _alone(_PHONE)
_DIGITS_PATTERN = _alone(r"[0-9](?:[ -]?[0-9]){12,}")
# All of the above have one of these in them; most texts don't.
_PERSONAL_CHARACTER = re.compile(r"[0-9@:]")
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_PERSONAL_NAME = re.compile(
    rf"(?:^|_)(?:e_?mail|e_?mails|{_PERSONAL_WORDS}|user_agent|(?:{_PERSONAL_WORDS})s|(?:lat|lng|lon)_lng)(?:_|$)"
    rf"|^name$|(?:^|_)(?:{_NAME_OWNERS})_?name(?:_|$)|(?:^|_)(?:{_PUSH_KINDS})_?tokens?(?:_|$)"
    r"|^(?:android|ios)_devices$|(?:^|_)(?:firstname|lastname|fullname|surname|username|nickname)(?:_|$)"
)
_QUOTED_PAIR = re.compile(r"\"((?:[^\"\\]|\\.){0,256})\"(\s*:\s*)(\"(?:[^\"\\]|\\.)*\"?|[^,{}\[\]\"]*)")
_ESCAPES = re.compile(r"\\[\"\\]|(?:\\u[0-9A-Fa-f]{4}|\\[bfnrt/])+")
UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_HALF_PAIR = re.compile("[\ud800-\udfff]")
_SURROGATE = re.compile(r"(\\u[dD][89A-Fa-f][0-9A-Fa-f]{2})")
_SHORTEST_CARD, _LONGEST_CARD = 13, 19
# How the numbers of cards begin, and how long they are then: Visa, Mastercard, American Express, Diners Club, Discover,
# JCB, UnionPay. What is masked is any number whose check digit is right; what people are told of is one of these.
_ISSUED = re.compile(
    r"4[0-9]{15}(?:[0-9]{3})?"
    r"|(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}"
    r"|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:6011|64[4-9][0-9]|65[0-9]{2}|35(?:2[89]|[3-8][0-9]))[0-9]{12}"
    r"|62[0-9]{14,17}"
)
LIKE_A_CARD_NUMBER = re.compile(_CARD)
"""What a text that `card_numbers` finds something in has; a look at every one would be slow."""
_LEAST_CARD = 10 ** (_SHORTEST_CARD - 1)
# Numbers whose names say that they count versions, not computers.
_VERSION_WORDS = {"version", "versions", "build", "release"}

ID_PROPERTIES = {
    "distinct_id", "$device_id", "$user_id", "$insert_id", "user_id", "alias",
    "$identified_id", "$anon_id", "$anon_distinct_id", "$distinct_ids",
}  # fmt: skip


def is_personal_name(name: str) -> bool:
    """Whether a property of this name is dropped, whatever its value."""
    return _PERSONAL_NAME.search("_".join(_words(name))) is not None


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]


def mask_text(text: str, name: str = "") -> str:
    """The text with e-mails, phone numbers, IP addresses, coordinates and card numbers masked."""
    if not _PERSONAL_CHARACTER.search(text):
        return text
    if "@" in text:
        text = _EMAIL_PATTERN.sub("[email]", text)
    if "," in text or ";" in text:
        text = _COORDINATES_PATTERN.sub(lambda pair: "[coordinates]" if _are_coordinates(pair[0]) else pair[0], text)
    if len(text) >= _SHORTEST_CARD:
        text = _DIGITS_PATTERN.sub(lambda digits: _mask_cards(digits[0]), text)
    if ("." in text or ":" in text) and not _counts_versions(name):
        text = _IP_PATTERN.sub(lambda ip: "[ip]" if _is_ip(ip[0]) else ip[0], text)
    return _PHONE_PATTERN.sub("[phone]", text)


@lru_cache(maxsize=10_000)
def _counts_versions(name: str) -> bool:
    return not _VERSION_WORDS.isdisjoint(_words(name))


def holds_card_number(text: str) -> bool:
    """Whether there is a card number in a text."""
    return any(_mask_cards(digits[0]) != digits[0] for digits in _DIGITS_PATTERN.finditer(text))


def card_numbers(text: str) -> Iterator[tuple[str, bool]]:
    """The texts in a JSON object that hold a number such as issuers of cards give, by the names on the way to each; and
    whether its check digit is right. Of other numbers of that form one in ten has it right by chance.
    """
    with suppress(ValueError, RecursionError):
        for name, value in _texts(_DECODER.decode(text), ""):
            for found in _DIGITS_PATTERN.finditer(value):
                numbers = _card_numbers(found[0]) or [re.sub("[ -]", "", found[0])]
                yield from ((name, _is_card(number)) for number in numbers if _ISSUED.fullmatch(number))


def _texts(value: Any, name: str) -> Iterator[tuple[str, str]]:
    """The texts in a decoded JSON value, each with the masked names on the way to it."""
    if isinstance(value, str):
        yield name, value
    for key, item in value.items() if isinstance(value, dict) else ():
        yield from _texts(item, f"{name}.{mask_text(key)}" if name else mask_text(key))
    for item in value if isinstance(value, list) else ():
        yield from _texts(item, name)


def _card_numbers(digits: str) -> list[str]:
    """The card numbers that `_mask_cards` masks."""
    found: list[str] = []
    _mask_cards(digits, found)
    return found


def _mask_cards(digits: str, found: list[str] | None = None) -> str:
    """Groups of digits, in which a card number may stand beside other numbers, such as its expiry date."""
    groups = re.split("([ -])", digits)  # at even places; what separates them, at odd ones
    start = 0
    while start < len(groups):
        for end in range(min(len(groups), start + 2 * _LONGEST_CARD), start, -2):
            if _is_card(number := "".join(groups[start:end:2])):
                groups[start:end] = ["[card]"]
                if found is not None:
                    found.append(number)
                break
        start += 2
    return "".join(groups)


def _is_card(digits: str) -> bool:
    if not _SHORTEST_CARD <= len(digits) <= _LONGEST_CARD or digits[0] not in "23456":
        return False
    doubled = (int(digit) * 2 for digit in digits[-2::-2])
    return (sum(int(digit) for digit in digits[::-2]) + sum(d - 9 if d > 9 else d for d in doubled)) % 10 == 0


def _is_ip(text: str) -> bool:
    for candidate in (text.rstrip("."), text.rstrip(".:")):
        with suppress(ValueError):
            return str(ipaddress.ip_address(candidate)) != "::"
    return False


def _are_coordinates(text: str) -> bool:
    return _is_place(*(float(part) for part in re.split("[,;]", text)))


def _is_place(first: float, second: float) -> bool:
    return min(abs(first), abs(second)) <= 90 and max(abs(first), abs(second)) <= 180


def clean_value(value: Any, name: str = "", hash_id: Callable[[str], str] = str) -> Any:
    """A decoded JSON value without personal data: named properties gone, values masked, at every depth.

    Values of the properties that identify people go through `hash_id` instead.
    """
    if isinstance(value, str):
        return hash_id(value) if name in ID_PROPERTIES else mask_text(value, name)
    if isinstance(value, dict):
        return {
            kept: clean_value(item, key, hash_id)
            for key, item in value.items()
            if (kept := _kept_name(key)) is not None
        }
    if isinstance(value, list):
        if len(value) == 2 and all(isinstance(item, float) for item in value) and _is_place(*value):
            return "[coordinates]"
        return [clean_value(item, name, hash_id) for item in value]
    if isinstance(value, int) and value >= _LEAST_CARD and mask_text(str(value)) != str(value):
        return "[card]"
    return value


@lru_cache(maxsize=10_000)
def _kept_name(name: str) -> str | None:
    """The name of a property, masked; None where it is dropped."""
    return None if is_personal_name(name) else mask_text(name)


def clean_json(text: str, hash_id: Callable[[str], str] = str) -> str:
    """A JSON text without personal data; every number in it stays exact.

    One that is nested too deeply to be gone through becomes an object that holds it, masked, as text.
    """
    try:
        value = clean_value(_DECODER.decode(text), hash_id=hash_id)
    except (ValueError, RecursionError):
        value = {"[unreadable]": clean_broken_json(text)}
    return _ENCODER.encode(value)


def _float_or_text(text: str) -> float | str:
    """A number too large for a double stays as its text."""
    value = float(text)
    return value if math.isfinite(value) else text


_DECODER = json.JSONDecoder(parse_float=_float_or_text)
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def clean_broken_json(text: str) -> str:
    """Text that was meant to be JSON: the values of personal names are blanked, everything else is masked.

    Where such a value is an object or a list, nothing tells its end: the text ends there.
    """

    def blank(pair: re.Match[str]) -> str:
        return f'"{pair[1]}"{pair[2]}"[dropped]"' if is_personal_name(pair[1]) else pair[0]

    text = _ESCAPES.sub(lambda escapes: _unescape(escapes[0]), text)
    opened = (pair for pair in _QUOTED_PAIR.finditer(text) if text[pair.end() : pair.end() + 1] in {"{", "["})
    end = next((pair.end() for pair in opened if is_personal_name(pair[1])), len(text))
    return "".join(mask_text(part) for part in _SURROGATE.split(_QUOTED_PAIR.sub(blank, text[:end])))


def _unescape(escapes: str) -> str:
    """What these escapes stand for; quotes, backslashes and halves of surrogate pairs stay escaped."""
    if escapes[1] in '"\\':
        return escapes
    text: str = json.loads(f'"{escapes}"')
    return escapes if _HALF_PAIR.search(text) else text
