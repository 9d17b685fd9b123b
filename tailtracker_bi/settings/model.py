"""Settings that are no single source's, by their names in the environment. A source declares its own in its module."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from email.errors import HeaderParseError
from email.headerregistry import Address
from functools import cache
from pathlib import Path
from secrets import token_hex
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    model_validator,
)

from tailtracker_bi import durable
from tailtracker_bi.crash_points import STEPS
from tailtracker_bi.errors import SettingsError
from tailtracker_bi.settings.addresses import check_base_url, check_database_url, check_mail_url, check_secret_url

DEFAULT_HISTORY = timedelta(days=90)
CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
SESSION_SETTINGS = ("work_mem", "jit", "max_parallel_workers_per_gather", "synchronous_commit", "lock_timeout")
"""What may be chosen of a database's own settings for the sessions of a build."""
_HASH_KEY = re.compile(rb"[0-9a-f]{64}")


_timezones = cache(available_timezones)  # walks through hundreds of files


def _timezone(name: str) -> str:
    if name not in _timezones():
        raise ValueError(f"{name!r} is not a time zone; use a name like Europe/Berlin or UTC")
    return name


def _step(name: str) -> str:
    if name not in STEPS:
        raise ValueError(f"{name!r} is no step; `tailtracker-bi doctor --steps` lists them")
    return name


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


def _most_of_the_memory() -> ByteSize:
    """Bytes: 60 % of what the machine has or, in a container, of what that may use."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in CGROUP_LIMITS:
        with suppress(OSError, ValueError):
            found.append(int(file.read_text()))
    return ByteSize(min(found) * 6 // 10)


def _database(url: SecretStr) -> SecretStr:
    check_database_url("it", url.get_secret_value())
    return url


def lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


def _mail_address(text: str) -> str:
    try:
        address = Address(addr_spec=text)
    except (HeaderParseError, ValueError, IndexError):
        address = Address()
    if not address.username or "." not in address.domain:
        raise ValueError("must be a mail address")
    return text


def _words(value: Any) -> Any:
    return tuple(value.split()) if isinstance(value, str) else value


def _recipients(value: Any) -> Any:
    """`ann@x.example, weekly+board:bob@x.example`: who gets every report, and who some."""
    if not isinstance(value, str):
        return value
    found = []
    for number, entry in enumerate(filter(None, (part.strip() for part in value.split(","))), 1):
        reports, _, address = entry.rpartition(":")
        try:
            if not re.fullmatch(r"([a-z]\w*(\+[a-z]\w*)*)?", reports):
                raise ValueError
            found.append(Recipient(_mail_address(address), tuple(filter(None, reports.split("+")))))
        except ValueError:
            # Whose address it is, is nobody else's business.
            raise ValueError(
                f"entry {number} must be a mail address, or reports and one: weekly+board:a@b.example"
            ) from None
    return tuple(found)


def _session_settings(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    pairs = [pair.partition("=") for pair in value.replace(",", " ").split()]
    for name, _, chosen in pairs:
        if name not in SESSION_SETTINGS or not re.fullmatch(r"\w+", chosen):
            raise ValueError(f"must be like work_mem=256MB jit=off, of {', '.join(SESSION_SETTINGS)}")
    return {name: chosen for name, _, chosen in pairs}


@dataclass(frozen=True)
class Recipient:
    """Somebody who is mailed to, and which reports; every one where none is named."""

    address: str
    reports: tuple[str, ...] = ()


Timezone = Annotated[str, AfterValidator(_timezone)]
AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
Currency = Annotated[str, BeforeValidator(_upper), Field(pattern=r"^[A-Z]{3}$")]


class HomeSettings(BaseModel):
    """Where everything is kept."""

    # Built when they are first read: a reader needs two of them.
    model_config = ConfigDict(hide_input_in_errors=True, defer_build=True)

    home: AbsolutePath = Field(Path(".tailtracker"), alias="TAILTRACKER_HOME", validate_default=True)


class ReaderSettings(HomeSettings):
    """All that a reader of the bundle needs: no credentials."""

    timezone: Timezone = Field("UTC", alias="TAILTRACKER_TIMEZONE")
    fixed_now: Annotated[datetime, AfterValidator(_utc)] | None = Field(None, alias="TAILTRACKER_NOW")
    query_seconds: float = Field(30, alias="TAILTRACKER_QUERY_SECONDS", gt=0, le=3600)

    @property
    def now(self) -> datetime:
        """Business time in UTC: TAILTRACKER_NOW, else the clock. Never for locks, limits or timeouts."""
        return self.fixed_now or datetime.now(UTC)

    @property
    def today(self) -> date:
        """Today in the reporting time zone."""
        return self.now.astimezone(ZoneInfo(self.timezone)).date()


class _DeclaredSettings(ReaderSettings):
    """What was declared, and where weeks begin."""

    week_start: Annotated[
        Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"],
        BeforeValidator(lower),
    ] = Field("monday", alias="TAILTRACKER_WEEK_START")
    analytics_path: Path | None = Field(None, alias="TAILTRACKER_ANALYTICS")
    retry_scale: float = Field(1.0, alias="TAILTRACKER_RETRY_SCALE", ge=0, le=100)


class _Surroundings(HomeSettings):
    """What decides which addresses and keys are allowed."""

    environment: Literal["dev", "staging", "prod"] = Field("dev", alias="TAILTRACKER_ENV")
    allow_loopback: bool = Field(False, alias="TAILTRACKER_ALLOW_LOOPBACK")


class SourceSettings(_Surroundings):
    """The settings of one source: a subclass in its module, which is all that it takes for them to be read."""

    @property
    def secrets(self) -> list[str]:
        return _secrets(self)

    @classmethod
    def kinds(cls) -> list[type[SourceSettings]]:
        """Those of all sources, in the order in which they are declared."""
        return cls.__subclasses__()

    @classmethod
    def own_names(cls) -> list[str]:
        """What the source's own settings are called in the environment."""
        return [str(field.alias) for name, field in cls.model_fields.items() if name not in SourceSettings.model_fields]


