with rates as (

    select * from {{ ref('stg_exchange_rates__daily_rates') }}
    where currency <> 'EUR'

),

context as (

    select * from {{ source('config', 'run_context') }}

),

days as (

    select day from {{ source('config', 'day_periods') }}
    where grain = 'day'

),

published as (

    select
        *,
        lead(rate_date) over (partition by currency order by rate_date) as next_rate_date
    from rates

),

ages as (

    select ages.age
    from (values (0), (1), (2), (3), (4), (5), (6), (7)) as ages (age)

),

-- A rate holds until the next one is published, and no longer than 7 days.
held as (

    select
        {{ add_days('published.rate_date', 'ages.age') }} as day,
        published.currency,
        published.units_per_euro
    from published
    inner join ages
        on
            published.next_rate_date is null
            or {{ add_days('published.rate_date', 'ages.age') }} < published.next_rate_date

),

units as (

    select held.*
    from held
    inner join days on held.day = days.day
    union all
    select day, 'EUR' as currency, cast(1 as decimal(20, 8)) as units_per_euro
    from days

)

select
    units.day,
    units.currency,
    units.units_per_euro,
    reporting.units_per_euro as reporting_units_per_euro
from units
cross join context
inner join units as reporting
    on
        units.day = reporting.day
        and context.currency = reporting.currency
