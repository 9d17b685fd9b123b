"""The process of a sandbox: serves its sources here (Mixpanel, Stripe, the app's database, Prometheus, exchange rates),
and lets its days pass.

`python -m tailtracker_bi.sandbox.service HOME`, started by `tailtracker-bi sandbox up`, serves the plan that stands in
HOME until it is told to end.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from os import getpid
from pathlib import Path
from secrets import token_hex

from pydantic import TypeAdapter

from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.sandbox.home import Running, SandboxHome, replace
from tailtracker_bi.sandbox.servers import app_database, export_api, faults, prometheus_api, rates_file, stripe_api
from tailtracker_bi.sandbox.servers.app_database import AppDatabase, AppServer
from tailtracker_bi.sandbox.servers.stripe_api import StripeApi
from tailtracker_bi.sandbox.shown.monitoring import Monitoring
from tailtracker_bi.sandbox.shown.recording import record
from tailtracker_bi.sandbox.story import rates
from tailtracker_bi.sandbox.story.plot import Plot
from tailtracker_bi.sandbox.story.story import Scenario, tell
from tailtracker_bi.settings import load_own_settings

MORNING = time_of_day(6, tzinfo=UTC)
"""When the sandbox's clock stands on each of its days."""
DAY = timedelta(days=1)


def morning_after(day: date) -> datetime:
    """The moment at which a sandbox whose last whole day this is begins."""
    return datetime.combine(day + DAY, MORNING)


@dataclass(frozen=True)
class Plan:
    """What a sandbox serves, and how."""

    recordings: dict[str, Path]
    """By source, the directory of its files."""
    now: datetime | None
    """What its clock says when it begins; None leaves it to the machine's."""
    first_day: date | None
    timezone: str | None = None
    """Mixpanel's, of recordings whose times are project-local."""
    story: Scenario | None = None
    """Where the files are the sandbox's own."""
    day_seconds: float | None = None
    """How long a day lasts that passes while it is up; None stops the clock."""
    is_faulty: bool = False
    warehouse: str = "duckdb"
    """The engine of the warehouse; of `postgres` the server is here, too."""

    @classmethod
    def read(cls, place: SandboxHome) -> Plan | None:
        """The plan of this HOME, if it has one."""
        file = place.folder / "plan.json"
        return TypeAdapter(cls).validate_json(file.read_bytes()) if file.exists() else None

    @staticmethod
    def forget(place: SandboxHome) -> None:
        """Take the plan away before its files go: they must never be served as another story's."""
        (place.folder / "plan.json").unlink(missing_ok=True)

    def write(self, place: SandboxHome) -> None:
        replace(place.folder / "plan.json", TypeAdapter(type(self)).dump_json(self))


@dataclass
class Sandbox:
    """A plan that is being served."""

    place: SandboxHome
    plan: Plan
    now: datetime | None
    settings: dict[str, object] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)
    stripe: StripeApi | None = None
    database: AppDatabase | None = None
    postgres: str | None = None

    def today(self) -> date:
        """The day it is there, in UTC."""
        return (self.now or datetime.now(UTC)).date()

    def say_settings(self) -> None:
        """Tell `settings` how the sources are reached, and what time it is."""
        clock = {} if self.now is None else {"TAILTRACKER_NOW": self.now.isoformat()}
        self.place.say_settings(self.settings | clock)

    def move_to(self, moment: datetime) -> None:
        """Show what the files hold by now; the clock moves last, when all that it tells of is there."""
        recordings = self.plan.recordings
        if self.stripe:
            self.stripe.load(recordings["stripe"])
        if self.database:
            self.database.follow(recordings["app_db"])
        self.now = moment
        self.say_settings()


@contextmanager
def serving(place: SandboxHome, plan: Plan, database_url: str | None = None) -> Iterator[Sandbox]:
    """Serve a plan until the block ends; `database_url` is a Postgres of one's own to make the app's tables in."""
    with place.lock.acquire(timeout=5), ExitStack() as stack:
        running = Running(getpid())
        place.say_running(running)
        sandbox = Sandbox(place, plan, plan.now, {"TAILTRACKER_ALLOW_LOOPBACK": 1})
        if plan.first_day:
            sandbox.settings["TAILTRACKER_HISTORY_START"] = plan.first_day
        server: AppServer | None = None
        if plan.warehouse == "postgres" or ("app_db" in plan.recordings and not database_url):
            server = stack.enter_context(app_database.serve())
            sandbox.postgres = str(server.directory)
            running.postgres = sandbox.postgres
            place.say_running(running)  # at once: a process that is killed leaves it behind
        if "app_db" in plan.recordings:
            _serve_database(sandbox, stack, server, database_url)
        if server and plan.warehouse == "postgres":
            sandbox.settings |= {"TAILTRACKER_WAREHOUSE": "postgres", "TAILTRACKER_WAREHOUSE_URL": server.warehouse()}
            sandbox.urls["warehouse"] = f"Postgres on a socket in {server.directory}"
        if "mixpanel" in plan.recordings:
            _serve_mixpanel(sandbox, stack)
        if "stripe" in plan.recordings:
            _serve_stripe(sandbox, stack)
        if plan.story:
            _serve_prometheus(sandbox, plan.story, plan.is_faulty, stack)
            _serve_rates(sandbox, plan.story, stack)
            if (annotations := place.folder / "story" / "annotations.json").exists():  # not of older stories
                sandbox.settings["TAILTRACKER_ANNOTATIONS_FILE"] = annotations
        sandbox.say_settings()
        running.urls = sandbox.urls
        place.say_running(running)
        yield sandbox


