{{ config(materialized='view') }}

with security_events as (

    select * from {{ ref('stg_app_db__security_events') }}

),

context as (

    select * from {{ source('config', 'run_context') }}

)

select
    security_events.security_event_id,
    security_events.event_type,
    security_events.occurred_at is null as is_undated,
    security_events.observed_at,
    {{ local_date('coalesce(security_events.occurred_at, security_events.observed_at)', 'context.timezone') }} as attack_date
from security_events
cross join context
where
    security_events.is_first_version
    and security_events.event_type in ('brute_force_login', 'credential_stuffing')
