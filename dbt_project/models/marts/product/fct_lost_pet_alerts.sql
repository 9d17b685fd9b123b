{{ config(materialized='view') }}

with versions as (

    select * from {{ ref('stg_app_db__lost_pet_reports') }}

),

identities as (

    select * from {{ ref('int_identities_resolved') }}

),

-- Found once is found: a report that is opened again changes no past day.
findings as (

    select
        lost_pet_report_id,
        min(coalesce(found_at, observed_at)) as found_at
    from versions
    where status = 'found'
    group by lost_pet_report_id

)

select
    versions.lost_pet_report_id,
    versions.user_id,
    versions.urgency,
    versions.status = 'canceled' as is_cancelled,
    coalesce(versions.created_at, versions.observed_at) as created_at,
    findings.found_at,
    coalesce(identities.is_excluded, false) as is_excluded
from versions
left join identities on versions.user_id = identities.raw_id
left join findings on versions.lost_pet_report_id = findings.lost_pet_report_id
where versions.is_current
