"""The one way for words of others into ours: what a server, a driver or a library says of a failure.

It may repeat our credentials, in whatever form and cut anywhere, hold personal data, and signs that a terminal obeys.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from string import ascii_lowercase, ascii_uppercase
from urllib.parse import quote, quote_plus

from tailtracker_bi.errors import visible
from tailtracker_bi.privacy import mask_text

LONGEST = 300
SHORTEST_PART = 8
"""So many characters of a secret in a row are a part of it; fewer tell nothing, and stand in other words, too."""
HIDDEN = "[secret]"


def readable(text: str | bytes, secrets: Iterable[str]) -> str:
    """The beginning of a foreign text on one line, without secrets, personal data and control characters.

    Secrets are the raw ones: their forms in base64 and in URLs, and parts of SHORTEST_PART characters, go as well, in
    whatever case.
    """
    shown = text.decode(errors="replace") if isinstance(text, bytes) else text
    # Before it is cut: what is left of a secret at the cut would be no part that is known.
    shown = _without(shown[: 8 * LONGEST], list(secrets))[:LONGEST]
    return mask_text(visible(" ".join(shown.split())))


def _without(text: str, secrets: list[str]) -> str:
    addresses = [secret for secret in secrets if "://" in secret]  # whose parts are words that others use, too
    for address in addresses:
        text = text.replace(address, HIDDEN)
    secrets = [secret for secret in secrets if "://" not in secret]
    parts = {
        _lower(form[start : start + SHORTEST_PART])
        for secret in secrets
        for form in _forms(secret, secrets)
        for start in range(max(1, len(form) - SHORTEST_PART + 1))
        if len(form) >= SHORTEST_PART
    }
    hidden = [False] * len(text)
    for short in (secret for secret in secrets if 0 < len(secret) < SHORTEST_PART):
        for found in re.finditer(re.escape(short), text):
            hidden[found.start() : found.end()] = [True] * len(short)
    lower = _lower(text)  # as who compares without case hands it on
    for start in range(len(text) - SHORTEST_PART + 1):
        if lower[start : start + SHORTEST_PART] in parts:
            hidden[start : start + SHORTEST_PART] = [True] * SHORTEST_PART
    runs = groupby(zip(text, hidden, strict=True), key=itemgetter(1))
    return "".join(HIDDEN if hide else "".join(sign for sign, _ in run) for hide, run in runs)


def _lower(text: str) -> str:
    """With as many characters as before, unlike `str.lower`."""
    return text.translate(_LOWER)


_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)


def _forms(secret: str, others: list[str]) -> Iterator[str]:
    """How a secret may be written: as it is, in a URL, and in base64, alone or with a user or another one before it."""
    yield secret
    yield quote(secret, safe="")
    yield quote_plus(secret)
    for whole in (secret, f"{secret}:", *(f"{other}:{secret}" for other in others if other != secret)):
        encoded = base64.b64encode(whole.encode()).decode().rstrip("=")
        yield encoded
        yield encoded.translate(str.maketrans("+/", "-_"))
    # Behind whatever else: base64 of a part begins at one of three places.
    for skipped in (1, 2):
        yield base64.b64encode(b"\0" * skipped + secret.encode()).decode().rstrip("=")[4:-2]
