-- The objects of one of Stripe's tables as they are now: what a list or a read gave last or, where there is none, what
-- an event told last. `fields` names the columns, and says at which path in the object their text stands.
{% macro stripe_objects(table, fields) -%}
    select
        object_id,
        is_deleted,
        created_at,
        {{ named_texts(fields) }}
    from (
        select
            object_id,
            is_deleted,
            created_at,
            {{ json_texts('content', fields.values() | list) }} as texts
        from ({{ stripe_current_versions(table) }}) as current_versions
    ) as current_objects
{%- endmacro %}

-- The version of each object that holds. Of nearly all there is one: to put the content of those in order, too, costs as
-- much as to read it.
{% macro stripe_current_versions(table) -%}
    {%- set columns = ['object_id', 'is_deleted', 'created_at', 'content'] -%}
    {%- set versions = source('raw_stripe', table) -%}
    select versions.{{ columns | join(', versions.') }}
    from {{ versions }} as versions
    left join (select object_id from {{ versions }} group by object_id having count(*) > 1) as repeated
        on versions.object_id = repeated.object_id
    where not {{ is_in_part() }} and repeated.object_id is null

    union all

    select {{ columns | join(', ') }}
    from (
        select
            versions.*,
            row_number() over (
                partition by versions.object_id
                order by
                    case when versions.origin in ('event', 'before') then 1 else 0 end,
                    case when versions.origin in ('event', 'before') then 0 else versions.landing end desc,
                    versions.effective_at desc,
                    case when versions.origin = 'event' then 0 else 1 end,
                    versions.landing desc,
                    versions.content_hash
            ) as recency
        from {{ versions }} as versions
        inner join (
            select object_id from {{ versions }}
            where not {{ is_in_part() }}
            group by object_id
            having count(*) > 1

            union all

            select distinct object_id from {{ ref('stg_stripe__objects_landed') }}
            where {{ is_in_part() }} and table_name = '{{ table }}'
        ) as in_order on versions.object_id = in_order.object_id
    ) as ordered
    where recency = 1
{%- endmacro %}

-- The columns of `fields`, out of `texts` that json_texts took from their paths.
{% macro named_texts(fields) -%}
    {% for name in fields %}{{ text_at('texts', loop.index0) }} as {{ name }}{{ ',\n        ' if not loop.last }}{% endfor %}
{%- endmacro %}

-- All versions of all subscriptions, numbered from 1 in the order in which they came into force. What a subscription
-- was before an event comes before what it was after it, and that before what was read at the same instant. Of several
-- events of one instant that one comes last whose outcome no other event began with.
{% macro stripe_subscription_versions() -%}
    {%- set columns = 'object_id, effective_at, origin, is_deleted, landing, observed_at, created_at, content_hash, content' -%}
    {%- set order %}
                effective_at,
                case origin when 'before' then 0 when 'event' then 1 else 2 end,
                case when origin = 'before' then is_told_twice else -is_told_twice end,
    {%- endset -%}
    {%- set last_where -%} (case when origin = 'before' then -1 else 1 end) * case when content_hash = {%- endset -%}
    select
        {{ columns }},
        row_number() over (
            partition by object_id
            order by {{ order }}
                {{ last_where }} hash_before then 1 else 0 end,
                {{ last_where }} hash_after then 1 else 0 end,
                landing,
                content_hash
        ) as version
    from (
        select
            {{ columns }},
            is_told_twice,
            first_value(previous_hash) over (partition by object_id, effective_at order by place) as hash_before,
            first_value(next_hash) over (partition by object_id, effective_at order by place desc) as hash_after
        from (
            select
                {{ columns }},
                is_told_twice,
                row_number() over by_place as place,
                lag(content_hash) over by_place as previous_hash,
                lead(content_hash) over by_place as next_hash
            from (
                select
                    {{ columns }},
                    case
                        when
                            min(case origin when 'before' then 0 when 'event' then 1 end) over same_content
                            < max(case origin when 'before' then 0 when 'event' then 1 end) over same_content
                            then 1
                        else 0
                    end as is_told_twice
                from {{ source('raw_stripe', 'subscriptions') }}
                {{ where_landed('stripe', 'subscriptions') }}
                window same_content as (partition by object_id, effective_at, content_hash)
            ) as told
            window by_place as (partition by object_id order by {{ order }} landing, content_hash)
        ) as placed
    ) as surrounded
{%- endmacro %}

-- The terms of the discounts of a relation, which has each as JSON in column `discount`, beside its own `columns`. They
-- stand in `source` or, until 2025-08, in the discount itself; a bare id has none.
{% macro stripe_discounts(relation, columns) -%}
    {%- set fields = {'whole': '', 'id': 'id', 'started_at': 'start', 'ended_at': 'end'} -%}
    {%- for age, place in [('new', 'source.coupon'), ('old', 'coupon')] -%}
        {%- do fields.update({age ~ '_coupon': place}) -%}
        {%- for term in ['id', 'duration', 'percent_off', 'amount_off', 'currency', 'currency_options'] -%}
            {%- do fields.update({age ~ '_' ~ term: place ~ '.' ~ term}) -%}
        {%- endfor -%}
        {%- do fields.update({age ~ '_products': place ~ '.applies_to.products'}) -%}
    {%- endfor -%}
    select
        {% for column in columns %}{{ column }},
        {% endfor -%}
        case when substring(whole from 1 for 1) = '{' then id else whole end as discount_id,
        coalesce(
            new_id, old_id,
            case when substring(new_coupon from 1 for 1) <> '{' then new_coupon end,
            case when substring(old_coupon from 1 for 1) <> '{' then old_coupon end
        ) as coupon_id,
        coalesce(new_duration, old_duration) as duration,
        cast(coalesce(new_percent_off, old_percent_off) as decimal(13, 10)) as percent_off,
        {{ major_units('coalesce(new_amount_off, old_amount_off)', 'coalesce(new_currency, old_currency)') }} as amount_off,
        upper(coalesce(new_currency, old_currency)) as currency,
        coalesce(new_currency_options, old_currency_options) as currency_options,
        nullif(coalesce(new_products, old_products), '[]') as products,
        {{ utc_of_seconds('started_at') }} as started_at,
        {{ utc_of_seconds('ended_at') }} as ended_at
    from (
        select
            {% for column in columns %}{{ column }},
            {% endfor -%}
            {{ named_texts(fields) }}
        from (select *, {{ json_texts('discount', fields.values() | list) }} as texts from {{ relation }}) as parsed
    ) as named
{%- endmacro %}

-- Whether what bills are paid by is there, of a subscription or customer; null where nothing is said of it, as in what
-- landed before it was kept.
{% macro stripe_has_payment_method() -%}
    case
        when coalesce(payment_method_id, payment_source_id) is not null then true
        when tells_payment_method then false
    end
{%- endmacro %}
