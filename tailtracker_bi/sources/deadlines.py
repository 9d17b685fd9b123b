"""Requests over HTTP that are over in time, however the answer comes: the part of httpx that takes a while to load.

httpx's timeouts are for one wait each: an answer that drips never meets one. Here a deadline is for a whole request.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable
from functools import cache
from typing import Any

import httpcore
import httpx

TIMEOUT = httpx.Timeout(60.0, connect=15.0)


class _Deadline:
    """When the request that is under way has to be over."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._at = 0.0

    def begin(self) -> None:
        self._at = time.monotonic() + self._seconds

    def left(self, timeout: float | None, error: type[Exception]) -> float:
        """Seconds for the next wait; raises an error of that type where none is left."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise error("it took too long in all")
        return left if timeout is None else min(left, timeout)


class DeadlineTransport(httpx.HTTPTransport):
    def __init__(self, seconds: float) -> None:
        super().__init__(verify=_certificates(), trust_env=False)
        self._deadline = _Deadline(seconds)
        backend = _DeadlineBackend(self._deadline)
        self._pool = httpcore.ConnectionPool(ssl_context=_certificates(), network_backend=backend)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._deadline.begin()
        return super().handle_request(request)


class _DeadlineBackend(httpcore.SyncBackend):
    def __init__(self, deadline: _Deadline) -> None:
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        left = self._deadline.left(timeout, httpcore.ConnectTimeout)
        stream = super().connect_tcp(host, port, left, local_address, socket_options)
        return _DeadlineStream(stream, self._deadline)


class _DeadlineStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, deadline: _Deadline) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.left(timeout, httpcore.WriteTimeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._deadline.left(timeout, httpcore.ConnectTimeout)
        return _DeadlineStream(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


@cache
def _certificates() -> ssl.SSLContext:
    """Read once: it takes longer than a request to a server nearby."""
    return httpx.create_ssl_context(trust_env=False)
