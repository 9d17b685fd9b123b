"""A stand-in for Stripe's API, over real sockets, whose objects live: what is changed or deleted leaves an event.

    with serve() as api:
        api.add("customers", {"id": "cus_1", "object": "customer", "created": 1704067200, "livemode": True})
        api.update("customers", "cus_1", {"balance": 500}, at=1704153600)
        ...  # STRIPE_API_BASE=api.url, STRIPE_API_KEY=KEY

`python -m tests.stripe_api DIR` serves a directory's files `<table>.jsonl.gz` until it is interrupted.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import json
import re
import threading
import time
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qsl, unquote, urlsplit

import orjson

KEY = "rk_live_key_of_the_tests"
VERSION = "2026-10-28.endive"

Object = dict[str, Any]

# The parameters that select from a list, and the field that each is compared with.
SELECTORS = {
    "customers": ("email",),
    "products": ("active",),
    "prices": ("active", "product", "type", "currency"),
    "subscriptions": ("customer", "status"),
    "invoices": ("customer", "status", "subscription"),
    "invoice_payments": ("invoice", "status"),
    "payment_intents": ("customer",),
    "charges": ("customer", "payment_intent"),
    "refunds": ("charge", "payment_intent"),
    "disputes": ("charge", "payment_intent"),
    "balance_transactions": ("currency", "source", "type"),
    "events": ("type",),
}
EVENT_PREFIXES = {"subscription": "customer.subscription", "dispute": "charge.dispute"}
# Where objects are kept whole, and shown by their id alone unless a request expands them.
EXPANDABLE = {
    "customers": ("discount.source.coupon",),
    "subscriptions": ("discounts", "discounts.source.coupon", "latest_invoice", "customer"),
}
# The list inside an object, of which only the beginning is shown, and where the rest is.
INNER_LISTS = {"subscriptions": "items", "invoices": "lines"}
STUBS = {"customers"}
"""Tables whose deleted objects are still answered for."""
HTML = b"<!DOCTYPE html>\n<html><body><h1>Bad gateway</h1></body></html>\n"


@dataclass(frozen=True)
class Request:
    """One request that came in."""

    path: str
    query: dict[str, str]
    """Lists by `name[0]`, ranges by `created[gte]`, as they come."""
    headers: dict[str, str]
    """Names in lower case."""
    received_at: float


Faults = Sequence[str | None] | Callable[[Request], str | None]
"""What goes wrong with the requests, in order; or a function of a request."""


class ApiError(Exception):
    """An error answer."""

    def __init__(self, status: int, message: str, code: str | None = None, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": "invalid_request_error"} | ({"code": code} if code else {})}
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class _Table:
    """Objects by id, and in the order of (created, id)."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.order: list[tuple[int, str]] = []

    def add_all(self, items: Sequence[Object]) -> None:
        self.objects.update((item["id"], item) for item in items)
        self.order = sorted((item["created"], id_) for id_, item in self.objects.items())

    def add(self, item: Object) -> None:
        self.remove(item["id"])
        self.objects[item["id"]] = item
        insort(self.order, (item["created"], item["id"]))

    def remove(self, id_: str) -> Object | None:
        item = self.objects.pop(id_, None)
        if item is not None:
            del self.order[bisect_left(self.order, (item["created"], id_))]
        return item


