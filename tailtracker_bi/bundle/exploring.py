"""Answers questions that nobody declared, over the events beside a build: a funnel, a retention, a trend.

The SQL is what a build runs, over other configuration rows: a question that is pasted into `analytics.yml` gets the
same answer published. It runs in a process of its own with bounds for its time and memory, which leaves nothing behind.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from tailtracker_bi.analytics import Funnel, PropertyFilter, Retention
from tailtracker_bi.bundle.asking import QueryError, answered
from tailtracker_bi.bundle.events import GIVEN, events_of

PROGRAM = "from tailtracker_bi.bundle.exploring import main; main()"
MEMORY, THREADS = 1 << 30, 2
NICE = 10
"""Pages and reports go first."""
ACTIVITY = "any"
"""In the place of an event's name: any event that is a sign of a person."""


class Trend(BaseModel):
    """How many of an event there were, and how many people did it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    event: str
    where: list[PropertyFilter] = []


class AskedRetention(Retention):
    """A retention with conditions on its events, which none that is declared can have."""

    start_where: list[PropertyFilter] = Field(default_factory=list)
    return_where: list[PropertyFilter] = Field(default_factory=list)


Question = Funnel | Retention | Trend
KINDS: dict[str, type[Question]] = {"funnel": Funnel, "retention": Retention, "trend": Trend}
SEGMENTS = ("platform", "country", "plan", "app_version")
"""What people are split by: conditions may be on these as on properties, unless a property is called so."""
RESULTS = {
    "funnel": ("published.pub_funnel_steps",),
    "retention": ("published.pub_retention_cohorts",),
    "trend": ("metrics.metric_events", "metrics.metric_active_users"),
}
"""By the kind of a question, the models whose rows answer it."""

# What models read of events where they read all of each, and where they read what a person did on a day.
_FUNNEL_EVENTS = """
    select
        event_date as export_day, event_date, events.person_id as raw_id, insert_id, event_name, platform, country,
        app_version, {properties} as properties, occurred_at
    from read_parquet('{folder}/events/*.parquet') as events
    left join intermediate.int_person_plans as plans
        on
            events.person_id = plans.person_id
            and events.event_date >= plans.from_date
            and events.event_date < plans.to_date
    where events.person_id is not null and event_name in (select event_name from config.funnel_steps)
"""
_EVENT_DAYS = """
    with days as (
        select
            events.person_id, event_date, {named} as event_name, platform, country, app_version,
            count(*) as events, min(occurred_at) as first_occurred_at
        from read_parquet('{folder}/events/*.parquet') as events
        left join intermediate.int_person_plans as plans
            on
                {by_plan}
                and events.person_id = plans.person_id
                and events.event_date >= plans.from_date
                and events.event_date < plans.to_date
        where {wanted}
        group by all
    )

    select
        days.person_id,
        days.person_id as raw_id,
        days.event_date,
        days.event_name,
        days.platform,
        days.country,
        days.app_version,
        coalesce(plans.plan, '(unknown)') as plan,
        days.events,
        days.first_occurred_at,
        days.person_id is not null and ({is_activity}) as is_activity,
        false as is_excluded
    from days
    inner join intermediate.int_sources_covered as covered
        on covered.source = 'mixpanel' and covered.table_name = 'events' and days.event_date <= covered.last_day
    left join intermediate.int_person_plans as plans
        on
            days.person_id = plans.person_id
            and days.event_date >= plans.from_date
            and days.event_date < plans.to_date
"""
_STARTS, _RETURNS = "(starts)", "(returns)"
"""The names of events that meet the conditions of a retention."""
_SEGMENT_SQL = {
    "platform": "platform",
    "country": "country",
    "app_version": "app_version",
    "plan": "coalesce(plans.plan, '(unknown)')",
}
_IS_ACTIVITY = "event_name not in (select event_name from config.inactive_events)"
_NOBODY = "select null::varchar as raw_id, null::varchar as person_id, false as is_excluded where false"
_TRENDS = """
    select
        counted.metric_id, counted.grain, counted.period_start, counted.segment, counted.segment_value, counted.value,
        coalesce(
            periods.period_start >= covered.covered_from and periods.period_end <= covered.complete_through, false
        ) as is_complete
    from (
        select * from metrics.metric_events where metric_id = 'events'
        union all
        select 'people' as metric_id, * exclude (metric_id) from metrics.metric_active_users
        where metric_id = 'active_users'
    ) as counted
    inner join (select distinct grain, period_start, period_end from config.day_periods) as periods
        using (grain, period_start)
    inner join intermediate.int_sources_covered as covered
        on covered.source = 'mixpanel' and covered.table_name = 'events'
