"""What travels with the package beside Python: the dbt project and the dashboard's pages.

In a checkout they stand beside the package; in a wheel they are in it (`pyproject.toml` puts them there), and may only
be read.
"""

from __future__ import annotations

from pathlib import Path

_IN_WHEEL = Path(__file__).parent / "_shipped"
IS_INSTALLED = _IN_WHEEL.is_dir()
"""Whether this is no checkout: nothing is written beside the code then."""
_ROOT = _IN_WHEEL if IS_INSTALLED else Path(__file__).parent.parent
DBT_PROJECT = _ROOT / "dbt_project"
DASHBOARDS = _ROOT / "dashboards"
