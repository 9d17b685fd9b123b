"""The events beside a build, of which Explore asks what nobody declared: `published/<build>.events/`, in Parquet.

    events/2026-05-01.<digests>.parquet   a month: who (a keyed hash), what, when, and properties that may be asked of
    plans.<digests>.parquet               which plan each of these people had, from when to when
    <schema>.<table>.parquet              what models read of the calendar and of what has landed

A file of which nothing changed since the build before is a hard link to that build's. The first digest in its name is
of what it was made from, so that it need not be made to find out; the second of its bytes, so that no damaged one is
linked.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import shutil
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from tailtracker_bi import durable

if TYPE_CHECKING:  # readers need not load it
    from tailtracker_bi.warehouse import Engine

HASH_LENGTH = 16
_WRITTEN_AS_IS = re.compile(r"[A-Za-z0-9_:-]+")
"""No writer of JSON has another way to write these in a name, and no path cuts them."""
HASHES = pa.schema([("raw", pa.string()), ("hash", pa.string())])
GIVEN = (
    "config.run_context",
    "config.day_periods",
    "config.inactive_events",
    "intermediate.int_sources_covered",
    "intermediate.int_metrics_covered",
    "intermediate.int_source_days_landed",
)
"""Small tables that models read besides people's events."""

_DAYS, _IDENTITIES = "intermediate.int_raw_id_days", "intermediate.int_identities_resolved"
_ATTRIBUTED, _PERSON_PLANS = "intermediate.int_events_attributed", "intermediate.int_person_plans"
REACH = timedelta(days=3)
"""A day of the source may reach two days into others."""

# People's events as the build counts them.
_EVENTS = """
    select
        hashes.hash as person_id,
        events.event_name,
        events.event_date,
        events.occurred_at,
        events.platform,
        events.country,
        events.app_version,
        printf('%010d', row_number() over (
            partition by hashes.hash
            order by events.occurred_at, events.event_name, coalesce(events.insert_id, ''), events.properties
        )) as insert_id,
        {properties} as properties
    from warehouse.intermediate.int_events_attributed as events
    left join warehouse.intermediate.int_identities_resolved as identities on events.raw_id = identities.raw_id
    left join hashes on coalesce(identities.person_id, events.raw_id) = hashes.raw
    where
        events.export_day between date '{month}' - 3 and last_day(date '{month}') + 3
        and events.event_date between date '{month}' and last_day(date '{month}')
        and not events.is_identity_event
        and not events.is_excluded
        and not coalesce(identities.is_excluded, false)
    order by events.event_name, events.occurred_at
"""
_PEOPLE = """
    select distinct coalesce(identities.person_id, days.raw_id)
    from warehouse.intermediate.int_raw_id_days as days
    left join warehouse.intermediate.int_identities_resolved as identities on days.raw_id = identities.raw_id
    where days.raw_id is not null and days.event_date between date '{month}' and last_day(date '{month}')
"""
# What was counted of a month and for whom.
_COUNTED = """
    select
        cast(date_trunc('month', days.event_date) as date) as month,
        days.*,
        identities.person_id,
        identities.is_excluded as is_excluded_person
    from {days} as days
    left join {identities} as identities on days.raw_id = identities.raw_id
"""
# The landings that a month was read from.
_LANDINGS = """
    select source_day, landing from warehouse.marks.landings
    where
        source = 'mixpanel'
        and table_name = 'events'
        and source_day between date '{month}' - 3 and last_day(date '{month}') + 3
    order by source_day
"""
_PLANS = "select {person}, from_date, to_date, plan from {plans} order by all"


