"""The sample build."""

from __future__ import annotations

import pytest

from tailtracker_bi.bundle import Bundle
from tests.worlds import sample_bundle


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return sample_bundle.publish(tmp_path_factory.mktemp("home"))