class SignInSettings(_Surroundings):
    """Where people sign in to the dashboard, and who may see what there. All are set, or nobody signs in."""

    metadata_url: str | None = Field(None, alias="TAILTRACKER_OIDC_METADATA_URL")
    client_id: str | None = Field(None, alias="TAILTRACKER_OIDC_CLIENT_ID")
    client_secret: SecretStr | None = Field(None, alias="TAILTRACKER_OIDC_CLIENT_SECRET")
    cookie_secret: SecretStr | None = Field(None, alias="TAILTRACKER_COOKIE_SECRET", min_length=32)
    dashboard_url: str | None = Field(None, alias="TAILTRACKER_DASHBOARD_URL")
    access_file: AbsolutePath | None = Field(None, alias="TAILTRACKER_ACCESS")

    @model_validator(mode="after")
    def _check_together(self) -> SignInSettings:
        fields = {
            name: field for name, field in type(self).model_fields.items() if name not in _Surroundings.model_fields
        }
        missing = [str(field.alias) for name, field in fields.items() if getattr(self, name) is None]
        if missing and len(missing) < len(fields):
            raise ValueError(
                f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing: sign-in needs all of "
                f"{', '.join(str(field.alias) for field in fields.values())}"
            )
        for name, url, what in (
            ("TAILTRACKER_OIDC_METADATA_URL", self.metadata_url, "provider"),
            ("TAILTRACKER_DASHBOARD_URL", self.dashboard_url, "dashboard"),
        ):
            if url is not None:
                check_secret_url(name, url, what, self.allow_loopback)
        if self.dashboard_url and urlsplit(self.dashboard_url).path.strip("/"):
            raise ValueError("TAILTRACKER_DASHBOARD_URL must have no path: the dashboard is at the root of its host")
        return self

    @property
    def is_on(self) -> bool:
        return self.metadata_url is not None