def write_events(
    connection: duckdb.DuckDBPyConnection,
    warehouse: Engine,
    folder: Path,
    before: Path | None,
    hash_key: bytes,
    properties: Sequence[str],
) -> None:
    """Write the files of a build into a new folder, by a connection that reads the warehouse.

    `before` is the folder of an earlier build, `properties` are those of events that may be asked of.
    """
    (folder / "events").mkdir(parents=True)
    with warehouse.session(is_reader=True) as session:
        days, identities = map(session.named, (_DAYS, _IDENTITIES))
        months = session.digests(_COUNTED.format(days=days, identities=identities), "month")
        _, plans_content = session.digest(_PERSON_PLANS)
    small = ("marks.finished", "marks.landings", *GIVEN)
    warehouse.attach(connection, "warehouse", dict.fromkeys(small, ""))
    [(definition,)] = connection.execute("select definition from warehouse.marks.finished").fetchall()
    version = connection.execute("select version()").fetchall()
    common = repr([definition, list(properties), keyed_hash("", hash_key), version, warehouse.version, _EVENTS])
    for month, content in sorted(months.items()):
        landings = connection.execute(_LANDINGS.format(month=month)).fetchall()
        name = f"events/{month}.{_digest(common, content, landings)}"
        if not _linked(name, folder, before):
            begins, ends = month.replace(day=1), (month.replace(day=1) + timedelta(days=31)).replace(day=1)
            near = f"export_day between date '{begins - REACH}' and date '{ends + REACH}'"
            warehouse.attach(connection, "warehouse", {_DAYS: near, _IDENTITIES: "", _ATTRIBUTED: near})
            _know(connection, _PEOPLE.format(month=month), hash_key)
            select = _EVENTS.format(month=month, properties=_properties(properties))
            _named_by_its_bytes(_write(connection, select, folder / f"{name}.parquet"))
    plans = f"warehouse.{_PERSON_PLANS}"
    name = f"plans.{_digest(common, plans_content)}"
    if not _linked(name, folder, before):
        warehouse.attach(connection, "warehouse", {_PERSON_PLANS: ""})
        _know(connection, f"select distinct person_id from {plans}", hash_key)
        hashed = "(select hash from hashes where raw = person_id) as person_id"
        select = _PLANS.format(person=hashed, plans=plans)
        _named_by_its_bytes(_write(connection, select, folder / f"{name}.parquet"))
    for table in GIVEN:
        _write(connection, f"from warehouse.{table}", folder / f"{table}.parquet")
    for written in (*folder.rglob("*.parquet"), folder / "events", folder):
        durable.sync(written)


def events_of(build: Path) -> Path:
    """Where the events beside a build are, whose file this is."""
    return build.with_suffix(".events")


def drop_events(home: Path, kept: Iterable[Path]) -> None:
    """Remove the folders of builds that are not kept."""
    known = {events_of(build) for build in kept}
    for folder in (home / "published").glob("*.events*"):
        if folder not in known:
            shutil.rmtree(folder)


def damaged_events(build: Path) -> list[Path]:
    """The files beside a build that are not as they were written."""
    return [file for file in sorted(events_of(build).rglob("*.*.*.parquet")) if not _is_whole(file)]


def _linked(name: str, folder: Path, before: Path | None) -> bool:
    """Whether the earlier build has this file, whole: then it is in this one, too."""
    for file in before.glob(f"{name}.*.parquet") if before else ():
        if _is_whole(file):
            (folder / name).with_name(file.name).hardlink_to(file)
            return True
    return False


def _is_whole(file: Path) -> bool:
    try:
        return file.suffixes[-2] == f".{_of_bytes(file)}"
    except OSError:
        return False


def _named_by_its_bytes(file: Path) -> None:
    file.rename(file.with_suffix(f".{_of_bytes(file)}.parquet"))


def _of_bytes(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()[:HASH_LENGTH]


def _write(connection: duckdb.DuckDBPyConnection, select: str, file: Path) -> Path:
    place = str(file).replace("'", "''")
    connection.execute(f"copy ({select}) to '{place}' (format parquet, compression zstd)")
    return file


def _know(connection: duckdb.DuckDBPyConnection, people: str, key: bytes) -> None:
    """Put the keyed hashes of people where SQL finds them; what they are hashes of is never written."""
    ids = [raw for (raw,) in connection.execute(people).fetchall()]
    connection.register("hashes", pa.table({"raw": ids, "hash": [keyed_hash(raw, key) for raw in ids]}, HASHES))


def _properties(names: Sequence[str]) -> str:
    """SQL of the properties that may be asked of, as JSON: each under its own name, also where it is a path.

    Looking for a piece of their names first is much cheaper than taking every event's JSON apart.
    """
    if not names:
        return "'{}'"
    pointers = ["/" + name.replace("~", "~0").replace("/", "~1") for name in names]
    paths = [*pointers, *(pointer.replace(".", "/") for pointer in pointers)]
    found = f"json_extract(events.properties, [{', '.join(map(_literal, paths))}])"
    pairs = (
        f"{_literal(name)}, coalesce(found[{number}], found[{number + len(names)}])"
        for number, name in enumerate(names, start=1)
    )
    taken_apart = f"list_transform([{found}], lambda found: cast(json_object({', '.join(pairs)}) as varchar))[1]"
    none = f"cast(json_object({', '.join(f'{_literal(name)}, null' for name in names)}) as varchar)"
    pieces = [max(_WRITTEN_AS_IS.findall(name), key=len, default="") for name in names]
    may_be_there = " or ".join(f"position({_literal(piece)} in events.properties) > 0" for piece in pieces)
    return f"case when {may_be_there} then {taken_apart} else {none} end"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def keyed_hash(raw: str, key: bytes) -> str:
    """An id as readers get it: one is known again, and nobody is found by it."""
    return hmac.new(key, raw.encode(), hashlib.sha256).hexdigest()[:HASH_LENGTH]


def _digest(*content: object) -> str:
    return hashlib.sha256(repr(content).encode()).hexdigest()[:HASH_LENGTH]
