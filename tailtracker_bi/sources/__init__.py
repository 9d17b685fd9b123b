"""The sources. A new one is a module here and a line in SOURCES."""

from tailtracker_bi.sources.app_db import AppDb
from tailtracker_bi.sources.base import Source

SOURCES: tuple[type[Source], ...] = (Mixpanel, Stripe, AppDb, CsvFiles, ExchangeRates)
