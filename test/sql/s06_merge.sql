\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 6: merge_deals makes one deal of two, all or nothing.
ALTER TABLE crm_deals.deal ADD COLUMN region text, ADD COLUMN parent_id bigint REFERENCES crm_deals.deal;
CREATE TABLE t.invoice (id integer PRIMARY KEY, deal_id bigint REFERENCES crm_deals.deal);
CREATE TABLE t.line (deal_id bigint, id bigint REFERENCES crm_deals.deal) PARTITION BY RANGE (deal_id);
CREATE TABLE t.line_1 PARTITION OF t.line DEFAULT;
INSERT INTO crm_deals.account (name) VALUES ('Acme');
INSERT INTO crm_deals.contact (first_name) VALUES ('Ann'), ('Bob');
INSERT INTO crm_deals.deal (name, currency, owner, custom_fields) VALUES ('survivor', 'EUR', 'anna', '{"both": 1}');
INSERT INTO crm_deals.deal (name, amount, currency, owner, account_id, primary_contact_id, source, notes,
                            expected_close_date, external_id, custom_fields, region, stage_id)
SELECT 'duplicate', 5, 'USD', 'bob', a.id, c.id, 'web', 'hello', '2030-01-01', 'ext', '{"both": 2, "one": 3}', 'north',
       t.stage('proposal')
FROM crm_deals.account AS a, crm_deals.contact AS c WHERE c.first_name = 'Ann';
INSERT INTO crm_deals.deal (name, parent_id) SELECT 'child', t.deal('duplicate');
SELECT t.deal('survivor') AS survivor, t.deal('duplicate') AS duplicate \gset
INSERT INTO t.invoice VALUES (1, :duplicate), (2, :survivor), (3, NULL);
INSERT INTO t.line VALUES (1, :duplicate);
INSERT INTO crm_deals.activity (kind, subject, deal_id) VALUES ('call', 'one', :duplicate), ('call', 'two', :survivor);
INSERT INTO crm_deals.lead (company_name, deal_id, status, converted_at)
VALUES ('Acme', :duplicate, 'converted', now());
INSERT INTO crm_deals.deal_contact (deal_id, contact_id, role)
SELECT d.id, c.id, CASE d.name WHEN 'duplicate' THEN 'decides' END
FROM crm_deals.deal AS d, crm_deals.contact AS c
WHERE d.name = 'duplicate' OR d.name = 'survivor' AND c.first_name = 'Ann';
SELECT is(t.try(format('SELECT crm_deals.merge_deals(%s, %s)', :survivor, :survivor)), '22023',
          'merge_deals: with itself: 22023');
SELECT is(t.try(format('SELECT crm_deals.merge_deals(%s, 4711)', :survivor)), 'P0002', 'merge_deals: with none: P0002');
SELECT is(t.try(format('SELECT crm_deals.merge_deals(NULL, %s)', :survivor)), '22004', 'merge_deals: with NULL: 22004');
-- One that cannot be repointed fails the merge, and is named
CREATE TABLE t.pinned (deal_id bigint REFERENCES crm_deals.deal CONSTRAINT pinned_stays CHECK (deal_id > 0));
CREATE FUNCTION t.pin()
RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'pinned' USING ERRCODE = '23001'; END $$;
CREATE TRIGGER pin BEFORE UPDATE ON t.pinned FOR EACH ROW EXECUTE FUNCTION t.pin();
INSERT INTO t.pinned VALUES (:duplicate);
SELECT is(t.try(format('SELECT crm_deals.merge_deals(%s, %s)', :survivor, :duplicate)),
          '23001 t.pinned.deal_id pinned_deal_id_fkey', 'merge_deals: a foreign key that cannot be repointed fails it');
SELECT is(t.error(format('SELECT crm_deals.merge_deals(%s, %s)', :survivor, :duplicate), 'message')
              ~ 'column "deal_id" of table t.pinned',
          true, 'merge_deals: and is named');
SELECT is((SELECT count(*) FROM t.invoice WHERE deal_id = :duplicate), 1::bigint, 'merge_deals: all or nothing');
DROP TABLE t.pinned;
-- The merge
SELECT max(id) AS last_event FROM crm_deals.deal_event \gset
SELECT is(crm_deals.merge_deals(:survivor, :duplicate, 'merger'), :survivor::bigint,
          'merge_deals: returns the survivor');
SELECT is((SELECT concat_ws(' ', name, amount, currency, owner, source, notes IS NULL,
                            to_char(expected_close_date, 'YYYY-MM-DD'), external_id, region, custom_fields)
           FROM crm_deals.deal WHERE id = :survivor),
          'survivor 5 USD anna web t 2030-01-01 ext north {"one": 3, "both": 1}',
          'merge_deals: values that the survivor lacks move, the amount with its currency');
