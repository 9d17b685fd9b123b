"""Mixpanel's raw export: whole days of events, complete, cleaned and without duplicates.

    Export API --gzip--> http.body -> http.line_batches -> EventLines (parse, check, clean, deduplicate) -> Days

Facts this rests on (Mixpanel's "Raw Event Export" reference): both dates are inclusive and are days of the project;
answers are not deduplicated; a broken export is a 200 whose last line is `terminated early`; 60 requests an hour and
3 a second are allowed; times are UTC in projects from 2023 on, before that the project's own.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from time import time_ns
from typing import TYPE_CHECKING, Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, SecretStr, model_validator

from tailtracker_bi.crash_points import declare, reached
from tailtracker_bi.settings import Settings, SourceSettings, Timezone, check_base_url, lower
from tailtracker_bi.sources import http
from tailtracker_bi.sources.base import Check, DaySource
from tailtracker_bi.sources.foreign_text import readable
from tailtracker_bi.sources.mixpanel.event_lines import EVENTS_SCHEMA, EventLines
from tailtracker_bi.sources.records import (
    BadResponseError,
    Days,
    FutureDaysError,
    NotAskedError,
    SourceUnavailableError,
    Table,
    TooLargeError,
    ranges,
)

if TYPE_CHECKING:
    import httpx
    from pyrate_limiter import SQLiteBucket

declare(
    {
        "mixpanel.answered": "an export has begun to answer, its body is unread",
        "mixpanel.received": "an export is whole, nothing of it is cleaned",
    }
)

HOSTS = {
    "us": "https://data.mixpanel.com",
    "eu": "https://data-eu.mixpanel.com",
    "in": "https://data-in.mixpanel.com",
}
INGESTION_HOSTS = {
    "us": "https://api.mixpanel.com",
    "eu": "https://api-eu.mixpanel.com",
    "in": "https://api-in.mixpanel.com",
}
REQUESTS_PER_HOUR = 60
REQUESTS_PER_SECOND = 3
# Mixpanel counts a request when it arrives, which is later than it was let go, and not always equally so.
SECOND, HOUR = 2_000, 3_660_000
"""Milliseconds."""
MOMENT_SECONDS = 3.0
"""Who is not let go after that waits for the hour's limit, not for the second's."""
REQUESTS_PER_PULL = REQUESTS_PER_HOUR // 2
"""A pull plans with half of an hour's requests: the other half is for retries and for the run after a crash."""

# Many days a request spare the hour's requests; few keep a broken one cheap. So requests are sized by what days hold.
RECORDS_PER_REQUEST = 2_000_000
FIRST_REQUEST_DAYS = 31
LONGEST_REQUEST_DAYS = 92

TRANSFER_SECONDS = 1800.0


class MixpanelSettings(SourceSettings):
    """The service account, and where and how the project keeps its data."""

    project_id: str | None = Field(None, alias="MIXPANEL_PROJECT_ID")
    username: str | None = Field(None, alias="MIXPANEL_USERNAME")
    secret: SecretStr | None = Field(None, alias="MIXPANEL_SECRET")
    region: Annotated[Literal["us", "eu", "in"], BeforeValidator(lower)] = Field("us", alias="MIXPANEL_REGION")
    export_url: str | None = Field(None, alias="MIXPANEL_EXPORT_URL")
    timezone: Timezone | None = Field(None, alias="MIXPANEL_TIMEZONE")
    token: SecretStr | None = Field(None, alias="MIXPANEL_TOKEN")
    consent: str | None = Field(None, alias="MIXPANEL_CONSENT", pattern=r"^[A-Za-z][A-Za-z0-9_]{0,62}$")
    engage_url: str | None = Field(None, alias="MIXPANEL_ENGAGE_URL")

    @model_validator(mode="after")
    def _check_together(self) -> MixpanelSettings:
        credentials = {
            "MIXPANEL_PROJECT_ID": self.project_id,
            "MIXPANEL_USERNAME": self.username,
            "MIXPANEL_SECRET": self.secret,
        }
        missing = [name for name, value in credentials.items() if value is None]
        if missing and len(missing) < len(credentials):
            raise ValueError(f"{', '.join(missing)} is missing: Mixpanel needs all of {', '.join(credentials)}")
        if self.export_url is not None:
            check_base_url("MIXPANEL_EXPORT_URL", self.export_url, "mixpanel.com", self.allow_loopback)
        if self.engage_url is not None:
            check_base_url("MIXPANEL_ENGAGE_URL", self.engage_url, "mixpanel.com", self.allow_loopback)
        if (self.token is None) != (self.consent is None):
            raise ValueError(
                "MIXPANEL_TOKEN and MIXPANEL_CONSENT are set together: who consented is told, and no other"
            )
        return self

    @property
    def base_url(self) -> str:
        return (self.export_url or HOSTS[self.region]).rstrip("/")

    @property
    def profiles_url(self) -> str:
        """Where updates of profiles are taken."""
        return f"{(self.engage_url or INGESTION_HOSTS[self.region]).rstrip('/')}/engage"


