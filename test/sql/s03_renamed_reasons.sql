\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 3: a lost reason that is renamed takes its deals along, as one batch of updated events.
INSERT INTO crm_deals.lost_reason (pipeline_id, name) VALUES (:sales, 'price'), (:sales, 'timing'), (:sales, 'size');
SELECT crm_deals.create_pipeline('Other') AS other \gset
INSERT INTO crm_deals.lost_reason (pipeline_id, name) VALUES (:other, 'price');
INSERT INTO crm_deals.deal (name, stage_id, lost_reason)
VALUES ('p1', t.stage('lost'), 'price'), ('p2', t.stage('lost'), 'price'), ('t1', t.stage('lost'), 'timing'),
       ('s1', t.stage('lost'), 'size'), ('o1', t.stage('lost', 'Other'), 'price');
INSERT INTO crm_deals.deal (name) VALUES ('open');
UPDATE crm_deals.lost_reason SET is_active = false WHERE name = 'timing';
CREATE FUNCTION t.reasons() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT string_agg(name || ' ' || lost_reason, ', ' ORDER BY name) FROM crm_deals.deal
            WHERE lost_reason IS NOT NULL);
END
$$;
SELECT max(id) AS last_event FROM crm_deals.deal_event \gset
SELECT is(t.after('UPDATE crm_deals.lost_reason SET name = ''Pricing'' WHERE pipeline_id = 1 AND name = ''price''',
                  'SELECT t.reasons()'),
          'o1 price, p1 Pricing, p2 Pricing, s1 size, t1 timing', 'section 3: deals of that pipeline follow');
SELECT is(t.after('UPDATE crm_deals.lost_reason SET name = ''Later'' WHERE pipeline_id = 1 AND name = ''timing''',
                  'SELECT t.reasons()'),
          'o1 price, p1 price, p2 price, s1 size, t1 Later', 'section 3: also that of a reason that is not active');
SELECT is(t.after('INSERT INTO crm_deals.lost_reason (pipeline_id, name) VALUES (1, ''size'') '
                  'ON CONFLICT (pipeline_id, name) DO UPDATE SET name = ''Size''', 'SELECT t.reasons()'),
          'o1 price, p1 price, p2 price, s1 Size, t1 timing', 'section 3: so does an upsert');
UPDATE crm_deals.lost_reason SET name = upper(name) WHERE pipeline_id = :sales;
SELECT is(t.reasons(), 'o1 price, p1 PRICE, p2 PRICE, s1 SIZE, t1 TIMING', 'section 3: several at once');
SELECT is((SELECT string_agg(d.name || ' ' || e.kind || ' ' || e.changes, ', ' ORDER BY d.name) || ' '
                  || count(DISTINCT e.batch_id)
           FROM crm_deals.deal_event AS e JOIN crm_deals.deal AS d ON d.id = e.deal_id WHERE e.id > :last_event),
          'p1 updated {"lost_reason": ["price", "PRICE"]}, p2 updated {"lost_reason": ["price", "PRICE"]}, '
          's1 updated {"lost_reason": ["size", "SIZE"]}, t1 updated {"lost_reason": ["timing", "TIMING"]} 1',
          'section 3: as one batch of updated events');
UPDATE crm_deals.lost_reason SET labels = '{"de": "Preis"}', is_active = true;
SELECT is((SELECT count(*) FROM crm_deals.deal_event WHERE id > :last_event), 4::bigint,
          'section 3: labels and is_active change no deal');
SELECT is(t.dry('UPDATE crm_deals.lost_reason SET name = ''x'' WHERE pipeline_id = 1'), '23505 lost_reason lost_reason_once',
          'section 3: a name is there once');
-- Deals that the admin cannot see follow, too.
SELECT t.drop_roles('regress_crm_reasons') AS none \gset
CREATE ROLE regress_crm_reasons;
SELECT crm_deals.grant_access('regress_crm_reasons', 'admin') AS none \gset
ALTER TABLE crm_deals.deal ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON crm_deals.deal USING (name = 'p1');
SELECT is(t.try('UPDATE crm_deals.lost_reason SET name = ''dear'' WHERE name = ''PRICE''', 'regress_crm_reasons'), 'done',
          'section 3: an admin renames a reason');
SELECT is(t.reasons(), 'o1 price, p1 dear, p2 dear, s1 SIZE, t1 TIMING', 'section 3: hidden deals follow, too');
ALTER TABLE crm_deals.deal DISABLE ROW LEVEL SECURITY;
DROP POLICY own ON crm_deals.deal;
-- A rule of a user's that inserts instead: the insert is judged as any.
SELECT is(t.dry('CREATE RULE instead AS ON UPDATE TO crm_deals.deal DO INSTEAD INSERT INTO crm_deals.deal '
                '(name, stage_id, lost_reason) VALUES (''x'', t.stage(''lost''), ''rain''); '
                'UPDATE crm_deals.lost_reason SET name = ''cheap'' WHERE name = ''dear'''),
          '23514 deal.lost_reason deal_lost_reason', 'section 3: only the renaming itself is not judged');
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');
SELECT t.drop_roles('regress_crm_reasons') AS none \gset
SELECT * FROM finish();
