"""What each metric is computed from, by a manifest of a few nodes."""

from __future__ import annotations

from typing import Any

from tailtracker_bi.warehouse.lineage import lineage

EVENTS, CHARGES, REFUNDS, CARDS, RATES = (
    f"source.p.raw_{table}"
    for table in ("mixpanel.events", "stripe.charges", "stripe.refunds", "stripe.cards", "rates.daily")
)
APP_TICKETS, FILED_TICKETS = "source.p.raw_app_db.tickets", "source.p.raw_csv_files.tickets"
DAYS = "source.p.config.day_periods"


def node(*upstream: str, metrics: tuple[Any, ...] = (), **meta: Any) -> dict[str, Any]:
    entries = [entry if isinstance(entry, dict) else {"id": entry} for entry in metrics]
    return {
        "config": {"meta": meta | ({"metrics": entries} if entries else {})},
        "depends_on": {"nodes": list(upstream)},
    }


MANIFEST = {
    "nodes": {
        "model.p.metric_paid": node(
            *("model.p.int_paid", "model.p.stg_refunds", DAYS),
            metrics=("net", {"id": "gross", "apart_from": ["stg_refunds"]}),
        ),
        "model.p.metric_funnels": node("model.p.int_steps", metrics=("{funnel_id}_conversion",)),
        "model.p.metric_tickets": node("model.p.stg_tickets", metrics=("tickets",)),
        "model.p.metric_accounts": node(
            *("model.p.stg_accounts", "model.p.stg_events"),
            metrics=({"id": "accounts", "fallback": "mixpanel.events"},),
        ),
        "model.p.metric_paying": node(
            *("model.p.stg_accounts", "model.p.stg_events", "model.p.stg_refunds"),
            metrics=({"id": "paying", "fallback": "mixpanel.events", "fallback_for": "app_db"},),
        ),
        "model.p.metric_who": node("model.p.int_who", metrics=("who",), reads_all=["stg_events"]),
        "model.p.int_paid": node(
            *("model.p.stg_charges", "model.p.int_who", "model.p.stg_cards", "model.p.int_rates"),
            reads={"stg_cards": "country"},
        ),
        "model.p.int_steps": node("model.p.stg_events"),
        "model.p.int_who": node("model.p.stg_events", read_for="test_accounts"),
        "model.p.int_rates": node(RATES, "model.p.int_who", read_for="conversion"),
        "model.p.stg_charges": node(CHARGES),
        "model.p.stg_refunds": node(REFUNDS),
        "model.p.stg_cards": node(CARDS),
        "model.p.stg_tickets": node(APP_TICKETS, FILED_TICKETS),
        "model.p.stg_accounts": node("source.p.raw_app_db.accounts"),
        "model.p.stg_events": node(EVENTS, "source.p.raw_lake.landings"),
        "model.p.pub_values": node("model.p.metric_paid"),
    }
}
APP_OFF = {("app_db", "accounts"), ("app_db", "tickets")}


def tables(metric_id: str, off: set[tuple[str, str]] | None = None) -> dict[str, str]:
    """Of a metric each table that it needs, with what for."""
    _, read = lineage(MANIFEST, ["onboarding", "lost_pet"], off or set())
    return {f"{source}.{table}": needed_for for metric, source, table, needed_for in read if metric == metric_id}


def models(metric_id: str) -> set[str]:
    return {model for metric, model in lineage(MANIFEST, ["onboarding"], set())[0] if metric == metric_id}


def test_models_are_the_metric_s_own_and_all_upstream_of_it() -> None:
    read = {"metric_paid", "int_paid", "stg_charges", "stg_cards", "int_rates", "int_who"}
    assert models("net") == read | {"stg_refunds"}
    assert models("gross") == read


def test_a_metric_needs_all_tables_upstream_but_for_what_others_of_its_model_are_made_of() -> None:
    assert tables("net")["stripe.refunds"] == "all"
    assert "stripe.refunds" not in tables("gross")
    assert tables("gross")["stripe.charges"] == "all"


def test_what_tells_a_segment_or_converts_is_needed_for_that_and_who_is_left_out_for_nothing() -> None:
    assert tables("gross") == {"stripe.charges": "all", "stripe.cards": "country", "rates.daily": "conversion"}


def test_what_others_read_for_less_is_needed_for_all_where_a_model_says_so() -> None:
    assert tables("who") == {"mixpanel.events": "all"}
    assert "mixpanel.events" not in tables("net")


def test_of_the_app_s_tables_and_files_that_stand_in_for_them_either_will_do() -> None:
    assert tables("tickets") == {"app_db.tickets": "either", "csv_files.tickets": "either"}


def test_what_stands_in_for_a_table_is_read_where_that_is_off_and_only_there() -> None:
    assert tables("accounts") == {"app_db.accounts": "all"}
    assert tables("accounts", APP_OFF) == {"mixpanel.events": "all"}


def test_an_entry_for_funnels_stands_for_each_that_is_declared() -> None:
    assert tables("onboarding_conversion") == tables("lost_pet_conversion") == {"mixpanel.events": "all"}


def test_what_stands_in_for_one_source_stands_in_for_no_other() -> None:
    refunds_off = {("stripe", "refunds")}
    assert tables("paying") == {"app_db.accounts": "all", "stripe.refunds": "all"}
    assert tables("paying", APP_OFF) == {"mixpanel.events": "all", "stripe.refunds": "all"}
    assert tables("paying", refunds_off) == tables("paying")
    assert tables("paying", APP_OFF | refunds_off) == tables("paying", APP_OFF)