class Mixpanel(DaySource):
    """Events through the raw export API."""

    name = "mixpanel"
    title = "Mixpanel"
    tables = (Table("events", EVENTS_SCHEMA),)
    look_back = timedelta(days=7)
    long_look_back = timedelta(days=35)

    def __init__(self, settings: Settings, say: Callable[[str], None] = lambda _: None) -> None:
        from pyrate_limiter import Limiter

        super().__init__(settings, say)
        settings.home.mkdir(parents=True, exist_ok=True)
        self._bucket = _requests_made(settings.home / "rate_limits.sqlite")
        self._limiter = Limiter(self._bucket)

    @classmethod
    def is_on(cls, settings: Settings) -> bool:
        return settings.of(MixpanelSettings).secret is not None

    @classmethod
    def timezone(cls, settings: Settings) -> str:
        return settings.of(MixpanelSettings).timezone or "UTC"

    @classmethod
    def split(cls, days: list[date], records_a_day: float | None) -> list[tuple[date, date]]:
        if records_a_day is None:
            fitting = FIRST_REQUEST_DAYS
        else:
            fitting = int(min(RECORDS_PER_REQUEST / max(records_a_day, 1), LONGEST_REQUEST_DAYS))
        return ranges(days, longest=max(1, fitting, math.ceil(len(set(days)) / REQUESTS_PER_PULL)))

    @contextmanager
    def fetch(self, first: date, last: date, spool: Path) -> Iterator[Days]:
        try:
            lines = http.retrying(self.settings, self.say)(self._receive, first, last, spool)
        except (http.UnreachableError, http.BusyError) as error:
            raise SourceUnavailableError(str(error)) from None
        with lines:
            counts = lines.deduplicate()
            self._check_time_basis(lines, f"mixpanel: {first} to {last}")
            yield Days(first, last, lines.rows(), lines.quarantine(), counts, lines.remarks(), content=lines.content())

    def check(self) -> Check:
        if not self._limiter.try_acquire("export", timeout=MOMENT_SECONDS):
            used = f"{REQUESTS_PER_HOUR} requests an hour are allowed, and they are used up: ask again later"
            return Check(self.name, is_ok=False, detail=f"mixpanel: not asked: {used}")
        yesterday = self.today(self.settings) - timedelta(days=1)
        try:
            with self._answer(yesterday, yesterday):
                pass
        except (BadResponseError, SourceUnavailableError) as error:
            return Check(self.name, is_ok=False, detail=str(error))
        return Check(
            self.name, is_ok=True, detail=f"answers to project {self.settings.of(MixpanelSettings).project_id}"
        )

    def _receive(self, first: date, last: date, spool: Path) -> EventLines:
        """The lines of one answer that has proven to be whole. The caller closes them."""
        with ExitStack() as stack:
            lines = stack.enter_context(EventLines(first, last, spool, self.settings.hash_key))
            with self._request(first, last) as response:
                try:
                    for batch in http.line_batches(http.body(response)):
                        lines.add(batch)
                except TooLargeError as error:
                    raise TooLargeError(f"mixpanel: {first} to {last}: {error}") from None
                except BadResponseError as error:
                    raise http.RetryableError(f"mixpanel: {first} to {last}: {error}") from None
            self._check_whole(lines, first, last)
            reached("mixpanel.received")
            stack.pop_all()
            return lines

    def _check_whole(self, lines: EventLines, first: date, last: date) -> None:
        where = f"mixpanel: {first} to {last}"
        if lines.rejected("not JSON", containing="terminated early")[0]:
            raise http.RetryableError(f"{where}: the export was terminated early")
        if lines.is_cut:
            raise http.RetryableError(f"{where}: the last line was cut off")
        errors, example = lines.rejected("error")
        if errors:
            example_shown = http.shown(example.encode(), self.settings.secrets)
            raise http.RetryableError(f"{where}: an error in place of events{example_shown}")
        strange = lines.rejected("not JSON")[0] + lines.rejected("no event name")[0]
        if strange and strange == lines.received:
            raise http.RetryableError(f"{where}: not an export: none of {strange} lines is an event")
        shifted, _ = lines.rejected("shifted")
        if shifted:
            raise BadResponseError(
                f"{where}: {shifted} events lie hours outside the days asked for: the project's days are not days in "
                f"{self.timezone(self.settings)}; set MIXPANEL_TIMEZONE to the project's time zone"
            )

    def _check_time_basis(self, lines: EventLines, where: str) -> None:
        """Local days whose times are local, too, look right under any setting: only when they came tells the zone."""
        zone = ZoneInfo(self.timezone(self.settings))
        for day, found in lines.utc_offsets().items():
            midnights = [datetime.combine(one, time(), zone) for one in (day, day + timedelta(days=1))]
            if found not in {midnight.utcoffset() for midnight in midnights}:
                setting = self.settings.of(MixpanelSettings).timezone or "not set, so that times are taken for UTC"
                advice = f"set it to the project's time zone, one that was at {_offset(found)} then"
                if not found:
                    advice = f"leave it empty: the project's times are UTC; or {advice}"
                raise BadResponseError(
                    f"{where}: by when they were processed, the times of most events of {day} are those of "
                    f"{_offset(found)}, but MIXPANEL_TIMEZONE is {setting}: {advice}"
                )

    @contextmanager
    def _request(self, first: date, last: date) -> Iterator[httpx.Response]:
        """The answer to one export request, its status checked, its body still unread; waits for the limits."""
        if not self._limiter.try_acquire("export", timeout=MOMENT_SECONDS):
            why = f"{REQUESTS_PER_HOUR} requests an hour are allowed, and they are used up"
            if not self.settings.waits:
                raise NotAskedError(f"mixpanel: not asked any more{self._until()}: {why}")
            self.say(f"mixpanel: waiting{self._until()}: {why}; Ctrl-C ends it, and what has landed stays")
            self._limiter.try_acquire("export")
        with self._answer(first, last) as response:
            yield response

    def _until(self) -> str:
        """When the next request may go out, by the oldest of the last hour's."""
        oldest = self._bucket.peek(REQUESTS_PER_HOUR - 1)
        if oldest is None:
            return ""
        return f" until {datetime.fromtimestamp(oldest.timestamp / 1000, UTC) + timedelta(hours=1):%H:%M} UTC"

    @contextmanager
    def _answer(self, first: date, last: date) -> Iterator[httpx.Response]:
        """As `_request`, for one that the limits allow."""
        import httpx

        settings = self.settings
        own = settings.of(MixpanelSettings)
        if not (own.username and own.secret):
            raise SourceUnavailableError("mixpanel: set MIXPANEL_USERNAME and MIXPANEL_SECRET")
        credentials = (own.username, own.secret.get_secret_value())
        try:
            with (
                http.client(TRANSFER_SECONDS, credentials) as client,
                client.stream(
                    "GET",
                    f"{own.base_url}/api/2.0/export",
                    params={
                        "from_date": str(first),
                        "to_date": str(last),
                        "project_id": own.project_id,
                    },
                ) as response,
            ):
                self._check_is_over(response, last)
                http.judge(response, f"mixpanel: {first} to {last}", self._refused, settings.secrets)
                reached("mixpanel.answered")
                yield response
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            message = readable(str(error), settings.secrets)
            raise http.UnreachableError(f"mixpanel: can't reach {own.base_url}: {message}") from None
        except httpx.HTTPError as error:
            message = f"{type(error).__name__}: {readable(str(error), settings.secrets)}"
            raise http.RetryableError(f"mixpanel: {first} to {last}: {message}") from None

    def _check_is_over(self, response: httpx.Response, last: date) -> None:
        """Else a clock that is ahead would land days that have not come, as empty. A clock that was set is meant so."""
        clock = http.told_time(response.headers)
        if self.settings.fixed_now or clock is None:
            return
        if last >= clock.astimezone(ZoneInfo(self.timezone(self.settings))).date():
            now = datetime.now(UTC)
            raise FutureDaysError(
                f"mixpanel: {last} is not over: Mixpanel says that it is {clock:%Y-%m-%d %H:%M}Z, and this machine "
                f"{now:%Y-%m-%d %H:%M}Z; set its clock right"
            )

    def _refused(self, status: int, message: str) -> Exception:
        """Refused as it stands: the days, the credentials, the plan."""
        if status == 400 and "to_date cannot be later" in message:
            return BadResponseError(
                f"{message}; is {self.timezone(self.settings)} the project's time zone (MIXPANEL_TIMEZONE)?"
            )
        if status in {400, 401, 403}:
            message += (
                "; check MIXPANEL_USERNAME, MIXPANEL_SECRET and MIXPANEL_PROJECT_ID, and whether the project's data "
                f"residency is {self.settings.of(MixpanelSettings).region} (MIXPANEL_REGION)"
            )
        elif status == 402:
            message += "; the project's plan does not include the raw export"
        elif 300 <= status < 400:
            message += "; check MIXPANEL_EXPORT_URL"
        return SourceUnavailableError(message)


