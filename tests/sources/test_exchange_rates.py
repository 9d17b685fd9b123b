"""Exchange rates, over real sockets: a whole file of rates that can be used, or an error that says what is wrong."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tailtracker_bi.errors import SettingsError
from tailtracker_bi.lake.lake import Lake
from tailtracker_bi.runs.planning import plan
from tailtracker_bi.runs.pulling import pull
from tailtracker_bi.runs.report import Progress, new_report
from tailtracker_bi.sandbox.servers.rates_file import document
from tailtracker_bi.sandbox.servers.server import HTML, Handler, serving
from tailtracker_bi.settings.model import Settings
from tailtracker_bi.sources import exchange_rates
from tailtracker_bi.sources.exchange_rates import ExchangeRates
from tailtracker_bi.sources.http import TRIES
from tailtracker_bi.sources.records import BadResponseError, SourceUnavailableError, Versions

NOW = "2024-01-10T12:00:00Z"
TABLE = ExchangeRates.tables[0]

MakeSettings = Callable[..., Settings]


TWO_DAYS = document(
    ("2024-01-09", {"USD": "1.0940", "JPY": "157.85"}),
    ("2024-01-08", {"USD": "1.0946", "JPY": "157.94"}),
)


@dataclass
class File:
    """A server of one file: what it answers next, the last answer again and again."""

    answers: list[tuple[int, bytes, dict[str, str]]]
    url: str = ""
    requests: list[str] = field(default_factory=list)


class Answering(Handler):
    def do_GET(self) -> None:  # noqa: N802
        answers = self.api.answers
        self.api.requests.append(self.path)
        status, body, headers = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send(status, body, {"Content-Length": str(len(body)), **headers})
        self.close_connection = True


@contextmanager
def serve(*answers: bytes | tuple[int, bytes, dict[str, str]]) -> Iterator[File]:
    file = File([(200, answer, {}) if isinstance(answer, bytes) else answer for answer in answers])
    with serving(Answering, file) as url:
        file.url = f"{url}/stats/eurofxref/eurofxref-hist.xml"
        yield file


@pytest.fixture
def settings(make_settings: MakeSettings) -> MakeSettings:
    def make(file: File, **overrides: Any) -> Settings:
        return make_settings(**{"EXCHANGE_RATES_URL": file.url, "TAILTRACKER_NOW": NOW} | overrides)

    return make


@dataclass
class Received:
    rates: list[tuple[date, str, str]]
    set_aside: dict[str, str]
    """Reason by the record's text."""
    versions: Versions


def read(settings: Settings) -> Received:
    source = ExchangeRates(settings)
    with source.session({}, settings.home / "spool") as read_table, read_table(TABLE) as versions:
        rows, quarantine = versions.rows.read_all().to_pylist(), versions.quarantine.read_all().to_pylist()
        assert versions.counts.received == len(rows) + len(quarantine)
        assert versions.counts.quarantined == len(quarantine)
        assert [row["object_id"] for row in rows] == [f"{row['date']}/{row['currency']}" for row in rows]
        return Received(
            [(row["date"], row["currency"], row["rate"]) for row in rows],
            {row["record"]: row["reason"] for row in quarantine},
            versions,
        )


def test_rates_come_as_they_are_written(settings: MakeSettings) -> None:
    with serve(TWO_DAYS) as file:
        received = read(settings(file))
    assert received.rates == [
        (date(2024, 1, 9), "USD", "1.0940"),
        (date(2024, 1, 9), "JPY", "157.85"),
        (date(2024, 1, 8), "USD", "1.0946"),
        (date(2024, 1, 8), "JPY", "157.94"),
    ]
    assert received.versions.remarks == []
    assert file.requests == ["/stats/eurofxref/eurofxref-hist.xml"]


def test_a_gzipped_file_is_the_same_file(settings: MakeSettings) -> None:
    with serve((200, gzip.compress(TWO_DAYS), {"Content-Encoding": "gzip"})) as file:
        assert len(read(settings(file)).rates) == 4


WRONG = {
    "N/A": "the rate is not a decimal number",
    "": "the rate is not a decimal number",
    "0": "the rate is not a decimal number above 0",
    "0.000": "the rate is not a decimal number above 0",
    "-1.09": "the rate is not a decimal number",
    "1e3": "the rate is not a decimal number",
    "1,09": "the rate is not a decimal number",
    "nan": "the rate is not a decimal number",
    "1.123456789": "of at most 12 digits and 8 decimals",
}


