"""What the first reading of an account of two years tells of its past, against what happened there."""

from __future__ import annotations

import gzip
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from tailtracker_bi.sandbox.service import morning_after
from tailtracker_bi.sandbox.shown import stripe
from tailtracker_bi.sandbox.story import plot
from tailtracker_bi.sandbox.story.story import Scenario, tell
from tailtracker_bi.sandbox.truth.metrics import truth
from tailtracker_bi.sources.stripe.objects import before
from tests.worlds.stripe_worlds import Models, Version, needed_for, sql_tables

UNTIL = date(2026, 10, 31)


def objects(file: Path) -> list[Any]:
    return [orjson.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]


def first_reading(files: Path) -> Iterator[Version]:
    """Objects as they are, and what the events of the last 30 days tell of subscriptions."""
    for table in ("products", "prices", "customers", "subscriptions", "invoices"):
        yield from map(Version, objects(files / f"{table}.jsonl.gz"))
    for event in objects(files / "events.jsonl.gz"):
        item, at = event["data"]["object"], datetime.fromtimestamp(event["created"], UTC)
        if item["object"] == "subscription":
            if previous := event["data"].get("previous_attributes"):
                yield Version(before(item, previous), "before", at)
            yield Version(item, "event", at)


def test_bills_tell_what_a_first_reading_is_too_late_for(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prices change and subscriptions pause all the time: what each began with is exact, changes but for their day."""
    monkeypatch.setattr(plot, "SWITCHES_BEFORE_UNTIL", 10_000)
    story, now = tell(Scenario(people=1200, days=730, until=UNTIL, seed=9340)), morning_after(UNTIL)
    stripe.write(story, tmp_path / "stripe", int(now.timestamp()), lambda *_: None)
    tables = sql_tables([(now, first_reading(tmp_path / "stripe"))], needed_for(models, "pub_mrr_movements"), tmp_path)
    found = {
        (row["movement"], row["period_start"]): row["amount"]
        for row in tables["pub_mrr_movements"]
        if (row["grain"], row["currency"], row["segment"]) == ("month", "EUR", "all")
    }
    true = {
        (row.metric_id.removeprefix("mrr_"), row.period_start): Decimal(row.value)
        for row in truth(story, now)
        if (row.grain, row.currency) == ("month", "EUR")
        and row.metric_id in {"mrr_new", "mrr_expansion", "mrr_contraction"}
        and row.value
    }
    began = {month: value for (movement, month), value in true.items() if movement == "new"}
    assert len(began) > 15
    assert {month: found["new", month] for month in began} == began
    # What changed within a period is seen when the next one begins, a month later as a rule.
    off, changed = defaultdict(Decimal), sum(value for (movement, _), value in true.items() if movement != "new")
    for (movement, month), value in true.items():
        if movement != "new":
            off[movement, month.year, (month.month - 1) // 3] += found[movement, month] - value
    assert sum(map(abs, off.values())) < changed / 3
