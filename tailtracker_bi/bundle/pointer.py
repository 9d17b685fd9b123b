"""The builds that are kept, and the pointer that says which one readers take.

    published/<build>.duckdb   one build, never changed once it is there
    published/current          the name of the build that readers take

A process that still holds an old file would get it again under the same name; hence a new name each time.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tailtracker_bi import durable
from tailtracker_bi.crash_points import reached
from tailtracker_bi.errors import TailTrackerError

POINTER = "current"
KEEP_BUILDS = 5


class NoBundleError(TailTrackerError):
    """Nothing has been published yet."""


class BundleError(TailTrackerError):
    """A build failed its checks, or a build that was asked for is not there."""


@dataclass(frozen=True)
class Bundle:
    """One published build."""

    build: str
    path: Path


def builds(home: Path) -> list[Bundle]:
    """The builds that are kept, oldest first."""
    return [Bundle(file.stem, file) for file in sorted((home / "published").glob("*.duckdb"))]


def current(home: Path) -> Bundle:
    """The build that readers take; where the pointer is torn or names nothing, the newest build.

    Raises NoBundleError where nothing has been published.
    """
    kept = {bundle.build: bundle for bundle in builds(home)}
    if not kept:
        raise NoBundleError("nothing has been published yet: run `tailtracker-bi refresh`")
    return kept.get(_pointed_to(home), list(kept.values())[-1])


def kept_build(home: Path, build: str) -> Bundle:
    """A build by its name. Raises BundleError where it is not kept."""
    kept = {bundle.build: bundle for bundle in builds(home)}
    if build not in kept:
        raise BundleError(f"there is no build {build}; kept are: {', '.join(kept) or 'none'}")
    return kept[build]


def is_pointer_sound(home: Path) -> bool:
    """Whether the pointer names a build that is there."""
    return _pointed_to(home) in {bundle.build for bundle in builds(home)}


def _pointed_to(home: Path) -> str:
    try:
        return (home / "published" / POINTER).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def roll_back(home: Path, build: str | None = None) -> Bundle:
    """Make an earlier build the current one: the one named, else the one before the current one."""
    kept = builds(home)
    now = current(home)
    if build is None:
        earlier = [bundle for bundle in kept if bundle.build < now.build]
        if not earlier:
            raise BundleError(f"there is no build before {now.build}")
        target = earlier[-1]
    else:
        target = kept_build(home, build)
    point_to(home, target.build)
    return target


def point_to(home: Path, build: str) -> None:
    draft = home / "published" / f".{POINTER}"
    draft.write_text(build, encoding="utf-8")
    draft.chmod(0o600 | draft.parent.stat().st_mode & 0o044)
    durable.sync(draft)
    reached("publish.drafted_pointer")
    draft.rename(home / "published" / POINTER)
    durable.sync(home / "published")


def drop_old(home: Path) -> None:
    for leftover in (home / "published").glob("*.draft*"):
        if leftover.is_file():
            leftover.unlink()
    kept = [bundle for bundle in builds(home) if bundle.build != current(home).build]
    for bundle in kept[: -(KEEP_BUILDS - 1)]:
        bundle.path.unlink()
