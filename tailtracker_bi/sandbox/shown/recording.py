"""Records what the sources show of a story at a moment, in files.

    Scenario --tell--> Story --record--> mixpanel/<day>.jsonl.gz, stripe/<table>.jsonl.gz, app_db/<table>.csv,
                                         annotations.json

What a source shows at a moment is what had happened, and arrived, by then: so what is recorded for a later moment goes
on from what was recorded for an earlier one.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from tailtracker_bi.sandbox.shown import app_db, mixpanel, stripe, timeline
from tailtracker_bi.sandbox.story.story import Progress, Story, say_nothing


def record(
    story: Story,
    directory: Path,
    as_of: datetime,
    since: datetime | None = None,
    progress: Progress = say_nothing,
) -> None:
    """Record what the sources show at `as_of` (UTC), in files below the directory.

    Where the directory holds what they showed at `since`, only what changed is written: of Mixpanel the days into
    which something arrived, of the others everything. A file that is read meanwhile is the old one or the new one.
    """
    now, before = int(as_of.timestamp()), None if since is None else int(since.timestamp())
    mixpanel.write(story, directory / "mixpanel", now, before, progress)
    stripe.write(story, directory / "stripe", now, progress)
    app_db.write(story, directory / "app_db", now, progress)
    timeline.write(story, directory / "annotations.json", now)
