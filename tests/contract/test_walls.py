"""The walls between the parts: who may import what, who reads whom, where engines may differ. Read, never run."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from tailtracker_bi.shipped import DBT_PROJECT
from tailtracker_bi.warehouse import DuckDb
from tailtracker_bi.warehouse.dbt_runner import compiled_manifest
from tests.contract import parsed

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "tailtracker_bi"
DASHBOARDS = ROOT / "dashboards"
LAYERS = ("staging", "intermediate", "marts", "metrics", "published")
NAMES = {
    "staging": r"stg_{folder}__[a-z_]+",
    "intermediate": r"int_[a-z_]+",
    "marts": r"(dim|fct)_[a-z_]+",
    "metrics": r"(metric|agg)_[a-z_]+",
    "published": r"pub_[a-z_]+",
}
ENGINE_SPECIFIC = re.compile(
    r"\b(?:(?:jsonb?_(?!text|value|elements|positions|names|array_text)\w+|timezone|epoch\w*|list(?:_\w+)?|unnest|len|hash|try_cast"
    r"|strftime|strptime|date_?diff|now|any_value|arg_(?:max|min)|make_timestamp|generate_series|regexp_\w+|exclude)\s*\("
    r"|current_(?:date|timestamp)\b|double\b(?!\s+precision)|qualify\b|by\s+name\b|(?:u?huge|u?tiny)int\b|lambda\b"
    r"|adapter\.|target\.(?:type|name)\b)"
    r"|::|//|\bdistinct\s+on\b|\bilike\b",
    re.IGNORECASE,
)
THE_CLOCK = re.compile(r"\b(?:now|today|get_current_timestamp)\s*\(|\bcurrent_(?:date|time|timestamp)\b", re.IGNORECASE)
SQL = re.compile(
    r"\s*(?:select\s.+?\sfrom\s+(?!(?:an?|the|this|your)\s)|insert\s+into\s|with\s+(?:recursive\s+)?\w+\s+as\s*\()",
    re.IGNORECASE | re.DOTALL,
)


@cache
def kept_files() -> list[Path]:
    """The files of the project but what .gitignore names, which takes plain names, paths and patterns of names."""
    lines = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    ignored = [".git", *(line.strip("/") for line in lines if line and not line.startswith("#"))]

    def walk(folder: Path) -> Iterator[Path]:
        for path in sorted(folder.iterdir()):
            if any(path.match(pattern) for pattern in ignored):
                continue
            if path.is_dir():
                yield from walk(path)
            else:
                yield path

    return list(walk(ROOT))


def trees(folder: Path = ROOT) -> Iterator[tuple[str, ast.Module]]:
    """Every Python file below this folder, by its path in the project."""
    for file in kept_files():
        if file.suffix == ".py" and file.is_relative_to(folder):
            yield file.relative_to(ROOT).as_posix(), parsed(file)


def imports(tree: ast.Module) -> Iterator[str]:
    """The full names that a file imports, wherever in it: `from a import b` gives a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importers(package: str) -> set[str]:
    """The files outside the tests that import a package, or one whose name starts alike: dagster, dagster_dbt."""
    return {
        path
        for path, tree in trees()
        for name in imports(tree)
        if re.split(r"[._]", name)[0] == package and not path.startswith("tests/")
    }


def texts(tree: ast.Module) -> Iterator[str]:
    """The string constants of a file; an f-string is one text. Docstrings are prose and left out."""
    prose = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "x" for part in node.values)  # type: ignore[misc]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value


def test_dagster_is_imported_by_its_own_files_only() -> None:
    strangers = {
        path
        for path in importers("dagster")
        if path != "tailtracker_bi/definitions.py" and not path.startswith("tailtracker_bi/defs/")
    }
    assert strangers == set()


def test_streamlit_is_imported_by_dashboards_only_and_where_they_are_measured() -> None:
    found = importers("streamlit") - {"benchmarks/readers.py", "benchmarks/visitors.py"}
    assert {path for path in found if not path.startswith("dashboards/")} == set()
    assert found


