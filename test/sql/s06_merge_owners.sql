\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 6: merge_deals repoints foreign keys where a row refers, as the owner of the table that refers.
SELECT t.drop_roles('regress_crm_mallory', 'regress_crm_merger') AS none \gset
CREATE ROLE regress_crm_mallory; CREATE ROLE regress_crm_merger;
SELECT crm_deals.grant_access('regress_crm_merger', 'write') AS none \gset
GRANT CREATE ON SCHEMA t TO regress_crm_mallory;
GRANT USAGE ON SCHEMA crm_deals TO regress_crm_mallory;
GRANT REFERENCES (id) ON crm_deals.deal TO regress_crm_mallory;
SELECT t.new_deals('d', 2, 'lead') AS none \gset
SELECT format('SELECT crm_deals.merge_deals(%s, %s)', t.deal('d1'), t.deal('d2')) AS merge, t.deal('d1') AS survivor,
       t.deal('d2') AS duplicate \gset

-- Mallory's table and what she puts on it
SET ROLE regress_crm_mallory;
CREATE TABLE t.ran (role name, path text);
CREATE TABLE t.trap (id integer, deal_id bigint CONSTRAINT trap_deal_fkey REFERENCES crm_deals.deal);
CREATE FUNCTION t.spring() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO t.ran VALUES (current_user, current_setting('search_path'));
    RETURN new;
END
$$;
CREATE TRIGGER spring BEFORE UPDATE ON t.trap EXECUTE FUNCTION t.spring();
CREATE TRIGGER spring_row AFTER UPDATE ON t.trap FOR EACH ROW EXECUTE FUNCTION t.spring();
INSERT INTO t.trap VALUES (1, NULL), (2, :survivor);
GRANT SELECT, INSERT ON t.ran TO regress_crm_merger;
GRANT SELECT ON t.trap TO regress_crm_merger;
RESET ROLE;
SET search_path = t, public;
-- What her triggers saw of the merge, and where her rows refer afterwards; all is undone.
\set ran 'SELECT coalesce(string_agg(DISTINCT concat_ws('' '', role, path), '', ''), ''nothing'') FROM t.ran'
SELECT is(t.after(:'merge', :'ran', v.merger), 'nothing',
          'section 6: nothing of a table without a row that refers runs: merged by ' || v.who)
FROM (VALUES (NULL, 'a superuser'), ('regress_crm_merger', 'level write')) AS v (merger, who);
INSERT INTO t.trap VALUES (3, :duplicate);
SELECT is(t.after(:'merge', :'ran'), 'regress_crm_mallory pg_catalog, pg_temp',
          'section 6: with such a row it runs as the owner of the table, under a pinned path');
SELECT is(t.after(:'merge', :'ran', 'regress_crm_merger'), 'regress_crm_mallory pg_catalog, pg_temp',
          'section 6: also if a role of level write merges, who may not write the table');
SELECT is(t.after(:'merge', 'SELECT string_agg(concat_ws('' '', id, deal_id = ' || :survivor
                            || '), '', '' ORDER BY id) FROM t.trap', 'regress_crm_merger'),
          '1, 2 t, 3 t', 'section 6: and the row is repointed');

-- Row security of hers does not hold for her: neither here nor for a foreign key
ALTER TABLE t.trap ENABLE ROW LEVEL SECURITY;
SELECT is(t.dry(:'merge'), 'done', 'section 6: row security of the table hides no row');
ALTER TABLE t.trap FORCE ROW LEVEL SECURITY;
SELECT is(t.dry(:'merge'), 'done', 'section 6: also if it is forced');
ALTER TABLE t.trap NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY;

-- What would run at the end of the transaction would run as the caller
ALTER TABLE t.trap ALTER CONSTRAINT trap_deal_fkey DEFERRABLE INITIALLY DEFERRED;
SELECT is(t.dry(:'merge'), 'done', 'section 6: a deferrable foreign key is fine');
SET ROLE regress_crm_mallory;
CREATE CONSTRAINT TRIGGER spring_late AFTER UPDATE ON t.trap DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION t.spring();
RESET ROLE;
SELECT is(t.dry(:'merge', v.merger), '55000 t.trap.deal_id trap_deal_fkey',
          'section 6: a deferrable trigger of a third owner''s is refused and named: merged by ' || v.who)
FROM (VALUES (NULL, 'a superuser'), ('regress_crm_merger', 'level write')) AS v (merger, who);
SELECT is(t.error(:'merge', 'message') ~ 'column "deal_id" of table t.trap', true, 'section 6: in the message, too');
ALTER TABLE t.trap DISABLE TRIGGER spring_late;
SELECT is(t.dry(:'merge'), 'done', 'section 6: one that is disabled is not');
ALTER TABLE t.trap ENABLE TRIGGER spring_late;
DELETE FROM t.trap WHERE id = 3;
SELECT is(t.dry(:'merge'), 'done', 'section 6: nor one on a table without a row that refers');
INSERT INTO t.trap VALUES (3, :duplicate);
DROP TRIGGER spring_late ON t.trap;
SET ROLE regress_crm_mallory;
CREATE TABLE t.second (id integer);
CREATE CONSTRAINT TRIGGER spring_late AFTER INSERT ON t.second DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION t.spring();
CREATE FUNCTION t.creep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE tg_argv[0];
    RETURN new;
