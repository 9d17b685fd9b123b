-- One row a macro of macros/dialect.sql: what it gives against what it should.
with given as (

    select
        '{"a/b":{"c":1}, "$x": "y", "list": ["p", "q"], "none": null, "number": 12345678901234567890,
        "five": 5e0, "small": 0.12345678901, "cart": {"total": 5.0, "list": [7], "of": "two  words"},
        "own.name": "o", "own": {"name": "n"}, "said": "\"5\\"}' as properties,
        '$x' as key,
        timestamp '2024-03-30 23:30:00' as before_clocks_change,
        timestamp '2024-03-31 22:30:00' as after_clocks_change,
        'Europe/Berlin' as timezone

),

parsed as (

    select
        {{ json_texts('properties', ['$x', 'list.1', 'none']) }} as texts,
        {{ json_texts("'\"text\"'", ['']) }} as whole
    from given

),

listed as (

    select {{ json_elements('properties', 'list') }} as element, {{ json_positions('properties', 'list') }} as position
    from given

),

not_listed as (

    select {{ json_elements('properties', 'none') }} as element
    from given

),

names_of_numbers as (

    select 'number' as name

),

checks as (

    select 'schema_there' as what, right('{{ schema_there('marts') }}', 5) as found, 'marts' as expected from given
    union all
    select 'json_text, key in a column', {{ json_text('properties', 'key') }}, 'y' from given
    union all
    select 'json_text, slash in the key', {{ json_text('properties', "'a/b'") }}, '{"c":1}' from given
    union all
    select 'json_text, null', {{ json_text('properties', "'none'") }}, null from given
    union all
    select 'json_text, large number', {{ json_text('properties', "'number'") }}, '12345678901234567890' from given
    union all
    select 'json_value, number', {{ json_value('properties', "'five'") }}, '5' from given
    union all
    select 'json_value, large number', {{ json_value('properties', "'number'") }}, '12345678901234567890' from given
    union all
    select 'json_value, many decimals', {{ json_value('properties', "'small'") }}, '0.12345678901' from given
    union all
    select 'json_value, nested', {{ json_value('properties', "'cart.total'") }}, '5' from given
    union all
    select 'json_value, own name', {{ json_value('properties', "'own.name'") }}, 'o' from given
    union all
    select 'json_value, array', {{ json_value('properties', "'cart.list.0'") }}, null from given
    union all
    select 'json_value, quotes', {{ json_value('properties', "'said'") }}, '"5\' from given
    union all
    select 'json_value, object', {{ json_value('properties', "'cart'") }}, '{"total":5.0,"list":[7],"of":"two  words"}' from given
    union all
    select 'json_value, null', {{ json_value('properties', "'none'") }}, null from given
    union all
    select 'trimmed', {{ trimmed("' \"null'' '") }}, 'null' from given
    union all
    select 'json_array_text', {{ json_array_text('properties', "'list'", 1) }}, 'q' from given
    union all
    select 'local_date, winter', cast({{ local_date('before_clocks_change', 'timezone') }} as varchar), '2024-03-31' from given
    union all
    select 'local_date, summer', cast({{ local_date('after_clocks_change', 'timezone') }} as varchar), '2024-04-01' from given
    union all
    select 'local_date, UTC', cast({{ local_date('before_clocks_change', "'UTC'") }} as varchar), '2024-03-30' from given
    union all
    select 'to_utc, an hour twice', cast({{ to_utc("timestamp '2024-10-27 02:30:00'", 'timezone') }} as varchar), '2024-10-27 01:30:00'
    from given
    union all
    select 'to_utc, an hour left out', cast({{ to_utc("timestamp '2024-03-31 02:30:00'", 'timezone') }} as varchar), '2024-03-31 01:30:00'
    from given
    union all
    select 'to_utc', cast({{ to_utc('after_clocks_change', 'timezone') }} as varchar), '2024-03-31 20:30:00' from given
    union all
    select 'days_between', cast({{ days_between("date '2024-02-28'", "date '2024-03-01'") }} as varchar), '2' from given
    union all
    select 'add_days', cast({{ add_days("date '2024-02-28'", 2) }} as varchar), '2024-03-01' from given
    union all
    select 'add_seconds', cast({{ add_seconds('before_clocks_change', 1800) }} as varchar), '2024-03-31 00:00:00' from given
    union all
    select
        'seconds_between',
        cast(cast({{ seconds_between('before_clocks_change', 'after_clocks_change') }} as decimal(18, 1)) as varchar),
        '82800.0'
    from given
    union all
    select 'divide', cast({{ divide(1, 4) }} as varchar), '0.25' from given
    union all
    select 'divide by zero', cast({{ divide(1, 0) }} as varchar), null from given
    union all
    select 'to_decimal', cast({{ to_decimal("'-12.5'") }} as varchar), '-12.5000000000' from given
    union all
    select 'to_decimal, too large', cast({{ to_decimal("'1e30'") }} as varchar), null from given
    union all
    select 'to_decimal, no number', cast({{ to_decimal("'1e'") }} as varchar), null from given
    union all
    select 'to_decimal, in any form', cast({{ to_decimal("' +.5e1 '") }} as varchar), '5.0000000000' from given
    union all
    select 'json_texts and text_at', {{ text_at('texts', 1) }}, 'q' from parsed
    union all
    select 'json_texts, null', {{ text_at('texts', 2) }}, null from parsed
    union all
    select 'json_texts, the whole', {{ text_at('whole', 0) }}, 'text' from parsed
    union all
    select 'json_elements', min(cast(element as varchar)), '"p"' from listed
    union all
    select 'json_elements, all of them', cast(count(*) as varchar), '2' from listed
    union all
    select 'json_elements, none', cast(count(*) as varchar), '0' from not_listed
    union all
    select 'utc_of_seconds', cast({{ utc_of_seconds("'1711838400'") }} as varchar), '2024-03-30 22:40:00' from given
    union all
    select 'json_positions', cast(max(position) as varchar), '2' from listed
    union all
    select 'json_names', min(name), 'k' from (select {{ json_names("'{\"k\": 1, \"l\": 2}'") }} as name from given) as named
    union all
    select 'try_decimal', cast({{ try_decimal("'999.5'", 4, 1) }} as varchar), '999.5' from given
    union all
    select 'try_decimal, too large', cast({{ try_decimal("'9999.5'", 4, 1) }} as varchar), null from given
    union all
    select 'exact_quotient, to 12 decimals', cast({{ exact_quotient('2', '3', 12) }} as varchar), '0.666666666667' from given
    union all
    select 'try_decimal, short', cast({{ try_decimal("'-12.345'", 24, 12) }} as varchar), '-12.345000000000' from given
    union all
    select 'try_decimal, long', cast({{ try_decimal("'123456789012.1234567'", 24, 12) }} as varchar), '123456789012.123456700000'
    from given
    union all
    select 'whole_number', cast({{ whole_number("'-9223372036854775808'") }} as varchar), '-9223372036854775808' from given
    union all
    select 'sorted_list', {{ sorted_list('names.name') }}, 'C,a,b'
    from (values ('b'), ('C'), ('a')) as names (name)
    union all
    select 'exact_quotient, rounded up', cast({{ exact_quotient('50.00', '12') }} as varchar), '4.166667' from given
    union all
    select 'exact_quotient, half', cast({{ exact_quotient('0.000001', '2') }} as varchar), '0.000001' from given
    union all
    select 'whole_quotient', cast({{ whole_quotient(whole_digits('7.5'), whole_digits('2')) }} as varchar), '3' from given
    union all
    select 'exact_share, half', cast({{ exact_share(
        'cast(8.99 as decimal(38, 15))', 'cast(28.44625 as decimal(38, 15))', 'cast(35.96 as decimal(38, 15))'
    ) }} as varchar), '7.111562500000000' from given
    union all
    select 'exact_share, too long a fraction', cast({{ exact_share(
        'cast(9999999999 as decimal(38, 15))', 'cast(1000000000.000000000000001 as decimal(38, 15))',
        'cast(3000000000 as decimal(38, 15))'
    ) }} as varchar), '3333333332.996666666667000' from given
    union all
    select 'whole_digits', cast({{ whole_digits('0.25') }} as varchar), '250000000000000' from given
    union all
    select 'is_in_column', cast({{ is_in_column("'number'", 'names_of_numbers', 'name') }} as varchar), 'true' from given
    union all
    select 'is_in_column, not', cast({{ is_in_column("'numbers'", 'names_of_numbers', 'name') }} as varchar), 'false' from given
    union all
    select 'is_in_column, of nothing', cast({{ is_in_column("'$x'", 'not_listed', 'cast(element as varchar)') }} as varchar), 'false'
    from given
    union all
    select 'holds_for_any', cast({{ holds_for_any('listed', 'listed', 'listed.position = one.number') }} as varchar), 'true'
    from (values (2)) as one (number)
    union all
    select 'holds_for_any, none', cast({{ holds_for_any('listed', 'listed', 'listed.position = 3') }} as varchar), 'false' from given
    union all
    select 'holds_for_any, of nothing', cast({{ holds_for_any('not_listed', 'not_listed', 'true') }} as varchar), 'false' from given
    union all
    select 'run_date', cast({{ run_date('a_date_that_nobody_gave') }} as varchar), null from given
    union all
    select 'is_run_date', cast({{ is_run_date("date '2024-01-01'", 'dates_that_nobody_gave') }} as varchar), null from given
    union all
    select 'is_run', cast({{ is_run('what_nobody_told') }} as varchar), 'false' from given
    union all
    select 'exact_quotient, large', cast({{ exact_quotient('123456789012345.67', '1') }} as varchar), '123456789012345.670000' from given

)

select * from checks
where found is distinct from expected
