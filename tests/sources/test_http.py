"""HTTP bodies: whole, or an error."""

from __future__ import annotations

import gzip
import random
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from tailtracker_bi.settings.model import Settings
from tailtracker_bi.sources import http
from tailtracker_bi.sources.base import Source
from tailtracker_bi.sources.exchange_rates import ExchangeRates
from tailtracker_bi.sources.prometheus import Prometheus
from tailtracker_bi.sources.records import BadResponseError, TooLargeError
from tailtracker_bi.sources.stripe.reading import Stripe

TEXT = "\n".join(f'{{"line": {number}, "text": "\u2028 and \u0085"}}' for number in range(2000)).encode()


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def response(body: bytes, **headers: str) -> httpx.Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(200, headers=names, stream=httpx.ByteStream(body))


@pytest.mark.parametrize("size", [1, 7, 4096, 10**9])
def test_gunzip_gives_everything_however_it_is_cut_into_pieces(size: int) -> None:
    assert b"".join(http.gunzip(pieces(gzip.compress(TEXT), size))) == TEXT


@pytest.mark.parametrize("size", [1, 7, 4096, 10**9])
def test_gunzip_gives_every_member(size: int) -> None:
    two = gzip.compress(TEXT[:1000]) + gzip.compress(b"") + gzip.compress(TEXT[1000:])
    assert b"".join(http.gunzip(pieces(two, size))) == TEXT


def test_gzip_cut_anywhere_is_never_whole() -> None:
    packed = gzip.compress(b'{"a":1}\n' * 5)
    for length in range(len(packed)):
        with pytest.raises(BadResponseError, match="cut off"):
            list(http.gunzip([packed[:length]]))


def test_gzip_cut_in_its_second_member_is_not_whole() -> None:
    with pytest.raises(BadResponseError, match="cut off"):
        list(http.gunzip([gzip.compress(TEXT) + gzip.compress(TEXT)[:-1]]))


@pytest.mark.parametrize("place", [-1, -5, -8, 30])
def test_gzip_with_a_changed_byte_is_refused(place: int) -> None:
    packed = bytearray(gzip.compress(random.Random(1).randbytes(200)))
    packed[place] ^= 1
    with pytest.raises(BadResponseError, match=r"broken|cut off"):
        list(http.gunzip([bytes(packed)]))


def test_what_follows_gzip_and_is_not_gzip_is_refused() -> None:
    with pytest.raises(BadResponseError, match="broken"):
        list(http.gunzip([gzip.compress(TEXT) + b"terminated early"]))


def test_gzip_bomb_comes_out_in_pieces_of_bounded_size() -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = packer.compress(bytes(5 * http.BATCH_BYTES)) + packer.flush()
    assert max(len(piece) for piece in http.gunzip([bomb])) <= http.BATCH_BYTES
    with pytest.raises(BadResponseError, match="a line is longer than 32 MiB"):
        list(http.line_batches(http.gunzip([bomb])))


@pytest.mark.parametrize("line", [b"\0" * 100_000, b"\0\n" * 50_000, b'{"event":"E","properties":{}}\n' * 3000])
@pytest.mark.parametrize("size", [100, 10**9])
def test_gzip_bomb_is_refused_whatever_its_lines(line: bytes, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "RATIO_COUNTS_FROM", 1 << 20)
    bomb = gzip.compress(line * 40)
    with pytest.raises(TooLargeError, match=r"a gzip bomb: [0-9,]+ bytes became more than"):
        list(http.gunzip(pieces(bomb, size)))


def test_little_that_was_packed_tightly_is_taken() -> None:
    assert sum(map(len, http.gunzip([gzip.compress(bytes(http.BATCH_BYTES))]))) == http.BATCH_BYTES


