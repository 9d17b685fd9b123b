"""What goes wrong in a sandbox that is up with `--faults`, always the same:

- Mixpanel: the tenth day is cut amid its gzip whenever it is asked for, so that it never lands; the days around it do,
  asked for apart. The first try of every other request for several days ends with `terminated early`, is refused with
  429, or is cut too, in turn.
- Stripe: the key may not read disputes. Charges are refused with 429 once, invoices with `lock_timeout` once.
- The app's database: the role may not read lost_pet_reports.
- Prometheus: the first question is refused with 503 once. What it tells of durations on the tenth day comes with a
  warning whenever it is asked for.
"""

from __future__ import annotations

from datetime import date, timedelta
from itertools import cycle

from tailtracker_bi.sandbox.servers import export_api, prometheus_api, stripe_api
from tailtracker_bi.sandbox.story.plot import DAY, seconds_of

RETRY_AFTER = "1"
FORBIDDEN_TABLE = "disputes"
REVOKED_TABLE = "lost_pet_reports"


def spoilt_day(first: date) -> date:
    """The day of the export that never comes whole."""
    return first + timedelta(days=9)


class ExportFaults:
    """What a request to the export meets."""

    def __init__(self, first: date) -> None:
        self._spoilt = str(spoilt_day(first))
        self._seen: set[tuple[str | None, str | None]] = set()
        self._in_turn = cycle(("terminated_early", "http_429", "cut_gzip"))

    def __call__(self, request: export_api.Request) -> str | None:
        days = request.from_date, request.to_date
        if (days[0] or "") <= self._spoilt <= (days[1] or ""):
            return "cut_gzip"
        if days in self._seen or days[0] == days[1]:
            return None
        self._seen.add(days)
        return next(self._in_turn)


class StripeFaults:
    """What a request to Stripe meets."""

    def __init__(self) -> None:
        self._once = {"/v1/charges": "http_429", "/v1/invoices": "lock_timeout"}

    def __call__(self, request: stripe_api.Request) -> str | None:
        return self._once.pop(request.path, None)


class PrometheusFaults:
    """What a question to Prometheus meets."""

    def __init__(self, first: date) -> None:
        begins = seconds_of(spoilt_day(first))
        self._spoilt = begins, begins + DAY
        self._is_first = True

    def __call__(self, request: prometheus_api.Request) -> str | None:
        if self._is_first:
            self._is_first = False
            return "http_503"
        is_spoilt = request.start <= self._spoilt[1] and request.end > self._spoilt[0]
        return "warnings" if is_spoilt and request.query.startswith("sum by (le)") else None