@dataclass
class StripeApi:
    """What is there, what goes wrong, and what was asked."""

    key: str = KEY
    faults: Faults = ()
    retry_after: str | None = None
    """The Retry-After header of `http_429`."""
    should_retry: str | None = None
    """The Stripe-Should-Retry header of errors."""
    forbidden: set[str] = field(default_factory=set)
    """The tables that the key may not read."""
    is_expanding: bool = True
    inner_page: int = 10
    """How many of an inner list are shown with its object."""
    event_version: str = VERSION
    """The API version that events are said to be written for."""
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    tables: dict[str, _Table] = field(default_factory=lambda: {name: _Table() for name in SELECTORS})
    _stubs: dict[str, Object] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    # What happens at Stripe.

    def add(self, table: str, item: Object, at: int | None = None) -> None:
        """Put an object there; `at` tells of its creation in an event."""
        with self._lock:
            self.tables[table].add(item)
            if at is not None:
                self.add_event(item, "created", at)

    def add_all(self, table: str, items: Sequence[Object]) -> None:
        with self._lock:
            self.tables[table].add_all(items)

    def update(self, table: str, id_: str, changes: Object, at: int, happened: str = "updated") -> Object:
        """Merge changes into an object; gives the event that tells of them."""
        with self._lock:
            old = self.tables[table].objects[id_]
            new = _merged(old, changes)
            self.tables[table].add(new)
            return self.add_event(new, happened, at, _previous(old, changes))

    def delete(self, table: str, id_: str, at: int) -> Object:
        """Delete an object, or cancel a subscription, of which Stripe tells alike; gives the event that tells of it."""
        with self._lock:
            if table == "subscriptions":
                ended = {"status": "canceled", "canceled_at": at, "ended_at": at}
                return self.update(table, id_, ended, at, "deleted")
            item = self.tables[table].remove(id_)
            if item is None:
                raise KeyError(id_)
            if table in STUBS:
                self._stubs[id_] = {"id": id_, "object": item["object"], "deleted": True}
            return self.add_event(item, "deleted", at)

    def add_event(self, item: Object, happened: str, at: int, previous: Object | None = None) -> Object:
        type_ = EVENT_PREFIXES.get(item["object"], item["object"])
        event = {
            "id": f"evt_{len(self.tables['events'].order):08d}",
            "object": "event",
            "type": f"{type_}.{happened}",
            "created": at,
            "api_version": self.event_version,
            "livemode": item.get("livemode", True),
            "pending_webhooks": 0,
            "request": {"id": None, "idempotency_key": None},
            "data": {"object": item} | ({} if previous is None else {"previous_attributes": previous}),
        }
        self.add("events", event)
        return event

    # What is asked.

    def note(self, request: Request) -> str | None:
        """Record a request; the name of the fault that it meets."""
        with self._lock:
            self.requests.append(request)
            number = len(self.requests)
        if callable(self.faults):
            return self.faults(request)
        return self.faults[number - 1] if number <= len(self.faults) else None

    def answer(self, request: Request) -> Object:
        self._authorize(request.headers.get("authorization", ""))
        match [unquote(part) for part in request.path.removeprefix("/v1/").split("/")]:
            case [table] if table in self.tables:
                self._permit(table)
                return self._list(table, request.query)
            case [table, id_] if table in self.tables:
                self._permit(table)
                return self._retrieve(table, id_, request.query)
            case ["subscription_items"]:
                self._permit("subscriptions")
                return self._list_inner("subscriptions", request.query.get("subscription", ""), request)
            case ["invoices", id_, "lines"]:
                self._permit("invoices")
                return self._list_inner("invoices", id_, request)
        raise ApiError(404, f"Unrecognized request URL (GET: {request.path}).")

    def _authorize(self, header: str) -> None:
        basic = base64.b64encode(f"{self.key}:".encode()).decode()
        if header in {f"Bearer {self.key}", f"Basic {basic}"}:
            return
        if not header:
            raise ApiError(401, "You did not provide an API key.")
        raise ApiError(401, f"Invalid API Key provided: {'*' * 12}{header[-4:]}")

    def _permit(self, table: str) -> None:
        if table in self.forbidden:
            raise ApiError(
                403,
                f"The provided key '{self.key[:8]}{'*' * 12}{self.key[-4:]}' does not have the required permissions "
                f"for this endpoint on account 'acct_1'. Having the 'rak_{table.removesuffix('s')}_read' permission "
                "would allow this request to continue.",
            )

    def _retrieve(self, table: str, id_: str, query: Mapping[str, str]) -> Object:
        with self._lock:
            item = self.tables[table].objects.get(id_) or self._stubs.get(id_)
        if item is None:
            raise ApiError(404, f"No such {table.removesuffix('s')}: '{id_}'", "resource_missing")
        return self._shown(table, item, _expanded(query, ""))

    def _list(self, table: str, query: Mapping[str, str]) -> Object:
        expanded = _expanded(query, "data.")
        limit = _limit(query)
        with self._lock:
            items = list(islice(self._matching(table, query), limit + 1))
        page = items[:limit]
        if "ending_before" in query:
            page.reverse()
        return {
            "object": "list",
            "url": f"/v1/{table}",
            "has_more": len(items) > limit,
            "data": [self._shown(table, item, expanded) for item in page],
        }

    def _matching(self, table: str, query: Mapping[str, str]) -> Iterator[Object]:
        """The objects that a query selects: newest first, or oldest first where it asks for what comes before one."""
        objects, order = self.tables[table].objects, self.tables[table].order
        first, last = 0, len(order)
        for operator, bound in _ranges(query):
            match operator:
                case "gte":
                    first = max(first, bisect_left(order, (bound, "")))
                case "gt":
                    first = max(first, bisect_left(order, (bound + 1, "")))
                case "lt":
                    last = min(last, bisect_left(order, (bound, "")))
                case "lte":
                    last = min(last, bisect_left(order, (bound + 1, "")))
        if "starting_after" in query:
            last = min(last, bisect_left(order, self._place(table, query["starting_after"])))
        if "ending_before" in query:
            first = max(first, bisect_right(order, self._place(table, query["ending_before"])))
        places = range(first, last) if "ending_before" in query else range(last - 1, first - 1, -1)
        selects = _selector(table, query)
        return (item for place in places if selects(item := objects[order[place][1]]))

    def _place(self, table: str, id_: str) -> tuple[int, str]:
        item = self.tables[table].objects.get(id_)
        if item is None:
            raise ApiError(400, f"No such {table.removesuffix('s')}: '{id_}'", "resource_missing")
        return (item["created"], id_)

    def _list_inner(self, table: str, id_: str, request: Request) -> Object:
        item = self.tables[table].objects.get(id_)
        if item is None:
            raise ApiError(404, f"No such {table.removesuffix('s')}: '{id_}'", "resource_missing")
        items = item[INNER_LISTS[table]]["data"]
        after = request.query.get("starting_after")
        start = 0 if after is None else [each["id"] for each in items].index(after) + 1
        end = start + _limit(request.query)
        return {"object": "list", "url": request.path, "has_more": end < len(items), "data": items[start:end]}

    def _shown(self, table: str, item: Object, expanded: set[str]) -> Object:
        for path in EXPANDABLE.get(table, ()):
            if not (self.is_expanding and any(f"{each}.".startswith(f"{path}.") for each in expanded)):
                item = _collapsed(item, path.split("."))
        inner = item.get(INNER_LISTS.get(table, ""))
        if isinstance(inner, dict) and len(inner["data"]) > self.inner_page:
            shown = inner | {"data": inner["data"][: self.inner_page], "has_more": True}
            item = item | {INNER_LISTS[table]: shown}
        return item


