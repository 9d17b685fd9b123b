"""The European Central Bank's reference rates: how much of a currency one euro buys, on each day they were published.

    the file (history, 90 days or the last day) --http.body--> XML parser --> check --> Versions

Facts this rests on (the bank's page on its euro foreign exchange reference rates): a file holds a `Cube` a day, in it
one a currency; rates are set on working days, and are published at about 16:00 in Frankfurt. A file tells of some days
only, so that a rate that is not in it is no rate taken back.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from xml.etree.ElementTree import ParseError
from zoneinfo import ZoneInfo

import orjson
import pyarrow as pa
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser
from pydantic import Field, model_validator

from tailtracker_bi.settings import Settings, SourceSettings, check_base_url
from tailtracker_bi.sources import http
from tailtracker_bi.sources.base import Check, KnownIds, ObjectSource, Read, nothing_known
from tailtracker_bi.sources.foreign_text import readable
from tailtracker_bi.sources.records import (
    QUARANTINE_SCHEMA,
    VERSION_SCHEMA,
    BadResponseError,
    Counts,
    Remark,
    SourceUnavailableError,
    Table,
    Versions,
)

ROOT = "{http://www.gesmes.org/xml/2002-08-01}Envelope"
CUBE = "{http://www.ecb.int/vocabulary/2002-08-01/eurofxref}Cube"
FRANKFURT = ZoneInfo("Europe/Berlin")
LONGEST_AGE = timedelta(days=7)
"""Models use a rate no longer than that (`fct_exchange_rates`): once the newest is older, totals are lacking."""
LARGEST_BYTES = 32 << 20
"""The whole history since 1999 has about 8 MiB."""
LONGEST_TEXT = 100
REQUEST_SECONDS = 300.0

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CURRENCY = re.compile(r"[A-Z]{3}")
# As many digits as models multiply exactly.
_RATE = re.compile(r"[0-9]{1,12}(\.[0-9]{1,8})?")

Told = tuple[str, str, str]
"""Day, currency and rate, as the file has them."""
Rate = tuple[date, str, str]


class ExchangeRateSettings(SourceSettings):
    """Where the file of reference rates is."""

    url: str | None = Field(None, alias="EXCHANGE_RATES_URL")

    @model_validator(mode="after")
    def _check_url(self) -> ExchangeRateSettings:
        if self.url is not None:
            check_base_url("EXCHANGE_RATES_URL", self.url, "ecb.europa.eu", self.allow_loopback)
        return self


class ExchangeRates(ObjectSource):
    """Units of a currency for one euro, as decimal text. A rate that the bank corrects is a new version."""

    name = "exchange_rates"
    title = "Exchange rates"
    tables = (
        Table("daily_rates", pa.schema([("date", pa.date32()), ("currency", pa.string()), ("rate", pa.string())])),
    )
    opens_calendar = False
    why_off = "EXCHANGE_RATES_URL is not set: totals that hold another currency are unknown"

    @classmethod
    def is_on(cls, settings: Settings) -> bool:
        return settings.of(ExchangeRateSettings).url is not None

    @contextmanager
    def session(
        self, since: Mapping[str, datetime], spool: Path, known_ids: KnownIds = nothing_known
    ) -> Iterator[Read]:
        yield self._read

    def check(self) -> Check:
        try:
            rates, _ = self._sorted(self._receive())
        except (BadResponseError, SourceUnavailableError) as error:
            return Check(self.name, is_ok=False, detail=str(error))
        doubt = self._doubt(rates)
        newest = f"the newest rates are of {max(day for day, *_ in rates)}" if rates else ""
        return Check(self.name, is_ok=not doubt, detail=f"{self.name}: {doubt}" if doubt else newest)

    @contextmanager
    def _read(self, table: Table) -> Iterator[Versions]:
        received = http.retrying(self.settings, self.say)(self._receive)
        rates, quarantine = self._sorted(received)
        doubt = self._doubt(rates)
        yield Versions(
            rows=_versions(rates, table),
            is_snapshot=False,
            quarantine=pa.Table.from_pylist(quarantine, QUARANTINE_SCHEMA).to_reader(),
            counts=Counts(received=len(received), quarantined=len(quarantine)),
            remarks=[Remark(doubt, is_alarm=True)] if doubt else [],
        )

    @property
    def _today(self) -> date:
        """Today where the rates are set."""
        return self.settings.now.astimezone(FRANKFURT).date()

    def _receive(self) -> list[Told]:
        """What a whole file tells, unchecked. Raises RetryableError where asking again may help."""
        where = f"{self.name}: {self.settings.of(ExchangeRateSettings).url}"
        refused = http.check_setting("EXCHANGE_RATES_URL")
        with (
            http.client(REQUEST_SECONDS) as client,
            http.answer(
                client, str(self.settings.of(ExchangeRateSettings).url), where, refused, self.settings.secrets
            ) as response,
        ):
            file = http.content(response, LARGEST_BYTES, self.name)
        try:
            return _parsed(file)
        except (ParseError, DefusedXmlException) as error:
            message = f"{type(error).__name__}: {readable(str(error), self.settings.secrets)}"
            what = f"not whole, or not the bank's XML ({message})"
            raise http.RetryableError(f"{self.name}: the file is {what}") from None

    def _sorted(self, received: list[Told]) -> tuple[list[Rate], list[dict[str, object]]]:
        """The rates that can be used, and rows of the quarantine."""
        of_a_day = defaultdict(set)
        for day, currency, rate in received:
            of_a_day[day, currency].add(rate)
        rates, quarantine = [], []
        for day, currency, rate in received:
            found = _date(day)
            reason = _what_is_wrong(found, currency, rate, self._today)
            if not reason and len(of_a_day[day, currency]) > 1:
                reason = "the file has two rates of that day"
            if found is None or reason:
                record = {"date": day, "currency": currency, "rate": rate}
                short = {name: text[:LONGEST_TEXT] for name, text in record.items()}
                quarantine.append(
                    {"day": found or self._today, "reason": reason, "record": orjson.dumps(short).decode()}
                )
            else:
                rates.append((found, currency, rate))
        return rates, quarantine

    def _doubt(self, rates: list[Rate]) -> str:
        """What somebody has to know of rates that will be missing; empty where they are fresh."""
        newest = max((day for day, *_ in rates), default=None)
        if newest is None:
            return "the file holds no rate that can be used"
        if self._today - newest > LONGEST_AGE:
            return (
                f"the newest rates are of {newest}: totals over currencies are unknown from "
                f"{newest + LONGEST_AGE + timedelta(days=1)} on; does EXCHANGE_RATES_URL name a file that is kept up?"
            )
        return ""


class _Cubes:
    """What the XML parser calls: it collects the rates, and refuses another kind of document."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self._day: str | None = None

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if self._day is None:
            if tag != ROOT:
                raise BadResponseError(
                    "exchange_rates: the file is not one of the bank's reference rates, but "
                    f"<{tag[:LONGEST_TEXT]}>: check EXCHANGE_RATES_URL"
                )
            self._day = ""
        if tag == CUBE:
            self._day = attributes.get("time", self._day)
            if "currency" in attributes:
                self.told.append((self._day, attributes["currency"], attributes.get("rate", "")))

    def end(self, tag: str) -> None:
        """Nothing: a day lasts until the next begins."""