END
$$;
CREATE FUNCTION t.with_creeper(creeping text) RETURNS text LANGUAGE sql AS $$
    SELECT format('SET LOCAL ROLE regress_crm_mallory; CREATE TRIGGER creep BEFORE UPDATE ON t.trap FOR EACH ROW '
                  'EXECUTE FUNCTION t.creep(%L); RESET ROLE; ', creeping)
$$;
RESET ROLE;
SELECT is(t.dry(t.with_creeper('INSERT INTO t.second VALUES (1)') || :'merge'), '42501 t.trap.deal_id trap_deal_fkey',
          'section 6: nor can her trigger put something off by way of another table');
SELECT is(t.dry(t.with_creeper('DECLARE late CURSOR WITH HOLD FOR SELECT 1') || :'merge'),
          '42501 t.trap.deal_id trap_deal_fkey', 'section 6: or of a cursor');
SELECT is(t.after(t.with_creeper('SET search_path = mallory') || :'merge', 'SHOW search_path'), 't, public',
          'section 6: and what it sets ends with it');
SELECT is(t.dry('INSERT INTO t.trap VALUES (4, 4711); ' || :'merge'), '23503 t.trap.deal_id trap_deal_fkey',
          'section 6: her deferred foreign key is checked at once');
SELECT is(t.dry(:'merge' || '; INSERT INTO t.trap VALUES (4, 4711)'), 'done', 'section 6: and is deferred again then');
SET ROLE regress_crm_mallory;
CREATE TABLE t.root (deal_id bigint CONSTRAINT root_deal_fkey REFERENCES crm_deals.deal) PARTITION BY LIST (deal_id);
CREATE TABLE t.part PARTITION OF t.root DEFAULT;
CREATE CONSTRAINT TRIGGER spring_late AFTER UPDATE ON t.part DEFERRABLE FOR EACH ROW EXECUTE FUNCTION t.spring();
INSERT INTO t.root VALUES (:duplicate);
RESET ROLE;
SELECT is(t.dry(:'merge'), '55000 t.root.deal_id root_deal_fkey',
          'section 6: a deferrable trigger on a partition counts as well');
DROP TABLE t.root;
ALTER TABLE t.trap OWNER TO regress_crm_merger;
CREATE CONSTRAINT TRIGGER spring_late AFTER UPDATE ON t.trap DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION t.spring();
SELECT is(t.dry(:'merge', 'regress_crm_merger'), 'done',
          'section 6: a deferrable trigger of the caller''s own is fine');
DROP TRIGGER spring_late ON t.trap;
SELECT is(t.after(:'merge', :'ran', 'regress_crm_merger'), 'regress_crm_merger t, public',
          'section 6: his own table the caller writes himself, under his own path');
ALTER TABLE t.trap OWNER TO CURRENT_USER;
CREATE CONSTRAINT TRIGGER spring_late AFTER UPDATE ON t.trap DEFERRABLE FOR EACH ROW EXECUTE FUNCTION t.spring();
SELECT is(t.dry(:'merge', 'regress_crm_merger'), 'done',
          'section 6: and a deferrable trigger of the owner of deal is fine');

-- A trigger that keeps the row fails the merge, and so does an error
CREATE FUNCTION t.keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER keep BEFORE UPDATE ON t.trap FOR EACH ROW EXECUTE FUNCTION t.keep();
SELECT is(t.dry(:'merge'), '09000 t.trap.deal_id trap_deal_fkey',
          'section 6: a row that a trigger keeps fails the merge and is named');
DROP TRIGGER keep ON t.trap;
CREATE TABLE t.once (deal_id bigint UNIQUE CONSTRAINT once_deal_fkey REFERENCES crm_deals.deal ON DELETE CASCADE);
INSERT INTO t.once VALUES (:survivor), (:duplicate);
SELECT is(t.dry(:'merge'), '23505 t.once.deal_id once_deal_fkey',
          'section 6: a unique constraint that both deals use fails it and is named');
DROP TABLE t.once;

-- Rows of ours that row security hides from the caller are no less the duplicate's
INSERT INTO crm_deals.activity (kind, subject, deal_id)
VALUES ('call', 'seen', :duplicate), ('call', 'hidden', :duplicate);
ALTER TABLE crm_deals.activity ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON crm_deals.activity USING (subject <> 'hidden');
SELECT is(t.try(:'merge', 'regress_crm_merger'), 'done', 'section 6: activities that the caller does not see');
SELECT is((SELECT string_agg(concat_ws(' ', subject, deal_id = :survivor), ', ' ORDER BY subject)
           FROM crm_deals.activity),
          'hidden t, seen t', 'section 6: move, too');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');
RESET search_path;
DROP TABLE t.trap;
SELECT t.drop_roles('regress_crm_mallory', 'regress_crm_merger') AS none \gset

SELECT * FROM finish();
