-- What install() was told, and the relation whose lock orders writers of deals
-- against changes of stages (see src/stage_lock.c).
CREATE TABLE crm_deals.installation (
    only_row      boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version       text NOT NULL,
    account_table regclass,
    contact_table regclass,
    owner_table   regclass,
    columns       jsonb NOT NULL DEFAULT '{}'
);

-- Which role was granted which level, so that tables of a later version are covered too.
CREATE TABLE crm_deals.access_grant (
    role_name text PRIMARY KEY,
    level     text NOT NULL CHECK (level IN ('read', 'consume', 'write', 'manager', 'admin'))
);
