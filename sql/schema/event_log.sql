-- The append-only log. It has no foreign key to deal and outlives it.
CREATE TABLE crm_deals.deal_event (
    id                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    batch_id            bigint NOT NULL,
    deal_id             bigint NOT NULL,
    version             integer NOT NULL,
    kind                text NOT NULL
        CONSTRAINT deal_event_kind CHECK (kind IN ('deleted', 'merged', 'redacted', 'reverted', 'created', 'won', 'lost',
                                                   'abandoned', 'reopened', 'stage_changed', 'updated')),
    occurred_at         timestamptz NOT NULL,
    actor               text NOT NULL,
    session_user_name   text NOT NULL,
    origin              text NOT NULL DEFAULT 'live'
        CONSTRAINT deal_event_origin CHECK (origin IN ('live', 'import')),
    pipeline_id         bigint NOT NULL,
    from_stage_id       bigint,
    to_stage_id         bigint,
    from_status         crm_deals.deal_status,
    status              crm_deals.deal_status,
    amount              numeric,
    currency            text,
    probability         numeric,
    expected_close_date date,
    owner               text,
    lost_reason         text,
    changes             jsonb NOT NULL,
    bypassed            text[],
    merged_into         bigint,
    note                text,
    CONSTRAINT deal_event_version UNIQUE (deal_id, version)
)
-- Nothing is ever updated: no page needs free space, and vacuum has only to
-- freeze and to keep the visibility map, which inserts alone trigger.
WITH (fillfactor = 100, autovacuum_vacuum_insert_scale_factor = 0.05);

-- The past is told by the events after a moment, which lie together: a hundredth of a b-tree finds them.
CREATE INDEX deal_event_occurred_at ON crm_deals.deal_event USING brin (occurred_at)
    WITH (pages_per_range = 32, autosummarize = on);

-- Who reads the log, and how far each has got.
CREATE TABLE crm_deals.event_consumer (
    consumer        text PRIMARY KEY CONSTRAINT event_consumer_name CHECK (btrim(consumer, E' \t\r\n') <> ''),
    kinds           text[],
    include_imports boolean NOT NULL DEFAULT false,
    subscribed_at   timestamptz NOT NULL DEFAULT now(),
    last_acked_at   timestamptz
);
