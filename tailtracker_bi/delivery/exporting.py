"""Puts declared exports where they are to be, each once a period, by the ledger of deliveries.

Files are named after their period: one that is put there again takes the place of the first, where nobody can tell
whether that arrived, and where a later build restated what it told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from urllib.parse import urlsplit

import pandas as pd

from tailtracker_bi import bundle
from tailtracker_bi.analytics import ExportRules
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.crash_points import reached
from tailtracker_bi.delivery.ledger import Ledger
from tailtracker_bi.delivery.schedule import Due, due
from tailtracker_bi.delivery.sending import Outcome, tell_owner
from tailtracker_bi.errors import SettingsError
from tailtracker_bi.exports import export, put
from tailtracker_bi.figures import data_status, restated
from tailtracker_bi.settings import ReportSettings
from tailtracker_bi.sources import readable


def export_due(
    settings: ReportSettings, exports: Sequence[ExportRules], ledger: Ledger, now: datetime
) -> Iterator[Outcome]:
    """Hand out every export that is due by now and was not, from the current build; none without EXPORT_FOLDER.

    Raises BundleError, StoreError.
    """
    if settings.export_folder is None:
        return
    build, paused = bundle.current(settings.home), ledger.paused()
    for rules in exports:
        what = due(rules, now, settings.timezone, settings.week_start)
        if rules.id in paused:
            yield Outcome(rules.id, what.period_start, "paused")
        else:
            yield _export(settings, settings.export_folder, rules, what, build, ledger, now)


def _export(
    settings: ReportSettings,
    folder: str,
    rules: ExportRules,
    what: Due,
    build: Bundle,
    ledger: Ledger,
    now: datetime,
) -> Outcome:
    who = ("export", ledger.hashed(folder))
    before = ledger.last_sent(rules.id, what.period_start)
    revision = ledger.revision(rules.id, what.period_start)
    if who in ledger.recipients(rules.id, what.period_start, revision):
        if before is None or before.build == build.build or not _has_moved(rules, what, build, before.build):
            return Outcome(rules.id, what.period_start, "done")
        revision += 1
    is_troubled = _is_troubled(build, what)
    if before is None and is_troubled and now < what.deadline:
        return Outcome(rules.id, what.period_start, "waiting")
    shown = urlsplit(folder).path.rpartition("/")[2] or folder
    claim = ledger.claim(
        *(rules.id, what.period_start, revision, *who),
        shown=shown,
        build=build.build,
        headline={},
        is_troubled=is_troubled,
    )
    if claim is None:
        return Outcome(rules.id, what.period_start, "done")
    reached("delivery.begun")
    try:
        for name in rules.of:
            _, content = export(build, name, rules.format)
            put(folder, f"{name}-{what.period_start}.{rules.format}", content)
    except (SettingsError, OSError) as error:
        said = readable(str(error), settings.secrets)
        ledger.end(claim, said)
        told = f"The export {rules.id} of {what.period_start} did not arrive: {said}"
        tell_owner(settings, ledger, now, f"{rules.id} {what.period_start}", told)
        return Outcome(rules.id, what.period_start, "failed", errors=(f"{shown}: {said}",))
    reached("delivery.sent")
    ledger.end(claim)
    return Outcome(rules.id, what.period_start, "sent", 1)


def _has_moved(rules: ExportRules, what: Due, build: Bundle, known: str) -> bool:
    """Whether a value that the files of an earlier build had is restated by more than is declared; of a table any."""
    told = bundle.read_if_there(build, "restatements")
    if told.empty:
        return False
    rows = restated.since(told, known)
    is_there = pd.to_datetime(rows["period_start"]) < pd.Timestamp(what.made_on)
    if not set(rules.of) & set(bundle.tables(build)):
        is_there &= rows["metric_id"].isin(rules.of)
    own = rows[is_there]
    moved = (own["new_value"] - own["old_value"]).abs() > rules.send.corrected_above * own["old_value"].abs()
    return bool((moved | (own["old_value"].isna() != own["new_value"].isna())).any())


def _is_troubled(build: Bundle, what: Due) -> bool:
    """Whether the build ends before the period does, or a source is late, held or failed."""
    as_of = pd.Timestamp(bundle.read(build, "bundle_info", ["as_of"])["as_of"].iloc[0]).date()
    states = data_status.by_state(data_status.tables(bundle.read(build, "data_status")))
    return as_of < what.made_on or any(state.is_trouble for state in states)
