with spells as (

    select subscription_id, version, counts_from, currency, customer_discount_id
    from {{ ref('int_subscription_spells') }}
    union all
    select subscription_id, version, counts_from, currency, customer_discount_id
    from {{ ref('int_subscription_idle_spells') }}

),

subscription_discounts as (

    select * from {{ ref('stg_stripe__subscription_discounts') }}

),

terms as (

    select * from {{ ref('int_discounts_resolved') }}

),

-- First what is on an item, then what is on the whole: the subscription's own or, where it has none, the customer's.
given as (

    select
        spells.subscription_id,
        spells.version,
        spells.counts_from,
        spells.currency,
        case when subscription_discounts.subscription_item_id is null then 2 else 1 end as level,
        subscription_discounts.subscription_item_id,
        subscription_discounts.position,
        subscription_discounts.discount_id,
        coalesce(subscription_discounts.ended_at <= spells.counts_from, false) as is_over
    from spells
    inner join subscription_discounts
        on
            spells.subscription_id = subscription_discounts.subscription_id
            and spells.version = subscription_discounts.version

    union all

    select subscription_id, version, counts_from, currency, 2, cast(null as varchar), 1, customer_discount_id, false
    from spells
    where customer_discount_id is not null

),

-- An amount off is in the currency of the coupon, or in one of its options; in any other it takes nothing off.
with_terms as (

    select
        given.subscription_id,
        given.version,
        given.counts_from,
        given.level,
        given.subscription_item_id,
        given.position,
        given.discount_id,
        given.is_over,
        terms.products,
        terms.duration,
        terms.percent_off,
        case
            when given.currency = terms.currency then terms.amount_off
            else {{ major_units(
                json_text(json_text('terms.currency_options', 'lower(given.currency)'), "'amount_off'"), 'given.currency'
            ) }}
        end as amount_off
    from given
    inner join terms on given.discount_id = terms.discount_id
    where terms.duration is not null

),

taken_off as (

    select
        *,
        max(case when duration = 'forever' then 0 else 1 end) over (
            partition by subscription_id, version, counts_from
        ) = 1 as is_any_limited
    from with_terms
    where (percent_off is not null or amount_off is not null) and (duration = 'forever' or not is_over)

),

scoped as (

    select *, 'contracted' as scope from taken_off
    where duration = 'forever'
    union all
    select *, 'billed' as scope from taken_off
    where is_any_limited

)

select
    subscription_id,
    version,
    counts_from,
    scope,
    subscription_item_id,
    products,
    percent_off,
    amount_off,
    row_number() over (
        partition by subscription_id, version, counts_from, scope
        order by level, position, subscription_item_id, discount_id
    ) as step
from scoped
