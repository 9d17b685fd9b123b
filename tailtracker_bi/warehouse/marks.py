"""Marks: what the last finished build took in, and by which SQL and settings it filled what it keeps.

They are written at once, when a build has come to its end, but for two: the fingerprints are noted as outdated tables
are dropped, before dbt fills them, and the last landing that a build was shown as it is shown.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from tailtracker_bi.analytics import Analytics
from tailtracker_bi.settings import Settings
from tailtracker_bi.shipped import DBT_PROJECT
from tailtracker_bi.sources import Mixpanel
from tailtracker_bi.warehouse.engines import Session
from tailtracker_bi.warehouse.models import Built, Node

FROM_REBUILD_START = (
    "marts.fct_person_days",
    "marts.fct_retention_cohorts",
    "marts.fct_retention_returns",
    "metrics.agg_retention_comebacks",
    "metrics.metric_active_users",
    "metrics.metric_events",
    "metrics.metric_lifecycle",
)
"""Tables of which a build does again what begins with `int_rebuild_start`: what differs from the marks."""
FAMILIES = {
    "people": ("intermediate.int_identity_ties", "intermediate.int_raw_id_days", *FROM_REBUILD_START),
    "funnels": ("intermediate.int_funnel_events",),
    "objects": (
        "staging.stg_stripe__balance_transactions",
        "staging.stg_stripe__charges",
        "staging.stg_stripe__customers",
        "staging.stg_stripe__disputes",
        "staging.stg_stripe__invoice_lines",
        "staging.stg_stripe__invoice_payment_objects",
        "staging.stg_stripe__invoices",
        "staging.stg_stripe__payment_intents",
        "staging.stg_stripe__payouts",
        "staging.stg_stripe__price_tiers",
        "staging.stg_stripe__prices",
        "staging.stg_stripe__products",
        "staging.stg_stripe__refunds",
        "staging.stg_stripe__subscription_discounts",
        "staging.stg_stripe__subscription_items",
        "staging.stg_stripe__subscriptions",
    ),
}
"""Tables that keep what earlier builds computed, in families that are rebuilt together."""
FAMILY_SQL = ("macros", "models/staging", "models/intermediate", "models/marts", "models/metrics")
"""SQL that their rows depend on, relative to the dbt project."""

_STRING, _DATE, _LONG, _BOOL = pa.string(), pa.date32(), pa.int64(), pa.bool_()

LEDGER = pa.schema([("landing", _LONG), ("chain", _STRING)])
"""The last landing that a build was shown."""
BUILT = pa.schema(
    [
        ("node", _STRING),
        ("table_name", _STRING),
        ("input", _STRING),
        ("rows", _LONG),
        ("digest", _STRING),
        ("engine", _STRING),
    ]
)
"""What each model and data test came of in the last build that finished and, of a table, what it held then. Digests of
another version of the engine can't be compared."""
FINISHED = pa.schema([("finished_at", pa.timestamp("us")), ("landing", _LONG), ("definition", _STRING)])
"""That the last build came to its end: there is no such table while one is under way, or after one that broke off."""
FINGERPRINTS = pa.schema([("family", _STRING), ("fingerprint", _STRING)])
READ_BY_MODELS = {
    "landings": pa.schema([("source", _STRING), ("table_name", _STRING), ("source_day", _DATE), ("landing", _LONG)]),
    "identities": pa.schema([("raw_id", _STRING), ("person_id", _STRING), ("is_excluded", _BOOL)]),
    "plans": pa.schema([("person_id", _STRING), ("from_date", _DATE), ("plan", _STRING)]),
    "covered": pa.schema(
        [
            ("source", _STRING),
            ("table_name", _STRING),
            ("first_day", _DATE),
            ("last_day", _DATE),
            ("covered_from", _DATE),
            ("complete_through", _DATE),
        ]
    ),
    "fingerprints": FINGERPRINTS,
    "merges": pa.schema([("landing", _LONG), ("first_date", _DATE)]),
}
"""Those that are there, empty, before anything has been built."""
NAMES = {*READ_BY_MODELS, "ledger", "built", "finished"}

TAKEN_FROM = {"identities": "int_identities_resolved", "plans": "int_person_plans", "covered": "int_sources_covered"}
"""What the tables from the rebuild start were computed with, and the models that tell it."""

# Ids that are other people's since the last build, as of the first day on which any of them was seen. Nobody moves in a
# first build.
_MERGES = """
    select landing, first_date from {merges}
    union all
    select cast({landing} as bigint) as landing, min(days.event_date) as first_date
    from {days} as days
    inner join (
        select
            coalesce(now.raw_id, before.raw_id) as raw_id,
            coalesce(now.person_id, now.raw_id, before.raw_id) as person_id,
            coalesce(before.person_id, before.raw_id, now.raw_id) as person_before
        from {identities} as now
        full outer join {identities_before} as before on now.raw_id = before.raw_id
    ) as ids on days.raw_id = ids.raw_id
    where ids.person_id <> ids.person_before and exists (select 1 from {identities_before})
    having count(*) > 0
"""


def begin(session: Session) -> bool:
    """Have the marks that models read there, and say of none that a build has finished; whether the last one had."""
    had_finished = session.has("marks", "finished")
    session.drop("marks.finished")
    if not had_finished:
        # What is there now may be of the build that broke off.
        session.drop("marks.built")
    for name, columns in READ_BY_MODELS.items():
        if not session.has("marks", name):
            session.write("marks", name, columns, [])
    return had_finished


