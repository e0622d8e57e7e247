\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Sections 2 and 4: triggers of the user's own, before and after ours.
CREATE FUNCTION t.poke() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    CASE tg_argv[0]
        WHEN 'notes' THEN new.notes := coalesce(new.notes, '') || tg_argv[1];
        WHEN 'amount' THEN new.amount := tg_argv[1]::numeric;
        WHEN 'stage' THEN new.stage_id := t.stage(tg_argv[1]);
        WHEN 'status' THEN new.status := tg_argv[1]::crm_deals.deal_status;
        WHEN 'closed_at' THEN new.closed_at := tg_argv[1]::timestamptz;
        WHEN 'probability' THEN new.probability := tg_argv[1]::numeric;
        WHEN 'lost_reason' THEN new.lost_reason := tg_argv[1];
        WHEN 'version' THEN new.version := new.version + tg_argv[1]::integer;
        WHEN 'updated_at' THEN new.updated_at := tg_argv[1]::timestamptz;
        WHEN 'id' THEN new.id := tg_argv[1]::bigint;
        WHEN 'created_at' THEN new.created_at := tg_argv[1]::timestamptz;
        WHEN 'organization' THEN new.organization := tg_argv[1];
        WHEN 'currency' THEN new.currency := tg_argv[1];
        WHEN 'custom_fields' THEN new.custom_fields := tg_argv[1]::jsonb;
        WHEN 'nothing' THEN IF new.name = tg_argv[1] THEN RETURN NULL; END IF;
    END CASE;
    RETURN new;
END
$$;
-- What a statement does with one more BEFORE ROW trigger of that name.
CREATE FUNCTION t.with_trigger(trigger_name text, what text, value text, statement text, query text)
RETURNS text LANGUAGE sql AS $$
    SELECT t.after(format('CREATE TRIGGER %I BEFORE INSERT OR UPDATE ON crm_deals.deal FOR EACH ROW EXECUTE FUNCTION '
                          't.poke(%L, %L); ',
                          trigger_name, what, value) || statement,
                   query)
$$;
SELECT crm_deals.create_pipeline('Strict',
                                 '[{"name": "A"}, {"name": "B", "probability": 20}, {"name": "C", "probability": 30}, '
                                 '{"name": "Won", "key": "w", "status": "won"}]',
                                 gates => '{"forbid_skipping": true}') AS strict \gset
SELECT t.new_deals('d', 3, 'lead') AS none \gset

-- Triggers that sort before ours: their changes count as the statement's.
SELECT is(t.with_trigger('a_user', 'stage', 'won', $$UPDATE crm_deals.deal SET amount = 1 WHERE name = 'd1'$$,
                         $$SELECT t.state('d1') || ' ' || t.kinds('d1')$$),
          'won won 100 closed v2 created won', 'section 4: a user''s BEFORE trigger may move the deal');
SELECT is(t.with_trigger('a_user', 'status', 'won', $$UPDATE crm_deals.deal SET amount = 1 WHERE name = 'd1'$$,
                         'SELECT 1'),
          '23514 deal.status deal_status_matches_stage', 'rule 1: a status that it sets is a statement');
SELECT is(t.with_trigger('a_user', 'stage', 'lost', $$UPDATE crm_deals.deal SET amount = 1 WHERE name = 'd1'$$,
                         'SELECT 1'),
          '23514 deal.lost_reason deal_lost_reason', 'rule 4: holds for a move that it makes');
SELECT is(t.with_trigger('a_user', 'notes', '!', $$UPDATE crm_deals.deal SET amount = 1 WHERE name = 'd1'$$,
                         $$SELECT changes::text FROM crm_deals.deal_event
                           WHERE deal_id = t.deal('d1') AND version = 2$$),
          '{"notes": [null, "!"], "amount": [null, 1]}', 'rule 7: what it changed is in the event');
SELECT is(t.with_trigger('a_user', 'notes', '!', $$UPDATE crm_deals.deal SET amount = amount WHERE name = 'd1'$$,
                         $$SELECT t.state('d1') || ' ' || t.kinds('d1')$$),
          'lead open 10 v2 created updated', 'rule 7: also where the statement itself changed nothing');
SELECT is(t.with_trigger('a_user', 'version', '5', $$UPDATE crm_deals.deal SET amount = 1 WHERE name = 'd1'$$,
                         'SELECT 1'),
          'UD001 deal.version deal_version', 'rule 6: a version that it makes up is stale');
SELECT is(t.with_trigger('a_user', 'id', '4711', $$UPDATE crm_deals.deal SET amount = 1 WHERE name = 'd1'$$,
                         'SELECT 1'),
          '23514 deal.id deal_immutable', 'rule 7: it cannot change the id');

-- Triggers that sort after ours: they may add changes, but not undo ours.
SELECT is(t.with_trigger('zzz_user', v.what, v.value, $$UPDATE crm_deals.deal SET amount = 1 WHERE name = 'd1'$$,
                         'SELECT t.state(''d1'')'),
          v.result,
          'section 2: checked again: a later trigger that changes ' || v.what || ' on UPDATE')
