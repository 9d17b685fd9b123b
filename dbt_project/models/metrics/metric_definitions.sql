-- The entries stand beside the models that compute them: `meta.metrics` in the YAML of each family.
{%- set fields = [
    'label', 'description', 'not_for', 'unit', 'format', 'domain', 'owner', 'decision', 'grains', 'reads_since', 'retention_id',
    'quotient_of'
] -%}
{%- set numbers = ['trailing_days', 'previous_periods', 'following_days'] -%}
{%- set entries = [] -%}
{%- if execute -%}
    {%- for node in graph.nodes.values() if node.resource_type == 'model' -%}
        {%- for entry in node.config.meta.get('metrics', []) -%}
            {%- do entries.append(entry) -%}
        {%- endfor -%}
    {%- endfor -%}
{%- endif %}

with entries as (

    {% for entry in entries | sort(attribute='id') %}
    select
        '{{ entry.id }}' as metric_id,
        {% for field in fields %}
        cast({{ "'" ~ entry[field] | trim | replace("'", "''") ~ "'" if entry[field] else 'null' }} as varchar) as {{ field }},
        {% endfor %}
        {% for number in numbers %}
        {{ entry.get(number, 0) }} as {{ number }},
        {% endfor %}
        {{ entry.get('bigger_is_better', true) }} as bigger_is_better,
        {{ entry.get('of_money', entry.unit in ['currency', 'currency_per_customer']) }} as is_of_money,
        cast({{ entry.get('headline_rank', 'null') }} as integer) as headline_rank
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

funnels as (

    select * from {{ source('config', 'funnels') }}

),

-- An entry for "{funnel_id}" stands for one metric a declared funnel.
per_funnel as (

    select
        replace(entries.metric_id, '{funnel_id}', funnels.funnel_id) as metric_id,
        replace(entries.label, '{funnel}', funnels.label) as label,
        replace(entries.description, '{funnel}', funnels.label) as description,
        entries.not_for,
        entries.unit,
        entries.format,
        entries.domain,
        entries.owner,
        entries.decision,
        entries.grains,
        entries.reads_since,
        entries.retention_id,
        entries.quotient_of,
        entries.trailing_days,
        entries.previous_periods,
        funnels.window_days as following_days,
        entries.bigger_is_better,
        entries.is_of_money,
        entries.headline_rank
    from entries
    inner join funnels on position('{funnel_id}' in entries.metric_id) > 0

),

single as (

    select * from entries
    where position('{funnel_id}' in metric_id) = 0
    union all
    select * from per_funnel

)

select
    single.metric_id,
    single.label,
    single.description,
    single.not_for,
    single.unit,
    single.format,
    single.domain,
    single.owner,
    single.decision,
    single.grains,
    single.reads_since,
    single.retention_id,
    single.quotient_of,
    single.trailing_days,
    single.previous_periods,
    single.following_days,
    single.bigger_is_better,
    single.is_of_money,
    single.headline_rank,
    -- Where there was nothing, a number or an amount is 0, and a share or an average is not known.
    single.unit not in ('share', 'ratio', 'hours', 'milliseconds', 'currency_per_customer') as is_zero_of_nothing
from single
