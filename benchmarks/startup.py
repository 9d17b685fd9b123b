"""What a command costs before it does anything, in CPU-seconds and beside `import dbt.cli.main`.

    python -m benchmarks.startup

Each runs in a process of its own, and those that it starts count with it. They take turns, as a machine is not equally
fast all the time, and the median counts. HOME is a small made-up one, whose sandbox is down again.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

ROUNDS = 7
TAILTRACKER = str(Path(sys.executable).with_name("tailtracker-bi"))
DBT = "import dbt.cli.main"
COMMANDS = {
    DBT: [sys.executable, "-c", DBT],
    "--help": [TAILTRACKER, "--help"],
    "query": [TAILTRACKER, "query", "select count(*) from metric_values"],
    "query --format json": [TAILTRACKER, "query", "select count(*) from metric_values", "--format", "json"],
    "status": [TAILTRACKER, "status"],
}


def run(command: Sequence[str], home: str) -> None:
    subprocess.run(["/usr/bin/env", f"TAILTRACKER_HOME={home}", *command], cwd=home, check=True, capture_output=True)


def cpu_seconds(command: Sequence[str], home: str) -> float:
    """Of a command and all that it starts and waits for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run(command, home)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    with TemporaryDirectory() as home:
        for arguments in (["sandbox", "up", "--people", "200", "--days", "30"], ["refresh"], ["sandbox", "down"]):
            run([TAILTRACKER, *arguments], home)
        rounds = [{name: cpu_seconds(line, home) for name, line in COMMANDS.items()} for _ in range(ROUNDS)]
    dbt = median(one[DBT] for one in rounds)
    for name in COMMANDS:
        seconds = sorted(one[name] for one in rounds)
        print(
            f"{name:20}{median(seconds):6.2f} ({seconds[0]:.2f} to {seconds[-1]:.2f}) CPU-s"
            f"{median(seconds) / dbt:7.2f} x dbt"
        )


if __name__ == "__main__":
    main()
