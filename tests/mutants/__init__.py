"""Mutation testing: plausible mistakes put in one at a time, each of which some test has to notice.

`mutants.yml` lists them, by the rule or promise that each one breaks; `python -m tests.mutants` tries them.
"""

from __future__ import annotations

import random
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

PROJECT = Path(__file__).parents[2]
A_TURN = 6
"""How many are tried for one commit."""


@dataclass(frozen=True)
class Mutant:
    """A mistake: one text of a file in the place of another."""

    part: str
    breaks: str
    """The rule or promise that it breaks, by which it is named."""
    file: str
    before: str
    after: str
    tests: tuple[str, ...]
    """What makes pytest run the tests of its part."""

    def applied(self, project: Path) -> str:
        """The file's content with the mistake in it. Raises ValueError unless there is exactly one place for it."""
        path = project / self.file
        content = path.read_text(encoding="utf-8") if path.exists() else ""
        if content.count(self.before) != 1:
            raise ValueError(f"{self.file} has {content.count(self.before)} places for {self.before!r}")
        return content.replace(self.before, self.after)


def listed() -> list[Mutant]:
    """All of `mutants.yml`, in its order."""
    parts = yaml.safe_load((Path(__file__).parent / "mutants.yml").read_text(encoding="utf-8"))
    return [
        Mutant(name, entry["breaks"], entry["file"], entry["from"], entry["to"], tuple(shlex.split(part["tests"])))
        for name, part in parts.items()
        for entry in part["mutants"]
    ]


def in_turn(mutants: Sequence[Mutant], commit: str) -> list[Mutant]:
    """The few whose turn it is: always the same for a commit, others for the next, so that in time all have it."""
    return random.Random(commit).sample(mutants, A_TURN)
