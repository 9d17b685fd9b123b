-- Each step of a funnel is reached by no more people than the one before.
with steps as (

    select
        *,
        lag(users) over (
            partition by funnel_id, entry_grain, entry_start, segment, segment_value
            order by step_index
        ) as users_before
    from {{ ref('agg_funnel_steps') }}

)

select * from steps
where users > users_before
