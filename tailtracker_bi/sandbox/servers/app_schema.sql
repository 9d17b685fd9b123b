-- The tables of the app, personal columns and all. `geography` stands in as text: PostGIS is not at hand.
create domain geography as text;
create type species as enum ('dog', 'cat', 'bird', 'other');
create type tier as enum ('free', 'premium', 'pro');
create type billing_cycle as enum ('monthly', 'annual');

create table user_profiles (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null unique default gen_random_uuid(),
    full_name text,
    email text,
    phone text,
    preferences jsonb default '{}',
    subscription_status text check (subscription_status in ('active', 'inactive', 'canceled', 'past_due')),
    subscription_expires_at timestamptz,
    location_sharing_enabled boolean default false,
    notification_preferences jsonb default '{}',
    privacy_settings jsonb default '{}',
    created_at timestamptz default now(),
    updated_at timestamptz default now()
);
create table pets (
    id uuid primary key default gen_random_uuid(),
    user_id uuid references user_profiles (user_id) on delete cascade,
    name text,
    species species,
    breed text,
    date_of_birth date,
    gender text,
    weight numeric,
    photos text[],
    microchip_id text,
    status text default 'active' check (status in ('active', 'lost', 'found', 'inactive', 'deceased')),
    profile_completeness integer,
    is_public boolean default false,
    created_at timestamptz default now(),
    updated_at timestamptz default now()
);
create table lost_pet_reports (
    id uuid primary key default gen_random_uuid(),
    pet_id uuid references pets (id) on delete cascade,
    user_id uuid references user_profiles (user_id) on delete cascade,
    status text default 'active' check (status in ('active', 'found', 'canceled')),
    last_seen_date timestamptz,
    last_seen_location geography,
    urgency text check (urgency in ('low', 'medium', 'high', 'critical')),
    alert_radius integer,
    reward_amount numeric(10, 2),
    is_resolved boolean default false,
    found_date timestamptz,
    description text,
    created_at timestamptz default now(),
    updated_at timestamptz default now()
);
create table pet_sightings (
    id uuid primary key default gen_random_uuid(),
    lost_pet_report_id uuid references lost_pet_reports (id) on delete cascade,
    reporter_user_id uuid,
    sighting_date timestamptz,
    location geography,
    confidence_level smallint check (confidence_level between 1 and 5),
    verified boolean default false,
    created_at timestamptz default now()
);
create table lost_pet_notifications (
    id uuid primary key default gen_random_uuid(),
    lost_pet_report_id uuid references lost_pet_reports (id) on delete cascade,
    user_id uuid references user_profiles (user_id) on delete cascade,
    distance_meters double precision,
    sent_at timestamptz default now(),
    opened_at timestamptz
);
create table family_sharing (
    id uuid primary key default gen_random_uuid(),
    pet_id uuid references pets (id) on delete cascade,
    owner_user_id uuid references user_profiles (user_id) on delete cascade,
    shared_with_user_id uuid references user_profiles (user_id) on delete cascade,
    status text default 'pending' check (status in ('pending', 'accepted', 'declined', 'revoked')),
    created_at timestamptz default now()
);
create table health_reminders (
    id uuid primary key default gen_random_uuid(),
    pet_id uuid references pets (id) on delete cascade,
    user_id uuid references user_profiles (user_id) on delete cascade,
    reminder_type text,
    due_date date,
    is_recurring boolean default false,
    is_completed boolean default false,
    created_at timestamptz default now(),
    updated_at timestamptz default now()
);
create table subscriptions (
    id uuid primary key default gen_random_uuid(),
    user_id uuid unique references user_profiles (user_id) on delete cascade,
    tier tier default 'free',
    billing_cycle billing_cycle,
    status text check (status in ('active', 'cancelled', 'past_due', 'paused')),
    current_period_start timestamptz,
    current_period_end timestamptz,
    cancel_at_period_end boolean default false,
    downgrade_to_tier tier,
    stripe_subscription_id text,
    stripe_customer_id text,
    created_at timestamptz default now(),
    updated_at timestamptz default now()
);
create table subscription_history (
    id uuid primary key default gen_random_uuid(),
    subscription_id uuid references subscriptions (id) on delete cascade,
    user_id uuid references user_profiles (user_id) on delete cascade,
    action text,
    from_tier tier,
    to_tier tier,
    from_billing_cycle billing_cycle,
    to_billing_cycle billing_cycle,
    proration_amount numeric(40, 10),
    created_at timestamptz default now()
);
create table feature_flags (
    name text,
    flag_type text check (flag_type in ('boolean', 'percentage', 'user_segment', 'ab_test')),
    is_active boolean,
    environment text
);
create table ab_tests (
    name text,
    description text,
    variants jsonb,
    status text,
    winning_variant text,
    created_at timestamptz default now(),
    ended_at timestamptz,
    environment text
);
create table ab_test_exposures (
    test_name text,
    user_id uuid,
    variant text,
    "timestamp" timestamptz default now(),
    environment text
);
create table security_events (
    id uuid primary key default gen_random_uuid(),
    type text,
    severity text check (severity in ('low', 'medium', 'high', 'critical')),
    user_id uuid,
    ip_address inet,
    action_taken text,
    occurred_at timestamptz default now(),
    resolved_at timestamptz
);
create table marketing_metrics (date date, channel text, spend numeric(12, 2), currency text);
create table support_tickets (
    id uuid primary key default gen_random_uuid(),
    user_id uuid,
    priority text,
    category text,
    created_at timestamptz default now(),
    resolved_at timestamptz
);
create table app_store_ratings (
    id uuid primary key default gen_random_uuid(),
    platform text,
    score smallint,
    created_at timestamptz default now()
);
create table nps_responses (
    id uuid primary key default gen_random_uuid(),
    user_id uuid,
    score smallint,
    created_at timestamptz default now()
);
