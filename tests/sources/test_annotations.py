"""Annotations: what a file of them holds lands as it is, and what is no annotation is set aside and named."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tailtracker_bi.lake import Lake
from tailtracker_bi.runs import Progress, RunReport, new_report, plan, pull
from tailtracker_bi.settings import Settings
from tailtracker_bi.sources.annotations import Annotations

RELEASE = {"id": "r1", "kind": "release", "title": "Version 4.0.0", "started_at": "2024-03-01T09:00:00+01:00"}
INCIDENT = {
    "id": "i1", "kind": "incident", "title": "Cards are declined", "started_at": "2024-03-02T00:00:00Z",
    "ended_at": "2024-03-02T06:00:00Z", "url": "https://status.example/i1",
}  # fmt: skip


@pytest.fixture
def settings(make_settings: Callable[..., Settings], tmp_path: Path) -> Settings:
    return make_settings(
        TAILTRACKER_ANNOTATIONS_FILE=tmp_path / "annotations.json", TAILTRACKER_NOW="2024-03-05T06:00:00Z"
    )


def pulled(settings: Settings, content: Any) -> RunReport:
    """One reading of a file with this content, bytes as they are."""
    file = settings.home / "annotations.json"
    file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    long_ago = datetime(2024, 1, 4, tzinfo=UTC).timestamp()
    os.utime(file, (long_ago, long_ago))
    report, lake = new_report(), Lake(settings.home)
    pull(settings, lake, plan(settings, lake, sources=["annotations"]), report, Progress())
    return report


def counts(report: RunReport) -> tuple[int, int, int]:
    [line] = report.days
    assert line["received"] == sum(line[part] for part in ("loaded", "deduplicated", "filtered", "quarantined"))
    return line["received"], line["loaded"], line["quarantined"]


def test_it_is_off_without_a_file(make_settings: Callable[..., Settings]) -> None:
    assert not Annotations.is_on(make_settings())


def test_what_is_new_or_gone_lands_and_what_is_known_does_not(settings: Settings) -> None:
    assert counts(pulled(settings, [RELEASE, INCIDENT])) == (2, 2, 0)
    assert counts(pulled(settings, [INCIDENT, RELEASE])) == (2, 0, 0)
    report = pulled(settings, [INCIDENT, RELEASE | {"title": "Version 4.0.1"}])
    assert counts(report) == (2, 1, 0)
    # What nobody had to write to is no less so now.
    assert Lake(settings.home).ledger.synced_at("annotations", "annotations") == settings.now


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"kind": "party"}, "kind: Input should be 'incident', 'release' or 'campaign'"),
        ({"started_at": "2024-03-01T09:00:00"}, "started_at: Input should have timezone info"),
        ({"started_at": None}, "started_at: Input should be a valid datetime"),
        ({"ended_at": "2024-02-01T09:00:00Z"}, "object: it ended before it began"),
        ({"url": "javascript:alert(1)"}, "url: URL scheme should be 'http' or 'https'"),
        ({"url": "https://jane:hush@x.example/"}, "url: it must be without user and query, which may hold secrets: "),
        (
            {"url": "https://x.example/?token=hush"},
            "url: it must be without user and query, which may hold secrets: ",
        ),
        ({"started_at": "0001-01-01T00:00:00+14:00"}, "started_at: it is in no year that there is"),
        ({"title": ""}, "title: String should have at least 1 character"),
        ({"id": 7}, "id: Input should be a valid string"),
    ],
)
def test_an_object_that_is_no_annotation_is_set_aside_alone_and_named(
    settings: Settings, wrong: dict[str, Any], reason: str
) -> None:
    assert counts(pulled(settings, [INCIDENT, RELEASE | wrong])) == (2, 1, 1)
    [record] = (settings.home / "quarantine" / "annotations" / "annotations").glob("*.jsonl")
    [told] = map(json.loads, record.read_text().splitlines())
    assert told["reason"].startswith(reason)
    assert told["record"] == "object 2"
    assert "hush" not in record.read_text()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'[{"id": "r1", "kin', "line 1, column 19: not JSON: is it still being written?"),
        (b"", "line 1, column 1: not JSON"),
        (b"{}", "holds no list of objects"),
        (json.dumps([RELEASE, RELEASE]).encode(), "id should tell annotations apart, and 1 stand twice"),
    ],
)
def test_a_file_that_is_not_whole_lands_nothing_and_says_where(settings: Settings, content: bytes, told: str) -> None:
    assert counts(pulled(settings, [RELEASE])) == (1, 1, 0)
    [error] = pulled(settings, content).errors
    assert told in error
    assert Lake(settings.home).ledger.attempts("annotations", "annotations")[-1]["status"] == "failed"
    check = Annotations(settings).check()
    assert check.is_ok == (content == json.dumps([RELEASE, RELEASE]).encode())


def test_a_file_that_is_not_there_says_which_setting_names_it(settings: Settings) -> None:
    report, lake = new_report(), Lake(settings.home)
    pull(settings, lake, plan(settings, lake, sources=["annotations"]), report, Progress())
    [error] = report.errors
    assert "No such file or directory: is TAILTRACKER_ANNOTATIONS_FILE the right one?" in error


def test_personal_data_does_not_land(settings: Settings) -> None:
    email = "jane@example.com"
    told = {"id": email, "title": f"{email} lost it\x1b[31m", "url": f"https://x.example/{email}"}
    assert counts(pulled(settings, [INCIDENT | told])) == (1, 1, 0)
    content = b"".join(file.read_bytes() for file in (settings.home / "lake").rglob("*.parquet"))
    assert b"jane" not in content
    assert b"\x1b[31m" not in content