class UnfinishedDays(Mixpanel):
    """Days up to the one that is not over, as far as they have come in: for what never lands.

    It asks only while the half of an hour's requests that pulls plan with is free, and never waits.
    """

    def __init__(self, settings: Settings, say: Callable[[str], None] = lambda _: None) -> None:
        super().__init__(settings.model_copy(update={"waits": False}), say)

    @contextmanager
    def _request(self, first: date, last: date) -> Iterator[httpx.Response]:
        earlier = self._bucket.peek(REQUESTS_PER_HOUR - REQUESTS_PER_PULL - 1)
        if earlier is not None and earlier.timestamp > time_ns() // 1_000_000 - HOUR:
            raise NotAskedError(
                f"mixpanel: not asked: {REQUESTS_PER_HOUR - REQUESTS_PER_PULL} requests went out in the last hour, and "
                "the others are for refreshes"
            )
        with super()._request(first, last) as response:
            yield response

    def _check_is_over(self, response: httpx.Response, last: date) -> None:
        """It need not be."""


def _requests_made(file: Path) -> SQLiteBucket:
    """The requests and their limits, in a file, so that they hold over restarts and between processes."""
    try:
        bucket = _bucket(file)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        # A damaged file. What it counted is lost; where that was too much, Mixpanel says so, and how long to wait.
        for part in ("", "-wal", "-shm"):
            file.with_name(file.name + part).unlink(missing_ok=True)
        bucket = _bucket(file)
    # Requests of a clock that was ahead would hold back those of the right one until it gets there.
    now = time_ns() // 1_000_000
    with bucket.lock:
        bucket.conn.execute("update mixpanel_export set item_timestamp = ? where item_timestamp > ?", (now, now))
        bucket.conn.commit()
    return bucket


def _bucket(file: Path) -> SQLiteBucket:
    from pyrate_limiter import Rate, SQLiteBucket

    rates = [Rate(REQUESTS_PER_SECOND, SECOND), Rate(REQUESTS_PER_HOUR, HOUR)]
    return SQLiteBucket.init_from_file(rates, table="mixpanel_export", db_path=str(file), use_file_lock=True)


def _offset(offset: timedelta) -> str:
    minutes = round(offset.total_seconds() / 60)
    return f"UTC{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
