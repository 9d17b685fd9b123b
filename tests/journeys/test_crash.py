"""Power cuts: `refresh` is killed again and again on the same HOME, while somebody reads."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tailtracker_bi import bundle
from tailtracker_bi.analytics.mistakes import load_analytics
from tailtracker_bi.crash_points import STEPS
from tailtracker_bi.lake.lake import Lake
from tailtracker_bi.runs.report import Progress
from tailtracker_bi.runs.verification import verify
from tailtracker_bi.sandbox.servers import export_api, prometheus_api, stripe_api
from tailtracker_bi.sandbox.service import morning_after
from tailtracker_bi.sandbox.shown.monitoring import Monitoring
from tailtracker_bi.sandbox.shown.recording import record
from tailtracker_bi.sandbox.story.plot import Plot
from tailtracker_bi.sandbox.story.story import Scenario, tell
from tailtracker_bi.settings.environment import load_settings
from tailtracker_bi.warehouse.warehouse import Warehouse
from tests.worlds.forked import Forks, forking
from tests.worlds.tiny import published, rows

if TYPE_CHECKING:
    from tailtracker_bi.sandbox.servers.app_database import AppDatabase

FIRST, LAST = date(2026, 8, 1), date(2026, 8, 10)
NEXT = LAST + timedelta(days=1)
KEY = "rk_live_crash"
SECONDS_UNTIL_ANOTHER_LOOK = 5.0
TOLD = ("mixpanel", "stripe", "app_db", "prometheus")
"""The sources that are on."""
STORY = Scenario(people=60, days=60, until=LAST, seed=11, ahead=1)


def noon(day: date) -> int:
    """In seconds since 1970."""
    return int(datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp())


class Refresher:
    """Starts refreshes of one HOME against the sources of one story."""

    def __init__(self, home: Path, environment: dict[str, str], forks: Forks) -> None:
        self.home, self.environment, self._forks = home, environment, forks
        home.mkdir()

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def _log(self) -> Path:
        return Path(f"{self.home}.log")

    def start(self, now: date, *options: str, **more: str) -> int:
        """Begin a refresh on the morning after that day; gives its pid."""
        # The hour's requests are for one refresh, not for hundreds.
        (self.home / "rate_limits.sqlite").unlink(missing_ok=True)
        environment = self.environment | {
            "TAILTRACKER_HOME": str(self.home),
            "TAILTRACKER_NOW": f"{morning_after(now)}",
        }
        return self._forks.start(["refresh", *options], environment | more, self.home.parent, self._log, self._log)

    def finish(self, now: date) -> None:
        self.start(now)
        assert self._forks.ended() == 0, self.log

    def kill_at(self, step: str, now: date, *options: str) -> None:
        """A refresh that dies at this step."""
        self.start(now, *options, TAILTRACKER_CRASH_AT=step)
        assert self._forks.ended() == -signal.SIGKILL, f"{step} was not reached: {self.log[-2000:]}"

    def kill_after(self, seconds: float, now: date, *options: str) -> bool:
        """A refresh that is killed after so long; whether it was still at work."""
        pid = self.start(now, *options)
        time.sleep(seconds)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        status = self._forks.ended()
        # Else who counts kills would wait for ever for one of a refresh that always fails before it.
        assert status in (0, -signal.SIGKILL), self.log[-2000:]
        return status == -signal.SIGKILL


@dataclass
class Reader:
    """Somebody who looks at the current build all the time."""

    home: Path
    seen: list[str] = field(default_factory=list)
    """The builds, in the order in which they came to be current."""
    troubles: list[str] = field(default_factory=list)
    reads: int = 0
    _content: dict[str, tuple[object, ...]] = field(default_factory=dict)
    _there: tuple[object, ...] = ()
    _read_at: float = 0

    def glance(self) -> None:
        """Look if anything of what is published is not as it was, and now and then if it is.

        A query costs a hundred times what a glance does: time that the refreshes would lack.
        """
        published = self.home / "published"
        found = ((each.name, each.stat()) for each in os.scandir(published)) if published.exists() else ()
        try:
            there = tuple(sorted((name, told.st_ino, told.st_size, told.st_mtime_ns) for name, told in found))
        except FileNotFoundError:  # gone meanwhile: not as it was
            there = ()
        if there != self._there or time.monotonic() - self._read_at > SECONDS_UNTIL_ANOTHER_LOOK:
            self._there = there
            self.look()
            self._read_at = time.monotonic()

    def look(self) -> None:
        try:
            current = bundle.current(self.home)
            told = bundle.query(
                current,
                "select build, as_of, (select count(*) from metric_values) as rows, (select sum(value) from "
                "metric_values where metric_id = 'dau' and segment = 'all') as active, (select max(last_day) from "
                "data_status where source = 'mixpanel') as last_day from bundle_info",
            ).to_pylist()
        except bundle.NoBundleError:
            if self.seen:
                self.troubles.append("the bundle is gone")
            return
        except Exception as error:
            self.troubles.append(repr(error))
            return
        self.reads += 1
        content = tuple(told[0].values()) if len(told) == 1 else tuple(told)
        is_whole = content[0] == current.build and content[2] and content[4] == content[1] - timedelta(days=1)
        if not is_whole or self._content.setdefault(current.build, content) != content:
            self.troubles.append(f"{current.build} says {told}")
        if current.build not in self.seen[-1:]:
            self.seen.append(current.build)

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Glance again and again until the block ends."""
        is_over = threading.Event()

        def keep_looking() -> None:
            while not is_over.wait(0.02):
                self.glance()

        thread = threading.Thread(target=keep_looking)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()
        self.look()


