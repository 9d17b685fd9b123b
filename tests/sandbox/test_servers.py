"""What the sandbox serves by: the export's limits and its day, Stripe loaded anew, a database that follows files."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import orjson
import psycopg2
import pytest

from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.sandbox.servers import export_api, prometheus_api, stripe_api
from tailtracker_bi.sandbox.servers.app_database import OWN_SCHEMA, AppDatabase, serve_on
from tailtracker_bi.sandbox.servers.faults import ExportFaults, PrometheusFaults, StripeFaults
from tailtracker_bi.settings.model import Settings
from tailtracker_bi.sources.app_db.reading import AppDb

DAY, NEXT_DAY = date(2024, 1, 1), date(2024, 1, 2)
ANNA, BOB = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"


def export(api: export_api.ExportApi, first: date, last: date) -> httpx.Response:
    return httpx.get(
        f"{api.url}/api/2.0/export",
        params={"from_date": str(first), "to_date": str(last), "project_id": "1"},
        auth=(api.user, api.secret),
    )


def test_more_requests_than_mixpanel_takes_are_refused_with_the_time_to_wait() -> None:
    with export_api.serve({DAY: [b"{}"]}, is_limited=True) as api:
        answers = [export(api, DAY, DAY) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert answers[-1].headers["retry-after"] == "1"
        now = api._taken[-1]
        api._taken.extend([now - 10.0] * 60)
        assert 3580 < float(export(api, DAY, DAY).headers["retry-after"]) < 3600


def test_a_day_that_has_not_come_is_refused_as_mixpanel_does() -> None:
    with export_api.serve({}, today=lambda: DAY) as api:
        assert export(api, DAY, DAY).status_code == 200
        refused = export(api, DAY, NEXT_DAY)
        assert (refused.status_code, refused.json()["error"]) == (400, "to_date cannot be later than today")


def test_stripe_shows_the_files_as_they_are_now(tmp_path: Path) -> None:
    def write(*ids: str) -> None:
        items = [{"id": id_, "object": "customer", "created": 1_700_000_000, "livemode": True} for id_ in ids]
        (tmp_path / "customers.jsonl.gz").write_bytes(gzip.compress(b"\n".join(map(orjson.dumps, items))))

    def get(path: str) -> Any:
        return httpx.get(f"{api.url}/v1/{path}", headers={"authorization": f"Bearer {api.key}"}).json()

    with stripe_api.serve() as api:
        write("cus_1", "cus_2")
        api.load(tmp_path)
        assert [item["id"] for item in get("customers")["data"]] == ["cus_2", "cus_1"]
        write("cus_2", "cus_3")
        api.load(tmp_path)
        assert [item["id"] for item in get("customers")["data"]] == ["cus_3", "cus_2"]
        assert get("customers/cus_1") == {"id": "cus_1", "object": "customer", "deleted": True}


def test_faults_are_the_documented_ones() -> None:
    def request(first: str, last: str) -> export_api.Request:
        return export_api.Request("/", f"2024-01-{first}", f"2024-01-{last}", {}, 0.0)

    faults = ExportFaults(DAY)
    assert [faults(request("01", "10")) for _ in range(3)] == ["cut_gzip"] * 3
    met = [faults(request(first, last)) for first, last in (("11", "14"), ("11", "14"), ("15", "16"), ("17", "18"))]
    assert met == ["terminated_early", None, "http_429", "cut_gzip"]
    assert faults(request("20", "20")) is None
    of_stripe = StripeFaults()
    charges = stripe_api.Request("/v1/charges", {}, {}, 0.0)
    assert [of_stripe(charges), of_stripe(charges)] == ["http_429", None]
    of_prometheus, midnight = PrometheusFaults(DAY), 1_704_067_200
    durations = [
        prometheus_api.Request(
            "/", "sum by (le) (...)", midnight + day * 86_400 + 300, midnight + (day + 1) * 86_400, {}
        )
        for day in (8, 9, 10)
    ]
    assert of_prometheus(durations[1]) == "http_503"
    assert [of_prometheus(request) for request in durations] == [None, "warnings", None]


def write_csv(directory: Path, table: str, *lines: str) -> None:
    (directory / f"{table}.csv").write_text("\n".join(lines) + "\n")


def test_the_database_follows_files_by_what_has_changed(app_database: AppDatabase, tmp_path: Path) -> None:
    write_csv(tmp_path, "user_profiles", "id,user_id,full_name", f"{ANNA},{ANNA},Anna", f"{BOB},{BOB},Bob")
    write_csv(tmp_path, "pets", "id,user_id,species", f"{ANNA},{ANNA},dog", f"{BOB},{BOB},cat")
    write_csv(tmp_path, "feature_flags", "name,is_active", "maps,true")
    app_database.follow(tmp_path)
    (untouched,) = app_database.execute("select ctid, created_at from user_profiles where full_name = 'Anna'")

    # Bob is gone, and his cat is Anna's now.
    write_csv(tmp_path, "user_profiles", "id,user_id,full_name", f"{ANNA},{ANNA},Anna")
    write_csv(tmp_path, "pets", "id,user_id,species", f"{ANNA},{ANNA},bird", f"{BOB},{ANNA},cat")
    write_csv(tmp_path, "feature_flags", "name,is_active", "maps,false", "chat,true")
    app_database.follow(tmp_path)
    assert app_database.execute("select ctid, created_at from user_profiles") == [untouched]
    assert app_database.execute("select user_id, species from pets order by id") == [(ANNA, "bird"), (ANNA, "cat")]
    assert app_database.execute("select name, is_active from feature_flags") == [("maps", False), ("chat", True)]

    write_csv(tmp_path, "pets", "id,user_id,species", f"{ANNA},{BOB},dog")
    with pytest.raises(psycopg2.errors.ForeignKeyViolation):
        app_database.follow(tmp_path)
    assert app_database.execute("select count(*) from pets") == [(2,)]


def test_a_server_of_one_s_own_gets_a_schema_that_goes_again(
    app_database: AppDatabase, make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    app_database.add("user_profiles", user_id=ANNA)
    write_csv(tmp_path, "user_profiles", "id,user_id", f"{BOB},{BOB}")
    with serve_on(app_database.owner_url) as own:
        own.follow(tmp_path)
        source = AppDb(make_settings(APP_DATABASE_URL=own.url))
        assert source.check().is_ok
        with source.session({}, tmp_path) as read, read(source.tables[0]) as versions:
            assert versions.rows.read_all()["user_id"].to_pylist() == [BOB]
    schemas = "select nspname from pg_namespace where nspname = %s"
    assert app_database.execute(schemas, OWN_SCHEMA) == []
    assert app_database.execute("select user_id from user_profiles") == [(ANNA,)]


def test_a_schema_that_only_has_the_name_is_left_alone(app_database: AppDatabase) -> None:
    app_database.execute(f"create schema {OWN_SCHEMA}; create table {OWN_SCHEMA}.precious ()")
    with pytest.raises(TailTrackerError, match="the sandbox has not made"), serve_on(app_database.owner_url):
        pass
    assert app_database.execute(f"select count(*) from {OWN_SCHEMA}.precious") == [(0,)]