@pytest.mark.parametrize("rate", WRONG)
def test_a_rate_that_is_none_is_set_aside_and_the_rest_comes(rate: str, settings: MakeSettings) -> None:
    with serve(document(("2024-01-09", {"USD": rate, "JPY": "157.85"}))) as file:
        received = read(settings(file))
    assert received.rates == [(date(2024, 1, 9), "JPY", "157.85")]
    [(record, reason)] = received.set_aside.items()
    assert json.loads(record) == {"date": "2024-01-09", "currency": "USD", "rate": rate}
    assert WRONG[rate] in reason


@pytest.mark.parametrize(
    ("day", "currency", "reason"),
    [
        ("2024-01-11", "USD", "the day has not come yet"),
        ("2024-02-30", "USD", "the day is not a date"),
        ("yesterday", "USD", "the day is not a date"),
        ("2024-01-09", "usd", "the currency is not a code of three letters"),
    ],
)
def test_what_is_no_day_or_no_currency_is_set_aside(
    day: str, currency: str, reason: str, settings: MakeSettings
) -> None:
    with serve(document((day, {currency: "1.09"}), ("2024-01-08", {"USD": "1.0946"}))) as file:
        received = read(settings(file))
    assert received.rates == [(date(2024, 1, 8), "USD", "1.0946")]
    assert list(received.set_aside.values()) == [reason]


def test_the_day_is_that_of_frankfurt(settings: MakeSettings) -> None:
    with serve(document(("2024-01-11", {"USD": "1.09"}))) as file:
        assert len(read(settings(file, TAILTRACKER_NOW="2024-01-10T23:30:00Z")).rates) == 1


def test_two_rates_of_one_day_are_both_set_aside_and_one_told_twice_is_not(settings: MakeSettings) -> None:
    twice = ("2024-01-08", {"USD": "1.0946"})
    with serve(document(("2024-01-09", {"USD": "1.1"}), ("2024-01-09", {"USD": "1.2"}), twice, twice)) as file:
        received = read(settings(file))
    assert received.rates == [(date(2024, 1, 8), "USD", "1.0946")] * 2
    assert set(received.set_aside.values()) == {"the file has two rates of that day"}


def test_old_rates_are_an_alarm(settings: MakeSettings) -> None:
    with serve(document(("2024-01-02", {"USD": "1.0956"}))) as file:
        [remark] = read(settings(file)).versions.remarks
        assert remark.is_alarm
        assert "the newest rates are of 2024-01-02: totals over currencies are unknown from 2024-01-10 on" in str(
            remark
        )
        assert read(settings(file, TAILTRACKER_NOW="2024-01-09T12:00:00Z")).versions.remarks == []


ENTITIES = b'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><r>&b;</r>'
MAY_GET_BETTER: dict[str, tuple[int, bytes, dict[str, str]]] = {
    "HTML": (200, HTML, {}),
    "entities": (200, ENTITIES, {}),
    "cut off": (200, TWO_DAYS[:-40], {}),
    "cut off within its length": (200, TWO_DAYS[:-40], {"Content-Length": str(len(TWO_DAYS))}),
    "gzip cut off": (200, gzip.compress(TWO_DAYS)[:-9], {"Content-Encoding": "gzip"}),
    "503": (503, b"", {}),
    "429": (429, b"", {"Retry-After": "1"}),
}


@pytest.mark.parametrize("what", MAY_GET_BETTER)
def test_what_may_get_better_is_asked_for_again(what: str, settings: MakeSettings) -> None:
    with serve(MAY_GET_BETTER[what], TWO_DAYS) as file:
        assert len(read(settings(file)).rates) == 4
    assert len(file.requests) == 2
    with serve(MAY_GET_BETTER[what]) as file, pytest.raises(BadResponseError, match=r"^exchange_rates: "):
        read(settings(file))
    assert len(file.requests) == TRIES


def test_another_document_is_named(settings: MakeSettings) -> None:
    with serve(b"<rss><channel/></rss>") as file, pytest.raises(BadResponseError, match="<rss>: check EXCHANGE_RATES"):
        read(settings(file))
    assert len(file.requests) == 1


def test_a_file_without_rates_is_an_error(settings: MakeSettings) -> None:
    with serve(document()) as file, pytest.raises(BadResponseError, match="has no rates in it"):
        read(settings(file))


