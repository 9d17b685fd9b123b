"""Settings: each mistake is named with its variable and line, and no secret is ever shown."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from tailtracker_bi.errors import SettingsError
from tailtracker_bi.sandbox.home import SandboxHome
from tailtracker_bi.settings import Settings, SignInSettings, SourceSettings, model
from tailtracker_bi.settings.environment import (
    dagster_environment,
    dashboard_environment,
    load_dagster_settings,
    load_own_settings,
    load_reader_settings,
    load_settings,
    load_sign_in_settings,
    reader_environment,
)
from tailtracker_bi.settings.model import DagsterSettings
from tailtracker_bi.sources import SOURCES, MixpanelSettings
from tailtracker_bi.sources.prometheus import PrometheusSettings
from tailtracker_bi.sources.stripe.api import StripeSettings

SECRET = "hush-hush-hush-hush"
CREDENTIALS = {"MIXPANEL_PROJECT_ID": "1", "MIXPANEL_USERNAME": "robot", "MIXPANEL_SECRET": SECRET}


def mistake(**variables: Any) -> str:
    with pytest.raises(SettingsError) as refusal:
        load_settings(**variables)
    assert refusal.value.exit_code == 2
    assert refusal.value.__cause__ is None
    return str(refusal.value)


def test_nothing_needs_to_be_set(tmp_path: Path) -> None:
    settings = load_settings()
    assert settings.home == tmp_path / ".tailtracker"
    assert (settings.timezone, settings.week_start, settings.environment) == ("UTC", "monday", "dev")
    assert not settings.of(MixpanelSettings).secret
    assert settings.of(MixpanelSettings).base_url == "https://data.mixpanel.com"
    assert list(tmp_path.iterdir()) == []


def test_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("MIXPANEL_REGION=eu\nTAILTRACKER_WEEK_START=Sunday\n")
    monkeypatch.setenv("MIXPANEL_REGION", "IN")
    settings = load_settings()
    assert settings.of(MixpanelSettings).base_url == "https://data-in.mixpanel.com"
    assert settings.week_start == "sunday"


def test_empty_variables_count_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIXPANEL_SECRET", "")
    monkeypatch.setenv("TAILTRACKER_TIMEZONE", "")
    assert not load_settings().of(MixpanelSettings).secret


MISTAKES = {
    "TAILTRACKER_TIMEZONE": "Berlin",
    "TAILTRACKER_WEEK_START": "someday",
    "TAILTRACKER_ENV": "production",
    "TAILTRACKER_NOW": "recently",
    "TAILTRACKER_HISTORY_START": "2024-13-01",
    "TAILTRACKER_WAREHOUSE": "oracle",
    "TAILTRACKER_HASH_KEY": "short-secret",
    "TAILTRACKER_ALLOW_LOOPBACK": "perhaps",
    "TAILTRACKER_RETRY_SCALE": "-1",
    "MIXPANEL_REGION": "mars",
    "MIXPANEL_TIMEZONE": "Moon/Crater",
}


@pytest.mark.parametrize("name", MISTAKES)
def test_wrong_variable_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, MISTAKES[name])
    message = mistake()
    assert message.startswith(f"settings: {name}: ")
    assert "short-secret" not in message


def test_every_mistake_is_named_with_its_line_in_the_file() -> None:
    lines = [f"{name}={value}" for name, value in MISTAKES.items()]
    Path(".env").write_text("# a comment\n\n" + "\n".join(lines))
    message = mistake()
    for number, name in enumerate(MISTAKES, start=3):
        assert f"{name} (.env line {number}): " in message
    assert "short-secret" not in message


def test_lines_with_export_or_in_lower_case_are_found_too() -> None:
    Path(".env").write_text("export MIXPANEL_REGION = mars\nmixpanel_timezone=nowhere\n")
    message = mistake()
    assert "MIXPANEL_REGION (.env line 1)" in message
    assert "MIXPANEL_TIMEZONE (.env line 2)" in message


def test_mistake_in_the_environment_is_not_blamed_on_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("MIXPANEL_REGION=eu\n")
    monkeypatch.setenv("MIXPANEL_REGION", "mars")
    assert "line" not in mistake()


def test_file_that_is_not_text_is_named_and_not_shown() -> None:
    Path(".env").write_bytes(b"MIXPANEL_SECRET=caf\xe9-secret\n")
    assert mistake() == "settings: .env is not UTF-8 text"


@pytest.mark.parametrize("missing", CREDENTIALS)
def test_half_of_the_credentials_are_refused(missing: str) -> None:
    message = mistake(**{name: value for name, value in CREDENTIALS.items() if name != missing})
    assert message.startswith(f"settings: {missing} is missing")
    assert SECRET not in message


def test_secrets_are_in_no_message_and_no_repr() -> None:
    settings = load_settings(**CREDENTIALS, TAILTRACKER_HASH_KEY=SECRET + "-key")
    assert settings.of(MixpanelSettings).secret
    assert sorted(settings.secrets) == [SECRET, SECRET + "-key"]
    assert SECRET not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    assert SECRET not in mistake(**CREDENTIALS, TAILTRACKER_HASH_KEY=SECRET, MIXPANEL_REGION="mars")
    assert SECRET not in mistake(**CREDENTIALS, MIXPANEL_EXPORT_URL=f"https://robot:{SECRET}@data.mixpanel.com")


def test_settings_without_those_of_sources_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a mistake in one would not be told, and its secret be in no list of what is to be hidden."""
    monkeypatch.setattr(SourceSettings, "kinds", list)
    with pytest.raises(RuntimeError, match=r"import tailtracker_bi\.sources first"):
        load_settings()