def _merged(old: Object, changes: Object) -> Object:
    inner = {
        name: _merged(old[name], value) if isinstance(value, dict) and isinstance(old.get(name), dict) else value
        for name, value in changes.items()
    }
    return old | inner


def _previous(old: Object, changes: Object) -> Object:
    return {
        name: _previous(old[name], value)
        if isinstance(value, dict) and isinstance(old.get(name), dict)
        else old.get(name)
        for name, value in changes.items()
    }


def _collapsed(value: Any, path: Sequence[str]) -> Any:
    """The value with the id in place of what stands at the path; lists are gone through."""
    if isinstance(value, list):
        return [_collapsed(item, path) for item in value]
    if not isinstance(value, dict):
        return value
    if not path:
        return value["id"]
    return value | {path[0]: _collapsed(value[path[0]], path[1:])} if path[0] in value else value


def _expanded(query: Mapping[str, str], prefix: str) -> set[str]:
    paths = [value for name, value in query.items() if name.startswith("expand[")]
    for path in paths:
        if path.count(".") > 3:
            raise ApiError(400, f"You cannot expand more than 4 levels of a property. Property: {path}")
        if not path.startswith(prefix):
            raise ApiError(400, f"This property cannot be expanded ({path}).")
    return {path.removeprefix(prefix) for path in paths}


def _limit(query: Mapping[str, str]) -> int:
    limit = int(query.get("limit", 10))
    if not 1 <= limit <= 100:
        raise ApiError(400, f"Invalid integer: {limit}", "parameter_invalid_integer")
    return limit


