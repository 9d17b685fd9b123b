{{ config(materialized='view') }}

with context as (

    select * from {{ source('config', 'run_context') }}

),

identities as (

    select * from {{ ref('int_identities_resolved') }}

),

-- What both the app's database and the files have is there twice: nothing tells that two rows are of one thing.
feedback as (

    {% for origin in ['app_db', 'csv_files'] %}
        select
            '{{ origin }}' as origin,
            'support_tickets' as table_name,
            support_ticket_id as feedback_id,
            user_id,
            cast(null as decimal(38, 10)) as score,
            cast(null as varchar) as platform,
            priority,
            category,
            coalesce(created_at, observed_at) as created_at
        from {{ ref('stg_' ~ origin ~ '__support_tickets') }}
        where is_current

        union all

        select
            '{{ origin }}' as origin,
            'app_store_ratings' as table_name,
            app_store_rating_id as feedback_id,
            null as user_id,
            score,
            platform,
            null as priority,
            null as category,
            coalesce(created_at, observed_at) as created_at
        from {{ ref('stg_' ~ origin ~ '__app_store_ratings') }}
        where is_current and score between 1 and 5

        union all

        select
            '{{ origin }}' as origin,
            'nps_responses' as table_name,
            nps_response_id as feedback_id,
            user_id,
            score,
            null as platform,
            null as priority,
            null as category,
            coalesce(created_at, observed_at) as created_at
        from {{ ref('stg_' ~ origin ~ '__nps_responses') }}
        where is_current and score between 0 and 10
        {% if not loop.last %}union all{% endif %}
    {% endfor %}

)

select
    feedback.origin,
    feedback.table_name,
    feedback.feedback_id,
    feedback.score,
    coalesce(feedback.platform, '(unknown)') as platform,
    coalesce(feedback.priority, '(unknown)') as priority,
    coalesce(feedback.category, '(unknown)') as category,
    {{ local_date('feedback.created_at', 'context.timezone') }} as feedback_date
from feedback
cross join context
left join identities on feedback.user_id = identities.raw_id
where not coalesce(identities.is_excluded, false)
