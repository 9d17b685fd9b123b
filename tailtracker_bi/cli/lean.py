"""Arrow and DuckDB without pandas, which both load with the first value that they take from Python.

To see that a number is no frame they wait for pandas, longer than for anything else that a short command loads. What is
made of pandas, as statsmodels is, brings it with itself.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder


class _NoPandas(MetaPathFinder):
    def __init__(self) -> None:
        self._is_wanted = False

    def find_spec(self, name: str, *_: object) -> None:
        self._is_wanted = self._is_wanted or name == "statsmodels"
        if name == "pandas" and not self._is_wanted:
            raise ModuleNotFoundError("pandas is not wanted here: this command does without", name=name)


@contextmanager
def without_pandas() -> Iterator[None]:
    """Have pandas seem not to be installed, unless it is loaded already; who asks for it afterwards gets it."""
    sys.meta_path.insert(0, finder := _NoPandas())
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
