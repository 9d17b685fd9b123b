with source as (

    select * from {{ source('raw_exchange_rates', 'daily_rates') }}

),

-- The bank may correct what it has published.
versions as (

    select
        *,
        row_number() over (partition by object_id order by landing desc) as recency
    from source

)

select
    date as rate_date,
    currency,
    cast({{ to_decimal('rate') }} as decimal(20, 8)) as units_per_euro
from versions
where recency = 1