# A HOME with a sandbox.


def test_a_sandbox_in_home_decides_sources_and_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILTRACKER_HOME", str(tmp_path))
    monkeypatch.setenv("TAILTRACKER_NOW", "2020-01-01")
    monkeypatch.setenv("TAILTRACKER_TIMEZONE", "Europe/Berlin")
    monkeypatch.setenv("STRIPE_API_KEY", "rk_live_of_the_real_account")
    odd = "it's a \\ # secret"
    place = SandboxHome(tmp_path)
    place.folder.mkdir()
    place.say_settings(CREDENTIALS | {"MIXPANEL_SECRET": odd, "TAILTRACKER_NOW": "2024-01-01T06:00:00Z"})
    settings = load_settings()
    assert settings.now == load_reader_settings().now == datetime(2024, 1, 1, 6, tzinfo=UTC)
    assert settings.secrets == [odd]
    assert settings.of(StripeSettings).base == "https://api.stripe.com"
    assert settings.timezone == "Europe/Berlin"
    own = load_own_settings()
    assert (own.fixed_now, own.of(MixpanelSettings).secret) == (datetime(2020, 1, 1, tzinfo=UTC), None)
    assert own.of(StripeSettings).is_live


# Base URLs.


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://169.254.169.254", "must be an https URL of mixpanel.com"),
        ("https://169.254.169.254/latest/meta-data", "must be an https URL of mixpanel.com"),
        ("http://data.mixpanel.com", "must be an https URL of mixpanel.com"),
        ("ftp://data.mixpanel.com", "must be an https URL of mixpanel.com"),
        ("https://data.mixpanel.com.evil.test", "must be an https URL of mixpanel.com"),
        ("https://evilmixpanel.com", "must be an https URL of mixpanel.com"),
        ("http://10.0.0.1", "must be an https URL of mixpanel.com"),
        ("http://0.0.0.0", "must be an https URL of mixpanel.com"),
        ("http://2130706433", "must be an https URL of mixpanel.com"),
        ("file:///etc/passwd", "plain base URL"),
        ("data.mixpanel.com", "plain base URL"),
        ("https://", "plain base URL"),
        ("https://user@data.mixpanel.com", "plain base URL"),
        ("https://user:pass@data.mixpanel.com", "plain base URL"),
        ("https://data.mixpanel.com@evil.test", "plain base URL"),
        ("https://data.mixpanel.com?x=1", "plain base URL"),
        ("https://evil.test#.mixpanel.com", "plain base URL"),
        ("https://evil.test\\.mixpanel.com", "plain base URL"),
        ("https://evil.test%2f.mixpanel.com", "plain base URL"),
        ("https://evil.test\n.mixpanel.com", "plain base URL"),
        ("https://data.mixpanel.com:99999", "is not a URL"),
        ("http://[::1", "is not a URL"),
    ],
)
@pytest.mark.parametrize("allow_loopback", [True, False])
def test_url_that_could_carry_credentials_elsewhere_is_refused(url: str, reason: str, allow_loopback: bool) -> None:
    message = mistake(MIXPANEL_EXPORT_URL=url, TAILTRACKER_ALLOW_LOOPBACK=allow_loopback)
    assert re.fullmatch(rf"settings: MIXPANEL_EXPORT_URL .*{re.escape(reason)}.*", message)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "http://localhost:8080", "https://127.9.9.9", "http://[::1]:80/"]
)
def test_this_machine_is_reached_only_where_that_is_allowed(url: str) -> None:
    assert "TAILTRACKER_ALLOW_LOOPBACK=1" in mistake(MIXPANEL_EXPORT_URL=url)
    settings = load_settings(MIXPANEL_EXPORT_URL=url, TAILTRACKER_ALLOW_LOOPBACK="1")
    assert settings.of(MixpanelSettings).base_url == url.rstrip("/")


