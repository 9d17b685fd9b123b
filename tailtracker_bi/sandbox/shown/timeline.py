"""The file of annotations: the app's releases and the incident, as far as they have happened."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import orjson

from tailtracker_bi.sandbox.shown.files import replaced
from tailtracker_bi.sandbox.story.plot import DAY
from tailtracker_bi.sandbox.story.story import Story


def write(story: Story, file: Path, now: int) -> None:
    """What had begun by now; what had not ended by now has no end."""
    plot = story.plot
    happened: list[tuple[str, str, int, int | None]] = [
        *(("release", f"Version {version}", plot.start + day * DAY, None) for version, day in plot.releases),
        ("incident", "The app crashes and cards are declined", *plot.incident),
    ]
    listed = [
        {
            "id": f"{kind}-{begins}",
            "kind": kind,
            "title": title,
            "started_at": _moment(begins),
            "ended_at": None if ends is None or ends > now else _moment(ends),
        }
        for kind, title, begins, ends in happened
        if begins <= now
    ]
    with replaced(file) as content:
        content.write(orjson.dumps(listed, option=orjson.OPT_INDENT_2))


def _moment(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()