"""


def explore(build: Path, question: Question, seconds: float, while_waiting: Callable[[], object]) -> pa.Table:
    """What a build, whose file this is, would publish for a question, with its conditions.

    A funnel gives rows of `funnel_steps`, a retention of `retention_cohorts`, a trend metrics `events` and `people` as
    `metric_values` has them. `while_waiting` is called several times a second: what it raises ends it.

    Raises QueryError.
    """
    [kind] = [name for name, known in KINDS.items() if isinstance(question, known)]
    if not events_of(build).is_dir():
        raise QueryError("explore: the build keeps no events: `tailtracker-bi refresh` makes one that does")
    asked = [str(build), kind, question.model_dump(mode="json")]
    with TemporaryDirectory(prefix="explore-") as scratch:
        answer = answered("explore", PROGRAM, asked, seconds, while_waiting, scratch)
    with pa.ipc.open_stream(answer) as stream:
        return stream.read_all()


def properties(build: Path) -> list[str]:
    """The properties of events that questions may be about; none where a build keeps no events."""
    import duckdb

    for file in (events_of(build) / "events").glob("*.parquet"):
        with duckdb.connect() as connection:
            connection.execute("set enable_progress_bar = false")
            names = connection.execute(
                "select json_keys(properties) from read_parquet(?) limit 1", [str(file)]
            ).fetchone()
        if names:
            return list(names[0])
    return []


def main() -> None:
    """Answer the question that comes by stdin, as an Arrow stream by stdout; what is wrong with it goes to stderr."""
    os.nice(NICE)
    build, kind, asked = orjson.loads(sys.stdin.buffer.read())
    known = AskedRetention if kind == "retention" else KINDS[kind]
    try:
        answer = _answer(Path(build), kind, known.model_validate(asked))
    except QueryError as error:
        sys.stderr.buffer.write(orjson.dumps([str(error)]))
        sys.exit(1)
    with pa.ipc.new_stream(sys.stdout.buffer, answer.schema) as stream:
        stream.write_table(answer)


def _answer(build: Path, kind: str, question: Question) -> pa.Table:
    """The rows that answer a question. The warehouse is a file in the current directory."""
    import duckdb

    from tailtracker_bi.warehouse import DuckDb, asked_tables, compiled_manifest, fill_from, nodes_of

    if not list((events_of(build) / "events").glob("*.parquet")):
        raise QueryError("explore: no events have landed yet")
    nodes = nodes_of(compiled_manifest(DuckDb(build.parent.parent)))
    funnels = [question] if isinstance(question, Funnel) else []
    retentions = [_of_chosen_events(question)] if isinstance(question, AskedRetention) else []
    shown = _shown(str(events_of(build)).replace("'", "''"), question, properties(build))
    try:
        with DuckDb(Path.cwd(), MEMORY, THREADS).session() as session:
            session.create_schemas(["config", "intermediate", "marts"])
            for name, (columns, rows) in asked_tables(funnels, retentions).items():
                session.write("config", name, columns, rows)
            for table, select in shown.items():
                schema, name = table.split(".")
                session.define(schema, name, select)
            fill_from(session, nodes, RESULTS[kind], shown)
            return session.table(_TRENDS if kind == "trend" else f"from {RESULTS[kind][0]}")
    except duckdb.OutOfMemoryException:
        too_much = f"it needs more than {MEMORY >> 20} MiB of memory: ask of fewer or rarer events"
        raise QueryError(f"explore: {too_much}") from None
    except duckdb.Error as error:
        message = str(error).splitlines()[0].replace(str(build.parent), "")
        raise QueryError(f"explore: {message}: `tailtracker-bi refresh` writes the events anew") from None


def _of_chosen_events(question: AskedRetention) -> Retention:
    """The retention of the events that meet its conditions, which are shown under names of their own."""
    return (
        question.model_copy(update={"start_event": _STARTS, "return_event": _RETURNS})
        if _is_chosen(question)
        else question
    )


def _is_chosen(question: Question) -> bool:
    return isinstance(question, AskedRetention) and bool(question.start_where or question.return_where)


def _shown(folder: str, question: Question, names: Sequence[str]) -> dict[str, str]:
    """What stands in the place of the models that read the lake: by table, its SQL over the files beside the build."""
    own = {name: _SEGMENT_SQL[name] for name in SEGMENTS if name not in names}
    if isinstance(question, Trend):
        days = [_days(folder, "event_name", question.event, question.where, own)]
    elif isinstance(question, AskedRetention) and _is_chosen(question):
        days = [
            _days(folder, _literal(_STARTS), question.start_event, question.start_where, own),
            _days(folder, _literal(_RETURNS), question.return_event, question.return_where, own),
        ]
    else:
        days = [
            _EVENT_DAYS.format(
                folder=folder, named="event_name", by_plan="false", wanted="true", is_activity=_IS_ACTIVITY
            )
        ]
    return {
        **{table: f"from read_parquet('{folder}/{table}.parquet')" for table in GIVEN},
        "intermediate.int_identities_resolved": _NOBODY,
        "intermediate.int_person_plans": f"from read_parquet('{folder}/plans.*.parquet')",
        "intermediate.int_funnel_events": _FUNNEL_EVENTS.format(folder=folder, properties=_told_with(question, own)),
        "marts.fct_event_days": " union all ".join(f"({select})" for select in days),
    }


def _days(folder: str, named: str, event: str, where: Sequence[PropertyFilter], own: Mapping[str, str]) -> str:
    """What people did of one event on a day, or of all that is a sign of them, as far as it meets conditions."""
    wanted = [_IS_ACTIVITY if event == ACTIVITY else f"event_name = {_literal(event)}"]
    wanted += [_condition(rule, own) for rule in where]
    by_plan = str(any(own.get(rule.property) == _SEGMENT_SQL["plan"] for rule in where)).lower()
    is_activity = _IS_ACTIVITY if named == "event_name" and event == ACTIVITY else "true"
    return _EVENT_DAYS.format(
        folder=folder, named=named, by_plan=by_plan, wanted=" and ".join(wanted), is_activity=is_activity
    )


def _condition(rule: PropertyFilter, own: Mapping[str, str]) -> str:
    """SQL of what funnels' conditions mean, too: a number equals another way to write it, what is missing nothing."""
    from tailtracker_bi.warehouse import plain_value

    found = f"json_extract(properties, {_literal(_pointer(rule.property))})"
    text = f"json_extract_string({found}, '$')"
    exact = f"try_cast({text} as decimal(38, 10))"
    value = f"""case
        when
            regexp_matches(cast({found} as varchar), '^-?[0-9]')
            and try_cast({text} as double) = cast({exact} as double)
            then rtrim(rtrim(cast({exact} as varchar), '0'), '.')
        else {text}
    end"""
    value = own.get(rule.property, value)
    among = ", ".join(map(_literal, (rule.value(), plain_value(rule.value()))))
    is_equal = str(rule.not_equals is None).lower()
    return f"coalesce({value} in ({among}), false) = {is_equal}"


def _told_with(question: Question, own: Mapping[str, str]) -> str:
    """Properties of events, and among them what people are split by, where a condition of a funnel is on that."""
    steps = question.steps if isinstance(question, Funnel) else []
    asked = sorted({rule.property for step in steps for rule in step.where} & {*own})
    if not asked:
        return "properties"
    pairs = ", ".join(f"{_literal(name)}, {own[name]}" for name in asked)
    return f"cast(json_merge_patch(properties, json_object({pairs})) as varchar)"


def _pointer(name: str) -> str:
    return "/" + name.replace("~", "~0").replace("/", "~1")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
