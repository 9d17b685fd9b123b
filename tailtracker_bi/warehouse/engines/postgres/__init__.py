"""Postgres: the warehouse is schemas of its own in a database, which are filled from the lake.

    <prefix>_raw_<source>, _raw_lake    what lies in the lake, day by day as there; `_lake.copied` says which files
    <prefix>_config, _marks             as on any engine
    <prefix>_staging ... _metrics       models
    <prefix>_unpublished                the published layer as the build at work has it
    <prefix>_published                  the same as it was released: what people read who point a tool at the database

The lake is the record: whatever this database lost, or was set back to, comes from there. So models' tables are not
logged, which a crash of the server empties: `_lake.unlogged` is emptied with them, and tells.
"""

from tailtracker_bi.warehouse.engines.postgres.engine import Postgres
from tailtracker_bi.warehouse.engines.postgres.errors import PostgresError

__all__ = ["Postgres", "PostgresError"]
