with accounts as (

    select * from {{ ref('fct_objects_of_people') }}
    where kind = 'account' and created > 0 and person_id <> '(unknown)'

),

lives as (

    select * from {{ ref('fct_subscriber_lives') }}
    where segment = 'all'

),

customers as (

    select * from {{ ref('int_customers_identified') }}
    where not is_excluded and person_id is not null

),

-- Who signs up again is no newcomer.
first_sign_ups as (

    select origin, person_id, min(change_date) as signed_up_date
    from accounts
    group by origin, person_id

),

first_payments as (

    select customers.person_id, min(lives.began_date) as paying_date
    from lives
    inner join customers on lives.customer_id = customers.customer_id
    group by customers.person_id

)

select
    first_sign_ups.origin,
    accounts.segment,
    accounts.segment_value,
    first_sign_ups.person_id,
    first_sign_ups.signed_up_date,
    first_payments.paying_date
from first_sign_ups
inner join accounts
    on
        first_sign_ups.origin = accounts.origin
        and first_sign_ups.person_id = accounts.person_id
        and first_sign_ups.signed_up_date = accounts.change_date
left join first_payments on first_sign_ups.person_id = first_payments.person_id
