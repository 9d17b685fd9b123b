"""The warehouse: shows the lake and the configuration to the engine, and makes what follows from them.

What belongs here: what models read besides the lake, what a build took in, running what dbt compiled. What does not:
SQL of metrics, which is in `dbt_project/`, and what readers see, which is the bundle.
"""

from tailtracker_bi.errors import BuildError
from tailtracker_bi.warehouse.calendar import period_of
from tailtracker_bi.warehouse.check import check_warehouse
from tailtracker_bi.warehouse.config_tables import asked_tables, certain_part, landed_id, plain_value
from tailtracker_bi.warehouse.dbt_runner import compiled_manifest
from tailtracker_bi.warehouse.engines import DuckDb, DuckDbSession, Engine, engine_of
from tailtracker_bi.warehouse.models import Result, fill_from, nodes_of
from tailtracker_bi.warehouse.warehouse import DAMAGED, Warehouse

__all__ = [
    "DAMAGED",
    "BuildError",
    "DuckDb",
    "DuckDbSession",
    "Engine",
    "Result",
    "Warehouse",
    "asked_tables",
    "certain_part",
    "check_warehouse",
    "compiled_manifest",
    "engine_of",
    "fill_from",
    "landed_id",
    "nodes_of",
    "period_of",
    "plain_value",
]
