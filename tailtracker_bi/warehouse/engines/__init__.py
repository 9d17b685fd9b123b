"""The engines that a warehouse can live in, each behind the same few words.

What belongs here: how an engine is reached, filled and read, and what its errors mean. What does not: what is written
to it, and when. SQL that differs between engines is `dbt_project/macros/dialect.sql`'s.
"""

from tailtracker_bi.settings import Settings
from tailtracker_bi.warehouse.engines.base import Engine, Session
from tailtracker_bi.warehouse.engines.duckdb import DuckDb, DuckDbSession


def engine_of(settings: Settings, name: str = "") -> Engine:
    """The engine that the settings name, or another that they tell how to reach."""
    if (name or settings.warehouse) == "postgres":
        # Its client takes a moment to load.
        from tailtracker_bi.warehouse.engines.postgres import Postgres

        return Postgres.of(settings)
    return DuckDb.of(settings)


__all__ = ["DuckDb", "DuckDbSession", "Engine", "Session", "engine_of"]
