{{ config(materialized='table') }}

{%- set left_of_meant = 'case when is_of_one_whole then most_kept else amount_meant end' %}

with recursive spells as (

    select
        subscription_id,
        version,
        'counted' as standing,
        counts_from,
        counts_to,
        customer_id,
        risk,
        at_risk_from,
        billed_from
    from {{ ref('int_subscription_spells') }}

    union all

    select
        subscription_id,
        version,
        standing,
        counts_from,
        counts_to,
        customer_id,
        cast(null as varchar),
        cast(null as timestamp),
        cast(null as timestamp)
    from {{ ref('int_subscription_idle_spells') }}

),

items as (

    select * from {{ ref('int_subscription_items_priced') }}
    where list_amount > 0

),

items_billed as (

    select * from {{ ref('int_subscription_items_billed') }}
    where list_amount > 0

),

discounts as (

    select * from {{ ref('int_discounts_applied') }}

),

products as (

    select * from {{ ref('stg_stripe__products') }}

),

customers as (

    select * from {{ ref('int_customers_identified') }}

),

context as (

    select * from {{ source('config', 'run_context') }}

),

recurring as (

    select
        spells.subscription_id,
        spells.version,
        spells.standing,
        spells.counts_from,
        spells.counts_to,
        spells.risk,
        spells.at_risk_from,
        spells.customer_id,
        items.subscription_item_id,
        items.product_id,
        items.currency,
        items.billing_interval,
        items.interval_count,
        items.list_amount
    from spells
    inner join items
        on
            spells.subscription_id = items.subscription_id
            and spells.version = items.version
    where spells.billed_from is null

    union all

    -- Before the first version, by what its bills say.
    select
        spells.subscription_id,
        spells.version,
        spells.standing,
        spells.counts_from,
        spells.counts_to,
        spells.risk,
        spells.at_risk_from,
        spells.customer_id,
        items_billed.subscription_item_id,
        items_billed.product_id,
        items_billed.currency,
        items_billed.billing_interval,
        items_billed.interval_count,
        items_billed.list_amount
    from spells
    inner join items_billed
        on
            spells.subscription_id = items_billed.subscription_id
            and spells.billed_from = items_billed.billed_from

),

limited as (

    select distinct subscription_id, version, counts_from from discounts
    where scope = 'billed'

),

-- What is contracted and, where that is something else, what is billed now.
scoped as (

    select *, 'contracted' as scope from recurring
    union all
    select recurring.*, 'billed' as scope
    from recurring
    inner join limited
        on
            recurring.subscription_id = limited.subscription_id
            and recurring.version = limited.version
            and recurring.counts_from = limited.counts_from

),

-- One discount after the other, each of what the one before left. A discount is of all items, of one, or of those of
-- some products; an amount is taken from each of them by its share, and never more than there is. What an item costs is
-- `kept` parts of `whole` of `base`, and divided once at the end: of the same items amounts off leave the same whole.
discounted as (

    select
        subscription_id,
        version,
        counts_from,
        scope,
        subscription_item_id,
        product_id,
        cast(list_amount as decimal(38, 15)) as base,
        cast(1 as decimal(38, 15)) as kept,
        cast(1 as decimal(38, 15)) as whole,
        0 as step
    from scoped

    union all

    select
        subscription_id,
        version,
        counts_from,
        scope,
        subscription_item_id,
        product_id,
        cast(case
            when not is_meant then base
            when percent_off is not null then base * case when whole = 1 then share_left else 1 end
            when amount_off >= {{ left_of_meant }} then 0
            when is_of_one_whole then base
            else amount
        end as decimal(38, 15)),
        cast(case
            when not is_meant then kept
            when percent_off is not null then kept * case when whole = 1 then 1 else share_left end
            when amount_off >= {{ left_of_meant }} then 1
            else {{ left_of_meant }} - amount_off
        end as decimal(38, 15)),
        cast(case
            when not is_meant or percent_off is not null then whole
            when amount_off >= {{ left_of_meant }} then 1
            when is_of_one_whole then whole
            else amount_meant
        end as decimal(38, 15)),
        step + 1
    from (
        select
            *,
            least_kept = most_kept and least_whole = most_whole and most_whole = base_meant as is_of_one_whole
        from (
            select
                meant.*,
                cast(sum(case when meant.is_meant then meant.amount else 0 end) over together as decimal(38, 15)) as amount_meant,
                cast(sum(case when meant.is_meant then meant.base else 0 end) over together as decimal(38, 15)) as base_meant,
                min(case when meant.is_meant and meant.base > 0 then meant.kept end) over together as least_kept,
                max(case when meant.is_meant and meant.base > 0 then meant.kept end) over together as most_kept,
                min(case when meant.is_meant and meant.base > 0 then meant.whole end) over together as least_whole,
                max(case when meant.is_meant and meant.base > 0 then meant.whole end) over together as most_whole
            from (
                select
                    discounted.*,
                    discounts.percent_off,
                    discounts.amount_off,
                    cast((100 - discounts.percent_off) * 0.01 as decimal(13, 12)) as share_left,
                    {{ exact_share('discounted.base', 'discounted.kept', 'discounted.whole') }} as amount,
                    (
                        discounts.subscription_item_id is null
                        or discounted.subscription_item_id = discounts.subscription_item_id
                    )
                    and (
                        discounts.products is null
                        or coalesce(position('"' || discounted.product_id || '"' in discounts.products) > 0, false)
                    ) as is_meant
                from discounted
                inner join discounts
                    on
                        discounted.subscription_id = discounts.subscription_id
                        and discounted.version = discounts.version
                        and discounted.counts_from = discounts.counts_from
                        and discounted.scope = discounts.scope
                        and discounted.step + 1 = discounts.step
            ) as meant
            window together as (partition by meant.subscription_id, meant.version, meant.counts_from, meant.scope)
        ) as summed
    ) as next_step

),

