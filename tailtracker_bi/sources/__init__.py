"""The sources. A new one is a module here and a line in SOURCES."""

from tailtracker_bi.sources.app_db import AppDb
from tailtracker_bi.sources.base import Source
from tailtracker_bi.sources.csv_files import CsvFiles
from tailtracker_bi.sources.exchange_rates import ExchangeRates
from tailtracker_bi.sources.mixpanel import Mixpanel
from tailtracker_bi.sources.prometheus import Prometheus
from tailtracker_bi.sources.stripe import Stripe

SOURCES: tuple[type[Source], ...] = (Mixpanel, Stripe, AppDb, CsvFiles, ExchangeRates, Prometheus)
