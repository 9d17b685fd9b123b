"""What is personal: how it leaves a record before the record lands, and the pseudonyms that stand for people.

What belongs here: patterns, masks and keyed hashes, the same for all sources. What does not: which fields a source
keeps, which is its own list.
"""

from tailtracker_bi.privacy.masking import (
    ID_PROPERTIES,
    LIKE_A_CARD_NUMBER,
    SIEVE,
    card_numbers,
    clean_broken_json,
    clean_json,
    clean_value,
    holds_card_number,
    is_personal_name,
    mask_text,
)
from tailtracker_bi.privacy.pseudonyms import hash_personal_id, is_personal_id

__all__ = [
    "ID_PROPERTIES",
    "LIKE_A_CARD_NUMBER",
    "SIEVE",
    "card_numbers",
    "clean_broken_json",
    "clean_json",
    "clean_value",
    "hash_personal_id",
    "holds_card_number",
    "is_personal_id",
    "is_personal_name",
    "mask_text",
]
