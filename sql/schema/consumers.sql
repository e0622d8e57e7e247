-- The consumers of the log, and how far each of them has read. A consumer reads from cut to cut. A cut is a
-- snapshot: what was committed then lies behind it, whatever its ids.
CREATE TABLE crm_deals.event_consumer (
    consumer        text PRIMARY KEY CONSTRAINT event_consumer_name CHECK (btrim(consumer, E' \t\r\n') <> ''),
    -- The name of the role that subscribed. NULL: the first role that is no admin and uses it.
    subscribed_by   text,
    kinds           text[],
    include_imports boolean NOT NULL DEFAULT false,
    subscribed_at   timestamptz NOT NULL DEFAULT now(),
    last_acked_at   timestamptz,
    -- All that is visible in this snapshot has been delivered; the highest event id in it.
    seen            pg_snapshot NOT NULL DEFAULT pg_current_snapshot(),
    seen_id         bigint NOT NULL DEFAULT 0,
    -- The cut on the way, NULL where there is none, and the last event delivered of it.
    upto            pg_snapshot,
    upto_id         bigint,
    delivered_id    bigint NOT NULL DEFAULT 0,
    -- Delivered and not acknowledged, in the order of delivery; the first of them may be leased.
    unacked         bigint[] NOT NULL DEFAULT '{}',
    leased          integer NOT NULL DEFAULT 0,
    leased_until    timestamptz,
    CONSTRAINT event_consumer_cut CHECK ((upto IS NULL) = (upto_id IS NULL))
)
-- Every reading updates the row, so its page keeps space for the next version.
WITH (fillfactor = 50);
