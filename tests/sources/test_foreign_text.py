"""What others say of a failure: readable, on one line, and without what we told them in confidence."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest

from tailtracker_bi.sources.foreign_text import LONGEST, readable

USER, SECRET = "fetcher.mp-service-account", "N0t+for/others=7q&Zk2vXw"
URL = "postgresql://reader:p%40ss-W0rd-of-1@db.tailtracker.example:5432/app"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


FORMS = {
    "as it is": SECRET,
    "in a URL": quote(SECRET, safe=""),
    "base64": encoded(SECRET),
    "base64 with the user before it": encoded(f"{USER}:{SECRET}"),
    "base64 with a colon behind it": encoded(f"{SECRET}:"),
    "base64 for URLs": base64.urlsafe_b64encode(f"{USER}:{SECRET}".encode()).decode(),
    "base64 behind something else": encoded(f"whoever:{SECRET}"),
    "in small letters": SECRET.lower(),
    "cut at its end": SECRET[:15],
    "cut at its beginning": SECRET[9:],
    "base64, cut": encoded(f"{USER}:{SECRET}")[20:52],
    "in a database's URL": URL,
}


def longest_common(text: str, form: str) -> int:
    return max(
        (
            length
            for length in range(len(form) + 1)
            for start in range(len(form) - length + 1)
            if form[start : start + length] in text
        ),
        default=0,
    )


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("frame", ["{}", 'Basic "{}" is not allowed', "x" * (LONGEST - 20) + " {} and so on"])
def test_a_secret_is_shown_in_no_form_and_no_part(form: str, frame: str) -> None:
    shown = readable(frame.format(form), [USER, SECRET, URL])
    assert longest_common(shown, form.removeprefix(encoded("whoever:")[:10])) < 8
    assert "secret" in shown


def test_words_that_are_no_secrets_stay() -> None:
    said = 'database "tailtracker" of db.tailtracker.example does not exist'
    assert readable(said, [USER, SECRET, URL]) == said


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("two\r\nlines\tand a tab", "two lines and a tab"),
        ("nul\x00 bell\x07", "nul\\x00 bell\\x07"),
        ("\u202eright to left", "\\u202eright to left"),
        (b"\xffno UTF-8", "\N{REPLACEMENT CHARACTER}no UTF-8"),
        ("write to jane@example.com", "write to [email]"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_as_it_is(sent: str | bytes, shown: str) -> None:
    found = readable(sent, ())
    assert found.isprintable()
    if "@" in shown or "jane" in str(sent):
        assert "jane@example.com" not in found
    else:
        assert found == shown


def test_no_more_than_the_beginning_is_shown() -> None:
    assert len(readable("word " * 500, ())) <= LONGEST
