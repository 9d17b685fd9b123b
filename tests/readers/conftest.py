"""A store of a HOME of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tailtracker_bi.readers import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    own = Store(tmp_path)
    yield own
    own.close()
