"""Refreshes as processes of their own that start at once: `python -m tests.journeys.refresher`.

Reads one line a refresh from stdin, JSON of its options and of environment variables; answers with the pid and then,
when the refresh has ended, with its exit status, a line each. What takes seconds to import and to parse is there before
it forks.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory


def main() -> None:
    import dbt.cli.main  # noqa: F401  (seconds that each build would spend)

    from tailtracker_bi import cli
    from tailtracker_bi.warehouse.dbt_runner import parsed_project

    with TemporaryDirectory() as scratch:
        parsed_project(Path(scratch))
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            options, environment = json.loads(line)
            os.environ.update(environment)
            log = os.open(os.environ["TAILTRACKER_HOME"] + ".log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            sys.argv = ["tailtracker-bi", "refresh", *options]
            status = 1
            try:
                cli.main()
            except SystemExit as ended:
                status = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
            finally:
                sys.stdout.flush()
                # What a fork shares with its parent must not be taken down twice.
                os._exit(status)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
