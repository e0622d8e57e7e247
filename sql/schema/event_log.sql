-- The append-only log. It has no foreign key to deal, since it outlives the deal. Each CHECK compares with one
-- constant, an array: PostgreSQL parses its text for every statement that logs.
CREATE TABLE crm_deals.deal_event (
    id                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    batch_id            bigint NOT NULL,
    deal_id             bigint NOT NULL,
    version             integer NOT NULL,
    kind                text NOT NULL
        CONSTRAINT deal_event_kind CHECK (
            kind = ANY ('{deleted,merged,redacted,reverted,created,won,lost,abandoned,reopened,stage_changed,'
                        'updated}')),
    occurred_at         timestamptz NOT NULL,
    actor               text NOT NULL,
    session_user_name   text NOT NULL,
    origin              text NOT NULL DEFAULT 'live'
        CONSTRAINT deal_event_origin CHECK (origin = ANY ('{live,import}')),
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
    -- Which transaction wrote it: its id and, above 48 bits, the generation of the log.
    transaction         xid8 NOT NULL DEFAULT pg_current_xact_id(),
    -- What the dispatcher has to send, crm_deals.notify = dispatch.
    dispatch            text
        CONSTRAINT deal_event_dispatch CHECK (dispatch = ANY ('{full,ids,summary,counted,doorbell}')),
    CONSTRAINT deal_event_version UNIQUE (deal_id, version)
)
-- No row is ever updated, so no page needs free space. Vacuum only freezes rows and keeps the visibility map; inserts
-- alone trigger it.
WITH (fillfactor = 100, autovacuum_vacuum_insert_scale_factor = 0.05);

-- Finds the events of a transaction that was still running when a consumer last read.
CREATE INDEX deal_event_transaction ON crm_deals.deal_event (transaction, id);

-- The past is read from the events after a moment. They lie together, so an index of a hundredth of a b-tree's size
-- finds them.
CREATE INDEX deal_event_occurred_at ON crm_deals.deal_event USING brin (occurred_at)
    WITH (pages_per_range = 32, autosummarize = on);

-- The clusters that the log has been in. After a restore into another cluster, transaction ids start again in the next
-- generation; the first one is 0 (src/log/log_transaction.c).
CREATE TABLE crm_deals.log_generation (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    generation        integer NOT NULL,
    system_identifier bigint NOT NULL,
    entered_at        timestamptz NOT NULL DEFAULT now()
);

-- Every call of prune_events(). Before the latest horizon the log is incomplete.
CREATE TABLE crm_deals.log_pruning (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    horizon   timestamptz NOT NULL,
    pruned_at timestamptz NOT NULL DEFAULT now(),
    pruned_by text NOT NULL,
    events    bigint NOT NULL
);

-- The earlier names of stages. A reader of events sees the names of their time.
CREATE TABLE crm_deals.stage_name (
    stage_id bigint NOT NULL,
    until    timestamptz NOT NULL,
    key      text NOT NULL,
    name     text NOT NULL,
    PRIMARY KEY (stage_id, until)
);

CREATE INDEX stage_name_until ON crm_deals.stage_name (until);