@pytest.mark.parametrize(
    "url", ["https://data-eu.mixpanel.com", "https://mixpanel.com/proxy/", "https://DATA.mixpanel.com:443"]
)
def test_urls_of_the_vendor_are_taken(url: str) -> None:
    assert load_settings(MIXPANEL_EXPORT_URL=url).of(MixpanelSettings).base_url == url.rstrip("/")


# Time.


@pytest.mark.parametrize(
    "url",
    [
        "https://prometheus.example.com/base", "http://prometheus:9090", "http://10.1.2.3:9090", "http://[fd00::1]:9090",
        "http://prometheus.monitoring.svc", "http://PROM.internal/",
    ],
)  # fmt: skip
def test_a_prometheus_of_one_s_own_may_be_plain_inside(url: str) -> None:
    assert load_settings(PROMETHEUS_URL=url).of(PrometheusSettings).base_url == url.rstrip("/")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://prometheus.example.com", "must be https"),
        ("http://8.8.8.8:9090", "must be https"),
        ("http://169.254.169.254", "at which no Prometheus is"),
        ("https://169.254.169.254", "at which no Prometheus is"),
        ("https://[::ffff:169.254.169.254]", "at which no Prometheus is"),
        ("http://0.0.0.0:9090", "at which no Prometheus is"),
        ("http://2852039166", "names no host"),
        ("http://0xa9fea9fe", "names no host"),
        ("http://robot:short-secret@prometheus:9090", "without user"),
        ("http://prometheus:9090/?x=short-secret", "without user"),
        ("file:///etc/passwd", "plain base URL"),
        ("ftp://prometheus", "http or https"),
        ("http://localhost:9090", "TAILTRACKER_ALLOW_LOOPBACK=1"),
    ],
)
def test_what_can_t_be_a_prometheus_of_one_s_own_is_refused(url: str, reason: str) -> None:
    message = mistake(PROMETHEUS_URL=url)
    assert "PROMETHEUS_URL" in message
    assert reason in message
    assert "short-secret" not in message


def test_today_is_a_day_of_the_reporting_time_zone() -> None:
    evening = {"TAILTRACKER_NOW": "2024-03-31T22:30:00Z"}
    assert load_settings(**evening).today == date(2024, 3, 31)
    assert load_settings(**evening, TAILTRACKER_TIMEZONE="Europe/Berlin").today == date(2024, 4, 1)


@pytest.mark.parametrize("now", ["2024-01-01T12:00:00", "2024-01-01T12:00:00Z", "2024-01-01T14:00:00+02:00"])
def test_now_is_utc_unless_it_says_otherwise(now: str) -> None:
    assert load_settings(TAILTRACKER_NOW=now).now == datetime(2024, 1, 1, 12, tzinfo=UTC)


def test_now_is_the_clock_where_it_is_not_set() -> None:
    settings = load_settings()
    assert abs((settings.now - datetime.now(UTC)).total_seconds()) < 5


def test_history_must_start_in_the_past() -> None:
    now = {"TAILTRACKER_NOW": "2024-01-02T00:00:00"}
    assert load_settings(TAILTRACKER_HISTORY_START="2024-01-01", **now).history_start == date(2024, 1, 1)
    assert "TAILTRACKER_HISTORY_START must be before today" in mistake(TAILTRACKER_HISTORY_START="2024-01-02", **now)


# The key of the pseudonyms.


def test_hash_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    key = load_settings(TAILTRACKER_HOME=tmp_path / "new").hash_key
    assert len(key) == 64
    assert load_settings(TAILTRACKER_HOME=tmp_path / "new").hash_key == key
    (file,) = (tmp_path / "new").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert load_settings(TAILTRACKER_HOME=tmp_path / "other").hash_key != key


