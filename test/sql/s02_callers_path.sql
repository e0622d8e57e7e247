\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 2: what is written as the caller runs under the caller's search_path, as by a plain statement.
SET search_path = t, public;
CREATE TABLE seen (what text, path text);
CREATE TABLE tags (tag text);
CREATE TYPE what AS ENUM ('row', 'statement');
CREATE FUNCTION label(name text) RETURNS text LANGUAGE sql AS $$ SELECT name $$;
-- All that a user's own code may name without its schema: tables, functions, types
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    level what := lower(tg_level);
BEGIN
    INSERT INTO seen VALUES (label(tg_table_name) || ' ' || lower(tg_op), current_setting('search_path'));
    RETURN new;
END
$$;
CREATE FUNCTION next_tag() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tags VALUES ('x');
    RETURN 'tag';
END
$$;
CREATE FUNCTION is_tag(tag text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN tag IS NULL OR label(tag) <> '';
END
$$;
CREATE FUNCTION watch(relation regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER a_note BEFORE INSERT OR UPDATE ON %s '
                   'FOR EACH ROW EXECUTE FUNCTION note()', relation);
    EXECUTE format('CREATE TRIGGER b_note AFTER INSERT OR UPDATE OR DELETE ON %s '
                   'FOR EACH ROW EXECUTE FUNCTION note()', relation);
    EXECUTE format('CREATE TRIGGER c_note AFTER INSERT OR UPDATE OR DELETE ON %s '
                   'FOR EACH STATEMENT EXECUTE FUNCTION note()', relation);
END
$$;
-- What the triggers saw of a statement, which is undone; the path is told only if it is not the caller's.
CREATE FUNCTION seen_by(statement text) RETURNS text LANGUAGE sql AS $$
    SELECT after('DELETE FROM seen; ' || statement,
                 'SELECT string_agg(DISTINCT concat_ws('' under '', s.what, nullif(s.path, ''t, public'')), '', '') '
                 'FROM seen AS s')
$$;

INSERT INTO crm_deals.account (name) VALUES ('Acme');
INSERT INTO crm_deals.contact (last_name, email) VALUES ('Doe', 'doe@example.org');
INSERT INTO crm_deals.lead (company_name, last_name, email) VALUES ('Initech', 'Roe', 'roe@example.org');
INSERT INTO crm_deals.activity (kind, subject, lead_id) SELECT 'call', 'a call', l.id FROM crm_deals.lead AS l;
SELECT t.new_deals('d', 4, 'lead') AS none \gset
UPDATE crm_deals.deal SET external_id = name, amount = 5, owner = 'mia' WHERE name = 'd2';
INSERT INTO crm_deals.deal_contact (deal_id, contact_id)
SELECT t.deal('d2'), c.id FROM crm_deals.contact AS c;
INSERT INTO crm_deals.activity (kind, subject, deal_id) VALUES ('call', 'another', t.deal('d2'));
INSERT INTO crm_deals.lead (company_name, deal_id, status, converted_at)
VALUES ('Hooli', t.deal('d2'), 'converted', now());
CREATE TABLE invoice (deal_id bigint REFERENCES crm_deals.deal);
INSERT INTO invoice VALUES (t.deal('d2'));
CREATE TABLE source (external_id text, name text, account text, stage text, amount numeric);
INSERT INTO source VALUES ('new', 'New', 'Newco', 'won', 1), ('d2', 'd2', 'Acme', 'lead', 6);
CREATE TABLE history (external_id text, stage text, entered_at timestamptz);
INSERT INTO history VALUES ('new', 'lead', '2024-01-01'), ('new', 'won', '2024-02-02');
DELETE FROM crm_deals.deal WHERE name = 'd4';
SELECT deal_id AS gone FROM crm_deals.deal_event WHERE kind = 'deleted' \gset
SELECT max(batch_id) AS first_batch FROM crm_deals.deal_event WHERE deal_id = t.deal('d1') \gset
SELECT max(batch_id) AS batch FROM crm_deals.deal_event WHERE deal_id = t.deal('d2') \gset
SELECT watch(r::regclass)
FROM unnest('{crm_deals.deal,crm_deals.account,crm_deals.contact,crm_deals.lead,crm_deals.activity,
              crm_deals.deal_contact,crm_deals.pipeline,crm_deals.stage,crm_deals.stage_transition,
              invoice}'::text[]) AS r \g /dev/null
ALTER TABLE crm_deals.deal ADD COLUMN tag text DEFAULT next_tag() CHECK (is_tag(tag));
ALTER TABLE crm_deals.activity ADD COLUMN tag text DEFAULT next_tag() CHECK (is_tag(tag));

SELECT is(seen_by($$UPDATE crm_deals.deal SET amount = 1$$), 'deal update', 'section 2: a plain statement');
SELECT is(seen_by($$SELECT crm_deals.move_deal(t.deal('d1'), 'won', 'a note')$$), 'activity insert, deal update',
          'section 2: the caller''s path: move_deal');
SELECT is(seen_by(format($$SELECT crm_deals.move_deals('{%s,%s}', 'won', 'a note')$$, t.deal('d1'), t.deal('d2'))),
          'activity insert, deal update', 'section 2: the caller''s path: move_deals');
SELECT is(seen_by(format('SELECT crm_deals.undo_batch(%s)', :batch)), 'deal update',
          'section 2: the caller''s path: undo_batch');
SELECT is(seen_by(format('SELECT crm_deals.undo_batch(%s)', :first_batch)),
          'activity delete, deal delete, deal_contact delete, lead update',
          'section 2: the caller''s path: undo_batch of deals that were created');
SELECT is(seen_by(format('SELECT crm_deals.restore_deal(%s)', :gone)), 'deal insert',
          'section 2: the caller''s path: restore_deal');
SELECT is(seen_by(format('SELECT crm_deals.merge_deals(%s, %s)', t.deal('d1'), t.deal('d2'))),
          'activity delete, activity update, deal delete, deal update, deal_contact delete, '
          'deal_contact update, invoice update, lead update', 'section 2: the caller''s path: merge_deals');
SELECT is(seen_by($$SELECT crm_deals.convert_lead((SELECT id FROM crm_deals.lead WHERE company_name = 'Initech'))$$),
          'account insert, activity update, contact insert, deal insert, lead update',
          'section 2: the caller''s path: convert_lead');
SELECT is(seen_by($$SELECT crm_deals.import_deals('source', 'history', create_accounts => true)$$),
          'account insert, deal insert, deal update', 'section 2: the caller''s path: import_deals');
SELECT is(seen_by($$SELECT crm_deals.create_pipeline('Other', '[{"name": "A", "next": ["b"]}, {"name": "B"}]',
                                                     is_default => true)$$),
          'pipeline insert, pipeline update, stage insert, stage_transition insert',
          'section 2: the caller''s path: create_pipeline, also what its trigger writes');
SELECT is(seen_by(format($$SELECT crm_deals.add_stage(%s, 'More', before_key => 'won')$$, :sales)),
          'stage insert, stage update', 'section 2: the caller''s path: add_stage');
SELECT is(seen_by(format($$SELECT crm_deals.reorder_stages(%s,
                              '{qualified,lead,proposal,negotiation,won,lost}')$$, :sales)),
          'stage update', 'section 2: the caller''s path: reorder_stages');
SELECT is(seen_by(format('SELECT crm_deals.remove_stage(%s, %s)', t.stage('lead'), t.stage('proposal'))),
          'deal update, stage update', 'section 2: the caller''s path: remove_stage');
SELECT is(seen_by(format('SELECT crm_deals.remove_stage(%s)', t.stage('negotiation'))),
          'stage delete, stage_transition delete',
          'section 2: the caller''s path: remove_stage of one that the log does not mention');

SELECT is(seen_by(format($$SELECT crm_deals.redact((SELECT id::text FROM crm_deals.contact),
                              (SELECT min(id) FROM crm_deals.lead), '{%s}', 'mia')$$, t.deal('d2'))),
          'account update, activity delete, activity update, contact update, deal update, lead update',
          'section 2: the caller''s path: redact');

-- The host's own tables
DROP TABLE invoice;
RESET search_path;
DROP EXTENSION crm_deals CASCADE;
DROP SCHEMA crm_deals CASCADE;
SET search_path = t, public;
CREATE EXTENSION crm_deals CASCADE;
CREATE TABLE firm (id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, name text NOT NULL);
CREATE TABLE person (id uuid DEFAULT gen_random_uuid() PRIMARY KEY, last_name text, email text);
SELECT crm_deals.install('firm', 'person') AS none \gset
SELECT crm_deals.create_pipeline('Sales') AS sales \gset
INSERT INTO crm_deals.lead (company_name, last_name, email) VALUES ('Initech', 'Roe', 'roe@example.org');
SELECT watch(r::regclass) FROM unnest('{firm,person,crm_deals.deal,crm_deals.lead}'::text[]) AS r \g /dev/null
ALTER TABLE firm ADD COLUMN tag text DEFAULT next_tag() CHECK (is_tag(tag));
SELECT is(seen_by('SELECT crm_deals.convert_lead(id) FROM crm_deals.lead'),
          'deal insert, firm insert, lead update, person insert',
          'section 2: the caller''s path: convert_lead into tables of the host''s');
SELECT is(seen_by($$SELECT crm_deals.import_deals('source', 'history', create_accounts => true)$$),
          'deal insert, deal update, firm insert',
          'section 2: the caller''s path: import_deals into tables of the host''s');
SELECT is(current_setting('search_path'), 't, public', 'section 2: and the path is what it was');

SELECT * FROM finish();
