"""The command line as people and other programs meet it: exit codes, one line an error, results alone on stdout."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tailtracker_bi import bundle, recent
from tailtracker_bi.bundle.sql import QueryError
from tailtracker_bi.cli import engineer
from tailtracker_bi.runs import new_report
from tailtracker_bi.runs.pipeline import INTERRUPTED
from tailtracker_bi.sandbox.servers.export_api import SECRET, USER, ExportApi, serve
from tailtracker_bi.sources import COUNTED, SOURCES, Mixpanel
from tailtracker_bi.sources.mixpanel import export as mixpanel
from tailtracker_bi.warehouse import DuckDb
from tests.worlds import sample_bundle
from tests.worlds.forked import Forks, forking
from tests.worlds.tiny import FRIDAY, TINY, TUESDAY

TODAY = TUESDAY + timedelta(days=1)
BUILD = r"\d{8}T\d{6}-[0-9a-f]{6}"


@dataclass(frozen=True)
class Cli:
    """The commands, run as processes of their own over one HOME."""

    api: ExportApi
    home: Path
    forks: Forks

    def environment(self, at: Path, variables: dict[str, str]) -> dict[str, str]:
        """All that a command knows of."""
        return {
            # Where libraries look for a home directory: never the developer's own.
            "HOME": str(at),
            # What is tested may be another copy than the one that is installed.
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "TAILTRACKER_HOME": str(self.home),
            "TAILTRACKER_ALLOW_LOOPBACK": "1",
            "TAILTRACKER_RETRY_SCALE": "0",
            "TAILTRACKER_HISTORY_START": str(FRIDAY),
            "TAILTRACKER_NOW": f"{TODAY}T12:00:00Z",
            "MIXPANEL_PROJECT_ID": "2195193",
            "MIXPANEL_USERNAME": USER,
            "MIXPANEL_SECRET": SECRET,
            "MIXPANEL_EXPORT_URL": self.api.url,
            **variables,
        }

    def started(self, *arguments: str, at: Path, **variables: str) -> subprocess.Popen[str]:
        """A command that runs in directory `at`, started as people start it."""
        return subprocess.Popen(
            [sys.executable, "-c", "from tailtracker_bi.cli import main; main()", *arguments],
            env=self.environment(at, variables),
            cwd=at,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A shell that runs the tests in the background has them ignore it, and all that they start.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def run(self, *arguments: str, at: Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """A command run in directory `at`; whatever it comes to, nobody is shown a traceback."""
        with TemporaryDirectory() as folder:
            files = Path(folder, "stdout"), Path(folder, "stderr")
            self.forks.start(arguments, self.environment(at, variables), at, *files)
            status = self.forks.ended()
            return checked(subprocess.CompletedProcess(arguments, status, *(file.read_text() for file in files)))

    def ask(self, sql: str, *options: str, at: Path) -> subprocess.CompletedProcess[str]:
        return self.run("query", sql, *options, at=at)

    def over(self, home: Path) -> Cli:
        """The same over another HOME."""
        return Cli(self.api, home, self.forks)


def checked(process: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    """Whatever a command comes to, it shows neither a traceback nor a secret."""
    assert "Traceback" not in process.stdout + process.stderr, process.stderr
    assert SECRET not in process.stdout + process.stderr
    return process


def told(process: subprocess.CompletedProcess[str]) -> str:
    """The one line that says what is wrong."""
    errors = [line for line in process.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1, process.stderr
    assert process.stderr.rstrip("\n").endswith(errors[0]), "more follows after the error"
    return errors[0]


@pytest.fixture(scope="module")
def first_refresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cli, subprocess.CompletedProcess[str]]]:
    with serve(TINY) as api, forking() as forks:
        cli = Cli(api, tmp_path_factory.mktemp("home"), forks)
        with cli.started("refresh", at=tmp_path_factory.mktemp("elsewhere")) as running:
            said = running.communicate(timeout=180)
        yield cli, checked(subprocess.CompletedProcess(["refresh"], running.returncode, *said))


@pytest.fixture
def built(first_refresh: tuple[Cli, subprocess.CompletedProcess[str]]) -> Cli:
    """Commands over a HOME with a build."""
    return first_refresh[0]


@pytest.fixture
def new(built: Cli, tmp_path: Path) -> Cli:
    """Commands over a HOME that does not exist yet."""
    return built.over(tmp_path / "new")


def test_refresh_prints_what_became_of_the_records_and_the_build(
    first_refresh: tuple[Cli, subprocess.CompletedProcess[str]],
) -> None:
    cli, process = first_refresh
    assert process.returncode == 0, process.stderr
    build = bundle.current(cli.home).build
    assert process.stdout.splitlines() == [
        "mixpanel.events: 9 received = 7 loaded, 1 deduplicated, 0 filtered, 1 quarantined",
        f"bundle {build}",
    ]
    assert re.fullmatch(BUILD, build)
    said = [f"{source.name} is off: {source.why_off}" for source in SOURCES if source is not Mixpanel]
    assert said[:3] == [
        "stripe is off: no credentials are set",
        "app_db is off: no credentials are set",
        "csv_files is off: TAILTRACKER_CSV_FOLDER is not set",
    ]
    assert process.stderr.splitlines()[: len(said)] == said
    assert [line.split()[0] for line in process.stderr.splitlines()[len(said) :]] == ["pull", "build", "publish"]
    runs = [json.loads(file.read_bytes()) for file in (cli.home / "runs").iterdir()]
    assert [(run["status"], run["build"], len(run["days"])) for run in runs] == [("success", build, 5)]


def test_the_last_hours_are_read_and_not_a_byte_of_what_is_daily_changes(built: Cli, tmp_path: Path) -> None:
    def daily() -> dict[Path, bytes]:
        places = [built.home / name for name in ("lake", "published", "quarantine", "runs", "warehouse.duckdb")]
        files = [file for place in places for file in (place.rglob("*") if place.is_dir() else [place])]
        return {file: file.read_bytes() for file in files if file.is_file()}

    before = daily()
    process = built.run("recent", at=tmp_path)
    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines() == [str(recent.file_in(built.home))]
    found = recent.read(built.home)
    assert found is not None
    assert found["as_of"][0].as_py() == datetime(TODAY.year, TODAY.month, TODAY.day, 12, tzinfo=UTC)
    assert daily() == before
    failed = built.run("recent", at=tmp_path, MIXPANEL_USERNAME="nobody")
    assert failed.returncode == 1
    assert told(failed).endswith("of the last hours, what was read before stays")
    assert daily() == before


def test_no_secret_is_written_anywhere(built: Cli) -> None:
    assert_absent(built.home, SECRET)


def assert_absent(home: Path, secret: str) -> None:
    """A secret stands in no file below HOME, neither as it is nor as it is sent."""
    forms = [secret.encode(), base64.b64encode(f"{USER}:{secret}".encode())]
    files = [file for file in home.rglob("*") if file.is_file()]
    assert files
    for file in files:
        content = file.read_bytes()
        assert not any(form in content for form in forms), file


WRONG_SETTINGS = {
    "TAILTRACKER_TIMEZONE": "Mars/Olympus",
    "TAILTRACKER_NOW": "recently",
    "TAILTRACKER_HISTORY_START": str(TODAY),
    "MIXPANEL_EXPORT_URL": "http://example.com",
    "MIXPANEL_SECRET": "",
}


@pytest.mark.parametrize("command", ["refresh", "doctor"])
def test_a_home_that_is_no_directory_is_told_in_one_line(command: str, built: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    process = built.over(tmp_path / "file").run(command, at=tmp_path)
    assert process.returncode == 2
    assert told(process).startswith("error: TAILTRACKER_HOME: can't write to")


@pytest.mark.parametrize("name", WRONG_SETTINGS)
def test_a_wrong_setting_is_named_and_nothing_runs(name: str, new: Cli, tmp_path: Path) -> None:
    process = new.run("refresh", at=tmp_path, **{name: WRONG_SETTINGS[name]})
    assert process.returncode == 2
    assert name in told(process)
    assert process.stdout == ""
    assert process.stderr.count("\n") == 1
    assert not new.home.exists()


def test_a_wrong_line_of_the_settings_file_is_named(new: Cli, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# ours\nTAILTRACKER_WEEK_START=someday\n")
    process = new.run("status", at=tmp_path)
    assert process.returncode == 2
    assert "TAILTRACKER_WEEK_START (.env line 2)" in told(process)


def test_a_mistake_in_analytics_is_told_with_its_line(new: Cli, tmp_path: Path) -> None:
    file = tmp_path / "own.yml"
    file.write_text("activity:\n  exclude_events: []\nfunnels:\n  - {id: short, steps: [Open], window: {days: 7}}\n")
    requests = len(new.api.requests)
    for command in (["refresh"], ["refresh", "--dry-run"], ["doctor"]):
        process = new.run(*command, at=tmp_path, TAILTRACKER_ANALYTICS=str(file))
        assert process.returncode == 2
        assert f"{file}: line 4: funnels.0.steps" in told(process)
    assert len(new.api.requests) == requests


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--source", "nope"], "there are: mixpanel"),
        (["--to", str(TODAY)], f"the last is {TUESDAY}"),
        (["--from", str(TUESDAY), "--to", str(FRIDAY)], "is after"),
        (["--dry-run", "--to", str(TODAY)], f"the last is {TUESDAY}"),
        (["--dry-run", "--accept", f"mixpanel:{FRIDAY}"], "nothing of that name is held"),
    ],
)
def test_what_can_not_be_done_is_refused_before_anything_is_asked(
    arguments: list[str], words: str, new: Cli, tmp_path: Path
) -> None:
    requests = len(new.api.requests)
    process = new.run("refresh", *arguments, at=tmp_path)
    assert process.returncode == 2
    assert words in told(process)
    assert process.stdout == ""
    assert len(new.api.requests) == requests


@pytest.mark.parametrize(
    "arguments",
    [
        ["refresh", "--nope"],
        ["refresh", "--from", "yesterday"],
        ["query"],
        ["query", "select 1", "--format", "xml"],
        ["dashboard", "--port", "0"],
        ["nope"],
        [],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(arguments: list[str], new: Cli, tmp_path: Path) -> None:
    process = new.run(*arguments, at=tmp_path)
    assert process.returncode == 2
    assert "Usage" in process.stdout + process.stderr
    assert not new.home.exists()


def test_a_source_that_can_not_be_reached_fails_with_one_line(new: Cli, tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: nobody else can have the port
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        process = new.run("refresh", at=tmp_path, MIXPANEL_EXPORT_URL=url)
        checked = new.run("doctor", at=tmp_path, MIXPANEL_EXPORT_URL=url)
    assert process.returncode == 1
    assert url in told(process)
    assert not (new.home / "published").exists()
    assert checked.returncode == 1
    assert re.search(rf"^WRONG +mixpanel +.*{url}", checked.stdout, re.MULTILINE)
    status = new.run("status", at=tmp_path)
    assert status.returncode == 1
    assert "failed" in status.stdout
    assert "nothing has been published" in told(status)


def test_a_wrong_key_is_tried_once_and_shown_nowhere(new: Cli, tmp_path: Path) -> None:
    wrong = "wr0ng-canary-secret"
    requests = len(new.api.requests)
    process = new.run("refresh", at=tmp_path, MIXPANEL_SECRET=wrong)
    assert process.returncode == 1
    assert len(new.api.requests) == requests + 1
    assert "MIXPANEL_SECRET" in told(process)
    assert wrong not in process.stdout + process.stderr
    run = json.loads(next((new.home / "runs").iterdir()).read_bytes())
    assert (run["status"], run["build"]) == ("failure", None)
    assert {day["status"] for day in run["days"]} == {"failed"}
    assert_absent(new.home, wrong)


def test_a_report_tells_what_landed_what_is_held_and_what_failed(capsys: pytest.CaptureFixture[str]) -> None:
    def line(source: str, table: str, status: str, *counts: int, held: int = 0) -> dict[str, object]:
        numbers = dict(zip(COUNTED, counts or (0,) * len(COUNTED), strict=True))
        return {"source": source, "table": table, "status": status, "held": held, **numbers}

    report = new_report()
    report.days = [
        line("mixpanel", "events", "landed", 9, 7, 1, 0, 1),
        line("mixpanel", "events", "landed", 1, 1, 0, 0, 0),
        line("mixpanel", "events", "unchanged", 5, 4, 1, 0, 0),
        line("mixpanel", "events", "held", held=40),
        line("mixpanel", "events", "failed"),
        line("prometheus", "service_levels", "unchanged", 2, 2, 0, 0, 0),
        line("stripe", "disputes", "failed"),
        line("app_db", "pets", "held", held=3),
        line("app_db", "subscriptions", "held"),
    ]
    engineer._print_report(report)
    assert capsys.readouterr().out.splitlines() == [
        "mixpanel.events: 15 received = 12 loaded, 2 deduplicated, 0 filtered, 1 quarantined; 40 held back; "
        "1 of 5 days unchanged; 1 of 5 days failed",
        "prometheus.service_levels: 2 received = 2 loaded, 0 deduplicated, 0 filtered, 0 quarantined; unchanged",
        "stripe.disputes: failed",
        "app_db.pets: 3 held back",
        "app_db.subscriptions: 0 held back",
    ]


def test_with_every_source_off_there_is_nothing_to_build(new: Cli, tmp_path: Path) -> None:
    off = {"MIXPANEL_PROJECT_ID": "", "MIXPANEL_USERNAME": "", "MIXPANEL_SECRET": ""}
    process = new.run("refresh", at=tmp_path, **off)
    assert process.returncode == 1
    assert "nothing to build" in told(process)
    assert "mixpanel is off" in process.stderr
    assert "no source is on" in new.run("refresh", "--dry-run", at=tmp_path, **off).stderr
    assert new.run("refresh", "--source", "mixpanel", at=tmp_path, **off).returncode == 2


@pytest.mark.parametrize("arguments", [["query", "select 1"], ["rollback"]], ids=" ".join)
def test_without_a_bundle_one_line_says_how_to_get_one(arguments: list[str], new: Cli, tmp_path: Path) -> None:
    process = new.run(*arguments, at=tmp_path)
    assert process.returncode == 1
    assert "tailtracker-bi refresh" in told(process)
    assert process.stdout == ""


def test_json_is_an_array_of_objects_with_exact_numbers(built: Cli, tmp_path: Path) -> None:
    sql = (
        "select 1.10::decimal(10, 2) as amount, 12345678901234567890.12::decimal(38, 2) as large, 3 as whole, "
        "0.5::double as ratio, 'nan'::double as unknown, 'infinity'::double as endless, null as nothing, "
        "date '2024-02-29' as day, timestamp '2024-02-29 12:30:00' as at, "
        "timestamptz '2024-02-29 12:30:00+02' as zoned, true as yes, 'a \"b\" \u00e4 [/x]' as text, "
        "[1.50::decimal(4, 2)] as list, {'day': date '2024-02-29'} as nested"
    )
    process = built.ask(f"{sql} union all by name select 4 as whole", "--format", "json", at=tmp_path)
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""
    lines = process.stdout.splitlines()
    assert lines[0] == (
        '[{"amount":1.10,"large":12345678901234567890.12,"whole":3,"ratio":0.5,"unknown":null,"endless":null,'
        '"nothing":null,"day":"2024-02-29","at":"2024-02-29T12:30:00Z","zoned":"2024-02-29T10:30:00Z","yes":true,'
        '"text":"a \\"b\\" \u00e4 [/x]","list":[1.50],"nested":{"day":"2024-02-29"}},'
    )
    assert [row["whole"] for row in json.loads(process.stdout)] == [3, 4]


def test_json_of_a_table_gives_every_row(built: Cli, tmp_path: Path) -> None:
    process = built.ask("from metric_values", "--format", "json", at=tmp_path)
    rows = json.loads(process.stdout)
    assert len(rows) == bundle.query(bundle.current(built.home), "from metric_values").num_rows > 100
    assert rows[0].keys() == {
        "metric_id", "grain", "period_start", "segment", "segment_value",
        "numerator", "denominator", "value", "is_complete",
    }  # fmt: skip
    nothing = built.ask("from metric_values where false", "--format", "json", at=tmp_path)
    assert (nothing.returncode, nothing.stdout) == (0, "[]\n")


def test_columns_of_one_name_all_stay(built: Cli, tmp_path: Path) -> None:
    sql = "select 1 as a, 2 as a, 3 as a_1"
    assert built.ask(sql, "--format", "json", at=tmp_path).stdout == '[{"a":1,"a_1":2,"a_1_1":3}]\n'
    assert built.ask(sql, "--format", "csv", at=tmp_path).stdout == "a,a_1,a_1_1\n1,2,3\n"


def test_a_statement_may_begin_with_a_comment(built: Cli, tmp_path: Path) -> None:
    assert built.ask("-- how many\nselect 1 as a", "--format", "csv", at=tmp_path).stdout == "a\n1\n"


def test_csv_can_be_read_back(built: Cli, tmp_path: Path) -> None:
    sql = (
        "select 'a,b' as text, 1.10::decimal(10, 2) as amount, date '2024-02-29' as day, null as nothing, "
        "timestamp '2024-02-29 12:30:00' as at"
    )
    process = built.ask(sql, "--format", "csv", at=tmp_path)
    assert list(csv.reader(io.StringIO(process.stdout))) == [
        ["text", "amount", "day", "nothing", "at"],
        ["a,b", "1.10", "2024-02-29", "", "2024-02-29T12:30:00Z"],
    ]
    assert built.ask("select 1 as a where false", "--format", "csv", at=tmp_path).stdout == "a\n"
    formula = "select '=1+1' as text, -1.5 as amount"
    assert built.ask(formula, "--format", "csv", at=tmp_path).stdout == "text,amount\n'=1+1,-1.5\n"
    assert built.ask(formula, "--format", "csv", "--raw", at=tmp_path).stdout == "text,amount\n=1+1,-1.5\n"


def test_a_table_shows_values_whole_and_as_they_are(built: Cli, tmp_path: Path) -> None:
    text = "[email] [/x] " + "long " * 40
    process = built.ask(f"select '{text}' as \"[red]\", '{text}' as b", at=tmp_path)
    assert process.returncode == 0, process.stderr
    assert process.stdout.count(text.strip()) == 2
    assert "[red]" in process.stdout


def test_what_a_terminal_would_obey_is_written_out(built: Cli, tmp_path: Path) -> None:
    name = "chr(27) || '[31m' || chr(13) || chr(0)"
    shown = built.ask(f'select {name} as told, 1 as "a\x1b[2J"', at=tmp_path).stdout
    assert r"\x1b[31m\r\x00" in shown
    assert r"a\x1b[2J" in shown
    assert not re.search("[\x00-\x09\x0b-\x1f]", shown)


def test_a_value_beyond_what_can_be_printed_is_told(built: Cli, tmp_path: Path) -> None:
    process = built.ask("select date '20000-01-01' as day", "--format", "json", at=tmp_path)
    assert process.returncode == 1
    assert "can't be printed" in told(process)
    late = "select if(range < 60000, date '2024-01-01', date '20000-01-01') as day from range(60001)"
    assert built.ask(late, "--format", "csv", at=tmp_path).stdout == ""


def test_a_table_shows_the_first_rows_and_says_so_and_a_program_gets_all(built: Cli, tmp_path: Path) -> None:
    sql = "select range as n from range(120000)"
    process = built.ask(sql, at=tmp_path)
    assert len(re.findall(r"\d+", process.stdout)) == 1000
    assert "the first 1,000 of 120,000 rows" in process.stderr
    assert built.ask("from range(1000)", at=tmp_path).stderr == ""
    rows = json.loads(built.ask(sql, "--format", "json", at=tmp_path).stdout)
    assert [row["n"] for row in rows] == [*range(120_000)]
    lines = built.ask(sql, "--format", "csv", at=tmp_path).stdout.splitlines()
    assert lines == ["n", *map(str, range(120_000))]


def test_a_query_that_is_wrong_is_told_in_one_line(built: Cli, tmp_path: Path) -> None:
    for sql in ("selec 1", "select * from nope", "select 1; select 2", "", "select * from read_csv('/etc/passwd')"):
        process = built.ask(sql, "--format", "json", at=tmp_path)
        assert process.returncode == 1
        assert told(process).startswith("error: query: ")
        assert process.stdout == ""


def test_a_query_reaches_nothing_but_the_build(built: Cli, tmp_path: Path) -> None:
    outside = tmp_path / "outside.csv"
    outside.write_text("a\n1\n")
    current = bundle.current(built.home)
    before = current.path.read_bytes()
    for sql in (
        f"from read_csv('{outside}')",
        f"from '{outside}'",
        f"from read_text('{outside}')",
        f"from glob('{tmp_path}/*')",
        f"attach '{tmp_path}/other.duckdb' as other",
        f"attach '{built.home}/warehouse.duckdb' as warehouse",
        f"copy metric_values to '{tmp_path}/copy.csv'",
        f"export database '{tmp_path}/export'",
        "set enable_external_access = true",
        "set lock_configuration = false",
        "reset enable_external_access",
        "install httpfs",
        "load httpfs",
        "create table t as select 1",
        "insert into metric_values from metric_values",
        "delete from metric_values",
        "drop table metric_values",
        "select getenv('HOME')",
        "select 1; drop table metric_values",
    ):
        with pytest.raises(QueryError, match=r"^query: "):
            bundle.query(current, sql)
    assert [path.name for path in tmp_path.iterdir()] == ["outside.csv"]
    assert current.path.read_bytes() == before


def test_status_names_sources_days_and_the_bundle(built: Cli, tmp_path: Path) -> None:
    process = built.run("status", at=tmp_path)
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""
    for part in ("mixpanel", "events", str(FRIDAY), str(TUESDAY), "landed", "  mixpanel: ok", "  stripe: off"):
        assert part in process.stdout
    found = re.search(rf"bundle ({BUILD}), as of {TODAY}, built \d+:\d\d:\d\d ago", process.stdout)
    assert found
    assert found[1] == bundle.current(built.home).build
    (line,) = (line for line in process.stdout.splitlines() if "not counted" in line)
    assert line.startswith("  not counted: Mixpanel: 1 event (")
    assert "They could not be used as they came, so they are in no number." in line
    assert re.search(r"They are not, or not exactly, in: active_users, (\w+, )+\d+ more metrics\.$", line)


def test_doctor_says_what_is_well(built: Cli, tmp_path: Path) -> None:
    process = built.run("doctor", at=tmp_path)
    assert process.returncode == 0, process.stdout
    assert [line.split()[:2] for line in process.stdout.splitlines()] == [
        ["ok", what]
        for what in (
            "settings",
            "disk",
            "analytics.yml",
            *(source.name for source in SOURCES),
            "bundle",
            "analytics.yml",
        )
    ]
    told = "names events that never came in all of history: "
    assert told in process.stdout.splitlines()[-1]
    assert told in built.run("status", at=tmp_path).stdout


def test_a_dry_run_says_what_would_be_pulled_and_asks_nothing(built: Cli, new: Cli, tmp_path: Path) -> None:
    requests = len(built.api.requests)
    expected = f"mixpanel: 5 days, {FRIDAY} to {TUESDAY}; 1 requests, about 5 s\n"
    for home in (built, new):
        process = home.run("refresh", "--dry-run", at=tmp_path)
        assert (process.returncode, process.stdout) == (0, expected)
    one_day = built.run("refresh", "--dry-run", "--from", str(FRIDAY), "--to", str(FRIDAY), at=tmp_path)
    assert one_day.returncode == 0, one_day.stderr
    assert one_day.stdout == f"mixpanel: 1 days, {FRIDAY} to {FRIDAY}; 1 requests, about 5 s\n"
    assert len(built.api.requests) == requests
    assert not (new.home / "lake").exists()


def test_home_may_be_relative_to_where_one_is(built: Cli, tmp_path: Path) -> None:
    inside = built.run("query", "select build from bundle_info", "--format", "csv", at=built.home, TAILTRACKER_HOME=".")
    assert inside.stdout == f"build\n{bundle.current(built.home).build}\n"
    relative = os.path.relpath(built.home, tmp_path)
    beside = built.run(
        "query", "select build from bundle_info", "--format", "csv", at=tmp_path, TAILTRACKER_HOME=relative
    )
    assert beside.stdout == inside.stdout


def test_rollback_goes_back_and_forth_and_mends_the_pointer(built: Cli, tmp_path: Path) -> None:
    first = bundle.current(built.home).build
    refused = built.run("rollback", at=tmp_path)
    assert refused.returncode == 1
    assert f"there is no build before {first}" in told(refused)
    second = bundle.publish(
        built.home,
        DuckDb(built.home),
        run_id="again",
        as_of=date(2024, 4, 4),
        currency="EUR",
        hash_key=b"key of the tests",
        described={},
        explored=[],
    ).build

    back = built.run("rollback", at=tmp_path)
    assert (back.returncode, back.stdout) == (0, f"{first}\n")
    assert bundle.current(built.home).build == first

    (built.home / "published" / "current").write_text("torn")
    assert "torn" in told(built.run("status", at=tmp_path))
    assert "WRONG  bundle" in built.run("doctor", at=tmp_path).stdout
    forth = built.run("rollback", "--to", second, at=tmp_path)
    assert (forth.returncode, forth.stdout) == (0, f"{second}\n")
    assert built.run("status", at=tmp_path).returncode == 0

    unknown = built.run("rollback", "--to", "nope", at=tmp_path)
    assert unknown.returncode == 1
    assert f"kept are: {first}, {second}" in told(unknown)


def test_a_report_prints_its_path_and_what_is_wrong_is_told_first(built: Cli, tmp_path: Path) -> None:
    sample_bundle.publish(tmp_path / "home")
    cli = built.over(tmp_path / "home")
    process = cli.run("report", "weekly", "--as-of", "2025-03-05", "--out", "out", at=tmp_path)
    name = f"weekly-2025-02-24-{sample_bundle.BUILD}.html"
    assert (process.returncode, process.stdout) == (0, f"out/{name}\n"), process.stderr
    assert [file.name for file in (tmp_path / "out").iterdir()] == [name]
    process = cli.run("report", "monthly", at=tmp_path)
    assert process.returncode == 2
    assert told(process) == "error: there is no report 'monthly'; there are: pulse, weekly, board"
    process = cli.run("report", "weekly", "--as-of", "2025-03-05", "--preview", at=tmp_path)
    assert process.stdout.startswith("Subject: [DATA LATE: MIXPANEL] TailTracker, week of 24 Feb 2025\n\nTailTracker")
    assert [file.name for file in (tmp_path / "home").iterdir() if file.name == "reports"] == []


def test_where_reports_go_is_told_and_a_report_can_be_paused(built: Cli, tmp_path: Path) -> None:
    sample_bundle.publish(tmp_path / "home")
    cli = built.over(tmp_path / "home")
    nowhere = cli.run("delivery", "run", at=tmp_path)
    assert nowhere.returncode == 2
    assert "reports go nowhere: set SMTP_URL and REPORT_RECIPIENTS" in told(nowhere)
    assert cli.run("delivery", "pause", "weekly", at=tmp_path).stdout == "weekly is paused\n"
    assert "weekly is paused since" in cli.run("delivery", "list", at=tmp_path).stdout
    assert cli.run("delivery", "resume", "weekly", at=tmp_path).stdout == "weekly goes out again\n"
    again = cli.run("delivery", "resend", "weekly", "2025-03-03", at=tmp_path)
    assert "weekly of 2025-03-03 went to nobody" in told(again)
    assert cli.run("delivery", "pause", "nosuch", at=tmp_path).returncode == 2


def test_who_interrupts_a_pull_that_waits_is_told_what_stays(built: Cli, tmp_path: Path) -> None:
    """The hour's requests are used up: it says until when it waits, and Ctrl-C ends it at once, without a traceback."""
    home = tmp_path / "waiting"
    home.mkdir(mode=0o700)
    bucket = mixpanel._requests_made(home / "rate_limits.sqlite")
    begun = time.time_ns() // 1_000_000 - 2_400_000
    made = [("export", begun + number * 20_000) for number in range(mixpanel.REQUESTS_PER_HOUR)]
    bucket.conn.executemany("insert into mixpanel_export (name, item_timestamp) values (?, ?)", made)
    bucket.conn.commit()
    bucket.conn.close()
    with built.over(home).started("refresh", at=tmp_path) as running:
        assert running.stderr is not None
        said = next(line for line in running.stderr if "waiting" in line)
        running.send_signal(signal.SIGINT)
        rest = running.stderr.read()
        assert running.wait(timeout=30) == 130
    assert re.match(
        r"mixpanel: waiting until \d\d:\d\d UTC: 60 requests an hour are allowed, and they are used up", said
    )
    assert INTERRUPTED in rest
    assert "Traceback" not in rest
    [report] = (json.loads(file.read_text()) for file in (home / "runs").glob("*.json"))
    assert (report["status"], report["errors"]) == ("failure", [INTERRUPTED])