def _ranges(query: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    for name, value in query.items():
        if name == "created":
            yield from (("gte", int(value)), ("lte", int(value)))
        elif found := re.fullmatch(r"created\[(gte?|lte?)\]", name):
            yield found[1], int(value)


def _selector(table: str, query: Mapping[str, str]) -> Callable[[Object], bool]:
    wanted = {name: {query[name]} for name in SELECTORS[table] if name in query}
    if types := {value for name, value in query.items() if name.startswith("types[")}:
        wanted["type"] = types
    if table == "subscriptions" and wanted.get("status") == {"all"}:
        del wanted["status"]
    elif table == "subscriptions" and "status" not in wanted:
        return lambda item: item["status"] != "canceled" and _is_wanted(item, wanted)
    return lambda item: _is_wanted(item, wanted)


def _is_wanted(item: Object, wanted: Mapping[str, set[str]]) -> bool:
    return all(_text(item.get(name)) in values for name, values in wanted.items())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    api: ClassVar[StripeApi]

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(url.path, dict(parse_qsl(url.query)), headers, time.time())
        fault = self.api.note(request)
        try:
            self._answer(fault, request)
        except ApiError as error:
            retry = {} if self.api.should_retry is None else {"stripe-should-retry": self.api.should_retry}
            self._send(error.status, orjson.dumps(error.body), retry | error.headers)

    def _answer(self, fault: str | None, request: Request) -> None:
        match fault:
            case None:
                self._send(200, orjson.dumps(self.api.answer(request)))
            case "empty_page_has_more":
                self._send(200, orjson.dumps({"object": "list", "data": [], "has_more": True}))
            case "repeated_page":
                query = {name: value for name, value in request.query.items() if name != "starting_after"}
                again = Request(request.path, query, request.headers, request.received_at)
                self._send(200, orjson.dumps(self.api.answer(again) | {"has_more": True}))
            case "cut_body":
                body = orjson.dumps(self.api.answer(request))
                self._send(200, body[: len(body) // 2], {"content-length": str(len(body)), "connection": "close"})
            case "cut_json":
                body = orjson.dumps(self.api.answer(request))
                self._send(200, body[: len(body) // 2])
            case "html_200":
                self._send(200, HTML, {"content-type": "text/html"})
            case "html_502":
                self._send(502, HTML, {"content-type": "text/html"})
            case "redirect":
                self._send(302, b"", {"location": self.api.url.replace("127.0.0.1", "localhost") + "/v1/stolen"})
            case "lock_timeout":
                raise ApiError(
                    429,
                    "This object cannot be accessed right now because another API request or Stripe process is "
                    "currently accessing it.",
                    "lock_timeout",
                    stripe_should_retry="true",
                )
            case "http_429":
                wait = {} if self.api.retry_after is None else {"retry_after": self.api.retry_after}
                raise ApiError(429, "Request rate limit exceeded.", "rate_limit", **wait)
            case "echoed_secret":
                raise ApiError(400, f"{self.api.key} of jane@example.com is\nnot welcome")
            case _ if fault.startswith("http_"):
                raise ApiError(int(fault.removeprefix("http_")), "Something is wrong")
            case _:
                raise ValueError(f"unknown fault {fault!r}")

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        own = {"content-type": "application/json", "content-length": str(len(body)), "request-id": "req_1"}
        for name, value in (own | dict(headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: what came in stands in `requests`."""


@contextmanager
def serve(port: int = 0, **options: Any) -> Iterator[StripeApi]:
    """Serve on 127.0.0.1 until the block ends; `options` are the fields of StripeApi."""
    api = StripeApi(**options)
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


def load(api: StripeApi, directory: Path) -> None:
    """Add the objects of a directory's files; a table without one is empty."""
    for table in SELECTORS:
        for name in (table, table.removesuffix("s")):
            file = directory / f"{name}.jsonl.gz"
            if file.exists():
                with gzip.open(file) as lines:
                    api.add_all(table, [orjson.loads(line) for line in lines])


def main() -> None:
    """Serve a directory, for a try by hand or for a process of its own."""
    parser = argparse.ArgumentParser(description="Serve <table>.jsonl.gz files as Stripe's API.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--key", default=KEY)
    arguments = parser.parse_args()
    with suppress(KeyboardInterrupt), serve(arguments.port, key=arguments.key) as api:
        load(api, arguments.directory)
        print(api.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
