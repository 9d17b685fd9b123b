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

decided as (

    select
        payment_id,
        max(invoice_id) as invoice_id,
        count(*) as attempts,
        sum(case when outcome = 'succeeded' then 1 else 0 end) as succeeded_attempts,
        sum(case when outcome = 'failed' then 1 else 0 end) as failed_attempts,
        sum(case when outcome = 'pending' then 1 else 0 end) as pending_attempts,
        min(case when decline_code is not null then attempt_number end) as first_declined,
        min(case when outcome = 'succeeded' then attempt_date end) as paid_date
    from attempts
    group by payment_id

)

select
    decided.payment_id,
    decided.invoice_id,
    first_attempts.customer_id,
    first_attempts.attempt_date as first_attempt_date,
    first_attempts.outcome as first_attempt_outcome,
    case
        when first_attempts.outcome = 'succeeded' then 'first_attempt'
        when decided.succeeded_attempts > 0 then 'recovered'
        when decided.failed_attempts > 0 then 'failed'
        when decided.pending_attempts > 0 then 'pending'
        else 'blocked'
    end as outcome,
    decided.paid_date,
    first_declines.decline_code,
    case when first_declines.decline_code is not null then coalesce(decline_codes.kind, 'unknown') end as decline_kind,
    first_attempts.currency,
    first_attempts.amount,
    first_attempts.card_brand,
    first_attempts.country,
    first_attempts.wallet,
    first_attempts.three_d_secure,
    recurring_invoices.invoice_id is not null as is_recurring,
    decided.attempts,
    decided.succeeded_attempts,
    decided.failed_attempts
from decided
inner join attempts as first_attempts
    on
        decided.payment_id = first_attempts.payment_id
        and first_attempts.attempt_number = 1
left join declines as first_declines
    on
        decided.payment_id = first_declines.payment_id
        and decided.first_declined = first_declines.attempt_number
left join decline_codes on first_declines.decline_code = decline_codes.decline_code
left join recurring_invoices on decided.invoice_id = recurring_invoices.invoice_id
