\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 2: while deal is a partition, or has a parent or a child, every write that fires a trigger of ours is refused.
INSERT INTO crm_deals.deal (name, amount) VALUES ('a', 1), ('b', 2);
CREATE FUNCTION t.writes(statements text[]) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(DISTINCT t.dry(s.statement), ', ') FROM unnest(statements) AS s (statement) $$;
CREATE FUNCTION t.plain() RETURNS text LANGUAGE sql AS $$
    SELECT t.writes(ARRAY['INSERT INTO crm_deals.deal (name) VALUES (''c'')', 'UPDATE crm_deals.deal SET amount = 3',
                          'DELETE FROM crm_deals.deal', 'UPDATE crm_deals.deal SET amount = 3 WHERE false'])
$$;

-- A parent, with columns and without
CREATE TABLE t.parent (amount numeric);
ALTER TABLE crm_deals.deal INHERIT t.parent;
SELECT is(t.plain(), '55000 deal', 'section 2: a parent: every write is refused');
SELECT is(t.writes(ARRAY['UPDATE t.parent SET amount = 3', 'DELETE FROM t.parent']), '55000 deal',
          'section 2: through the parent, too');
SELECT is(t.dry('WITH a AS (UPDATE crm_deals.deal SET amount = 3 WHERE name = ''a''), b AS (DELETE FROM t.parent)
                 SELECT'), '55000 deal', 'section 2: and in one statement with a write of deal');
SELECT is(t.error('DELETE FROM t.parent', 'message'),
          'deals are not written while table "deal" inherits from "t.parent"', 'section 10: the error names it');
SELECT is((SELECT string_agg(v.detail, '; ') FROM crm_deals.verify() AS v),
          'table crm_deals.deal inherits from t.parent: writes through the parent or into the child obey no rule',
          'section 2: verify() names it');
ALTER TABLE crm_deals.deal NO INHERIT t.parent;
CREATE TABLE t.bare ();
ALTER TABLE crm_deals.deal INHERIT t.bare;
SELECT is(t.writes(ARRAY['DELETE FROM t.bare', 'DELETE FROM crm_deals.deal']), '55000 deal',
          'section 2: a parent without columns');
ALTER TABLE crm_deals.deal NO INHERIT t.bare;
SELECT is(t.plain(), 'done', 'section 2: without it deals are written again');

-- A child
CREATE TABLE t.child () INHERITS (crm_deals.deal);
SELECT is(t.plain(), '55000 deal', 'section 2: a child: every write is refused');
SELECT is(t.error('UPDATE crm_deals.deal SET amount = 3', 'message'),
          'deals are not written while table "deal" is inherited by "t.child"', 'section 10: the error names it');
SELECT is((SELECT string_agg(v.detail, '; ') FROM crm_deals.verify() AS v),
          'table t.child inherits from crm_deals.deal: writes through the parent or into the child obey no rule',
          'section 2: verify() names the child');
DROP TABLE t.child;
SELECT is(t.plain(), 'done', 'section 2: without it deals are written again');

-- A partition. Since 17, PostgreSQL makes none of a table with an identity column.
SELECT format('CREATE TABLE t.root (LIKE crm_deals.deal) PARTITION BY LIST (name)') \gexec
CREATE FUNCTION t.as_partition(statement text) RETURNS text LANGUAGE sql AS $$
    SELECT t.dry('ALTER TABLE crm_deals.deal ALTER id DROP IDENTITY; '
                 'ALTER TABLE t.root ATTACH PARTITION crm_deals.deal DEFAULT; ' || statement)
$$;
SELECT is(t.as_partition('DELETE FROM t.root'), '55000 deal', 'section 2: a partition');
SELECT is(t.as_partition('UPDATE t.root SET amount = 3'), '55000 deal', 'section 2: an UPDATE of the root');

-- Deals would not follow a stage that is written through a parent; other sessions would keep a pipeline as it was.
CREATE TABLE t.stages (probability numeric);
ALTER TABLE crm_deals.stage INHERIT t.stages;
CREATE TABLE t.pipelines (forbid_skipping boolean);
ALTER TABLE crm_deals.pipeline INHERIT t.pipelines;
SELECT is(t.writes(ARRAY['UPDATE t.stages SET probability = 3', 'UPDATE crm_deals.stage SET probability = 3']),
          '55000 stage', 'section 2: a parent of stage');
SELECT is(t.error('UPDATE t.stages SET probability = 3', 'message'),
          'table "stage" is not written while it inherits from "t.stages"', 'section 10: the error names it');
SELECT is(t.writes(ARRAY['UPDATE t.pipelines SET forbid_skipping = true']), '55000 pipeline',
          'section 2: a parent of pipeline');
SELECT is(t.plain(), 'done', 'section 2: deals are written meanwhile');
ALTER TABLE crm_deals.stage NO INHERIT t.stages;
ALTER TABLE crm_deals.pipeline NO INHERIT t.pipelines;

-- The log
CREATE TABLE t.log_parent (note text);
ALTER TABLE crm_deals.deal_event INHERIT t.log_parent;
SELECT is(t.writes(ARRAY['UPDATE t.log_parent SET note = ''x''', 'DELETE FROM t.log_parent']), '42501 deal_event',
          'section 5: the log is append-only through a parent, too');
ALTER TABLE crm_deals.deal_event NO INHERIT t.log_parent;
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT FROM crm_deals.verify()', 'verify() finds nothing');

SELECT * FROM finish();
