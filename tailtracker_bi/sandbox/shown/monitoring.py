"""How the services did: requests, errors and durations in every five minutes, and what the app itself counts.

Nothing is stored: each number follows from the scenario, the seed and the number of its five minutes since 1970.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tailtracker_bi.sandbox.servers.prometheus_api import SLOT, Series
from tailtracker_bi.sandbox.story.chance import Flags, Floats, Ints, between, is_chosen
from tailtracker_bi.sandbox.story.plot import DAY, HOUR, Plot

SHARES = {"api": 10, "web": 5, "payments": 2}
"""How busy each service is beside the others."""
SLOWER = {0.05: 900, 0.1: 600, 0.25: 250, 0.5: 80, 1.0: 20, 2.5: 6, 5.0: 1, 10.0: 0}
"""Of a thousand requests, how many take longer than so many seconds."""
SLOTS_A_DAY = DAY // SLOT


@dataclass(frozen=True)
class Monitoring:
    """What there was to measure in a story of so many people, and when it was."""

    plot: Plot
    people: int
    seed: int

    @cached_property
    def first_slot(self) -> int:
        return self.plot.start // SLOT

    def requests(self, service: str, slots: Ints) -> Ints:
        """All that came: more by day than by night."""
        hours = slots * SLOT % DAY // HOUR
        busy = 10 + 10 * np.minimum(np.minimum(hours, 23 - hours), 8)
        regular: Ints = busy * SHARES[service] * (20 + self.people // 50) // 100
        return regular + between(slots, self._salt(service), 1, 9)

    def errors(self, service: str, slots: Ints) -> Ints:
        """Those that the servers failed: now and then one, and a tenth in the first hours of the incident."""
        single = is_chosen(slots, self._salt(f"errors of {service}"), 0.01).astype(np.int64)
        return np.where(self._is_bad(slots), self.requests(service, slots) // 10, single)

    def slower_than(self, bound: float, service: str, slots: Ints) -> Ints:
        """Those that took longer; three times as many in the first hours of the incident."""
        share: Ints = np.where(self._is_bad(slots), min(3 * SLOWER[bound], 1000), SLOWER[bound])
        return self.requests(service, slots) * share // 1000

    def counted(self, name: str, slots: Ints) -> Ints:
        """What the app and its jobs count."""
        match name:
            case "mobile_app_sessions_total":
                return self.requests("api", slots) // 2
            case "mobile_app_crashes_total":
                single = is_chosen(slots, self._salt(name), 0.01).astype(np.int64)
                return np.where(self._is_bad(slots), self.requests("api", slots) // 50, single)
            case "lost_pet_alerts_created_total":
                return is_chosen(slots, self._salt(name), 0.05).astype(np.int64)
            case "lost_pet_alerts_resolved_total":
                return is_chosen(slots, self._salt(name), 0.02).astype(np.int64)
            case "payments_attempted_total":
                return between(slots, self._salt("payments"), 0, 3)
            case "payments_successful_total":
                failed = is_chosen(slots, self._salt(name), 0.01).astype(np.int64)
                paid: Ints = np.maximum(between(slots, self._salt("payments"), 0, 3) - failed, 0)
                return paid
            case _:
                raise KeyError(name)

    def is_scraped(self, slots: Ints) -> Flags:
        """Prometheus itself is down for an hour, in the middle of the history."""
        begins = self.first_slot + self.plot.days // 2 * SLOTS_A_DAY + 36
        return (slots < begins) | (slots >= begins + 12)

    def is_restart(self, slots: Ints) -> Flags:
        """The servers begin anew with each release, at ten in the morning: their counters, too."""
        releases = np.array([day for _, day in self.plot.releases])
        return np.isin(slots, self.first_slot + releases * SLOTS_A_DAY + 120)

    def series(self) -> list[Series]:
        """All of it as Prometheus has it."""

        def scraped(slots: Ints, numbers: Ints) -> Floats:
            return np.where(self.is_scraped(slots), numbers, np.nan)

        def restarts(slots: Ints) -> Floats:
            return self.is_restart(slots).astype(np.float64)

        found = []
        for service in SHARES:
            found += [
                Series(
                    "http_requests_total",
                    {"service": service, "status": "200"},
                    lambda at, of=service: scraped(at, self.requests(of, at) - self.errors(of, at)),  # type: ignore[misc]
                    restarts,
                ),
                Series(
                    "http_requests_total",
                    {"service": service, "status": "503"},
                    lambda at, of=service: scraped(at, self.errors(of, at)),  # type: ignore[misc]
                    restarts,
                ),
                Series(
                    "http_request_duration_seconds_bucket",
                    {"service": service, "le": "+Inf"},
                    lambda at, of=service: scraped(at, self.requests(of, at)),  # type: ignore[misc]
                    restarts,
                ),
            ]
            found += [
                Series(
                    "http_request_duration_seconds_bucket",
                    {"service": service, "le": str(bound)},
                    lambda at, of=service, le=bound: scraped(  # type: ignore[misc]
                        at, self.requests(of, at) - self.slower_than(le, of, at)
                    ),
                    restarts,
                )
                for bound in SLOWER
            ]
        for part, whole in (
            ("mobile_app_crashes_total", "mobile_app_sessions_total"),
            ("lost_pet_alerts_resolved_total", "lost_pet_alerts_created_total"),
            ("payments_successful_total", "payments_attempted_total"),
        ):
            found += [
                Series(name, {}, lambda at, of=name: scraped(at, self.counted(of, at)))  # type: ignore[misc]
                for name in (part, whole)
            ]
        return found

    def _is_bad(self, slots: Ints) -> Flags:
        return (slots * SLOT >= self.plot.incident[0]) & (slots * SLOT < self.plot.incident[0] + 3 * HOUR)

    def _salt(self, name: str) -> str:
        return f"{name} {self.seed}"
