"""Reads today so far, for the last hours alone.

Nothing lands in the lake, nothing is built, no build that readers see is touched: so a run takes a lock of its own, not
the one of HOME, for which a refresh would wait. It leaves its turn out while a refresh is at work. Mixpanel's events
are read, and Stripe's charges, each an event, too: of other objects the states would have to be read and kept.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

import pyarrow as pa
from filelock import FileLock, Timeout

from tailtracker_bi import recent
from tailtracker_bi.analytics import Analytics, plain_id
from tailtracker_bi.errors import SettingsError, TailTrackerError
from tailtracker_bi.runs.lock import check_home, is_held
from tailtracker_bi.settings import Settings
from tailtracker_bi.sources import Charge, Stripe, UnfinishedDays, recent_charges
from tailtracker_bi.warehouse import certain_part, landed_id, plain_value

if TYPE_CHECKING:
    import polars as pl

IDS = ("user_id", "distinct_id", "device_id")
"""Of an event, the first of them that is there is whose it is."""
IDENTITY_EVENTS = ("$identify", "$create_alias", "$merge")


@dataclass(frozen=True)
class Span:
    """From when to when activity is counted, in UTC; the end is exclusive."""

    kind: Literal["last_hour", "hour", "day"]
    is_day_before: bool
    starts_at: datetime
    ends_at: datetime


def update_recent(settings: Settings, analytics: Analytics, say: Callable[[str], None]) -> bool:
    """Read today so far and replace the table of the last hours; False where another run is at work, which `say` tells.

    Raises TailTrackerError where the source does not answer, or not whole: the table stays as it was.
    """
    if not UnfinishedDays.is_on(settings) and not Stripe.is_on(settings):
        off = f"mixpanel is off: {UnfinishedDays.why_off}; stripe is off: {Stripe.why_off}"
        raise SettingsError(f"{off}: nothing tells of the last hours")
    check_home(settings.home)
    folder = recent.file_in(settings.home).parent
    folder.mkdir(mode=0o700, exist_ok=True)
    try:
        with FileLock(folder / "lock", mode=0o600).acquire(timeout=0):
            if is_held(settings.home):
                say("a refresh is at work: the last hours wait for their next turn")
                return False
            recent.write(settings.home, _read(settings, analytics, say))
    except Timeout:
        say("the last hours are being read already")
        return False
    return True


def _read(settings: Settings, analytics: Analytics, say: Callable[[str], None]) -> list[dict[str, Any]]:
    spans, found = list(spans_of(settings.now, settings.timezone)), list[dict[str, Any]]()
    since = min(span.starts_at for span in spans)
    try:
        if UnfinishedDays.is_on(settings):
            events = _events(since, settings, analytics, say)
            found += [row | {"source": UnfinishedDays.name} for row in _counted(events, spans)]
        if Stripe.is_on(settings):
            charges = _charges(recent_charges(settings, since, say))
            found += [row | {"source": Stripe.name} for row in _counted(charges, spans)]
    except TailTrackerError as error:
        kept = "what was read before stays" if recent.file_in(settings.home).exists() else "nothing was read before"
        raise type(error)(f"{error}; of the last hours, {kept}") from None
    told = {"as_of": settings.now, "observed_at": datetime.now(UTC)}
    return [row | told for row in found]


def _events(since: datetime, settings: Settings, analytics: Analytics, say: Callable[[str], None]) -> pl.DataFrame:
    zone = ZoneInfo(UnfinishedDays.timezone(settings))
    # A refresh clears its own.
    spool = recent.file_in(settings.home).with_name("spool")
    shutil.rmtree(spool, ignore_errors=True)  # what a run left that was killed
    try:
        first, today = since.astimezone(zone).date(), UnfinishedDays.today(settings)
        with UnfinishedDays(settings, say).fetch(first, today, spool) as days:
            return _activity(days.rows, settings, analytics, zone)
    finally:
        shutil.rmtree(spool, ignore_errors=True)


def _charges(charges: Iterable[Charge]) -> pl.DataFrame:
    """As events: paid in a currency, or failed. Who is a test account Stripe does not tell."""
    import polars as pl

    schema: Mapping[str, Any] = {
        "event": pl.String, "occurred_at": pl.Datetime("us", "UTC"), "person": pl.String, "amount": pl.Decimal(38, 3),
    }  # fmt: skip
    rows = [
        (f"Paid in {one.currency}" if one.paid is not None else "Failed", one.occurred_at, one.customer, one.paid)
        for one in charges
    ]
    return pl.DataFrame(rows, schema, orient="row")


def spans_of(now: datetime, timezone: str) -> Iterator[Span]:
    """What is counted at a moment: the 60 minutes before, today's hours and all of them, and the same a day before."""
    zone = ZoneInfo(timezone)
    local = now.astimezone(zone)
    for is_day_before, until in ((False, local), (True, _a_day_before(local))):
        midnight = datetime.combine(until.date(), time(), zone).astimezone(UTC)
        end = until.astimezone(UTC)
        yield Span("last_hour", is_day_before, end - timedelta(hours=1), end)
        yield Span("day", is_day_before, midnight, end)
        start = midnight
        while start < end:
            following = start + timedelta(hours=1)
            yield Span("hour", is_day_before, start, min(following, end))
            start = following


