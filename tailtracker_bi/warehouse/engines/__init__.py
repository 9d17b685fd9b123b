"""The engines that a warehouse can live in, each behind the same few words.

What belongs here: how an engine is reached, filled and read, and what its errors mean. What does not: what is written
to it, and when. SQL that differs between engines is `dbt_project/macros/dialect.sql`'s.
"""

from tailtracker_bi.settings import Settings
from tailtracker_bi.warehouse.engines.base import Engine, Session
from tailtracker_bi.warehouse.engines.duckdb import DuckDb, DuckDbSession

ENGINES: dict[str, type[Engine]] = {engine.name: engine for engine in (DuckDb,)}


def engine_of(settings: Settings) -> Engine:
    """The engine that the settings name."""
    return ENGINES[settings.warehouse].of(settings)


__all__ = ["ENGINES", "DuckDb", "DuckDbSession", "Engine", "Session", "engine_of"]