last_steps as (

    select
        subscription_id,
        version,
        counts_from,
        scope,
        subscription_item_id,
        {{ exact_share('base', 'kept', 'whole') }} as amount,
        row_number() over (
            partition by subscription_id, version, counts_from, scope, subscription_item_id
            order by step desc
        ) as place
    from discounted

),

amounts as (

    select
        recurring.*,
        contracted.amount as contracted_amount,
        coalesce(billed.amount, contracted.amount) as billed_amount
    from recurring
    inner join last_steps as contracted
        on
            recurring.subscription_id = contracted.subscription_id
            and recurring.version = contracted.version
            and recurring.counts_from = contracted.counts_from
            and recurring.subscription_item_id = contracted.subscription_item_id
            and contracted.place = 1
            and contracted.scope = 'contracted'
    left join last_steps as billed
        on
            recurring.subscription_id = billed.subscription_id
            and recurring.version = billed.version
            and recurring.counts_from = billed.counts_from
            and recurring.subscription_item_id = billed.subscription_item_id
            and billed.place = 1
            and billed.scope = 'billed'

),

priced as (

    select
        *,
        {{ monthly('contracted_amount', 'billing_interval', 'interval_count') }} as mrr,
        {{ monthly('billed_amount', 'billing_interval', 'interval_count') }} as billed_mrr,
        {{ monthly('list_amount', 'billing_interval', 'interval_count') }} as list_mrr
    from amounts
    where billing_interval in ('day', 'week', 'month', 'year') and interval_count > 0

)

select
    priced.subscription_id,
    priced.subscription_item_id,
    priced.customer_id,
    priced.currency,
    coalesce(products.tier, lower(products.product_name), '(unknown)') as plan,
    {{ billing_cycle('priced') }} as billing_cycle,
    customers.country,
    priced.standing,
    priced.billing_interval,
    priced.mrr,
    priced.billed_mrr,
    priced.list_mrr,
    {{ local_date('priced.counts_from', 'context.timezone') }} as from_date,
    {{ local_date('priced.counts_to', 'context.timezone') }} as to_date,
    priced.risk,
    case
        when priced.risk is not null
            then {{ local_date('greatest(priced.counts_from, priced.at_risk_from)', 'context.timezone') }}
    end as at_risk_from_date
from priced
cross join context
inner join customers on priced.customer_id = customers.customer_id
left join products on priced.product_id = products.product_id
where
    not customers.is_excluded
    -- What began and ended on one day was never there at a day's end.
    and (
        priced.counts_to is null
        or {{ local_date('priced.counts_from', 'context.timezone') }} < {{ local_date('priced.counts_to', 'context.timezone') }}
    )
