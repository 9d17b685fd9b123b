"""Settings from the environment and from `.env`, checked all at once before anything runs.

The only reader of the environment. A HOME with a sandbox takes its sources and its clock from the sandbox, whatever
else is set.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeVar

from dotenv import dotenv_values
from pydantic import SecretStr, ValidationError

from tailtracker_bi.errors import SettingsError
from tailtracker_bi.settings.model import (
    DagsterSettings,
    HomeSettings,
    ReaderSettings,
    ReportSettings,
    Settings,
    SignInSettings,
    SourceSettings,
)
from tailtracker_bi.settings.sandbox_home import OF_THE_SANDBOX, OFFERED_BY_THE_SANDBOX, SANDBOX_FILE

ENV_FILE = ".env"
DAGSTER_STORAGE = str(DagsterSettings.model_fields["storage_url"].alias)
_OF_DELIVERY = {
    str(field.alias) for field in ReportSettings.model_fields.values() if "SecretStr" in str(field.annotation)
}
"""The secrets of where reports go."""
AnySettings = TypeVar("AnySettings", bound=HomeSettings)


def load_settings(**overrides: Any) -> Settings:
    """Read and check the settings, those of each source with them.

    Raises SettingsError naming every wrong variable, and its line where it stands in `.env`. Secrets are never shown.
    """
    return _load_all(overrides)


def load_own_settings() -> Settings:
    """The settings without what a sandbox in HOME decides: what one starts a sandbox by. Raises SettingsError."""
    return _load_all({}, with_sandbox=False)


def load_reader_settings() -> ReaderSettings:
    """Read and check what a reader of the bundle needs. Raises SettingsError."""
    return _load(ReaderSettings, {})


def load_sign_in_settings() -> SignInSettings:
    """Read and check where people sign in. Raises SettingsError."""
    return _load(SignInSettings, {})


def load_report_settings() -> ReportSettings:
    """Read and check what reports are made by and where they go. Raises SettingsError."""
    return _load(ReportSettings, {})


def load_dagster_settings() -> DagsterSettings:
    """Read and check where Dagster keeps what it knows. Raises SettingsError."""
    return _load(DagsterSettings, {})


def dagster_environment(settings: DagsterSettings) -> dict[str, str]:
    """The environment to serve Dagster in: where its instance is and what it keeps, with the driver that there is."""
    told = {"DAGSTER_HOME": str(settings.home / "dagster")}
    if settings.storage_url:
        _, place = settings.storage_url.get_secret_value().split("://", 1)
        told[DAGSTER_STORAGE] = f"postgresql+psycopg2://{place}"
    return {**os.environ, **told}


def dashboard_environment(settings: Settings, sign_in: SignInSettings) -> dict[str, str]:
    """The environment for the dashboard: a reader's, and where people sign in to it, secrets and all."""
    said = {name: getattr(sign_in, name) for name in SignInSettings.model_fields if name != "home"}
    told = {
        str(SignInSettings.model_fields[name].alias): value.get_secret_value()
        if isinstance(value, SecretStr)
        else str(value)
        for name, value in said.items()
        if value is not None
    }
    return reader_environment(settings) | told


def keep_algebra_on_one_thread() -> None:
    """For libraries that this process has yet to load: threads that wait for tiny matrices cost more than the work.

    What is set already stays.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def reader_environment(settings: Settings) -> dict[str, str]:
    """The environment for a process that only reads: no secrets, and the settings that stand in `.env` here."""
    secrets = {
        str(field.alias)
        for part in (settings, *map(settings.of, SourceSettings.kinds()))
        for name, field in type(part).model_fields.items()
        if isinstance(getattr(part, name), SecretStr)
    } | {DAGSTER_STORAGE, *_OF_DELIVERY}
    read = {
        str(field.alias): str(value)
        for name, field in ReaderSettings.model_fields.items()
        if (value := getattr(settings, name)) is not None
    }
    # Settings are read whatever the case of their names.
    others = {name: value for name, value in os.environ.items() if name.upper() not in secrets | read.keys()}
    return others | read


def _load_all(overrides: dict[str, Any], with_sandbox: bool = True) -> Settings:
    if not SourceSettings.kinds():
        raise RuntimeError("import tailtracker_bi.sources first: sources declare their settings as they are loaded")
    wrong: list[str] = []
    said = _said(overrides, with_sandbox)
    settings = _loaded(Settings, said, wrong)
    own = [_loaded(kind, said, wrong) for kind in SourceSettings.kinds()]
    # What several of them read is wrong in each.
    if wrong or settings is None:
        raise SettingsError("settings: " + "; ".join(dict.fromkeys(wrong)))
    settings._own = {type(part): part for part in own if part is not None}
    settings._load_own = lambda kind: _load(kind, overrides, with_sandbox)
    return settings


def _load(kind: type[AnySettings], overrides: dict[str, Any], with_sandbox: bool = True) -> AnySettings:
    wrong: list[str] = []
    found = _loaded(kind, _said(overrides, with_sandbox), wrong)
    if found is None:
        raise SettingsError("settings: " + "; ".join(wrong))
    return found


def _loaded(kind: type[AnySettings], said: dict[str, Any], wrong: list[str]) -> AnySettings | None:
    """What is set of a kind; None where something is wrong, which is then added to what is."""
    try:
        return kind.model_validate(said)
    except ValidationError as error:
        wrong += [_explain(problem) for problem in error.errors(include_url=False, include_input=False)]
    return None


def _said(overrides: dict[str, Any], with_sandbox: bool) -> dict[str, Any]:
    """By its name what is set: by the caller, else by the sandbox, else in the environment, else in `.env`.

    Names count whatever their case, and what is empty is not set.
    """
    try:
        of_file = dotenv_values(ENV_FILE) if Path(ENV_FILE).is_file() else {}
    except UnicodeDecodeError:
        raise SettingsError(f"settings: {ENV_FILE} is not UTF-8 text") from None
    said: dict[str, Any] = {
        name.upper(): value for origin in (of_file, os.environ) for name, value in origin.items() if value
    }
    file = HomeSettings.model_validate(said | overrides).home / SANDBOX_FILE
    if with_sandbox and file.parent.is_dir():
        # One that has not come up yet sets nothing: what is invented must not mix with what real credentials give.
        values = dotenv_values(file, interpolate=False) if file.is_file() else {}
        said |= {name: values.get(name) for name in of_the_sandbox()}
        ours = {name.upper() for name, value in os.environ.items() if value}
        said |= {name: values[name] for name in OFFERED_BY_THE_SANDBOX if values.get(name) and name not in ours}
    return {name: value for name, value in said.items() if value} | overrides


def of_the_sandbox() -> list[str]:
    """The settings that a sandbox decides, those of all sources among them: what it does not name is not set."""
    return [*OF_THE_SANDBOX, *(name for kind in SourceSettings.kinds() for name in kind.own_names())]


def _explain(problem: Any) -> str:
    message = str(problem["msg"]).removeprefix("Value error, ")
    if not problem["loc"]:
        return message
    name = str(problem["loc"][0])
    return f"{name}{_env_file_line(name)}: {message}"


def _env_file_line(name: str) -> str:
    file = Path(ENV_FILE)
    if name in os.environ or not file.is_file():
        return ""
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if line.removeprefix("export ").split("=", 1)[0].strip().upper() == name:
            return f" ({ENV_FILE} line {number})"
    return ""
