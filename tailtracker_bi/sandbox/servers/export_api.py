"""A stand-in for Mixpanel's raw Export API, over real sockets, which fails in all the ways the real one does.

with serve({date(2024, 1, 1): [b'{"event": ...}']}, faults=["cut_gzip"]) as api:
    ...  # MIXPANEL_EXPORT_URL=api.url
"""

from __future__ import annotations

import base64
import gzip
import json
import math
import os
import socket
import struct
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import parse_qsl, urlsplit

from tailtracker_bi.sandbox.servers.server import HTML, Api, Handler, serving

USER, SECRET = "fetcher.1234.mp-service-account", "s3cret-of-the-service-account"
LIMITS = {60: 3600.0, 3: 1.0}
"""How many requests Mixpanel takes in how many seconds."""

Days = Mapping[date, Sequence[bytes]] | Path

TOO_LATE = "to_date cannot be later than today"
LAST_LINES = {
    "terminated_early": b"terminated early\n",
    "export_terminated_early": b"export terminated early",
    "cut_line": b'{"event":"Open","properties":{"time":17',
}

Framing = Literal["chunked", "no last chunk", "length", "too long", "close", "reset"]
"""How an answer says where it ends: chunked; chunked, and never ended; its length; the length of more than comes; by
closing the connection; not at all, as the connection is reset."""
Place = Literal[
    "nothing",
    "gzip header",
    "first block",
    "newline",
    "inside a line",
    "before the checksum",
    "inside the checksum",
    "between members",
    "second member",
]


