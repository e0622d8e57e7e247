\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 3: the order of a deal's stamps, and names of which nothing is seen. Rule 6: a version that begins at 0.
SELECT is(t.after('INSERT INTO crm_deals.deal (name, ' || v.columns || ') VALUES (''a'', ' || v.values || ')',
                  'SELECT ' || v.query || ' FROM crm_deals.deal WHERE name = ''a'''), v.result, 'section 3: ' || v.what)
FROM (VALUES ('stage_id, closed_at', 't.stage(''won''), ''2020-05-05 12:00+00''',
              'created_at = closed_at AND stage_entered_at > created_at', 'true',
              'created_at that is not given is the closing time'),
             ('stage_id, closed_at', 't.stage(''won''), now() + interval ''1 hour''',
              'created_at < closed_at AND created_at = updated_at', 'true', 'or now, if that is earlier'),
             ('stage_id, closed_at, created_at', 't.stage(''won''), ''2020-05-05 12:00+00'', ''2021-05-05 12:00+00''',
              'created_at - closed_at', '@ 365 days', 'one that is given stays'),
             ('created_at', 'now() + interval ''1 hour''',
              'stage_entered_at = created_at AND updated_at = created_at', 'true', 'no stamp is earlier than created_at'),
             ('stage_id, created_at', 't.stage(''won''), now() + interval ''1 hour''',
              'closed_at = created_at', 'true', 'nor is the closing time'))
     AS v (columns, values, query, result, what);
SELECT is(t.after('INSERT INTO crm_deals.deal (name, created_at) VALUES (''a'', now() + interval ''1 hour''); '
                  'UPDATE crm_deals.deal SET stage_id = t.stage(''won'') WHERE name = ''a''',
                  'SELECT closed_at > created_at AND closed_at = updated_at FROM crm_deals.deal WHERE name = ''a'''),
          'true', 'section 3: nor is one of a later change');

-- Names
SELECT is(t.dry(format('INSERT INTO crm_deals.deal (name) VALUES (%L)', v.name)), v.result,
          'section 3: a name of ' || v.what)
FROM (VALUES (U&'\00A0', '23514 deal.name deal_name', 'a no-break space'),
             (U&'\200B\200D', '23514 deal.name deal_name', 'zero width'), (U&'\FEFF', '23514 deal.name deal_name', 'a BOM'),
             (U&' \2003\3000\00AD\200F', '23514 deal.name deal_name', 'several of them'),
             (U&'\3164', '23514 deal.name deal_name', 'a filler'), (U&'\+0E0020', '23514 deal.name deal_name', 'tags'),
             (U&'\FEFFa', 'done', 'a BOM and a letter'), (U&'\+01F600', 'done', 'a smile'), ('-', 'done', 'a dash'),
             (U&'\00A1', 'done', 'what comes after'), (U&'\2010', 'done', 'a hyphen')) AS v (name, result, what);
INSERT INTO crm_deals.deal (name) VALUES ('b');
SELECT is(t.dry('UPDATE crm_deals.deal SET name = U&''\200B'''), '23514 deal.name deal_name', 'section 3: by UPDATE, too');
SELECT is(t.dry(v.statement), v.result, 'section 3: ' || v.result)
FROM (VALUES ('SELECT crm_deals.create_pipeline(U&''\00A0'')', '23514 pipeline.name pipeline_name'),
             ('UPDATE crm_deals.stage SET name = U&''\FEFF''', '23514 stage.name stage_name')) AS v (statement, result);
SET session_replication_role = replica;
UPDATE crm_deals.deal SET name = U&'\200B';
RESET session_replication_role;
SELECT is(t.dry('UPDATE crm_deals.deal SET amount = 1'), 'done', 'section 3: one from before stays');
SELECT is((SELECT string_agg(detail, ', ') FROM crm_deals.verify() WHERE rule = 0), 'nothing is seen of its name',
          'section 4: verify() lists it');
SET session_replication_role = replica;
UPDATE crm_deals.deal SET name = 'b';
RESET session_replication_role;
-- A required field of blanks is missing.
SELECT is(t.after('UPDATE crm_deals.stage SET required_fields = ''{notes}'' WHERE key = ''qualified''; '
                  'UPDATE crm_deals.deal SET notes = U&''\00A0''',
                  'SELECT data FROM crm_deals.check_move(t.deal(''b''), ''qualified'')'), '{"missing": ["notes"]}',
          'rule 5: a field of which nothing is seen is missing');
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');

-- Rule 6
CREATE TEMP TABLE file (name text, version integer);
INSERT INTO crm_deals.deal (name, version) VALUES ('v0', 0), ('v5', 5), ('v-1', -1), ('vn', NULL);
COPY crm_deals.deal (name, version) FROM stdin;
c0	0
\.
INSERT INTO crm_deals.deal (name, external_id, version) VALUES ('u0', 'u', 0)
ON CONFLICT (organization, external_id) WHERE external_id IS NOT NULL DO UPDATE SET name = excluded.name;
MERGE INTO crm_deals.deal AS d USING (VALUES ('m0')) AS s (name) ON d.name = s.name
WHEN NOT MATCHED THEN INSERT (name, version) VALUES (s.name, 0);
SELECT is((SELECT string_agg(name || ' ' || version, ', ' ORDER BY name COLLATE "C") FROM crm_deals.deal
           WHERE name ~ '^[vcum]'),
          'c0 0, m0 0, u0 0, v-1 1, v0 0, v5 1, vn 1', 'rule 6: 0 if the INSERT says 0, else 1');
SELECT is(t.dry('UPDATE crm_deals.deal SET amount = 1, version = ' || v.sent || ' WHERE name = ''v0'''), v.result,
          'rule 6: an UPDATE of version 0 sends ' || v.sent)
FROM (VALUES (0, 'done'), (1, 'done'), (2, 'UD001 deal.version deal_version'), (-1, 'UD001 deal.version deal_version'))
     AS v (sent, result);
UPDATE crm_deals.deal SET stage_id = t.stage('qualified'), version = 1 WHERE name = 'v0' AND version = 0;
UPDATE crm_deals.deal SET amount = 3 WHERE name = 'v0';
SELECT is((SELECT string_agg(kind || ' ' || version, ', ' ORDER BY version) FROM crm_deals.deal_event
           WHERE deal_id = t.deal('v0')),
          'created 0, stage_changed 1, updated 2', 'rule 6: the log begins at 0');
SELECT is((SELECT version || ' ' || amount FROM crm_deals.deals_as_of(clock_timestamp()) WHERE id = t.deal('v0')), '2 3',
          'section 7: the past of it');
SELECT is((SELECT string_agg(stage_key, ' ' ORDER BY entered_at) FROM crm_deals.deal_stage_history
           WHERE deal_id = t.deal('v0')), 'lead qualified', 'section 7: its stays');
SELECT is((SELECT outcome FROM crm_deals.undo_batch((SELECT max(batch_id) FROM crm_deals.deal_event
                                                      WHERE deal_id = t.deal('v0')))), 'reverted', 'section 5: undo');
SELECT t.deal('v0') AS v0, t.deal('m0') AS m0 \gset
DELETE FROM crm_deals.deal WHERE id = :m0;
SELECT crm_deals.restore_deal(:m0) AS none \gset
SELECT is((SELECT version FROM crm_deals.deal WHERE id = :m0), 2, 'section 5: restore');
SELECT is(crm_deals.merge_deals(:v0, t.deal('c0')), :v0::bigint, 'section 6: merge');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');
SELECT * FROM finish();
