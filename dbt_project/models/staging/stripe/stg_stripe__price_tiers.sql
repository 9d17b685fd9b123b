{{ config(
    materialized='incremental',
    incremental_strategy='replace_landed',
    unique_key='price_id',
    meta={'replaces': 'stripe.prices'}
) }}

with prices as (

    {{ stripe_objects('prices', {
        'whole': '',
        'currency': 'currency',
        'currency_options': 'currency_options',
        'tiers_mode': 'tiers_mode',
    }) }}

),

currencies as (

    select
        object_id as price_id,
        currency,
        tiers_mode,
        whole as amounts,
        1 as preference
    from prices

    union all

    select
        object_id,
        {{ json_names('currency_options') }} as currency,
        tiers_mode,
        currency_options,
        2
    from prices

),

-- What a price costs in its own currency stands in itself, in another in the options.
amounts as (

    select
        price_id,
        upper(currency) as currency,
        tiers_mode,
        case when preference = 1 then amounts else {{ json_text('amounts', 'currency') }} end as amounts,
        row_number() over (partition by price_id, upper(currency) order by preference) as recency
    from currencies

),

tiers as (

    select
        price_id,
        currency,
        coalesce(tiers_mode, 'volume') as tiers_mode,
        {{ json_elements('amounts', 'tiers') }} as tier
    from amounts
    where recency = 1

),

parsed as (

    select
        price_id,
        currency,
        tiers_mode,
        {{ json_texts('tier', ['up_to', 'unit_amount_decimal', 'unit_amount', 'flat_amount_decimal', 'flat_amount']) }} as texts
    from tiers

    union all

    -- A price without tiers is the same for any quantity.
    select
        price_id,
        currency,
        'volume',
        {{ json_texts('amounts', ['no_tiers', 'unit_amount_decimal', 'unit_amount', 'no_tiers', 'no_tiers']) }}
    from amounts
    where recency = 1 and {{ json_text('amounts', "'tiers'") }} is null

),

named as (

    select
        price_id,
        currency,
        tiers_mode,
        cast(nullif({{ text_at('texts', 0) }}, 'inf') as bigint) as up_to,
        {{ major_units_of_price('coalesce(' ~ text_at('texts', 1) ~ ', ' ~ text_at('texts', 2) ~ ')', 'currency') }} as unit_amount,
        {{ major_units_of_price('coalesce(' ~ text_at('texts', 3) ~ ', ' ~ text_at('texts', 4) ~ ')', 'currency') }} as flat_amount
    from parsed

)

select
    price_id,
    currency,
    tiers_mode,
    coalesce(lag(up_to) over (partition by price_id, currency order by up_to nulls last), 0) as above,
    up_to,
    coalesce(unit_amount, 0) as unit_amount,
    coalesce(flat_amount, 0) as flat_amount
from named
where unit_amount is not null or flat_amount is not null
