{{ config(
    materialized='incremental',
    incremental_strategy='replace_landed',
    unique_key='subscription_id',
    meta={'replaces': 'stripe.subscriptions'}
) }}

{%- set fields = {
    'customer_id': 'customer',
    'user_id': 'metadata.supabase_user_id',
    'status': 'status',
    'currency': 'currency',
    'trial_start': 'trial_start',
    'trial_end': 'trial_end',
    'old_period_start': 'current_period_start',
    'old_period_end': 'current_period_end',
    'new_period_start': 'items.data.0.current_period_start',
    'new_period_end': 'items.data.0.current_period_end',
    'is_cancel_at_period_end': 'cancel_at_period_end',
    'cancel_at': 'cancel_at',
    'canceled_at': 'canceled_at',
    'ended_at': 'ended_at',
    'cancellation_reason': 'cancellation_details.reason',
    'pause_behavior': 'pause_collection.behavior',
    'resumes_at': 'pause_collection.resumes_at',
    'test_clock_id': 'test_clock',
    'has_more_items': 'items.has_more',
    'payment_method_id': 'default_payment_method',
    'payment_source_id': 'default_source',
} %}

with versions as (

    {{ stripe_subscription_versions() }}

),

parsed as (

    select
        object_id,
        version,
        effective_at,
        origin,
        is_deleted,
        observed_at,
        created_at,
        position('"default_payment_method":' in content) > 0 as tells_payment_method,
        {{ json_texts('content', fields.values() | list) }} as texts
    from versions

),

subscriptions as (

    select
        object_id,
        version,
        effective_at,
        origin,
        is_deleted,
        observed_at,
        created_at,
        tells_payment_method,
        {{ named_texts(fields) }}
    from parsed

)

select
    object_id as subscription_id,
    version,
    effective_at,
    origin,
    is_deleted,
    observed_at,
    customer_id,
    nullif(user_id, '') as user_id,
    status,
    upper(currency) as currency,
    pause_behavior is not null as is_collection_paused,
    {{ utc_of_seconds('resumes_at') }} as collection_resumes_at,
    is_cancel_at_period_end = 'true' as is_cancel_at_period_end,
    cancellation_reason,
    test_clock_id,
    coalesce(has_more_items = 'true', false) as has_more_items,
    {{ stripe_has_payment_method() }} as has_payment_method,
    created_at,
    {{ utc_of_seconds('trial_start') }} as trial_start_at,
    {{ utc_of_seconds('trial_end') }} as trial_end_at,
    {{ utc_of_seconds('coalesce(old_period_start, new_period_start)') }} as period_start_at,
    {{ utc_of_seconds('coalesce(old_period_end, new_period_end)') }} as period_end_at,
    {{ utc_of_seconds('cancel_at') }} as cancel_at,
    {{ utc_of_seconds('canceled_at') }} as canceled_at,
    {{ utc_of_seconds('ended_at') }} as ended_at
from subscriptions
where customer_id is not null