@dataclass
class Company:
    """The sources of one story, and a HOME to be killed beside one that is left in peace."""

    killed: Refresher
    undisturbed: Refresher
    files: Path
    stripe: stripe_api.StripeApi
    database: AppDatabase

    def __post_init__(self) -> None:
        self.story = tell(STORY)
        self.show(LAST)

    def show(self, last: date) -> None:
        """Let the sources show what they do on the morning after that day."""
        since = morning_after(LAST) if last > LAST else None
        record(self.story, self.files, morning_after(last), since=since)
        self.stripe.load(self.files / "stripe")
        # Something to set aside, of days and of objects.
        for file in (self.files / "mixpanel").glob(f"{last}*"):
            with gzip.open(file, "ab") as lines:
                lines.write(b'{"event":"Open","properties":{"time":%d,\n' % noon(last))
        self.stripe.add("charges", {"id": f"ch_{last}", "object": "charge", "livemode": False, "created": noon(FIRST)})
        self.database.follow(self.files / "app_db")

    def check_equal(self) -> None:
        """The HOME that was killed over and over ends as the undisturbed one, and left nothing behind."""
        left, right = published(self.killed.home), published(self.undisturbed.home)
        assert left.keys() == right.keys()
        for table in left:
            assert left[table] == right[table], table
        assert rows(self.killed.home, "select count(*) from metric_values where value > 0")[0][0] > 100
        folder = self.killed.home / "published"
        assert bundle.is_pointer_sound(self.killed.home)
        assert [path.name for path in folder.iterdir() if "draft" in path.name or path.name.startswith(".")] == []
        assert not (self.killed.home / "spool").exists()
        settings = load_settings(**self.killed.environment, TAILTRACKER_HOME=self.killed.home)
        lake, analytics = Lake(settings.home), load_analytics(settings.analytics_path)
        verdicts = verify(settings, lake, Warehouse(settings, analytics, lake), Progress())
        assert [finding for verdict in verdicts for finding in verdict.findings] == []
        assert set_aside(self.killed.home) == set_aside(self.undisturbed.home) != set()


def set_aside(home: Path) -> set[tuple[str, bytes]]:
    """The records in quarantine, each with its file."""
    files = (home / "quarantine").rglob("*.jsonl")
    return {(str(file.relative_to(home)), line) for file in files for line in file.read_bytes().splitlines()}


