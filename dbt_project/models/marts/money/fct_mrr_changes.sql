{%- set segments = ['plan', 'billing_cycle', 'country'] %}

with spells as (

    select * from {{ ref('int_subscription_item_spells') }}

),

context as (

    select * from {{ source('config', 'run_context') }}

),

rates as (

    select * from {{ ref('fct_exchange_rates') }}

),

covered as (

    select first_day, last_day from {{ ref('int_sources_covered') }}
    where source = 'stripe' and table_name = 'subscriptions'

),

-- Each item opens its spell with its MRR and closes it with as much less.
steps as (

    {{ opened_and_closed('spells', ['customer_id', 'currency', 'plan', 'billing_cycle', 'country'], 'mrr') }}

),

in_own_currency as (

    select
        steps.currency,
        segments.segment,
        {{ money_segment_value('steps', segments) }} as segment_value,
        steps.customer_id,
        steps.change_date,
        sum(steps.change) as change
    from steps
    cross join {{ money_segments(segments) }}
    group by 1, 2, 3, 4, 5

),

-- In the total of all currencies each counts at the rate of the day, and none where one is not known. Whether a customer
-- pays at all no rate has a say in: the sum in whatever units is 0 only where nothing is paid.
in_each_currency as (

    select
        currency,
        segment,
        segment_value,
        customer_id,
        change_date,
        change,
        change as units_change
    from in_own_currency

    union all

    select
        'all' as currency,
        in_own_currency.segment,
        in_own_currency.segment_value,
        in_own_currency.customer_id,
        in_own_currency.change_date,
        case
            when count({{ in_reporting_currency('in_own_currency.change', 'in_own_currency.currency') }}) = count(*)
                then sum({{ in_reporting_currency('in_own_currency.change', 'in_own_currency.currency') }})
        end as change,
        sum(in_own_currency.change) as units_change
    from in_own_currency
    cross join context
    left join rates
        on
            in_own_currency.change_date = rates.day
            and in_own_currency.currency = rates.currency
    group by 2, 3, 4, 5

),

balances as (

    select
        *,
        sum(units_change) over (
            partition by currency, segment, segment_value, customer_id
            order by change_date
        ) as units_after
    from in_each_currency

),

customers as (

    select
        currency,
        customer_id,
        change_date,
        units_after,
        units_after - units_change as units_before,
        max(units_after) over (
            partition by currency, customer_id
            order by change_date
            rows between unbounded preceding and 1 preceding
        ) as highest_before
    from balances
    where segment = 'all'

),

-- The customer as a whole decides who comes and who goes; who stays may still enter or leave a segment value.
classified as (

    select
        balances.currency,
        balances.segment,
        balances.segment_value,
        balances.customer_id,
        balances.change_date,
        case
            when customers.units_before = 0 and coalesce(customers.highest_before, 0) = 0 then 'new'
            when customers.units_before = 0 then 'reactivation'
            when customers.units_after = 0 then 'churn'
            when balances.units_after = balances.units_change then 'switched_in'
            when balances.units_after = 0 then 'switched_out'
            when coalesce(balances.change, balances.units_change) > 0 then 'expansion'
            else 'contraction'
        end as movement,
        balances.change
    from balances
    inner join customers
        on
            balances.currency = customers.currency
            and balances.customer_id = customers.customer_id
            and balances.change_date = customers.change_date
    where
        balances.change is distinct from 0
        or (balances.units_after = 0) <> (balances.units_after = balances.units_change)

)

select
    *,
    case
        when movement in ('new', 'reactivation', 'switched_in') then 1
        when movement in ('churn', 'switched_out') then -1
        else 0
    end as customer_change
from classified