def test_what_shows_numbers_holds_no_sql_and_no_database() -> None:
    for path, tree in [*trees(DASHBOARDS), *trees(PACKAGE / "reports")]:
        assert [text for text in texts(tree) if SQL.match(text)] == [], path
        engines = {"duckdb", "sqlite3", "psycopg", "psycopg2", "sqlalchemy"}
        assert engines.isdisjoint(name.split(".")[0] for name in imports(tree)), path


@pytest.mark.parametrize(
    ("text", "is_sql"),
    [
        ("select value from metric_values", True),
        ("\n  WITH days as (select 1)", True),
        ("insert into t values (1)", True),
        ("Select a metric from the list", False),
        ("With people from every country", False),
    ],
)
def test_sql_is_told_from_prose(text: str, is_sql: bool) -> None:
    assert bool(SQL.match(text)) is is_sql


def test_csv_is_handed_out_through_one_function() -> None:
    """`csv_output` writes numbers as numbers and neutralises formulas; what else writes CSV writes files of its own."""
    for path, tree in [*trees(DASHBOARDS), *trees(PACKAGE)]:
        if path.startswith("tailtracker_bi/sandbox/"):
            continue
        called = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert called.isdisjoint({"to_csv", "DictWriter", "write_csv"}), path
        assert "csv.writer" not in (PACKAGE.parent / path).read_text(encoding="utf-8"), path
        if path != "dashboards/components.py":
            assert "download_button" not in called, path
    components = (DASHBOARDS / "components.py").read_text(encoding="utf-8")
    assert components.count("download_button(") == 1
    assert "data.as_file(columns, rows, ending, printed.paper())" in components


def test_statuses_and_whole_bodies_are_judged_in_one_place() -> None:
    """A source says what a refusal means; which answers may be better next time, `sources/http.py` alone says."""
    for path, tree in trees(PACKAGE / "sources"):
        named = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        if path != "tailtracker_bi/sources/http.py":
            assert named.isdisjoint({"iter_raw", "iter_bytes", "iter_lines", "iter_text"}), path
        # Stripe's own library wants the status, and judges it.
        if path not in {"tailtracker_bi/sources/http.py", "tailtracker_bi/sources/stripe/api.py"}:
            assert "status_code" not in named, path


def foreign_words(tree: ast.Module, ours: set[str]) -> list[int]:
    """The lines that put into a text, other than by `readable`, what an error of a library or an answer says."""
    found = []
    for handler in [tree, *(node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler))]:
        caught = set()
        if isinstance(handler, ast.ExceptHandler):
            types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
            names = {ast.unparse(type_).rpartition(".")[2] for type_ in types if type_}
            caught = {handler.name} if names - ours else set()
        passed = {
            id(inner)
            for node in ast.walk(handler)
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"readable", "http.shown", "shown"}
            for inner in ast.walk(node)
        }
        for node in ast.walk(handler):
            if not isinstance(node, ast.FormattedValue) or id(node) in passed:
                continue
            said = [inner for inner in ast.walk(node.value) if id(inner) not in passed]
            if any(isinstance(inner, ast.Name) and inner.id in caught and not is_our_word(node) for inner in said):
                found.append(node.lineno)
            if any(isinstance(inner, ast.Attribute) and inner.attr in ANSWERED for inner in said):
                found.append(node.lineno)
    return found


ANSWERED = {"headers", "text", "content", "reason_phrase", "user_message", "json_body", "http_body"}


def is_our_word(node: ast.FormattedValue) -> bool:
    """The type of an error, the system's word for a failed call, or what `reason_of` makes of a database's states."""
    return ast.unparse(node.value).startswith(("type(", "error.strerror", "reason_of("))


