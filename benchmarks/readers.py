"""What a page of the dashboard costs its server, in CPU-seconds and in times of `import dbt.cli.main`.

    python -m benchmarks.readers

Over a build of the sandbox. Each page is opened in processes of its own: cold is all that one spends which opens it
once, imports included; warm is what a further session takes, the median of ten. The median of the rounds counts.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
DASHBOARD = ROOT / "dashboards" / "streamlit_app.py"
PAGES = (
    "overview", "active_users", "lifecycle", "retention", "funnels", "revenue", "churn_and_ltv", "payments",
    "pets_and_alerts", "voice_and_acquisition", "service_levels", "data_health", "metric_catalogue", "event_catalogue",
    "last_hours",
)  # fmt: skip
ROUNDS, SESSIONS = 3, 10
SANDBOX = ("--people", "5000", "--days", "120", "--until", "2024-06-30")
NOW = "2024-07-01T06:00:00Z"


def cpu(whose: int = resource.RUSAGE_SELF) -> float:
    used = resource.getrusage(whose)
    return used.ru_utime + used.ru_stime


def sessions(page: str, further: int) -> None:
    """Open a page in this process, then in further sessions; prints what those took, and how often a build is asked."""
    import duckdb
    from streamlit.components.v2.component_manager import BidiComponentManager
    from streamlit.testing.v1 import AppTest

    from tailtracker_bi import bundle

    counts = {"reads": 0, "connections": 0}

    def count(owner: object, name: str, counted: str) -> None:
        original = getattr(owner, name)

        def counting(*arguments: object, **named: object) -> object:
            counts[counted] += 1
            return original(*arguments, **named)

        setattr(owner, name, counting)

    count(duckdb, "connect", "connections")
    for name in ("read", "read_distinct", "read_if_there", "tables"):
        count(bundle, name, "reads")

    def show() -> None:
        session = AppTest.from_file(str(DASHBOARD), default_timeout=120)
        if page != PAGES[0]:
            session.switch_page(f"app_pages/{page}.py")
        session.run()
        if session.exception:
            sys.exit(session.exception[0].message)

    show()
    # A server looks through all installed packages once; here each session would.
    BidiComponentManager.discover_and_register_components = lambda *_, **__: None  # type: ignore[method-assign]
    warm = []
    for _ in range(further):
        before = cpu()
        show()
        warm.append(cpu() - before)
    print(json.dumps({"warm": warm, **counts}))


def measured(script: str, home: Path) -> tuple[float, str]:
    """What a process of its own spends on a script, and what that prints."""
    before = cpu(resource.RUSAGE_CHILDREN)
    process = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT, env=environment(home), check=True, capture_output=True, text=True,
    )  # fmt: skip
    return cpu(resource.RUSAGE_CHILDREN) - before, process.stdout


def opened(page: str, home: Path) -> dict[str, float]:
    """Seconds of a page, by how it is opened, and how often the build is asked."""
    script = f"from benchmarks import readers; readers.sessions({page!r}, {{}})"
    cold, _ = measured(script.format(0), home)
    _, printed = measured(script.format(SESSIONS), home)
    found = json.loads(printed)
    return found | {"cold": cold, "warm": median(found["warm"]), "ten": sum(found["warm"])}


def environment(home: Path) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "TAILTRACKER_HOME": str(home), "TAILTRACKER_NOW": NOW}


def publish(home: Path) -> None:
    """A build of the sandbox's story."""
    for command in (["sandbox", "up", *SANDBOX], ["refresh"], ["sandbox", "down"]):
        subprocess.run(
            [str(Path(sys.executable).with_name("tailtracker-bi")), *command],
            cwd=home, env=environment(home), check=True, capture_output=True,
        )  # fmt: skip


def main() -> None:
    with TemporaryDirectory() as directory:
        home = Path(directory)
        publish(home)
        # They take turns, as a machine is not equally fast all the time.
        rounds = [
            (measured("import dbt.cli.main", home)[0], {page: opened(page, home) for page in PAGES})
            for _ in range(ROUNDS)
        ]
    unit = median(seconds for seconds, _ in rounds)
    print(f"{'import dbt.cli.main':28}{unit:6.2f} CPU-s")
    for page in PAGES:
        own = {key: median(pages[page][key] for _, pages in rounds) for key in rounds[0][1][page]}
        spent = "".join(f"{name:>7}{own[name]:6.2f} CPU-s ({own[name] / unit:.2f})" for name in ("cold", "warm", "ten"))
        print(f"{page:28}{own['reads']:3.0f} reads{own['connections']:3.0f} connection{spent}")


if __name__ == "__main__":
    main()
