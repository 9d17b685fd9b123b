"""Mixpanel's raw export: whole days of events, complete, cleaned and without duplicates.

    Export API --gzip--> http.body -> http.line_batches -> EventLines (parse, check, clean, deduplicate) -> Days

Facts this rests on (Mixpanel's "Raw Event Export" reference): both dates are inclusive and are days of the project;
answers are not deduplicated; a broken export is a 200 whose last line is `terminated early`; 60 requests an hour and
3 a second are allowed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import date, timedelta
from pathlib import Path

import httpx
from pyrate_limiter import Duration, Limiter, Rate, SQLiteBucket

from tailtracker_bi.crash_points import reached
from tailtracker_bi.personal_data import mask_text
from tailtracker_bi.settings import Settings
from tailtracker_bi.sources import http
from tailtracker_bi.sources.base import (
    BadResponseError,
    Check,
    Days,
    DaySource,
    SourceUnavailableError,
    Table,
    TooLargeError,
    ranges,
)
from tailtracker_bi.sources.event_lines import EVENTS_SCHEMA, EventLines

REQUESTS_PER_HOUR = 60
REQUESTS_PER_SECOND = 3
REQUESTS_PER_PULL = REQUESTS_PER_HOUR // 2
"""A pull plans with half of an hour's requests: the other half is for retries and for the run after a crash."""

# Many days a request spare the hour's requests; few keep a broken one cheap. So requests are sized by what days hold.
RECORDS_PER_REQUEST = 2_000_000
FIRST_REQUEST_DAYS = 31
LONGEST_REQUEST_DAYS = 92

TRANSFER_SECONDS = 1800.0
TIMEOUT = httpx.Timeout(60.0, connect=15.0)


