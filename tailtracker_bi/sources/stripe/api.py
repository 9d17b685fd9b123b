"""Stripe's API over HTTP: answers are checked, and asked for again where that may help."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pydantic import Field, SecretStr, model_validator

from tailtracker_bi.settings import Settings, SourceSettings, check_base_url
from tailtracker_bi.sources import http
from tailtracker_bi.sources.foreign_text import readable
from tailtracker_bi.sources.records import (
    BadResponseError,
    SourceUnavailableError,
)
from tailtracker_bi.sources.stripe.objects import TYPES, Object

if TYPE_CHECKING:
    import stripe

API_VERSION = "2026-10-28.endive"
REQUEST_SECONDS = 180.0
MOST_BYTES = 64 << 20
PAGE = 100
_KEY = re.compile(r"(?:rk|sk)_(?:live|test)_[A-Za-z0-9_]+")
_ID = re.compile(r"\b[a-z]{2,8}_(?=\w*[0-9A-Z])\w+")
TABLES = {f"{type_}s": type_ for type_ in TYPES}


class StripeSettings(SourceSettings):
    """The key, and where Stripe's API is."""

    key: SecretStr | None = Field(None, alias="STRIPE_API_KEY")
    base: str = Field("https://api.stripe.com", alias="STRIPE_API_BASE")

    @model_validator(mode="after")
    def _check_together(self) -> StripeSettings:
        check_base_url("STRIPE_API_BASE", self.base, "stripe.com", self.allow_loopback)
        if self.key is not None:
            self._check_key(self.key.get_secret_value())
        return self

    def _check_key(self, key: str) -> None:
        if not _KEY.fullmatch(key):
            raise ValueError("STRIPE_API_KEY must be a secret key of Stripe, best a restricted one: rk_live_...")
        if self.environment == "prod" and "_test_" in key:
            raise ValueError("STRIPE_API_KEY is a test key, which TAILTRACKER_ENV=prod refuses")

    @property
    def is_live(self) -> bool:
        """The mode of the key: objects of the other mode are no business of ours."""
        return self.key is not None and "_live_" in self.key.get_secret_value()


class ForbiddenError(BadResponseError):
    """The key may not read a table."""


class MissingError(BadResponseError):
    """There is no such object, or not any more."""