def test_a_redirect_and_a_missing_file_are_errors(settings: MakeSettings) -> None:
    with serve((302, b"", {"Location": "http://169.254.169.254/"})) as file:
        with pytest.raises(SourceUnavailableError, match="answered 302; redirects are not followed"):
            read(settings(file))
        assert len(file.requests) == 1
    with serve((404, b"", {})) as file, pytest.raises(SourceUnavailableError, match="404; check EXCHANGE_RATES_URL"):
        read(settings(file))


def test_a_body_that_unpacks_without_end_is_cut(settings: MakeSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_rates, "LARGEST_BYTES", 1 << 20)
    packed = gzip.compress(TWO_DAYS + b" " * (2 << 20))
    assert len(packed) < 10_000
    with (
        serve((200, packed, {"Content-Encoding": "gzip"})) as file,
        pytest.raises(BadResponseError, match="longer than 1 MiB"),
    ):
        read(settings(file))
    assert len(file.requests) == 1


def test_doctor_says_how_new_the_rates_are(settings: MakeSettings) -> None:
    with serve(TWO_DAYS) as file:
        check = ExchangeRates(settings(file)).check()
        assert (check.is_ok, check.detail) == (True, "the newest rates are of 2024-01-09")
    with serve(document(("2024-01-02", {"USD": "1.09"}))) as file:
        check = ExchangeRates(settings(file)).check()
        assert not check.is_ok
        assert "the newest rates are of 2024-01-02" in check.detail
    check = ExchangeRates(settings(file)).check()
    assert (check.is_ok, "can't reach http" in check.detail) == (False, True)


@pytest.mark.parametrize(
    "url",
    [
        "http://www.ecb.europa.eu/stats/eurofxref/eurofxref-hist.xml",
        "https://www.ecb.europa.eu.evil.test/eurofxref-hist.xml",
        "https://user@www.ecb.europa.eu/eurofxref-hist.xml",
        "file:///etc/passwd",
        "http://169.254.169.254/eurofxref-hist.xml",
    ],
)
def test_only_the_banks_own_address_is_taken(url: str, make_settings: MakeSettings) -> None:
    with pytest.raises(SettingsError, match="EXCHANGE_RATES_URL"):
        make_settings(EXCHANGE_RATES_URL=url)


def test_the_documented_files_are_taken(make_settings: MakeSettings) -> None:
    for name in ("eurofxref-hist", "eurofxref-hist-90d", "eurofxref-daily"):
        url = f"https://www.ecb.europa.eu/stats/eurofxref/{name}.xml"
        assert ExchangeRates.is_on(make_settings(EXCHANGE_RATES_URL=url, TAILTRACKER_ALLOW_LOOPBACK=False))
    assert not ExchangeRates.is_on(make_settings())


# In the lake.


def land(settings: Settings) -> list[dict[str, Any]]:
    """A pull; the versions that the lake then holds, in the order of their landing."""
    lake, report = Lake(settings.home), new_report()
    pull(settings, lake, plan(settings, lake, sources=["exchange_rates"]), report, Progress())
    assert report.errors == report.held == []
    files = lake.files("exchange_rates", "daily_rates")
    found = duckdb.sql(f"select * from read_parquet({files}) order by landing, object_id").to_arrow_table()
    rows: list[dict[str, Any]] = found.to_pylist()
    return rows


def test_daily_files_add_up_to_a_history_and_a_correction_is_a_version(settings: MakeSettings) -> None:
    first = document(("2024-01-08", {"USD": "1.0946", "JPY": "157.94"}))
    second = document(("2024-01-09", {"USD": "1.0940"}), ("2024-01-08", {"USD": "1.0947", "JPY": "157.94"}))
    third = document(("2024-01-10", {"USD": "1.0950"}))
    with serve(first, second, third) as file:
        for _ in range(3):
            versions = land(settings(file))
    assert [(row["object_id"], row["rate"], row["is_deleted"]) for row in versions] == [
        ("2024-01-08/JPY", "157.94", False),
        ("2024-01-08/USD", "1.0946", False),
        ("2024-01-08/USD", "1.0947", False),
        ("2024-01-09/USD", "1.0940", False),
        ("2024-01-10/USD", "1.0950", False),
    ]


def test_what_each_reading_sets_aside_again_stands_there_once(settings: MakeSettings, tmp_path: Path) -> None:
    with serve(document(("2024-01-09", {"USD": "N/A", "JPY": "157.85"}))) as file:
        for _ in range(3):
            assert len(land(settings(file))) == 1
    [quarantine] = (tmp_path / "quarantine" / "exchange_rates" / "daily_rates").iterdir()
    assert quarantine.read_bytes().count(b"\n") == 1
