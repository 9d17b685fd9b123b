"""What a refresh costs on DuckDB and on Postgres, beside each other: the first, one with nothing new, one with a new
day, and one that makes the warehouse anew from the lake.

    python -m benchmarks.engines [PEOPLE:DAYS ...]

Each engine has a HOME of its own, and both pull from one sandbox, in turns. CPU-seconds are those of `tailtracker-bi`
and of the Postgres server together, whose backends are counted when they have ended, too; the server has the app's
tables as well, which are read on both sides. Memory is the client's peak and, beside it, the server's: pages that
processes share are counted once.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import psutil

from benchmarks.refresh import REFRESH, UNTIL, Cost, cost
from tailtracker_bi.sandbox.home import SandboxHome
from tailtracker_bi.sandbox.service import DAY, Plan, morning_after, serving
from tailtracker_bi.sandbox.shown.recording import record
from tailtracker_bi.sandbox.story.story import Scenario, tell

SIZES = ("5000:120", "30000:180")
TO_WARM_UP = "50:5"
"""What dbt makes of the project for each engine is kept, and paid for here."""
ENGINES = ("duckdb", "postgres")
SECONDS_BETWEEN_LOOKS = 0.2
HEAD = """\
| events | refresh | CPU-seconds: DuckDB | Postgres | of them the server | times | memory: DuckDB | Postgres |
|---|---|---|---|---|---|---|---|"""


@dataclass
class Server:
    """A Postgres that runs here, by its first process."""

    process: psutil.Process
    memory: int = 0
    """MiB at the peak, since it was looked at."""

    @classmethod
    def of(cls, directory: Path) -> Server:
        return cls(psutil.Process(int((directory / "postmaster.pid").read_text().split()[0])))

    @property
    def seconds(self) -> float:
        """CPU-seconds of all of its processes, those that have ended included."""
        used = self.process.cpu_times()
        found = used.user + used.system + used.children_user + used.children_system
        for child in self.process.children():
            with suppress(psutil.NoSuchProcess):
                found += child.cpu_times().user + child.cpu_times().system
        return float(found)

    def look(self) -> None:
        """Note how much memory it has now."""
        found = 0
        for process in (self.process, *self.process.children()):
            with suppress(psutil.NoSuchProcess):
                found += process.memory_full_info().pss
        self.memory = max(self.memory, found >> 20)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look again and again until the block ends."""
        self.memory, is_over = 0, threading.Event()

        def keep_looking() -> None:
            while not is_over.wait(SECONDS_BETWEEN_LOOKS):
                self.look()

        watcher = threading.Thread(target=keep_looking)
        watcher.start()
        try:
            yield
        finally:
            is_over.set()
            watcher.join()


def both(server: Server, command: list[str]) -> tuple[Cost, Cost]:
    """What a command cost the client, and the server."""
    before = server.seconds
    with server.watched():
        client = cost(command)
    time.sleep(1)  # its last backend ends
    return client, Cost(server.seconds - before, server.memory)


def measure(people: int, days: int, folder: Path) -> Iterator[str]:
    """A line for each kind of refresh of a story of this size."""
    story = tell(Scenario(people, days, UNTIL, ahead=1))
    place, now = SandboxHome(folder), morning_after(UNTIL)
    files = place.folder / "story"
    record(story, files, now)
    sources = {name: files / name for name in ("mixpanel", "stripe", "app_db")}
    plan = Plan(sources, now, UNTIL - (days - 1) * DAY, story=story.scenario, warehouse="postgres")
    with serving(place, plan) as sandbox:
        server = Server.of(Path(str(sandbox.postgres)))

        def refresh(what: str, *options: str) -> str:
            found = {}
            for engine in ENGINES:
                settings = sandbox.settings | {
                    "TAILTRACKER_HOME": folder / engine,
                    "TAILTRACKER_NOW": sandbox.now,
                    "TAILTRACKER_WAREHOUSE": engine,
                }
                named = [f"{name}={value}" for name, value in settings.items()]
                found[engine] = both(server, ["env", *named, *REFRESH, *options])
            (ours, beside), (client, backends) = found["duckdb"], found["postgres"]
            our_seconds, seconds = ours.seconds + beside.seconds, client.seconds + backends.seconds
            events = events_in(folder / "duckdb")
            return (
                f"| {events:,} | {what} | {our_seconds:.1f} | {seconds:.1f} | {backends.seconds:.1f} "
                f"| {seconds / our_seconds:.2f} | {ours.memory:,} MiB | {client.memory:,} + {backends.memory:,} MiB |"
            )

        yield refresh("first")
        yield refresh("nothing new")
        record(story, files, now + DAY, now)
        sandbox.move_to(now + DAY)
        yield refresh("one new day")
        yield refresh("the warehouse anew", "--rebuild")


def events_in(home: Path) -> int:
    """How many events have landed there."""
    lake = str(home / "lake" / "mixpanel" / "events" / "*" / "*.parquet")
    with duckdb.connect() as connection:
        [(events,)] = connection.execute("select count(*) from read_parquet(?)", [lake]).fetchall()
    return int(events)


def main() -> None:
    """Print the table of docs/performance.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", default=SIZES, metavar="PEOPLE:DAYS")
    for number, size in enumerate((TO_WARM_UP, *parser.parse_args().sizes)):
        people, days = map(int, size.split(":"))
        with TemporaryDirectory(prefix="engines-") as folder:
            if number == 1:
                print(HEAD, flush=True)
            for line in measure(people, days, Path(folder)):
                if number:
                    print(line, flush=True)


if __name__ == "__main__":
    main()
