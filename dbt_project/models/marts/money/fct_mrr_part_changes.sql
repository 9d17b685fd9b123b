{#- Which standings and which amount each part is made of. -#}
{%- set parts = {
    'ours': ("standing = 'counted'", 'mrr'),
    'coupons_that_end': ("standing = 'counted'", 'billed_mrr - mrr'),
    'coupons_kept': ("standing = 'counted'", 'list_mrr - mrr'),
    'daily_prices': ("standing = 'counted' and billing_interval = 'day'", '-list_mrr'),
    'paused_less_coupons': ("standing = 'paused'", 'mrr'),
    'paused': ("standing = 'paused' and billing_interval <> 'day'", 'list_mrr'),
    'trials': ("standing = 'trials' and billing_interval <> 'day'", 'list_mrr'),
    'unpaid': ("standing = 'unpaid' and billing_interval <> 'day'", 'list_mrr'),
    'ended_early': ("standing = 'ended_early' and billing_interval <> 'day'", 'list_mrr'),
} -%}

with standings as (

    select * from {{ ref('int_subscription_item_standings') }}

),

covered as (

    select first_day, last_day from {{ ref('int_sources_covered') }}
    where source = 'stripe' and table_name = 'subscriptions'

),

parts as (

    {% for part, (condition, amount) in parts.items() %}
        select '{{ part }}' as part, currency, from_date, to_date, {{ amount }} as amount
        from standings
        where {{ condition }}
        {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

-- Each opens with its amount and closes with as much less.
steps as (

    {{ opened_and_closed('parts', ['currency', 'part'], 'amount') }}

)

select
    currency,
    part,
    change_date,
    sum(change) as change
from steps
where change <> 0
group by currency, part, change_date