def _serve_mixpanel(sandbox: Sandbox, stack: ExitStack) -> None:
    plan, secret = sandbox.plan, token_hex(16)
    api = stack.enter_context(
        export_api.serve(
            plan.recordings["mixpanel"],
            secret=secret,
            is_limited=True,
            today=sandbox.today,
            retry_after=faults.RETRY_AFTER,
            faults=faults.ExportFaults(plan.first_day) if plan.is_faulty and plan.first_day else (),
        )
    )
    sandbox.urls["mixpanel"] = api.url
    sandbox.settings |= {
        "MIXPANEL_PROJECT_ID": 1,
        "MIXPANEL_USERNAME": api.user,
        "MIXPANEL_SECRET": secret,
        "MIXPANEL_EXPORT_URL": api.url,
    } | ({"MIXPANEL_TIMEZONE": plan.timezone} if plan.timezone else {})


def _serve_stripe(sandbox: Sandbox, stack: ExitStack) -> None:
    plan, key = sandbox.plan, f"rk_live_{token_hex(16)}"
    api = stack.enter_context(
        stripe_api.serve(
            key=key,
            retry_after=faults.RETRY_AFTER,
            forbidden={faults.FORBIDDEN_TABLE} if plan.is_faulty else set(),
            faults=faults.StripeFaults() if plan.is_faulty else (),
        )
    )
    api.load(plan.recordings["stripe"])
    sandbox.stripe = api
    sandbox.urls["stripe"] = api.url
    sandbox.settings |= {"STRIPE_API_KEY": key, "STRIPE_API_BASE": api.url}


def _serve_prometheus(sandbox: Sandbox, story: Scenario, is_faulty: bool, stack: ExitStack) -> None:
    monitoring = Monitoring(Plot(story.until, story.days, story.ahead), story.people, story.seed)
    api = stack.enter_context(
        prometheus_api.serve(
            monitoring.series(),
            keeps_from=monitoring.plot.start,
            faults=faults.PrometheusFaults(monitoring.plot.first) if is_faulty else (),
        )
    )
    sandbox.urls["prometheus"] = api.url
    sandbox.settings["PROMETHEUS_URL"] = api.url


def _serve_rates(sandbox: Sandbox, story: Scenario, stack: ExitStack) -> None:
    known = rates.invent(Plot(story.until, story.days, story.ahead), story.seed)
    url = stack.enter_context(rates_file.serve(known, sandbox.today))
    sandbox.urls["exchange_rates"] = sandbox.settings["EXCHANGE_RATES_URL"] = url


def _serve_database(sandbox: Sandbox, stack: ExitStack, server: AppServer | None, url: str | None) -> None:
    plan = sandbox.plan
    if url:
        database = stack.enter_context(app_database.serve_on(url))
        sandbox.urls["app_db"] = f"schema {app_database.OWN_SCHEMA} of TAILTRACKER_SANDBOX_DATABASE_URL"
    elif server:
        database = stack.enter_context(server.database())
        sandbox.urls["app_db"] = f"Postgres on a socket in {server.directory}"
    if plan.story:
        database.follow(plan.recordings["app_db"])
    else:
        database.load_csv(plan.recordings["app_db"])
    if plan.is_faulty:
        database.revoke(faults.REVOKED_TABLE)
    sandbox.database = database
    sandbox.settings["APP_DATABASE_URL"] = database.url


def live(sandbox: Sandbox) -> None:
    """Let a further day of the story happen every `day_seconds`, until it has no more."""
    scenario, day_seconds, now = sandbox.plan.story, sandbox.plan.day_seconds, sandbox.now
    if scenario is None or day_seconds is None or now is None:
        return
    story, begun = tell(scenario), time.monotonic()
    end = morning_after(scenario.until + scenario.ahead * DAY)
    while now < end:
        time.sleep(max(0.0, begun + day_seconds - time.monotonic()))
        begun = time.monotonic()
        since, now = now, now + DAY
        record(story, sandbox.place.folder / "story", now, since)
        sandbox.move_to(now)
        print(f"it is {now:%Y-%m-%d} now", flush=True)
    print("the story has no further days: the clock stands still", flush=True)


def main() -> None:
    """Serve until SIGTERM."""
    signal.signal(signal.SIGTERM, _end)
    place = SandboxHome(Path(sys.argv[1]))
    plan, url = Plan.read(place), load_own_settings().sandbox_database_url
    try:
        if plan is None:
            raise TailTrackerError(f"there is no sandbox in {place.folder}")
        with serving(place, plan, url.get_secret_value() if url else None) as sandbox:
            print(f"up: {sandbox.urls}", flush=True)
            live(sandbox)
            threading.Event().wait()
    except TailTrackerError as error:
        sys.exit(f"error: {error}")


def _end(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what is under way must not be broken off
    sys.exit(0)


if __name__ == "__main__":
    main()