FROM (VALUES ('created_at', '2001-01-01', '23514 deal.created_at deal_immutable'),
             ('id', '4711', '23514 deal.id deal_immutable'),
             ('organization', 'acme', '23514 deal.organization deal_organization_matches_pipeline'),
             ('updated_at', '2001-01-01', '23514 deal.updated_at deal_version'),
             ('notes', '!', 'lead open 10 v2')) AS v (what, value, result);
SELECT alike(t.with_trigger('zzz_user', v.what, v.value, $$UPDATE crm_deals.deal SET amount = 1 WHERE name = 'd1'$$,
                            'SELECT t.state(''d1'')'),
             v.result,
             'section 2: checked again: a later trigger that changes ' || v.what || ' on UPDATE')
FROM (VALUES ('stage', 'won', '23514 deal%'),
             ('status', 'won', '23514 deal%'),
             ('lost_reason', 'price', '23514 deal% deal_lost_reason'),
             ('closed_at', '2001-01-01', '23514 deal% deal_closed_at'),
             ('version', '1', '% deal.version deal_version'),
             ('version', '-1', '% deal.version deal_version'),
             ('currency', 'ABC', '23514 deal.currency deal_currency'),
             ('amount', '-1', '23514 deal% deal_amount')) AS v (what, value, result);
SELECT alike(t.with_trigger('zzz_user', v.what, v.value, $$INSERT INTO crm_deals.deal (name) VALUES ('a')$$,
                            'SELECT t.state(''a'')'),
             v.result,
             'section 2: checked again: a later trigger that changes ' || v.what || ' on INSERT')
FROM (VALUES ('status', 'won', '23514 deal%'),
             ('stage', 'won', '23514 deal%'),
             ('closed_at', '2001-01-01', '23514 deal% deal_closed_at'),
             ('organization', 'acme', '23514 deal.organization deal_organization_matches_pipeline'),
             ('version', '4', '% deal.version deal_version'),
             ('lost_reason', 'price', '23514 deal% deal_lost_reason'),
             ('notes', '!', 'lead open 10 v1')) AS v (what, value, result);
SELECT is(t.with_trigger('zzz_user', 'notes', '!', $$UPDATE crm_deals.deal SET amount = 1 WHERE name = 'd1'$$,
                         $$SELECT changes::text FROM crm_deals.deal_event
                           WHERE deal_id = t.deal('d1') AND version = 2$$),
          '{"notes": [null, "!"], "amount": [null, 1]}', 'rule 7: what a later trigger added is in the event');
SELECT is(t.with_trigger('zzz_user', 'notes', '!', $$UPDATE crm_deals.deal SET amount = amount WHERE name = 'd1'$$,
                         'SELECT 1'),
          '23514 deal.version deal_version',
          'rule 6: a later trigger that makes a change of a row that had none is refused: it would have no version');
SELECT is(t.with_trigger('zzz_user', 'stage', 'qualified',
                         format('INSERT INTO crm_deals.deal (name, stage_id) VALUES (''a'', %s)',
                                t.stage('a', 'Strict')),
                         'SELECT 1'),
          '23503 deal deal_stage_fkey', 'rule 1: nor can it put a deal into a stage of another pipeline');

-- A row that a trigger suppresses
SELECT is(t.with_trigger(v.name, 'nothing', 'd2', $$UPDATE crm_deals.deal SET amount = id$$,
                         $$SELECT string_agg(d.name || ' ' || (d.amount = d.id), ', ' ORDER BY d.id) || ' '
                                  || string_agg(DISTINCT e.kind || ' ' || e.version, ', ')
                           FROM crm_deals.deal AS d JOIN crm_deals.deal_event AS e ON e.deal_id = d.id
                           WHERE e.version > 1$$),
          'd1 true, d3 true updated 2',
          'rule 7: a row that trigger ' || v.name || ' suppresses has no event, the others have theirs')
FROM (VALUES ('a_user'), ('zzz_user')) AS v (name);
SELECT is(t.with_trigger('zzz_user', 'nothing', 'n2',
                         $$INSERT INTO crm_deals.deal (name) VALUES ('n1'), ('n2'), ('n3')$$,
                         $$SELECT string_agg(d.name || ' ' || t.kinds(d.id), ', ' ORDER BY d.name)
                           FROM crm_deals.deal AS d WHERE name LIKE 'n_'$$),
          'n1 created, n3 created', 'rule 7: the same on INSERT');

