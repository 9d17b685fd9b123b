{%- set segments = ['plan', 'billing_cycle', 'currency', 'country', 'card'] %}

with versions as (

    select * from {{ ref('stg_stripe__subscriptions') }}

),

-- What is free, or of a quantity of 0, tells what was sold only where nothing else was.
items as (

    select
        *,
        rank() over (partition by subscription_id, version order by case when list_amount = 0 then 1 else 0 end) as priority
    from {{ ref('int_subscription_items_priced') }}

),

products as (

    select * from {{ ref('stg_stripe__products') }}

),

customers as (

    select * from {{ ref('int_customers_identified') }}

),

customer_payment_methods as (

    select * from {{ ref('stg_stripe__customer_payment_methods') }}

),

invoices as (

    select * from {{ ref('stg_stripe__invoices') }}
    where total_amount > 0 and status <> 'void' and not is_deleted

),

context as (

    select * from {{ source('config', 'run_context') }}

),

-- A trial that comes after another is a gift to a subscriber. Its end may have been moved: what was said last holds.
told as (

    select
        subscription_id,
        version,
        customer_id,
        currency,
        coalesce(trial_start_at, created_at) as started_at,
        trial_end_at,
        min(coalesce(trial_start_at, created_at)) over (partition by subscription_id) as first_started_at
    from versions
    where trial_end_at is not null

),

trials as (

    select
        subscription_id,
        customer_id,
        currency,
        started_at,
        trial_end_at,
        min(version) over (partition by subscription_id) as first_version,
        row_number() over (partition by subscription_id order by version desc) as recency
    from told
    where started_at = first_started_at

),

ends as (

    select
        subscription_id,
        coalesce(ended_at, case when is_deleted or status = 'canceled' then effective_at end) as ended_at,
        row_number() over (partition by subscription_id order by version desc) as recency
    from versions

),

first_invoices as (

    select
        trials.subscription_id,
        invoices.paid_at,
        row_number() over (
            partition by trials.subscription_id
            order by invoices.created_at, invoices.invoice_id
        ) as position
    from trials
    inner join invoices
        on
            trials.subscription_id = invoices.subscription_id
            and trials.trial_end_at <= invoices.created_at
    where trials.recency = 1

),

-- What they were to be paid by, as told within a day of the beginning; later there is one where the trial was to be paid.
first_told as (

    select
        trials.subscription_id,
        versions.has_payment_method
    from trials
    inner join versions
        on
            trials.subscription_id = versions.subscription_id
            and trials.first_version = versions.version
    where
        trials.recency = 1
        and versions.effective_at <= {{ add_seconds('trials.started_at', 86400) }}

),

customers_told as (

    select
        trials.subscription_id,
        customer_payment_methods.has_payment_method,
        row_number() over (partition by trials.subscription_id order by customer_payment_methods.version desc) as recency
    from trials
    inner join customer_payment_methods
        on
            trials.customer_id = customer_payment_methods.customer_id
            and customer_payment_methods.effective_at <= {{ add_seconds('trials.started_at', 86400) }}
    where trials.recency = 1

),

-- As sold when it began: a trial of two plans is one of each.
described as (

    select
        trials.subscription_id,
        coalesce(products.tier, lower(products.product_name), '(unknown)') as plan,
        coalesce({{ billing_cycle('items') }}, '(unknown)') as billing_cycle,
        trials.currency,
        customers.country,
        case
            when first_told.has_payment_method or customers_told.has_payment_method then 'with'
            when not first_told.has_payment_method and not customers_told.has_payment_method then 'without'
            else '(unknown)'
        end as card,
        {{ local_date('trials.started_at', 'context.timezone') }} as start_date,
        {{ local_date('least(trials.trial_end_at, ends.ended_at)', 'context.timezone') }} as end_date,
        coalesce(ends.ended_at <= trials.trial_end_at, false) as is_cancelled,
        {{ local_date('first_invoices.paid_at', 'context.timezone') }} as paid_date
    from trials
    cross join context
    inner join customers on trials.customer_id = customers.customer_id
    inner join ends
        on
            trials.subscription_id = ends.subscription_id
            and ends.recency = 1
    left join first_invoices
        on
            trials.subscription_id = first_invoices.subscription_id
            and first_invoices.position = 1
    left join first_told on trials.subscription_id = first_told.subscription_id
    left join customers_told
        on
            trials.subscription_id = customers_told.subscription_id
            and customers_told.recency = 1
    left join items
        on
            trials.subscription_id = items.subscription_id
            and trials.first_version = items.version
            and items.priority = 1
    left join products on items.product_id = products.product_id
    where
        trials.recency = 1
        and trials.started_at < trials.trial_end_at
        and not customers.is_excluded

)

select distinct
    described.subscription_id,
    segments.segment,
    {{ money_segment_value('described', segments) }} as segment_value,
    described.start_date,
    described.end_date,
    described.is_cancelled,
    described.paid_date
from described
cross join {{ money_segments(segments) }}