def test_words_of_others_come_in_through_one_function() -> None:
    """They may repeat our secrets, and hold what a terminal obeys: `foreign_text.readable` takes that out."""
    ours = {node.name for _, tree in trees(PACKAGE) for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    assert {path: foreign_words(tree, ours) for path, tree in trees(PACKAGE / "sources")} == {
        path: [] for path, _ in trees(PACKAGE / "sources")
    }


@pytest.mark.parametrize(
    ("said", "is_found"),
    [
        ("try: ask()\nexcept httpx.HTTPError as error: raise Ours(f'no: {error}')", True),
        ("try: ask()\nexcept httpx.HTTPError as error: raise Ours(f'no: {str(error)[:9]}')", True),
        ("try: ask()\nexcept (Ours, ValueError) as error: raise Ours(f'no: {error}')", True),
        ("say(f'it is {response.headers[0]}')", True),
        ("try: ask()\nexcept Ours as error: raise Ours(f'no: {error}')", False),
        ("try: ask()\nexcept OSError as error: say(f'{type(error).__name__}: {readable(str(error), [])}')", False),
    ],
)  # fmt: skip
def test_words_of_others_are_told_from_ours(said: str, is_found: bool) -> None:
    assert bool(foreign_words(ast.parse(said), {"Ours"})) is is_found


def test_labels_of_metrics_are_unique_and_say_mean_for_a_mean(manifest: dict[str, Any]) -> None:
    labels = [
        entry["label"]
        for node in manifest["nodes"].values()
        for entry in node["config"].get("meta", {}).get("metrics", [])
    ]
    assert len(labels) > 30
    assert sorted(labels) == sorted(set(labels))
    assert not [label for label in labels if "average" in label.lower()]


def test_the_environment_is_read_by_settings_only() -> None:
    wanted = {"environ", "environb", "getenv", "getenvb", "putenv"}
    readers = {
        path
        for path, tree in trees()
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr in wanted)
        or (isinstance(node, ast.ImportFrom) and node.module == "os" and wanted & {a.name for a in node.names})
    }
    assert {path for path in readers if not path.startswith("tests/")} == {"tailtracker_bi/settings/environment.py"}


def test_whoever_opens_duckdb_turns_off_its_bar() -> None:
    """It would be drawn among a command's results."""
    opened = [file for file in PACKAGE.rglob("*.py") if "duckdb.connect(" in file.read_text(encoding="utf-8")]
    assert opened
    assert [file.name for file in opened if "enable_progress_bar = false" not in file.read_text(encoding="utf-8")] == []


def test_no_module_is_called_utils() -> None:
    names = {"utils", "util", "helpers", "common", "misc"}
    assert [path for path, _ in trees() if names & set(Path(path).with_suffix("").parts)] == []


