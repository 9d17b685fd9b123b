"""A stand-in for Prometheus' range queries, over real sockets, which gives less than all in all the ways it does.

with serve([Series("http_requests_total", {"status": "200"}, lambda slots: slots * 0.0 + 10)], faults=["nan"]) as api:
    ...  # PROMETHEUS_URL=api.url

It knows the few shapes of queries that `sources/prometheus.py` asks with, and refuses all others.
"""

from __future__ import annotations

import gzip
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import orjson

from tailtracker_bi.sandbox.servers.server import HTML, Handler, serving
from tailtracker_bi.sandbox.story.chance import Floats, Ints

SLOT = 300
"""Seconds of the windows that increases are known for."""
MOST_POINTS = 11_000

_SUM = re.compile(r"sum(?P<by> by \(le\) )?\((?P<function>increase|resets)\((?P<selector>.+)\[(?P<window>\d+)s\]\)\)")
_SELECTOR = re.compile(r'(?P<name>\w+)(?:\{(?P<matchers>(?:\w+(?:=~|!~|!=|=)"[^"]*",?)*)\})?')
_MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')


def _none(slots: Ints) -> Floats:
    return np.zeros(len(slots))


@dataclass(frozen=True)
class Series:
    """One counter."""

    name: str
    labels: Mapping[str, str]
    increases: Callable[[Ints], Floats]
    """By how much it grew in slots, counted from 1970; NaN where it was not scraped."""
    resets: Callable[[Ints], Floats] = _none
    """How often it began anew in them."""


@dataclass(frozen=True)
class Request:
    """One request that came in."""

    path: str
    query: str
    start: int
    end: int
    headers: dict[str, str]
    """Names in lower case."""


Faults = Sequence[str | None] | Callable[[Request], str | None]
"""What goes wrong with the requests, in order; or a function of a request."""


@dataclass
class PrometheusApi:
    """What was measured, what goes wrong, and what was asked."""

    series: Sequence[Series]
    faults: Faults = ()
    keeps_from: int = 0
    """Before this second nothing is known any more."""
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, request: Request) -> str | None:
        """Record a request; the name of the fault that it meets."""
        with self._lock:
            self.requests.append(request)
            number = len(self.requests)
        if callable(self.faults):
            return self.faults(request)
        return self.faults[number - 1] if number <= len(self.faults) else None

    def evaluated(self, query: str, seconds: Ints) -> dict[str | None, Floats]:
        """The series of a query at these times, by their label `le`, NaN where there is no point.

        Raises ValueError for what it does not understand.
        """
        if query == "vector(1)":
            return {None: np.ones(len(seconds))}
        if query.startswith("("):
            left, _, right = query[1:].partition(") + ")
            return {None: self.evaluated(left, seconds)[None] + self.evaluated(right, seconds)[None]}
        if query.endswith(" or vector(0)"):
            return {None: np.nan_to_num(self.evaluated(query.removesuffix(" or vector(0)"), seconds)[None])}
        found = _SUM.fullmatch(query)
        if not found or int(found["window"]) != SLOT:
            raise ValueError(query)
        slots = seconds // SLOT - 1
        is_kept = (seconds - SLOT) >= self.keeps_from
        sums: dict[str | None, Floats] = {} if found["by"] else {None: np.full(len(seconds), np.nan)}
        for series in self._selected(found["selector"]):
            grown = np.where(is_kept, series.increases(slots), np.nan)
            values = (
                grown if found["function"] == "increase" else np.where(np.isnan(grown), grown, series.resets(slots))
            )
            bound = series.labels["le"] if found["by"] else None
            before = sums.get(bound, np.full(len(seconds), np.nan))
            sums[bound] = np.where(np.isnan(before), values, before + np.nan_to_num(values))
        return sums

    def _selected(self, selector: str) -> Iterator[Series]:
        found = _SELECTOR.fullmatch(selector)
        if not found:
            raise ValueError(selector)
        matchers = _MATCHER.findall(found["matchers"] or "")
        for series in self.series:
            if series.name == found["name"] and all(
                _matches(series.labels.get(label, ""), how, wanted) for label, how, wanted in matchers
            ):
                yield series


def _matches(value: str, how: str, wanted: str) -> bool:
    is_like = value == wanted if how in {"=", "!="} else re.fullmatch(wanted, value) is not None
    return is_like is (how in {"=", "=~"})


