-- The arguments of install(). A view is part of the schema, not of the data. So it is there after pg_dump
-- --schema-only, and pg_dump --data-only has no row of it. Its lock orders writers of deals against changes of stages
-- (src/config/stage_lock.c). A foreign key of lead tells the host's table, too, if somebody dropped that of deal.
CREATE OR REPLACE VIEW crm_deals.installation WITH (security_invoker = true) AS
    WITH host (field, host_table) AS (
        SELECT DISTINCT ON (f.field) f.field, c.confrelid::regclass
        FROM pg_constraint AS c
        JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND c.conkey = ARRAY[a.attnum]
        CROSS JOIN LATERAL (SELECT CASE a.attname WHEN 'contact_id' THEN 'primary_contact_id' ELSE a.attname END)
            AS f (field)
        WHERE c.conrelid IN ('crm_deals.deal'::regclass, 'crm_deals.lead'::regclass) AND c.contype = 'f'
        ORDER BY f.field, c.conrelid <> 'crm_deals.deal'::regclass, c.oid
    )
    SELECT @version@::text AS version,
           (SELECT h.host_table FROM host AS h WHERE h.field = 'account_id') AS account_table,
           (SELECT h.host_table FROM host AS h WHERE h.field = 'primary_contact_id') AS contact_table,
           (SELECT h.host_table FROM host AS h WHERE h.field = 'owner') AS owner_table,
           @columns@::jsonb AS columns;
