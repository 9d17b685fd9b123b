"""Reasons as those read them who set nothing: no name of a setting is in them, and the rest stays."""

from __future__ import annotations

import re

import pytest

from tailtracker_bi.figures.data_status import without_settings
from tailtracker_bi.sources import SOURCES


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("STRIPE_API_KEY is not set", ""),
        (
            "EXCHANGE_RATES_URL is not set: totals that hold another currency are unknown",
            "totals that hold another currency are unknown",
        ),
        (
            "answered 401; check MIXPANEL_USERNAME, MIXPANEL_SECRET and MIXPANEL_PROJECT_ID, and whether",
            "answered 401; check the settings, and whether",
        ),
        ("complete through 2024-01-02; 3 of 4 intervals unknown (NaN, HTTP 503)", None),
    ],
)
def test_a_reason_names_no_setting(reason: str, told: str | None) -> None:
    assert without_settings(reason) == (reason if told is None else told)


@pytest.mark.parametrize("source", SOURCES)
def test_no_source_that_is_off_names_its_setting(source: type) -> None:
    assert not re.search("[A-Z]_[A-Z]", without_settings(source.why_off))  # type: ignore[attr-defined]