class _Handler(Handler):
    api: ClassVar[PrometheusApi]

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
        url = urlsplit(self.path)
        asked = dict(parse_qsl(url.query))
        if url.path != "/api/v1/query_range":
            return self._json(404, {"status": "error", "errorType": "not_found", "error": "no such path"})
        start, end, step = int(asked["start"]), int(asked["end"]), int(asked["step"])
        fault = self.api.note(Request(url.path, asked["query"], start, end, self.lower_headers))
        if (end - start) / step > MOST_POINTS or fault == "too_many_points":
            return self._refuse(
                400,
                "bad_data",
                "exceeded maximum resolution of 11,000 points per timeseries. "
                "Try decreasing the query resolution (?step=XX)",
            )
        seconds = np.arange(start, end + 1, step)
        try:
            found = self.api.evaluated(asked["query"], seconds)
        except ValueError:
            return self._refuse(400, "bad_data", "invalid parameter 'query': parse error: unexpected character")
        return self._answer(fault, found, seconds)

    def _answer(self, fault: str | None, found: dict[str | None, Floats], seconds: Ints) -> None:
        match fault:
            case "http_400":
                return self._refuse(400, "bad_data", "invalid parameter 'query': parse error: unexpected character")
            case "http_422":
                return self._refuse(422, "execution", "query processing would load too many samples into memory")
            case "http_503":
                return self._refuse(503, "timeout", "query timed out in expression evaluation")
            case "html_200":
                return self._send(200, HTML, {"content-type": "text/html"})
            case "error_200":
                return self._refuse(200, "internal", "expanding series: no space left")
            case "redirect":
                elsewhere = self.api.url.replace("127.0.0.1", "localhost") + "/stolen"
                return self._send(302, b"", {"location": elsewhere})
            case _ if fault and fault.startswith("http_"):
                return self._send(int(fault.removeprefix("http_")), HTML, {"content-type": "text/html"})
        result: list[dict[str, Any]] = [
            {
                "metric": {} if bound is None else {"le": bound},
                "values": [
                    [second, f"{value:.17g}"]
                    for second, value in zip(seconds.tolist(), values.tolist(), strict=True)
                    if value == value
                ],
            }
            for bound, values in found.items()
        ]
        answer: dict[str, Any] = {"status": "success", "data": {"resultType": "matrix", "result": result}}
        values = result[0]["values"] if result else []
        match fault:
            case None | "cut_json" | "cut_gzip" | "cut_body" | "unknown_length" | "plain":
                pass
            case "warnings" | "infos":
                answer[fault] = ["PromQL warning: some replica of jane@example.com did not answer"]
            case "nan" | "+inf" | "-1" | "text":
                values[0][1] = {"nan": "NaN", "+inf": "+Inf"}.get(fault, fault)
            case "off_grid":
                values[0][0] += 1
            case "repeated_point":
                values.insert(0, values[0])
            case "two_series":
                result.append(result[0])
            case "scalar":
                answer["data"]["resultType"] = "scalar"
            case "native_histogram":
                result[0]["histograms"] = result[0].pop("values")
            case _:
                raise ValueError(f"unknown fault {fault!r}")
        result[:] = [item for item in result if item.get("values", True)]
        return self._framed(orjson.dumps(answer), fault)

    def _framed(self, body: bytes, fault: str | None) -> None:
        zipped = gzip.compress(body, 1)
        is_zipped = {"content-type": "application/json", "content-encoding": "gzip"}
        match fault:
            case "plain":
                self._send(200, body, {"content-type": "application/json"})
            case "cut_json":
                self._send(200, gzip.compress(body[: len(body) // 2]), is_zipped)
            case "cut_gzip":
                self._send(200, zipped[: len(zipped) // 2], is_zipped)
            case "cut_body":
                too_long = {"content-length": str(2 * len(zipped)), "connection": "close"}
                self.send(200, zipped, is_zipped | too_long)
            case "unknown_length":
                self.send(200, body, {"connection": "close"})
            case _:
                self._send(200, zipped, is_zipped)

    def _refuse(self, status: int, kind: str, error: str) -> None:
        self._json(status, {"status": "error", "errorType": kind, "error": error})

    def _json(self, status: int, answer: object) -> None:
        self._send(status, orjson.dumps(answer), {"content-type": "application/json"})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send(status, body, {**headers, "content-length": str(len(body))})


@contextmanager
def serve(series: Sequence[Series], **options: Any) -> Iterator[PrometheusApi]:
    """Serve these counters; `options` are the fields of PrometheusApi."""
    api = PrometheusApi(series, **options)
    with serving(_Handler, api) as api.url:
        yield api
