"""The sources: what is whole comes in, checked, cleaned and counted, or an error and nothing.

A new one is a module here and a line in SOURCES. What belongs here: all that is one vendor's, and what the lake gets
from any of them (`records.py`). What does not: where it is kept.
"""

from tailtracker_bi.sources.annotations import Annotations
from tailtracker_bi.sources.app_db.reading import AppDb
from tailtracker_bi.sources.app_tables import TABLES
from tailtracker_bi.sources.base import DaySource, ObjectSource, Read, Source
from tailtracker_bi.sources.csv_files import CsvFiles
from tailtracker_bi.sources.digests import SUMS, digest, row_hash
from tailtracker_bi.sources.exchange_rates import ExchangeRates
from tailtracker_bi.sources.foreign_text import readable
from tailtracker_bi.sources.mixpanel import EventLines, Mixpanel, MixpanelSettings, UnfinishedDays
from tailtracker_bi.sources.prometheus import Prometheus
from tailtracker_bi.sources.records import (
    COUNTED,
    HISTORY_ORIGINS,
    AbsentTableError,
    BadResponseError,
    Counts,
    Days,
    HeldError,
    NotAskedError,
    Remark,
    SourceUnavailableError,
    Table,
    Versions,
    each_day,
    ranges,
)
from tailtracker_bi.sources.stripe import Charge, Stripe, recent_charges

SOURCES: tuple[type[Source], ...] = (Mixpanel, Stripe, AppDb, CsvFiles, ExchangeRates, Prometheus, Annotations)

__all__ = [
    "COUNTED",
    "HISTORY_ORIGINS",
    "SOURCES",
    "SUMS",
    "TABLES",
    "AbsentTableError",
    "AppDb",
    "BadResponseError",
    "Charge",
    "Counts",
    "DaySource",
    "Days",
    "EventLines",
    "HeldError",
    "Mixpanel",
    "MixpanelSettings",
    "NotAskedError",
    "ObjectSource",
    "Read",
    "Remark",
    "Source",
    "SourceUnavailableError",
    "Stripe",
    "Table",
    "UnfinishedDays",
    "Versions",
    "digest",
    "each_day",
    "http",
    "ranges",
    "readable",
    "recent_charges",
    "row_hash",
]
