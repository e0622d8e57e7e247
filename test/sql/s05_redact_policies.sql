\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Sections 5 and 9: under row security redact() reaches what its caller may see and change, and hides no deal.
SELECT t.drop_roles('regress_crm_alice', 'regress_crm_bob') AS none \gset
CREATE ROLE regress_crm_alice;
CREATE ROLE regress_crm_bob;
SELECT crm_deals.grant_access('regress_crm_alice', 'admin'),
       crm_deals.grant_access('regress_crm_bob', 'write') \gset none_
CREATE FUNCTION t.redact(arguments text, as_role text DEFAULT 'regress_crm_alice') RETURNS text LANGUAGE sql AS $$
    SELECT t.get('SELECT string_agg(relation || '' '' || rows, '', '' ORDER BY relation) FROM crm_deals.redact('
                 || arguments || ') WHERE rows > 0',
                 as_role)
$$;
-- What a call does, and then what a query returns; all of it is undone.
CREATE FUNCTION t.then(arguments text, query text) RETURNS text LANGUAGE sql AS $$
    SELECT t.after(format('SELECT crm_deals.redact(%s)', arguments), query, 'regress_crm_alice')
$$;
INSERT INTO crm_deals.contact (first_name, last_name, owner) VALUES
    ('A', 'Hers', 'regress_crm_alice'), ('B', 'His', 'regress_crm_bob');
INSERT INTO crm_deals.lead (company_name, owner) VALUES ('Hers', 'regress_crm_alice'), ('His', 'regress_crm_bob');
INSERT INTO crm_deals.deal (name, notes, owner) VALUES
    ('hers', 'n', 'regress_crm_alice'), ('his', 'n', 'regress_crm_bob'), ('gone', 'n', 'regress_crm_alice'),
    ('merged', 'n', 'regress_crm_alice'), ('into', 'n', 'regress_crm_alice');
DELETE FROM crm_deals.deal WHERE name = 'gone';
SELECT crm_deals.merge_deals(5, 4) AS none \gset
SELECT crm_deals.move_deal(1, 'qualified', note => 'of hers', actor => 'eve'),
       crm_deals.move_deal(2, 'qualified', note => 'of his', actor => 'eve') \gset none_
INSERT INTO crm_deals.activity (kind, subject, deal_id, contact_id, actor) VALUES
    ('call', 'hers', 1, 2, 'eve'), ('call', 'his', 2, 2, 'eve'), ('call', 'of no deal', NULL, 1, 'eve');
INSERT INTO crm_deals.deal_duplicate (deal_id, other_deal_id, similarity, resolution, resolved_by) VALUES
    (2, 1, 0.9, 'dismissed', 'eve'), (5, 1, 0.9, 'dismissed', 'eve');

-- Without a policy the caller reaches all.
SELECT is(t.then('actor => ''eve''', 'SELECT count(*) FROM crm_deals.deal_event WHERE actor = ''eve'''), '0',
          'redact: without row security everywhere');
SELECT is(t.then('deals => ''{3}''', 'SELECT string_agg(DISTINCT changes ->> ''name'', '' '') '
                 'FROM crm_deals.deal_event WHERE deal_id = 3'),
          '["[redacted]", null] [null, "[redacted]"]', 'redact: a deleted deal');

-- A policy by owner
CREATE POLICY own ON crm_deals.deal USING (owner = current_user);
ALTER TABLE crm_deals.deal ENABLE ROW LEVEL SECURITY;
SELECT is(t.redact('deals => ''{' || v.deal || '}'''), 'P0002', 'redact: for alice it does not exist: ' || v.what)
FROM (VALUES (2, 'a hidden deal'), (3, 'a deleted one'), (99, 'none')) AS v (deal, what);
SELECT is(t.redact('deals => ''{1,2}'''), 'P0002', 'redact: nor beside her own');
SELECT is(t.then('deals => ''{1}''', $$SELECT string_agg(concat_ws(' ', d.name, d.notes), ', ' ORDER BY d.id)
                                       FROM crm_deals.deal AS d WHERE d.id < 4$$), '[redacted] [redacted]',
          'redact: her own');
SELECT is(t.redact('deals => ''{4}'''), 'activity 1, deal 1, deal_event 4', 'redact: a deal merged into one of hers');
SELECT is((SELECT name FROM crm_deals.deal WHERE id = 5), '[redacted]', 'redact: is that one');
-- A named actor is erased where the caller sees the deal.
SELECT is(t.redact('actor => ''eve'''), 'activity 5, deal_duplicate 1, deal_event 1',
          'redact: an actor, in the log of the deals that she sees');
SELECT is((SELECT string_agg(concat(deal_id, ' ', actor), ', ' ORDER BY id) FROM crm_deals.deal_event
           WHERE note ~ '^of'), '1 [redacted], 2 eve', 'redact: not in that of others');
SELECT is((SELECT string_agg(resolved_by, ', ' ORDER BY deal_id) FROM crm_deals.deal_duplicate), 'eve, [redacted]',
          'redact: nor a pair of which she sees one deal');