def built(session: Session, engine_version: str) -> dict[str, Built]:
    """What each node came of in the last build; nothing where that did not finish, or was another engine's."""
    if not session.has("marks", "built"):
        return {}
    rows = session.rows(f"select node, input, rows, digest, engine from {session.named('marks.built')}")
    return {node: Built(*built) for node, *built, engine in rows if engine == engine_version}


def finish(
    session: Session,
    nodes: Iterable[Node],
    built: Mapping[str, Built],
    landing: int,
    definition: str,
    engine_version: str,
) -> None:
    """Note what the build that has come to its end took in and left. All of it, or nothing."""
    with session.transaction():
        merges = _MERGES.format(
            landing=landing,
            merges=session.named("marks.merges"),
            days=session.named("intermediate.int_raw_id_days"),
            identities=session.named("intermediate.int_identities_resolved"),
            identities_before=session.named("marks.identities"),
        )
        session.fill("marks", "merges", merges)
        landings = session.named("staging.stg_lake__landings")
        session.fill(
            "marks",
            "landings",
            f"select source, table_name, source_day, landing from {landings} where status = 'landed'",
        )
        for name, origin in TAKEN_FROM.items():
            columns = ", ".join(READ_BY_MODELS[name].names)
            session.fill("marks", name, f"select {columns} from {session.named(f'intermediate.{origin}')}")
        noted = [(node, built[node.id]) for node in nodes]
        session.write(
            "marks",
            "built",
            BUILT,
            [(node.id, node.table, one.input, one.rows, one.digest, engine_version) for node, one in noted],
        )
        session.write("marks", "finished", FINISHED, [(datetime.now(UTC).replace(tzinfo=None), landing, definition)])


def drop_outdated(
    session: Session, fingerprints: Mapping[str, str], *, full_refresh: bool, had_finished: bool
) -> list[str]:
    """Drop what has to be filled in full, and note the fingerprints by which it is about to be; in words, what and why.

    A build that broke off may have done this with persons and plans that nobody noted: what a build does again from the
    rebuild start goes, too.
    """
    before = _fingerprints_before(session)
    there = {f"{schema}.{name}" for schema, name in session.tables()}
    notes = []
    for family, fingerprint in fingerprints.items():
        # These may be gone since an earlier retry.
        is_there = there.issuperset(set(FAMILIES[family]) - set(() if had_finished else FROM_REBUILD_START))
        if not full_refresh and is_there and before.get(family) == fingerprint:
            continue
        for table in FAMILIES[family]:
            session.drop(table)
        if full_refresh:
            notes.append(f"{family}: rebuilt in full, as asked")
        elif family in before:
            notes.append(f"{family}: rebuilt in full, because settings, analytics.yml or SQL changed")
    for table in () if had_finished else FROM_REBUILD_START:
        session.drop(table)
    if full_refresh:
        session.drop("marks.built")
    session.write("marks", "fingerprints", FINGERPRINTS, list(fingerprints.items()))
    return notes


def outdated(session: Session, fingerprints: Mapping[str, str]) -> list[str]:
    """The families that other SQL or settings filled than are there now: the next build fills them in full."""
    before = _fingerprints_before(session)
    return [family for family, now in fingerprints.items() if before.get(family) != now]


def _fingerprints_before(session: Session) -> dict[str, str]:
    return dict(session.rows(f"select family, fingerprint from {session.named('marks.fingerprints')}"))


def fingerprints(settings: Settings, analytics: Analytics) -> dict[str, str]:
    """By family, a hash of what the rows that it keeps depend on besides the lake."""
    common = {
        "timezone": settings.timezone,
        "mixpanel_timezone": Mixpanel.timezone(settings),
        "nobodys_ids": sorted(analytics.identities.all_nobodys),
        "excluded": [rule.model_dump() for rule in analytics.test_accounts.event_properties],
        "sql": _sql_of(FAMILY_SQL),
    }
    own: dict[str, Any] = {
        "people": [
            analytics.activity.model_dump(),
            [retention.model_dump() for retention in analytics.retention],
            settings.week_start,
        ],
        "funnels": sorted({step.event for funnel in analytics.funnels for step in funnel.steps}),
    }
    return {family: _hash([common, own.get(family)]) for family in FAMILIES}


def definition(settings: Settings, analytics: Analytics) -> str:
    """A hash of all that numbers depend on besides what sources tell: SQL, analytics.yml and settings."""
    decisive = {"timezone", "week_start", "currency", "history_start"}
    return _hash(
        {
            "sql": _sql_of(("macros", "models")),
            "analytics": analytics.model_dump(exclude={"metrics", "reports", "alerts"}),
            "settings": settings.model_dump(include=decisive),
            "mixpanel_timezone": Mixpanel.timezone(settings),
        }
    )


def _sql_of(folders: Iterable[str]) -> list[tuple[str, str]]:
    return [
        (str(file.relative_to(DBT_PROJECT)), file.read_text(encoding="utf-8"))
        for folder in folders
        for file in sorted((DBT_PROJECT / folder).rglob("*.sql"))
    ]


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()
