\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/setup.sql
SELECT crm_deals.install() AS version \gset
-- Section 12: load_sample() makes a small sales team. All values are stated by hand.
SELECT crm_deals.load_sample() AS none \gset
SELECT is((SELECT string_agg(p.name || ' ' || p.currency || CASE WHEN p.is_default THEN ' default' ELSE '' END, ', '
                             ORDER BY p.id) FROM crm_deals.pipeline AS p),
          'New business EUR default, Renewals EUR', 'section 12: load_sample: two pipelines');
SELECT is((SELECT count(*) FROM crm_deals.stage AS s WHERE NOT s.labels ? 'de'), 0::bigint,
          'section 12: load_sample: German labels');
SELECT is((SELECT string_agg(c.column_key || ' ' || c.deal_count || ' ' || c.amounts, ', ' ORDER BY c.ordinal)
           FROM crm_deals.board('New business') AS c),
          'lead 3 {"EUR": 64200}, qualified 3 {"EUR": 55500}, proposal 3 {"EUR": 125000, "USD": 113000}, '
          'negotiation 2 {"EUR": 112000}, won 5 {"EUR": 86000, "USD": 41000}, lost 4 {"EUR": 48000, "USD": 95000}',
          'section 12: load_sample: the board');
SELECT is((SELECT string_agg(c.column_key || ' ' || c.deal_count || ' ' || c.amounts, ', ' ORDER BY c.ordinal)
           FROM crm_deals.board('Renewals') AS c),
          'upcoming 1 {"EUR": 12000}, contacted 1 {"EUR": 36000}, quoted 1 {"EUR": 27000}, '
          'renewed 1 {"USD": 40000}, churned 1 {"EUR": 6000}', 'section 12: load_sample: the other board');
SELECT is((SELECT string_agg(r.lost_reason || ' ' || r.n, ', ' ORDER BY r.lost_reason)
           FROM (SELECT d.lost_reason, count(*) AS n FROM crm_deals.deal AS d WHERE d.status = 'lost' GROUP BY 1) AS r),
          'competitor 2, no budget 2, price 1', 'section 12: load_sample: reasons');
SELECT is((SELECT string_agg(concat_ws(' ', h.stage_key, CURRENT_DATE - h.entered_at::date, h.actor), ', '
                             ORDER BY h.entered_at)
           FROM crm_deals.deal_stage_history AS h JOIN crm_deals.deal AS d ON d.id = h.deal_id
           WHERE d.external_id = 'S-12'),
          'lead 150 clara, qualified 118 clara, proposal 85 clara, negotiation 53 clara, won 20 clara',
          'section 12: load_sample: the history of a deal');
SELECT is((SELECT count(*) FROM crm_deals.deal AS d WHERE d.status = 'open' AND d.expected_close_date < CURRENT_DATE)
          || ' ' || (SELECT count(*) FROM crm_deals.deal AS d WHERE d.status = 'open'
                     AND d.expected_close_date >= CURRENT_DATE),
          '1 12', 'section 12: load_sample: what is overdue, and what is expected');
SELECT is(concat_ws(', ', (SELECT count(*) FROM crm_deals.account), (SELECT count(*) FROM crm_deals.contact),
                    (SELECT count(DISTINCT owner) FROM crm_deals.deal), (SELECT count(*) FROM crm_deals.lead),
                    (SELECT count(*) FROM crm_deals.deal_contact), (SELECT count(*) FROM crm_deals.exchange_rate),
                    (SELECT count(*) FROM crm_deals.deal_duplicate), (SELECT count(*) FROM crm_deals.custom_field)),
          '10, 10, 4, 4, 25, 2, 1, 2', 'section 12: load_sample: accounts, contacts, sellers, leads, …');
SELECT is((SELECT count(*) || ' ' || count(*) FILTER (WHERE is_overdue) FROM crm_deals.open_task), '8 2',
          'section 12: load_sample: tasks');
-- In each quarter: what its days won depends on the day of the test, what is to be won does not.
SELECT is((SELECT string_agg(concat_ws(' ', a.group_label, a.currency, a.target), ', ' ORDER BY a.group_label)
           FROM crm_deals.attainment(v.by) AS a WHERE a.target IS NOT NULL), v.wanted,
          format('section 12: load_sample: targets by %s', v.by))
FROM (VALUES (NULL, 'EUR 150000'), ('owner', 'anna EUR 30000, ben EUR 30000, clara EUR 30000, david EUR 30000'),
             ('pipeline', 'New business EUR 100000, Renewals EUR 50000')) AS v (by, wanted);
SELECT is((SELECT sum(a.won) FROM crm_deals.attainment(period => NULL, from_date => CURRENT_DATE - 200) AS a
           WHERE a.currency = 'EUR'), 86000::numeric, 'section 12: load_sample: won of them');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'section 12: load_sample: no rule is broken');
SELECT is_empty('SELECT t.broken()', 'section 4: rules 1 to 7 hold on the data');
SELECT is((SELECT string_agg(DISTINCT origin, ' ') FROM crm_deals.deal_event), 'import',
          'section 8: all of it is imported, so nobody is notified');
SELECT is(t.dry('SELECT crm_deals.load_sample()'), '55000', 'section 10: load_sample: over deals');
DELETE FROM crm_deals.deal;
SELECT is(t.dry('SELECT crm_deals.load_sample()'), '55000', 'section 10: load_sample: over the log of deals');
-- The owner only
SELECT t.drop_roles('regress_crm_admin') AS none \gset
CREATE ROLE regress_crm_admin;
SELECT crm_deals.grant_access('regress_crm_admin', 'admin') AS none \gset
SELECT is(t.dry('SELECT crm_deals.load_sample()', 'regress_crm_admin'), '42501', 'section 9: load_sample: the owner only');
SELECT t.drop_roles('regress_crm_admin') AS none \gset

-- Beside tables of the host's
SET client_min_messages = warning;
DROP SCHEMA crm_deals CASCADE;
CREATE EXTENSION crm_deals;
CREATE TABLE t.firm (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text, must text NOT NULL);
CREATE TABLE t.person (id bigint PRIMARY KEY, name text);
INSERT INTO t.firm (name, must) VALUES ('One', 'x'), ('Two', 'x'), ('Twin', 'x'), ('Twin', 'x');
SELECT crm_deals.install(account_table => 't.firm', owner_table => 't.person') AS none \gset
SELECT crm_deals.load_sample() AS none \gset
SELECT is((SELECT string_agg(DISTINCT a.name, ' ') || ' ' || count(*) || ' ' || count(d.owner)
           FROM crm_deals.deal AS d JOIN t.firm AS a ON a.id = d.account_id), 'One Two 25 0',
          'section 12: load_sample: rows of a host''s table are used, and none are written');
SELECT is((SELECT count(*) FROM t.firm), 4::bigint, 'section 12: load_sample: nothing is written there');
SELECT is((SELECT string_agg(DISTINCT concat_ws(' ', owner, amount), ', ') FROM crm_deals.target), '100000, 50000',
          'section 12: load_sample: without sellers the team has targets');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'section 12: load_sample: no rule is broken beside host tables');

SELECT * FROM finish();
