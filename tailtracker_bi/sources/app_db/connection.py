"""How the app's database is reached, what it is asked of itself, and what its errors mean."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from tailtracker_bi.sources.app_tables import (
    TABLES,
)
from tailtracker_bi.sources.records import (
    Remark,
    SourceUnavailableError,
)

if TYPE_CHECKING:
    from adbc_driver_postgresql import dbapi

STATEMENT_TIMEOUT = "10min"
BEGIN = (
    "begin isolation level repeatable read, read only",
    "set local row_security = off",  # what row-level security would hide is an error, not a table without rows
    "set local time zone 'UTC'",
    "set local datestyle = 'ISO'",
)


STRUCTURE = f"""
    select
        c.relname::text, a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod),
        pg_catalog.has_column_privilege(c.oid, a.attnum, 'select'),
        pg_catalog.row_security_active(c.oid), pg_catalog.has_table_privilege(c.oid, 'insert, update, delete'),
        pg_catalog.quote_ident(current_user)
    from pg_catalog.pg_class as c
    join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where
        c.relname in ({", ".join(f"'{table.name}'" for table in TABLES)})
        and c.relkind in ('r', 'p', 'v', 'm', 'f')
        and pg_catalog.pg_table_is_visible(c.oid)
"""
# Whether it is a replica, and how many seconds it is behind; null where nobody knows. One that has replayed all that it
# received is not behind, however old that is; unless nothing sends to it, as then it would not know.
REPLICA = """
    select
        pg_catalog.pg_is_in_recovery(),
        case
            when
                exists (select from pg_catalog.pg_stat_wal_receiver)
                and pg_catalog.pg_last_wal_receive_lsn() = pg_catalog.pg_last_wal_replay_lsn()
                then 0
            else extract(epoch from clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp())
        end::float8
"""
# A passing trouble of the server or the way to it (SQLSTATE): the snapshot is gone, another may be whole.
INTERRUPTIONS = ("08", "40", "53", "57P", "58")
LASTING = re.compile("authentication failed|does not exist|pg_hba.conf|certificate|does not support SSL")
# What to do about it, by what the error says.
HINTS = {
    "password authentication failed": ": is the password wrong, or has it expired?",
    "does not support SSL": "; add ?sslmode=disable if the network is to be trusted",
    "does not match host name": (
        ": connect by a name that the certificate has; or add ?sslmode=require if the network is to be trusted"
    ),
    "certificate": (
        ": name the file of who signed the server's certificate, ?sslrootcert=/path/to/ca.crt; "
        "or add ?sslmode=require if the network is to be trusted"
    ),
}
# What a server or the network said, without the address that libpq puts before it.
TOLD = re.compile(r".*(?:FATAL|ERROR|failed|to address): +(.*)")


def begin_snapshot(cursor: dbapi.Cursor) -> None:
    """Begin a transaction that sees one moment and can't write."""
    for statement in (*BEGIN, f"set local statement_timeout = '{STATEMENT_TIMEOUT}'"):
        cursor.execute(statement)


def how_far_behind(cursor: dbapi.Cursor) -> timedelta:
    """How far the server is behind. Raises SourceUnavailableError where it can't tell."""
    cursor.execute(REPLICA)
    ((is_replica, seconds),) = cursor.fetchall()
    if not is_replica:
        return timedelta()
    if seconds is None:
        raise SourceUnavailableError(
            "app_db: the replica has replayed nothing yet and nothing is sent to it, so it can't tell as of when it is"
        )
    return timedelta(seconds=max(seconds, 0.0))


def lag_of(behind: timedelta) -> Remark:
    minutes = int(behind.total_seconds() // 60)
    length = f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
    return Remark(f"the replica is {length} behind")


def reason_of(error: dbapi.Error, table: str, role: str) -> str:
    """Why a single table can't be read, and what to do. Never the server's text: it may hold values."""
    if error.sqlstate == "42501":
        if "row-level security" in str(error):
            return f"row-level security would hide rows: {bypass_for(role)}"
        return f"permission denied: {grant_for(role, table)}"
    if error.sqlstate == "57014":
        return f"reading it took longer than {STATEMENT_TIMEOUT}: is it locked, or the server overloaded?"
    return f"the server can't read it (SQLSTATE {error.sqlstate})"


def grant_for(role: str, *tables: str) -> str:
    return f"grant select on {', '.join(tables)} to {role}"


def bypass_for(role: str) -> str:
    return f"alter role {role} bypassrls"
