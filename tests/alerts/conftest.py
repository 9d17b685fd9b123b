"""The sample build, and somebody who takes what is posted."""

from __future__ import annotations

import pytest

from tailtracker_bi.bundle import Bundle
from tests.delivery.conftest import webhook
from tests.worlds import sample_bundle

__all__ = ["webhook"]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return sample_bundle.publish(tmp_path_factory.mktemp("home"))