class Api:
    """What is read of Stripe's API: answers are checked, and asked for again where that may help."""

    def __init__(self, client: stripe.StripeClient, settings: Settings, say: Callable[[str], None]) -> None:
        self._client = client
        self._settings = settings
        self._retrying = http.retrying(settings, say)
        self._inner_lists: dict[tuple[str, str], list[Object]] = {}

    def get(self, path: str, **parameters: Any) -> Object:
        """The JSON object at this path below /v1/."""
        try:
            return self._retrying(self._get, path, parameters)
        except http.UnreachableError as error:
            raise SourceUnavailableError(str(error)) from None

    def find(self, table: str, id_: str, **parameters: Any) -> Object:
        """An object; where there is none any more, what Stripe gives in place of a deleted one."""
        try:
            item = self.get(f"{table}/{quote(id_, safe='')}", **parameters)
        except MissingError:
            return {"id": id_, "object": TABLES[table], "deleted": True}
        if item.get("id") != id_:
            raise BadResponseError(f"stripe: {table}: asked for an object, and was given another one")
        return item

    def objects(self, path: str, known: Sequence[str] = (), **parameters: Any) -> Iterator[Object]:
        """All objects of a list that come after the known ones, page after page."""
        seen = set(known)
        cursor = {"starting_after": known[-1]} if known else {}
        while True:
            page = self.get(path, limit=PAGE, **cursor, **parameters)
            ids = _ids(path, page)
            if len(set(ids)) < len(ids) or not seen.isdisjoint(ids):
                raise BadResponseError(f"stripe: {path}: a page repeats objects")
            yield from page["data"]
            if page.get("has_more") is False:
                return
            if not ids:
                raise BadResponseError(f"stripe: {path}: an empty page that claims to have more after it")
            seen.update(ids)
            cursor = {"starting_after": ids[-1]}

    def completed(self, table: str, item: Object, *, with_rest_of_now: bool = False) -> Object:
        """The object with all of the list inside it, of which Stripe gives the beginning.

        What an event shows is of its time. The rest of its list (`with_rest_of_now`) can only be had as it is now;
        where the object is gone, it stays incomplete.
        """
        parameters: Object = {}
        match table:
            case "payouts":
                return item if with_rest_of_now else self._with_transactions(item)
            case "invoices":
                field, path = "lines", f"invoices/{quote(item['id'], safe='')}/lines"
            case "subscriptions":
                field, path = "items", "subscription_items"
                parameters = {"subscription": item["id"], "expand": ["data.discounts.source.coupon"]}
            case _:
                return item
        inner = as_object(item.get(field))
        if not inner.get("has_more"):
            return item
        shown = _ids(path, inner)
        if not with_rest_of_now:
            rest = list(self.objects(path, shown, **parameters))
        else:
            if (table, item["id"]) not in self._inner_lists:
                try:
                    self._inner_lists[table, item["id"]] = list(self.objects(path, **parameters))
                except MissingError:
                    return item
            rest = [each for each in self._inner_lists[table, item["id"]] if each["id"] not in shown]
        return item | {field: inner | {"data": [*inner["data"], *rest], "has_more": False}}

    def _with_transactions(self, payout: Object) -> Object:
        """The payout with the ids of what it paid out, which Stripe tells of automatic ones, once it knows."""
        if payout.get("reconciliation_status") != "completed":
            return payout
        paid_out = self.objects("balance_transactions", payout=payout["id"])
        return payout | {"balance_transactions": [each["id"] for each in paid_out]}

    def _get(self, path: str, parameters: Object) -> Object:
        import httpx
        import stripe

        where = f"stripe: {path.split('/')[0]}"  # ids tell of a person
        try:
            answer = self._client.raw_request("get", f"/v1/{path}", **parameters).data
        except stripe.APIConnectionError as error:
            cause = error.__cause__
            if isinstance(cause, (httpx.ConnectError, httpx.ConnectTimeout)):
                base = self._settings.of(StripeSettings).base
                raise http.UnreachableError(f"stripe: can't reach {base}: {type(cause).__name__}") from None
            raise http.RetryableError(f"{where}: {type(cause).__name__}") from None
        except BadResponseError as error:
            raise type(error)(f"{where}: {error}") from None
        except stripe.StripeError as error:
            raise self._refusal(path.split("/")[0], error) from None
        except (AttributeError, KeyError, TypeError):
            # Its library takes an error for an object of fields; one from whatever stands between may be a text.
            raise http.RetryableError(f"{where}: answered with an error that is not of Stripe's shape") from None
        if not isinstance(answer, dict):
            raise http.RetryableError(f"{where}: not a JSON object")
        return answer

    def _refusal(self, table: str, error: stripe.StripeError) -> Exception:
        status, headers = error.http_status or 0, error.headers or {}
        if status == 401:
            return SourceUnavailableError("stripe: answered 401: check STRIPE_API_KEY: it is not, or no longer, valid")
        if status == 403:
            return ForbiddenError(f"stripe: {table}: answered 403: {what_to_allow([table])}")
        answer = f"stripe: {table}: answered {status}{self._told(error)}"
        if status == 404 and error.code == "resource_missing":
            return MissingError(answer)
        # An answer below 400 is an error where it is not JSON.
        if (status in {409, 429} or not 400 <= status < 500) and headers.get("stripe-should-retry") != "false":
            kind = http.BusyError if status == 429 else http.RetryableError
            return kind(answer, http.retry_after(headers))
        return BadResponseError(answer)

    def _told(self, error: stripe.StripeError) -> str:
        """What an error answer says, on one line, without secrets or personal data."""
        text = str(error.error.message) if error.error and error.error.message else ""
        return f": {readable(_ID.sub('[id]', text), self._settings.secrets)}" if text else ""


@contextmanager
def open_api(settings: Settings, say: Callable[[str], None]) -> Iterator[Api]:
    import httpx
    import stripe

    own = settings.of(StripeSettings)
    if own.key is None:
        raise SourceUnavailableError("stripe: set STRIPE_API_KEY")
    stripe.enable_telemetry = False
    with http.client(REQUEST_SECONDS) as connection:

        class HttpClient(stripe.HTTPClient):
            """The library's own would wait for ever for an answer that drips."""

            name = "httpx"

            def request(
                self,
                method: str,
                url: str,
                headers: Mapping[str, str] | None,
                post_data: Any = None,
                *,
                _usage: list[str] | None = None,
            ) -> tuple[str, int, Mapping[str, str]]:
                try:
                    with connection.stream(method, url, headers=headers, content=post_data) as response:
                        text = ""
                        # What a refusal says does not matter as much as that it is one.
                        with suppress(*[BadResponseError] * (response.status_code >= 400)):
                            text = http.content(response, MOST_BYTES).decode()
                        return text, response.status_code, response.headers
                except UnicodeDecodeError:
                    raise http.RetryableError("not UTF-8") from None
                except httpx.HTTPError as error:
                    raise stripe.APIConnectionError(type(error).__name__) from error  # type: ignore[no-untyped-call]

        client = stripe.StripeClient(
            own.key.get_secret_value(),
            stripe_version=API_VERSION,
            base_addresses={"api": own.base.rstrip("/")},
            max_network_retries=0,
            http_client=HttpClient(),
        )
        yield Api(client, settings, say)


def what_to_allow(tables: Sequence[str]) -> str:
    names = ", ".join(table.replace("_", " ") for table in tables)
    return f"the key may not read {names}: give the restricted key read access to {names.title()}"


def _ids(path: str, page: Object) -> list[str]:
    items = page.get("data")
    if not (isinstance(items, list) and all(isinstance(as_object(item).get("id"), str) for item in items)):
        raise BadResponseError(f"stripe: {path}: not a list of objects")
    return [item["id"] for item in items]


def as_object(value: Any) -> Object:
    return value if isinstance(value, dict) else {}
