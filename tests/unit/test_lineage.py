"""What each metric is computed from, by a manifest of a few nodes."""

from __future__ import annotations

from typing import Any

from tailtracker_bi.lineage import WHO_IS_WHO, lineage


def node(*upstream: str, metrics: tuple[str, ...] = ()) -> dict[str, Any]:
    entries = {"metrics": [{"id": metric} for metric in metrics]} if metrics else {}
    return {"config": {"meta": entries}, "depends_on": {"nodes": list(upstream)}}


EVENTS, CHARGES, DAYS = "source.p.raw_mixpanel.events", "source.p.raw_stripe.charges", "source.p.config.day_periods"
MANIFEST = {
    "nodes": {
        "model.p.metric_paid": node("model.p.int_paid", DAYS, metrics=("paid", "paid_twice")),
        "model.p.metric_funnels": node("model.p.int_steps", metrics=("{funnel_id}_conversion",)),
        "model.p.int_paid": node("model.p.stg_charges", WHO_IS_WHO),
        "model.p.int_steps": node("model.p.stg_events"),
        "model.p.stg_charges": node(CHARGES),
        "model.p.stg_events": node(EVENTS, "source.p.raw_lake.landings"),
        WHO_IS_WHO: node("model.p.stg_events"),
        "model.p.pub_values": node("model.p.metric_paid"),
    }
}


def test_models_are_the_metric_s_own_and_all_upstream_of_it() -> None:
    models, _ = lineage(MANIFEST, ["onboarding"])
    own = {"metric_paid", "int_paid", "stg_charges", WHO_IS_WHO.rpartition(".")[2]}
    assert {model for metric, model in models if metric == "paid"} == own
    assert {model for metric, model in models if metric == "paid_twice"} == own


def test_tables_are_those_of_sources_and_who_is_who_adds_none() -> None:
    _, tables = lineage(MANIFEST, ["onboarding"])
    assert [table for table in tables if table[0] == "paid"] == [("paid", "stripe", "charges")]


def test_an_entry_for_funnels_stands_for_each_that_is_declared() -> None:
    _, tables = lineage(MANIFEST, ["onboarding", "lost_pet"])
    assert {metric for metric, source, _ in tables if source == "mixpanel"} == {
        "onboarding_conversion",
        "lost_pet_conversion",
    }