class ReportSettings(_DeclaredSettings, _Surroundings):
    """What reports are made by and where they go: by mail, to Slack, to any channel that apprise knows, to a folder."""

    dashboard_url: str | None = Field(None, alias="TAILTRACKER_DASHBOARD_URL")
    smtp_url: SecretStr | None = Field(None, alias="SMTP_URL")
    recipients: Annotated[tuple[Recipient, ...], BeforeValidator(_recipients)] = Field((), alias="REPORT_RECIPIENTS")
    slack_webhook_url: SecretStr | None = Field(None, alias="SLACK_WEBHOOK_URL")
    slack_token: SecretStr | None = Field(None, alias="SLACK_BOT_TOKEN")
    slack_channel: str | None = Field(None, alias="SLACK_CHANNEL", pattern=r"^[CG][A-Z0-9]{5,}$")
    slack_api_url: str = Field("https://slack.com/api", alias="SLACK_API_URL")
    other_channels: Annotated[tuple[SecretStr, ...], BeforeValidator(_words)] = Field((), alias="REPORT_CHANNELS")
    folder: str | None = Field(None, alias="REPORT_FOLDER")
    export_folder: str | None = Field(None, alias="EXPORT_FOLDER")
    owner: Annotated[str, AfterValidator(_mail_address)] | None = Field(None, alias="REPORT_OWNER")
    access_file: AbsolutePath | None = Field(None, alias="TAILTRACKER_ACCESS")
    pagerduty_routing_key: SecretStr | None = Field(None, alias="PAGERDUTY_ROUTING_KEY")
    pagerduty_url: str = Field("https://events.pagerduty.com", alias="PAGERDUTY_URL")
    alert_webhook_url: SecretStr | None = Field(None, alias="ALERT_WEBHOOK_URL")
    alert_webhook_secret: SecretStr | None = Field(None, alias="ALERT_WEBHOOK_SECRET", min_length=16)

    @model_validator(mode="after")
    def _check_together(self) -> ReportSettings:
        if self.smtp_url is not None:
            check_mail_url("SMTP_URL", self.smtp_url.get_secret_value(), self.allow_loopback)
        elif self.recipients or self.owner:
            raise ValueError("SMTP_URL is missing: REPORT_RECIPIENTS and REPORT_OWNER are mailed to")
        if self.slack_webhook_url is not None:
            url = self.slack_webhook_url.get_secret_value()
            check_base_url("SLACK_WEBHOOK_URL", url, "slack.com", self.allow_loopback)
        check_base_url("SLACK_API_URL", self.slack_api_url, "slack.com", self.allow_loopback)
        if (self.slack_token is None) != (self.slack_channel is None):
            raise ValueError("SLACK_BOT_TOKEN and SLACK_CHANNEL are set together: who writes, and where")
        if self.slack_token is not None and self.slack_webhook_url is not None:
            raise ValueError("SLACK_BOT_TOKEN and SLACK_WEBHOOK_URL are two ways to Slack: set one of them")
        check_base_url("PAGERDUTY_URL", self.pagerduty_url, "pagerduty.com", self.allow_loopback)
        if (self.alert_webhook_url is None) != (self.alert_webhook_secret is None):
            raise ValueError("ALERT_WEBHOOK_URL and ALERT_WEBHOOK_SECRET are set together: what is sent is signed")
        if self.alert_webhook_url is not None:
            url = self.alert_webhook_url.get_secret_value()
            check_secret_url("ALERT_WEBHOOK_URL", url, "program", self.allow_loopback)
        return self

    @property
    def secrets(self) -> list[str]:
        """Every secret value, for redaction; of a URL its password, too."""
        return [*_secrets(self), *(channel.get_secret_value() for channel in self.other_channels)]


class DagsterSettings(HomeSettings):
    """Where Dagster keeps its runs, events and schedules: in HOME, or in a Postgres."""

    storage_url: Annotated[SecretStr, AfterValidator(_database)] | None = Field(
        None, alias="TAILTRACKER_DAGSTER_STORAGE_URL"
    )


Own = TypeVar("Own", bound=SourceSettings)


