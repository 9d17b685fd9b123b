"""Chance that repeats itself: the same seed and name give the same numbers, ids and texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zlib import crc32

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
# No digits: sixteen of them would pass for a card number.
_LETTERS = np.frombuffer(b"ghijkmnpqrstuvwx", np.uint8)
_UUID_GROUPS = ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))


def generator(seed: int, name: str) -> np.random.Generator:
    """A source of random numbers of its own for each part of the story, so that one part does not move another."""
    return np.random.default_rng([seed, crc32(name.encode())])


def mixed(numbers: NDArray[Any], salt: str) -> NDArray[np.uint64]:
    """64 random-looking bits for each number, different for different numbers (SplitMix64)."""
    with np.errstate(over="ignore"):
        bits = numbers.astype(np.uint64) + np.uint64(crc32(salt.encode())) * np.uint64(0x9E3779B97F4A7C15)
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return bits ^ (bits >> np.uint64(31))


def picked(numbers: NDArray[Any], salt: str, values: Sequence[Any]) -> pl.Series:
    """One of the values for each number; what stands there twice comes twice as often."""
    return pl.Series(values).gather((mixed(numbers, salt) % np.uint64(len(values))).astype(np.int64))


def between(numbers: NDArray[Any], salt: str, low: int, high: int) -> Ints:
    """A whole number from low to high for each number, both included."""
    return (mixed(numbers, salt) % np.uint64(high - low + 1)).astype(np.int64) + low


def is_chosen(numbers: NDArray[Any], salt: str, share: float) -> Flags:
    """Whether a number is among this share of all."""
    return mixed(numbers, salt) < np.uint64(int(share * 2**64))


def weighted(random: np.random.Generator, weights: Sequence[float], size: int) -> Ints:
    """Positions in a list of weights, each as often as it weighs."""
    return random.choice(len(weights), size=size, p=np.array(weights) / sum(weights)).astype(np.int64)


def letters(numbers: NDArray[Any], salt: str) -> pl.Series:
    """An id of 16 letters for each number, different for different numbers."""
    nibbles = mixed(numbers, salt)[:, None] >> np.arange(0, 64, 4, dtype=np.uint64)
    return _texts(_LETTERS[nibbles & np.uint64(15)])


def uuids(random: np.random.Generator, size: int) -> pl.Series:
    """Random UUIDs (version 4), as text."""
    return _uuids(random.integers(0, 16, (size, 32), dtype=np.uint8))


def uuids_of(numbers: NDArray[Any], salt: str) -> pl.Series:
    """A UUID for each number, different for different numbers, as text."""
    shifts = np.arange(0, 64, 4, dtype=np.uint64)
    halves = [mixed(numbers, f"{salt} {half}")[:, None] >> shifts & np.uint64(15) for half in range(2)]
    return _uuids(np.concatenate(halves, axis=1))


def _uuids(nibbles: NDArray[Any]) -> pl.Series:
    digits = _HEX[nibbles]
    digits[:, 12] = ord("4")
    digits[:, 16] = _HEX[8 + (nibbles[:, 16] & 3)]
    dashes = np.full((len(digits), 1), ord("-"), np.uint8)
    parts = [part for first, last in _UUID_GROUPS for part in (digits[:, first:last], dashes)]
    return _texts(np.concatenate(parts[:-1], axis=1))


def _texts(characters: NDArray[np.uint8]) -> pl.Series:
    """A text for each row of ASCII codes."""
    size, width = characters.shape
    offsets = np.arange(size + 1, dtype=np.int64) * width
    buffers = pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(characters))
    return pl.Series(pl.from_arrow(pa.LargeStringArray.from_buffers(size, *buffers)))


def of_rare_things(people: int) -> float:
    """How many times likelier what is rare is among few people: who subscribes, switches and comes back, what
    fails, refunds, disputes, lost pets. So a small company has some of each.
    """
    return min(max(1000 / people, 1.0), 4.0)
