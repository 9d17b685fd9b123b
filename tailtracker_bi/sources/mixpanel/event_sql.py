"""The SQL by which lines of an export are taken apart, judged and deduplicated, in sets, inside DuckDB."""

from __future__ import annotations

import json
import re

from tailtracker_bi.sources.digests import SUMS, row_hash

# A whole pair, half of one (the group), or another escape, in whose backslash none may begin.
ESCAPED = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\[\s\S]"
)

PROPERTIES = {
    "time": "time",
    "distinct_id": "distinct_id",
    "device_id": "$device_id",
    "user_id": "$user_id",
    "insert_id": "$insert_id",
    "processed": "mp_processing_time_ms",
    "os": "$os",
    "platform": "platform",
    "country_code": "mp_country_code",
    "country": "country",
    "app_version": "$app_version_string",
}
STRUCTURE = json.dumps(dict.fromkeys(PROPERTIES.values(), "VARCHAR"))

CREATE = """
    create table received (line bigint, day date, identity ubigint);
    create table quarantined (line bigint, day date, reason varchar, record varchar);
    create table duplicates (line bigint, day date, row_hash uhugeint);
    create table summed (day date, rows hugeint, lower hugeint, upper hugeint);
"""

# What stands in front of an event's name, and between it and its properties, in a line as Mixpanel writes it.
OPENING, MIDDLE, CLOSING = '{"event":"', '","properties":', "}}"

# A line that is written in another way.
TAKE_APART = """
    select line, is_suspect, record, found[1] ->> '$' as event, found[2] as error, found[3] as properties
    from (
        select *, json_extract(record, ['$.event', '$.error', '$.properties']) as found
        from batch
        where json_valid(record)
    )
"""

# Seconds since 1970; what is too large for that is taken for milliseconds. An event that misses the days asked for by
# no more than time zones differ (14 hours) is told apart: the project's days are then not what the settings say.
JUDGE = f"""
    with parsed as (
        select line, event, error, properties, from_json(properties, '{STRUCTURE}') as found
        from lines
    ),

    fields as (
        select
            line, event, error, properties[1] as opening,
            {", ".join(f'found."{sent}" as {name}' for name, sent in PROPERTIES.items())}
        from parsed
    ),

    numbers as (
        select *, try_cast(time as double) as sent_time, try_cast(processed as double) as processed_ms
        from fields
    ),

    timed as (
        select
            * exclude (time),
            try_cast(case
                when abs(sent_time) < 1e11 then sent_time * 1e6
                when abs(sent_time) < 1e14 then sent_time * 1e3
            end
                as bigint) as microseconds
        from numbers
    ),

    dated as (
        select
            *,
            make_timestamp(microseconds) as time,
            greatest(
                epoch_us($first::timestamp) - microseconds,
                microseconds - epoch_us($last::timestamp + interval 1 day),
                -1
            )
                / 1e6 as seconds_outside
        from timed
    ),

    judged as (
        select
            *,
            case
                when event is null and error is not null then 'error'
                when event is null then 'no event name'
                when opening is distinct from '{{' then 'no properties'
                when time is null then 'no readable time'
                -- One sent empty says that the event is nobody's; without any it is not Mixpanel's.
                when coalesce(distinct_id, user_id, device_id) is null then 'no distinct_id'
                when time::date between $first and $last then null
                when seconds_outside between 1.000001 and 14 * 3600 then 'shifted'
                else 'time outside the days asked for'
            end as reason
        from dated
    )

    select
        line,
        reason,
        case when time::date between $first and $last then time::date else $first end as day,
        event,
        time,
        distinct_id,
        nullif(device_id, '') as device_id,
        nullif(user_id, '') as user_id,
        nullif(insert_id, '') as insert_id,
        make_timestamp(case when abs(processed_ms) < 1e14 then (processed_ms * 1000)::bigint end) as processed_at,
        lower(coalesce(
            platform,
            case
                when lower(os) in ('ios', 'ipados') then 'ios'
                when lower(os) = 'android' then 'android'
                when os is not null then 'web'
            end
        )) as platform,
        coalesce(country_code, country) as country,
        app_version
    from judged
"""

# The day of a line that is not JSON is the one its text claims, so that the same line always counts for the same day.
BROKEN = """
    select
        line,
        is_suspect,
        'not JSON' as reason,
        record,
        case when claimed between $first and $last then claimed else $first end as day
    from (
        select
            *,
            make_timestamp(
                nullif(regexp_extract(record, '"time"\\s*:\\s*"?([0-9]{9,10})', 1), '')::bigint * 1000000
            )::date as claimed
        from batch
        where not json_valid(record)
    )
"""

RECEIVE = """
    insert into received
    select line, day, case when insert_id is not null then hash(day, event, distinct_id, insert_id) end
    from rows
"""

# Summed batch by batch: a hash of each row would take more room than all else that is kept of it.
SUM = f"""
    insert into summed
    select day, {SUMS} from (select day, {{row_hash}} as row_hash from rows) group by day
"""

# Few events share the hash of what identifies them with another one: only these are compared.
CANDIDATES = """
    select line
    from received
    where identity in (select identity from received group by identity having count(*) > 1)
    order by line
"""

# The copy processed last stays; equal copies are told apart by their text, so that the order of lines never matters.
DEDUPLICATE = """
    insert into duplicates
    select line, day, {row_hash}
    from (
        select
            *,
            row_number() over (
                partition by day, event, distinct_id, insert_id
                order by processed_at desc nulls last, properties desc, line
            ) as copy
        from copies
    )
    where copy > 1
"""

# Of what stays: all rows less the copies, and what was set aside.
CONTENT = f"""
    select day, sum(rows)::hugeint, sum(lower)::hugeint, sum(upper)::hugeint
    from (
        from summed
        union all
        select day, -rows, -lower, -upper
        from (select day, {SUMS} from duplicates group by day) as copies (day, rows, lower, upper)
        union all
        select day, {SUMS}
        from (select day, {row_hash(["day", "reason", "record"])} as row_hash from quarantined)
        group by day
    )
    group by day
"""

COUNT = """
    select day, sum(received)::bigint, sum(deduplicated)::bigint, sum(quarantined)::bigint
    from (
        select day, count(*) as received, 0 as deduplicated, 0 as quarantined from received group by day
        union all
        select day, 0, count(*), 0 from duplicates group by day
        union all
        select day, count(*), 0, count(*) from quarantined group by day
    )
    group by day
"""

# Processing follows the event, mostly within minutes, so that what lies between the two tells by how many quarter hours
# the times are off UTC. A clock may be some minutes ahead. A time counts once: jobs send thousands of events at one.
UTC_OFFSETS = """
    with delays as (
        select distinct day, time, floor((epoch(processed_at) - epoch(time) + 300) / 900)::bigint as quarter_hours
        from events
        where processed_at is not null
    ),

    shares as (
        select day, quarter_hours, count(*) as times, sum(count(*)) over (partition by day) as all_times
        from delays
        group by day, quarter_hours
    )

    select day, -15 * quarter_hours
    from shares
    where all_times >= 100 and times > all_times / 2 and abs(quarter_hours) <= 14 * 4
    order by day
"""
