with objects as (

    select * from {{ ref('fct_objects_of_people') }}
    where segment = 'all'

),

profiles as (

    select * from {{ ref('stg_app_db__user_profiles') }}

),

landings as (

    select * from {{ ref('stg_lake__landings') }}

),

context as (

    select * from {{ source('config', 'run_context') }}

),

identities as (

    select * from {{ ref('int_identities_resolved') }}

),

landed_days as (

    select * from {{ ref('int_source_days_landed') }}
    where is_landed

),

comparisons as (

    select comparisons.kind, comparisons.what, comparisons.table_name
    from
        (
            values
            ('account', 'sign_ups: accounts in the app, registration events', 'user_profiles'),
            ('pet', 'pets_created: profiles in the app, events', 'pets'),
            ('alert', 'lost_pet_alerts: reports in the app, events', 'lost_pet_reports'),
            ('recovery', 'pets_recovered: reports in the app, events', 'lost_pet_reports')
        ) as comparisons (kind, what, table_name)

),

-- Days of which both sides tell.
compared_days as (

    select comparisons.kind, comparisons.what, app_days.day
    from comparisons
    inner join landed_days as app_days on app_days.source = 'app_db' and comparisons.table_name = app_days.table_name
    inner join landed_days as event_days
        on event_days.source = 'mixpanel' and event_days.table_name = 'events' and app_days.day = event_days.day

),

-- Of one kind: what a person has in the app and in events, on a day and on all days.
by_person as (

    select
        kind,
        person_id,
        change_date as day,
        sum(case when origin = 'app_db' then created else 0 end) as in_app,
        sum(case when origin = 'mixpanel' then created else 0 end) as in_events
    from objects
    group by kind, person_id, change_date

),

with_totals as (

    select
        *,
        in_app - in_events as difference,
        sum(in_app) over (partition by kind, person_id) - sum(in_events) over (partition by kind, person_id) as difference_in_all,
        min(case when in_events > 0 then day end) over (partition by kind) as first_event_day
    from by_person

),

account_holders as (

    select distinct coalesce(identities.person_id, profiles.user_id) as person_id
    from profiles
    left join identities on profiles.user_id = identities.raw_id

),

first_reading as (

    select min({{ local_date('landings.first_landed_as_of', 'context.timezone') }}) as day
    from landings
    cross join context
    where landings.source = 'app_db' and landings.table_name = 'user_profiles'

),

-- Each difference of a person has one cause, so that the causes of a day add up to its difference.
causes as (

    select
        with_totals.kind,
        with_totals.person_id,
        with_totals.day,
        abs(with_totals.difference) as objects,
        case
            -- What is too many on one day is lacking on another.
            when
                (with_totals.difference > 0 and with_totals.difference_in_all <= 0)
                or (with_totals.difference < 0 and with_totals.difference_in_all >= 0)
                then 'another day'
            when with_totals.difference > 0 and (with_totals.first_event_day is null or with_totals.day < with_totals.first_event_day)
                then 'before events'
            when with_totals.difference > 0 then 'no event'
            when account_holders.person_id is null and with_totals.day <= first_reading.day then 'deleted'
            when account_holders.person_id is null then 'no account'
            when with_totals.kind = 'account' then 'again'
            else 'more events'
        end as cause,
        with_totals.first_event_day,
        first_reading.day as first_reading_day
    from with_totals
    cross join first_reading
    left join account_holders on with_totals.person_id = account_holders.person_id
    where with_totals.difference <> 0

),

deleted_people as (

    select kind, count(distinct person_id) as people
    from causes
    where cause = 'deleted'
    group by kind

),

counted_causes as (

    select kind, day, cause, sum(objects) as objects, min(first_event_day) as first_event_day, min(first_reading_day) as first_reading_day
    from causes
    group by kind, day, cause

),

-- The likely ones first.
named_causes as (

    select
        counted_causes.kind,
        counted_causes.day,
        max(case
            when cause = 'deleted'
                then
                    'accounts that are only in events, so likely deleted before the app database was first read, on '
                    || cast(first_reading_day as varchar) || ': ' || cast(objects as varchar) || ' (of '
                    || cast(deleted_people.people as varchar) || ' such accounts in all)'
        end) as deleted,
        max(case when cause = 'no event' then 'in the app without an event, likely lost: ' || cast(objects as varchar) end) as no_event,
        max(case
            when cause = 'before events'
                then
                    'in the app before any such event, the first of which is '
                    || coalesce('of ' || cast(first_event_day as varchar), 'still to come') || ': ' || cast(objects as varchar)
        end) as before_events,
        max(case when cause = 'again' then 'events sent again for the same account: ' || cast(objects as varchar) end) as again,
        max(case
            when cause = 'more events'
                then
                    'more events than the account has in the app, sent again or deleted there, which is not known: '
                    || cast(objects as varchar)
        end) as more_events,
        max(case when cause = 'another day' then 'in events on another day than in the app: ' || cast(objects as varchar) end)
            as another_day,
        max(case when cause = 'no account' then 'events without an account in the app, why is not known: ' || cast(objects as varchar) end)
            as no_account
    from counted_causes
    left join deleted_people on counted_causes.kind = deleted_people.kind
    group by counted_causes.kind, counted_causes.day

),