SELECT is((SELECT concat_ws(' ', a.name, c.first_name) FROM crm_deals.deal AS d
           JOIN crm_deals.account AS a ON a.id = d.account_id JOIN crm_deals.contact AS c ON c.id = d.primary_contact_id
           WHERE d.id = :survivor),
          'Acme Ann', 'merge_deals: account and contact, too');
SELECT is(t.state('survivor'), 'lead open 10 v2', 'merge_deals: stage and status are the survivor''s');
SELECT is((SELECT string_agg(subject, ' ' ORDER BY subject) FROM crm_deals.activity
           WHERE deal_id = :survivor AND kind = 'call'),
          'one two', 'merge_deals: activities move');
SELECT is((SELECT concat_ws('|', subject, body, actor, count(*) OVER ()) FROM crm_deals.activity WHERE kind = 'note'),
          'Notes of merged deal: duplicate|hello|merger|1', 'merge_deals: notes become a note activity');
SELECT is((SELECT string_agg(c.first_name || ' ' || s.role, ', ' ORDER BY c.first_name) FROM crm_deals.deal_contact AS s
           JOIN crm_deals.contact AS c ON c.id = s.contact_id WHERE s.deal_id = :survivor),
          'Ann decides, Bob decides', 'merge_deals: stakeholders move');
SELECT is((SELECT string_agg(concat_ws(' ', id, deal_id = :survivor), ', ' ORDER BY id) FROM t.invoice), '1 t, 2 t, 3',
          'merge_deals: the host''s foreign keys are repointed');
SELECT is((SELECT id FROM t.line), :survivor::bigint, 'merge_deals: those of a partitioned table');
SELECT is((SELECT parent_id FROM crm_deals.deal WHERE name = 'child'), :survivor::bigint,
          'merge_deals: and of deal itself');
SELECT is((SELECT deal_id FROM crm_deals.lead), :survivor::bigint, 'merge_deals: the lead it came from');
SELECT is((SELECT concat_ws(' ', old_id = :duplicate, old_external_id, deal_id = :survivor) FROM crm_deals.deal_alias),
          't ext t', 'merge_deals: deal_alias keeps the way');
SELECT is(crm_deals.resolve_deal(:duplicate), :survivor::bigint, 'resolve_deal follows it');
SELECT is((SELECT stage_key FROM crm_deals.move_deal(:duplicate, 'qualified')), 'qualified', 'move_deal follows it');
SELECT is(t.state('survivor'), 'qualified open 25 v3', 'to the survivor');
SELECT is((SELECT kind || ' ' || merged_into || ' ' || actor FROM crm_deals.deal_event WHERE deal_id = :duplicate
           ORDER BY version DESC LIMIT 1),
          'merged ' || :survivor || ' merger', 'merge_deals: the duplicate''s last event');
SELECT is((SELECT string_agg(kind || ' ' || actor, ', ' ORDER BY id) FROM crm_deals.deal_event
           WHERE deal_id = :survivor AND id > :last_event),
          'updated merger, stage_changed ' || current_user, 'merge_deals: the survivor''s');
SELECT is(t.try(format('SELECT crm_deals.restore_deal(%s)', :duplicate)), '55000',
          'restore_deal: a merged deal: 55000');
-- Both roles where they differ; a user's columns of a stakeholder go along
ALTER TABLE crm_deals.deal_contact ADD COLUMN weight integer;
INSERT INTO crm_deals.contact (first_name) SELECT n FROM regexp_split_to_table('C1 C2 C3 C4 C5 C6', ' ') AS n;
SELECT t.new_deals('r', 2, 'lead') AS none \gset
INSERT INTO crm_deals.deal_contact (deal_id, contact_id, role, weight)
SELECT t.deal(v.deal), c.id, v.role, v.weight
FROM (VALUES ('r1', 'C1', 'buyer', 1), ('r2', 'C1', 'decides', 2), ('r1', 'C2', 'buyer', 1), ('r2', 'C2', 'Buyer', 2),
             ('r1', 'C3', 'a, b', 1), ('r2', 'C3', 'b, c', 2), ('r1', 'C4', NULL, 1), ('r2', 'C4', 'pays', 2),
             ('r1', 'C5', 'pays', 1), ('r2', 'C5', '', 2), ('r2', 'C6', 'signs', 2)) AS v (deal, contact, role, weight)
