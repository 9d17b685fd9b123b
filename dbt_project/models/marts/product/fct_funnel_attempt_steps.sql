with recursive step_events as (

    select * from {{ ref('int_funnel_step_events') }}

),

funnels as (

    select * from {{ source('config', 'funnels') }}

),

attempt_steps as (

    select
        step_events.funnel_id,
        step_events.person_id,
        step_events.same_value,
        step_events.event_number as entry_number,
        {{ add_seconds('step_events.occurred_at', 'funnels.window_seconds') }} as window_ends_at,
        step_events.step_index,
        step_events.occurred_at,
        step_events.next_step_at,
        ',' || cast(step_events.event_number as varchar) || ',' as used_numbers
    from step_events
    inner join funnels on step_events.funnel_id = funnels.funnel_id
    where step_events.step_index = 1

    union all

    select
        funnel_id,
        person_id,
        same_value,
        entry_number,
        window_ends_at,
        step_index,
        occurred_at,
        next_step_at,
        used_numbers
    from (

        -- Candidates: unused events of the same instant, and those of the next instant that has the next step.
        select
            attempt_steps.funnel_id,
            attempt_steps.person_id,
            attempt_steps.same_value,
            attempt_steps.entry_number,
            attempt_steps.window_ends_at,
            candidates.step_index,
            candidates.occurred_at,
            candidates.next_step_at,
            attempt_steps.used_numbers || cast(candidates.event_number as varchar) || ',' as used_numbers,
            row_number() over (
                partition by
                    attempt_steps.funnel_id,
                    attempt_steps.person_id,
                    attempt_steps.entry_number
                order by candidates.occurred_at, candidates.event_number
            ) as choice
        from attempt_steps
        cross join (values (0), (1)) as instants (is_later)
        inner join step_events as candidates
            on
                attempt_steps.funnel_id = candidates.funnel_id
                and attempt_steps.person_id = candidates.person_id
                and attempt_steps.same_value = candidates.same_value
                and attempt_steps.step_index + 1 = candidates.step_index
                and case instants.is_later when 1 then attempt_steps.next_step_at else attempt_steps.occurred_at end
                = candidates.occurred_at
        where
            candidates.occurred_at <= attempt_steps.window_ends_at
            and position(',' || cast(candidates.event_number as varchar) || ',' in attempt_steps.used_numbers) = 0

    ) as candidates
    where choice = 1

)

select
    funnel_id,
    person_id,
    entry_number,
    step_index,
    occurred_at
from attempt_steps
