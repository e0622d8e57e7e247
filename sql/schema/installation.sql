-- The arguments of install(). A view is part of the schema, not of the data. So it is there after pg_dump
-- --schema-only, and pg_dump --data-only has no row of it. Its lock orders writers of deals against changes of stages
-- (src/config/stage_lock.c). The host's tables are those that deals refer to. If somebody dropped a foreign key, the
-- view of the labels tells the table.
CREATE OR REPLACE VIEW crm_deals.installation WITH (security_invoker = true) AS
    WITH host (field, host_table, turn) AS (
        SELECT a.attname::text, c.confrelid::regclass, 1
        FROM pg_constraint AS c
        JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND c.conkey = ARRAY[a.attnum]
        WHERE c.conrelid = 'crm_deals.deal'::regclass AND c.contype = 'f'
        UNION ALL
        SELECT v.field, d.refobjid::regclass, 2
        FROM (VALUES ('account_id', '_account'), ('primary_contact_id', '_contact'), ('owner', '_owner'))
            AS v (field, name)
        JOIN pg_rewrite AS r ON r.ev_class = to_regclass('crm_deals.' || v.name)
        JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
            AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.ev_class
    )
    SELECT @version@::text AS version,
           (SELECT h.host_table FROM host AS h WHERE h.field = 'account_id' ORDER BY h.turn LIMIT 1) AS account_table,
           (SELECT h.host_table FROM host AS h WHERE h.field = 'primary_contact_id' ORDER BY h.turn LIMIT 1)
               AS contact_table,
           (SELECT h.host_table FROM host AS h WHERE h.field = 'owner' ORDER BY h.turn LIMIT 1) AS owner_table,
           @columns@::jsonb AS columns;
