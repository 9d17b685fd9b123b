"""A stand-in for Mixpanel's raw Export API, over real sockets, which fails in all the ways the real one does.

    with serve({date(2024, 1, 1): [event_line("Open", ...)]}, faults=["cut_gzip"]) as api:
        ...  # MIXPANEL_EXPORT_URL=api.url

`python -m tests.export_api DIR` serves a directory's files `YYYY-MM-DD.jsonl.gz` until it is interrupted.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import parse_qsl, urlsplit

USER, SECRET = "fetcher.1234.mp-service-account", "s3cret-of-the-service-account"

Days = Mapping[date, Sequence[bytes]] | Path
Faults = Sequence[str | None] | Callable[[int], str | None]
"""What goes wrong with the requests, in order; or a function of a request's number, counted from 1."""

LAST_LINES = {
    "terminated_early": b"terminated early\n",
    "export_terminated_early": b"export terminated early",
    "cut_line": b'{"event":"Open","properties":{"time":17',
}
HTML = b"<!DOCTYPE html>\n<html><body><h1>Bad gateway</h1></body></html>\n"


def event_line(event: str, at: float | str | None, distinct_id: str | None = "u1", **properties: Any) -> bytes:
    """One line of an export; a distinct_id of None is left out; a keyword `_x` becomes the property `$x`."""
    own = {f"${name[1:]}" if name.startswith("_") else name: value for name, value in properties.items()}
    who = {} if distinct_id is None else {"distinct_id": distinct_id}
    return json.dumps({"event": event, "properties": {"time": at, **who, **own}}, ensure_ascii=False).encode()


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
class ExportApi:
    """What is served, what goes wrong, and what was asked."""

    days: Days
    user: str = USER
    secret: str = SECRET
    faults: Faults = ()
    retry_after: str | None = None
    """The Retry-After header of `http_429`."""
    chunked: bool = True
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, request: Request) -> str | None:
        """Record a request; the name of the fault that it meets."""
        with self._lock:
            self.requests.append(request)
            number = len(self.requests)
        if callable(self.faults):
            return self.faults(number)
        return self.faults[number - 1] if number <= len(self.faults) else None

    def compressed(self, first: date, last: date) -> bytes:
        """The export of these days. Of a directory: its files one after the other, each a gzip member."""
        days = [first + timedelta(days=offset) for offset in range((last - first).days + 1)]
        if isinstance(self.days, Path):
            files = [file for day in days if (file := self.days / f"{day}.jsonl.gz").exists()]
            return b"".join(file.read_bytes() for file in files) or gzip.compress(b"")
        return gzip.compress(b"".join(line + b"\n" for day in days for line in self.days.get(day, ())))


Framing = Literal["chunked", "length", "too long", "close"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api: ClassVar[ExportApi]

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(url.path, query.get("from_date"), query.get("to_date"), headers, time.time())
        fault = self.api.note(request)
        key = base64.b64encode(f"{self.api.user}:{self.api.secret}".encode()).decode()
        if url.path != "/api/2.0/export":
            return self._fail(404, "Not found")
        if headers.get("authorization") != f"Basic {key}":
            return self._fail(401, "Invalid service account credentials")
        try:
            first, last = date.fromisoformat(query["from_date"]), date.fromisoformat(query["to_date"])
        except (KeyError, ValueError):
            return self._fail(400, "from_date and to_date must be given as YYYY-MM-DD")
        if not query.get("project_id"):
            return self._fail(400, "project_id is a required parameter")
        return self._answer(fault, self.api.compressed(first, last))

    def _answer(self, fault: str | None, body: bytes) -> None:
        framing: Framing = "chunked" if self.api.chunked else "length"
        match fault:
            case None:
                self._send_export(body, framing)
            case "cut_gzip":
                self._send_export(body[: len(body) // 2], "chunked")
            case "cut_gzip_no_length":
                self._send_export(body[: len(body) // 2], "close")
            case "cut_gzip_with_length":
                self._send_export(body[: len(body) // 2], "too long")
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
            case "http_500":
                self._send(500, HTML, "length", {"content-type": "text/html"})
            case "http_429":
                wait = {} if self.api.retry_after is None else {"retry-after": self.api.retry_after}
                self._fail(429, "Query rate limit exceeded", wait)
            case "redirect":
                self._send(
                    302,
                    b"",
                    "length",
                    {"location": self.api.url.replace("127.0.0.1", "localhost") + "/stolen"},
                )
            case "too_late_to_date":
                self._fail(400, "to_date cannot be later than today")
            case "echoed_secret":
                self._fail(403, f"{self.api.user}:{self.api.secret} of jane@example.com may not read this project")
            case _ if fault in LAST_LINES:
                self._send_export(gzip.compress(gzip.decompress(body) + LAST_LINES[fault]), framing)
            case _ if fault.startswith("http_"):
                self._fail(int(fault.removeprefix("http_")), "Something is wrong")
            case _:
                raise ValueError(f"unknown fault {fault!r}")

    def _send_export(self, body: bytes, framing: Framing) -> None:
        self._send(200, body, framing, {"content-encoding": "gzip", "content-type": "text/plain"})

    def _fail(self, status: int, error: str, headers: Mapping[str, str] | None = None) -> None:
        answer = json.dumps({"request": self.path, "error": error, "status": "error"}).encode()
        self._send(status, answer, "length", {"content-type": "application/json", **(headers or {})})

    def _send(self, status: int, body: bytes, framing: Framing, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if framing == "chunked":
            self.send_header("transfer-encoding", "chunked")
        elif framing == "length":
            self.send_header("content-length", str(len(body)))
        elif framing == "too long":
            self.send_header("content-length", str(2 * len(body)))
        if framing in {"close", "too long"}:
            self.send_header("connection", "close")
        self.end_headers()
        with suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(_chunks(body) if framing == "chunked" else body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: what came in stands in `requests`."""


def _chunks(body: bytes, size: int = 4096) -> bytes:
    pieces = (body[at : at + size] for at in range(0, len(body), size))
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@contextmanager
def serve(days: Days, port: int = 0, **options: Any) -> Iterator[ExportApi]:
    """Serve these days on 127.0.0.1 until the block ends; `options` are the fields of ExportApi."""
    api = ExportApi(days, **options)
    with ThreadingHTTPServer(("127.0.0.1", port), type("Handler", (_Handler,), {"api": api})) as server:
        server.daemon_threads = True
        api.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()


def main() -> None:
    """Serve a directory, for a try by hand or for a process of its own."""
    parser = argparse.ArgumentParser(description="Serve YYYY-MM-DD.jsonl.gz files as Mixpanel's raw Export API.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--user", default=USER)
    parser.add_argument("--secret", default=SECRET)
    arguments = parser.parse_args()
    with (
        suppress(KeyboardInterrupt),
        serve(arguments.directory, arguments.port, user=arguments.user, secret=arguments.secret) as api,
    ):
        print(api.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
