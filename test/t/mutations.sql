-- What 31_mutations.pl runs: mutations of what install() made, and statements that use everything.
CREATE SCHEMA m;
CREATE ROLE m_keeper;
CREATE ROLE m_boss;
CREATE ROLE m_other;
CREATE EXTENSION crm_deals CASCADE;
ALTER SCHEMA crm_deals OWNER TO m_keeper;
GRANT ALL ON SCHEMA m TO m_keeper, m_boss, m_other;
-- Whatever the extension's script grants to whom, the owner of the tables executes its functions.
DO $$
DECLARE
    member record;
BEGIN
    FOR member IN SELECT p.oid::regprocedure AS function FROM pg_proc AS p
                  WHERE p.pronamespace IN ('crm_deals'::regnamespace, 'crm_deals_internal'::regnamespace) LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO m_keeper WITH GRANT OPTION', member.function);
    END LOOP;
END
$$;
GRANT USAGE ON SCHEMA crm_deals_internal TO m_keeper WITH GRANT OPTION;
SET ROLE m_keeper;
SELECT crm_deals.install();
SELECT crm_deals.grant_access('m_boss', 'admin');
SELECT crm_deals.create_pipeline('Sales', gates => '{"forbid_skipping": true, "forbid_unlisted": true}');
SELECT crm_deals.create_pipeline('Other', '[{"key": "a", "name": "A"}, {"key": "w", "name": "W", "status": "won"},
                                            {"key": "l", "name": "L", "status": "lost"}]');
INSERT INTO crm_deals.stage_transition (from_stage_id, to_stage_id)
SELECT a.id, b.id FROM crm_deals.stage AS a, crm_deals.stage AS b WHERE a.pipeline_id = 1 AND b.pipeline_id = 1;
INSERT INTO crm_deals.lost_reason (pipeline_id, name) VALUES (2, 'price');
INSERT INTO crm_deals.custom_field (entity, key, type, options)
VALUES ('deal', 'size', 'number', NULL), ('deal', 'kind', 'select', '["x", "y"]'), ('lead', 'size', 'number', NULL),
       ('account', 'size', 'number', NULL), ('contact', 'size', 'number', NULL);
INSERT INTO crm_deals.exchange_rate (currency, base, rate, valid_from) VALUES ('USD', 'EUR', 0.9, '2020-01-01');
INSERT INTO crm_deals.account (name, owner) VALUES ('Acme', 'ann'), ('Umbrella', 'bob');
INSERT INTO crm_deals.contact (account_id, first_name, last_name, email) VALUES (1, 'Ann', 'Lee', 'ann@x.example');
INSERT INTO crm_deals.lead (company_name, last_name, email)
VALUES ('Acme', 'Lee', 'ann@x.example'), ('New', 'Roe', 'roe@x.example');
INSERT INTO crm_deals.deal (name, pipeline_id, amount, account_id, primary_contact_id, external_id, custom_fields,
                            owner)
SELECT 'Annual contract ' || n, 1 + n % 2, n, 1 + n % 2, CASE WHEN n % 3 = 0 THEN 1 END, 'x' || n, '{"size": 3}', 'ann'
FROM generate_series(1, 12) AS n;
SELECT crm_deals.move_deal(1, 'w');
SELECT crm_deals.move_deal(3, 'l', lost_reason => 'price');
DELETE FROM crm_deals.deal WHERE id = 12;
SELECT crm_deals.dismiss_duplicate(1, 3);
SELECT crm_deals.merge_deals(5, 7);
UPDATE crm_deals.stage SET name = 'AA' WHERE key = 'a';
SELECT crm_deals.subscribe('bell', from_start => true);
SELECT crm_deals_internal.take_for_dispatch(10);
INSERT INTO crm_deals.activity (kind, subject, deal_id, account_id, contact_id) VALUES ('note', 'x', 1, 1, 1);
CREATE TABLE m.rows AS
    SELECT 'Row ' || n AS name, 'x' || n AS external_id, n::numeric AS amount, 'Other' AS pipeline,
           CASE WHEN n % 2 = 0 THEN 'a' ELSE 'A' END AS stage
    FROM generate_series(8, 14) AS n;
GRANT SELECT ON m.rows TO m_boss;
RESET ROLE;

