\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 10: nothing crashes the backend, whatever the input; every failure leaves nothing behind.
SELECT t.new_deals('d', 3, 'lead') AS none \gset
SELECT t.deal('d1') AS d1 \gset
SELECT pg_backend_pid() AS backend \gset
-- NULL for every argument of every function, one at a time and all at once; also of the internal ones.
CREATE FUNCTION t.sane(type oid) RETURNS text LANGUAGE sql AS $$
    SELECT CASE type
               WHEN 'bigint'::regtype THEN '1::bigint'
               WHEN 'integer'::regtype THEN '1'
               WHEN 'text'::regtype THEN '''won''::text'
               WHEN 'jsonb'::regtype THEN '''{}''::jsonb'
               WHEN 'bigint[]'::regtype THEN '''{1}''::bigint[]'
               WHEN 'text[]'::regtype THEN '''{lead}''::text[]'
               WHEN 'numeric'::regtype THEN '5::numeric'
               WHEN 'boolean'::regtype THEN 'true'
               WHEN 'interval'::regtype THEN '''1 day''::interval'
               WHEN 'regclass'::regtype THEN '''crm_deals.deal''::regclass'
               WHEN 'regrole'::regtype THEN 'current_user::regrole'
               WHEN 'timestamptz'::regtype THEN 'now()'
               WHEN 'pg_snapshot'::regtype THEN '''1:9223372036854775807:''::pg_snapshot'
               WHEN 'xid8'::regtype THEN '''1''::xid8'
               ELSE '(SELECT d FROM crm_deals.deal AS d LIMIT 1)' END
