"""Commands as processes of their own that start at once: `python -m tests.worlds.forked`.

Reads one line a command from stdin, JSON of its arguments, its whole environment, where it runs and the files that take
what it writes; answers with the pid and then, when the command has ended, with its exit status, a line each. What takes
a second to import is there before it forks, and with `--builds` what a refresh imports, too.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).parents[2]


class Forks:
    """Starts commands, one at a time."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def start(
        self, arguments: Sequence[str], environment: Mapping[str, str], at: Path, stdout: Path, stderr: Path
    ) -> int:
        """Begin a command, which appends what it writes to these files; gives its pid."""
        assert self._process.stdin
        order = [[*arguments], {**environment}, *map(str, (at, stdout, stderr))]
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._answer())

    def ended(self) -> int:
        """The exit status of the command, when it has ended; that of a signal is negative."""
        return int(self._answer())

    def _answer(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline()


@contextmanager
def forking(*options: str) -> Iterator[Forks]:
    """Knows no setting and none of the developer's variables when it imports."""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "PYTHONPATH", "TMPDIR"}}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.worlds.forked", *options],
        cwd=PROJECT,
        env=kept,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Forks(process)
        finally:
            process.terminate()


def main() -> None:
    # What commands would import, each time anew.
    from tailtracker_bi import cli, runs  # noqa: F401
    from tailtracker_bi.bundle import publish, read  # noqa: F401
    from tailtracker_bi.cli import bars  # noqa: F401
    from tailtracker_bi.figures import json_output, not_counted  # noqa: F401

    if "--builds" in sys.argv:
        import adbc_driver_postgresql.dbapi  # noqa: F401
        import pyrate_limiter  # noqa: F401
        import stripe  # noqa: F401
        import tenacity  # noqa: F401
        from statsmodels.stats import proportion  # noqa: F401

        from tailtracker_bi.runs import pipeline  # noqa: F401
        from tailtracker_bi.shipped import DBT_PROJECT
        from tailtracker_bi.sources.http import client
        from tailtracker_bi.warehouse import DuckDb, compiled_manifest

        client(1.0).close()  # certificates are read once a process
        compiled_manifest(DuckDb(DBT_PROJECT))
    # Else each command's collector would look through it, and make a copy of what it looks at.
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                arguments, environment, at, *files = json.loads(line)
                os.environ.clear()
                os.environ.update(environment)
                os.chdir(at)
                for number, name in enumerate(files, start=1):
                    os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
                sys.argv = ["tailtracker-bi", *arguments]
                cli.main()
                status = 0
            except SystemExit as ended:
                status = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                # What a fork shares with its parent must not be taken down twice.
                os._exit(status)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
