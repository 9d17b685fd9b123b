"""Marks: what a build took in is noted when it has come to its end, all of it or nothing."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from tailtracker_bi.warehouse import DuckDb, Engine, marks
from tailtracker_bi.warehouse.engines import Session
from tailtracker_bi.warehouse.models import Built, Node

MONDAY = date(2024, 4, 1)
FINGERPRINTS = {"people": "p1", "funnels": "f1"}
KEPT = [table for tables in marks.FAMILIES.values() for table in tables]
NODES = [
    Node("model.ids", "table", "ids", "marts", "select 1", "ids.sql", [], [], {}),
    Node("test.ids", "test", "unique_ids", "audit", "select 1", "ids.yml", [], [], {}),
]
BUILT = {"model.ids": Built("a", 2, "17"), "test.ids": Built("b")}
RAW_ID_DAYS = pa.schema([("raw_id", pa.string()), ("event_date", pa.date32())])


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """A warehouse as a build leaves it that knows of Anna and her device, but for its marks."""
    engine = DuckDb(tmp_path)
    with engine.session() as session:
        session.create_schemas(["marks", "staging", "intermediate", "marts", "metrics"])
        for table in KEPT:
            session.write(*table.split("."), RAW_ID_DAYS, [("anna", MONDAY), ("device", MONDAY)])
        landings = pa.schema([*marks.READ_BY_MODELS["landings"], ("status", pa.string())])
        session.write("staging", "stg_lake__landings", landings, [("mixpanel", "events", MONDAY, 3, "landed")])
        for name, origin in marks.TAKEN_FROM.items():
            session.write("intermediate", origin, marks.READ_BY_MODELS[name], [])
        assert not marks.begin(session)
        marks.drop_outdated(session, FINGERPRINTS, full_refresh=False, had_finished=True)
        for table in KEPT:
            session.write(*table.split("."), RAW_ID_DAYS, [("anna", MONDAY), ("device", MONDAY)])
    return engine


def people(session: Session, *ids: tuple[str, str]) -> None:
    """Say who is who, by raw id and person."""
    rows = [(raw_id, person, False) for raw_id, person in ids]
    session.write("intermediate", "int_identities_resolved", marks.READ_BY_MODELS["identities"], rows)


def finish(session: Session, landing: int) -> None:
    marks.finish(session, NODES, BUILT, landing, "definition", "1")


def there(session: Session) -> set[str]:
    return {f"{schema}.{name}" for schema, name in session.tables()}.intersection(KEPT)


def test_what_a_finished_build_took_in_is_marked(engine: Engine) -> None:
    with engine.session() as session:
        people(session, ("anna", "anna"), ("device", "bob"))
        finish(session, 3)
        assert session.rows("select source, landing from marks.landings") == [("mixpanel", 3)]
        assert session.rows("select landing, definition from marks.finished") == [(3, "definition")]
        assert marks.built(session, "1") == BUILT
        assert marks.built(session, "2") == {}  # whose digests say nothing here
        # Nobody moves in a first build.
        assert session.rows("select count(*) from marks.merges") == [(0,)]
        people(session, ("anna", "anna"), ("device", "anna"))
        finish(session, 7)
        assert session.rows("select landing, first_date from marks.merges") == [(7, MONDAY)]


def test_a_mark_that_can_not_be_written_leaves_none(engine: Engine) -> None:
    with engine.session() as session:
        session.drop("intermediate.int_sources_covered")
        with pytest.raises(engine.errors):
            finish(session, 3)
    with engine.session() as session:
        assert session.rows("select count(*) from marks.landings") == [(0,)]
        assert not session.has("marks", "finished")


def test_after_a_build_that_broke_off_person_days_are_filled_in_full_and_no_more(engine: Engine) -> None:
    with engine.session() as session:
        for _ in range(2):  # the next may break off, too, before it fills them
            had_finished = marks.begin(session)
            assert marks.drop_outdated(session, FINGERPRINTS, full_refresh=False, had_finished=had_finished) == []
            assert there(session) == {*KEPT} - {*marks.FROM_REBUILD_START}


def test_after_a_finished_build_only_what_other_sql_or_settings_filled_goes(engine: Engine) -> None:
    with engine.session() as session:
        finish(session, 3)
        assert marks.begin(session)
        assert marks.drop_outdated(session, FINGERPRINTS, full_refresh=False, had_finished=True) == []
        assert there(session) == {*KEPT}
        changed = FINGERPRINTS | {"funnels": "f2"}
        assert marks.outdated(session, changed) == ["funnels"]
        [told] = marks.drop_outdated(session, changed, full_refresh=False, had_finished=True)
        assert told == "funnels: rebuilt in full, because settings, analytics.yml or SQL changed"
        assert there(session) == {*KEPT} - {*marks.FAMILIES["funnels"]}
        assert marks.outdated(session, changed) == []


def test_what_models_came_of_is_forgotten_after_a_build_that_broke_off_and_where_all_is_to_be_done_again(
    engine: Engine,
) -> None:
    with engine.session() as session:
        finish(session, 3)
        assert marks.begin(session)
        assert marks.built(session, "1") == BUILT
        marks.drop_outdated(session, FINGERPRINTS, full_refresh=True, had_finished=True)
        assert marks.built(session, "1") == {}
    with engine.session() as session:
        session.write("marks", "built", marks.BUILT, [("model.ids", "marts.ids", "a", 2, "17", "1")])
        assert not marks.begin(session)  # nothing finished since
        assert marks.built(session, "1") == {}
