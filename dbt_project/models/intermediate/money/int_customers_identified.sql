{{ config(materialized='table') }}

with customers as (

    select * from {{ ref('stg_stripe__customers') }}

),

subscriptions as (

    select * from {{ ref('stg_stripe__subscriptions') }}

),

charges as (

    select * from {{ ref('stg_stripe__charges') }}

),

app_subscriptions as (

    select * from {{ ref('stg_app_db__subscriptions') }}

),

identities as (

    select * from {{ ref('int_identities_resolved') }}

),

-- Whoever is named somewhere counts, also where the customer itself is not there any more.
known_ids as (

    select customer_id from customers
    union
    select customer_id from subscriptions
    union
    select customer_id from charges
    where customer_id is not null

),

users_of_subscriptions as (

    select
        customer_id,
        user_id,
        row_number() over (partition by customer_id order by created_at desc, subscription_id desc, version desc) as recency
    from subscriptions
    where {{ somebodys_id('user_id') }} is not null

),

-- Where Stripe names no user, the app may know whose customer it is.
users_in_the_app as (

    select
        stripe_customer_id as customer_id,
        user_id,
        row_number() over (partition by stripe_customer_id order by observed_at desc, subscription_id desc) as recency
    from app_subscriptions
    where stripe_customer_id is not null and {{ somebodys_id('user_id') }} is not null

),

countries_of_cards as (

    select
        customer_id,
        country,
        row_number() over (partition by customer_id order by created_at, charge_id) as position
    from charges
    where country is not null

),

linked as (

    select
        known_ids.customer_id,
        coalesce(
            {{ somebodys_id('customers.user_id') }}, users_of_subscriptions.user_id, users_in_the_app.user_id
        ) as user_id,
        coalesce(customers.country, countries_of_cards.country, '(unknown)') as country
    from known_ids
    left join customers on known_ids.customer_id = customers.customer_id
    left join users_of_subscriptions
        on
            known_ids.customer_id = users_of_subscriptions.customer_id
            and users_of_subscriptions.recency = 1
    left join users_in_the_app
        on
            known_ids.customer_id = users_in_the_app.customer_id
            and users_in_the_app.recency = 1
    left join countries_of_cards
        on
            known_ids.customer_id = countries_of_cards.customer_id
            and countries_of_cards.position = 1

)

select
    linked.customer_id,
    linked.user_id,
    coalesce(identities.person_id, linked.user_id) as person_id,
    linked.country,
    coalesce(identities.is_excluded, false) as is_excluded
from linked
left join identities on linked.user_id = identities.raw_id
