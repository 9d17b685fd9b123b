-- An amount in a currency's minor unit, as Stripe gives it, in the major unit. Most currencies have 2 decimals; ISK and
-- UGX, which have none, are charged as if they had 2. All that fits an integer of 64 bits fits here.
{% macro major_units(minor_units, currency) -%}
    cast({{ whole_number(minor_units) }} * {{ major_unit_share(currency) }} as decimal(22, 3))
{%- endmacro %}

-- The same of the price of one unit, which may be a fraction of the minor unit: 12 digits before the point and 12 behind
-- it, as Stripe has them; null where there are more.
{% macro major_units_of_price(minor_units, currency) -%}
    cast({{ try_decimal(minor_units, 24, 12) }} * {{ major_unit_share(currency) }} as decimal(30, 15))
{%- endmacro %}

-- The largest amount of one item that MRR is computed of, in the major unit: its exact quotients have to fit 38 digits.
{% macro largest_amount() -%}
    10000000000
{%- endmacro %}

-- A unit amount times a quantity; null where that is beyond the largest amount by far.
{% macro amount_of_quantity(unit_amount, quantity) -%}
    case
        when {{ quantity }} <= 10000000000
            then cast({{ unit_amount }} * cast({{ quantity }} as decimal(11, 0)) as decimal(38, 15))
    end
{%- endmacro %}

{% macro major_unit_share(currency) -%}
    case
        when upper({{ currency }}) in (
            'BIF', 'CLP', 'DJF', 'GNF', 'JPY', 'KMF', 'KRW', 'MGA', 'PYG', 'RWF', 'VND', 'VUV', 'XAF', 'XOF', 'XPF'
        ) then cast(1 as decimal(4, 3))
        when upper({{ currency }}) in ('BHD', 'JOD', 'KWD', 'OMR', 'TND') then cast(0.001 as decimal(4, 3))
        else cast(0.01 as decimal(4, 3))
    end
{%- endmacro %}

-- The segments that money is counted by; each names the column that its values stand in.
{% macro money_segments(names) -%}
    (values ('all'){% for name in names %}, ('{{ name }}'){% endfor %}) as segments (segment)
{%- endmacro %}

-- The value of the segment at hand, of a row that has one column a segment.
{% macro money_segment_value(row, names) -%}
    case segments.segment{% for name in names %} when '{{ name }}' then {{ row }}.{{ name }}{% endfor %} else 'all' end
{%- endmacro %}

-- An amount in the reporting currency, rounded once, half away from zero, to 6 decimals; null where the rate is not known.
-- It reads `context` and the day's row of fct_exchange_rates as `rates`, which may have none.
{% macro in_reporting_currency(amount, currency) -%}
    case
        when {{ currency }} = context.currency or {{ amount }} = 0 then cast({{ amount }} as decimal(38, 6))
        when {{ amount }} > 0
            then {{ exact_quotient(amount ~ ' * rates.reporting_units_per_euro', 'rates.units_per_euro') }}
        else -{{ exact_quotient('-' ~ amount ~ ' * rates.reporting_units_per_euro', 'rates.units_per_euro') }}
    end
{%- endmacro %}

-- What people call the interval that an item is billed in.
{% macro billing_cycle(item) -%}
    case
        when {{ item }}.billing_interval = 'month' and {{ item }}.interval_count = 12 then 'annual'
        when {{ item }}.interval_count > 1
            then 'every ' || cast({{ item }}.interval_count as varchar) || ' ' || {{ item }}.billing_interval || 's'
        when {{ item }}.billing_interval = 'month' then 'monthly'
        when {{ item }}.billing_interval = 'year' then 'annual'
        when {{ item }}.billing_interval = 'week' then 'weekly'
        when {{ item }}.billing_interval = 'day' then 'daily'
    end
{%- endmacro %}

-- What is paid for a billing period, by the month: rounded once, half up, to 6 decimals.
{% macro monthly(amount, interval, interval_count) -%}
    {{ exact_quotient(
        amount ~ " * case " ~ interval ~ " when 'week' then 52 when 'day' then 365 else 1 end",
        interval_count ~ " * case " ~ interval ~ " when 'month' then 1 else 12 end"
    ) }}
{%- endmacro %}

-- An amount that is not negative, divided by a positive one and rounded half up to so many decimals, exactly.
{% macro exact_quotient(amount, divisor, decimals=6) -%}
    {{ of_decimals(whole_quotient(
        2 * 10 ** decimals ~ ' * ' ~ whole_digits(amount) ~ ' + ' ~ whole_digits(divisor), '2 * ' ~ whole_digits(divisor)
    ), decimals) }}
{%- endmacro %}

-- What `numerator` of `denominator` parts of an amount are, none negative, rounded half up to 15 decimals: exactly, but
-- where the shortened fraction has too many digits. Then the quotient is rounded to 12 decimals first.
{% macro exact_share(amount, numerator, denominator) -%}
    {%- set common = 'gcd(' ~ whole_digits(numerator) ~ ', ' ~ whole_digits(denominator) ~ ')' -%}
    {%- set parts = whole_quotient(whole_digits(numerator), common) -%}
    {%- set whole = whole_quotient(whole_digits(denominator), common) -%}
    case
        when {{ numerator }} = {{ denominator }} then {{ amount }}
        when cast({{ whole_digits(amount) }} as double precision) * cast({{ parts }} as double precision) < 8e37
            then {{ of_decimals(whole_quotient(
                '2 * ' ~ whole_digits(amount) ~ ' * (' ~ parts ~ ') + (' ~ whole ~ ')', '2 * (' ~ whole ~ ')'
            ), 15) }}
        else cast({{ amount }} * cast({{ exact_quotient(numerator, denominator, 12) }} as decimal(13, 12)) as decimal(38, 15))
    end
{%- endmacro %}

-- A whole number of last decimals as the decimal that it is.
{% macro of_decimals(whole, decimals) -%}
    cast(cast({{ whole }} as decimal(38, 0)) * cast(0.{{ '0' * (decimals - 1) }}1 as decimal({{ decimals }}, {{ decimals }})) as decimal(38, {{ decimals }}))
{%- endmacro %}

-- Stretches of days as steps: each opens with its amount and closes with as much less, both no earlier than the first day
-- that is known. `stretches` has a to_date, which may be null; `covered` says which days are known.
{% macro opened_and_closed(stretches, columns, amount, began='from_date') -%}
    select
        {% for column in columns %}{{ stretches }}.{{ column }},
        {% endfor -%}
        greatest({{ stretches }}.{{ began }}, covered.first_day) as change_date,
        {{ stretches }}.{{ amount }} as change
    from {{ stretches }}
    inner join covered on {{ stretches }}.{{ began }} <= covered.last_day

    union all

    select
        {% for column in columns %}{{ stretches }}.{{ column }},
        {% endfor -%}
        greatest({{ stretches }}.to_date, covered.first_day),
        -{{ stretches }}.{{ amount }}
    from {{ stretches }}
    inner join covered on {{ stretches }}.to_date <= covered.last_day
{%- endmacro %}
