-- The highest id of the events that release 0.1 wrote. It wrote some values as the session's settings had them
-- (crm_deals_internal.certain_changes). There is no row if this release or a later one began the log.
CREATE TABLE crm_deals.log_format (
    last_session_event bigint PRIMARY KEY
);

-- A session that still writes is waited for.
LOCK TABLE crm_deals.deal_event IN SHARE MODE;
INSERT INTO crm_deals.log_format SELECT max(e.id) FROM crm_deals.deal_event AS e HAVING max(e.id) IS NOT NULL;
