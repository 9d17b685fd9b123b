with versions as (

    select * from {{ ref('stg_stripe__subscriptions') }}

),

subscription_discounts as (

    select distinct subscription_id, version from {{ ref('stg_stripe__subscription_discounts') }}
    where subscription_item_id is null

),

customer_discounts as (

    select * from {{ ref('stg_stripe__customer_discounts') }}

),

in_order as (

    select
        *,
        row_number() over (partition by subscription_id order by version) = 1 as is_first,
        lead(effective_at) over (partition by subscription_id order by version) as next_at,
        first_value(ended_at) over (partition by subscription_id order by version desc) as finally_ended_at
    from versions
    where origin <> 'before' or version = 1

),

begun as (

    select
        *,
        case when is_first then coalesce(created_at, effective_at) else effective_at end as begins_at,
        case
            when status in ('active', 'past_due') and is_collection_paused then 'paused'
            when status in ('unpaid', 'incomplete', 'paused') then 'unpaid'
        end as state
    from in_order
    where not is_deleted

),

stretches as (

    select
        *,
        'trials' as standing,
        begins_at as counts_from,
        least(next_at, finally_ended_at, trial_end_at) as counts_to
    from begun
    where trial_end_at > begins_at

    union all

    -- Since when it is so, nobody tells but who saw it; the first payment may be due from the beginning.
    select
        *,
        state as standing,
        greatest(case when status = 'incomplete' then begins_at else effective_at end, trial_end_at) as counts_from,
        least(next_at, finally_ended_at, case when state = 'paused' then collection_resumes_at end) as counts_to
    from begun
    where state is not null

    union all

    -- What ended before the period did that was paid for.
    select
        *,
        'ended_early' as standing,
        ended_at as counts_from,
        period_end_at as counts_to
    from begun
    where next_at is null and period_end_at > ended_at

)

select
    stretches.subscription_id,
    stretches.version,
    stretches.standing,
    stretches.customer_id,
    stretches.currency,
    customer_discounts.discount_id as customer_discount_id,
    stretches.counts_from,
    stretches.counts_to
from stretches
left join subscription_discounts
    on
        stretches.subscription_id = subscription_discounts.subscription_id
        and stretches.version = subscription_discounts.version
left join customer_discounts
    on
        case when subscription_discounts.subscription_id is null then stretches.customer_id end
        = customer_discounts.customer_id
        and stretches.counts_from >= customer_discounts.started_at
        and stretches.counts_from < coalesce(customer_discounts.ended_at, timestamp '9999-12-31')
where stretches.counts_to is null or stretches.counts_from < stretches.counts_to