@dataclass(frozen=True)
class Cut:
    """A fault: an export that ends at this place, in this framing."""

    place: Place
    framing: Framing

    def of(self, text: bytes) -> tuple[bytes, int]:
        """What comes of the text, compressed, and how long it would be as a whole."""
        lines = text.splitlines(keepends=True)
        halves = b"".join(lines[: len(lines) // 2]), b"".join(lines[len(lines) // 2 :])
        if self.place in {"between members", "second member"}:
            first, second = map(gzip.compress, halves)
            kept = first + (second[: len(second) // 2] if self.place == "second member" else b"")
            return kept, len(first + second)
        packer = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
        begun = {"first block": lines[0], "inside a line": halves[0] + lines[len(lines) // 2][:9]}.get(
            self.place, halves[0]
        )
        # The end of a block, so that all of this, and no more of the text, can be read.
        start = packer.compress(begun) + packer.flush(zlib.Z_FULL_FLUSH)
        whole = start + packer.compress(text[len(begun) :]) + packer.flush()
        ends = {"nothing": 0, "gzip header": 5, "before the checksum": -8, "inside the checksum": -3}
        return whole[: ends.get(self.place, len(start))], len(whole)


@dataclass(frozen=True)
class Marked:
    """A fault: an export that breaks off after half of its lines, and says so in this last line."""

    marker: bytes
    is_plain: bool = False


Fault = str | Cut | Marked


@dataclass(frozen=True)
class Request:
    """One request that came in."""

    path: str
    from_date: str | None
    to_date: str | None
    headers: dict[str, str]
    """Names in lower case."""
    received_at: float


@dataclass
class ExportApi(Api[Request, Fault]):
    """What is served, what goes wrong, and what was asked."""

    days: Days
    user: str = USER
    secret: str = SECRET
    retry_after: str | None = None
    """The Retry-After header of `http_429`."""
    redirect_to: str = ""
    """Where `redirect` points."""
    chunked: bool = True
    is_limited: bool = False
    """Whether more requests than Mixpanel takes are answered with 429."""
    today: Callable[[], date] = lambda: date.max
    """The project's day: what is asked for beyond it is refused."""
    _taken: deque[float] = field(default_factory=lambda: deque(maxlen=max(LIMITS)))

    def seconds_to_wait(self) -> float:
        """Until another request is taken; 0 takes this one."""
        now = time.monotonic()
        with self._lock:
            taken = list(self._taken)
            waits = [taken[-number] + seconds - now for number, seconds in LIMITS.items() if len(taken) >= number]
            wait = max([0.0, *waits]) if self.is_limited else 0.0
            if not wait:
                self._taken.append(now)
        return wait

    def compressed(self, first: date, last: date) -> bytes:
        """The export of these days. Of a directory: its files one after the other, each a gzip member."""
        days = [first + timedelta(days=offset) for offset in range((last - first).days + 1)]
        if isinstance(self.days, Path):
            files = [file for day in days if (file := self.days / f"{day}.jsonl.gz").exists()]
            return b"".join(file.read_bytes() for file in files) or gzip.compress(b"")
        return gzip.compress(b"".join(line + b"\n" for day in days for line in self.days.get(day, ())))


class _Handler(Handler):
    api: ClassVar[ExportApi]

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query))
        headers = self.lower_headers
        fault = self.api.note(Request(url.path, query.get("from_date"), query.get("to_date"), headers, time.time()))
        key = base64.b64encode(f"{self.api.user}:{self.api.secret}".encode()).decode()
        if url.path != "/api/2.0/export":
            return self._fail(404, "Not found")
        if headers.get("authorization") != f"Basic {key}":
            return self._fail(401, "Invalid service account credentials")
        if wait := self.api.seconds_to_wait():
            return self._fail(429, "Query rate limit exceeded", {"retry-after": str(math.ceil(wait))})
        try:
            first, last = date.fromisoformat(query["from_date"]), date.fromisoformat(query["to_date"])
        except (KeyError, ValueError):
            return self._fail(400, "from_date and to_date must be given as YYYY-MM-DD")
        if not query.get("project_id"):
            return self._fail(400, "project_id is a required parameter")
        if last > self.api.today():
            return self._fail(400, TOO_LATE)
        return self._answer(fault, self.api.compressed(first, last))

    def _answer(self, fault: Fault | None, body: bytes) -> None:
        framing: Framing = "chunked" if self.api.chunked else "length"
        match fault:
            case None:
                self._send_export(body, framing)
            case Cut():
                kept, whole = fault.of(gzip.decompress(body))
                self._send_export(kept, fault.framing, whole)
            case Marked():
                lines = gzip.decompress(body).splitlines(keepends=True)
                text = b"".join(lines[: len(lines) // 2]) + fault.marker
                if fault.is_plain:
                    self._send(200, text, framing)
                else:
                    self._send_export(gzip.compress(text), framing)
            case "cut_gzip":
                self._send_export(_half(body), "chunked")
            case "cut_gzip_no_length":
                self._send_export(_half(body), "close")
            case "cut_gzip_with_length":
                self._send_export(_half(body), "too long")
            case "no_gzip_at_all":
                self._send_export(b"", "chunked")
            case "bad_crc":
                self._send_export(body[:-8] + bytes([body[-8] ^ 1]) + body[-7:], framing)
            case "two_members":
                lines = gzip.decompress(body).splitlines(keepends=True)
                halves = lines[: len(lines) // 2], lines[len(lines) // 2 :]
                self._send_export(b"".join(gzip.compress(b"".join(half)) for half in halves), framing)
            case "plain_unknown_length":
                self._send(200, gzip.decompress(body), "close")
            case "plain_with_length":
                self._send(200, gzip.decompress(body), "length")
            case "html_200":
                self._send(200, HTML, "length", {"content-type": "text/html"})
            case "json_error_200":
                self._send_export(gzip.compress(b'{"error": "query took too long"}\n'), framing)
            case "pretty_json_error_200":
                answer = json.dumps({"error": "query took too long", "of": [1, "x"]}, indent=2)
                self._send_export(gzip.compress(answer.encode() + b"\n"), framing)
            case "drip":
                self._drip()
            case "http_500":
                self._send(500, HTML, "length", {"content-type": "text/html"})
            case "http_429":
                wait = {} if self.api.retry_after is None else {"retry-after": self.api.retry_after}
                self._fail(429, "Query rate limit exceeded", wait)
            case "redirect":
                self._send(302, b"", "length", {"location": self.api.redirect_to})
            case "too_late_to_date":
                self._fail(400, TOO_LATE)
            case "echoed_secret":
                self._fail(403, f"{self.api.user}:{self.api.secret} of jane@example.com may not read this project")
            case _ if fault in LAST_LINES:
                self._send_export(gzip.compress(gzip.decompress(body) + LAST_LINES[fault]), framing)
            case _ if fault.startswith("http_"):
                self._fail(int(fault.removeprefix("http_")), "Something is wrong")
            case _:
                raise ValueError(f"unknown fault {fault!r}")

    def _send_export(self, body: bytes, framing: Framing, whole: int | None = None) -> None:
        self._send(200, body, framing, {"content-encoding": "gzip", "content-type": "text/plain"}, whole)

    def _drip(self) -> None:
        """The beginning of an answer, a byte at a time, for 20 seconds."""
        with suppress(OSError):
            for byte in b"HTTP/1.1 200 OK\r\nx-patience: " + b"x" * 400:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(0.05)
        self.close_connection = True

    def _fail(self, status: int, error: str, headers: Mapping[str, str] | None = None) -> None:
        answer = json.dumps({"request": self.path, "error": error, "status": "error"}).encode()
        self._send(status, answer, "length", {"content-type": "application/json", **(headers or {})})

    def _send(
        self,
        status: int,
        body: bytes,
        framing: Framing,
        headers: Mapping[str, str] | None = None,
        whole: int | None = None,
    ) -> None:
        framed = {
            "chunked": {"transfer-encoding": "chunked"},
            "no last chunk": {"transfer-encoding": "chunked", "connection": "close"},
            "length": {"content-length": str(len(body))},
            "too long": {"content-length": str(whole or 2 * len(body)), "connection": "close"},
            "close": {"connection": "close"},
            "reset": {"connection": "close"},
        }[framing]
        if framing in {"chunked", "no last chunk"}:
            body = _chunks(body) + (b"0\r\n\r\n" if framing == "chunked" else b"")
        self.send(status, body, {**(headers or {}), **framed})
        if framing == "reset":
            self._reset()

    def _reset(self) -> None:
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())
        self.close_connection = True


def _half(body: bytes) -> bytes:
    """The first half of a gzip stream, cut within a part of it: between two nobody could tell that more follows."""
    middle = len(body) // 2
    return body[: middle + body.startswith(b"\x1f\x8b", middle)]


def _chunks(body: bytes, size: int = 4096) -> bytes:
    pieces = (body[at : at + size] for at in range(0, len(body), size))
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)


@contextmanager
def serve(days: Days, **options: Any) -> Iterator[ExportApi]:
    """Serve these days, or the files `YYYY-MM-DD.jsonl.gz` of a directory; `options` are the fields of ExportApi."""
    api = ExportApi(days, **options)
    with serving(_Handler, api) as api.url:
        yield api
