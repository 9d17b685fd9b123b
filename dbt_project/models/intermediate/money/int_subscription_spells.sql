{{ config(materialized='table') }}

with versions as (

    select * from {{ ref('stg_stripe__subscriptions') }}

),

subscription_discounts as (

    select distinct subscription_id, version from {{ ref('stg_stripe__subscription_discounts') }}
    where subscription_item_id is null

),

discount_ends as (

    select distinct subscription_id, version, ended_at from {{ ref('stg_stripe__subscription_discounts') }}
    where ended_at is not null

),

customer_discounts as (

    select * from {{ ref('stg_stripe__customer_discounts') }}

),

-- What was billed before the first version that is known.
billed as (

    select distinct subscription_id, 1 as version, billed_from, billed_to
    from {{ ref('int_subscription_items_billed') }}

),

bills as (

    select subscription_id, version, billed_from as changed_at from billed
    union
    select subscription_id, version, billed_to from billed

),

-- What a subscription was before an event is news only where nothing earlier is known.
in_order as (

    select
        *,
        row_number() over (partition by subscription_id order by version) = 1 as is_first,
        lead(effective_at) over (partition by subscription_id order by version) as next_at,
        lead(status) over (partition by subscription_id order by version) as next_status,
        first_value(ended_at) over (partition by subscription_id order by version desc) as finally_ended_at
    from versions
    where origin <> 'before' or version = 1

),

judged as (

    select
        *,
        case
            when is_deleted then false
            -- A pause ends when it was said to, unless a version says otherwise before.
            when is_collection_paused and collection_resumes_at is null then false
            when status = 'trialing'
                then next_status is null or next_status in ('active', 'past_due', 'unpaid', 'canceled')
            else status in ('active', 'past_due')
        end as is_counted,
        -- Nobody tells since when it is so: it counts until it was seen.
        is_first and (is_deleted or is_collection_paused or status in ('unpaid', 'canceled')) as is_counted_until_seen,
        case
            when is_cancel_at_period_end or cancel_at is not null then 'cancels'
            when status = 'past_due' then 'past_due'
        end as risk,
        -- Since when it is to end it says itself; since when a payment is overdue nobody tells but who saw it.
        case
            when is_cancel_at_period_end or cancel_at is not null then coalesce(canceled_at, effective_at)
            when status = 'past_due' then effective_at
        end as at_risk_from
    from in_order

),

bounded as (

    select
        subscription_id,
        version,
        customer_id,
        currency,
        risk,
        at_risk_from,
        greatest(
            case when is_first and not is_collection_paused then coalesce(created_at, effective_at) else effective_at end,
            trial_end_at,
            collection_resumes_at
        ) as counts_from,
        least(next_at, finally_ended_at) as counts_to
    from judged
    where is_counted

    union all

    select
        subscription_id,
        version,
        customer_id,
        currency,
        risk,
        at_risk_from,
        greatest(coalesce(created_at, effective_at), trial_end_at),
        least(effective_at, finally_ended_at)
    from judged
    where is_counted_until_seen

),

counted as (

    select
        bounded.*,
        subscription_discounts.subscription_id is null as has_customer_discount
    from bounded
    left join subscription_discounts
        on
            bounded.subscription_id = subscription_discounts.subscription_id
            and bounded.version = subscription_discounts.version
    where bounded.counts_to is null or bounded.counts_from < bounded.counts_to

),

discount_changes as (

    select customer_id, started_at as changed_at from customer_discounts
    union
    select customer_id, ended_at from customer_discounts

),

-- The customer's own discount comes and goes without a new version of the subscription, and so does one that ends.
starts as (

    select subscription_id, version, counts_from as began_at, counts_from from counted
    union
    select counted.subscription_id, counted.version, counted.counts_from, discount_changes.changed_at
    from counted
    inner join discount_changes on counted.customer_id = discount_changes.customer_id
    where
        counted.has_customer_discount
        and discount_changes.changed_at > counted.counts_from
        and (counted.counts_to is null or discount_changes.changed_at < counted.counts_to)
    union
    select counted.subscription_id, counted.version, counted.counts_from, discount_ends.ended_at
    from counted
    inner join discount_ends
        on
            counted.subscription_id = discount_ends.subscription_id
            and counted.version = discount_ends.version
            and counted.counts_from < discount_ends.ended_at
    where counted.counts_to is null or discount_ends.ended_at < counted.counts_to
    union
    select counted.subscription_id, counted.version, counted.counts_from, bills.changed_at
    from counted
    inner join bills
        on
            counted.subscription_id = bills.subscription_id
            and counted.version = bills.version
            and counted.counts_from < bills.changed_at
    where counted.counts_to is null or bills.changed_at < counted.counts_to

),

spells as (

    select
        counted.subscription_id,
        counted.version,
        counted.customer_id,
        counted.currency,
        counted.risk,
        counted.at_risk_from,
        counted.has_customer_discount,
        starts.counts_from,
        coalesce(
            lead(starts.counts_from) over (
                partition by starts.subscription_id, starts.version, starts.began_at
                order by starts.counts_from
            ),
            counted.counts_to
        ) as counts_to
    from counted
    inner join starts
        on
            counted.subscription_id = starts.subscription_id
            and counted.version = starts.version
            and counted.counts_from = starts.began_at

)

select
    spells.subscription_id,
    spells.version,
    spells.customer_id,
    spells.currency,
    customer_discounts.discount_id as customer_discount_id,
    spells.counts_from,
    spells.counts_to,
    spells.risk,
    spells.at_risk_from,
    billed.billed_from
from spells
left join billed
    on
        spells.subscription_id = billed.subscription_id
        and spells.version = billed.version
        and spells.counts_from >= billed.billed_from
        and spells.counts_from < billed.billed_to
left join customer_discounts
    on
        case when spells.has_customer_discount then spells.customer_id end = customer_discounts.customer_id
        and spells.counts_from >= customer_discounts.started_at
        and spells.counts_from < coalesce(customer_discounts.ended_at, timestamp '9999-12-31')
