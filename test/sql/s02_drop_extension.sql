\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 2: DROP EXTENSION never deletes the business.
SELECT t.new_deals('d', 3, 'lead') AS none \gset
UPDATE crm_deals.deal SET stage_id = t.stage('won') WHERE name = 'd1';
ALTER TABLE crm_deals.deal ADD COLUMN region text DEFAULT 'north';
CREATE TABLE t.project (id integer PRIMARY KEY, deal_id bigint REFERENCES crm_deals.deal);
INSERT INTO t.project SELECT 1, t.deal('d1');
INSERT INTO crm_deals.account (name) VALUES ('Acme');
CREATE TABLE t.before AS SELECT * FROM crm_deals.deal;
CREATE TABLE t.events AS SELECT * FROM crm_deals.deal_event;
CREATE TABLE t.columns AS
    SELECT c.relname, a.attname, a.atttypid, a.attnotnull
    FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE relnamespace = 'crm_deals'::regnamespace AND relkind = 'r';
CREATE TABLE t.constraints AS
    SELECT conrelid::regclass::text AS relation, conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint
    WHERE connamespace = 'crm_deals'::regnamespace;
SELECT is(t.try('DROP EXTENSION crm_deals'), '2BP01', 'section 2: DROP EXTENSION without CASCADE is refused');
DROP EXTENSION crm_deals CASCADE;
SELECT set_eq('SELECT * FROM crm_deals.deal', 'SELECT * FROM t.before', 'section 2: with CASCADE every deal stays');
SELECT set_eq('SELECT * FROM crm_deals.deal_event', 'SELECT * FROM t.events', 'section 2: and every event');
SELECT set_eq('SELECT c.relname, a.attname, a.atttypid, a.attnotnull '
              'FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped '
              'WHERE relnamespace = ''crm_deals''::regnamespace AND relkind = ''r''',
              'SELECT * FROM t.columns', 'section 2: and every column');
SELECT set_eq('SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint '
              'WHERE connamespace = ''crm_deals''::regnamespace',
              'SELECT * FROM t.constraints', 'section 2: and every constraint');
SELECT is((SELECT count(*) FROM pg_trigger WHERE tgrelid = 'crm_deals.deal'::regclass AND NOT tgisinternal), 0::bigint,
          'section 2: the triggers go with the code');
SELECT is((SELECT count(*) FROM t.project AS p JOIN crm_deals.deal AS d ON d.id = p.deal_id), 1::bigint,
          'section 2: the user''s own foreign key stays');
SELECT is((SELECT count(*) FROM pg_type AS y WHERE y.typname = 'deal_status'), 1::bigint,
          'section 2: so does the enum');
-- And back
CREATE EXTENSION crm_deals;
SELECT is(crm_deals.install(), (SELECT extversion FROM pg_extension WHERE extname = 'crm_deals'),
          'section 2: the code comes back to the data');
SELECT set_eq('SELECT * FROM crm_deals.deal', 'SELECT * FROM t.before', 'section 2: which is as it was');
UPDATE crm_deals.deal SET stage_id = t.stage('lead') WHERE name = 'd1';
SELECT is(t.kinds('d1') || ', ' || t.state('d1'), 'created won reopened, lead open 10 v3',
          'section 2: rules and log go on');
SELECT is((SELECT count(*) FROM crm_deals.deal_overview), 3::bigint, 'section 2: the view is back');
-- t.broken(), without what it says of the column that ALTER TABLE added
SELECT is_empty($$SELECT b FROM t.broken() AS b WHERE b NOT LIKE 'rule 7: %: the log says %'$$,
                'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

SELECT * FROM finish();
