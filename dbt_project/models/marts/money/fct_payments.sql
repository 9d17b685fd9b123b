with attempts as (

    select * from {{ ref('fct_payment_attempts') }}

),

invoices as (

    select * from {{ ref('stg_stripe__invoices') }}

),

subscriptions as (

    select * from {{ ref('stg_stripe__subscriptions') }}

),

decline_codes as (

    select * from {{ source('config', 'decline_codes') }}

),

-- A trial may have been moved: what was said of it last holds.
trials as (

    select
        subscription_id,
        trial_end_at,
        row_number() over (partition by subscription_id, trial_start_at order by version desc) as recency
    from subscriptions
    where trial_end_at is not null

),

invoices_after_trials as (

    select
        invoices.invoice_id,
        row_number() over (
            partition by trials.subscription_id, trials.trial_end_at
            order by invoices.created_at, invoices.invoice_id
        ) as position
    from trials
    inner join invoices
        on
            trials.subscription_id = invoices.subscription_id
            and trials.trial_end_at <= invoices.created_at
    where trials.recency = 1

),

recurring_invoices as (

    select invoices.invoice_id
    from invoices
    left join invoices_after_trials
        on
            invoices.invoice_id = invoices_after_trials.invoice_id
            and invoices_after_trials.position = 1
    where invoices.billing_reason = 'subscription_cycle' and invoices_after_trials.invoice_id is null

),

declines as (

    select payment_id, attempt_number, decline_code from attempts
    where decline_code is not null

),

-- Nearly all payments are one attempt, which says all of them: only where there are several are they to be put together.
repeated as (

    select distinct payment_id from attempts
    where attempt_number = 2

),

several as (

    select
        attempts.payment_id,
        max(attempts.invoice_id) as invoice_id,
        count(*) as attempts,
        sum(case when attempts.outcome = 'succeeded' then 1 else 0 end) as succeeded_attempts,
        sum(case when attempts.outcome = 'failed' then 1 else 0 end) as failed_attempts,
        sum(case when attempts.outcome = 'pending' then 1 else 0 end) as pending_attempts,
        min(case when attempts.decline_code is not null then attempts.attempt_number end) as first_declined,
        min(case when attempts.outcome = 'succeeded' then attempts.attempt_date end) as paid_date
    from attempts
    inner join repeated on attempts.payment_id = repeated.payment_id
    group by attempts.payment_id

),

-- The first attempt is one of several: what it says, they say.
decided as (

    select
        first_attempts.*,
        coalesce(several.invoice_id, first_attempts.invoice_id) as paid_invoice_id,
        coalesce(several.attempts, 1) as attempts,
        coalesce(several.succeeded_attempts, case when first_attempts.outcome = 'succeeded' then 1 else 0 end) as succeeded_attempts,
        coalesce(several.failed_attempts, case when first_attempts.outcome = 'failed' then 1 else 0 end) as failed_attempts,
        coalesce(several.pending_attempts, case when first_attempts.outcome = 'pending' then 1 else 0 end) as pending_attempts,
        coalesce(several.first_declined, case when first_attempts.decline_code is not null then 1 end) as first_declined,
        coalesce(several.paid_date, case when first_attempts.outcome = 'succeeded' then first_attempts.attempt_date end) as paid_date
    from attempts as first_attempts
    left join several on first_attempts.payment_id = several.payment_id
    where first_attempts.attempt_number = 1

)

select
    decided.payment_id,
    decided.paid_invoice_id as invoice_id,
    decided.customer_id,
    decided.attempt_date as first_attempt_date,
    decided.outcome as first_attempt_outcome,
    case
        when decided.outcome = 'succeeded' then 'first_attempt'
        when decided.succeeded_attempts > 0 then 'recovered'
        when decided.failed_attempts > 0 then 'failed'
        when decided.pending_attempts > 0 then 'pending'
        else 'blocked'
    end as outcome,
    decided.paid_date,
    first_declines.decline_code,
    case when first_declines.decline_code is not null then coalesce(decline_codes.kind, 'unknown') end as decline_kind,
    decided.currency,
    decided.amount,
    decided.card_brand,
    decided.country,
    decided.wallet,
    decided.three_d_secure,
    recurring_invoices.invoice_id is not null as is_recurring,
    decided.attempts,
    decided.succeeded_attempts,
    decided.failed_attempts
from decided
left join declines as first_declines
    on
        decided.payment_id = first_declines.payment_id
        and decided.first_declined = first_declines.attempt_number
left join decline_codes on first_declines.decline_code = decline_codes.decline_code
left join recurring_invoices on decided.paid_invoice_id = recurring_invoices.invoice_id
