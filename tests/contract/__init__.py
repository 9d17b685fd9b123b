"""The walls between the parts, and what readers of a bundle may rely on."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path


@cache
def parsed(file: Path) -> ast.Module:
    """A file of Python, parsed once for all walls; nobody changes it."""
    return ast.parse(file.read_text(encoding="utf-8"))