sums as (

    select kind, day, sum(in_app) as in_app, sum(in_events) as in_events
    from by_person
    group by kind, day

),

objects_and_events as (

    select
        compared_days.what,
        compared_days.day as period_start,
        cast(null as varchar) as currency,
        cast(coalesce(sums.in_app, 0) as decimal(38, 3)) as left_value,
        cast(coalesce(sums.in_events, 0) as decimal(38, 3)) as right_value,
        concat_ws(
            '; ', named_causes.deleted, named_causes.no_event, named_causes.before_events, named_causes.again,
            named_causes.more_events, named_causes.another_day, named_causes.no_account
        ) as reason
    from compared_days
    left join sums on compared_days.kind = sums.kind and compared_days.day = sums.day
    left join named_causes on compared_days.kind = named_causes.kind and compared_days.day = named_causes.day

),

app_subscriptions as (

    select * from {{ ref('stg_app_db__subscriptions') }}

),

subscriptions as (

    select * from {{ ref('stg_stripe__subscriptions') }}

),

customers as (

    select * from {{ ref('int_customers_identified') }}

),

stripe_subscribers as (

    select * from {{ ref('metric_subscriptions') }}
    where metric_id = 'subscribers' and grain = 'day' and segment = 'all'

),

-- Until the next version, an app's subscription is what it was seen to be.
paid_in_the_app as (

    select
        coalesce(identities.person_id, app_subscriptions.user_id) as person_id,
        {{ local_date('app_subscriptions.observed_at', 'context.timezone') }} as from_date,
        {{ local_date('app_subscriptions.next_observed_at', 'context.timezone') }} as to_date
    from app_subscriptions
    cross join context
    left join identities on app_subscriptions.user_id = identities.raw_id
    where
        app_subscriptions.tier <> 'free'
        and app_subscriptions.status in ('active', 'past_due')
        and not app_subscriptions.is_deleted
        and not coalesce(identities.is_excluded, false)

),

first_seen as (

    select min({{ local_date('app_subscriptions.observed_at', 'context.timezone') }}) as first_day
    from app_subscriptions
    cross join context

),

trial_terms as (

    select
        customer_id,
        subscription_id,
        min(created_at) as started_at,
        least(max(trial_end_at), min(ended_at)) as ended_at
    from subscriptions
    where trial_end_at is not null
    group by customer_id, subscription_id

),

trials as (

    select
        customers.person_id,
        {{ local_date('trial_terms.started_at', 'context.timezone') }} as from_date,
        {{ local_date('trial_terms.ended_at', 'context.timezone') }} as to_date
    from trial_terms
    cross join context
    inner join customers on trial_terms.customer_id = customers.customer_id
    where not customers.is_excluded

),

-- Paid plans of the app while Stripe has their person on trial.
paid_on_trial as (

    select
        greatest(paid_in_the_app.from_date, trials.from_date) as from_date,
        least(paid_in_the_app.to_date, trials.to_date) as to_date
    from paid_in_the_app
    inner join trials
        on
            paid_in_the_app.person_id = trials.person_id
            and paid_in_the_app.from_date < trials.to_date
            and (paid_in_the_app.to_date is null or paid_in_the_app.to_date > trials.from_date)

),

paid_changes as (

    select from_date as day, 1 as change, 0 as change_on_trial from paid_in_the_app
    union all
    select to_date, -1, 0 from paid_in_the_app
    where to_date is not null
    union all
    select from_date, 0, 1 from paid_on_trial
    union all
    select to_date, 0, -1 from paid_on_trial

),

changes_by_day as (

    select day, sum(change) as change, sum(change_on_trial) as change_on_trial
    from paid_changes
    group by day

),

seen_days as (

    select app_days.day
    from landed_days as app_days
    cross join first_seen
    inner join landed_days as stripe_days
        on
            app_days.day = stripe_days.day
            and stripe_days.source = 'stripe'
            and stripe_days.table_name = 'subscriptions'
    where
        app_days.source = 'app_db'
        and app_days.table_name = 'subscriptions'
        and app_days.day >= first_seen.first_day

),

