"""How Stripe lists objects: in which order, which of them a request selects, and how much of each it shows."""

from __future__ import annotations

import json
import re
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Object = dict[str, Any]

# The parameters that select from a list, and the field that each is compared with.
SELECTORS = {
    "customers": ("email",),
    "products": ("active",),
    "coupons": (),
    "prices": ("active", "product", "type", "currency"),
    "subscriptions": ("customer", "status"),
    "subscription_schedules": ("customer",),
    "invoices": ("customer", "status", "subscription"),
    "invoice_payments": ("invoice", "status"),
    "payment_intents": ("customer",),
    "charges": ("customer", "payment_intent"),
    "refunds": ("charge", "payment_intent"),
    "disputes": ("charge", "payment_intent"),
    "balance_transactions": ("currency", "source", "type"),
    "payouts": ("status",),
    "events": ("type",),
}


class ApiError(Exception):
    """An error answer."""

    def __init__(self, status: int, message: str, code: str | None = None, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": "invalid_request_error"} | ({"code": code} if code else {})}
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class ObjectTable:
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


def collapsed(value: Any, path: Sequence[str]) -> Any:
    """The value with the id in place of what stands at the path; lists are gone through."""
    if isinstance(value, list):
        return [collapsed(item, path) for item in value]
    if not isinstance(value, dict):
        return value
    if not path:
        return value.get("id", value)  # what has none is no object of its own
    return value | {path[0]: collapsed(value[path[0]], path[1:])} if path[0] in value else value


def expanded(query: Mapping[str, str], prefix: str) -> set[str]:
    """The paths below `prefix` whose objects a request wants whole."""
    paths = [value for name, value in query.items() if name.startswith("expand[")]
    for path in paths:
        if path.count(".") > 3:
            raise ApiError(400, f"You cannot expand more than 4 levels of a property. Property: {path}")
        if not path.startswith(prefix):
            raise ApiError(400, f"This property cannot be expanded ({path}).")
    return {path.removeprefix(prefix) for path in paths}


def limit(query: Mapping[str, str]) -> int:
    """How many objects a page holds."""
    size = int(query.get("limit", 10))
    if not 1 <= size <= 100:
        raise ApiError(400, f"Invalid integer: {size}", "parameter_invalid_integer")
    return size


def ranges(query: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """The bounds of `created` that a request names."""
    for name, value in query.items():
        if name == "created":
            yield from (("gte", int(value)), ("lte", int(value)))
        elif found := re.fullmatch(r"created\[(gte?|lte?)\]", name):
            yield found[1], int(value)


def selector(table: str, query: Mapping[str, str]) -> Callable[[Object], bool]:
    """Whether an object is one that a request selects."""
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