JOIN crm_deals.contact AS c ON c.first_name = v.contact;
SELECT crm_deals.merge_deals(t.deal('r1'), t.deal('r2')) AS none \gset
SELECT is((SELECT string_agg(concat_ws(' ', c.first_name, s.role, s.weight), '; ' ORDER BY c.first_name)
           FROM crm_deals.deal_contact AS s JOIN crm_deals.contact AS c ON c.id = s.contact_id
           WHERE s.deal_id = t.deal('r1')),
          'C1 buyer, decides 1; C2 buyer 1; C3 a, b, c 1; C4 pays 1; C5 pays 1; C6 signs 2',
          'merge_deals: both roles where they differ');
-- A duplicate goes into a survivor of at least its own rank
SELECT crm_deals.add_stage(:sales, 'Dropped', 'dropped', status => 'abandoned') AS none \gset
CREATE TABLE t.rank AS
    SELECT * FROM (VALUES ('won', 2), ('proposal', 1), ('lost', 0), ('dropped', 0)) AS v (stage, rank);
SELECT count(t.new_deal(s.stage || '-' || d.stage || '-' || x.x, CASE x.x WHEN 's' THEN s.stage ELSE d.stage END))
       AS none
FROM t.rank AS s, t.rank AS d, (VALUES ('s'), ('d')) AS x (x) \gset
SELECT is((SELECT string_agg(format('%s<-%s: %s', s.stage, d.stage,
                                    t.try(format('SELECT crm_deals.merge_deals(%s, %s)',
                                                 t.deal(s.stage || '-' || d.stage || '-s'),
                                                 t.deal(s.stage || '-' || d.stage || '-d')))), E'\n'
                             ORDER BY s.stage, d.stage)
           FROM t.rank AS s, t.rank AS d),
          (SELECT string_agg(format('%s<-%s: %s', s.stage, d.stage,
                                    CASE WHEN s.rank < d.rank THEN '23514 deal.status deal_merge_status'
                                    ELSE 'done' END),
                             E'\n' ORDER BY s.stage, d.stage)
           FROM t.rank AS s, t.rank AS d),
          'merge_deals: won > open > lost and abandoned, else 23514 deal_merge_status');
SELECT is(t.error(format('SELECT crm_deals.merge_deals(%s, %s)', t.deal('lost-won-s'), t.deal('lost-won-d')), 'hint'),
          format('Exchange the two: merge_deals(%s, %s).', t.deal('lost-won-d'), t.deal('lost-won-s')),
          'merge_deals: the hint says to exchange the two');
-- A chain of merges
INSERT INTO crm_deals.deal (name, amount) VALUES ('third', 9);
SELECT t.deal('third') AS third \gset
SELECT is(crm_deals.merge_deals(:third, :duplicate), :third::bigint,
          'merge_deals: of a merged deal means the one it went into');
SELECT is(crm_deals.resolve_deal(:duplicate), :third::bigint, 'resolve_deal: the way of the first goes on');
SELECT is(crm_deals.resolve_deal(:survivor), :third::bigint, 'resolve_deal: and that of the second');
SELECT is((SELECT concat_ws(' ', amount, currency, external_id) FROM crm_deals.deal WHERE id = :third), '9 EUR ext',
          'merge_deals: what the survivor has it keeps');
SELECT is(t.try(format('SELECT crm_deals.merge_deals(%s, %s)', :third, :duplicate)), '22023',
          'merge_deals: again: it is the same deal');
-- Of two organizations
SELECT crm_deals.create_pipeline('Other', organization => 'other') AS other \gset
INSERT INTO crm_deals.deal (name, pipeline_id) VALUES ('theirs', :other);
SELECT is(t.try(format('SELECT crm_deals.merge_deals(%s, %s)', :third, t.deal('theirs'))), '22023',
          'merge_deals: deals of different organizations are not merged');
-- Who may
SELECT t.drop_roles('regress_crm_reader', 'regress_crm_writer') AS none \gset
CREATE ROLE regress_crm_reader; CREATE ROLE regress_crm_writer;
SELECT crm_deals.grant_access('regress_crm_reader', 'read'),
       crm_deals.grant_access('regress_crm_writer', 'write') \gset none_
SELECT t.new_deals('p', 2, 'lead') AS none \gset
SELECT is(t.try(format('SELECT crm_deals.merge_deals(%s, %s)', t.deal('p1'), t.deal('p2')), 'regress_crm_reader'),
          '42501', 'section 9: read may not merge');
SELECT is(t.get(format('SELECT crm_deals.merge_deals(%s, %s)', t.deal('p1'), t.deal('p2')), 'regress_crm_writer'),
          t.deal('p1')::text, 'section 9: write may merge; the alias it has no right to is written');
SELECT is(t.try('INSERT INTO crm_deals.deal_alias VALUES (1, NULL, 1)', 'regress_crm_writer'), '42501',
          'section 9: and not by itself');
SELECT t.drop_roles('regress_crm_reader', 'regress_crm_writer') AS none \gset
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

SELECT * FROM finish();