plans_and_subscribers as (

    select
        seen_days.day,
        cast(sum(coalesce(changes_by_day.change, 0)) over (order by seen_days.day) as bigint) as paid,
        cast(sum(coalesce(changes_by_day.change_on_trial, 0)) over (order by seen_days.day) as bigint) as on_trial,
        cast(coalesce(stripe_subscribers.value, 0) as bigint) as subscribed
    from seen_days
    left join changes_by_day on seen_days.day = changes_by_day.day
    left join stripe_subscribers on seen_days.day = stripe_subscribers.period_start

),

subscribers as (

    select
        'subscribers: paid plans in the app, customers with MRR in Stripe' as what,
        day as period_start,
        cast(null as varchar) as currency,
        cast(paid as decimal(38, 3)) as left_value,
        cast(subscribed as decimal(38, 3)) as right_value,
        concat_ws(
            '; ',
            case
                when on_trial > 0 then 'paid plans in the app that are on trial in Stripe, without MRR yet: ' || cast(on_trial as varchar)
            end,
            case
                when
                    paid - on_trial > subscribed
                    then 'more in the app, why is not known: ' || cast(paid - on_trial - subscribed as varchar)
                when paid - on_trial < subscribed then 'more in Stripe, why is not known: ' || cast(subscribed - paid + on_trial as varchar)
            end
        ) as reason
    from plans_and_subscribers

),

attempts as (

    select * from {{ ref('fct_payment_attempts') }}

),

balance_changes as (

    select * from {{ ref('fct_balance_changes') }}
    where kind = 'charge'

),

volumes as (

    select charge_id, attempt_date as day, currency, captured_amount as charged, 0 as settled from attempts
    where captured_amount > 0
    union all
    select charge_id, change_date, currency, 0, amount from balance_changes

),

sides as (

    select
        charge_id,
        max(case when charged <> 0 then day end) as charged_day,
        max(case when charged <> 0 then currency end) as charged_currency,
        min(case when settled <> 0 then day end) as settled_day,
        min(case when settled <> 0 then currency end) as settled_currency
    from volumes
    where charge_id is not null
    group by charge_id

),

of_charges as (

    select volumes.day, volumes.currency, volumes.charge_id, sum(volumes.charged) as charged, sum(volumes.settled) as settled
    from volumes
    group by volumes.day, volumes.currency, volumes.charge_id

),

-- What is paid out in another currency than it was charged in appears under both.
causes_of_charges as (

    select
        of_charges.*,
        of_charges.charged <> of_charges.settled and sides.settled_day is null as is_unsettled,
        of_charges.charged <> of_charges.settled and sides.settled_currency <> sides.charged_currency as is_exchanged,
        of_charges.charged <> of_charges.settled
        and sides.settled_currency = sides.charged_currency
        and sides.settled_day <> sides.charged_day as is_on_another_day
    from of_charges
    left join sides on of_charges.charge_id = sides.charge_id

),

gross_days as (

    select
        day,
        currency,
        sum(charged) as charged,
        sum(settled) as settled,
        sum(case when is_unsettled then 1 else 0 end) as unsettled,
        sum(case when is_exchanged then 1 else 0 end) as exchanged,
        sum(case when is_on_another_day then 1 else 0 end) as on_another_day,
        sum(
            case
                when
                    charged <> settled
                    and not coalesce(is_unsettled, false)
                    and not coalesce(is_exchanged, false)
                    and not coalesce(is_on_another_day, false)
                    then 1
                else 0
            end
        ) as unexplained
    from causes_of_charges
    group by day, currency

),

gross as (

    select
        'gross_volume: captured charges, balance transactions' as what,
        gross_days.day as period_start,
        gross_days.currency,
        cast(gross_days.charged as decimal(38, 3)) as left_value,
        cast(gross_days.settled as decimal(38, 3)) as right_value,
        concat_ws(
            '; ',
            case when unsettled > 0 then 'charges without a balance transaction yet: ' || cast(unsettled as varchar) end,
            case when exchanged > 0 then 'charges settled in another currency: ' || cast(exchanged as varchar) end,
            case when on_another_day > 0 then 'charges settled on another day: ' || cast(on_another_day as varchar) end,
            case when unexplained > 0 then 'amounts that differ, why is not known: ' || cast(unexplained as varchar) end
        ) as reason
    from gross_days
    inner join landed_days
        on
            gross_days.day = landed_days.day
            and landed_days.source = 'stripe'
            and landed_days.table_name = 'balance_transactions'

),

compared as (

    select * from objects_and_events
    union all
    select * from subscribers
    union all
    select * from gross

)

select
    what,
    period_start,
    currency,
    left_value,
    right_value,
    cast(left_value - right_value as decimal(38, 3)) as difference,
    case when left_value <> right_value then coalesce(nullif(reason, ''), 'not known') end as reason
from compared