@pytest.mark.parametrize(
    ("content", "mode", "told"),
    [
        (b"", 0o600, "holds no key: put it back from a backup"),
        (b"ab" * 20, 0o600, "holds no key"),
        (b"ab" * 32, 0o640, "may be read by others.*: `chmod 600 "),
        (b"ab" * 32, 0o604, "may be read by others"),
    ],
)
def test_a_hash_key_that_is_cut_or_that_others_may_read_is_refused(
    tmp_path: Path, content: bytes, mode: int, told: str
) -> None:
    file = tmp_path / "hash.key"
    file.write_bytes(content)
    file.chmod(mode)
    with pytest.raises(SettingsError, match=told):
        _ = load_settings(TAILTRACKER_HOME=tmp_path).hash_key
    assert file.read_bytes() == content


def test_a_process_that_only_reads_inherits_no_secret_whatever_the_case_of_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("stripe_api_key", "rk_live_in_lower_case")
    monkeypatch.setenv("Mixpanel_Secret", "in mixed case")
    monkeypatch.setenv("MIXPANEL_USERNAME", "reader")
    monkeypatch.setenv("mixpanel_project_id", "1")
    monkeypatch.setenv("tailtracker_home", str(tmp_path / "lower"))
    settings = load_settings()
    assert settings.of(StripeSettings).key
    found = reader_environment(settings)
    assert not any(secret in value for value in found.values() for secret in settings.secrets)
    assert {name: value for name, value in found.items() if name.upper() == "TAILTRACKER_HOME"} == {
        "TAILTRACKER_HOME": str(tmp_path / "lower")
    }


def test_dagster_is_told_where_it_keeps_what_it_knows_and_readers_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAILTRACKER_HOME", str(tmp_path))
    assert "TAILTRACKER_DAGSTER_STORAGE_URL" not in dagster_environment(load_dagster_settings())
    monkeypatch.setenv("TAILTRACKER_DAGSTER_STORAGE_URL", f"postgresql://dagster:{SECRET}@db.internal/dagster")
    settings = load_dagster_settings()
    assert SECRET not in repr(settings)
    told = dagster_environment(settings)
    assert told["DAGSTER_HOME"] == str(tmp_path / "dagster")
    assert told["TAILTRACKER_DAGSTER_STORAGE_URL"] == f"postgresql+psycopg2://dagster:{SECRET}@db.internal/dagster"
    assert SECRET not in str(reader_environment(load_settings()))


