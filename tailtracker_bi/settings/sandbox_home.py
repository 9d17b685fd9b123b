"""The folder `sandbox/` of a HOME: whether a sandbox lives there, and whether it is up.

A HOME with a sandbox takes its sources from it, so that whoever reads settings has to know. A sandbox is up while its
process holds the lock, which goes with the process however that ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tailtracker_bi.errors import SettingsError

if TYPE_CHECKING:
    from filelock import FileLock

SANDBOX_FILE = Path("sandbox", "settings.env")
"""Where in HOME a sandbox says how it is reached."""
OF_THE_SANDBOX = ("TAILTRACKER_ALLOW_LOOPBACK", "TAILTRACKER_HISTORY_START", "TAILTRACKER_NOW")
"""What a sandbox decides besides the settings of sources."""
OFFERED_BY_THE_SANDBOX = ("TAILTRACKER_WAREHOUSE", "TAILTRACKER_WAREHOUSE_URL")
"""What a sandbox may name, and the environment may name otherwise."""


@dataclass(frozen=True)
class SandboxPlace:
    """The sandbox of one HOME, if there is one."""

    home: Path

    @property
    def folder(self) -> Path:
        return (self.home / SANDBOX_FILE).parent

    @property
    def exists(self) -> bool:
        return self.folder.is_dir()

    @property
    def lock(self) -> FileLock:
        """Held by the process that serves."""
        from filelock import FileLock  # which readers of settings need not load

        return FileLock(self.folder / "lock")

    @property
    def is_up(self) -> bool:
        if not self.exists:
            return False
        try:
            with self.lock.acquire(timeout=0):
                return False
        except TimeoutError:
            return True

    def check_is_up(self) -> None:
        """Raise SettingsError where this HOME lives by a sandbox that can't answer."""
        if self.exists and not self.is_up:
            raise SettingsError(
                f"the sandbox in {self.folder} is not up: run `tailtracker-bi sandbox up` (or `replay`); for data of "
                "your own set another TAILTRACKER_HOME"
            )
