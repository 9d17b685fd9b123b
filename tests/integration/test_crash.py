"""Power cuts: `refresh` is killed again and again on the same HOME, while somebody reads."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from tailtracker_bi import bundle
from tailtracker_bi.sandbox.export_api import SECRET, USER, serve
from tailtracker_bi.sources.base import each_day
from tests.export_lines import event_line
from tests.integration.test_refresh import published, rows

FIRST, LAST = date(2024, 3, 1), date(2024, 3, 12)
SECONDS = 120.0
"""What any one wait may take before the test gives up."""


def invented_days(dice: random.Random) -> dict[date, list[bytes]]:
    """Forty people over twelve days; some are known by their device alone until a later day."""
    days: dict[date, list[bytes]] = {}
    for day in each_day(FIRST, LAST):
        midnight = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
        days[day] = [
            event_line(
                dice.choice(["Open", "User Registration", "Pet Profile Created", "Location Services Enabled"]),
                midnight + dice.randrange(86_400),
                f"user-{who}" if is_known else f"$device:device-{who}",
                platform=dice.choice(["ios", "android"]),
                _device_id=f"device-{who}",
                _insert_id=f"{day}-{number}",
                **({"_user_id": f"user-{who}"} if is_known else {}),
            )
            for number in range(60)
            for who in [dice.randrange(40)]
            for is_known in [dice.random() < 0.5]
        ]
    return days


def start(home: Path, url: str) -> subprocess.Popen[bytes]:
    """A refresh as a process of its own; what it says is kept beside its HOME."""
    environment = {
        "HOME": str(home),
        "TAILTRACKER_HOME": str(home),
        "TAILTRACKER_ALLOW_LOOPBACK": "1",
        "TAILTRACKER_RETRY_SCALE": "0",
        "TAILTRACKER_HISTORY_START": str(FIRST),
        "TAILTRACKER_NOW": f"{LAST + timedelta(days=1)}T12:00:00Z",
        "MIXPANEL_PROJECT_ID": "2195193",
        "MIXPANEL_USERNAME": USER,
        "MIXPANEL_SECRET": SECRET,
        "MIXPANEL_EXPORT_URL": url,
    }
    with home.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", "from tailtracker_bi.cli import main; main()", "refresh"],
            env=environment,
            cwd=home.parent,
            stdout=log,
            stderr=log,
        )


def finish(process: subprocess.Popen[bytes], home: Path) -> None:
    assert process.wait(SECONDS) == 0, home.with_suffix(".log").read_text()


def kill_once(process: subprocess.Popen[bytes], is_time: Callable[[], bool], seconds: float, home: Path) -> None:
    """Kill the process some seconds after the moment has come."""
    deadline = time.monotonic() + SECONDS
    while not is_time():
        assert process.poll() is None, f"it ended too soon: {home.with_suffix('.log').read_text()}"
        assert time.monotonic() < deadline
        time.sleep(0.001)
    time.sleep(seconds)
    process.kill()
    assert process.wait(SECONDS) == -signal.SIGKILL, "it ended before it could be killed"


@dataclass
class Reader:
    """Somebody who looks at the current build all the time."""

    home: Path
    seen: list[str] = field(default_factory=list)
    """The builds, in the order in which they came to be current."""
    troubles: list[str] = field(default_factory=list)
    reads: int = 0

    def look(self) -> None:
        try:
            current = bundle.current(self.home)
            told = bundle.query(
                current,
                "select build, (select count(*) from metric_values) as rows, (select max(last_day) from data_status) "
                "as last_day from bundle_info",
            ).to_pylist()
        except bundle.NoBundleError:
            if self.seen:
                self.troubles.append("the bundle is gone")
            return
        except Exception as error:
            self.troubles.append(repr(error))
            return
        self.reads += 1
        if [row["build"] for row in told] != [current.build] or not told[0]["rows"] or told[0]["last_day"] != LAST:
            self.troubles.append(f"{current.build} says {told}")
        if current.build not in self.seen[-1:]:
            self.seen.append(current.build)

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look again and again until the block ends."""
        is_over = threading.Event()

        def keep_looking() -> None:
            while not is_over.wait(0.02):
                self.look()

        thread = threading.Thread(target=keep_looking)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()
        self.look()


def test_a_refresh_killed_at_any_moment_is_made_good_by_the_next_and_no_reader_notices(tmp_path: Path) -> None:
    dice = random.Random(7)
    everything = invented_days(dice)
    # Some events of the last days arrive late: after the first build, and with them the ties of devices to users.
    in_time = {day: lines[: 40 if day > LAST - timedelta(days=5) else 60] for day, lines in everything.items()}
    home, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    home.mkdir()
    undisturbed.mkdir()
    folder, reader = home / "published", Reader(home)

    with serve(in_time) as api, serve(everything) as complete_api, reader.looking():
        other = start(undisturbed, complete_api.url)
        try:
            moments: list[tuple[Callable[[], bool], float]] = [
                # Pull: data is being committed, its ledger rows may be there or not.
                (lambda: any(home.glob("lake/mixpanel/events/_delta_log/*.json")), dice.uniform(0, 0.01)),
                # Build: the warehouse has been opened; somewhere among the models.
                ((home / "warehouse.duckdb").exists, dice.uniform(1, 4)),
                # Publish: the first build is there, the pointer may name it or not.
                (lambda: any(folder.glob("*.duckdb")), 0),
                # Publish: the second build is being written.
                (lambda: any(folder.glob("*.draft")), dice.uniform(0, 0.01)),
            ]
            for number, (is_time, seconds) in enumerate(moments, start=1):
                if number == len(moments):
                    api.days = everything
                kill_once(start(home, api.url), is_time, seconds, home)
            assert len(bundle.builds(home)) == 1
            finish(start(home, api.url), home)
            finish(other, undisturbed)
        finally:
            other.kill()
            other.wait()

    assert reader.troubles == []
    assert reader.seen == [kept.build for kept in bundle.builds(home)]
    assert len(reader.seen) == 2
    assert reader.reads > 20

    left, right = published(home), published(undisturbed)
    assert left.keys() == right.keys()
    for table in left:
        assert left[table] == right[table], table
    assert rows(home, "select count(*) from metric_values where value > 0")[0][0] > 100
    assert bundle.is_pointer_sound(home)
    assert [path.name for path in folder.iterdir() if "draft" in path.name or path.name.startswith(".")] == []
    assert not (home / "spool").exists()