$$;
-- It does not matter here what a call does. The session must live, and the rules must hold.
CREATE FUNCTION t.survives(call text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('client_min_messages', 'error', true);
    EXECUTE call;
    RAISE EXCEPTION USING ERRCODE = 'TT000';
EXCEPTION WHEN internal_error THEN
    RAISE WARNING 'internal error: %', call;
    RETURN false;
WHEN OTHERS THEN
    RETURN true;
END
$$;
SELECT is((SELECT count(*)
           FROM (SELECT t.survives(
               format('SELECT * FROM %I.%I(%s)', p.pronamespace::regnamespace, p.proname,
                      (SELECT string_agg(CASE WHEN a.position = nulled.position
                                                  OR nulled.position = 0 THEN 'NULL::'
                                                  || CASE a.type
                                                          WHEN 'anyelement'::regtype THEN 'crm_deals.deal'
                                                          ELSE format_type(a.type, NULL) END
                                              ELSE t.sane(a.type) END,
                                         ', ' ORDER BY a.position)
                       FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY AS a (type, position)))) AS survived
                 FROM pg_proc AS p, generate_series(0, p.pronargs) AS nulled (position)
                 WHERE p.pronamespace IN ('crm_deals'::regnamespace, 'crm_deals_internal'::regnamespace)
                   AND p.prorettype <> 'trigger'::regtype) AS calls
           WHERE NOT survived),
          0::bigint, 'section 10: NULL for every argument of every function: no internal error');
SELECT is((SELECT count(*)
           FROM (SELECT t.survives(
               format('SELECT * FROM %I.%I(%s)', p.pronamespace::regnamespace, p.proname,
                      (SELECT string_agg(CASE a.type
                                              WHEN 'text'::regtype THEN format('%L::text', hostile.value)
                                              WHEN 'bigint'::regtype THEN format('%s::bigint', hostile.number)
                                              WHEN 'bigint[]'::regtype THEN format('ARRAY[%s, NULL, 1]::bigint[]',
                                                                                   hostile.number)
                                              WHEN 'text[]'::regtype THEN format('ARRAY[%L, NULL]', hostile.value)
                                              WHEN 'jsonb'::regtype THEN format('%L::jsonb', hostile.json)
                                              WHEN 'integer'::regtype THEN format('%s', hostile.small)
                                              WHEN 'numeric'::regtype THEN '''NaN''::numeric'
                                              ELSE t.sane(a.type) END,
                                         ', ' ORDER BY a.position)
                       FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY AS a (type, position)))) AS survived
                 FROM pg_proc AS p,
                      (VALUES ('', '''-9223372036854775808''', '-2147483648', '[]'),
                              (' ', '9223372036854775807', '2147483647', 'null'), ('%s%n\', '-1', '-1', '"x"'),
                              ('won', '0', '0', '[[[[]]]]'),
                              ('''; DROP TABLE crm_deals.deal; --', '1', '1', '{"a": {"b": [null]}}'),
                              ('@account_table@', '2', '2', '[{"name": {"x": 1}}]'))
                          AS hostile (value, number, small, json)
                 WHERE p.pronamespace IN ('crm_deals'::regnamespace, 'crm_deals_internal'::regnamespace)
                   AND p.prorettype <> 'trigger'::regtype) AS calls
           WHERE NOT survived),
          0::bigint, 'section 10: odd texts, numbers at their limits, odd JSON for every function: no internal error');
SELECT is(pg_backend_pid(), :backend, 'section 10: the session lives');
SELECT is((SELECT count(*) FROM crm_deals.deal), 3::bigint, 'section 10: and the data is there');

-- Large values
SELECT is(t.after($$INSERT INTO crm_deals.deal (name, notes, source, external_id)
                    VALUES (repeat('ä', 500000), repeat('x', 3000000), repeat('s', 100000), 'big')$$,
                  $$SELECT length(name) || ' ' || (SELECT length(changes ->> 'name') > 500000
                                                   FROM crm_deals.deal_event AS e WHERE e.deal_id = d.id)
                    FROM crm_deals.deal AS d WHERE external_id = 'big'$$),
          '500000 true', 'section 10: a name of a megabyte, notes of three');
UPDATE crm_deals.deal
SET custom_fields = (SELECT jsonb_object_agg('key ' || n, repeat('v', 100)) FROM generate_series(1, 30000) AS n)
WHERE id = :d1;
SELECT is((SELECT pg_column_size(custom_fields::text) > 3000000 FROM crm_deals.deal WHERE id = :d1), true,
          'section 10: custom fields of several megabytes');
UPDATE crm_deals.deal SET custom_fields = custom_fields - 'key 17' || '{"key 18": 5}' WHERE id = :d1;
SELECT is((SELECT changes::text FROM crm_deals.deal_event WHERE deal_id = :d1 AND version = 3),
          format('{"custom_fields.key 17": ["%s", null], "custom_fields.key 18": ["%1$s", 5]}', repeat('v', 100)),
          'section 10: a change of two keys of them is small in the log');
SELECT crm_deals.move_deal(:d1, 'qualified') AS none \gset
SELECT is(t.state('d1'), 'qualified open 25 v4', 'section 10: such a deal moves');
SELECT is(t.dry($$UPDATE crm_deals.deal
                  SET custom_fields = ('{"deep": ' || repeat('[', 5000) || repeat(']', 5000) || '}')::jsonb
                  WHERE name = 'd2'$$) IN ('done', '54001'),
          true, 'section 10: five thousand brackets');
SELECT is(t.dry($$UPDATE crm_deals.deal
                  SET custom_fields = '{"": "", "a.b": 1, "custom_fields.x": 2, "ключ": 3, "\"": 4, "\\": 5}'
                  WHERE name = 'd2'$$),
          'done', 'section 10: odd keys');
SELECT is(t.dry($$UPDATE crm_deals.deal
                  SET amount = ('9' || repeat('0', 100000) || '.' || repeat('1', 10000))::numeric WHERE name = 'd2'$$),
          '23514 deal.amount deal_bounds', 'section 10: an amount of a hundred thousand digits');
SELECT is(t.dry($$UPDATE crm_deals.deal
                  SET lost_reason = repeat('r', 1000000), stage_id = t.stage('lost'), owner = repeat('o', 2000)
                  WHERE name = 'd2'$$),
          'done', 'section 10: long reasons and owners');
SELECT is(t.dry(format('SELECT crm_deals.move_deal(%s, ''won'', note => repeat(''n'', 1000000), actor => repeat(''a'', '
                       '1000000), override => repeat(''o'', 1000000))',
                       :d1)),
          'done', 'section 10: megabytes of note, actor and override');
SELECT is(t.dry(format('SELECT crm_deals.move_deal(%s, repeat(''9'', 1000000))', :d1)), 'P0002',
          'section 10: a stage of a million digits');
SELECT is(t.dry($$SELECT crm_deals.create_pipeline(repeat('p', 2000),
                                                   (SELECT jsonb_agg(jsonb_build_object('name', 'Stage ' || n))
                                                    FROM generate_series(1, 300) AS n))$$),
          'done', 'section 10: three hundred stages');
SELECT is(t.after($$SELECT crm_deals.create_pipeline('Many',
                                                     (SELECT jsonb_agg(jsonb_build_object('name', 'Same'))
                                                      FROM generate_series(1, 100) AS n))$$,
                  $$SELECT count(DISTINCT key) FROM crm_deals.stage WHERE name = 'Same'$$),
          '100', 'section 10: a hundred of one name');
SELECT is(t.dry('UPDATE crm_deals.stage SET required_fields = (SELECT array_agg(''custom_fields.'' || n) '
                'FROM generate_series(1, 2000) AS n) WHERE id = t.stage(''won''); '
                'UPDATE crm_deals.deal SET stage_id = t.stage(''won'')'),
          '23514 deal.stage_id deal_required_fields', 'section 10: two thousand required fields');

-- Moments and numbers at their limits
SELECT is(t.dry(format('INSERT INTO crm_deals.deal (name, stage_id, closed_at) VALUES (''x'', t.stage(''won''), %L)',
                       v.moment)),
          '23514 deal.closed_at deal_bounds', 'section 10: closed at ' || v.moment)
FROM (VALUES ('4713-01-01 BC'), ('294276-12-31 23:59:59.999999Z')) AS v (moment);
SELECT is(t.dry(format('INSERT INTO crm_deals.deal (name, created_at) VALUES (''x'', %L)', v.moment)),
          '23514 deal.created_at deal_bounds', 'section 10: created at ' || v.moment)
FROM (VALUES ('4713-01-01 BC'), ('294276-12-31 23:59:59.999999Z')) AS v (moment);
SELECT isnt(t.dry(format('INSERT INTO crm_deals.deal (name, stage_entered_at) VALUES (''x'', %L)', v.moment)), 'crash',
            'section 10: in its stage since ' || v.moment)
FROM (VALUES ('infinity'), ('-infinity'), ('294276-12-31 23:59:59.999999Z')) AS v (moment);
SELECT is(t.dry(format('UPDATE crm_deals.deal SET expected_close_date = %L', v.day)),
          '23514 deal.expected_close_date deal_bounds',
          'section 10: expected on ' || v.day)
FROM (VALUES ('4713-01-01 BC'), ('5874897-12-31')) AS v (day);
ALTER TABLE crm_deals.deal DISABLE TRIGGER USER;
UPDATE crm_deals.deal SET version = 2147483647 WHERE name = 'd3';
ALTER TABLE crm_deals.deal ENABLE TRIGGER USER;
SELECT is(t.dry($$UPDATE crm_deals.deal SET amount = 1 WHERE name = 'd3'$$) ~ '^(22003|23514|UD001)', true,
          'rule 6: a version at its limit does not wrap round');
SELECT is(t.dry($$UPDATE crm_deals.deal SET version = 5 WHERE name = 'd3'$$), 'UD001 deal.version deal_version',
          'rule 6: nor does it hide that an update comes too late');
ALTER TABLE crm_deals.deal DISABLE TRIGGER USER;
UPDATE crm_deals.deal SET version = 1 WHERE name = 'd3';
ALTER TABLE crm_deals.deal ENABLE TRIGGER USER;
SELECT is(t.dry($$INSERT INTO crm_deals.deal (id, name)
                  VALUES (9223372036854775807, 'x'), (-9223372036854775808, 'y'), (0, 'z')$$),
          'done', 'section 10: ids at their limits');
SELECT is(t.dry($$INSERT INTO crm_deals.deal (id, name) VALUES (-5, 'x'); SELECT crm_deals.move_deal(-5, 'won')$$),
          'done', 'section 10: a negative id moves');
-- Arrays
SELECT is(t.dry(format('SELECT * FROM crm_deals.move_deals(%s, ''won'')', v.ids)) IN ('done', '2202E'), true,
          'section 10: move_deals of ' || v.ids)
FROM (VALUES ('''{}'''), ('''{NULL,NULL}'''), ('''{{1,2},{3,4}}'''), ('''[5:6]={1,2}'''),
             ('ARRAY(SELECT generate_series(1, 10000))')) AS v (ids);
SELECT is(t.dry('SELECT crm_deals.reorder_stages(1, ''{{lead,qualified},{proposal,negotiation}}'')'), '22023',
          'section 10: reorder_stages of an array of two dimensions');
SELECT is(t.dry('SELECT * FROM crm_deals.move_deals(''{1}'', NULL)') IN ('done', '22004', 'P0002'), true,
          'section 10: move_deals to NULL');
-- Deep recursion in a user's own code ends in an error and not in a crash.
CREATE FUNCTION t.again() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN UPDATE crm_deals.deal SET amount = coalesce(amount, 0) + 1 WHERE id = new.id; RETURN NULL; END
$$;
CREATE TRIGGER again AFTER UPDATE ON crm_deals.deal FOR EACH ROW EXECUTE FUNCTION t.again();
SELECT is(t.try($$UPDATE crm_deals.deal SET amount = 1 WHERE name = 'd3'$$), '54001',
          'section 10: endless recursion of a user''s trigger is refused');
DROP TRIGGER again ON crm_deals.deal;
SELECT is(t.dry($$UPDATE crm_deals.deal SET amount = 1 WHERE name = 'd3'$$), 'done',
          'section 10: and the session goes on');
-- Two hundred savepoints, every second one rolled back
DO $$
BEGIN
    FOR n IN 1 .. 200 LOOP
        BEGIN
            UPDATE crm_deals.deal SET amount = n WHERE name = 'd2';
            IF n % 2 = 0 THEN RAISE EXCEPTION USING ERRCODE = 'TT000'; END IF;
        EXCEPTION WHEN SQLSTATE 'TT000' THEN NULL;
        END;
    END LOOP;
END
$$;
SELECT is((SELECT version || ' ' || amount FROM crm_deals.deal WHERE name = 'd2'), '101 199',
          'rule 7: of two hundred savepoints the half that stayed');

-- Rows of deal that no table can hold: each column NULL in turn, before a change and after it.
CREATE FUNCTION t.without(column_name name) RETURNS SETOF crm_deals.deal LANGUAGE sql AS $$
    SELECT n.* FROM crm_deals.deal AS d, jsonb_populate_record(d, jsonb_build_object(column_name, NULL)) AS n
$$;
CREATE FUNCTION t.judged(call text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE call;
    RETURN 'answered';
EXCEPTION WHEN OTHERS THEN
    RETURN 'refused';
END
$$;
SELECT is((SELECT count(t.judged(format(c.call, a.attname)))
           FROM pg_attribute AS a,
                (VALUES ('SELECT crm_deals_internal.why_not(NULL, n, true) FROM t.without(%L) AS n'),
                        ('SELECT crm_deals_internal.why_not(d, n, true) FROM crm_deals.deal AS d, t.without(%L) AS n'),
                        ('SELECT crm_deals_internal.why_not(n, d, true) FROM crm_deals.deal AS d, t.without(%L) AS n'),
                        ('SELECT crm_deals_internal.import_broken_rules(d, n) '
                         'FROM crm_deals.deal AS d, t.without(%L) AS n'),
                        ('SELECT crm_deals_internal.import_broken_rules(n, d) '
                         'FROM crm_deals.deal AS d, t.without(%L) AS n'),
                        ('SELECT b FROM t.without(%L) AS n, crm_deals.stage AS s, '
                         'crm_deals_internal.broken_rules(n, s.id, NULL, false) AS b')) AS c (call)
           WHERE a.attrelid = 'crm_deals.deal'::regclass AND a.attnum > 0 AND NOT a.attisdropped),
          (SELECT 6 * count(*) FROM pg_attribute AS a
           WHERE a.attrelid = 'crm_deals.deal'::regclass AND a.attnum > 0 AND NOT a.attisdropped),
          'section 10: the rules judge rows without any of the columns, or refuse them');
SELECT is(pg_backend_pid(), :backend, 'section 10: it is the same session still');
-- Folding thirty thousand keys takes too long.
DELETE FROM crm_deals.deal WHERE id = :d1;
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

SELECT * FROM finish();
