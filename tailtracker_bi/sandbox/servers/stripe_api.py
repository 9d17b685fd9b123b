"""A stand-in for Stripe's API, over real sockets, whose objects live: what is changed or deleted leaves an event.

with serve() as api:
    api.add("customers", {"id": "cus_1", "object": "customer", "created": 1704067200, "livemode": True})
    api.update("customers", "cus_1", {"balance": 500}, at=1704153600)
    ...  # STRIPE_API_BASE=api.url, STRIPE_API_KEY=KEY
"""

from __future__ import annotations

import base64
import gzip
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qsl, unquote, urlsplit

import orjson

from tailtracker_bi.sandbox.servers.server import HTML, Api, Handler, serving
from tailtracker_bi.sandbox.servers.stripe_lists import (
    SELECTORS,
    ApiError,
    Object,
    ObjectTable,
    collapsed,
    expanded,
    limit,
    ranges,
    selector,
)

KEY = "rk_live_key_of_the_tests"
VERSION = "2026-10-28.endive"

EVENT_PREFIXES = {"subscription": "customer.subscription", "dispute": "charge.dispute"}
# Where objects are kept whole, and shown by their id alone unless a request expands them.
EXPANDABLE = {
    "customers": ("discount.source.coupon",),
    "subscriptions": (
        "discounts",
        "discounts.source.coupon",
        "items.data.discounts",
        "items.data.discounts.source.coupon",
        "latest_invoice",
        "customer",
    ),
    "subscription_items": ("discounts", "discounts.source.coupon"),
}
# The list inside an object, of which only the beginning is shown, and where the rest is.
INNER_LISTS = {"subscriptions": "items", "invoices": "lines"}
OFTEN_ENOUGH = 500
"""Requests after which a list that never ends ends in an error all the same: who follows it would never stop."""
STUBS = {"customers"}
"""Tables whose deleted objects are still answered for."""


@dataclass(frozen=True)
class Request:
    """One request that came in."""

    path: str
    query: dict[str, str]
    """Lists by `name[0]`, ranges by `created[gte]`, as they come."""
    headers: dict[str, str]
    """Names in lower case."""
    received_at: float


@dataclass
class StripeApi(Api[Request, str]):
    """What is there, what goes wrong, and what was asked."""

    key: str = KEY
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
    coupons: dict[str, Object] = field(default_factory=dict)
    """By id, those that are other ones than stand in the discounts of them."""
    tables: dict[str, ObjectTable] = field(default_factory=lambda: {name: ObjectTable() for name in SELECTORS})
    _stubs: dict[str, Object] = field(default_factory=dict)

    # What happens at Stripe.

    def add(self, table: str, item: Object, at: int | None = None) -> None:
        """Put an object there; `at` tells of its creation in an event."""
        with self._lock:
            self.tables[table].add(item)
            if at is not None:
                self.add_event(item, "created", at)

    def add_all(self, table: str, items: Sequence[Object]) -> None:
        """Put many objects there, of which no event tells."""
        with self._lock:
            self.tables[table].add_all(items)

    def load(self, directory: Path) -> None:
        """Hold the objects of the files `<table>.jsonl.gz` and no others, from one request to the next."""
        tables = {name: ObjectTable() for name in SELECTORS}
        for name, table in tables.items():
            for file in (directory / f"{name}.jsonl.gz", directory / f"{name.removesuffix('s')}.jsonl.gz"):
                if file.exists():
                    with gzip.open(file) as lines:
                        table.add_all([orjson.loads(line) for line in lines])
        with self._lock:
            gone = self.tables["customers"].objects.keys() - tables["customers"].objects.keys()
            self._stubs |= {id_: {"id": id_, "object": "customer", "deleted": True} for id_ in gone}
            self.tables = tables

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

    def answer(self, request: Request) -> Object:
        self._authorize(request.headers.get("authorization", ""))
        match [unquote(part) for part in request.path.removeprefix("/v1/").split("/")]:
            case ["coupons", id_]:
                self._permit("coupons")
                return self._coupon(id_)
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
        return self._shown(table, item, expanded(query, ""))

    def _coupon(self, id_: str) -> Object:
        """A coupon: one that is there, else one that stands in a discount."""
        if id_ in self.coupons:
            return self.coupons[id_]
        with self._lock:
            known = list(self.tables["coupons"].objects.values())
            holders = [item for table in ("customers", "subscriptions") for item in self.tables[table].objects.values()]
        for coupon in chain(known, _coupons(holders)):
            if coupon.get("id") == id_:
                return {"applies_to": None, "currency_options": None, **coupon}
        raise ApiError(404, f"No such coupon: '{id_}'", "resource_missing")

    def _list(self, table: str, query: Mapping[str, str]) -> Object:
        whole, size = expanded(query, "data."), limit(query)
        with self._lock:
            items = list(islice(self._matching(table, query), size + 1))
        page = items[:size]
        if "ending_before" in query:
            page.reverse()
        return {
            "object": "list",
            "url": f"/v1/{table}",
            "has_more": len(items) > size,
            "data": [self._shown(table, item, whole) for item in page],
        }

    def _matching(self, table: str, query: Mapping[str, str]) -> Iterator[Object]:
        """The objects that a query selects: newest first, or oldest first where it asks for what comes before one."""
        objects, order = self.tables[table].objects, self.tables[table].order
        if payout := query.get("payout"):
            held = self.tables["payouts"].objects[payout].get("holds", [])
            order = sorted((objects[id_]["created"], id_) for id_ in held)
        first, last = 0, len(order)
        for operator, bound in ranges(query):
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
        selects = selector(table, query)
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
        end = start + limit(request.query)
        whole = expanded(request.query, "data.")
        shown = [self._collapsed(request.path.split("/")[-1], each, whole) for each in items[start:end]]
        return {"object": "list", "url": request.path, "has_more": end < len(items), "data": shown}

    def _collapsed(self, table: str, item: Object, whole: set[str]) -> Object:
        for path in EXPANDABLE.get(table, ()):
            if not (self.is_expanding and any(f"{each}.".startswith(f"{path}.") for each in whole)):
                item = collapsed(item, path.split("."))
        return item

    def _shown(self, table: str, item: Object, whole: set[str]) -> Object:
        item = self._collapsed(table, item, whole)
        if table == "payouts":  # what it holds is listed among balance transactions, where it is asked for
            item = {name: value for name, value in item.items() if name != "holds"}
        inner = item.get(INNER_LISTS.get(table, ""))
        if isinstance(inner, dict) and len(inner["data"]) > self.inner_page:
            shown = inner | {"data": inner["data"][: self.inner_page], "has_more": True}
            item = item | {INNER_LISTS[table]: shown}
        return item


