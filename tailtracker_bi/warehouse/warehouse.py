"""The warehouse of a HOME: prepared, built, and what it says of itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow.compute as pc

from tailtracker_bi.analytics import Analytics
from tailtracker_bi.crash_points import reached
from tailtracker_bi.errors import BuildError
from tailtracker_bi.lake import Lake, LakeError
from tailtracker_bi.settings import Settings
from tailtracker_bi.sources import SOURCES, DaySource, ObjectSource, Source
from tailtracker_bi.warehouse import marks
from tailtracker_bi.warehouse.config_tables import config_tables
from tailtracker_bi.warehouse.dbt_runner import compiled_manifest, write_profile
from tailtracker_bi.warehouse.engines import Engine, Session, engine_of
from tailtracker_bi.warehouse.models import VIEW, Given, Result, hashed, nodes_of, run_models

DAMAGED = "the warehouse is damaged: it is made anew from the lake"
EARLIEST = date(2000, 1, 1)
"""Objects that claim to be older have a clock gone wrong: they open no calendar."""
LAYERS = ("staging", "intermediate", "marts", "metrics", "published")


class Warehouse:
    """The warehouse of a HOME. One process at a time: callers hold the lock of `runs.locked`."""

    def __init__(self, settings: Settings, analytics: Analytics, lake: Lake) -> None:
        self._settings, self._analytics, self._lake = settings, analytics, lake
        self.engine: Engine = engine_of(settings)
        self.results: Sequence[Result] = ()
        """What became of each node in the build that this object made."""
        self._given: dict[str, Given] = {}
        self._has_finished = False
        """Whether a build that this object made came to its end, and nothing was prepared for another since."""

    @cached_property
    def _manifest(self) -> dict[str, Any]:
        """dbt's, read once."""
        return compiled_manifest(self.engine)

    @property
    def explored(self) -> list[str]:
        """The properties of events that Explore may ask of."""
        return self._analytics.explored_properties

    def drop(self) -> None:
        """Remove the warehouse: the next build makes it anew from the lake."""
        self.engine.remove()

    def prepare(self, full_refresh: bool = False) -> list[str]:
        """Write what models read. Returns, in words, what will be rebuilt in full and why."""
        with self.engine.held() as is_sound:
            if is_sound:
                return self._prepare(full_refresh)
        self.drop()
        return [DAMAGED, *self._prepare(full_refresh)]

    def check_is_of_lake(self) -> None:
        """Raise LakeError where the warehouse took in what the ledger does not have: one of both is not this HOME's.

        Landings are numbered: those that come would pass for those that were taken in.
        """
        with self.engine.held() as is_sound:
            if not is_sound or not self.engine.is_there:
                return
            with self.engine.session() as session:
                if not session.has("marks", "ledger"):
                    return
                taken_in = session.rows(f"select landing, chain from {session.named('marks.ledger')}")
        ledger = self._lake.ledger.landings()
        known = set(zip(ledger["landing"].to_pylist(), ledger["chain"].to_pylist(), strict=True))
        if taken_in and taken_in[0] not in known:
            raise LakeError(
                f"the warehouse took in landing {taken_in[0][0]}, which lake/_landings does not have: the lake is "
                "older than the warehouse, or one of both is of another HOME",
                "put back what belongs together, or, if this lake is the right one, `tailtracker-bi refresh --rebuild`",
            )

    def build(self, progress: Callable[[str, int, int], None] = lambda *_: None) -> None:
        """Bring all models up to what was prepared, and test them; then mark what was taken in.

        `progress` is told the node just finished, and how many of how many. Raises BuildError.
        """

        def tell(what: str, done: int, total: int) -> None:
            progress(what, done, total)
            if done == 1:
                reached("build.first_model")
            elif done == total // 2:
                reached("build.half")

        nodes = nodes_of(self._manifest)
        with self.engine.session() as session:
            before = marks.built(session, self.engine.version)
            session.create_schemas(LAYERS)
            self.results, built = run_models(session, nodes, self._given, before, self.engine.errors, tell)
            reached("build.ran")
            landing = pc.max(self._lake.ledger.landings()["landing"]).as_py()
            definition = marks.definition(self._settings, self._analytics)
            marks.finish(session, nodes, built, landing, definition, self.engine.version)
        self._has_finished = True
        reached("build.finished")

    def check_finished(self) -> None:
        """Raise BuildError unless the last build came to its end: no other state may be published."""
        if self._has_finished:
            return
        if self.engine.is_there:
            with self.engine.session() as session:
                if session.has("marks", "finished"):
                    return
        raise BuildError("the last build did not finish: build again before publishing")

    def described(self) -> dict[str, tuple[str, dict[str, str]]]:
        """What each published table is, and each of its columns of which that is said, as the project has it."""
        return {
            node["alias"]: (
                node["description"],
                {name: column["description"] for name, column in node["columns"].items() if column["description"]},
            )
            for node in self._manifest["nodes"].values()
            if node["resource_type"] == "model" and node["schema"] == "published"
        }

    def row_counts(self) -> dict[tuple[str, str], int]:
        """Rows of each table that models filled, by schema and name; views have to be computed, and are left out."""
        with self.engine.session() as session:
            tables = session.tables(LAYERS)
            counts = " union all ".join(
                f"select '{schema}', '{name}', count(*) from {session.named(f'{schema}.{name}')}"
                for schema, name in tables
            )
            rows = session.rows(counts) if tables else []
        return {(schema, name): count for schema, name, count in rows}

    def outdated(self, session: Session) -> list[str]:
        """The families that other SQL or settings filled than are there now: the next build fills them in full."""
        return marks.outdated(session, marks.fingerprints(self._settings, self._analytics))

    def _prepare(self, full_refresh: bool) -> list[str]:
        landings = self._lake.ledger.landings()
        manifest = self._manifest
        write_profile(self.engine)
        ledger = [(landings["landing"][-1].as_py(), landings["chain"][-1].as_py())] if len(landings) else []
        shape = hashed(str(landings.schema))
        given = {"raw_lake.landings": Given(shape, hashed(repr(ledger)), len(landings))}
        # All that ever landed: no less than what is there.
        landed = landings.group_by(["source", "table_name"]).aggregate([("loaded", "sum")]).to_pylist()
        rows_of = {f"raw_{one['source']}.{one['table_name']}": one["loaded_sum"] or 0 for one in landed}
        given |= {f"marks.{name}": Given("", "") for name in marks.READ_BY_MODELS}
        with self.engine.session() as session, session.transaction():  # a commit for each costs more than what it keeps
            session.expect(0)
            # Models that have another name by now, or became views, left tables.
            known = {(node.schema, node.name, node.kind == VIEW) for node in nodes_of(manifest)}
            session.keep_only(known | {("marks", name, False) for name in marks.NAMES}, (*LAYERS, "marks"))
            session.create_schemas(["raw_lake", "config", "marks", *(f"raw_{source.name}" for source in SOURCES)])
            had_finished = marks.begin(session)
            self._has_finished = False
            session.load("raw_lake", "landings", landings)
            for source in SOURCES:
                schema = f"raw_{source.name}"
                for table in source.tables:
                    columns, files = source.raw_schema(table), self._lake.files(source.name, table.name)
                    session.show(schema, table.name, columns, files, is_daily=issubclass(source, DaySource))
                    given[f"{schema}.{table.name}"] = Given(
                        hashed(str(columns)), hashed(*sorted(files)), rows_of.get(f"{schema}.{table.name}", 0)
                    )
            began = {source.name: self._first_day_told(session, source) for source in SOURCES}
            tables = config_tables(self._settings, self._analytics, landings, began, manifest)
            for name, (columns, rows) in tables.items():
                told = list(rows)
                session.write("config", name, columns, told)
                given[f"config.{name}"] = Given(hashed(str(columns)), hashed(*map(repr, told)), len(told))
            if ledger:
                session.write("marks", "ledger", marks.LEDGER, ledger)
            notes = marks.drop_outdated(
                session,
                marks.fingerprints(self._settings, self._analytics),
                full_refresh=full_refresh,
                had_finished=had_finished,
            )
        self._given = {f"source.tailtracker.{name}": one for name, one in given.items()}
        reached("build.prepared")
        return notes

    def _first_day_told(self, session: Session, source: type[Source]) -> date | None:
        """The reporting day on which a source's oldest object came to be; None for days, and where there is none."""
        if not issubclass(source, ObjectSource):
            return None
        moments = " union all ".join(
            f"select cast({table.dated_by} as timestamp) as told_at "
            f"from {session.named(f'raw_{source.name}.{table.name}')}"
            for table in source.tables
            if table.dated_by
        )
        if not moments:
            return None
        [(first,)] = session.rows(
            f"select min(told_at) from ({moments}) as moments where told_at >= cast('{EARLIEST}' as timestamp)"
        )
        zone = ZoneInfo(self._settings.timezone)
        return first.replace(tzinfo=UTC).astimezone(zone).date() if first else None
