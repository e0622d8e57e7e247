-- A policy that a user puts on deal protects also the tables that depend on deal.

-- The tables that tell something of deals, and when a row of each is visible.
-- access: owner
CREATE FUNCTION crm_deals_internal.children() RETURNS TABLE (relation text, visible text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT c.relation, replace(c.visible, '@deal', 'EXISTS (SELECT FROM crm_deals.deal AS d WHERE d.id =')
    FROM (VALUES ('deal_event', '@deal deal_event.deal_id)'),
                 ('deal_duplicate', '@deal deal_duplicate.deal_id) AND @deal deal_duplicate.other_deal_id)'),
                 ('deal_contact', '@deal deal_contact.deal_id)'),
                 ('activity', 'activity.deal_id IS NULL OR @deal activity.deal_id)'),
                 ('deal_alias', '@deal deal_alias.deal_id)')) AS c (relation, visible)
$$;
COMMENT ON FUNCTION crm_deals_internal.children() IS
    'Internal: lists the tables that protect_children() protects, with the condition on each.';

-- access: owner
CREATE FUNCTION crm_deals_internal.protect_children() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    child record;
BEGIN
    PERFORM crm_deals_internal.check_installed();
    FOR child IN
        SELECT c.relation, c.visible FROM crm_deals_internal.children() AS c
        WHERE NOT EXISTS (SELECT FROM pg_policy AS p
                          WHERE p.polrelid = to_regclass('crm_deals.' || c.relation)
                              AND p.polname = 'crm_deals_visible_deal')
    LOOP
        -- If deal has no row security for the caller, the policy lets all rows through, so the events of deleted deals
        -- stay visible.
        EXECUTE format('CREATE POLICY crm_deals_visible_deal ON crm_deals.%I
                        USING (NOT (SELECT row_security_active(''crm_deals.deal''::regclass)) OR %s)',
                       child.relation, child.visible);
        EXECUTE format('ALTER TABLE crm_deals.%I ENABLE ROW LEVEL SECURITY', child.relation);
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.protect_children() IS
    'Internal: what crm_deals.protect_children() does.';

-- access: owner
CREATE FUNCTION crm_deals_internal.children_are_protected() RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM pg_policy AS p
                   WHERE p.polname = 'crm_deals_visible_deal'
                     AND p.polrelid IN (SELECT to_regclass('crm_deals.' || c.relation)
                                        FROM crm_deals_internal.children() AS c))
$$;
COMMENT ON FUNCTION crm_deals_internal.children_are_protected() IS
    'Internal: returns whether protect_children() was called. install() then protects new tables too.';
