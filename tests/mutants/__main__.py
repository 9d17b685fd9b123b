"""Tries mutants: `python -m tests.mutants [--turn] [WORD ...]`, all or those whose part or rule has one of the words.

Each is put into a copy of the project, and the tests of its part run there until the first that fails. Exits with 1
where one is not caught: where all tests pass, where they do not come to an end, or where it has no place any more.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import copy2
from tempfile import TemporaryDirectory

from tests.mutants import PROJECT, Mutant, in_turn, listed

AT_ONCE = 2
MOST_SECONDS = 300
"""Tests that a mistake sends into a loop tell nobody what is wrong."""
FAILED = 1
"""pytest's exit status where a test failed; others say that it could not run them."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="WORD", help="try those whose part or rule has one of these in it")
    parser.add_argument("--turn", action="store_true", help="try the few whose turn it is by the commit")
    chosen = parser.parse_args()
    mutants = [
        mutant
        for mutant in (in_turn(listed(), _git("rev-parse", "HEAD").strip()) if chosen.turn else listed())
        if not chosen.words or any(word in f"{mutant.part}: {mutant.breaks}" for word in chosen.words)
    ]
    begun = time.monotonic()
    with TemporaryDirectory(prefix="mutants-") as scratch, ThreadPoolExecutor(AT_ONCE) as pool:
        survived = len(mutants) - sum(pool.map(lambda mutant: _is_caught(mutant, Path(scratch)), mutants))
    minutes = (time.monotonic() - begun) / 60
    print(f"{len(mutants) - survived} of {len(mutants)} caught, in {minutes:.1f} minutes")
    return 1 if survived else 0


def _is_caught(mutant: Mutant, scratch: Path) -> bool:
    begun = time.monotonic()
    with TemporaryDirectory(dir=scratch) as folder:
        project, temporary = Path(folder, "project"), Path(folder, "tmp")
        temporary.mkdir()
        _copy(project)
        try:
            content = mutant.applied(project)
        except ValueError as error:
            is_caught, outcome = False, f"COULD NOT BE APPLIED: {error}"
        else:
            (project / mutant.file).write_text(content, encoding="utf-8")
            is_caught, outcome = _outcome(mutant.tests, project, temporary)
    print(f"{mutant.part}: {mutant.breaks}: {outcome} ({time.monotonic() - begun:.0f} s)", flush=True)
    return is_caught


def _copy(target: Path) -> None:
    """The project as it stands here, changes that are not committed included."""
    for name in _git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"):
        if name and (PROJECT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            copy2(PROJECT / name, target / name)


def _outcome(tests: Sequence[str], project: Path, temporary: Path) -> tuple[bool, str]:
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", "not slow", *tests]
    # What is imported is the copy, also by the programs that tests start.
    environment = os.environ | {"PYTHONPATH": str(project), "TMPDIR": str(temporary)}
    with subprocess.Popen(
        command, cwd=project, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    ) as running:  # fmt: skip
        try:
            said, _ = running.communicate(timeout=MOST_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)  # and what the tests started
            return False, f"NO END within {MOST_SECONDS} s"
    if running.returncode == 0:
        return False, "NOT CAUGHT"
    failed = [line for line in said.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if running.returncode == FAILED and failed:
        return True, f"caught by {failed[0].split(' - ')[0].partition(' ')[2]}"
    return False, f"THE TESTS COULD NOT RUN: {said[-500:]}"


def _git(*arguments: str) -> str:
    command = ["git", "-c", "safe.directory=*", *arguments]  # whoever the checkout belongs to
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main())
