"""HTTP servers on this machine, in threads of this process: what Mixpanel's and Stripe's stand-ins answer through."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

HTML = b"<!DOCTYPE html>\n<html><body><h1>Bad gateway</h1></body></html>\n"
"""What a proxy says in place of an API."""


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