def _coupons(value: Any) -> Iterator[Object]:
    """All coupons that stand somewhere in a value."""
    if isinstance(value, list):
        for each in value:
            yield from _coupons(each)
    elif isinstance(value, dict):
        if isinstance(coupon := value.get("coupon"), dict):
            yield coupon
        for each in value.values():
            yield from _coupons(each)


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


class _Handler(Handler):
    api: ClassVar[StripeApi]

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
        url = urlsplit(self.path)
        request = Request(url.path, dict(parse_qsl(url.query)), self.lower_headers, time.time())
        fault = self.api.note(request)
        try:
            self._answer(fault, request)
        except ApiError as error:
            retry = {} if self.api.should_retry is None else {"stripe-should-retry": self.api.should_retry}
            self._send(error.status, orjson.dumps(error.body), retry | error.headers)
        except ValueError as error:
            self._send(400, orjson.dumps(ApiError(400, f"Invalid value: {error}").body))

    def _answer(self, fault: str | None, request: Request) -> None:
        match fault:
            case None:
                self._send(200, orjson.dumps(self.api.answer(request)))
            case "empty_page_has_more":
                self._send(200, orjson.dumps({"object": "list", "data": [], "has_more": True}))
            case "repeated_page":
                if len(self.api.requests) > OFTEN_ENOUGH:
                    raise ApiError(400, "This page was asked for often enough")
                query = {name: value for name, value in request.query.items() if name != "starting_after"}
                again = Request(request.path, query, request.headers, request.received_at)
                self._send(200, orjson.dumps(self.api.answer(again) | {"has_more": True}))
            case "cut_body":
                body = orjson.dumps(self.api.answer(request))
                self._send(200, body[: len(body) // 2], {"content-length": str(len(body)), "connection": "close"})
            case "cut_json":
                body = orjson.dumps(self.api.answer(request))
                self._send(200, body[: len(body) // 2])
            case "not_utf8":
                self._send(200, orjson.dumps(self.api.answer(request)).replace(b"list", b"l\xffst"))
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
            case "gone":
                raise ApiError(404, "No such object", "resource_missing")
            case "echoed_secret":
                raise ApiError(400, f"{self.api.key} of jane@example.com is\nnot welcome")
            case _ if fault.startswith("http_"):
                raise ApiError(int(fault.removeprefix("http_")), "Something is wrong")
            case _:
                raise LookupError(f"unknown fault {fault!r}")

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        own = {"content-type": "application/json", "content-length": str(len(body)), "request-id": "req_1"}
        self.send(status, body, own | dict(headers or {}))


@contextmanager
def serve(**options: Any) -> Iterator[StripeApi]:
    """Serve on 127.0.0.1 until the block ends; `options` are the fields of StripeApi."""
    api = StripeApi(**options)
    with serving(_Handler, api) as api.url:
        yield api
