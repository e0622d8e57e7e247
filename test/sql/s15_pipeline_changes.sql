\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 15: pipeline_changes. Each case of the definition with its rows; t/39_pipeline_changes.pl draws at random.
SET crm_deals.notify = off;
SET timezone = 'Europe/Vienna';
SET datestyle = 'ISO';
UPDATE crm_deals.pipeline SET duplicate_policy = 'off';
SELECT crm_deals.create_pipeline('Other', '[{"name": "New"}, {"name": "Won", "status": "won"}, '
                                 '{"name": "Lost", "status": "lost"}, '
                                 '{"name": "Asleep", "status": "abandoned"}]') AS other \gset
UPDATE crm_deals.pipeline SET duplicate_policy = 'off', lost_reason_required = false;
INSERT INTO crm_deals.custom_field (entity, key, type, options)
VALUES ('deal', 'region', 'select', '["north", {"value": "south", "labels": {"de": "Süden"}}]'),
       ('deal', 'tags', 'multiselect', '["a", "b", "c"]');

-- What a call answers, and whether it holds what the contract promises: in each cell opening plus the rest is closing,
-- in count and in amount.
CREATE FUNCTION t.rows(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    told text;
    wrong text;
BEGIN
    EXECUTE format($query$
        WITH r AS MATERIALIZED (SELECT * FROM crm_deals.%s WITH ORDINALITY AS r)
        SELECT (SELECT string_agg(concat_ws(' ', r.group_key, r.currency, r.change, r.deal_count, r.amount), ', '
                                  ORDER BY r.ordinality) FROM r),
               (SELECT string_agg(concat_ws(' ', 'WRONG:', w.group_key, w.currency), ', ')
                FROM (SELECT r.group_key, r.currency FROM r GROUP BY r.group_key, r.currency
                      HAVING sum(CASE r.change WHEN 'closing' THEN -r.amount ELSE r.amount END) <> 0
                          OR sum(CASE WHEN r.change = 'closing' THEN -r.deal_count
                                      WHEN r.change IN ('increased', 'decreased') THEN 0
                                      ELSE r.deal_count END) <> 0) AS w)$query$, call) INTO told, wrong;
    RETURN coalesce(wrong, replace(told, 'EUR ', ''), 'nothing');
END
$$;
-- Runs statements before the first moment, others before the second, and tells the changes. All is undone.
CREATE FUNCTION t.story(before text, meanwhile text, arguments text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    from_at timestamptz;
    to_at timestamptz;
BEGIN
    EXECUTE before;
    from_at := clock_timestamp();
    EXECUTE meanwhile;
    to_at := clock_timestamp();
    RAISE EXCEPTION USING ERRCODE = 'TT000',
        MESSAGE = t.rows(format('pipeline_changes(%L, %L%s)', from_at, to_at, arguments));
EXCEPTION WHEN SQLSTATE 'TT000' THEN
    RETURN SQLERRM;
END
$$;
-- A new deal; a deal that goes to a stage of its pipeline, with other changes in the same statement; other changes.
CREATE FUNCTION t.add(name text, amount numeric DEFAULT 100, owner text DEFAULT 'ann', stage text DEFAULT 'lead',
                      closes date DEFAULT NULL, pipeline text DEFAULT 'Sales', custom_fields jsonb DEFAULT '{}')
RETURNS bigint LANGUAGE sql AS $$
    INSERT INTO crm_deals.deal (name, amount, owner, stage_id, expected_close_date, custom_fields)
    VALUES (name, amount, owner, t.stage(stage, pipeline), closes, custom_fields) RETURNING id
$$;
CREATE FUNCTION t.put(name text, assignments text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('UPDATE crm_deals.deal AS d SET %s WHERE d.name = %L', assignments, name);
END
$$;
CREATE FUNCTION t.go(name text, stage text, assignments text DEFAULT 'source = source', pipeline text DEFAULT 'Sales')
RETURNS void LANGUAGE sql AS $$
    SELECT t.put(name, format('stage_id = t.stage(%L, %L), %s', stage, pipeline, assignments))
$$;
CREATE FUNCTION t.remove(name text) RETURNS void LANGUAGE sql AS $$
    DELETE FROM crm_deals.deal AS d WHERE d.name = remove.name
$$;

SELECT is(t.story(v.before, v.meanwhile, v.arguments), v.wanted, 'section 15: ' || v.what)
FROM (VALUES
    ('nothing at all', '', '', '', 'nothing'),
    ('nothing happened', $$SELECT t.add('x'), t.add('y', NULL)$$, '', '', 'opening 2 100, closing 2 100'),
    -- In at both
    ('more and less are two rows, whose counts are no part of the sum',
     $$SELECT t.add('x'), t.add('y'), t.add('z')$$,
     $$SELECT t.put('x', 'amount = 150'), t.put('y', 'amount = 130'), t.put('z', 'amount = 0.5')$$, '',
     'opening 3 300, increased 2 80, decreased -1 -99.5, closing 3 280.5'),
    ('an amount where none was, and none where one was', $$SELECT t.add('x', NULL), t.add('y')$$,
     $$SELECT t.put('x', 'amount = 70'), t.put('y', 'amount = NULL')$$, '',
     'opening 2 100, increased 1 70, decreased -1 -100, closing 2 70'),
    ('an amount that comes back is no change', $$SELECT t.add('x')$$,
     $$SELECT t.put('x', 'amount = 150'), t.put('x', 'amount = 100.00')$$, '', 'opening 1 100, closing 1 100.00'),
    ('another stage is no change', $$SELECT t.add('x')$$, $$SELECT t.go('x', 'qualified')$$, '',
     'opening 1 100, closing 1 100'),
    ('by stage it is', $$SELECT t.add('x')$$, $$SELECT t.go('x', 'qualified', 'amount = 150')$$,
     $$, group_by => 'stage'$$,
     'lead opening 1 100, lead left -1 -100, qualified entered 1 150, qualified closing 1 150'),
    ('the currency changed', $$SELECT t.add('x')$$, $$SELECT t.put('x', 'currency = ''USD'', amount = 90')$$, '',
     'opening 1 100, left -1 -100, USD entered 1 90, USD closing 1 90'),
    ('another owner, by owner', $$SELECT t.add('x')$$, $$SELECT t.put('x', 'owner = ''bob''')$$,
     $$, group_by => 'owner'$$, 'ann opening 1 100, ann left -1 -100, bob entered 1 100, bob closing 1 100'),
    ('no owner is a group, the last one', $$SELECT t.add('x'), t.add('y')$$, $$SELECT t.put('x', 'owner = NULL')$$,
     $$, group_by => 'owner'$$,
     'ann opening 2 200, ann left -1 -100, ann closing 1 100, entered 1 100, closing 1 100'),
    ('another owner, else', $$SELECT t.add('x')$$, $$SELECT t.put('x', 'owner = ''bob''')$$, '',
     'opening 1 100, closing 1 100'),
    -- In at the first only
    ('won', $$SELECT t.add('x')$$, $$SELECT t.go('x', 'won')$$, '', 'opening 1 100, won -1 -100'),
    ('amount changed and won', $$SELECT t.add('x')$$, $$SELECT t.go('x', 'won', 'amount = 150')$$, '',
     'opening 1 100, increased 1 50, won -1 -150'),
    ('won with less', $$SELECT t.add('x')$$, $$SELECT t.go('x', 'won', 'amount = NULL')$$, '',
     'opening 1 100, decreased -1 -100, won -1 0'),
    ('lost with its amount set to 0', $$SELECT t.add('x')$$, $$SELECT t.go('x', 'lost', 'amount = 0')$$, '',
     'opening 1 100, lost -1 -100'),
    ('abandoned', $$SELECT t.add('x', stage => 'new', pipeline => 'Other')$$,
     $$SELECT t.go('x', 'asleep', 'amount = 7', 'Other')$$, '', 'opening 1 100, abandoned -1 -100'),
    ('deleted', $$SELECT t.add('x')$$, $$SELECT t.remove('x')$$, '', 'opening 1 100, deleted -1 -100'),
    ('merged counts as deleted', $$SELECT t.add('x', NULL), t.add('y')$$,
     $$SELECT crm_deals.merge_deals(t.deal('x'), t.deal('y'))$$, '',
     'opening 2 100, increased 1 100, deleted -1 -100, closing 1 100'),
    ('won, then deleted', $$SELECT t.add('x')$$, $$SELECT t.go('x', 'won'), t.remove('x')$$, '',
     'opening 1 100, deleted -1 -100'),
    ('another pipeline', $$SELECT t.add('x')$$, $$SELECT t.go('x', 'new', 'amount = 150', 'Other')$$, $$, 'Sales'$$,
     'opening 1 100, left -1 -100'),
    ('another pipeline, seen from there', $$SELECT t.add('x')$$, $$SELECT t.go('x', 'new', 'amount = 150', 'Other')$$,
     $$, 'Other'$$, 'entered 1 150, closing 1 150'),
    ('another pipeline, of all', $$SELECT t.add('x')$$, $$SELECT t.go('x', 'new', pipeline => 'Other')$$, '',
     'opening 1 100, closing 1 100'),
    ('won in another pipeline', $$SELECT t.add('x')$$, $$SELECT t.go('x', 'won', pipeline => 'Other')$$, $$, 'Sales'$$,
     'opening 1 100, won -1 -100'),
    ('the filter no longer holds', $$SELECT t.add('x')$$, $$SELECT t.put('x', 'owner = ''bob''')$$,
     $$, filter => '{"owner": "ann"}'$$, 'opening 1 100, left -1 -100'),
    ('the filter holds now', $$SELECT t.add('x')$$, $$SELECT t.put('x', 'owner = ''bob''')$$,
     $$, filter => '{"owner": "bob"}'$$, 'entered 1 100, closing 1 100'),
    ('the filter is not asked of a deal that was in and is closed', $$SELECT t.add('x')$$,
     $$SELECT t.go('x', 'won', 'owner = ''bob''')$$, $$, filter => '{"owner": "ann"}'$$, 'opening 1 100, won -1 -100'),
    ('a filter by an amount', $$SELECT t.add('x')$$, $$SELECT t.put('x', 'amount = 50')$$,
     $$, filter => '{"amount": {"min": 60}}'$$, 'opening 1 100, left -1 -100'),
    -- A closed deal whose cell changed
    ('won by another owner, by owner', $$SELECT t.add('x')$$,
     $$SELECT t.go('x', 'won', 'owner = ''bob'', amount = 150')$$, $$, group_by => 'owner'$$,
     'ann opening 1 100, ann left -1 -100, bob entered 1 150, bob won -1 -150'),
    ('lost in another currency, with another amount', $$SELECT t.add('x')$$,
     $$SELECT t.go('x', 'lost', 'currency = ''USD'', amount = 30')$$, '',
     'opening 1 100, left -1 -100, USD entered 1 30, USD lost -1 -30'),
    ('won, by stage', $$SELECT t.add('x')$$, $$SELECT t.go('x', 'won')$$, $$, group_by => 'stage'$$,
     'lead opening 1 100, lead left -1 -100, won entered 1 100, won won -1 -100'),
    -- In at the second only
    ('created', '', $$SELECT t.add('x')$$, '', 'created 1 100, closing 1 100'),
    ('created long ago, they say', '',
     $$INSERT INTO crm_deals.deal (name, amount, created_at) VALUES ('x', 100, '2020-01-01')$$, '',
     'entered 1 100, closing 1 100'),
    ('reopened', $$SELECT t.add('x'), t.go('x', 'lost')$$, $$SELECT t.go('x', 'lead', 'amount = 40')$$, '',
     'reopened 1 40, closing 1 40'),
    ('reopened into another pipeline', $$SELECT t.add('x'), t.go('x', 'won')$$,
     $$SELECT t.go('x', 'new', pipeline => 'Other')$$, $$, 'Other'$$, 'reopened 1 100, closing 1 100'),
    ('restored', $$SELECT t.add('x'), t.remove('x')$$,
     $$SELECT crm_deals.restore_deal((SELECT max(e.deal_id) FROM crm_deals.deal_event AS e))$$, '',
     'entered 1 100, closing 1 100'),
    ('created, deleted and restored', '',
     $$SELECT t.add('x'), t.remove('x');
       SELECT crm_deals.restore_deal((SELECT max(e.deal_id) FROM crm_deals.deal_event AS e))$$, '',
     'created 1 100, closing 1 100'),
    ('deleted and restored', $$SELECT t.add('x')$$,
     $$SELECT t.remove('x');
       SELECT crm_deals.restore_deal((SELECT max(e.deal_id) FROM crm_deals.deal_event AS e))$$, '',
     'opening 1 100, closing 1 100'),
    ('won, and that undone', $$SELECT t.add('x'), t.go('x', 'won')$$,
     $$SELECT crm_deals.undo_batch((SELECT max(e.batch_id) FROM crm_deals.deal_event AS e))$$, '',
     'reopened 1 100, closing 1 100'),
    ('won and undone in between', $$SELECT t.add('x')$$,
     $$SELECT t.go('x', 'won'); SELECT crm_deals.undo_batch((SELECT max(e.batch_id) FROM crm_deals.deal_event AS e))$$,
     '', 'opening 1 100, closing 1 100'),
    -- In at neither
    ('created and won', '', $$SELECT t.add('x'), t.go('x', 'won', 'amount = 150')$$, '', 'created 1 150, won -1 -150'),
    ('created as won', '', $$SELECT t.add('x', stage => 'won')$$, '', 'created 1 100, won -1 -100'),
    ('created and deleted', '', $$SELECT t.add('x'), t.remove('x')$$, '', 'nothing'),
    ('created and lost, with no amount', '', $$SELECT t.add('x', NULL), t.go('x', 'lost')$$, '',
     'created 1 0, lost -1 0'),
    ('reopened and lost', $$SELECT t.add('x'), t.go('x', 'lost')$$,
     $$SELECT t.go('x', 'lead'), t.go('x', 'lost')$$, '', 'reopened 1 100, lost -1 -100'),
    ('from won to lost, which stamps anew', $$SELECT t.add('x'), t.go('x', 'won')$$, $$SELECT t.go('x', 'lost')$$, '',
     'reopened 1 100, lost -1 -100'),
    ('a closed deal that changes otherwise', $$SELECT t.add('x'), t.go('x', 'won')$$,
     $$SELECT t.put('x', 'amount = 5, owner = ''bob''')$$, '', 'nothing'),
    ('closed before, they say', '',
     $$INSERT INTO crm_deals.deal (name, amount, stage_id, closed_at)
       VALUES ('x', 100, t.stage('won'), clock_timestamp() - interval '1 hour')$$, '', 'nothing'),
    ('closed tomorrow, they say', '',
     $$INSERT INTO crm_deals.deal (name, amount, stage_id, closed_at)
       VALUES ('x', 100, t.stage('won'), clock_timestamp() + interval '1 hour')$$, '', 'nothing'),
    ('in at the first, closed long ago, they say', $$SELECT t.add('x')$$,
     $$SELECT t.go('x', 'won', 'closed_at = ''2020-01-01''')$$, '', 'opening 1 100, won -1 -100'),
    ('won, and the filter does not hold', $$SELECT t.add('x', owner => 'bob')$$, $$SELECT t.go('x', 'won')$$,
     $$, filter => '{"owner": "ann"}'$$, 'nothing'),
    ('the filter holds since it was won', $$SELECT t.add('x', owner => 'bob')$$,
     $$SELECT t.go('x', 'won', 'owner = ''ann''')$$, $$, filter => '{"owner": "ann"}'$$, 'entered 1 100, won -1 -100'),
    ('won in another pipeline, where it was not', $$SELECT t.add('x')$$,
     $$SELECT t.go('x', 'won', pipeline => 'Other')$$, $$, 'Other'$$, 'entered 1 100, won -1 -100'),
    -- A range of expected closes
    ('a date in the range, both ends included, and none', $$SELECT t.add('a', 1, closes => '2030-01-01'),
       t.add('b', 2, closes => '2030-01-31'), t.add('c', 4, closes => '2029-12-31'),
       t.add('d', 8, closes => '2030-02-01'), t.add('e', 16)$$, '', $$, NULL, '2030-01-01', '2030-01-31'$$,
     'opening 2 3, closing 2 3'),
    ('a range that is open at one end', $$SELECT t.add('a', 1, closes => '2030-01-01'), t.add('e', 16)$$, '',
     $$, close_to => '2030-01-01'$$, 'opening 1 1, closing 1 1'),
    ('a date out of the range', $$SELECT t.add('x', closes => '2030-01-01')$$,
     $$SELECT t.put('x', 'expected_close_date = ''2030-01-02'', amount = 70')$$, $$, close_to => '2030-01-01'$$,
     'opening 1 100, pushed_out -1 -100'),
    ('a date that is gone', $$SELECT t.add('x', closes => '2030-01-01')$$,
     $$SELECT t.put('x', 'expected_close_date = NULL')$$, $$, close_to => '2030-01-01'$$,
     'opening 1 100, pushed_out -1 -100'),
    ('a date into the range', $$SELECT t.add('x')$$,
     $$SELECT t.put('x', 'expected_close_date = ''2030-01-01'', amount = 70')$$, $$, close_to => '2030-01-01'$$,
     'pulled_in 1 70, closing 1 70'),
    ('out of the range, and of another owner', $$SELECT t.add('x', closes => '2030-01-01')$$,
     $$SELECT t.put('x', 'expected_close_date = NULL, owner = ''bob''')$$,
     $$, close_to => '2030-01-01', filter => '{"owner": "ann"}'$$, 'opening 1 100, left -1 -100'),
    ('into the range, and of another owner', $$SELECT t.add('x')$$,
     $$SELECT t.put('x', 'expected_close_date = ''2030-01-01'', owner = ''bob''')$$,
     $$, close_to => '2030-01-01', filter => '{"owner": "bob"}'$$, 'entered 1 100, closing 1 100'),
    ('out of the range, by owner', $$SELECT t.add('x', closes => '2030-01-01')$$,
     $$SELECT t.put('x', 'expected_close_date = NULL, owner = ''bob''')$$,
     $$, close_to => '2030-01-01', group_by => 'owner'$$, 'ann opening 1 100, ann pushed_out -1 -100'),
    ('expected later but won now', $$SELECT t.add('x', closes => '2030-01-01')$$,
     $$SELECT t.go('x', 'won', 'expected_close_date = ''2031-01-01''')$$, $$, close_to => '2030-01-01'$$,
     'opening 1 100, won -1 -100'),
    ('expected later, won in the range', $$SELECT t.add('x', closes => '2031-01-01')$$, $$SELECT t.go('x', 'won')$$,
     $$, close_to => '2030-01-01'$$, 'pulled_in 1 100, won -1 -100'),
    ('expected in the range, in at neither, won out of it', '',
     $$SELECT t.add('x', closes => '2030-01-01'), t.go('x', 'won')$$, $$, close_from => '2030-01-01'$$, 'nothing'),
    ('created, and won in the range', '', $$SELECT t.add('x'), t.go('x', 'won')$$,
     $$, close_from => current_date, close_to => current_date + 1$$, 'created 1 100, won -1 -100'),
    ('won in a range that is over', '', $$SELECT t.add('x'), t.go('x', 'won')$$, $$, close_to => current_date - 1$$,
     'nothing'),
    -- Groups
    ('a select field', $$SELECT t.add('x', custom_fields => '{"region": "north"}')$$,
     $$SELECT t.put('x', 'custom_fields = ''{"region": "south"}''')$$, $$, group_by => 'custom_fields.region'$$,
     'north opening 1 100, north left -1 -100, south entered 1 100, south closing 1 100'),
    ('several values: another cell for each that came or went',
     $$SELECT t.add('x', custom_fields => '{"tags": ["a", "b"]}'), t.add('y', 7)$$,
     $$SELECT t.put('x', 'amount = 150, custom_fields = ''{"tags": ["c", "b"]}''')$$,
     $$, group_by => 'custom_fields.tags'$$,
     'a opening 1 100, a left -1 -100, b opening 1 100, b increased 1 50, b closing 1 150, '
     'c entered 1 150, c closing 1 150, opening 1 7, closing 1 7'),
    ('several values, and won', $$SELECT t.add('x', custom_fields => '{"tags": ["a", "b"]}')$$,
     $$SELECT t.go('x', 'won', 'amount = 150, custom_fields = ''{"tags": ["c", "b"]}''')$$,
     $$, group_by => 'custom_fields.tags'$$,
     'a opening 1 100, a left -1 -100, b opening 1 100, b increased 1 50, b won -1 -150, '
     'c entered 1 150, c won -1 -150'),
    ('several values, and lost', $$SELECT t.add('x', custom_fields => '{"tags": ["a", "b"]}')$$,
     $$SELECT t.go('x', 'lost', 'amount = 5, custom_fields = ''{"tags": ["b"]}''')$$,
     $$, group_by => 'custom_fields.tags'$$,
     'a opening 1 100, a left -1 -100, b opening 1 100, b lost -1 -100'),
    ('several values, and none any more', $$SELECT t.add('x', custom_fields => '{"tags": ["a", "b"]}')$$,
     $$SELECT t.put('x', 'custom_fields = ''{"tags": []}''')$$, $$, group_by => 'custom_fields.tags'$$,
     'a opening 1 100, a left -1 -100, b opening 1 100, b left -1 -100, entered 1 100, closing 1 100'),
    ('several values, and deleted', $$SELECT t.add('x', custom_fields => '{"tags": ["a", "b"]}')$$,
     $$SELECT t.remove('x')$$, $$, group_by => 'custom_fields.tags'$$,
     'a opening 1 100, a deleted -1 -100, b opening 1 100, b deleted -1 -100'),
    ('a stage as a filter: another one is left, a closed one is not asked',
     $$SELECT t.add('x'), t.add('y', 20), t.add('z', 3)$$, $$SELECT t.go('x', 'qualified'), t.go('y', 'won')$$,
     $$, filter => '{"stage": "lead"}'$$, 'opening 3 123, won -1 -20, left -1 -100, closing 1 3'),
    ('a filter by pipeline', $$SELECT t.add('x')$$, $$SELECT t.go('x', 'new', pipeline => 'Other')$$,
     $$, filter => '{"pipeline": "Other"}'$$, 'entered 1 100, closing 1 100'),
    ('by pipeline', $$SELECT t.add('x')$$, $$SELECT t.go('x', 'new', pipeline => 'Other')$$,
     $$, group_by => 'pipeline'$$,
     format('%1$s entered 1 100, %1$s closing 1 100, %2$s opening 1 100, %2$s left -1 -100',
                                        t.pipeline('Other'), t.pipeline('Sales'))))
    AS v (what, before, meanwhile, arguments, wanted);


-- The example of the reference
SELECT is(t.story(
    $$SELECT t.add('crane', 40000), t.add('sleepers', 25000), t.add('cold store', 60000)$$,
    $$SELECT t.put('crane', 'amount = 45000'), t.go('crane', 'won'), t.go('sleepers', 'lost'),
             t.put('cold store', 'amount = 52000'), t.add('wind farm', 80000)$$, $$, 'Sales'$$),
    'opening 3 125000, created 1 80000, increased 1 5000, decreased -1 -8000, won -1 -45000, lost -1 -25000, '
    'closing 2 132000', 'section 15: the example of the reference');

-- Imported deals and histories: what happened has the moments that the source says.
CREATE TABLE t.source (external_id text, name text, stage text, amount numeric, created_at timestamptz,
                       closed_at timestamptz);
CREATE TABLE t.history (external_id text, stage text, entered_at timestamptz, amount numeric);
INSERT INTO t.source VALUES
    ('old', 'won years ago', 'won', 1, '2020-01-01', '2020-02-01'),
    ('open', 'open for years', 'lead', 2, '2020-01-01', NULL),
    ('told', 'with a history', 'won', 40, '2020-01-01 12:00', '2020-03-01 12:00');
INSERT INTO t.history VALUES ('told', 'lead', '2020-01-01 12:00', 10), ('told', 'proposal', '2020-02-01 12:00', 20),
                             ('told', 'won', '2020-03-01 12:00', 40);
SELECT clock_timestamp() AS before_import \gset
SELECT is((SELECT string_agg(outcome, ' ') FROM crm_deals.import_deals('t.source', 't.history')),
          'created created created', '(imported)');
SELECT is(t.rows(format('pipeline_changes(%L)', :'before_import')), 'entered 1 2, closing 1 2',
          'section 15: imported: won years ago is nothing, open for years has entered');
SELECT is(t.rows(format('pipeline_changes(%L, %L, filter => %L)', v.from_at, v.to_at, '{"text": "with a history"}')),
          v.wanted, format('section 15: an imported history, from %s to %s', v.from_at, v.to_at))
FROM (VALUES ('2019-12-01', '2020-01-01 11:59:59.999999', 'nothing'),
             ('2019-12-01', '2020-01-01 12:00', 'created 1 10, closing 1 10'),
             ('2020-01-01 11:59:59.999999', '2020-02-01 12:00', 'created 1 20, closing 1 20'),
             -- the first moment itself is before what follows
             ('2020-01-01 12:00', '2020-02-01 12:00', 'opening 1 10, increased 1 10, closing 1 20'),
             ('2020-02-01 12:00', '2020-02-01 12:00', 'opening 1 20, closing 1 20'),
             ('2020-02-01 12:00', '2020-03-01 11:59:59.999999', 'opening 1 20, closing 1 20'),
             ('2020-02-01 12:00', '2020-03-01 12:00', 'opening 1 20, increased 1 20, won -1 -40'),
             ('2019-12-01', '2020-03-01 12:00', 'created 1 40, won -1 -40'),
             ('2019-12-01', 'infinity', 'created 1 40, won -1 -40'),
             ('-infinity', '2020-02-15', 'created 1 20, closing 1 20'),
             ('2020-03-01 12:00', 'infinity', 'nothing'),
             ('infinity', 'infinity', 'nothing'),
             ('2999-01-01', '3000-01-01', 'nothing')) AS v (from_at, to_at, wanted);
-- The day of closing is the session's: 1 March 2020, 23:30 in Vienna is 2 March in Tokyo.
SELECT is(t.story('', $$INSERT INTO crm_deals.deal (name, amount, stage_id, created_at, closed_at)
                        VALUES ('x', 5, t.stage('won'), '2020-01-01', '2020-03-01 23:30')$$,
                  format($$, filter => '{"text": "x"}', close_from => %L, close_to => %1$L$$, '2020-03-01')), 'nothing',
          'section 15: closed before the first moment');
SELECT is(t.after(format('SET timezone = %L', v.zone),
                  $$SELECT t.rows('pipeline_changes(''2020-02-20 12:00Z'', ''2020-03-01 12:00Z'', '
                                  'close_from => ''2020-03-01'', close_to => ''2020-03-01'')')$$),
          v.wanted, 'section 15: the day of closing, in ' || v.zone)
FROM (VALUES ('Europe/Vienna', 'pulled_in 1 40, won -1 -40'), ('Pacific/Auckland', 'nothing')) AS v (zone, wanted);

-- Overdue is judged on the day of each moment: what nobody touched gets in.
INSERT INTO crm_deals.deal (name, amount, created_at, expected_close_date)
VALUES ('due in January', 64, '2020-01-01', '2020-01-20');
UPDATE crm_deals.deal SET expected_close_date = '2999-01-01' WHERE name = 'open for years';
SELECT is(t.rows(format('pipeline_changes(clock_timestamp() - interval ''0 s'', %L, filter => %L)', v.to_at,
                        '{"overdue": true}')), v.wanted, 'section 15: overdue at ' || v.to_at)
FROM (VALUES ('2998-12-31', 'opening 1 64, closing 1 64'), ('2999-01-01', 'opening 1 64, closing 1 64'),
             ('2999-01-02', 'opening 1 64, entered 1 2, closing 2 66')) AS v (to_at, wanted);
DELETE FROM crm_deals.deal WHERE name = 'due in January';

-- Rows come in order; labels are those of the default language; both moments are exact in any style of dates.
SELECT t.add('a1', 1, NULL), t.add('a2', 2, 'Zoe'), t.add('a3', 4, 'adam') \gset none_
UPDATE crm_deals.deal SET currency = 'USD' WHERE name = 'a2';
SELECT is((SELECT string_agg(concat_ws(' ', coalesce(r.group_key, '-'), r.currency, r.change), ', '
                             ORDER BY r.ordinality)
           FROM crm_deals.pipeline_changes('2019-01-01', clock_timestamp(), group_by => 'owner')
                WITH ORDINALITY AS r),
          (SELECT string_agg(concat_ws(' ', coalesce(r.group_key, '-'), r.currency, r.change), ', '
                             ORDER BY r.group_label, r.currency,
                                      array_position('{opening,created,entered,won,closing}', r.change))
           FROM crm_deals.pipeline_changes('2019-01-01', clock_timestamp(), group_by => 'owner') AS r),
          'section 15: rows come by group, currency and change');
SELECT is((SELECT string_agg(DISTINCT concat_ws(' ', r.group_key, r.group_label), ', ')
           FROM crm_deals.pipeline_changes('2019-01-01', clock_timestamp(), group_by => v.by) AS r),
          v.wanted, 'section 15: labels of ' || v.by)
FROM (VALUES ('stage', 'lead Lead, won Won'), ('pipeline', format('%s Sales', t.pipeline('Sales'))),
             ('owner', ', Zoe Zoe, adam adam')) AS v (by, wanted);
SELECT is(t.after(format('SET timezone = %L; SET datestyle = %L', v.zone, v.style),
                  $$SELECT t.rows('pipeline_changes(timestamptz ''2020-01-01 11:59:59.999999 Europe/Vienna'', '
                                  '''2020-03-01 11:59:59.999999 Europe/Vienna'')')$$),
          'created 1 20, closing 1 20', format('section 15: the moments, in %s and %s', v.zone, v.style))
FROM (VALUES ('Asia/Kolkata', 'SQL, DMY'), ('Asia/Kolkata', 'Postgres, MDY'), ('Europe/Vienna', 'German'),
             ('America/New_York', 'ISO, YMD')) AS v (zone, style);

-- Refused
SELECT is(t.try('SELECT crm_deals.pipeline_changes(' || v.arguments || ')'), v.wanted,
          'section 15: pipeline_changes(' || v.arguments || ')')
FROM (VALUES ('NULL', '22004'), ('''2020-01-01'', NULL', '22004'),
             ('''2020-01-02'', ''2020-01-01''', '22023'), ('''2020-01-01'', ''2020-01-01''', 'done'),
             ('now() + interval ''1 hour''', '22023'),
             ('''2020-01-01'', pipeline => ''None''', 'P0002'),
             ('''2020-01-01'', close_from => ''2020-01-02'', close_to => ''2020-01-01''', '22023'),
             ('''2020-01-01'', close_from => ''2020-01-02'', close_to => ''2020-01-02''', 'done'),
             ('''2020-01-01'', close_from => ''-infinity'', close_to => ''infinity''', 'done'),
             ('''2020-01-01'', filter => ''{"status": "open"}''', '22023'),
             ('''2020-01-01'', filter => ''{"closed_at": {"from": "2020-01-01"}}''', '22023'),
             ('''2020-01-01'', filter => ''{"statu": "open"}''', '22023'),
             ('''2020-01-01'', filter => ''[]''', '22023'),
             ('''2020-01-01'', filter => ''{}''', 'done'), ('''2020-01-01'', filter => ''null''', 'done'),
             ('''2020-01-01'', group_by => ''nonsense''', '22023'), ('''2020-01-01'', group_by => ''''', '22023'),
             ('''2020-01-01'', group_by => ''custom_fields.it''''s''', 'done')) AS v (arguments, wanted);
SELECT is(t.error('SELECT crm_deals.pipeline_changes(''2020-01-02'', ''2020-01-01'')', 'detail'),
          'from_at is 2020-01-02 00:00:00+01, to_at is 2020-01-01 00:00:00+01.', 'section 10: DETAIL has the moments');

-- Columns of a user's with the names that the query uses
CREATE FUNCTION t.all_rows() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(t.rows(format('pipeline_changes(''2020-01-15'', clock_timestamp(), group_by => %L)', by)), '; ')
    FROM unnest('{NULL,stage,owner,custom_fields.tags,source}'::text[]) AS by
$$;
SELECT t.all_rows() AS before \gset
ALTER TABLE crm_deals.deal ADD raw text DEFAULT 'r', ADD fits boolean DEFAULT false, ADD is_in boolean DEFAULT false,
    ADD changed text, ADD "d" text, ADD "s" text, ADD "c" text, ADD deal_id bigint, ADD change text, ADD group_key text,
    ADD from_at timestamptz, ADD closes boolean, ADD had integer, ADD "a0" numeric, ADD later text, ADD touched text;
SELECT is(t.all_rows(), :'before', 'section 2: columns of a user''s may have any name');
SELECT isnt(:'before'::text, 'nothing', '(which was something)');

-- Row security: alice's own story only; deleted deals are nobody's.
SELECT t.drop_roles('regress_crm_alice');
CREATE ROLE regress_crm_alice;
SELECT crm_deals.grant_access('regress_crm_alice', 'read') AS none \gset
GRANT USAGE ON SCHEMA t TO regress_crm_alice;
CREATE POLICY mine ON crm_deals.deal USING (owner = current_user);
SELECT clock_timestamp() AS start \gset
SELECT t.add('hers', 8, 'regress_crm_alice'), t.add('his', 16, 'bob'),
       t.add('gone', 32, 'regress_crm_alice') \gset none_
SELECT t.go('hers', 'won', 'amount = 9'), t.go('his', 'won') \gset none_
SELECT clock_timestamp() AS then \gset
SELECT t.remove('gone') \gset none_
SELECT is(t.rows(format('pipeline_changes(%L, %L, filter => %L)', :'start', :'then',
                        '{"owner": ["regress_crm_alice", "bob"]}')),
          'created 3 57, won -2 -25, closing 1 32', 'section 9: the owner of the tables sees all');
ALTER TABLE crm_deals.deal ENABLE ROW LEVEL SECURITY;
SELECT is(t.get(format('SELECT t.rows(%L)', format('pipeline_changes(%L, %L)', v.from_at, v.to_at)),
                'regress_crm_alice'),
          v.wanted, 'section 9: alice sees her own story only, from ' || v.what)
FROM (VALUES ('-infinity', :'then', 'created 1 9, won -1 -9', 'the start'),
             (:'then', 'infinity', 'nothing', 'the deletion')) AS v (from_at, to_at, wanted, what);
ALTER TABLE crm_deals.deal DISABLE ROW LEVEL SECURITY;
SELECT is(t.try('SELECT crm_deals.pipeline_changes(''2020-01-01'')', 'regress_crm_alice'), 'done',
          'section 9: level read may ask');
SELECT crm_deals.revoke_access('regress_crm_alice') AS none \gset
SELECT is(t.try('SELECT crm_deals.pipeline_changes(''2020-01-01'')', 'regress_crm_alice'), '42501',
          'section 9: without a level nobody may');

-- A pruned log
SELECT is(crm_deals.prune_events('2020-02-15') > 0, true, '(pruned what was before 15 February 2020)');
SELECT is(t.try(format('SELECT crm_deals.pipeline_changes(%L, ''2020-02-20'')', v.from_at)), v.wanted,
          'section 15: after pruning, from ' || v.from_at)
FROM (VALUES ('2020-02-14 23:59:59.999999', '22023'), ('2020-02-15', 'done')) AS v (from_at, wanted);
SELECT is(t.rows('pipeline_changes(''2020-02-15'', ''2020-03-01 12:00'')'), 'opening 1 20, increased 1 20, won -1 -40',
          'section 15: from the horizon on');

-- The events after the first moment are found by their index, however long the log is.
SET session_replication_role = replica;
INSERT INTO crm_deals.deal_event (batch_id, deal_id, version, kind, occurred_at, actor, session_user_name, pipeline_id,
                                  changes)
SELECT 1, 1000000 + n, 1, 'created', timestamptz '2021-01-01' + n * interval '1 hour', 'x', 'x', 1, '{"amount": [1, 2]}'
FROM generate_series(1, 40000) AS n;
RESET session_replication_role;
VACUUM (ANALYZE) crm_deals.deal_event;
SET max_parallel_workers_per_gather = 0;    -- workers count for themselves
CREATE VIEW t.read AS
    SELECT pg_stat_get_xact_numscans(e.oid) AS scans, pg_stat_get_xact_tuples_fetched(e.oid) AS events
    FROM (SELECT 'crm_deals.deal_event'::regclass) AS e (oid);
BEGIN;
SELECT scans, events FROM t.read \gset
SELECT t.rows('pipeline_changes(timestamptz ''2021-01-01'' + interval ''39990 hours'', clock_timestamp(), '
              'group_by => ''owner'')') AS none \gset
SELECT is((SELECT concat_ws(' ', r.scans - :scans, r.events - :events BETWEEN 10 AND 10000) FROM t.read AS r), '0 t',
          'section 11: the log is read from the first moment on');
COMMIT;
SELECT t.drop_roles('regress_crm_alice') AS none \gset
SELECT set_eq($$SELECT * FROM crm_deals.pipeline_changes('yesterday', close_to => '5874897-12-31')$$,
              $$SELECT * FROM crm_deals.pipeline_changes('yesterday', close_to => '5874897-12-30')$$,
              'section 15: the last day that there is ends a range');

SELECT * FROM finish();
