"""HTTP servers on this machine, in threads of this process: what Mixpanel's and Stripe's stand-ins answer through."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Generic, TypeVar

HTML = b"<!DOCTYPE html>\n<html><body><h1>Bad gateway</h1></body></html>\n"
"""What a proxy says in place of an API."""


Request = TypeVar("Request")
Fault = TypeVar("Fault")


@dataclass(kw_only=True)
class Api(Generic[Request, Fault]):
    """What any of the APIs was asked, and what goes wrong with it."""

    faults: Sequence[Fault | None] | Callable[[Request], Fault | None] = ()
    """What goes wrong with the requests, in order; or a function of a request, which is called for one at a time."""
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def note(self, request: Request) -> Fault | None:
        """Record a request; the fault that it meets."""
        with self._lock:
            self.requests.append(request)
            if callable(self.faults):
                return self.faults(request)
            number = len(self.requests)
            return self.faults[number - 1] if number <= len(self.faults) else None


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one API, which stands in `api`; subclasses have a `do_GET`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    api: ClassVar[Any]

    @property
    def lower_headers(self) -> dict[str, str]:
        """The headers of the request, names in lower case."""
        return {name.lower(): value for name, value in self.headers.items()}

    def send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        """Send an answer; who has stopped listening misses it."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        with suppress(BrokenPipeError, ConnectionResetError):
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: what came in stands in the API's `requests`."""


@contextmanager
def serving(handler: type[Handler], api: object, port: int = 0) -> Iterator[str]:
    """Answer for this API on 127.0.0.1 until the block ends; gives the URL. Port 0 is any free one."""
    with ThreadingHTTPServer(("127.0.0.1", port), type("Handler", (handler,), {"api": api})) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