def _a_day_before(local: datetime) -> datetime:
    """The same time of the day before, by the clock on the wall."""
    return datetime.combine(local.date() - timedelta(days=1), local.timetz())


def _activity(rows: pa.RecordBatchReader, settings: Settings, analytics: Analytics, zone: ZoneInfo) -> pl.DataFrame:
    """Events that are a sign of somebody who counts: `event`, `occurred_at` in UTC, `person` (none: nobody's).

    People are told apart by the ids of these days alone: a device is its first user's.
    """
    import polars as pl

    parts = [_of_batch(batch, settings, analytics, zone) for batch in rows if batch.num_rows]
    if not parts:
        schema: Mapping[str, Any] = {"event": pl.String, "occurred_at": pl.Datetime("us", "UTC"), "person": pl.String}
        return pl.DataFrame(schema=schema)
    events = pl.concat(parts)
    tied = events.filter(pl.col("user_id").is_not_null() & pl.col("device_id").is_not_null())
    owners = tied.sort("occurred_at", "user_id").unique("device_id", keep="first", maintain_order=True)
    events = events.with_columns(raw_id=pl.coalesce(IDS)).join(
        owners.select(raw_id="device_id", owner="user_id"), on="raw_id", how="left"
    )
    left_out = {landed_id(user, settings) for user in analytics.test_accounts.user_ids}
    person = pl.coalesce("owner", "raw_id")
    return events.filter(~person.is_in(left_out).fill_null(False)).select("event", "occurred_at", person=person)


def _of_batch(batch: pa.RecordBatch, settings: Settings, analytics: Analytics, zone: ZoneInfo) -> pl.DataFrame:
    import polars as pl

    no_activity = {*analytics.activity.exclude_events, *IDENTITY_EVENTS}
    events = pl.DataFrame(pa.Table.from_batches([batch]).select(["event", "time", *IDS, "properties"])).filter(
        ~pl.col("event").is_in(no_activity)
    )
    for rule in analytics.test_accounts.event_properties:
        part = certain_part(rule.equals)
        texts = events["properties"]
        has = [
            part in text and _value(text, rule.property) in {rule.equals, plain_value(rule.equals)} for text in texts
        ]
        events = events.filter(~pl.Series(has, dtype=pl.Boolean))
    nobodys = analytics.identities.all_nobodys
    time_utc = pl.col("time").dt.replace_time_zone(str(zone), ambiguous="earliest", non_existent="null")
    return events.select(
        "event",
        time_utc.dt.convert_time_zone("UTC").alias("occurred_at"),
        *(_somebodys(events[name], nobodys) for name in IDS),
    )


def _value(properties: str, name: str) -> str | None:
    """A property's value as rules name it: its own, or one inside of others; None where it is not there."""
    # Not by orjson, which refuses some of what lands, as numbers without end.
    known = json.loads(properties)
    found = known.get(name)
    if found is None:
        found = known
        for step in name.split("."):
            found = found.get(step) if isinstance(found, dict) else None
    return found if found is None or isinstance(found, str) else plain_value(json.dumps(found))


def _somebodys(ids: pl.Series, nobodys: Iterable[str]) -> pl.Series:
    """Ids without `$device:`, and none where it is nobody's."""
    import polars as pl

    known, kept = set(nobodys), {}
    for sent in ids.drop_nulls().unique():
        plain = plain_id(sent)
        kept[sent] = None if plain in known or not plain.strip("0-") else sent.removeprefix("$device:")
    return ids.replace_strict(kept, default=None, return_dtype=pl.String) if kept else ids


def _counted(events: pl.DataFrame, spans: Iterable[Span]) -> Iterator[dict[str, Any]]:
    """A row for each event that was seen in a span, and one for all of them, which is 0 where there was none."""
    import polars as pl

    numbers = [pl.len().alias("events"), pl.col("person").drop_nulls().n_unique().alias("people")]
    # Amounts of several currencies are no sum.
    parts = [*numbers, pl.col("amount").sum()] if "amount" in events.columns else numbers
    for span in spans:
        own = events.filter(pl.col("occurred_at").is_between(span.starts_at, span.ends_at, closed="left"))
        by_event = own.group_by("event").agg(parts).sort("event").to_dicts()
        for counts in ({"event": None} | own.select(numbers).to_dicts()[0], *by_event):
            yield counts | {
                "amount": counts.get("amount") or None,
                "span": span.kind,
                "is_day_before": span.is_day_before,
                "starts_at": span.starts_at,
                "ends_at": span.ends_at,
            }
