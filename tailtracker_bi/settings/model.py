"""Every setting, with its name in the environment, its meaning and what it may be."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from tailtracker_bi import durable
from tailtracker_bi.crash_points import STEPS
from tailtracker_bi.errors import SettingsError
from tailtracker_bi.settings.addresses import check_base_url, check_database_url, check_prometheus_url

ENV_FILE = ".env"
MIXPANEL_HOSTS = {
    "us": "https://data.mixpanel.com",
    "eu": "https://data-eu.mixpanel.com",
    "in": "https://data-in.mixpanel.com",
}
DEFAULT_HISTORY = timedelta(days=90)
_HASH_KEY = re.compile(rb"[0-9a-f]{64}")
_STRIPE_KEY = re.compile(r"(?:rk|sk)_(?:live|test)_[A-Za-z0-9_]+")


def _timezone(name: str) -> str:
    if name not in available_timezones():
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


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


Timezone = Annotated[str, AfterValidator(_timezone)]
Region = Annotated[Literal["us", "eu", "in"], BeforeValidator(_lower)]
Currency = Annotated[str, BeforeValidator(_upper), Field(pattern=r"^[A-Z]{3}$")]


class HomeSettings(BaseSettings):
    """Where everything is kept."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE, env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
    )

    home: Annotated[Path, AfterValidator(_absolute)] = Field(
        Path(".tailtracker"), alias="TAILTRACKER_HOME", validate_default=True
    )


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


class Settings(ReaderSettings):
    """All settings, checked. Secrets are `SecretStr`: printing the settings never shows them."""

    environment: Literal["dev", "staging", "prod"] = Field("dev", alias="TAILTRACKER_ENV")
    week_start: Annotated[
        Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"],
        BeforeValidator(_lower),
    ] = Field("monday", alias="TAILTRACKER_WEEK_START")
    analytics_path: Path | None = Field(None, alias="TAILTRACKER_ANALYTICS")
    currency: Currency = Field("EUR", alias="TAILTRACKER_CURRENCY")
    history_start: date | None = Field(None, alias="TAILTRACKER_HISTORY_START")
    warehouse: Literal["duckdb"] = Field("duckdb", alias="TAILTRACKER_WAREHOUSE")
    own_hash_key: SecretStr | None = Field(None, alias="TAILTRACKER_HASH_KEY", min_length=16)
    allow_loopback: bool = Field(False, alias="TAILTRACKER_ALLOW_LOOPBACK")
    retry_scale: float = Field(1.0, alias="TAILTRACKER_RETRY_SCALE", ge=0, le=100)
    waits: bool = Field(True, alias="TAILTRACKER_WAIT")
    crash_at: Annotated[str, AfterValidator(_step)] | None = Field(None, alias="TAILTRACKER_CRASH_AT")

    mixpanel_project_id: str | None = Field(None, alias="MIXPANEL_PROJECT_ID")
    mixpanel_username: str | None = Field(None, alias="MIXPANEL_USERNAME")
    mixpanel_secret: SecretStr | None = Field(None, alias="MIXPANEL_SECRET")
    mixpanel_region: Region = Field("us", alias="MIXPANEL_REGION")
    mixpanel_export_url: str | None = Field(None, alias="MIXPANEL_EXPORT_URL")
    mixpanel_timezone: Timezone | None = Field(None, alias="MIXPANEL_TIMEZONE")

    stripe_api_key: SecretStr | None = Field(None, alias="STRIPE_API_KEY")
    stripe_api_base: str = Field("https://api.stripe.com", alias="STRIPE_API_BASE")

    app_database_url: SecretStr | None = Field(None, alias="APP_DATABASE_URL")

    csv_folder: Annotated[Path, AfterValidator(_absolute)] | None = Field(None, alias="TAILTRACKER_CSV_FOLDER")

    exchange_rates_url: str | None = Field(None, alias="EXCHANGE_RATES_URL")

    prometheus_url: str | None = Field(None, alias="PROMETHEUS_URL")

    sandbox_database_url: SecretStr | None = Field(None, alias="TAILTRACKER_SANDBOX_DATABASE_URL")

    @model_validator(mode="after")
    def _check_together(self) -> Settings:
        credentials = {
            "MIXPANEL_PROJECT_ID": self.mixpanel_project_id,
            "MIXPANEL_USERNAME": self.mixpanel_username,
            "MIXPANEL_SECRET": self.mixpanel_secret,
        }
        missing = [name for name, value in credentials.items() if value is None]
        if missing and len(missing) < len(credentials):
            raise ValueError(f"{', '.join(missing)} is missing: Mixpanel needs all of {', '.join(credentials)}")
        if self.mixpanel_export_url is not None:
            check_base_url("MIXPANEL_EXPORT_URL", self.mixpanel_export_url, "mixpanel.com", self.allow_loopback)
        check_base_url("STRIPE_API_BASE", self.stripe_api_base, "stripe.com", self.allow_loopback)
        if self.stripe_api_key is not None:
            _check_stripe_key(self.stripe_api_key.get_secret_value(), self.environment)
        if self.app_database_url is not None:
            check_database_url("APP_DATABASE_URL", self.app_database_url.get_secret_value())
        if self.exchange_rates_url is not None:
            check_base_url("EXCHANGE_RATES_URL", self.exchange_rates_url, "ecb.europa.eu", self.allow_loopback)
        if self.prometheus_url is not None:
            check_prometheus_url(self.prometheus_url, self.allow_loopback)
        if self.sandbox_database_url is not None:
            check_database_url("TAILTRACKER_SANDBOX_DATABASE_URL", self.sandbox_database_url.get_secret_value())
        if self.history_start and self.history_start >= self.today:
            raise ValueError(f"TAILTRACKER_HISTORY_START must be before today ({self.today})")
        return self

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
    def is_mixpanel_on(self) -> bool:
        return self.mixpanel_secret is not None

    @property
    def mixpanel_base_url(self) -> str:
        return (self.mixpanel_export_url or MIXPANEL_HOSTS[self.mixpanel_region]).rstrip("/")

    @property
    def is_stripe_live(self) -> bool:
        """The mode of the key: objects of the other mode are no business of ours."""
        return self.stripe_api_key is not None and "_live_" in self.stripe_api_key.get_secret_value()

    @property
    def prometheus_base_url(self) -> str:
        return (self.prometheus_url or "").rstrip("/")

    @property
    def secrets(self) -> list[str]:
        """Every secret value, for redaction; of a database URL its password, too."""
        values = [getattr(self, name) for name in type(self).model_fields]
        secrets = [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
        passwords = [urlsplit(secret).password for secret in secrets if "://" in secret]
        return secrets + [form for password in passwords if password for form in (password, unquote(password))]


def _check_stripe_key(key: str, environment: str) -> None:
    if not _STRIPE_KEY.fullmatch(key):
        raise ValueError("STRIPE_API_KEY must be a secret key of Stripe, best a restricted one: rk_live_...")
    if environment == "prod" and "_test_" in key:
        raise ValueError("STRIPE_API_KEY is a test key, which TAILTRACKER_ENV=prod refuses")
