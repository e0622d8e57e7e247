\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
\i :include/same.sql
-- Section 15: the timeline of a deal. Every title is stated by hand.
SET timezone = 'Pacific/Apia';
SET datestyle = 'SQL, DMY';
SET crm_deals.actor = 'anna';
CREATE FUNCTION t.titles(wanted bigint, language text DEFAULT NULL, entries integer DEFAULT 50)
RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(format('%s | %s', l.kind, l.title), E'\n' ORDER BY l.at DESC, l.title)
    FROM crm_deals.timeline(wanted, entries, language => titles.language) AS l
$$;
CREATE FUNCTION t.last(wanted bigint, language text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT l.title FROM crm_deals.timeline(wanted, 1, language => last.language) AS l LIMIT 1
$$;
UPDATE crm_deals.stage SET labels = '{"de": "Interessent"}' WHERE key = 'lead';
UPDATE crm_deals.stage SET labels = '{"de": "Angebot"}' WHERE key = 'proposal';
INSERT INTO crm_deals.custom_field (entity, key, label, labels, type, options) VALUES
    ('deal', 'size', 'Size', '{"de": "Umfang"}', 'select', '[{"value": "s", "labels": {"de": "klein"}}, "l"]'),
    ('deal', 'extras', NULL, '{}', 'multiselect', '["a", "b"]');
INSERT INTO crm_deals.lost_reason (pipeline_id, name, labels) VALUES (:sales, 'price', '{"de": "Preis"}');
INSERT INTO crm_deals.account (name) VALUES ('Acme');
INSERT INTO crm_deals.contact (first_name, last_name) VALUES ('Ada', 'Lovelace');

-- Events
INSERT INTO crm_deals.deal (name, amount, owner, custom_fields)
VALUES ('A', 100.50, 'anna', '{"size": "s"}') RETURNING id AS a \gset
SELECT is(t.last(:a), 'The deal was created in Lead. Amount: 100.50 EUR. Owner: anna.', 'section 15: created');
SELECT is(t.last(:a, 'de-AT'), 'Der Deal wurde in Interessent angelegt. Betrag: 100.50 EUR. Verantwortlicher: anna.',
          'section 15: in German, labels too, from de-AT to de');
CREATE FUNCTION t.change(statement text, language text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('UPDATE crm_deals.deal SET %s WHERE id = 1', statement);
    RETURN t.last(1, language);
END
$$;
SELECT is(t.change(v.change, v.language), v.title, 'section 15: ' || v.change)
FROM (VALUES
    ('amount = 250', 'en', 'Amount changed from 100.50 EUR to 250 EUR.'),
    ('currency = ''USD''', 'de', 'Betrag von 250 EUR auf 250 USD geändert.'),
    ('amount = NULL', 'en', 'Amount removed (it was 250 USD).'),
    ('currency = ''EUR''', 'en', 'Currency changed from USD to EUR.'),
    ('amount = 7, currency = ''CHF''', 'en', 'Amount set to 7 CHF.'),
    ('expected_close_date = ''2026-12-24''', 'de', 'Erwarteter Abschluss auf 2026-12-24 gesetzt.'),
    ('probability = 33', 'en', 'Probability changed from 10 % to 33 %.'),
    ('owner = ''tom''', 'de', 'Verantwortlicher von anna auf tom geändert.'),
    ('account_id = 1, primary_contact_id = 1', 'en', 'Account set to Acme. Primary contact set to Ada Lovelace.'),
    ('notes = repeat(''x'', 100000)', 'en', 'Notes changed.'),
    ('custom_fields = ''{"size": "l", "extras": ["a", "b"]}''', 'de',
     'extras auf a, b gesetzt. Umfang von klein auf l geändert.'),
    ('source = repeat(''y'', 200)', 'en', 'Source set to ' || repeat('y', 77) || '....'),
    ('source = E''a\n\tb''', 'en', 'Source changed from ' || repeat('y', 77) || '... to a b.'),
    ('source = NULL, name = ''%s %1$s {ae} "B"'', external_id = ''e'', notes = NULL, expected_close_date = NULL, '
     'account_id = NULL, primary_contact_id = NULL', 'en',
     'Name changed from A to %s %1$s {ae} "B". Expected close date removed (it was 2026-12-24). '
     'Account removed (it was Acme). Primary contact removed (it was Ada Lovelace). Source removed (it was a b). '
     'Further changes: 2.')) AS v (change, language, title);
ALTER TABLE crm_deals.deal ADD COLUMN "at" timestamptz, ADD COLUMN "Select ""1" boolean, ADD COLUMN title jsonb;
SELECT is(t.change(v.change, v.language), v.title, 'section 15: a column of a user''s: ' || v.change)
FROM (VALUES ('"at" = ''2026-01-02 03:04:05+02''', 'en', 'at set to 2026-01-02 01:04 UTC.'),
             ('"Select ""1" = true', 'de', 'Select "1 auf ja gesetzt.'),
             ('title = ''{"a": [null]}''', 'en', 'title changed.')) AS v (change, language, title);
SELECT is((SELECT detail -> 'changes' FROM crm_deals.timeline(:a, 1)), '{"title": [null, {"a": [null]}]}',
          'section 15: detail has the changes as the log has them');

-- Moves, and the note of each
SELECT move.event_id AS event, move.deal_id AS none
FROM crm_deals.move_deal(:a, 'qualified', note => '<b>liked</b> it', actor => 'bob') AS move \gset
SELECT is((SELECT string_agg(concat_ws(' | ', l.kind, l.actor, l.title, l.detail - 'changes'), E'\n')
           FROM crm_deals.timeline(:a, 1) AS l),
          format('stage_changed | bob | Moved from Lead to Qualified. | {"body": "<b>liked</b> it", "batch_id": %s, '
                 '"event_id": %1$s, "activity_id": 1}', :event),
          'section 15: the note of a move is part of its event''s entry');
UPDATE crm_deals.stage SET name = 'Fits' WHERE key = 'qualified';
SELECT is(t.last(:a) || ' ' || t.last(:a, 'de'),
          'Moved from Lead to Qualified. Von Interessent nach Qualified verschoben.',
          'section 15: a stage is called what it was called then');
SELECT crm_deals.move_deal(:a, 'proposal') AS none \gset
SELECT is(t.last(:a) || ' ' || t.last(:a, 'de'),
          'Moved from Fits to Proposal. Von Qualifiziert nach Angebot verschoben.',
          'section 15: afterwards what it is called now');
SELECT is((SELECT detail ? 'body' FROM crm_deals.timeline(:a, 1)), false,
          'section 15: a note that nobody wrote says no more than the title');
SELECT crm_deals.move_deals(ARRAY[:a], 'negotiation', note => 'in bulk') AS none \gset
SELECT is((SELECT title || (detail ->> 'body') FROM crm_deals.timeline(:a, 1)),
          'Moved from Proposal to Negotiation.in bulk',
          'section 15: the note of move_deals, too');
SELECT crm_deals.move_deal(:a, 'lost', lost_reason => 'price') AS none \gset
SELECT is(t.last(:a) || ' ' || t.last(:a, 'de'),
          'The deal was lost. Reason: price. Moved from Negotiation to Lost. '
          'Der Deal ging verloren. Grund: Preis. Von Verhandlung nach Verloren verschoben.', 'section 15: lost');
SELECT crm_deals.move_deal(:a, 'negotiation') AS none \gset
SELECT is(t.last(:a), 'The deal was reopened. Moved from Lost to Negotiation.', 'section 15: reopened');
SELECT crm_deals.undo_batch((SELECT max(batch_id) FROM crm_deals.deal_event)) AS none \gset
SELECT is(t.last(:a, 'de'), 'Änderungen wurden rückgängig gemacht. Von Verhandlung nach Verloren verschoben.',
          'section 15: undone');
SELECT crm_deals.move_deal(:a, 'won', override => 'CEO said so') AS none \gset
SELECT is((SELECT title || ' ' || (detail ->> 'body') FROM crm_deals.timeline(:a, 1)),
          'The deal was won. Moved from Lost to Won. override: CEO said so', 'section 15: won');
SELECT is((SELECT count(*) FROM crm_deals.timeline(:a, 1000) WHERE kind = 'note'), 0::bigint,
          'section 15: no note of a move has an entry of its own');
SELECT crm_deals.create_pipeline('Other') AS other \gset
UPDATE crm_deals.deal SET pipeline_id = :other WHERE id = :a;
SELECT is(t.last(:a), 'Moved from Won (Sales) to Won (Other).', 'section 15: to another pipeline');

-- Activities
INSERT INTO crm_deals.activity (kind, subject, body, deal_id, due_at, done_at, actor, occurred_at, assignee) VALUES
    ('task', 'Send offer', 'x', :a, '2026-12-01 10:00+01', NULL, 'anna', '2026-03-01 00:00Z', 'tom'),
    ('task', 'Call back', NULL, :a, '2026-01-01 00:00Z', '2026-01-02 00:00Z', 'anna', '2026-02-02 00:00Z', NULL),
    ('email', E'Re: hello\nBcc: x', 'Dear', :a, NULL, NULL, 'tom', '2026-02-01 00:00Z', NULL),
    ('note', 'Deal moved: not by us', NULL, :a, NULL, NULL, NULL, '2026-01-31 00:00Z', NULL);
SELECT is((SELECT string_agg(concat_ws(' | ', extract(epoch FROM l.at)::bigint, l.kind, l.actor, l.title, l.detail),
                            E'\n')
           FROM crm_deals.timeline(:a, 9, '2026-06-01', 'de') AS l),
          format(E'1772323200 | task | anna | Aufgabe: Send offer (fällig 2026-12-01 09:00 UTC, für tom) | '
                 '{"body": "x", "activity_id": %s}\n'
                 '1769990400 | task | anna | Aufgabe: Call back (fällig 2026-01-01 00:00 UTC, '
                 'erledigt 2026-01-02 00:00 UTC) | {"activity_id": %s}\n'
                 '1769904000 | email | tom | E-Mail: Re: hello Bcc: x | {"body": "Dear", "activity_id": %s}\n'
                 '1769817600 | note | Notiz: Deal moved: not by us | {"activity_id": %s}',
                 (SELECT max(id) - 3 FROM crm_deals.activity), (SELECT max(id) - 2 FROM crm_deals.activity),
                 (SELECT max(id) - 1 FROM crm_deals.activity), (SELECT max(id) FROM crm_deals.activity)),
          'section 15: tasks, e-mails and notes');

-- Pages: entries of one moment are not parted.
CREATE FUNCTION t.pages(wanted bigint, size integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    before timestamptz;
    page text;
    edge timestamptz;
    result text;
BEGIN
    LOOP
        SELECT string_agg(l.title, ', ' ORDER BY l.at DESC, l.title), min(l.at) INTO page, edge
        FROM crm_deals.timeline(wanted, size, before) AS l;
        EXIT WHEN page IS NULL;
        result := concat_ws(' / ', result, page);
        before := edge;
    END LOOP;
    RETURN result;
END
$$;
INSERT INTO crm_deals.deal (name, created_at) VALUES ('P', '2020-01-01') RETURNING id AS p \gset
INSERT INTO crm_deals.activity (kind, subject, deal_id, occurred_at)
SELECT 'call', v.subject, :p, v.at::timestamptz
FROM (VALUES ('a', 'infinity'), ('b', '2026-05-01Z'), ('c', '2026-05-01Z'), ('d', '2026-05-01Z'), ('e', '2026-04-01Z'),
             ('f', '-infinity')) AS v (subject, at);
SELECT is(t.pages(:p, 2), 'Call: a, The deal was created in Lead. / Call: b, Call: c, Call: d / Call: e, Call: f',
          'section 15: pages by before; a moment is not parted');
SELECT is(t.pages(:p, 1),
          'Call: a / The deal was created in Lead. / Call: b, Call: c, Call: d / Call: e / Call: f',
          'section 15: one entry a page');
SELECT is((SELECT count(*) FROM crm_deals.timeline(:a, 1000) WHERE detail ? 'event_id'),
          (SELECT count(*) FROM crm_deals.deal_event WHERE deal_id = :a), 'section 15: each event stands there once');
SELECT is((SELECT count(DISTINCT detail -> 'activity_id') FROM crm_deals.timeline(:a, 1000)
           WHERE detail ? 'activity_id'),
          (SELECT count(*) FROM crm_deals.activity WHERE deal_id = :a), 'section 15: and each activity');
SELECT is(t.dry(format('SELECT * FROM crm_deals.timeline(%s, %s)', :a, v.entries)), '22023',
          'section 15: max_entries ' || v.entries)
FROM (VALUES ('0'), ('-1'), ('NULL')) AS v (entries);
SELECT is(t.dry(format('SELECT * FROM crm_deals.timeline(%s)', v.deal)), 'P0002', 'section 10: deal ' || v.deal)
FROM (VALUES ('4711'), ('NULL'), ('-1')) AS v (deal);
-- What is no known language is English.
SELECT is(t.last(:a, v.language), 'Moved from Won (Sales) to Won (Other).',
          format('section 7: language "%s"', left(v.language, 20)))
FROM (VALUES ('fr'), (''), ('-'), ('DE'), ('''; DROP TABLE x --'), ('de_DE'), ('$.a'), (repeat('d', 10000)))
     AS v (language);
SET crm_deals.language = 'de';
SELECT is(t.last(:a), 'Von Gewonnen (Sales) nach Gewonnen (Other) verschoben.', 'section 7: crm_deals.language');
RESET crm_deals.language;

-- Merges: the list of the survivor has what both were, also by the duplicate's id.
INSERT INTO crm_deals.deal (name) VALUES ('M') RETURNING id AS m \gset
INSERT INTO crm_deals.deal (name, amount) VALUES ('M copy', 5) RETURNING id AS copy \gset
SELECT crm_deals.move_deal(:copy, 'qualified', note => 'n') AS none \gset
SELECT crm_deals.merge_deals(:m, :copy) AS none \gset
SELECT is((SELECT count(*) FROM crm_deals.timeline(:m)
           WHERE title LIKE 'Values were taken from "M copy". Amount set to 5 EUR.%'), 1::bigint,
          'section 15: what a merge did to the survivor');
SELECT is((SELECT string_agg(l.title, E'\n' ORDER BY l.at, l.title) FROM crm_deals.timeline(:copy) AS l
           WHERE (l.detail ->> 'event_id')::bigint IN (SELECT id FROM crm_deals.deal_event WHERE deal_id = :copy)),
          E'In "M copy": The deal was created in Lead. Amount: 5 EUR.\nIn "M copy": Moved from Lead to Fits.\n'
          '"M copy" was merged into this deal.', 'section 15: what the duplicate was, and that it was merged');
SELECT is((SELECT count(*) FROM crm_deals.timeline(:m) WHERE kind = 'note' AND title LIKE '%Deal moved%'), 0::bigint,
          'section 15: the note of a move of the duplicate stands with its event');
SELECT is(t.same(format('SELECT * FROM crm_deals.timeline(%s)', :m),
                 format('SELECT * FROM crm_deals.timeline(%s)', :copy)),
          'same', 'section 6: the alias is followed');
-- Deleted, restored, redacted
DELETE FROM crm_deals.deal WHERE id = :p;
SELECT is(t.titles(:p), E'deleted | The deal was deleted.\ncreated | The deal was created in Lead.',
          'section 5: the log outlives the deal');
SELECT crm_deals.restore_deal(:p) AS none \gset
SELECT is(t.last(:p), 'The deal was restored.', 'section 15: restored');
UPDATE crm_deals.deal SET name = 'Secret name', notes = 'secret', custom_fields = '{"size": "l"}' WHERE id = :p;
SELECT crm_deals.move_deal(:p, 'qualified', note => 'secret note', actor => 'secret actor') AS none \gset
INSERT INTO crm_deals.activity (kind, subject, body, deal_id) VALUES ('email', 'secret', 'secret', :p);
SELECT count(*) AS none FROM crm_deals.redact(deals => ARRAY[:p]) \gset
SELECT count(*) AS none FROM crm_deals.redact(actor => 'secret actor') \gset
SELECT is((SELECT string_agg(l::text, E'\n') FROM crm_deals.timeline(:p) AS l WHERE l::text ~* 'secret'), NULL,
          'section 5: what is redacted stays redacted');
SELECT is((SELECT string_agg(l.kind || ' | ' || l.title, E'\n' ORDER BY l.at DESC) FROM crm_deals.timeline(:p) AS l
           WHERE l.kind IN ('redacted', 'email', 'updated')),
          E'redacted | Personal data was removed.\nemail | E-mail: [redacted]\n'
          'updated | Name changed. Size set to [redacted]. Notes changed.',
          'section 15: redacted entries');

-- Level read, and row security
SELECT t.drop_roles('regress_crm_reader', 'regress_crm_nobody') AS none \gset
CREATE ROLE regress_crm_reader;
SELECT crm_deals.grant_access('regress_crm_reader', 'read') AS none \gset
SELECT is(t.get(format('SELECT count(*) > 5 FROM crm_deals.timeline(%s)', :a), 'regress_crm_reader'), 'true',
          'section 9: level read');
CREATE POLICY no_mail ON crm_deals.activity USING (kind <> 'email');
ALTER TABLE crm_deals.activity ENABLE ROW LEVEL SECURITY;
SELECT is(t.get(format('SELECT count(*) FROM crm_deals.timeline(%s) WHERE kind = ''email''', :a),
                'regress_crm_reader'), '0',
          'section 9: a policy on activities holds');
CREATE POLICY survivors ON crm_deals.deal USING (name = 'M');
ALTER TABLE crm_deals.deal ENABLE ROW LEVEL SECURITY;
SELECT is(t.dry(format('SELECT * FROM crm_deals.timeline(%s)', v.deal), 'regress_crm_reader'), 'P0002',
          'section 9: row security: nobody''s deal ' || v.what)
FROM (VALUES (:a, 'hidden'), (:p, 'hidden, restored')) AS v (deal, what);
SELECT is(t.get(format('SELECT string_agg(DISTINCT kind, '' '' ORDER BY kind) FROM crm_deals.timeline(%s)', :m),
                'regress_crm_reader'),
          'created note updated', 'section 9: row security: no events of deals that are gone');
SELECT t.drop_roles('regress_crm_reader') AS none \gset

-- What is read is the deal's alone, and by index: of 20,000 deals a page reads a few rows.
SET session_replication_role = replica;
INSERT INTO crm_deals.deal_event (batch_id, deal_id, version, kind, occurred_at, actor, session_user_name, pipeline_id,
                                  from_stage_id, to_stage_id, from_status, status, changes)
SELECT 1, 10000 + n, 1, 'created', now(), 'x', 'x', :sales, NULL, 1, NULL, 'open', '{"amount": [null, 1]}'
FROM generate_series(1, 20000) AS n;
INSERT INTO crm_deals.activity (kind, subject, deal_id)
SELECT 'call', 'x', 10000 + n FROM generate_series(1, 20000) AS n;
RESET session_replication_role;
ANALYZE crm_deals.deal_event, crm_deals.activity;
-- Else what the session did before counts too
SELECT pg_stat_force_next_flush() AS none \gset
BEGIN;
SELECT count(*) AS entries FROM crm_deals.timeline(:a, 5) \gset
SELECT is(:entries, 5, 'section 15: a page');
SELECT is((SELECT string_agg(format('%s: %s', s.relname, s.seq_scan), ', ' ORDER BY s.relname)
           FROM pg_stat_xact_user_tables AS s
           WHERE s.schemaname = 'crm_deals' AND s.relname IN ('activity', 'deal_event')),
          'activity: 0, deal_event: 0', 'section 15: no table is scanned');
SELECT cmp_ok((SELECT max(s.idx_tup_fetch) FROM pg_stat_xact_user_tables AS s
               WHERE s.schemaname = 'crm_deals' AND s.relname IN ('activity', 'deal_event')),
              '<', 200::bigint, 'section 15: only the deal''s rows are read');
COMMIT;

SELECT * FROM finish();
