with source as (

    select * from {{ source('raw_prometheus', 'service_levels') }}

),

renamed as (

    select
        day as source_day,
        slo,
        service,
        starts_at,
        seconds,
        le as upper_bound,
        numerator,
        denominator,
        unknown_because
    from source

)

select * from renamed