-- AFTER ROW triggers that write deals
CREATE FUNCTION t.follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    CASE tg_argv[0]
         WHEN 'same' THEN IF new.amount < 3 THEN UPDATE crm_deals.deal SET amount = new.amount + 1
         WHERE id = new.id; END IF;
        WHEN 'other' THEN IF new.name = 'd1' THEN UPDATE crm_deals.deal SET stage_id = new.stage_id WHERE name = 'd2';
        END IF;
        WHEN 'delete' THEN DELETE FROM crm_deals.deal WHERE id = new.id;
        WHEN 'insert' THEN IF new.name NOT LIKE '%''s child' THEN INSERT INTO crm_deals.deal (name)
        VALUES (new.name || '''s child');
        END IF;
    END CASE;
    RETURN NULL;
END
$$;
CREATE TRIGGER follow AFTER UPDATE ON crm_deals.deal FOR EACH ROW EXECUTE FUNCTION t.follow('same');
UPDATE crm_deals.deal SET amount = 0 WHERE name IN ('d1', 'd2');
DROP TRIGGER follow ON crm_deals.deal;
SELECT is((SELECT string_agg(changes ->> 'amount', ' ' ORDER BY version) FROM crm_deals.deal_event
           WHERE deal_id = t.deal('d1') AND kind = 'updated'),
          '[null, 0] [0, 1] [1, 2] [2, 3]',
          'rule 7: an AFTER ROW trigger that updates the same deal: every change is logged, in order of version');
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold after it');
CREATE TRIGGER follow AFTER UPDATE ON crm_deals.deal FOR EACH ROW EXECUTE FUNCTION t.follow('other');
UPDATE crm_deals.deal SET stage_id = t.stage('won') WHERE name = 'd1';
DROP TRIGGER follow ON crm_deals.deal;
SELECT is(t.state('d2') || ' ' || t.kinds('d2'), 'won won 100 closed v6 created updated updated updated updated won',
          'rule 7: one that moves another deal');
CREATE TRIGGER follow AFTER INSERT ON crm_deals.deal FOR EACH ROW EXECUTE FUNCTION t.follow('insert');
INSERT INTO crm_deals.deal (name) VALUES ('p1'), ('p2');
DROP TRIGGER follow ON crm_deals.deal;
SELECT is((SELECT string_agg(name || ' ' || t.kinds(id), ', ' ORDER BY name) FROM crm_deals.deal WHERE name LIKE 'p_%'),
          'p1 created, p1''s child created, p2 created, p2''s child created', 'rule 7: one that inserts others');
CREATE TRIGGER follow AFTER UPDATE ON crm_deals.deal FOR EACH ROW EXECUTE FUNCTION t.follow('delete');
SELECT t.deal('d3') AS d3 \gset
UPDATE crm_deals.deal SET amount = 9 WHERE name = 'd3';
DROP TRIGGER follow ON crm_deals.deal;
SELECT is(t.kinds(:d3), 'created updated deleted', 'rule 7: one that deletes the same deal');

-- A BEFORE ROW trigger that writes another deal, and one that writes the same
CREATE FUNCTION t.first() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.name = 'p1' THEN UPDATE crm_deals.deal SET notes = 'first' WHERE name = tg_argv[0]; END IF;
    RETURN new;
END
$$;
CREATE TRIGGER first BEFORE UPDATE ON crm_deals.deal FOR EACH ROW EXECUTE FUNCTION t.first('p2');
UPDATE crm_deals.deal SET amount = 2 WHERE name = 'p1';
DROP TRIGGER first ON crm_deals.deal;
SELECT is(t.kinds('p1') || ', ' || t.kinds('p2'), 'created updated, created updated',
          'rule 7: a BEFORE ROW trigger that writes another deal');

-- A user's statement trigger with transition tables sees the rows as they are.
CREATE TABLE t.seen (name text, status text, version integer);
CREATE FUNCTION t.look() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO t.seen SELECT name, status, version FROM news;
    RETURN NULL;
END
$$;
CREATE TRIGGER a_look AFTER UPDATE ON crm_deals.deal REFERENCING NEW TABLE AS news FOR EACH STATEMENT
    EXECUTE FUNCTION t.look();
UPDATE crm_deals.deal SET stage_id = t.stage('won') WHERE name IN ('p1', 'p2');
DROP TRIGGER a_look ON crm_deals.deal;
SELECT is((SELECT string_agg(concat_ws(' ', name, status, version), ', ' ORDER BY name) FROM t.seen),
          'p1 won 3, p2 won 3', 'section 2: a user''s statement trigger sees the derived rows');

-- Triggers on the log may add, never take away.
CREATE FUNCTION t.refuse()
RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'no' USING ERRCODE = 'TT001'; END$$;
CREATE TRIGGER refuse AFTER INSERT ON crm_deals.deal_event FOR EACH ROW EXECUTE FUNCTION t.refuse();
SELECT is(t.try($$UPDATE crm_deals.deal SET amount = 3 WHERE name = 'p1'$$), 'TT001',
          'rule 7: a log that cannot be written refuses the change');
DROP TRIGGER refuse ON crm_deals.deal_event;
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

SELECT * FROM finish();
