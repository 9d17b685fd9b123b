with churned as (

    select currency, customer_id, change_date from {{ ref('fct_mrr_changes') }}
    where segment = 'all' and movement = 'churn'

),

item_spells as (

    select distinct subscription_id, customer_id, currency, to_date from {{ ref('int_subscription_item_spells') }}

),

spells as (

    select * from {{ ref('int_subscription_spells') }}

),

-- What a subscription was before an event is no news of what became of it.
versions as (

    select * from {{ ref('stg_stripe__subscriptions') }}
    where origin <> 'before' or version = 1

),

context as (

    select * from {{ source('config', 'run_context') }}

),

-- The last moment of each day at which a subscription still counted, and what it was until then.
stops as (

    select
        spells.subscription_id,
        spells.counts_to as stopped_at,
        {{ local_date('spells.counts_to', 'context.timezone') }} as stop_date,
        versions.status as status_before,
        row_number() over (
            partition by spells.subscription_id, {{ local_date('spells.counts_to', 'context.timezone') }}
            order by spells.counts_to desc, spells.version desc
        ) as recency
    from spells
    cross join context
    inner join versions
        on
            spells.subscription_id = versions.subscription_id
            and spells.version = versions.version
    where spells.counts_to is not null

),

-- What it was from then on. Of an end the last version that tells of it knows most, whenever that was seen.
explained as (

    select
        stops.subscription_id,
        stops.stop_date,
        stops.stopped_at,
        case
            when versions.status = 'unpaid' then 'involuntary'
            when versions.status <> 'canceled' then 'unknown'
            when versions.cancellation_reason = 'cancellation_requested' then 'voluntary'
            when versions.cancellation_reason in ('payment_failed', 'payment_disputed') then 'involuntary'
            when versions.cancellation_reason is null and stops.status_before = 'past_due' then 'involuntary'
            else 'unknown'
        end as kind,
        row_number() over (
            partition by stops.subscription_id, stops.stop_date
            order by case when versions.ended_at = stops.stopped_at then 1 else 0 end desc, versions.version desc
        ) as recency
    from stops
    inner join versions
        on
            stops.subscription_id = versions.subscription_id
            and (stops.stopped_at >= versions.effective_at or stops.stopped_at = versions.ended_at)
    where stops.recency = 1

),

-- Of several subscriptions the one that stopped last, as the customer was there until then.
ranked as (

    select
        churned.currency,
        churned.customer_id,
        churned.change_date,
        explained.kind,
        row_number() over (
            partition by churned.currency, churned.customer_id, churned.change_date
            order by
                explained.stopped_at desc,
                case explained.kind when 'voluntary' then 0 when 'involuntary' then 1 else 2 end
        ) as place
    from churned
    inner join item_spells
        on
            churned.customer_id = item_spells.customer_id
            and churned.change_date = item_spells.to_date
            and churned.currency in (item_spells.currency, 'all')
    inner join explained
        on
            item_spells.subscription_id = explained.subscription_id
            and item_spells.to_date = explained.stop_date
    where explained.recency = 1

),

reasons as (

    select * from ranked
    where place = 1

)

-- Of a stop before the first version that is known, as bills tell of it, nobody tells why.
select
    churned.currency,
    churned.customer_id,
    churned.change_date as churn_date,
    coalesce(reasons.kind, 'unknown') as kind
from churned
left join reasons
    on
        churned.currency = reasons.currency
        and churned.customer_id = reasons.customer_id
        and churned.change_date = reasons.change_date