class Settings(_DeclaredSettings, _Surroundings):
    """All settings, checked. Secrets are `SecretStr`: printing the settings never shows them."""

    currency: Currency = Field("EUR", alias="TAILTRACKER_CURRENCY")
    history_start: date | None = Field(None, alias="TAILTRACKER_HISTORY_START")
    warehouse: Literal["duckdb", "postgres"] = Field("duckdb", alias="TAILTRACKER_WAREHOUSE")
    warehouse_url: SecretStr | None = Field(None, alias="TAILTRACKER_WAREHOUSE_URL")
    warehouse_prefix: str = Field("tt", alias="TAILTRACKER_WAREHOUSE_PREFIX", pattern=r"^[a-z][a-z0-9]{0,15}$")
    warehouse_settings: Annotated[dict[str, str], BeforeValidator(_session_settings)] = Field(
        {}, alias="TAILTRACKER_WAREHOUSE_SETTINGS"
    )
    memory_limit: ByteSize = Field(default_factory=_most_of_the_memory, alias="TAILTRACKER_MEMORY_LIMIT", ge=128 << 20)
    threads: int | None = Field(None, alias="TAILTRACKER_THREADS", ge=1)
    own_hash_key: SecretStr | None = Field(None, alias="TAILTRACKER_HASH_KEY", min_length=16)
    waits: bool = Field(True, alias="TAILTRACKER_WAIT")
    crash_at: Annotated[str, AfterValidator(_step)] | None = Field(None, alias="TAILTRACKER_CRASH_AT")

    sandbox_database_url: SecretStr | None = Field(None, alias="TAILTRACKER_SANDBOX_DATABASE_URL")

    _own: dict[type[SourceSettings], SourceSettings] = PrivateAttr(default_factory=dict)
    _load_own: Callable[[type[Any]], Any] = PrivateAttr()

    @model_validator(mode="after")
    def _check_together(self) -> Settings:
        if self.sandbox_database_url is not None:
            check_database_url("TAILTRACKER_SANDBOX_DATABASE_URL", self.sandbox_database_url.get_secret_value())
        if self.warehouse_url is not None:
            check_database_url("TAILTRACKER_WAREHOUSE_URL", self.warehouse_url.get_secret_value())
        elif self.warehouse == "postgres":
            raise ValueError(
                "TAILTRACKER_WAREHOUSE_URL is missing: postgres needs postgresql://user:password@host/database"
            )
        if self.history_start and self.history_start >= self.today:
            raise ValueError(f"TAILTRACKER_HISTORY_START must be before today ({self.today})")
        return self

    def of(self, kind: type[Own]) -> Own:
        """A source's own settings."""
        if kind not in self._own:
            self._own[kind] = self._load_own(kind)
        found = self._own[kind]
        if not isinstance(found, kind):
            raise TypeError(f"{found!r} is no {kind}")
        return found

    @property
    def hash_key(self) -> bytes:
        """Key of the pseudonyms; made once and kept in HOME, readable by its owner alone, where none is set."""
        if self.own_hash_key:
            return self.own_hash_key.get_secret_value().encode()
        file = self.home / "hash.key"
        if not file.exists():
            self.home.mkdir(parents=True, exist_ok=True)
            durable.create(file, token_hex(32).encode())
        try:
            key, others = file.read_bytes().strip(), file.stat().st_mode & 0o077
        except OSError as error:
            raise SettingsError(f"{file}: {error.strerror}") from None
        if not _HASH_KEY.fullmatch(key):
            raise SettingsError(f"{file} holds no key: put it back from a backup; people are told apart by it")
        if others:
            raise SettingsError(f"{file} may be read by others, who could tell people by it: `chmod 600 {file}`")
        return key

    @property
    def has_hash_key(self) -> bool:
        """Whether a key of the pseudonyms is there, so that none would be made."""
        return self.own_hash_key is not None or (self.home / "hash.key").exists()

    @property
    def secrets(self) -> list[str]:
        """Every secret value, for redaction; of a database URL its password, too."""
        return [*_secrets(self), *(secret for kind in SourceSettings.kinds() for secret in self.of(kind).secrets)]


def _secrets(settings: HomeSettings) -> list[str]:
    values = [getattr(settings, name) for name in type(settings).model_fields]
    secrets = [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
    passwords = [urlsplit(secret).password for secret in secrets if "://" in secret]
    return secrets + [form for password in passwords if password for form in (password, unquote(password))]