def _parsed(file: bytes) -> list[Told]:
    # A file of rates has no use for a document type or entities, with which a small file can grow without end.
    cubes = _Cubes()
    parser = DefusedXMLParser(target=cubes, forbid_dtd=True)
    parser.feed(file)
    parser.close()
    if not cubes.told:
        raise BadResponseError("exchange_rates: the file is whole and has no rates in it")
    return cubes.told


def _what_is_wrong(day: date | None, currency: str, rate: str, today: date) -> str:
    if day is None:
        return "the day is not a date"
    if day > today:
        return "the day has not come yet"
    if not _CURRENCY.fullmatch(currency):
        return "the currency is not a code of three letters"
    if not _RATE.fullmatch(rate) or not rate.strip("0."):
        return "the rate is not a decimal number above 0, of at most 12 digits and 8 decimals"
    return ""


@cache
def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        return None


def _versions(rates: list[Rate], table: Table) -> pa.RecordBatchReader:
    days, currencies, amounts = ([rate[place] for rate in rates] for place in range(3))
    columns = {
        "object_id": [f"{day}/{currency}" for day, currency, _ in rates],
        "effective_at": [None] * len(rates),
        "origin": ["list"] * len(rates),
        "is_deleted": [False] * len(rates),
        "date": days,
        "currency": currencies,
        "rate": amounts,
    }
    return pa.table(columns, pa.schema([*VERSION_SCHEMA, *table.schema])).to_reader()
