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
from pydantic_settings import BaseSettings

from tailtracker_bi.errors import SettingsError
from tailtracker_bi.settings.model import ENV_FILE, HomeSettings, ReaderSettings, Settings, SourceSettings
from tailtracker_bi.settings.sandbox_home import OF_THE_SANDBOX, SANDBOX_FILE

AnySettings = TypeVar("AnySettings", bound=BaseSettings)


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


def reader_environment(settings: Settings) -> dict[str, str]:
    """The environment for a process that only reads: no secrets, and the settings that stand in `.env` here."""
    secrets = {
        str(field.alias)
        for part in (settings, *map(settings.of, SourceSettings.kinds()))
        for name, field in type(part).model_fields.items()
        if isinstance(getattr(part, name), SecretStr)
    }
    read = {
        str(field.alias): str(value)
        for name, field in ReaderSettings.model_fields.items()
        if (value := getattr(settings, name)) is not None
    }
    # Settings are read whatever the case of their names.
    others = {name: value for name, value in os.environ.items() if name.upper() not in secrets | read.keys()}
    return others | read


def _load_all(overrides: dict[str, Any], with_sandbox: bool = True) -> Settings:
    wrong: list[str] = []
    settings = _loaded(Settings, overrides, with_sandbox, wrong)
    own = [_loaded(kind, overrides, with_sandbox, wrong) for kind in SourceSettings.kinds()]
    # What several of them read is wrong in each.
    if wrong or settings is None:
        raise SettingsError("settings: " + "; ".join(dict.fromkeys(wrong)))
    settings._own = {type(part): part for part in own if part is not None}
    settings._load_own = lambda kind: _load(kind, overrides, with_sandbox)
    return settings


def _load(kind: type[AnySettings], overrides: dict[str, Any], with_sandbox: bool = True) -> AnySettings:
    wrong: list[str] = []
    found = _loaded(kind, overrides, with_sandbox, wrong)
    if found is None:
        raise SettingsError("settings: " + "; ".join(wrong))
    return found


def _loaded(
    kind: type[AnySettings], overrides: dict[str, Any], with_sandbox: bool, wrong: list[str]
) -> AnySettings | None:
    """What is set of a kind; None where something is wrong, which is then added to what is."""
    try:
        decided = _decided_by_sandbox(kind, HomeSettings(**overrides).home) if with_sandbox else {}
        return kind(**decided | overrides)
    except ValidationError as error:
        wrong += [_explain(problem) for problem in error.errors(include_url=False, include_input=False)]
    except UnicodeDecodeError:
        wrong.append(f"{ENV_FILE} is not UTF-8 text")
    return None


def of_the_sandbox() -> list[str]:
    """The settings that a sandbox decides, those of all sources among them: what it does not name is not set."""
    return [*OF_THE_SANDBOX, *(name for kind in SourceSettings.kinds() for name in kind.own_names())]


def _decided_by_sandbox(kind: type[AnySettings], home: Path) -> dict[str, Any]:
    file = home / SANDBOX_FILE
    if not file.parent.is_dir():
        return {}
    # A sandbox that has not come up yet sets nothing: what is invented must not mix with what real credentials give.
    values = dotenv_values(file, interpolate=False) if file.is_file() else {}
    fields = {str(field.alias): field for field in kind.model_fields.values()}
    return {name: values.get(name) or fields[name].default for name in of_the_sandbox() if name in fields}


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