def test_importing_opens_no_socket_and_needs_no_settings(tmp_path: Path) -> None:
    modules = [
        path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for path, _ in trees(PACKAGE)
        if path != "tailtracker_bi/definitions.py" and not path.startswith("tailtracker_bi/defs/")
    ]
    assert len(modules) > 10
    program = f"""
import importlib, socket, sys
def refuse(*_, **__):
    raise AssertionError("a socket")
socket.socket.__init__ = socket.create_connection = socket.getaddrinfo = refuse
sys.path.insert(0, {str(ROOT)!r})
for module in {modules!r}:
    importlib.import_module(module)
assert not [name for name in sys.modules if name.startswith(("dagster", "streamlit", "dbt."))]
"""
    run = subprocess.run(
        [sys.executable, "-c", program], env={}, cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return compiled_manifest(DuckDb(tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="module")
def models(manifest: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The models by their id in the manifest."""
    return {name: node for name, node in manifest["nodes"].items() if node["resource_type"] == "model"}


def layer(model: dict[str, Any]) -> str:
    return str(model["fqn"][1])


def test_every_model_stands_in_a_layer_and_is_named_after_it(models: dict[str, dict[str, Any]]) -> None:
    assert {layer(model) for model in models.values()} == set(LAYERS)
    for model in models.values():
        pattern = NAMES[layer(model)].replace("{folder}", model["fqn"][2])
        assert re.fullmatch(pattern, model["name"]), model["original_file_path"]
        # An aggregate that metrics read and readers too is published as it is: agg_x as pub_x.
        published_as = "pub_" + model["name"].removeprefix("agg_")
        relation = model["schema"], model["alias"]
        assert relation == (layer(model), model["name"]) or (
            model["name"].startswith("agg_") and relation == ("published", published_as)
        ), model["name"]


def test_names_are_no_longer_than_postgres_takes(manifest: dict[str, Any]) -> None:
    unit_tests = [test["name"] for test in manifest["unit_tests"].values()]
    names = [*unit_tests, *(node["alias"] for node in manifest["nodes"].values())]
    assert unit_tests
    assert [name for name in names if len(name) > 63] == []


def test_only_staging_reads_raw_sources(models: dict[str, dict[str, Any]], manifest: dict[str, Any]) -> None:
    for model in models.values():
        raw = [
            manifest["sources"][parent]["source_name"]
            for parent in model["depends_on"]["nodes"]
            if parent.startswith("source.") and manifest["sources"][parent]["source_name"].startswith("raw_")
        ]
        assert not raw or layer(model) == "staging", model["name"]
        # Each source is staged in a folder of its own name.
        assert set(raw) <= {f"raw_{model['fqn'][2]}"}, model["name"]


def test_no_model_reads_a_later_layer(models: dict[str, dict[str, Any]]) -> None:
    backwards = [
        (models[parent]["name"], model["name"])
        for model in models.values()
        for parent in model["depends_on"]["nodes"]
        if parent in models and LAYERS.index(layer(models[parent])) > LAYERS.index(layer(model))
    ]
    assert backwards == []


def test_metrics_read_facts_and_what_is_covered_only(models: dict[str, dict[str, Any]]) -> None:
    def may_be_read(model: dict[str, Any]) -> bool:
        # Where to begin again is no fact, and decides no number.
        is_of_the_build = model["fqn"][1:3] == ["intermediate", "coverage"] or model["name"] == "int_rebuild_start"
        return layer(model) in {"marts", "metrics"} or is_of_the_build

    past_the_facts = [
        (models[parent]["name"], model["name"])
        for model in models.values()
        if layer(model) == "metrics"
        for parent in model["depends_on"]["nodes"]
        if parent in models and not may_be_read(models[parent])
    ]
    assert past_the_facts == []


def test_every_model_says_its_grain_first(models: dict[str, dict[str, Any]]) -> None:
    silent = [model["name"] for model in models.values() if not re.match(r"One row\b[^.]*[.]", model["description"])]
    assert sorted(silent) == []


def test_every_source_table_says_its_grain_first(manifest: dict[str, Any]) -> None:
    silent = [
        source["name"] for source in manifest["sources"].values() if not source["description"].startswith("One row")
    ]
    assert sorted(silent) == []


def test_published_tables_have_enforced_contracts(models: dict[str, dict[str, Any]]) -> None:
    for model in models.values():
        if model["schema"] == "published":
            assert model["contract"]["enforced"], model["name"]
            assert model["columns"], model["name"]
            assert all(column["data_type"] for column in model["columns"].values()), model["name"]


def sql_files(*folders: str) -> Iterator[tuple[str, str]]:
    """SQL files of these folders of the dbt project, without comments."""
    for folder in folders:
        for file in sorted((DBT_PROJECT / folder).rglob("*.sql")):
            yield (
                file.relative_to(DBT_PROJECT).as_posix(),
                re.sub(r"--[^\n]*", "", file.read_text(encoding="utf-8")),
            )


def test_engines_differ_in_the_dialect_macros_only() -> None:
    found = {
        path: ENGINE_SPECIFIC.findall(text)
        for path, text in sql_files("models", "macros", "tests")
        if path != "macros/dialect.sql" and ENGINE_SPECIFIC.search(text)
    }
    assert found == {}


def test_every_dialect_macro_is_tested() -> None:
    text = (DBT_PROJECT / "macros/dialect.sql").read_text(encoding="utf-8")
    macros = re.findall(r"{% macro (?!default__|postgres__)(\w+)\(", text)
    tested = (DBT_PROJECT / "tests/dialect.sql").read_text(encoding="utf-8")
    assert macros
    assert [name for name in macros if f"{{{{ {name}(" not in tested] == []
    # What is dispatched is there for both.
    dispatched = re.findall(r"adapter\.dispatch\('(\w+)'\)", text)
    assert len(dispatched) > 10
    assert [
        name for name in dispatched for engine in ("default", "postgres") if f"macro {engine}__{name}(" not in text
    ] == []


@pytest.mark.parametrize(
    "sql",
    [
        "cast(x as double)", "x::date", "select * exclude (x)", "hash(x)", "list(x)", "x // 2", "qualify 1 = 1",
        "any_value(x)", "union all by name", "try_cast(x as date)", "lambda x: x", "arg_max(a, b)", "jsonb_typeof(x)",
        "select distinct on (x) x", "{% if target.type == 'postgres' %}",
    ],
)  # fmt: skip
def test_sql_of_one_engine_alone_is_seen(sql: str) -> None:
    assert ENGINE_SPECIFIC.search(sql)


def test_no_model_asks_the_clock() -> None:
    found = {path: THE_CLOCK.findall(text) for path, text in sql_files("models", "macros") if THE_CLOCK.search(text)}
    assert found == {}


def kept_texts() -> Iterator[tuple[str, str]]:
    """The text files that are under version control."""
    for file in kept_files():
        try:
            yield file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def test_nothing_kept_names_this_machine_or_a_package_registry() -> None:
    folders = {ROOT.parent, Path.home(), Path(sys.prefix).parent.parent}
    here = [re.escape(str(folder)) for folder in folders if len(folder.parts) > 1]
    # A path begins where no other text ends: `models/work/` is no path of a machine.
    machine = re.compile(rf"(?<![\w./-])(?:{'|'.join(here)})/[\w.]") if here else re.compile("(?!)")
    registry = re.compile(r"\w+://[^\s'\"]+/simple\b|^--(?:extra-)?index-url|^--find-links", re.MULTILINE)
    for path, text in kept_texts():
        assert machine.findall(text) == [], path
        assert registry.findall(text) == [], path
    assert "://" not in (ROOT / "requirements.lock").read_text(encoding="utf-8")


def test_all_that_is_not_counted_is_published(manifest: dict[str, Any]) -> None:
    models = {node["name"]: node for node in manifest["nodes"].values() if node["resource_type"] == "model"}
    told = {name for name in models if re.fullmatch("fct_.+_not_counted", name)}
    united = {name.split(".")[2] for name in models["fct_not_counted"]["depends_on"]["nodes"]}
    assert united == told != set()


def test_the_values_of_all_metrics_are_published(manifest: dict[str, Any]) -> None:
    models = {node["name"]: node for node in manifest["nodes"].values() if node["resource_type"] == "model"}
    catalogued = {name for name, node in models.items() if node["config"].get("meta", {}).get("metrics")}
    [listed] = re.findall(r"for model in \[(.*?)\]", models["pub_metric_values"]["raw_code"], re.DOTALL)
    assert sorted(re.findall(r"'(\w+)'", listed)) == sorted(catalogued) != []


def test_headlines_are_ranked_without_a_gap_and_by_domain(manifest: dict[str, Any]) -> None:
    entries = [
        entry for node in manifest["nodes"].values() for entry in node["config"].get("meta", {}).get("metrics", [])
    ]
    ranked = sorted((entry["headline_rank"], entry["domain"]) for entry in entries if "headline_rank" in entry)
    assert [rank for rank, _ in ranked] == [*range(1, len(ranked) + 1)] != []
    domains = [domain for domain, _ in groupby(domain for _, domain in ranked)]
    assert len(domains) == len(set(domains))


def test_every_file_that_documents_and_code_name_is_there() -> None:
    """A name may be a path from its room or folder: the end of the path of a file that is kept."""
    kept = [f"/{file.relative_to(ROOT).as_posix()}" for file in kept_files()]
    named = {
        (path, name)
        for path, text in kept_texts()
        if path.endswith((".md", ".py", ".sql", ".yml")) and path != "tests/contract/test_walls.py"
        for name in re.findall(r"`([\w./-]+\.(?:py|sql|yml|html))`", text)
    }
    assert len(named) > 100
    gone = [
        (path, name)
        for path, name in sorted(named)
        if name != "utils.py" and not any(one.endswith(f"/{name.removeprefix('./')}") for one in kept)
    ]
    assert gone == []
