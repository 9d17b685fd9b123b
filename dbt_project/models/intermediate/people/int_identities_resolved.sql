{{ config(materialized='table') }}

with recursive ties as (

    select * from {{ ref('int_identity_ties') }}

),

excluded_users as (

    select * from {{ source('config', 'excluded_users') }}

),

-- A device belongs to the first user it was seen with.
device_claims as (

    select
        raw_id,
        tied_to,
        row_number() over (
            partition by raw_id
            order by first_tied_at, tied_to
        ) as claim
    from ties
    where kind = 'user'

),

owners as (

    select raw_id, tied_to as owner_id
    from device_claims
    where claim = 1

),

declared as (

    select
        coalesce(left_owners.owner_id, ties.raw_id) as left_id,
        coalesce(right_owners.owner_id, ties.tied_to) as right_id
    from ties
    left join owners as left_owners on ties.raw_id = left_owners.raw_id
    left join owners as right_owners on ties.tied_to = right_owners.raw_id
    where ties.kind = 'declared'

),

-- An owner whose id is itself a device that belongs to someone else is one more link.
links as (

    select left_id, right_id from declared
    union
    select right_id as left_id, left_id as right_id from declared
    union
    select owners.owner_id as left_id, owners_of_owners.owner_id as right_id
    from owners
    inner join owners as owners_of_owners on owners.owner_id = owners_of_owners.raw_id
    union
    select owners_of_owners.owner_id as left_id, owners.owner_id as right_id
    from owners
    inner join owners as owners_of_owners on owners.owner_id = owners_of_owners.raw_id

),

reached as (

    select left_id as raw_id, left_id as reached_id
    from links
    union
    select reached.raw_id, links.right_id
    from reached
    inner join links on reached.reached_id = links.left_id

),

named_ids as (

    select distinct tied_to as id
    from ties

),

-- A person goes by the id of a user where there is one, and by the smallest of several.
components as (

    select
        reached.raw_id,
        coalesce(min(named_ids.id), min(reached.reached_id)) as person_id
    from reached
    left join named_ids on reached.reached_id = named_ids.id
    group by reached.raw_id

),

known_ids as (

    select raw_id from components
    union
    select raw_id from owners
    union
    select owner_id from owners
    union
    select user_id from excluded_users

),

resolved as (

    select
        known_ids.raw_id,
        coalesce(
            components_of_owners.person_id, owners.owner_id, components.person_id, known_ids.raw_id
        ) as person_id
    from known_ids
    left join owners on known_ids.raw_id = owners.raw_id
    left join components as components_of_owners on owners.owner_id = components_of_owners.raw_id
    left join components on known_ids.raw_id = components.raw_id

),

excluded_people as (

    select distinct resolved.person_id
    from resolved
    inner join excluded_users on resolved.raw_id = excluded_users.user_id

)

select
    resolved.raw_id,
    resolved.person_id,
    excluded_people.person_id is not null as is_excluded
from resolved
left join excluded_people on resolved.person_id = excluded_people.person_id
