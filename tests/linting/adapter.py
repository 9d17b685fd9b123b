"""What stands for dbt's `adapter` where sqlfluff reads the models: macros are DuckDB's."""

from __future__ import annotations

from typing import Any

from jinja2 import pass_context
from jinja2.runtime import Context


@pass_context
def dispatch(context: Context, name: str) -> Any:
    return context.resolve(f"default__{name}")
