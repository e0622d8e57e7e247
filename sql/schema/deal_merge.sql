-- What each merge moved, so that undo_batch() can put it back (src/functions/merge.c says in which form). A row ends
-- with its merge. Only the owner may read it: it names activities and deals that row security may hide from others.
CREATE TABLE crm_deals.deal_merge (
    event_id bigint PRIMARY KEY,
    moved    jsonb NOT NULL
);

COMMENT ON TABLE crm_deals.deal_merge IS 'What each merge moved, for undo_batch().';
COMMENT ON COLUMN crm_deals.deal_merge.event_id IS 'The event "merged" of the duplicate.';
COMMENT ON COLUMN crm_deals.deal_merge.moved IS 'Which rows moved, by table, and what they were.';