-- The tables that hang on deals
SELECT crm_deals.protect_children() AS none \gset
UPDATE crm_deals.activity SET actor = 'eve';
SELECT is(t.redact('actor => ''eve'''), 'activity 4', 'redact: activities that she sees');
SELECT is((SELECT actor FROM crm_deals.activity WHERE subject = 'his'), 'eve', 'redact: not those of his deals');

-- Contacts and leads have policies of their own.
CREATE POLICY own ON crm_deals.contact USING (owner = current_user);
CREATE POLICY own ON crm_deals.lead USING (owner = current_user);
ALTER TABLE crm_deals.contact ENABLE ROW LEVEL SECURITY;
ALTER TABLE crm_deals.lead ENABLE ROW LEVEL SECURITY;
SELECT is(t.redact(v.arguments), v.result, 'redact: ' || v.arguments)
FROM (VALUES ('contact => ''2''', 'P0002'), ('lead => 2', 'P0002'), ('lead => 1', 'lead 1')) AS v (arguments, result);
SELECT is(t.then('contact => ''1''', 'SELECT string_agg(last_name, '' '') FROM crm_deals.contact'), '[redacted]',
          'redact: a contact of hers');

-- The owner, whom policies read
CREATE FUNCTION t.seen(role text) RETURNS text LANGUAGE sql AS $$
    SELECT t.get('SELECT concat_ws('' '', (SELECT count(*) FROM crm_deals.deal), '
                 '(SELECT count(*) FROM crm_deals.contact), (SELECT count(*) FROM crm_deals.lead))', role)
$$;
SELECT t.seen('regress_crm_alice') AS hers, t.seen('regress_crm_bob') AS his \gset
CREATE FUNCTION t.of_bob() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(e.kind || ' ' || concat_ws(' ', e.owner, e.changes ->> 'owner'), ', ' ORDER BY e.id)
    FROM crm_deals.deal_event AS e WHERE e.deal_id = 2
$$;
SELECT is(t.redact('actor => ''regress_crm_bob''', current_user), NULL, 'redact: who owns deals');
SELECT is(t.seen('regress_crm_alice') || ', ' || t.seen('regress_crm_bob'), :'hers' || ', ' || :'his',
          'redact: no deal, contact or lead is hidden');
SELECT is(t.of_bob(), 'created regress_crm_bob [null, "regress_crm_bob"], stage_changed regress_crm_bob',
          'redact: the log of his deals names him still');
UPDATE crm_deals.deal SET owner = 'regress_crm_alice' WHERE id = 2;
SELECT is(t.redact('actor => ''regress_crm_bob'''), 'deal_event 3', 'redact: once his deals have another owner');
SELECT is(t.of_bob(), 'created [redacted] [null, "[redacted]"], stage_changed [redacted], '
                      'updated regress_crm_alice ["[redacted]", "regress_crm_alice"]', 'redact: he is erased');
-- A policy that reads the whole row
CREATE FUNCTION t.may_see(d crm_deals.deal) RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT d.owner = current_user $$;
GRANT EXECUTE ON FUNCTION t.may_see TO PUBLIC;
DROP POLICY own ON crm_deals.deal;
CREATE POLICY own ON crm_deals.deal USING (t.may_see(deal));
SELECT t.redact('actor => ''regress_crm_alice''', current_user) AS none \gset
SELECT is(t.get('SELECT count(*) FROM crm_deals.deal', 'regress_crm_alice'), '3',
          'redact: a policy that reads the row as a whole reads the owner');
-- A policy that does not read the owner
DROP POLICY own ON crm_deals.deal;
CREATE POLICY named ON crm_deals.deal USING (name <> 'hidden');
SELECT is(t.after('SELECT crm_deals.redact(actor => ''regress_crm_alice'')',
                  'SELECT string_agg(DISTINCT owner, '' '') FROM crm_deals.deal'), '[redacted]',
          'redact: where no policy reads the owner it is erased');
-- What the caller sees and may not change
DROP POLICY named ON crm_deals.deal;
CREATE POLICY see ON crm_deals.deal FOR SELECT USING (true);
CREATE POLICY change ON crm_deals.deal FOR UPDATE USING (id <> 2);
UPDATE crm_deals.deal SET name = 'deal ' || id;
SELECT is(t.redact('deals => ''{1,2}'''), 'activity 2, deal 1, deal_event 4',
          'redact: it passes over a deal that she may not change');
SELECT is((SELECT string_agg(name, ', ' ORDER BY id) FROM crm_deals.deal WHERE id < 3)
          || (SELECT count(*) FROM crm_deals.deal_event WHERE deal_id = 2 AND changes::text ~ 'redacted.*deal 2'),
          '[redacted], deal 20', 'redact: and over its log');
SELECT t.drop_roles('regress_crm_alice', 'regress_crm_bob') AS none \gset
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

SELECT * FROM finish();