-- Each is run by itself: a query whose rows are printed, or a command.
CREATE TABLE m.statement (number integer GENERATED ALWAYS AS IDENTITY, sql text);
INSERT INTO m.statement (sql) VALUES
    ('INSERT INTO crm_deals.deal (name, pipeline_id) VALUES (''Annual contract 99'', 2)'),
    ('INSERT INTO crm_deals.deal (name, stage_id, status, lost_reason) '
     'VALUES (''Lost'', (SELECT id FROM crm_deals.stage WHERE key = ''l'' LIMIT 1), ''lost'', ''price'')'),
    ('UPDATE crm_deals.deal SET amount = 7, name = name || ''!'', custom_fields = ''{"size": 4, "kind": "x"}'''),
    ('UPDATE crm_deals.deal SET stage_id = (SELECT id FROM crm_deals.stage WHERE key = ''w'' LIMIT 1) '
     'WHERE pipeline_id = 2'),
    ('DELETE FROM crm_deals.deal'),
    ('SELECT * FROM crm_deals.move_deal(9, ''w'', note => ''n'')'),
    ('SELECT * FROM crm_deals.move_deal(2, 2::bigint, override => ''why'')'),
    ('SELECT * FROM crm_deals.move_deals(ARRAY[2, 4, 9, 99], ''won'')'),
    ('SELECT * FROM crm_deals.check_move(2, ''won'')'),
    ('SELECT crm_deals_internal.why_not(NULL, d, true) FROM crm_deals.deal AS d'),
    ('SELECT crm_deals_internal.why_not(jsonb_populate_record(NULL::crm_deals.deal, ''{}''), '
     'jsonb_populate_record(NULL::crm_deals.deal, ''{}''), true)'),
    ('SELECT crm_deals_internal.broken_rules(jsonb_populate_record(NULL::crm_deals.deal, ''{"stage_id": 1}''), 3, '
     'NULL, false)'),
    ('SELECT * FROM crm_deals.import_deals(''m.rows'')'),
    ('SELECT * FROM crm_deals.import_deals(''m.rows'', gates => true, create_accounts => true)'),
    ('SELECT * FROM crm_deals.import_accounts(rows => ''[{"external_id": "a", "name": "A"}]'')'),
    ('SELECT * FROM crm_deals.import_contacts(rows => ''[{"external_id": "a", "email": "A", "account": "A"}]'')'),
    ('SELECT * FROM crm_deals.import_leads(rows => ''[{"external_id": "a", "email": "A", "owner": "A"}]'')'),
    ('SELECT * FROM crm_deals.convert_lead(1)'),
    ('SELECT * FROM crm_deals.convert_lead(2)'),
    ('SELECT crm_deals.merge_deals(2, 4)'),
    ('SELECT crm_deals.resolve_deal(7)'),
    ('SELECT * FROM crm_deals.undo_batch((SELECT max(batch_id) FROM crm_deals.deal_event WHERE deal_id = 3))'),
    ('SELECT crm_deals.restore_deal(12)'),
    ('SELECT * FROM crm_deals.board()'),
    ('SELECT * FROM crm_deals.board(''Other'', ''owner'', filter => ''{"text": "Annual"}'')'),
    ('SELECT * FROM crm_deals.board_cards(''Other'', ''a'')'),
    ('SELECT * FROM crm_deals.board_cards(''Other'', ''a'', sort => ''-owner'')'),
    ('SELECT * FROM crm_deals.open_task ORDER BY due_at'),
    ('SELECT * FROM crm_deals.deal_overview'),
    ('SELECT * FROM crm_deals.forecast(convert_to => ''EUR'')'),
    ('SELECT * FROM crm_deals.forecast(as_of => now() - interval ''1 day'')'),
    ('SELECT * FROM crm_deals.deals_as_of(now())'),
    ('SELECT * FROM crm_deals.pipeline_changes(now() - interval ''1 day'', group_by => ''owner'')'),
    ('SELECT * FROM crm_deals.attainment(''owner'', convert_to => ''EUR'')'),
    ('INSERT INTO crm_deals.target (starts_on, ends_on, currency, amount)
      VALUES (''2026-01-01'', ''2026-12-31'', ''EUR'', 1)'),
    ('SELECT * FROM crm_deals.pipeline_trend(''day'')'),
    ('SELECT * FROM crm_deals.pipeline_trend(''day'', group_by => ''account'')'),
    ('SELECT * FROM crm_deals.win_rate(''owner'')'),
    ('SELECT * FROM crm_deals.stage_conversion()'),
    ('SELECT * FROM crm_deals.sales_velocity()'),
    ('SELECT * FROM crm_deals.lost_reasons()'),
    ('SELECT * FROM crm_deals.pipeline_summary()'),
    ('SELECT * FROM crm_deals.verify()'),
    ('SELECT crm_deals.subscribe(''two'', ARRAY[''won''], true)'),
    ('SELECT * FROM crm_deals.read_events(''bell'', 5)'),
    ('SELECT * FROM crm_deals.read_events(''bell'', 50, interval ''1 minute'')'),
    ('SELECT crm_deals.ack_events(''bell'', 3)'),
    ('SELECT crm_deals.unsubscribe(''bell'')'),
    ('SELECT crm_deals_internal.take_for_dispatch(10)'),
    ('SELECT * FROM crm_deals_internal.event_facts(ARRAY(SELECT id FROM crm_deals.deal_event))'),
    ('SELECT crm_deals_internal.log_snapshot()'),
    ('SELECT crm_deals.prune_events(now())'),
    ('SELECT * FROM crm_deals.redact(contact => ''1'', lead => 1, deals => ARRAY[1], reason => ''r'')'),
    ('SELECT * FROM crm_deals.find_duplicates(''Annual contract 1'')'),
    ('SELECT * FROM crm_deals.scan_duplicates()'),
    ('SELECT crm_deals.flag_duplicates()'),
    ('SELECT crm_deals.dismiss_duplicate(2, 4)'),
    ('SELECT crm_deals.rebuild_duplicates()'),
    ('SELECT crm_deals.create_pipeline(''Third'')'),
    ('SELECT crm_deals.add_stage(2, ''B'', before_key => ''w'')'),
    ('SELECT crm_deals.reorder_stages(2, ARRAY[''a'', ''w'', ''l''])'),
    ('SELECT crm_deals.remove_stage((SELECT min(id) FROM crm_deals.stage WHERE pipeline_id = 1), 2)'),
    ('UPDATE crm_deals.stage SET probability = 44, status = ''lost'' WHERE key = ''a'''),
    ('UPDATE crm_deals.stage SET key = ''z'', name = ''Z'' WHERE key = ''a'''),
    ('UPDATE crm_deals.pipeline SET duplicate_policy = ''off'''),
    ('UPDATE crm_deals.pipeline SET lost_reason_required = NOT lost_reason_required, currency = ''EUR'''),
    ('INSERT INTO crm_deals.exchange_rate (currency, base, rate) VALUES (''CHF'', ''EUR'', 1)'),
    ('UPDATE crm_deals.lead SET custom_fields = ''{"size": 5}'''),
    ('UPDATE crm_deals.account SET custom_fields = ''{"size": 5}'''),
    ('UPDATE crm_deals.contact SET custom_fields = ''{"size": 5}'''),
    ('SELECT crm_deals.index_custom_field(''deal'', ''size'')'),
    ('TRUNCATE crm_deals.deal CASCADE'),
    ('DELETE FROM crm_deals.deal_event'),
    ('SELECT * FROM crm_deals.deal_overview'),
    ('SELECT * FROM crm_deals.consumer_status'),
    ('SELECT * FROM crm_deals.deal_stage_history'),
    ('SELECT * FROM crm_deals.stale_deals'),
    ('SELECT crm_deals.grant_access(''m_other'', ''read'')'),
    ('SELECT crm_deals.install()');

-- A type whose values have another length than those of this one, or are passed another way, and a value of it.
CREATE FUNCTION m.other_type(type oid) RETURNS text[] LANGUAGE sql AS $$
    SELECT CASE WHEN type IN ('text'::regtype, 'text[]'::regtype, 'jsonb'::regtype, 'pg_snapshot'::regtype,
                              'bigint[]'::regtype, 'numeric'::regtype, 'interval'::regtype)
                THEN ARRAY['bigint', '1099511627776'] ELSE ARRAY['text', '''some text'''] END
$$;

-- Takes the constraints and unique indexes of a column away, with what hangs on them.
CREATE FUNCTION m.set_free(place regclass, number smallint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    name text;
BEGIN
    FOR name IN SELECT c.conname FROM pg_constraint AS c WHERE c.conrelid = place AND number = ANY (c.conkey)
                                                           AND c.contype IN ('c', 'p', 'u', 'f') LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS %I CASCADE', place, name);
    END LOOP;
    FOR name IN SELECT i.indexrelid::regclass FROM pg_index AS i
                WHERE i.indrelid = place AND i.indisunique AND number = ANY (i.indkey) LOOP
        EXECUTE format('DROP INDEX %s', name);
    END LOOP;
END
$$;

-- The columns of a table as a view shows them, each in its type or in another.
CREATE FUNCTION m.columns(place regclass, of_other_types boolean) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(CASE WHEN of_other_types
                           THEN format('(%s)::%s AS %I', (m.other_type(a.atttypid))[2], (m.other_type(a.atttypid))[1],
                                       a.attname)
                           ELSE quote_ident(a.attname) END, ', ' ORDER BY a.attnum)
    FROM pg_attribute AS a WHERE a.attrelid = place AND a.attnum > 0 AND NOT a.attisdropped
$$;

-- A value of the column, as a literal.
CREATE FUNCTION m.value(place regclass, name name) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    value text;
BEGIN
    EXECUTE format('SELECT min(%I::text) FROM %s', name, place) INTO value;
    RETURN quote_nullable(value);
END
$$;

CREATE TABLE m.mutation (number integer GENERATED ALWAYS AS IDENTITY, kind text, what text, command text);
INSERT INTO m.mutation (kind, what, command)
WITH ours AS (
    SELECT c.oid, c.relname AS name, c.oid::regclass AS place FROM pg_class AS c
    WHERE c.relnamespace = 'crm_deals'::regnamespace AND c.relkind = 'r'
), columns AS (
    SELECT o.*, a.attname AS "column", a.attnum, a.atttypid, a.attnotnull, a.attidentity,
           m.other_type(a.atttypid) AS other
    FROM ours AS o JOIN pg_attribute AS a ON a.attrelid = o.oid AND a.attnum > 0 AND NOT a.attisdropped
)
SELECT v.kind, v.what, v.command
FROM (
    SELECT 'a column of another type', 1, format('%s.%s', c.name, c.column),
           format('ALTER TABLE %1$s DROP COLUMN %2$I CASCADE, ADD COLUMN %2$I %3$s NOT NULL DEFAULT %4$s',
                  c.place, c.column, c.other[1], c.other[2])
    FROM columns AS c
    UNION ALL
    SELECT 'a column of another type in its place', 1, format('%s.%s', c.name, c.column),
           format('SELECT m.set_free(%1$L, %2$s::smallint); '
                  'ALTER TABLE %1$s ALTER COLUMN %3$I DROP IDENTITY IF EXISTS, ALTER COLUMN %3$I DROP DEFAULT; '
                  'DROP VIEW crm_deals.deal_overview, crm_deals.consumer_status, crm_deals.deal_stage_history, '
                  'crm_deals.stale_deals; '
                  'ALTER TABLE %1$s ALTER COLUMN %3$I TYPE %4$s USING (%5$s)::%4$s',
                  c.place, c.attnum, c.column, c.other[1], c.other[2])
    FROM columns AS c
    UNION ALL
    SELECT 'a column that may be NULL, and is', 1, format('%s.%s', c.name, c.column),
           format('SELECT m.set_free(%1$L, %2$s::smallint); '
                  'ALTER TABLE %1$s ALTER COLUMN %3$I DROP IDENTITY IF EXISTS, ALTER COLUMN %3$I DROP NOT NULL, '
                  'DISABLE TRIGGER USER; UPDATE %1$s SET %3$I = NULL; ALTER TABLE %1$s ENABLE TRIGGER USER',
                  c.place, c.attnum, c.column)
    FROM columns AS c WHERE c.attnotnull
    UNION ALL
    SELECT 'a NOT NULL that is not valid', 1, format('%s.%s', c.name, c.column),
           format('SELECT m.set_free(%1$L, %2$s::smallint); '
                  'ALTER TABLE %1$s ALTER COLUMN %3$I DROP IDENTITY IF EXISTS, ALTER COLUMN %3$I DROP NOT NULL, '
                  'DISABLE TRIGGER USER; UPDATE %1$s SET %3$I = NULL; '
                  'ALTER TABLE %1$s ENABLE TRIGGER USER, ADD NOT NULL %3$I NOT VALID',
                  c.place, c.attnum, c.column)
    FROM columns AS c WHERE c.attnotnull AND current_setting('server_version_num')::integer >= 180000
    UNION ALL
    SELECT v.kind, 1, format('%s.%s', c.name, c.column),
           format('ALTER TABLE %1$s DROP COLUMN %2$I CASCADE, '
                  'ADD COLUMN %2$I %3$s %4$s GENERATED ALWAYS AS (%5$s::%3$s) %6$s',
                  c.place, c.column, c.atttypid::regtype, CASE WHEN c.attnotnull THEN 'NOT NULL' END,
                  m.value(c.place, c.column), v.computed)
    FROM columns AS c,
         (VALUES ('a column that is computed when it is written', 'STORED', 150000),
                 ('a column that is computed when it is read', 'VIRTUAL', 180000)) AS v (kind, computed, since)
    -- Without its ids the log has lost events, and says so.
    WHERE c.attidentity = '' AND current_setting('server_version_num')::integer >= v.since
    UNION ALL
    SELECT 'a column of another name', 1, format('%s.%s', c.name, c.column),
           format('ALTER TABLE %s RENAME COLUMN %I TO renamed', c.place, c.column)
    FROM columns AS c
    UNION ALL
    SELECT 'no column', 1, format('%s.%s', c.name, c.column),
           format('ALTER TABLE %s DROP COLUMN %I CASCADE', c.place, c.column)
    FROM columns AS c
    UNION ALL
    SELECT 'a column without identity', 1, format('%s.%s', c.name, c.column),
           format('ALTER TABLE %s ALTER COLUMN %I DROP IDENTITY, ALTER COLUMN %2$I SET DEFAULT 1000', c.place, c.column)
    FROM columns AS c WHERE c.attidentity <> ''
    UNION ALL
    SELECT v.kind, 2, o.name,
           format('ALTER TABLE %1$s RENAME TO was_%2$s; ' || v.command, o.place, o.name,
                  m.columns(o.oid, v.other_types),
                  (SELECT a.attname FROM pg_attribute AS a WHERE a.attrelid = o.oid AND a.attnum = 1))
    FROM ours AS o,
         (VALUES ('a view', 'CREATE VIEW crm_deals.%2$I AS SELECT * FROM crm_deals.was_%2$s', false),
                 ('a view of other types', 'CREATE VIEW crm_deals.%2$I AS SELECT %3$s FROM crm_deals.was_%2$s', true),
                 ('a table of other types', 'CREATE TABLE crm_deals.%2$I AS SELECT %3$s FROM crm_deals.was_%2$s', true),
                 ('a materialized view', 'CREATE MATERIALIZED VIEW crm_deals.%2$I AS SELECT * FROM crm_deals.was_%2$s',
                  false),
                 ('a partitioned table',
                  'CREATE TABLE crm_deals.%2$I (LIKE crm_deals.was_%2$s INCLUDING DEFAULTS INCLUDING CONSTRAINTS) '
                  'PARTITION BY HASH (%4$I); CREATE TABLE crm_deals.part PARTITION OF crm_deals.%2$I '
                  'FOR VALUES WITH (MODULUS 1, REMAINDER 0); '
                  'INSERT INTO crm_deals.%2$I SELECT * FROM crm_deals.was_%2$s', false),
                 ('a foreign table', 'CREATE FOREIGN DATA WRAPPER m; CREATE SERVER m FOREIGN DATA WRAPPER m; '
                  'CREATE FOREIGN TABLE crm_deals.%2$I (id bigint) SERVER m', false),
                 ('a sequence', 'CREATE SEQUENCE crm_deals.%2$I', false),
                 ('no table', 'SELECT 1', false),
                 ('a copy', 'CREATE TABLE crm_deals.%2$I (LIKE crm_deals.was_%2$s INCLUDING ALL); '
                  'INSERT INTO crm_deals.%2$I OVERRIDING SYSTEM VALUE SELECT * FROM crm_deals.was_%2$s', false),
                 ('an unlogged table', 'ALTER TABLE crm_deals.was_%2$s RENAME TO %2$I; DO $d$ BEGIN EXECUTE '
                  '''ALTER TABLE crm_deals.%2$s SET UNLOGGED''; EXCEPTION WHEN OTHERS THEN NULL; END $d$', false),
                 ('a table of another owner', 'ALTER TABLE crm_deals.was_%2$s RENAME TO %2$I; '
                  'ALTER TABLE crm_deals.%2$I OWNER TO m_other', false),
                 ('a lookalike in pg_temp', 'ALTER TABLE crm_deals.was_%2$s RENAME TO %2$I; '
                  'CREATE TEMPORARY TABLE %2$I AS SELECT %3$s FROM crm_deals.%2$I', true))
             AS v (kind, command, other_types)
    UNION ALL
    SELECT v.kind, 3, i.relname,
           CASE WHEN k.conname IS NULL THEN format('DROP INDEX %s; ', i.oid::regclass)
                ELSE format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE; ', k.conrelid::regclass, k.conname) END
           || format(v.command, i.relname, x.indrelid::regclass,
                     (SELECT a.attname FROM pg_attribute AS a WHERE a.attrelid = x.indrelid AND a.attnum > 0
                      ORDER BY a.atttypid IN ('text'::regtype, 'bigint'::regtype) DESC, a.attnum DESC LIMIT 1))
    FROM pg_class AS i JOIN pg_index AS x ON x.indexrelid = i.oid
    LEFT JOIN pg_constraint AS k ON k.conindid = i.oid AND k.contype IN ('p', 'u'),
         (VALUES ('an index of another table', 'CREATE INDEX %1$I ON crm_deals.stage_name (key)'),
                 ('an index of another column', 'CREATE INDEX %1$I ON %2$s (%3$I)'),
                 ('an index downwards', 'CREATE INDEX %1$I ON %2$s (%3$I DESC)'),
                 ('a hash index', 'CREATE INDEX %1$I ON %2$s USING hash (%3$I)'),
                 ('a gin index', 'CREATE INDEX %1$I ON %2$s USING gin ((ARRAY[%3$I::text]))'),
                 ('a part of an index', 'CREATE INDEX %1$I ON %2$s (%3$I) WHERE false'),
                 ('a table in place of an index', 'CREATE TABLE crm_deals.%1$I (id bigint)'),
                 ('no index', 'SELECT 1')) AS v (kind, command)
    WHERE i.relnamespace = 'crm_deals'::regnamespace
    UNION ALL
    SELECT 'a view of another owner', 4, c.relname, format('ALTER VIEW %s OWNER TO m_other', c.oid::regclass)
    FROM pg_class AS c WHERE c.relnamespace = 'crm_deals'::regnamespace AND c.relkind = 'v'
    UNION ALL
    SELECT 'no view', 4, c.relname, format('DROP VIEW %s CASCADE', c.oid::regclass)
    FROM pg_class AS c WHERE c.relnamespace = 'crm_deals'::regnamespace AND c.relkind = 'v'
    UNION ALL
    SELECT 'a table in place of a view', 4, c.relname,
           format('DROP VIEW %1$s CASCADE; CREATE TABLE %1$s (id text, version bigint)', c.oid::regclass)
    FROM pg_class AS c WHERE c.relnamespace = 'crm_deals'::regnamespace AND c.relkind = 'v'
    UNION ALL
    SELECT v.kind, 5, v.what, v.command
    FROM (VALUES ('nothing', 'nothing', 'SELECT 1'),
                 ('another owner', 'the schema', 'ALTER SCHEMA crm_deals OWNER TO m_other'),
                 ('another owner', 'everything', 'REASSIGN OWNED BY m_keeper TO m_other'),
                 ('an index of its own', 'deal_name', 'DROP INDEX crm_deals.deal_name_signatures; '
                  || replace(pg_get_indexdef('crm_deals.deal_name_signatures'::regclass), '(organization, name,',
                             '(name, organization,')),
                 ('an index of its own', 'deal_name backwards', 'DROP INDEX crm_deals.deal_name_signatures; '
                  'CREATE INDEX deal_name_signatures ON crm_deals.deal_name USING gin '
                  '((ARRAY[deal_id]) crm_deals_internal.signature_ops)'),
                 ('an enum without our labels', 'deal_status',
                  'ALTER TYPE crm_deals.deal_status RENAME VALUE ''won'' TO ''gone'''),
                 ('a default that counts down', 'deal_event',
                  'ALTER TABLE crm_deals.deal_event ALTER COLUMN id SET INCREMENT -1 SET MINVALUE -100'),
                 ('another schema', 'the old one', 'ALTER SCHEMA crm_deals RENAME TO gone; CREATE SCHEMA crm_deals'))
        AS v (kind, what, command)
) AS v (kind, turn, what, command)
ORDER BY v.turn, v.kind, v.what;

-- These crashed an early version: they are always tried.
ALTER TABLE m.mutation ADD COLUMN known boolean NOT NULL DEFAULT false;
UPDATE m.mutation SET known = true
WHERE (kind, what) IN (
    SELECT v.kind, x.what
    FROM (VALUES ('a view', '{deal,deal_event,deal_name,log_generation,event_consumer}'::text[]),
                 ('a view of other types', '{deal,deal_event,deal_name,log_generation}'),
                 ('a table of other types', '{deal,log_generation,deal_name,event_consumer}'),
                 ('a partitioned table', '{deal_event}'),
                 ('a gin index', '{deal_name_signatures}'),
                 ('an index of its own', '{deal_name,deal_name backwards}'),
                 ('a column of another type',
                  '{lead.custom_fields,deal.lost_reason,deal.probability,pipeline.currency,log_generation.generation}'),
                 ('a column that may be NULL, and is',
                  '{deal.currency,deal.name,deal.custom_fields,pipeline.duplicate_policy,pipeline.duplicate_scope,'
                  'stage.key,stage.name,stage.probability,stage.status}')) AS v (kind, names),
         unnest(v.names) AS x (what));

-- What a mutation made belongs to the owner of the tables, as if he had made it himself.
CREATE FUNCTION m.hand_over() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    made regclass;
BEGIN
    FOR made IN SELECT c.oid FROM pg_class AS c
                WHERE c.relnamespace = to_regnamespace('crm_deals') AND c.relkind IN ('r', 'v', 'm', 'p', 'f')
                  AND c.relowner = current_user::regrole LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO m_keeper', made);
    END LOOP;
    IF to_regnamespace('crm_deals') IS NOT NULL THEN
        GRANT ALL ON ALL TABLES IN SCHEMA crm_deals TO m_boss;
        GRANT ALL ON ALL SEQUENCES IN SCHEMA crm_deals TO m_boss;
    END IF;
END
$$;

-- Runs a mutation, then every statement by itself as this role, and rolls all of it back. Returns how many succeeded,
-- and what may not be: an internal error.
CREATE FUNCTION m.run(number integer, role text, OUT mutated boolean, OUT succeeded integer, OUT wrong text[])
LANGUAGE plpgsql AS $$
DECLARE
    mutation text := (SELECT u.command FROM m.mutation AS u WHERE u.number = run.number);
    statement text;
BEGIN
    mutated := false;
    succeeded := 0;
    wrong := '{}';
    EXECUTE mutation;
    PERFORM m.hand_over();
    mutated := true;
    FOR statement IN SELECT s.sql FROM m.statement AS s ORDER BY s.number LOOP
        BEGIN
            PERFORM set_config('crm_deals.default_lost_reason', 'none', true), set_config('role', role, true);
            EXECUTE CASE WHEN statement LIKE 'SELECT%' THEN format('SELECT count(r::text) FROM (%s) AS r', statement)
                         ELSE statement END;
            SET CONSTRAINTS ALL IMMEDIATE;
            succeeded := succeeded + 1;
            RAISE EXCEPTION USING ERRCODE = 'MM000';
        EXCEPTION WHEN SQLSTATE 'MM000' THEN
            NULL;
        WHEN OTHERS THEN
            IF SQLSTATE LIKE 'XX%' THEN
                wrong := wrong || format('%s: %s %s', statement, SQLSTATE, SQLERRM);
            END IF;
        END;
    END LOOP;
    RAISE EXCEPTION USING ERRCODE = 'MM000';
EXCEPTION WHEN OTHERS THEN
    IF SQLSTATE <> 'MM000' THEN
        wrong := wrong || format('%s %s', SQLSTATE, SQLERRM);
    END IF;
END
$$;
