"""Activity of the last hours, as readers find it: a small table beside the builds, of today's unfinished day.

    recent/activity.parquet     in HOME, replaced whole: the table `recent_activity`

A row tells of one event, or of all together, in one span of time. What belongs here: the table, and where it is. What
does not: where it comes from, which is `runs/intraday.py`. No daily number is made of it.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tailtracker_bi import durable
from tailtracker_bi.errors import TailTrackerError

FOLDER = "recent"
COMMAND = "tailtracker-bi recent"
EVERY = timedelta(minutes=15)
STALE_AFTER = 3 * EVERY
"""Three turns that brought nothing."""
_MOMENT = pa.timestamp("us", "UTC")
SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("event", pa.string()),  # of stripe a charge: paid in a currency, or failed; none: all of a source together
        ("span", pa.string()),  # last_hour, hour or day: the 60 minutes before as_of, one of today's hours, all of them
        ("is_day_before", pa.bool_()),  # the same span a day earlier, cut at the same time of day
        ("starts_at", _MOMENT),
        ("ends_at", _MOMENT),  # exclusive
        ("events", pa.int64()),
        ("people", pa.int64()),
        ("amount", pa.decimal128(38, 3)),  # of charges that were paid, in their currency's major unit; else none
        ("as_of", _MOMENT),  # business time: what had happened before it
        ("observed_at", _MOMENT),  # by the clock, when the source had answered
    ]
)


def file_in(home: Path) -> Path:
    return home / FOLDER / "activity.parquet"


def read(home: Path) -> pa.Table | None:
    """The table as it was written last, in SCHEMA; None where it never was. Raises TailTrackerError."""
    file = file_in(home)
    try:
        # At once, as the file may be replaced meanwhile.
        found = pq.read_table(io.BytesIO(file.read_bytes()))
        return found.select(SCHEMA.names).cast(SCHEMA)
    except FileNotFoundError:
        return None
    except (OSError, pa.ArrowException, KeyError):
        raise TailTrackerError(f"{file} can't be read: run `{COMMAND}`, which replaces it") from None


def write(home: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Put these rows in the place of all that were there, at once."""
    file, content = file_in(home), io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), SCHEMA), content)
    durable.write(file, content.getvalue())
    # Who may look into the folder may read what is in it, as with builds.
    file.chmod(0o600 | file.parent.stat().st_mode & 0o044)
