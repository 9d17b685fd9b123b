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

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import TYPE_CHECKING
from urllib.parse import quote

import pyarrow as pa

from tailtracker_bi.crash_points import declare, reached
from tailtracker_bi.settings import Settings
from tailtracker_bi.sources.base import Check, KnownIds, ObjectSource, Read, nothing_known
from tailtracker_bi.sources.records import (
    BadResponseError,
    SourceUnavailableError,
    Table,
    Versions,
)
from tailtracker_bi.sources.stripe.api import (
    TABLES,
    Api,
    ForbiddenError,
    MissingError,
    StripeSettings,
    as_object,
    open_api,
    what_to_allow,
)
from tailtracker_bi.sources.stripe.objects import STATUSES, Object, before
from tailtracker_bi.sources.stripe.version_file import VersionFile

if TYPE_CHECKING:
    pass

declare(
    {
        "stripe.events_read": "the events feed is read, no table is",
    }
)
OVERLAP = timedelta(days=1)
"""How far behind the last time to begin: events come late."""
LONGEST_GAP = timedelta(days=29)
"""After a longer one, events that Stripe keeps for 30 days may be gone."""
MANY_MISSING = 20
"""Objects asked for by id, of which none is there: with so many it is rather the account that is another one."""

EXPANDED = {
    "customers": ["discount.source.coupon"],
    # Of those on items, coupons would be too deep.
    "subscriptions": ["discounts.source.coupon", "items.data.discounts"],
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
EVENTS = "events"


class Stripe(ObjectSource):
    """Customers, what they subscribed to, and what they paid. Every object is kept as JSON, less what is withheld."""

    name = "stripe"
    title = "Stripe"
    follows_changes = True
    tables = tuple(
        Table(name, pa.schema([("created_at", pa.timestamp("us")), ("content", pa.string())])) for name in TABLES
    )

    @classmethod
    def is_on(cls, settings: Settings) -> bool:
        return settings.of(StripeSettings).key is not None

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
        with TemporaryDirectory(dir=spool) as directory, open_api(self.settings, self.say) as api:
            session = _Session(self, api, known, known_ids, directory)
            session.read_events()
            reached("stripe.events_read")
            yield session.read

    def check(self) -> Check:
        forbidden = []
        try:
            with open_api(self.settings, self.say) as api:
                for table in TABLES:
                    try:
                        api.get(table, limit=1)
                    except ForbiddenError:
                        forbidden.append(table)
        except (BadResponseError, SourceUnavailableError) as error:
            return Check(self.name, is_ok=False, detail=str(error))
        if forbidden:
            return Check(self.name, is_ok=False, detail=f"stripe: {what_to_allow(forbidden)}")
        mode = "live" if self.settings.of(StripeSettings).is_live else "test"
        detail = f"answers to a {mode} key, which may read all {len(TABLES)} tables"
        key = self.settings.of(StripeSettings).key
        if key and key.get_secret_value().startswith("sk_"):
            detail += "; warning: it may also write: use a restricted key that may only read (rk_...)"
        return Check(self.name, is_ok=True, detail=detail)


class _Session:
    """One reading of all tables: the events once, then table after table."""

    def __init__(
        self, source: Stripe, api: Api, since: Mapping[str, datetime], known_ids: KnownIds, directory: str
    ) -> None:
        self._source = source
        self.open_api = api
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
        self._files = {table.name: VersionFile(table, settings, directory) for table in tables}
        self._changed: dict[str, set[str]] = {table: set() for table in TABLES}

    def read_events(self) -> None:
        """Take from the events feed what objects were, and which have changed."""
        since = min(self._since.values()) if len(self._since) == len(TABLES) else None
        try:
            for event in self.open_api.objects(EVENTS, **_created_from(since)):
                self._add_event(event)
        except BadResponseError as error:
            self._events_error = error
            self._begin()
            if isinstance(error, ForbiddenError) and self._since:
                self._source.say(
                    "stripe: the key may not read events, which tell what changed: listing all of every table"
                )
                self._since = {}

    def _add_event(self, event: Object) -> None:
        data = as_object(event.get("data"))
        item = as_object(data.get("object"))
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
        states = [(item, "event", is_deleted)]
        if previous := as_object(data.get("previous_attributes")):
            states.append((before(item, previous), "before", False))
        for state, origin, is_gone in states:
            self._files[table].add(self._whole(table, state, with_rest_of_now=True), origin, at, is_gone)

    def _whole(self, table: str, item: Object, *, with_rest_of_now: bool = False) -> Object:
        """The object with what Stripe shows of it only in part: the list inside it, and its coupons."""
        whole = self.open_api.completed(table, item, with_rest_of_now=with_rest_of_now)
        return _with_discounts(whole, self._with_limits) if table in COUPON_PLACES else whole

    def _with_limits(self, discount: Object) -> Object:
        """A discount whose coupon says which products it is limited to, and what it is worth in other currencies; where
        its id alone is shown, all else, too.

        A coupon that was made anew under its id is another one, and tells nothing of the one that was given.
        """
        place = "source" if isinstance(discount.get("source"), dict) else None
        holder = as_object(discount.get("source")) if place else discount
        shown = holder.get("coupon")
        coupon = as_object(shown)
        id_ = shown if isinstance(shown, str) else coupon.get("id")
        # Others lower no MRR.
        is_enough = coupon and (coupon.get("duration") != "forever" or "applies_to" in coupon)
        if not isinstance(id_, str) or is_enough:
            return discount
        if id_ not in self._coupons:
            try:
                self._coupons[id_] = self.open_api.get(f"coupons/{quote(id_, safe='')}", expand=COUPON_PARTS)
            except BadResponseError:
                self._coupons[id_] = {}
        now = self._coupons[id_]
        if coupon:
            is_another = now.get("created") != coupon.get("created")
        else:
            made, given = now.get("created"), discount.get("start")
            is_another = not (isinstance(made, int) and isinstance(given, int) and made <= given)
        if now.get("id") != id_ or is_another:
            if coupon:
                self._unread_coupons.add(id_)
            return discount
        whole = holder | {"coupon": coupon | {part: now.get(part) for part in COUPON_PARTS} if coupon else now}
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

    def _add_objects(self, table: Table, file: VersionFile) -> None:
        name, listed = table.name, set()
        expand = EXPANDED.get(name, [])
        for parameters in self._lists(name):
            for item in self.open_api.objects(name, **parameters, expand=[f"data.{path}" for path in expand]):
                if item["id"] not in listed:
                    self._add_now(file, name, item, "list")
                    listed.add(item["id"])
        asked = sorted((self._changed[name] | self._in_doubt(table)) - listed)
        missing = 0
        for id_ in asked:
            item = self.open_api.find(name, id_, expand=expand)
            missing += item.get("deleted") is True
            self._add_now(file, name, item, "read")
        if name in COUPON_PLACES and self._unread_coupons:
            file.notes.append(
                f"{len(self._unread_coupons)} coupons are not there any more, or may not be read: whether they are "
                "limited to some products is not known, and they count for all"
            )
        if MANY_MISSING <= missing == len(asked):
            file.doubt = f"none of {missing} objects that were open is there: does the key belong to another account?"

    def _add_now(self, file: VersionFile, table: str, item: Object, origin: str) -> None:
        try:
            whole = self._whole(table, item)
        except MissingError:  # a draft, say, that went while the rest of it was asked for
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


def _created_from(since: datetime | None) -> Object:
    return {} if since is None else {"created": {"gte": int((since - OVERLAP).timestamp())}}


def _with_discounts(item: Object, change: Callable[[Object], Object]) -> Object:
    """The object with each discount changed that it shows in full: on itself, and on its items."""
    changed: Object = {}
    if isinstance(item.get("discount"), dict):
        changed["discount"] = change(item["discount"])
    if isinstance(item.get("discounts"), list):
        changed["discounts"] = [change(each) if isinstance(each, dict) else each for each in item["discounts"]]
    items = as_object(item.get("items"))
    if isinstance(items.get("data"), list):
        changed["items"] = items | {"data": [_with_discounts(as_object(each), change) for each in items["data"]]}
    return item | changed
