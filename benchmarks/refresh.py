"""What a refresh costs: the first, one with nothing new, one with a new day; and how that grows with history.

    python -m benchmarks.refresh [PEOPLE:DAYS ...]

The sandbox serves in this process; each refresh is a process of its own, as `tailtracker-bi refresh` is, so that its
CPU-seconds (of all its threads) and its peak of memory are its own. The reference is what any command of dbt's pays
before it does anything: `python -c "import dbt.cli.main"`, measured before each size.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory, TemporaryFile

import duckdb

from tailtracker_bi.sandbox.home import SandboxHome
from tailtracker_bi.sandbox.service import DAY, Plan, morning_after, serving
from tailtracker_bi.sandbox.shown.recording import record
from tailtracker_bi.sandbox.story.story import Scenario, tell

UNTIL = date(2026, 5, 30)
SIZES = ("1230:30", "4920:120", "14965:365", "59860:1460")
"""People and days: 41 sign up a day, so that a day of a long history is about as large as one of a short."""
IMPORT = [sys.executable, "-c", "import dbt.cli.main"]
REFRESH = [str(Path(sys.executable).with_name("tailtracker-bi")), "refresh"]
SCAN = "select count(distinct distinct_id) from read_parquet(?)"
ROUNDS = 3


@dataclass(frozen=True)
class Cost:
    """CPU-seconds, and MiB at the peak."""

    seconds: float
    memory: int


def cost(command: list[str]) -> Cost:
    """What a command cost; it has to end well."""
    with TemporaryFile() as told:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=told)
        _, status, used = os.wait4(process.pid, 0)
        if status:
            told.seek(0)
            raise RuntimeError(told.read().decode()[-2000:])
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss >> 10)


def measure(people: int, days: int, home: Path) -> None:
    """Print a line for each refresh of a story of this size."""
    reference = median(cost(IMPORT).seconds for _ in range(ROUNDS))
    story = tell(Scenario(people, days, UNTIL, ahead=1))
    place, now = SandboxHome(home), morning_after(UNTIL)
    files = place.folder / "story"
    record(story, files, now)
    sources = {name: files / name for name in ("mixpanel", "stripe", "app_db")}
    plan = Plan(sources, now, UNTIL - (days - 1) * DAY, story=story.scenario)
    with serving(place, plan) as sandbox:

        def refresh(what: str) -> None:
            found = cost(["env", f"TAILTRACKER_HOME={home}", *REFRESH])
            print(
                f"| {days} | {what} | {found.seconds:.1f} | {found.seconds / reference:.1f} | {found.memory:,} MiB |",
                flush=True,
            )

        refresh("first")
        refresh("nothing new")
        record(story, files, now + DAY, now)
        sandbox.move_to(now + DAY)
        refresh("one new day")
    lake = str(home / "lake" / "mixpanel" / "events" / "*" / "*.parquet")
    with duckdb.connect() as connection:
        [(events,)] = connection.execute("select count(*) from read_parquet(?)", [lake]).fetchall()
    scan = f"import duckdb; duckdb.connect().execute({SCAN!r}, [{lake!r}])"
    one_pass = cost([sys.executable, "-c", scan]).seconds
    what = f"one pass of count(distinct) over {events:,} events, Python and DuckDB loaded for it"
    print(f"| {days} | {what} | {one_pass:.2f} | {one_pass / reference:.2f} | |", flush=True)


def main() -> None:
    """Print the tables of docs/performance.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", default=SIZES, metavar="PEOPLE:DAYS")
    print(
        "| days | refresh | CPU-seconds | times `import dbt.cli.main` | peak memory |\n|---|---|---|---|---|",
        flush=True,
    )
    for size in parser.parse_args().sizes:
        people, days = map(int, size.split(":"))
        with TemporaryDirectory(prefix="refresh-") as home:
            measure(people, days, Path(home))


if __name__ == "__main__":
    main()
