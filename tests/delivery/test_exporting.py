"""Declared exports are where they are to be: once a period, whole; late data is waited for, failures tried again."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tailtracker_bi import bundle
from tailtracker_bi.analytics import ExportRules, load_analytics
from tailtracker_bi.delivery import Ledger, export_due
from tailtracker_bi.delivery.sending import Outcome
from tailtracker_bi.errors import SettingsError
from tailtracker_bi.exports import export
from tailtracker_bi.settings import ReportSettings
from tests.delivery.conftest import MailServer, publish
from tests.worlds.sample_bundle import changed, with_mixpanel

Make = Callable[..., ReportSettings]
# Monday, of the week from 3 March on.
EARLY, NOON = datetime(2025, 3, 10, 7, 30, tzinfo=UTC), datetime(2025, 3, 10, 12, 0, tzinfo=UTC)


def rules(**more: object) -> ExportRules:
    given = {"id": "numbers", "of": ["mrr", "metric_catalog"], "period": "week"}
    return ExportRules.model_validate(given | {"send": {"at": "07:00", "deadline": "12:00"}} | more)


def go(settings: ReportSettings, now: datetime = NOON, own: ExportRules | None = None) -> Outcome:
    [outcome] = export_due(settings, [own or rules()], Ledger(settings.home), now)
    return outcome


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "handed out"


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_an_export_is_put_there_once_a_period(settings_of: Make, folder: Path) -> None:
    settings = settings_of(EXPORT_FOLDER=str(folder))
    assert [go(settings, NOON + timedelta(hours=hour)).what for hour in range(3)] == ["sent", "done", "done"]
    assert names(folder) == ["metric_catalog-2025-03-03.csv", "mrr-2025-03-03.csv"]
    assert go(settings, NOON + timedelta(weeks=1)).what == "sent"
    assert "mrr-2025-03-10.csv" in names(folder)


def test_an_export_waits_for_its_data_until_its_deadline(
    settings_of: Make, folder: Path, home: Path, tmp_path: Path
) -> None:
    assert go(settings_of(EXPORT_FOLDER=str(folder)), EARLY).what == "waiting"
    assert not folder.exists()
    with_mixpanel(bundle.current(home), tmp_path / "well", "ok", None)
    well = settings_of(EXPORT_FOLDER=str(folder), TAILTRACKER_HOME=tmp_path / "well")
    assert go(well, EARLY - timedelta(minutes=31)).period_start == date(2025, 2, 24)
    assert go(well, EARLY).what == "sent"
    # The next week has not ended in this build.
    assert go(well, EARLY + timedelta(weeks=1)).what == "waiting"


@pytest.mark.parametrize(
    ("metric", "moved_to", "of", "follows"),
    [
        ("mrr", 102.0, ["mrr"], True),
        ("mrr", None, ["mrr"], True),
        # By less than is declared, of another metric, of a day that was not over.
        ("mrr", 100.5, ["mrr"], False),
        ("dau", 102.0, ["mrr"], False),
        ("dau", 102.0, ["metric_values"], True),
    ],
)
def test_a_file_whose_numbers_were_restated_is_put_there_anew(
    metric: str, moved_to: float | None, of: list[str], follows: bool,
    settings_of: Make, folder: Path, home: Path, tmp_path: Path,
) -> None:  # fmt: skip
    settings, own = settings_of(EXPORT_FOLDER=str(folder)), rules(of=of)
    assert go(settings, own=own).what == "sent"
    [file] = folder.iterdir()
    first = file.read_bytes()
    of_a_day, by = "'day', date '2025-03-04', 'all', 'all'", "'20250312T070001-0c0rre', date '2025-03-12'"
    row = f"'{metric}', {of_a_day}, 100, {moved_to or 'null'}, {by}, 'late events'"
    later = changed(
        bundle.current(home), tmp_path / "later",
        f"insert into restatements values ({row})",
        "update metric_values set value = value + 1 where grain = 'day'",
    )  # fmt: skip
    publish(home, later)
    assert go(settings, own=own).what == ("sent" if follows else "done")
    assert (file.read_bytes() != first, names(folder)) == (follows, [file.name])
    assert go(settings, own=own).what == "done"
    assert Ledger(settings.home).revision("numbers", date(2025, 3, 3)) == int(follows)


@pytest.mark.parametrize("form", ["csv", "parquet", "xlsx"])
def test_each_form_is_what_the_command_writes(form: str, settings_of: Make, folder: Path, home: Path) -> None:
    go(settings_of(EXPORT_FOLDER=str(folder)), own=rules(format=form))
    content = (folder / f"mrr-2025-03-03.{form}").read_bytes()
    assert content == export(bundle.current(home), "mrr", form)[1]
    if form == "parquet":
        assert pq.read_table(io.BytesIO(content)).num_rows > 100


def test_an_object_store_takes_it_too(settings_of: Make) -> None:
    import fsspec  # type: ignore[import-untyped]

    assert go(settings_of(EXPORT_FOLDER="memory://bucket/exports")).what == "sent"
    assert {Path(name).name for name in fsspec.filesystem("memory").ls("/bucket/exports", detail=False)} == {
        "metric_catalog-2025-03-03.csv",
        "mrr-2025-03-03.csv",
    }


def test_what_fails_is_told_to_the_owner_and_tried_again(settings_of: Make, folder: Path, mail: MailServer) -> None:
    folder.write_text("a file where a folder should be")
    settings = settings_of(EXPORT_FOLDER=str(folder), SMTP_URL=mail.url, REPORT_OWNER="owner@tails.example")
    for _ in range(2):
        outcome = go(settings)
        assert outcome.what == "failed"
        assert "File exists" in outcome.errors[0]
    assert Ledger(settings.home).has_failed("numbers", date(2025, 3, 3))
    [told] = mail.came
    assert "The export numbers of 2025-03-03 did not arrive" in told.get_content()
    folder.unlink()
    assert go(settings).what == "sent"


def test_a_table_that_is_not_there_is_told(settings_of: Make, folder: Path) -> None:
    outcome = go(settings_of(EXPORT_FOLDER=str(folder)), own=rules(of=["mrr_movement"]))
    assert "did you mean mrr_movements" in outcome.errors[0]


@pytest.mark.parametrize("step", ["delivery.begun", "delivery.sent"])
def test_one_that_is_killed_is_whole_afterwards(
    step: str, settings_of: Make, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(EXPORT_FOLDER=str(folder))

    class KilledError(BaseException):
        pass

    def killed(at: str) -> None:
        if at == step:
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr("tailtracker_bi.delivery.exporting.reached", killed)
        with pytest.raises(KilledError):
            go(settings)
    assert go(settings).what == "done"
    monkeypatch.setattr("tailtracker_bi.delivery.ledger.ABANDONED", timedelta(0))
    assert go(settings).what == "sent"
    assert len(names(folder)) == 2


def test_without_a_folder_nothing_is_handed_out_and_what_is_paused_waits(settings_of: Make, folder: Path) -> None:
    assert list(export_due(settings_of(), [rules()], Ledger(settings_of().home), NOON)) == []
    settings = settings_of(EXPORT_FOLDER=str(folder))
    Ledger(settings.home).pause("numbers")
    assert go(settings).what == "paused"


def test_the_shipped_exports_name_what_is_there_and_a_report_has_another_id(home: Path, tmp_path: Path) -> None:
    for one in load_analytics().exports:
        assert set(one.of) <= set(bundle.tables(bundle.current(home)))
    file = tmp_path / "own.yml"
    file.write_text('exports: [{id: weekly, of: [mrr], period: day, send: {at: "07:00", deadline: "08:00"}}]')
    with pytest.raises(SettingsError, match="'weekly' is the id of a report, too"):
        load_analytics(file)
