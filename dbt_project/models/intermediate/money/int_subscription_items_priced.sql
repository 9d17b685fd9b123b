with subscriptions as (

    select * from {{ ref('stg_stripe__subscriptions') }}

),

items as (

    select * from {{ ref('stg_stripe__subscription_items') }}

),

price_tiers as (

    select * from {{ ref('stg_stripe__price_tiers') }}

),

-- An item is billed in the currency of its subscription, whichever its price has first.
billed as (

    select
        items.*,
        coalesce(subscriptions.currency, items.currency) as billed_currency,
        items.has_unit_amount and items.currency = coalesce(subscriptions.currency, items.currency) as is_priced_by_itself
    from items
    inner join subscriptions
        on
            items.subscription_id = subscriptions.subscription_id
            and items.version = subscriptions.version
    where items.billing_interval is not null

),

priced_by_tiers as (

    select
        billed.subscription_id,
        billed.version,
        billed.subscription_item_id,
        sum(
            {{ amount_of_quantity(
                'price_tiers.unit_amount',
                "case when price_tiers.tiers_mode = 'volume' then billed.quantity "
                ~ 'else least(billed.quantity, coalesce(price_tiers.up_to, billed.quantity)) - price_tiers.above end'
            ) }} + price_tiers.flat_amount
        ) as list_amount
    from billed
    inner join price_tiers
        on
            billed.price_id = price_tiers.price_id
            and billed.billed_currency = price_tiers.currency
    where
        not billed.is_priced_by_itself
        and (billed.quantity > price_tiers.above or price_tiers.above = 0)
        and (
            price_tiers.tiers_mode = 'graduated'
            or price_tiers.up_to is null
            or billed.quantity <= price_tiers.up_to
        )
    group by 1, 2, 3

),

amounts as (

    select
        billed.*,
        case
            when billed.is_priced_by_itself then {{ amount_of_quantity('billed.unit_amount', 'billed.quantity') }}
            else cast(priced_by_tiers.list_amount as decimal(38, 15))
        end as list_amount,
        priced_by_tiers.subscription_item_id is not null as has_tiers
    from billed
    left join priced_by_tiers
        on
            billed.subscription_id = priced_by_tiers.subscription_id
            and billed.version = priced_by_tiers.version
            and billed.subscription_item_id = priced_by_tiers.subscription_item_id

)

select
    subscription_id,
    version,
    subscription_item_id,
    product_id,
    billed_currency as currency,
    billing_interval,
    interval_count,
    has_tax_inside,
    case when usage_type <> 'metered' and list_amount < {{ largest_amount() }} then list_amount end as list_amount,
    case
        when usage_type = 'metered' then 'metered price'
        when list_amount is null and not is_priced_by_itself and not has_tiers then 'price without an amount in the currency'
        when list_amount is null or list_amount >= {{ largest_amount() }} then 'amount beyond what is computed'
        when billing_interval not in ('day', 'week', 'month', 'year') or interval_count < 1 then 'unknown billing interval'
    end as why_not
from amounts