def test_where_dagster_keeps_what_it_knows_has_to_be_a_postgres(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILTRACKER_DAGSTER_STORAGE_URL", f"mysql://dagster:{SECRET}@db.internal/dagster")
    with pytest.raises(SettingsError, match="TAILTRACKER_DAGSTER_STORAGE_URL: it must look like postgresql:") as error:
        load_dagster_settings()
    assert SECRET not in str(error.value)


def test_own_hash_key_is_used_and_nothing_written(tmp_path: Path) -> None:
    settings = load_settings(TAILTRACKER_HOME=tmp_path / "new", TAILTRACKER_HASH_KEY=SECRET)
    assert settings.hash_key == SECRET.encode()
    assert not (tmp_path / "new").exists()


def test_crash_while_the_hash_key_is_written_never_leaves_an_empty_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> int:
        raise KeyboardInterrupt

    settings = load_settings(TAILTRACKER_HOME=tmp_path / "new")
    with monkeypatch.context() as crashing:
        crashing.setattr("os.fsync", crash)
        with pytest.raises(KeyboardInterrupt):
            _ = settings.hash_key
    assert not (tmp_path / "new" / "hash.key").exists()
    assert len(settings.hash_key) == 64


def test_what_is_wrong_in_several_sources_is_told_at_once_and_what_they_share_once() -> None:
    told = mistake(TAILTRACKER_ALLOW_LOOPBACK="maybe", STRIPE_API_BASE="http://stripe.com", MIXPANEL_REGION="mars")
    assert told.count("TAILTRACKER_ALLOW_LOOPBACK") == 1
    assert "MIXPANEL_REGION" in told


def test_a_sandbox_decides_every_setting_of_every_source(tmp_path: Path) -> None:
    own = {name for kind in SourceSettings.kinds() for name in kind.own_names()}
    assert {"MIXPANEL_SECRET", "STRIPE_API_KEY", "APP_DATABASE_URL", "PROMETHEUS_URL"} < own
    assert {"TAILTRACKER_HOME", "TAILTRACKER_ALLOW_LOOPBACK", "TAILTRACKER_ENV"}.isdisjoint(own)
    (tmp_path / "home" / "sandbox").mkdir(parents=True)
    settings = load_settings(TAILTRACKER_HOME=tmp_path / "home")
    assert not [source.name for source in SOURCES if source.is_on(settings)]


def test_every_setting_is_told_of_in_the_example() -> None:
    example = (Path(__file__).parents[2] / ".env.example").read_text(encoding="utf-8")
    kinds = (Settings, SignInSettings, DagsterSettings, *SourceSettings.kinds())
    fields = [field for kind in kinds for field in kind.model_fields.values()]
    assert {str(field.alias) for field in fields if f"{field.alias}=" not in example} == set()


def test_builds_may_use_60_percent_of_what_the_machine_or_its_container_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_the_machine = load_settings().memory_limit
    assert of_the_machine > 128 << 20
    (tmp_path / "memory.max").write_text("1000000000\n")
    (tmp_path / "unlimited").write_text("max\n")
    monkeypatch.setattr(model, "CGROUP_LIMITS", [tmp_path / name for name in ("memory.max", "unlimited", "missing")])
    assert load_settings().memory_limit == 600_000_000
    assert load_settings(TAILTRACKER_MEMORY_LIMIT="4GB").memory_limit == 4_000_000_000
    for wrong in ("lots", "1MB"):
        with pytest.raises(SettingsError, match="TAILTRACKER_MEMORY_LIMIT"):
            load_settings(TAILTRACKER_MEMORY_LIMIT=wrong)


SIGN_IN = {
    "TAILTRACKER_OIDC_METADATA_URL": "https://id.example.com/.well-known/openid-configuration",
    "TAILTRACKER_OIDC_CLIENT_ID": "dashboard",
    "TAILTRACKER_OIDC_CLIENT_SECRET": SECRET,
    "TAILTRACKER_COOKIE_SECRET": SECRET * 2,
    "TAILTRACKER_DASHBOARD_URL": "https://bi.example.com",
    "TAILTRACKER_ACCESS": "access.yml",
}


def sign_in_mistake(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    for name, value in (SIGN_IN | variables).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refusal:
        load_sign_in_settings()
    assert SECRET not in str(refusal.value)
    return str(refusal.value)


def test_nobody_signs_in_unless_all_of_it_is_set() -> None:
    assert not load_sign_in_settings().is_on


@pytest.mark.parametrize("missing", SIGN_IN)
def test_half_of_what_people_sign_in_by_is_refused(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"settings: {missing} is missing: sign-in needs all of" in sign_in_mistake(monkeypatch, **{missing: ""})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("TAILTRACKER_COOKIE_SECRET", "short", "at least 32"),
        ("TAILTRACKER_OIDC_METADATA_URL", "http://id.example.com/", "must be https"),
        ("TAILTRACKER_OIDC_METADATA_URL", "http://keycloak.internal/", "must be https: a secret goes there"),
        ("TAILTRACKER_OIDC_METADATA_URL", "https://169.254.169.254/", "no provider is"),
        ("TAILTRACKER_OIDC_METADATA_URL", "file:///etc/passwd", "must be"),
        ("TAILTRACKER_OIDC_METADATA_URL", "https://id.example.com@evil.test/", "must be a plain base URL"),
        ("TAILTRACKER_OIDC_METADATA_URL", "http://localhost:8080/", "points at this machine"),
        ("TAILTRACKER_DASHBOARD_URL", "http://bi.example.com", "must be https"),
        ("TAILTRACKER_DASHBOARD_URL", "https://bi.example.com/bi", "must have no path"),
    ],
)
def test_secrets_of_sign_in_go_nowhere_else(name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    message = sign_in_mistake(monkeypatch, **{name: value})
    assert name in message
    assert said in message


def test_the_dashboard_gets_what_people_sign_in_by_and_no_secret_of_a_source(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Path(".env").write_text("\n".join(f"{name}={value}" for name, value in SIGN_IN.items()))
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    told = dashboard_environment(load_settings(), load_sign_in_settings())
    assert "MIXPANEL_SECRET" not in told
    # It is started in another folder.
    assert SIGN_IN | {"TAILTRACKER_ACCESS": str(tmp_path / "access.yml")} == {name: told[name] for name in SIGN_IN}