@pytest.fixture
def company(tmp_path: Path, app_database: AppDatabase) -> Iterator[Company]:
    files, analytics = tmp_path / "files", tmp_path / "analytics.yml"
    # Each service level is asked for in each refresh anew: one shows as much.
    level = {"slo": "availability", "good": 'http_requests_total{status!~"5.."}', "total": "http_requests_total"}
    analytics.write_text(json.dumps({"service_levels": [level | {"target": 0.999, "alert_threshold": 0.995}]}))
    monitoring = Monitoring(Plot(STORY.until, STORY.days, STORY.ahead), STORY.people, STORY.seed)
    with (
        export_api.serve(files / "mixpanel") as mixpanel,
        stripe_api.serve(key=KEY) as stripe,
        prometheus_api.serve(monitoring.series(), keeps_from=monitoring.plot.start) as prometheus,
        forking("--builds") as forks,
    ):
        environment = {
            "TAILTRACKER_ALLOW_LOOPBACK": "1",
            "TAILTRACKER_RETRY_SCALE": "0",
            "TAILTRACKER_HASH_KEY": "the same key in both of them",
            "TAILTRACKER_HISTORY_START": str(FIRST),
            "TAILTRACKER_ANALYTICS": str(analytics),
            "MIXPANEL_PROJECT_ID": "1",
            "MIXPANEL_USERNAME": mixpanel.user,
            "MIXPANEL_SECRET": mixpanel.secret,
            "MIXPANEL_EXPORT_URL": mixpanel.url,
            "STRIPE_API_KEY": KEY,
            "STRIPE_API_BASE": stripe.url,
            "APP_DATABASE_URL": app_database.url,
            "PROMETHEUS_URL": prometheus.url,
        }
        killed = Refresher(tmp_path / "killed", environment, forks)
        undisturbed = Refresher(tmp_path / "undisturbed", environment, forks)
        yield Company(killed, undisturbed, files, stripe, app_database)


def cut_at(company: Company, step: str, now: date) -> None:
    """Kill a refresh at this step; one that asks only the source that the step names, or where it is not about what was
    pulled, the one that readers look at."""
    company.stripe.forbidden = {"disputes"} if step == "lake.failure.recorded" else set()
    of_step, _, _ = step.partition(".")
    asked = of_step if of_step in TOLD else ""
    if of_step in {"build", "publish", "refresh"}:
        asked = "mixpanel"
    company.killed.kill_at(step, now, *of_source(asked))
    company.stripe.forbidden = set()


def of_source(asked: str) -> list[str]:
    """The options of a refresh that asks this source alone, or all where it has no name."""
    return ["--source", asked] if asked else []


@pytest.mark.slow
def test_two_hundred_kills_are_made_good(company: Company) -> None:
    dice, kills = random.Random(5), 0
    # Of one source or of all: to ask all takes longer than what comes after it, where most can go wrong.
    longest = dict.fromkeys(("", *TOLD), 6.0)
    killed, undisturbed, reader = company.killed, company.undisturbed, Reader(company.killed.home)
    with reader.looking():
        for now in (LAST, NEXT):
            company.show(now)
            steps = [step for step in STEPS if not step.startswith(("delivery.", "traits.")) for _ in range(2)]
            dice.shuffle(steps)
            for step in steps:
                cut_at(company, step, now)
                kills += 1
            while kills < (100 if now == LAST else 200):
                # Within what a refresh takes here and now: one that is over cannot be killed.
                asked = dice.choice([*longest])
                seconds = dice.uniform(0, longest[asked])
                is_killed = killed.kill_after(seconds, now, *of_source(asked))
                kills += is_killed
                longest[asked] = 1.1 * longest[asked] if is_killed else seconds
            killed.finish(now)
            undisturbed.finish(now)
            company.check_equal()
    assert reader.troubles == []
    # No build but those that came to be current, in their order; one that was killed before that was never seen.
    assert reader.seen == sorted(set(reader.seen))
    print(f"{kills} kills, {reader.reads} reads of {len(reader.seen)} builds")
