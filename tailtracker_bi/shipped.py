"""What travels with the package beside Python: the dbt project and the dashboard's pages."""

from __future__ import annotations

from pathlib import Path

_CHECKOUT = Path(__file__).parent.parent
DBT_PROJECT = _CHECKOUT / "dbt_project"
DASHBOARDS = _CHECKOUT / "dashboards"
