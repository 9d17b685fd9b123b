{{ config(materialized='view') }}

{%- set created = {
    'user_profiles': ['user_profile', 'sign_ups,total_users'],
    'pets': ['pet', 'pets_created,total_pets'],
    'lost_pet_reports': ['lost_pet_report', 'lost_pet_alerts,recovery_hours_avg,recovery_hours_median,recovery_rate_30d'],
    'support_tickets': ['support_ticket', 'support_tickets'],
    'app_store_ratings': ['app_store_rating', 'app_store_rating'],
    'nps_responses': ['nps_response', 'nps'],
} -%}
{%- set feedback = ['support_tickets', 'app_store_ratings', 'nps_responses'] -%}

with context as (

    select * from {{ source('config', 'run_context') }}

),

reports as (

    select * from {{ ref('fct_lost_pet_alerts') }}

),

attacks as (

    select * from {{ ref('fct_login_attacks') }}

),

found as (

    {% for table_name, (entity, metric_ids) in created.items() %}
        {% for origin in ['app_db', 'csv_files'] if origin == 'app_db' or table_name in feedback %}
            select
                '{{ origin }}' as source,
                '{{ entity }}' as object_type,
                'no time of creation' as what,
                'Each counts on the day on which it was first read, as nothing tells when it came to be.' as why,
                {{ entity }}_id as object_id,
                cast(null as decimal(38, 6)) as amount,
                cast(null as varchar) as currency,
                '{{ metric_ids }}' as left_out_of,
                observed_at as told_at
            from {{ ref('stg_' ~ origin ~ '__' ~ table_name) }}
            where is_first_version and created_at is null

            union all

            select
                '{{ origin }}',
                '{{ entity }}',
                'created before 2000',
                'A time so early is a clock gone wrong, so that they are on no day and in no total.',
                {{ entity }}_id,
                null,
                null,
                '{{ metric_ids }}',
                created_at
            from {{ ref('stg_' ~ origin ~ '__' ~ table_name) }}
            where is_current and created_at < timestamp '2000-01-01 00:00:00'

            union all
        {% endfor %}
    {% endfor %}

    {% for origin in ['app_db', 'csv_files'] %}
        select
            '{{ origin }}',
            'nps_response',
            'score that is not from 0 to 10',
            'Nobody can tell what is meant, so that they are in no number.',
            nps_response_id,
            null,
            null,
            'nps',
            coalesce(created_at, observed_at)
        from {{ ref('stg_' ~ origin ~ '__nps_responses') }}
        where is_current and (score is null or score not between 0 and 10)

        union all

        select
            '{{ origin }}',
            'app_store_rating',
            'score that is not from 1 to 5',
            'Nobody can tell what is meant, so that they are in no number.',
            app_store_rating_id,
            null,
            null,
            'app_store_rating',
            coalesce(created_at, observed_at)
        from {{ ref('stg_' ~ origin ~ '__app_store_ratings') }}
        where is_current and (score is null or score not between 1 and 5)

        union all

        select
            '{{ origin }}',
            'marketing_metric',
            case when spend_amount is null then 'spend that is not told' else 'spend without a day' end,
            'The spend of a period is without it.',
            marketing_spend_id,
            spend_amount,
            currency,
            'metric_acquisition',
            coalesce(cast(spend_date as timestamp), observed_at)
        from {{ ref('stg_' ~ origin ~ '__marketing_metrics') }}
        where is_current and not is_deleted and (spend_amount is null or spend_date is null)

        union all
    {% endfor %}

    select
        'app_db',
        'lost_pet_report',
        'status that is not known',
        'Each counts as an alert whose pet has neither been found nor called off.',
        lost_pet_report_id,
        null,
        null,
        'pets_recovered,recovery_hours_avg,recovery_hours_median,recovery_rate_30d',
        coalesce(created_at, observed_at)
    from {{ ref('stg_app_db__lost_pet_reports') }}
    where is_current and not coalesce(status in ('active', 'found', 'canceled'), false)

    union all

    select
        'app_db',
        'lost_pet_report',
        'found before it was reported',
        'The hours to recovery of each are below 0 and lower the mean.',
        lost_pet_report_id,
        null,
        null,
        'recovery_hours_avg,recovery_hours_median',
        found_at
    from reports
    where found_at < created_at and not is_cancelled

    union all

    select
        'app_db',
        'subscription',
        'status that is not known',
        'The plan of each counts as free in what is split by plan.',
        subscription_id,
        null,
        null,
        'app_db.subscriptions',
        observed_at
    from {{ ref('stg_app_db__subscriptions') }}
    where is_current and not is_deleted and not coalesce(status in ('active', 'cancelled', 'canceled', 'past_due', 'paused'), false)

    union all

    select
        'app_db',
        'security_event',
        'no time of occurrence',
        'Each counts on the day on which it was first read, as nothing tells when it came.',
        security_event_id,
        null,
        null,
        'login_attacks',
        observed_at
    from attacks
    where is_undated

)

select
    found.source,
    found.object_type,
    found.what,
    found.why,
    found.object_id,
    cast(1 as bigint) as objects,
    found.amount,
    found.currency,
    found.left_out_of,
    {{ local_date('found.told_at', 'context.timezone') }} as day
from found
cross join context
