"""Pseudonyms: one function for all sources, so that a person is the same in each of them."""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache

from tailtracker_bi.privacy.masking import UUID, mask_text


@lru_cache(maxsize=10_000)
def is_personal_id(raw_id: str) -> bool:
    """Whether an id is itself an e-mail address, phone or card number. A UUID is none."""
    return not UUID.fullmatch(raw_id) and mask_text(raw_id) != raw_id


def hash_personal_id(raw_id: str, key: bytes) -> str:
    """An id that is itself an e-mail or the like, as a keyed hash, so that it still tells people apart."""
    return "hashed-" + hmac.new(key, raw_id.encode(), hashlib.sha256).hexdigest()[:32]