@pytest.mark.parametrize("size", [1, 1000, 10**9])
def test_line_batches_are_cut_after_newlines_only(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BATCH_BYTES", 5000)
    batches = list(http.line_batches(pieces(TEXT, size)))
    assert b"".join(batches) == TEXT
    assert all(batch.endswith(b"}\n") for batch in batches[:-1])
    assert len(batches) > 1 or size > len(TEXT)


def test_no_bytes_are_no_batches() -> None:
    assert list(http.line_batches([])) == []


def test_plain_body_of_unknown_length_is_refused() -> None:
    with pytest.raises(BadResponseError, match="can't be told whether it is whole"):
        list(http.body(response(TEXT)))


@pytest.mark.parametrize("headers", [{"content_length": str(len(TEXT))}, {"transfer_encoding": "chunked"}])
def test_plain_body_whose_end_http_tells_is_taken(headers: dict[str, str]) -> None:
    assert b"".join(http.body(response(TEXT, **headers))) == TEXT


@pytest.mark.parametrize("headers", [{"content_length": "0"}, {"transfer_encoding": "chunked"}])
def test_gzip_body_without_any_gzip_in_it_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(BadResponseError, match="cut off"):
        list(http.body(response(b"", content_encoding="gzip", **headers)))
    assert list(http.body(response(b"", **headers))) == []


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip"])
def test_unexpected_encoding_is_refused(encoding: str) -> None:
    with pytest.raises(BadResponseError, match="content encoding that was not asked for"):
        list(http.body(response(TEXT, content_encoding=encoding)))


@pytest.fixture
def dripping() -> Iterator[str]:
    """The URL of a server that sends a byte each 50 ms, for ever; below /whole it answers in full."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            if self.path == "/whole":
                self.send_header("content-length", "5")
                self.end_headers()
                self.wfile.write(b"whole")
                return
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            with suppress(OSError):
                while True:
                    self.wfile.write(b"1\r\n \r\n")
                    time.sleep(0.05)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_each_request_of_a_client_has_its_own_deadline(dripping: str) -> None:
    with http.client(1.0) as client:
        for _ in range(3):
            with client.stream("GET", f"{dripping}/whole") as response:
                assert http.content(response, 10) == b"whole"
            time.sleep(0.4)
        with pytest.raises(httpx.ReadTimeout), client.stream("GET", dripping) as response:
            http.content(response, 10_000)
        with client.stream("GET", f"{dripping}/whole") as response:
            assert http.content(response, 10) == b"whole"


@pytest.mark.parametrize(
    ("source", "variables"),
    [
        (Stripe, {"STRIPE_API_BASE": "{url}", "STRIPE_API_KEY": "rk_live_1"}),
        (Prometheus, {"PROMETHEUS_URL": "{url}"}),
        (ExchangeRates, {"EXCHANGE_RATES_URL": "{url}"}),
    ],
)
def test_no_source_waits_for_ever_for_an_answer_that_drips(
    source: type[Source],
    variables: dict[str, str],
    dripping: str,
    make_settings: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = "tailtracker_bi.sources.stripe.api" if source is Stripe else source.__module__
    monkeypatch.setattr(sys.modules[place], "REQUEST_SECONDS", 1.0)
    settings = make_settings(**{name: value.format(url=dripping) for name, value in variables.items()})
    check = source(settings).check()
    assert not check.is_ok
    assert "ReadTimeout" in check.detail


def test_an_answer_without_an_end_in_sight_is_refused() -> None:
    with pytest.raises(TooLargeError, match="longer than 0 MiB"):
        http.content(response(TEXT, content_length=str(len(TEXT))), len(TEXT) - 1)


def test_an_answer_that_is_not_whole_may_be_better_next_time() -> None:
    with pytest.raises(http.RetryableError, match="cut off"):
        http.content(response(gzip.compress(TEXT)[:-1], content_encoding="gzip", content_length="9"), 1 << 20)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7), ("86400", 86400), ("0", 0), ("", None), ("soon", None), ("-3", None), ("1.5", None)],
)
def test_retry_after_in_seconds(value: str, seconds: float | None) -> None:
    assert http.retry_after(response(b"", retry_after=value).headers) == seconds


def test_retry_after_as_a_date() -> None:
    wait = http.retry_after(response(b"", retry_after=formatdate(time.time() + 60, usegmt=True)).headers)
    assert wait == pytest.approx(60, abs=2)
    assert http.retry_after(response(b"", retry_after="Wed, 21 Oct 2015 07:28:00 GMT").headers) == 0
    assert http.retry_after(response(b"").headers) is None
