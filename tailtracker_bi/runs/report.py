"""What a run tells while it works, and the report that it leaves."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from tailtracker_bi import crash_points
from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.sources import HeldError


class Progress:
    """What a run tells while it works. The defaults say nothing."""

    def say(self, message: str) -> None:
        """One line of news."""

    def step(self, stage: str, what: str, done: int, total: int) -> None:
        """`done` of `total` parts of a stage are finished; `what` is at hand."""


@dataclass
class RunReport:
    """What one refresh did; `runs/<run_id>.json` in HOME."""

    run_id: str
    started_at: datetime
    days: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    build: str | None = None
    finished_at: datetime | None = None

    @property
    def exit_code(self) -> int:
        """0 where all that was asked for is done, 1 where something failed, 3 where something is held."""
        return TailTrackerError.exit_code if self.errors else HeldError.exit_code if self.held else 0

    def write(self, home: Path) -> Path:
        self.finished_at = datetime.now(UTC)
        file = home / "runs" / f"{self.run_id}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "run_id": self.run_id,
            "started_at": self.started_at,
            "finished_at": self.finished_at,
            "status": "failure" if self.errors else "held" if self.held else "success",
            "build": self.build,
            "notes": self.notes,
            "errors": self.errors,
            "held": self.held,
            "days": self.days,
        }
        file.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z))
        crash_points.reached("refresh.reported")
        return file


def new_report() -> RunReport:
    started = datetime.now(UTC)
    return RunReport(f"{started:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}", started)
