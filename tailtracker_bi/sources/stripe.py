"""Stripe's objects, each in its state now, and what the events feed tells of the states between.

    GET /v1/events       --> history, and the ids that changed --+
    GET /v1/<table>      --> all objects, or the new ones, ------+--> allow-list --> a file in `spool` --> Versions
                             and once a day the open ones -------+
    GET /v1/<table>/<id> --> those that changed, or are open in -+
                             the lake and in no list

Facts this rests on (Stripe's API reference): objects carry no time of their last change, so what changed is known from
events alone; these are kept for 30 days, come late and in no order, and hold the object as it was, in the shape of an
API version of then; lists leave deleted objects out; a 429 says whether to try again.

An event that never came would leave its object as it was for ever. So on the first refresh of a day what is open, and
will change, is read again: by lists, 100 to a request, where Stripe lists by status; by its id where it does not, and
where an object has left these lists. A full list tells nothing of what is gone, so what the lake has beside it is read
by its id, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from tailtracker_bi.crash_points import reached
from tailtracker_bi.personal_data import hash_personal_id, mask_text
from tailtracker_bi.settings import Settings
from tailtracker_bi.sources import http
from tailtracker_bi.sources.base import (
    QUARANTINE_SCHEMA,
    VERSION_SCHEMA,
    BadResponseError,
    Check,
    Counts,
    KnownIds,
    ObjectSource,
    Read,
    Remark,
    SourceUnavailableError,
    Table,
    Versions,
    nothing_known,
)
from tailtracker_bi.sources.foreign_text import readable
from tailtracker_bi.sources.stripe_objects import STATUSES, TYPES, AllowList, Object, before

if TYPE_CHECKING:
    import stripe

API_VERSION = "2026-10-28.endive"
OVERLAP = timedelta(days=1)
"""How far behind the last time to begin: events come late."""
LONGEST_GAP = timedelta(days=29)
"""After a longer one, events that Stripe keeps for 30 days may be gone."""
REQUEST_SECONDS = 180.0
MOST_BYTES = 64 << 20
PAGE = 100
MANY_MISSING = 20
"""Objects asked for by id, of which none is there: with so many it is rather the account that is another one."""
BATCH_ROWS = 2000
_END_OF_TIME = 253_402_300_800
_ID = re.compile(r"\b[a-z]{2,8}_(?=\w*[0-9A-Z])\w+")

EXPANDED = {
    "customers": ["discount.source.coupon"],
    "subscriptions": ["discounts.source.coupon"],
    "prices": ["currency_options", "tiers"],
}
COUPON_PARTS = ["applies_to", "currency_options"]
"""What a coupon shows only where it is asked for; inside what lists show of others that would be too deep."""
FILTERS: dict[str, Object] = {"subscriptions": {"status": "all"}}
OPEN_LISTS: dict[str, tuple[Object, ...]] = {
    "subscriptions": ({},),  # without a status: all that are not canceled
    "invoices": ({"status": "draft"}, {"status": "open"}),
    "invoice_payments": ({"status": "open"},),
}
"""The lists that hold what is open, of the tables that have such."""
COUPON_PLACES = ("customers", "subscriptions")
"""The tables whose objects hold the discounts that MRR knows of."""
TABLES = {f"{type_}s": type_ for type_ in TYPES}
EVENTS = "events"


class Stripe(ObjectSource):
    """Customers, what they subscribed to, and what they paid. Every object is kept as JSON, less what is withheld."""

    name = "stripe"
    follows_changes = True
    tables = tuple(
        Table(name, pa.schema([("created_at", pa.timestamp("us")), ("content", pa.string())])) for name in TABLES
    )

    @classmethod
    def is_on(cls, settings: Settings) -> bool:
        return settings.stripe_api_key is not None

    @contextmanager
    def session(
        self, since: Mapping[str, datetime], spool: Path, known_ids: KnownIds = nothing_known
    ) -> Iterator[Read]:
        moments = {table: moment.replace(tzinfo=UTC) for table, moment in since.items()}
        known = {
            table: moment
            for table, moment in moments.items()
            if timedelta() <= self.settings.now - moment <= LONGEST_GAP
        }
        if stale := sorted(moments.keys() - known.keys()):
            oldest = min(moments[table] for table in stale)
            why = "events since then are gone" if oldest < self.settings.now else "that is yet to come"
            self.say(
                f"stripe: last brought up to date on {oldest:%Y-%m-%d}, and {why}: listing all of {', '.join(stale)}"
            )
        spool.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=spool) as directory, _api(self.settings, self.say) as api:
            session = _Session(self, api, known, known_ids, directory)
            session.read_events()
            reached("stripe.events_read")
            yield session.read

    def check(self) -> Check:
        forbidden = []
        try:
            with _api(self.settings, self.say) as api:
                for table in TABLES:
                    try:
                        api.get(table, limit=1)
                    except _ForbiddenError:
                        forbidden.append(table)
        except (BadResponseError, SourceUnavailableError) as error:
            return Check(self.name, is_ok=False, detail=str(error))
        if forbidden:
            return Check(self.name, is_ok=False, detail=f"stripe: {_what_to_allow(forbidden)}")
        mode = "live" if self.settings.is_stripe_live else "test"
        detail = f"answers to a {mode} key, which may read all {len(TABLES)} tables"
        key = self.settings.stripe_api_key
        if key and key.get_secret_value().startswith("sk_"):
            detail += "; warning: it may also write: use a restricted key that may only read (rk_...)"
        return Check(self.name, is_ok=True, detail=detail)


class _Session:
    """One reading of all tables: the events once, then table after table."""

    def __init__(
        self, source: Stripe, api: _Api, since: Mapping[str, datetime], known_ids: KnownIds, directory: str
    ) -> None:
        self._source = source
        self._api = api
        self._since = since
        self._known_ids = known_ids
        self._directory = directory
        self._events_error: BadResponseError | None = None
        self._coupons: dict[str, Object] = {}
        self._unread_coupons: set[str] = set()
        self._begin()

    def _begin(self) -> None:
        directory = Path(mkdtemp(dir=self._directory))
        tables, settings = self._source.tables, self._source.settings
        self._files = {table.name: _VersionFile(table, settings, directory) for table in tables}
        self._changed: dict[str, set[str]] = {table: set() for table in TABLES}

    def read_events(self) -> None:
        """Take from the events feed what objects were, and which have changed."""
        since = min(self._since.values()) if len(self._since) == len(TABLES) else None
        try:
            for event in self._api.objects(EVENTS, **_created_from(since)):
                self._add_event(event)
        except BadResponseError as error:
            self._events_error = error
            self._begin()
            if isinstance(error, _ForbiddenError) and self._since:
                self._source.say(
                    "stripe: the key may not read events, which tell what changed: listing all of every table"
                )
                self._since = {}

    def _add_event(self, event: Object) -> None:
        data = _object(event.get("data"))
        item = _object(data.get("object"))
        type_, id_, at = item.get("object"), item.get("id"), event.get("created")
        about = {name: value for name, value in event.items() if name not in {"object", "data"}}
        if type_ == "discount":  # which is part of what has it, where its bare id may be all that an event shows
            about["discount"] = self._with_limits(item)
        if not self._files[EVENTS].add(about | {"object_type": type_, "object_id": id_}, "list"):
            return
        if type_ == "discount":
            for owner in ("customer", "subscription"):
                if isinstance(item.get(owner), str):
                    self._changed[f"{owner}s"].add(item[owner])
        table = f"{type_}s"
        if table not in TABLES or table == EVENTS or not isinstance(id_, str):
            return
        self._changed[table].add(id_)
        # A subscription is called deleted when it is canceled.
        is_deleted = str(event.get("type")).endswith(".deleted") and type_ != "subscription"
        told = [(item, "event", is_deleted)]
        if previous := _object(data.get("previous_attributes")):
            told.append((before(item, previous), "before", False))
        for state, origin, is_gone in told:
            self._files[table].add(self._whole(table, state, with_rest_of_now=True), origin, at, is_gone)

    def _whole(self, table: str, item: Object, *, with_rest_of_now: bool = False) -> Object:
        """The object with what Stripe shows of it only in part: the list inside it, and its coupons."""
        if table in COUPON_PLACES:
            item = _with_discounts(item, self._with_limits)
        return self._api.completed(table, item, with_rest_of_now=with_rest_of_now)

    def _with_limits(self, discount: Object) -> Object:
        """A discount whose coupon says which products it is limited to, and what it is worth in other currencies.

        A coupon that was made anew under its id is another one, and tells nothing of the one that was given.
        """
        place = "source" if isinstance(discount.get("source"), dict) else None
        holder = _object(discount.get("source")) if place else discount
        coupon = _object(holder.get("coupon"))
        id_ = coupon.get("id")
        # Others lower no MRR.
        if not isinstance(id_, str) or coupon.get("duration") != "forever" or "applies_to" in coupon:
            return discount
        if id_ not in self._coupons:
            try:
                self._coupons[id_] = self._api.get(f"coupons/{quote(id_, safe='')}", expand=COUPON_PARTS)
            except BadResponseError:
                self._coupons[id_] = {}
        now = self._coupons[id_]
        if now.get("id") != id_ or now.get("created") != coupon.get("created"):
            self._unread_coupons.add(id_)
            return discount
        whole = holder | {"coupon": coupon | {part: now.get(part) for part in COUPON_PARTS}}
        return discount | {"source": whole} if place else whole

    @contextmanager
    def read(self, table: Table) -> Iterator[Versions]:
        """Bring one table to its state now."""
        if self._events_error and table.name == EVENTS:
            raise self._events_error
        if self._events_error and table.name in self._since:
            raise BadResponseError(f"stripe: {table.name}: can't tell what changed: {self._events_error}")
        file = self._files.pop(table.name)
        if table.name != EVENTS:
            self._add_objects(table, file)
        with file.versions() as versions:
            yield versions

    def _add_objects(self, table: Table, file: _VersionFile) -> None:
        name, listed = table.name, set()
        expand = EXPANDED.get(name, [])
        for parameters in self._lists(name):
            for item in self._api.objects(name, **parameters, expand=[f"data.{path}" for path in expand]):
                if item["id"] not in listed:
                    self._add_now(file, name, item, "list")
                    listed.add(item["id"])
        asked = sorted((self._changed[name] | self._in_doubt(table)) - listed)
        missing = 0
        for id_ in asked:
            item = self._api.find(name, id_, expand=expand)
            missing += item.get("deleted") is True
            self._add_now(file, name, item, "read")
        if name in COUPON_PLACES and self._unread_coupons:
            file.notes.append(
                f"{len(self._unread_coupons)} coupons are not there any more, or may not be read: whether they are "
                "limited to some products is not known, and they count for all"
            )
        if MANY_MISSING <= missing == len(asked):
            file.doubt = f"none of {missing} objects that were open is there: does the key belong to another account?"

    def _add_now(self, file: _VersionFile, table: str, item: Object, origin: str) -> None:
        try:
            whole = self._whole(table, item)
        except _MissingError:  # a draft, say, that went while the rest of it was asked for
            whole = {"id": item["id"], "object": TABLES[table], "deleted": True}
        file.add(whole, origin, is_deleted=whole.get("deleted") is True)

    def _lists(self, table: str) -> Iterator[Object]:
        """The parameters of each list that is read: of all objects or the new ones, and of those that are open."""
        yield FILTERS.get(table, {}) | _created_from(self._since.get(table))
        if self._is_day_s_first(table):
            yield from OPEN_LISTS.get(table, ())

    def _in_doubt(self, table: Table) -> set[str]:
        """The objects that the lake has, and that are read by their id unless a list shows them."""
        if table.name not in self._since:
            return set(self._known_ids(table, ""))
        statuses = STATUSES.get(TABLES[table.name])
        if statuses is None or not self._is_day_s_first(table.name):
            return set()
        lasting = ", ".join(f"'{status}'" for status in sorted(statuses.lasting))
        return set(self._known_ids(table, f"content ->> '$.status' not in ({lasting})"))

    def _is_day_s_first(self, table: str) -> bool:
        """Whether the table was last brought up to date on an earlier day, in UTC."""
        since = self._since.get(table)
        return since is not None and since.date() < self._source.settings.now.astimezone(UTC).date()


class _VersionFile:
    """The versions of one table on their way to the lake: checked, stripped of what is withheld, in a file."""

    def __init__(self, table: Table, settings: Settings, directory: Path) -> None:
        self._type = TABLES[table.name]
        self._is_live = settings.is_stripe_live
        self._allowed = AllowList(TYPES[self._type], partial(hash_personal_id, key=settings.hash_key))
        self._today = settings.now.date()
        self.doubt = ""
        self.notes: list[str] = []
        self._schema = pa.schema([*VERSION_SCHEMA, *table.schema])
        self._path = directory / f"{table.name}.parquet"
        self._writer = pq.ParquetWriter(self._path, self._schema, compression="zstd")
        self._rows: list[tuple[Any, ...]] = []
        self._quarantine: list[tuple[date, str, str]] = []
        self._counts = Counts()
        self._of_other_mode: set[str] = set()
        self._with_card_number: set[str] = set()
        self._unknown_statuses: set[str] = set()
        self._newer_versions: set[str] = set()

    def add(self, item: Object, origin: str, effective_at: Any = None, is_deleted: bool = False) -> bool:
        """Take in a version, or set it aside and give False."""
        self._counts.received += 1
        created = item.get("created")
        if item.get("livemode", self._is_live) is not self._is_live:
            self._of_other_mode.add(item["id"])
            return self._set_aside(item, f"livemode is {item['livemode']}, unlike the key's")
        if not (_is_time(created) and _is_time(effective_at)):
            return self._set_aside(item, "created is not a time")
        try:
            card_numbers = self._allowed.card_numbers
            allowed = self._allowed.kept(item)
            content = orjson.dumps(allowed, option=orjson.OPT_SORT_KEYS)
        except TypeError as error:
            return self._set_aside(item, f"can't be written as JSON: {readable(str(error), ())}")
        if self._allowed.wrong:
            return self._set_aside(item, f"{self._allowed.wrong[0]} is no number that it could be")
        if self._allowed.card_numbers > card_numbers:
            self._with_card_number.add(item["id"])
        self._note_unknown(allowed)
        self._rows.append((item["id"], _micros(effective_at), origin, is_deleted, _micros(created), content.decode()))
        if len(self._rows) == BATCH_ROWS:
            self._flush()
        return True

    def _note_unknown(self, item: Object) -> None:
        status, statuses = item.get("status"), STATUSES.get(self._type)
        if statuses and isinstance(status, str) and status not in statuses.passing | statuses.lasting:
            self._unknown_statuses.add(status)
        # They begin with a date.
        version = item.get("api_version")
        if self._type == "event" and isinstance(version, str) and version[:10] > API_VERSION[:10]:
            self._newer_versions.add(version)

    def _remarks(self) -> Iterator[Remark]:
        if self._of_other_mode:
            mode = "live" if self._is_live else "test"
            yield Remark(
                f"{len(self._of_other_mode)} objects that are not of the {mode} mode, as the key is, were set aside",
                is_alarm=True,
            )
        if self._with_card_number:
            yield Remark(
                f"{len(self._with_card_number)} objects held a card number, which did not land: take it out in Stripe",
                is_alarm=True,
            )
        yield from map(Remark, self.notes)
        if self._unknown_statuses:
            yield Remark(f"no model knows the status {', '.join(sorted(self._unknown_statuses))}")
        if self._newer_versions:
            yield Remark(
                f"events came in API version {max(self._newer_versions)}, newer than {API_VERSION}, in which objects "
                "are read: of their history fields may be missing"
            )

    def _set_aside(self, item: Object, reason: str) -> bool:
        created = item.get("created")
        day = datetime.fromtimestamp(created, UTC).date() if created and _is_time(created) else self._today
        record = orjson.dumps({"id": item["id"], "object": self._type}).decode()
        self._quarantine.append((day, reason, record))
        self._counts.quarantined += 1
        return False

    def _flush(self) -> None:
        self._writer.write_table(_rows_table(self._rows, self._schema))
        self._rows.clear()

    @contextmanager
    def versions(self) -> Iterator[Versions]:
        """All that was taken in; nothing can be added any more."""
        self._flush()
        self._writer.close()
        with pq.ParquetFile(self._path) as file:
            yield Versions(
                rows=pa.RecordBatchReader.from_batches(self._schema, file.iter_batches(BATCH_ROWS)),
                is_snapshot=False,
                quarantine=_rows_table(self._quarantine, QUARANTINE_SCHEMA).to_reader(),
                counts=self._counts,
                withheld=frozenset(map(mask_text, self._allowed.withheld)),
                remarks=list(self._remarks()),
                doubt=self.doubt,
            )


class _ForbiddenError(BadResponseError):
    """The key may not read a table."""


class _MissingError(BadResponseError):
    """There is no such object, or not any more."""


class _Api:
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
        except _MissingError:
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
        parameters = {}
        match table:
            case "invoices":
                field, path = "lines", f"invoices/{quote(item['id'], safe='')}/lines"
            case "subscriptions":
                field, path, parameters = "items", "subscription_items", {"subscription": item["id"]}
            case _:
                return item
        inner = _object(item.get(field))
        if not inner.get("has_more"):
            return item
        shown = _ids(path, inner)
        if not with_rest_of_now:
            rest = list(self.objects(path, shown, **parameters))
        else:
            if (table, item["id"]) not in self._inner_lists:
                try:
                    self._inner_lists[table, item["id"]] = list(self.objects(path, **parameters))
                except _MissingError:
                    return item
            rest = [each for each in self._inner_lists[table, item["id"]] if each["id"] not in shown]
        return item | {field: inner | {"data": [*inner["data"], *rest], "has_more": False}}

    def _get(self, path: str, parameters: Object) -> Object:
        import stripe

        where = f"stripe: {path.split('/')[0]}"  # ids tell of a person
        try:
            answer = self._client.raw_request("get", f"/v1/{path}", **parameters).data
        except stripe.APIConnectionError as error:
            cause = error.__cause__
            if isinstance(cause, (httpx.ConnectError, httpx.ConnectTimeout)):
                base = self._settings.stripe_api_base
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
            return _ForbiddenError(f"stripe: {table}: answered 403: {_what_to_allow([table])}")
        answer = f"stripe: {table}: answered {status}{self._told(error)}"
        if status == 404 and error.code == "resource_missing":
            return _MissingError(answer)
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
def _api(settings: Settings, say: Callable[[str], None]) -> Iterator[_Api]:
    import stripe

    if settings.stripe_api_key is None:
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
            settings.stripe_api_key.get_secret_value(),
            stripe_version=API_VERSION,
            base_addresses={"api": settings.stripe_api_base.rstrip("/")},
            max_network_retries=0,
            http_client=HttpClient(),
        )
        yield _Api(client, settings, say)


def _created_from(since: datetime | None) -> Object:
    return {} if since is None else {"created": {"gte": int((since - OVERLAP).timestamp())}}


def _what_to_allow(tables: Sequence[str]) -> str:
    names = ", ".join(table.replace("_", " ") for table in tables)
    return f"the key may not read {names}: give the restricted key read access to {names.title()}"


def _ids(path: str, page: Object) -> list[str]:
    items = page.get("data")
    if not (isinstance(items, list) and all(isinstance(_object(item).get("id"), str) for item in items)):
        raise BadResponseError(f"stripe: {path}: not a list of objects")
    return [item["id"] for item in items]


def _with_discounts(item: Object, change: Callable[[Object], Object]) -> Object:
    """The object with each discount changed that it shows in full: on itself, and on its items."""
    changed: Object = {}
    if isinstance(item.get("discount"), dict):
        changed["discount"] = change(item["discount"])
    if isinstance(item.get("discounts"), list):
        changed["discounts"] = [change(each) if isinstance(each, dict) else each for each in item["discounts"]]
    items = _object(item.get("items"))
    if isinstance(items.get("data"), list):
        changed["items"] = items | {"data": [_with_discounts(_object(each), change) for each in items["data"]]}
    return item | changed


def _object(value: Any) -> Object:
    return value if isinstance(value, dict) else {}


def _is_time(value: Any) -> bool:
    return value is None or (type(value) is int and 0 <= value < _END_OF_TIME)


def _micros(seconds: int | None) -> int | None:
    return None if seconds is None else seconds * 1_000_000


def _rows_table(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )
