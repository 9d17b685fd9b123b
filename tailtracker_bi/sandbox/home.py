"""The sandbox of a HOME: how it is reached, and how it is ended."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson

from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.settings import OFFERED_BY_THE_SANDBOX, SANDBOX_FILE, SandboxPlace, of_the_sandbox

SECONDS_TO_STOP = 30.0


@dataclass
class Running:
    """What the process of a sandbox says about itself."""

    pid: int
    urls: dict[str, str] = field(default_factory=dict)
    """Where each source is served, without secrets; empty until all of them answer."""
    postgres: str | None = None
    """The directory of the Postgres that goes with it."""


@dataclass(frozen=True)
class SandboxHome(SandboxPlace):
    """The sandbox of one HOME: how it is reached, and how it is ended."""

    @property
    def running(self) -> Running | None:
        """What the latest process said, whether or not it still runs."""
        with suppress(FileNotFoundError):
            return Running(**orjson.loads((self.folder / "running.json").read_bytes()))
        return None

    def say_running(self, running: Running) -> None:
        """Let other processes know of this one."""
        replace(self.folder / "running.json", orjson.dumps(asdict(running)))

    def say_settings(self, values: Mapping[str, object]) -> None:
        """Write what `settings` reads, for its owner alone: it holds credentials."""
        names = (*of_the_sandbox(), *OFFERED_BY_THE_SANDBOX)
        lines = (f"{name}={_quoted(values[name])}\n" for name in names if name in values)
        replace(self.home / SANDBOX_FILE, "".join(lines).encode())

    def stop(self) -> bool:
        """End the process that serves, and all that goes with it; whether there was one."""
        running = self.running
        if running is None:
            return False
        was_up = self.is_up
        if was_up and not self._end(running.pid, signal.SIGTERM) and not self._end(running.pid, signal.SIGKILL):
            raise TailTrackerError(f"the sandbox's process {running.pid} does not end: see {self.folder / 'log'}")
        if running.postgres and Path(running.postgres).exists():
            from tailtracker_bi.sandbox.servers.app_database import stop_left_over

            stop_left_over(Path(running.postgres))
        (self.folder / "running.json").unlink(missing_ok=True)
        return was_up

    def _end(self, pid: int, how: signal.Signals) -> bool:
        with suppress(ProcessLookupError):
            os.kill(pid, how)
        deadline = time.monotonic() + SECONDS_TO_STOP
        while self.is_up:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True


def replace(path: Path, content: bytes) -> None:
    """Write a file that readers see whole, as it was or as it is now, and that only its owner may read."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123 - a handle
        file.write(content)
    draft.rename(path)


def _quoted(value: object) -> str:
    text = str(value).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{text}'"