class Mixpanel(DaySource):
    """Events through the raw export API."""

    name = "mixpanel"
    tables = (Table("events", EVENTS_SCHEMA),)
    look_back = timedelta(days=7)
    long_look_back = timedelta(days=35)

    def __init__(self, settings: Settings, say: Callable[[str], None] = lambda _: None) -> None:
        super().__init__(settings, say)
        settings.home.mkdir(parents=True, exist_ok=True)
        # In a file, so that the limits hold over restarts and between processes.
        bucket = SQLiteBucket.init_from_file(
            [Rate(REQUESTS_PER_SECOND, Duration.SECOND), Rate(REQUESTS_PER_HOUR, Duration.HOUR)],
            table="mixpanel_export",
            db_path=str(settings.home / "rate_limits.sqlite"),
            use_file_lock=True,
        )
        self._limiter = Limiter(bucket)

    @classmethod
    def is_on(cls, settings: Settings) -> bool:
        return settings.is_mixpanel_on

    @classmethod
    def timezone(cls, settings: Settings) -> str:
        return settings.mixpanel_timezone or "UTC"

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
            lines = http.retrying(self.settings.retry_scale, self.say)(self._receive, first, last, spool)
        except http.UnreachableError as error:
            raise SourceUnavailableError(str(error)) from None
        with lines:
            counts = lines.deduplicate()
            yield Days(first, last, lines.rows(), lines.quarantine(), counts)

    def check(self) -> Check:
        if not self._limiter.try_acquire("export", timeout=2):
            used = f"{REQUESTS_PER_HOUR} requests an hour are allowed, and they are used up: ask again later"
            return Check(self.name, is_ok=False, detail=f"mixpanel: not asked: {used}")
        yesterday = self.today(self.settings) - timedelta(days=1)
        try:
            with self._answer(yesterday, yesterday):
                pass
        except (BadResponseError, SourceUnavailableError) as error:
            return Check(self.name, is_ok=False, detail=str(error))
        return Check(self.name, is_ok=True, detail=f"answers to project {self.settings.mixpanel_project_id}")

    def _receive(self, first: date, last: date, spool: Path) -> EventLines:
        """The lines of one answer that has proven to be whole. The caller closes them."""
        with ExitStack() as stack:
            lines = stack.enter_context(EventLines(first, last, spool, self.settings.hash_key))
            with self._request(first, last) as response:
                try:
                    for batch in http.line_batches(http.body(response, TRANSFER_SECONDS)):
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
            raise http.RetryableError(f"{where}: an error in place of events: {example[:200]}")
        unreadable, example = lines.rejected("not JSON")
        if unreadable and unreadable == lines.received:
            raise http.RetryableError(f"{where}: not an export: none of {unreadable} lines is JSON")
        shifted, _ = lines.rejected("shifted")
        if shifted:
            raise BadResponseError(
                f"{where}: {shifted} events lie hours outside the days asked for: the project's days are not days in "
                f"{self.timezone(self.settings)}; set MIXPANEL_TIMEZONE to the project's time zone"
            )

    @contextmanager
    def _request(self, first: date, last: date) -> Iterator[httpx.Response]:
        """The answer to one export request, its status checked, its body still unread; waits for the limits."""
        if not self._limiter.try_acquire("export", timeout=2):
            self.say(f"mixpanel: waiting: {REQUESTS_PER_HOUR} requests an hour are allowed, and they are used up")
            self._limiter.try_acquire("export")
        with self._answer(first, last) as response:
            yield response

    @contextmanager
    def _answer(self, first: date, last: date) -> Iterator[httpx.Response]:
        """As `_request`, for one that the limits allow."""
        settings = self.settings
        if not (settings.mixpanel_username and settings.mixpanel_secret):
            raise SourceUnavailableError("mixpanel: set MIXPANEL_USERNAME and MIXPANEL_SECRET")
        credentials = (settings.mixpanel_username, settings.mixpanel_secret.get_secret_value())
        try:
            with (
                httpx.Client(auth=credentials, timeout=TIMEOUT, trust_env=False) as client,
                client.stream(
                    "GET",
                    f"{settings.mixpanel_base_url}/api/2.0/export",
                    params={
                        "from_date": str(first),
                        "to_date": str(last),
                        "project_id": settings.mixpanel_project_id,
                    },
                    headers={"accept-encoding": "gzip"},
                ) as response,
            ):
                self._check_status(response, f"mixpanel: {first} to {last}")
                reached("mixpanel.answered")
                yield response
        except httpx.ConnectError as error:
            raise http.UnreachableError(f"mixpanel: can't reach {settings.mixpanel_base_url}: {error}") from None
        except httpx.HTTPError as error:
            raise http.RetryableError(f"mixpanel: {first} to {last}: {type(error).__name__}: {error}") from None

    def _check_status(self, response: httpx.Response, where: str) -> None:
        status = response.status_code
        if status == 200:
            return
        answer = f"{where}: answered {status}{self._told(response)}"
        if status == 429 or status >= 500:
            raise http.RetryableError(answer, http.retry_after(response.headers))
        if status == 400 and "to_date cannot be later" in answer:
            raise BadResponseError(
                f"{answer}; is {self.timezone(self.settings)} the project's time zone (MIXPANEL_TIMEZONE)?"
            )
        if status in {400, 401, 403}:
            answer += (
                "; check MIXPANEL_USERNAME, MIXPANEL_SECRET and MIXPANEL_PROJECT_ID, and whether the project's data "
                f"lives in region {self.settings.mixpanel_region} (MIXPANEL_REGION)"
            )
        elif status == 402:
            answer += "; the project's plan does not include the raw export"
        elif 300 <= status < 400:
            answer += "; redirects are not followed: check MIXPANEL_EXPORT_URL"
        raise SourceUnavailableError(answer)

    def _told(self, response: httpx.Response) -> str:
        """What an error answer says, on one line, without markup, secrets or personal data."""
        text = ""
        with suppress(httpx.HTTPError, BadResponseError):
            text = next(http.body(response, 30.0), b"")[:300].decode(errors="replace")
        for secret in self.settings.secrets:
            text = text.replace(secret, "[secret]")
        text = " ".join(text.split())
        return "" if not text or text.startswith("<") else f": {mask_text(text)}"
