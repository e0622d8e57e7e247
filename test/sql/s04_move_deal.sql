\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Sections 4, 10 and 12: move_deal().
SELECT crm_deals.create_pipeline('Strict',
                                 '[{"name": "First step", "key": "a"}, {"name": "B", "probability": 20}, '
                                 '{"name": "C", "probability": 30, "required_fields": ["amount"]}, '
                                 '{"name": "Won", "key": "w", "status": "won"}, '
                                 '{"name": "Lost", "key": "l", "status": "lost"}]',
    gates => '{"forbid_skipping": true}') AS strict \gset
SELECT t.new_deals('d', 4, 'lead'), t.new_deals('s', 3, 'a', 'Strict') \gset none_
-- What the call returns, as one text
CREATE FUNCTION t.move(arguments text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    m record;
BEGIN
    EXECUTE 'SELECT * FROM crm_deals.move_deal(' || arguments || ')' INTO m;
    RETURN (SELECT concat_ws(' ', d.name, p.name, s.key, m.stage_key, m.status, m.probability,
                             CASE WHEN m.closed_at = d.closed_at THEN 'closed' END, m.version,
                             CASE WHEN m.event_id IS NULL THEN 'no event' ELSE e.kind END)
            FROM crm_deals.deal AS d
            JOIN crm_deals.pipeline AS p ON p.id = m.pipeline_id AND p.id = d.pipeline_id
            JOIN crm_deals.stage AS s ON s.id = m.stage_id AND s.id = d.stage_id
            LEFT JOIN crm_deals.deal_event AS e ON e.id = m.event_id AND e.deal_id = d.id AND e.version = m.version
            WHERE d.id = m.deal_id);
END
$$;
CREATE FUNCTION t.activities(wanted text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT string_agg(concat_ws(' | ', a.kind, a.subject, a.body, a.actor), '; ' ORDER BY a.id)
            FROM crm_deals.activity AS a JOIN crm_deals.deal AS d ON d.id = a.deal_id WHERE d.name = wanted);
END
$$;
SELECT is((SELECT string_agg(format('%s %s', name, format_type(type, NULL)), ', ' ORDER BY position)
           FROM pg_proc,
                unnest(proargnames, proallargtypes, proargmodes) WITH ORDINALITY AS a (name, type, mode, position)
           WHERE oid = 'crm_deals.move_deal(bigint, text, text, text, text, integer, text, jsonb)'::regprocedure
             AND mode = 'o'),
          'deal_id bigint, pipeline_id bigint, stage_id bigint, stage_key text, status text, probability numeric, '
          'closed_at timestamp with time zone, version integer, event_id bigint, '
          'batch_id bigint',
          'section 12: the columns of move_deal()');

-- Where to: key, name, id
SELECT is(t.move($$t.deal('d1'), 'qualified'$$), 'd1 Sales qualified qualified open 25 2 stage_changed',
          'move_deal: by the stage''s key');
SELECT is(t.activities('d1'),
          'note | Deal moved: Lead → Qualified | Deal stage changed from Lead to Qualified | postgres',
          'move_deal: records a note activity');
SELECT is(t.move($$t.deal('d1'), 'Proposal', note => 'they asked for it', actor => 'anna'$$),
          'd1 Sales proposal proposal open 50 3 stage_changed', 'move_deal: else by its name');
SELECT is(split_part(t.activities('d1'), '; ', 2), 'note | Deal moved: Qualified → Proposal | they asked for it | anna',
          'move_deal: the body is the note, the actor the argument');
SELECT is((SELECT actor || ' ' || note FROM crm_deals.deal_event WHERE deal_id = t.deal('d1') AND version = 3),
          'anna they asked for it', 'move_deal: both are in the event');
SELECT is((SELECT bool_and(a.occurred_at = e.occurred_at)
           FROM crm_deals.activity AS a JOIN crm_deals.deal_event AS e ON e.deal_id = a.deal_id AND e.note = a.body),
          true, 'move_deal: at the same moment');
SELECT is(t.move(format('t.deal(''d1''), %L', t.stage('negotiation'))),
          'd1 Sales negotiation negotiation open 75 4 stage_changed',
          'section 10: a text of digits that is no key or name is tried as a stage id');
SELECT is(t.move($$t.deal('d1'), t.stage('won')$$), 'd1 Sales won won won 100 closed 5 won', 'move_deal: by id');
SELECT is(t.move($$t.deal('d1'), to_stage_id => t.stage('lost'), lost_reason => 'price'$$),
          'd1 Sales lost lost lost 0 closed 6 lost', 'move_deal: with a reason');
SELECT is(t.move($$t.deal('d2'), t.stage('a', 'Strict')$$), 'd2 Strict a a open 0 2 stage_changed',
          'move_deal: by id into another pipeline');
SELECT is(t.dry($$SELECT crm_deals.move_deal(t.deal('d3'), 'a')$$), 'P0002',
          'move_deal: a key is one of the deal''s own pipeline');
-- A key of digits goes before an id, a key before a name.
SELECT crm_deals.create_pipeline(
    'Digits',
    format('[{"name": "One"}, {"name": "Two", "key": "%s"}, {"name": "two"}, {"name": "one", "key": "x"}]',
           t.stage('won'))::jsonb) AS digits \gset
SELECT t.new_deal('g', 'one', 'Digits') AS none \gset
SELECT is(t.get(format('SELECT stage_id = t.stage(%1$L, ''Digits'') FROM crm_deals.move_deal(t.deal(''g''), %1$L)',
                       t.stage('won'))),
          'true', 'section 10: digits that are a key mean the key');
SELECT is(t.get($$SELECT stage_id = t.stage('one', 'Digits') FROM crm_deals.move_deal(t.deal('g'), 'one')$$), 'true',
          'move_deal: a key goes before a name');

-- Already there
SELECT is(t.move($$t.deal('s1'), 'a'$$), 's1 Strict a a open 0 1 no event',
          'move_deal: a deal that is there stays, event_id is NULL');
SELECT is(t.activities('s1'), NULL, 'move_deal: and no activity is recorded');
SELECT is(t.move($$t.deal('d1'), 'lost', lost_reason => 'timing'$$), 'd1 Sales lost lost lost 0 closed 7 updated',
          'move_deal: another reason is a change');

-- Rules hold
SELECT is(t.dry($$SELECT crm_deals.move_deal(t.deal('s1'), 'c')$$), '23514 deal.stage_id deal_gate',
          'rule 5: gates hold in move_deal');
SELECT is(t.dry($$SELECT crm_deals.move_deal(t.deal('s1'), 'l')$$), '23514 deal.lost_reason deal_lost_reason',
          'rule 4: holds in move_deal');
SELECT is(t.dry($$SELECT crm_deals.move_deal(t.deal('s1'), 'b', lost_reason => 'price')$$),
          '23514 deal.lost_reason deal_lost_reason', 'rule 4: a reason for a deal that is not lost is refused');
SELECT is(t.activities('s1'), NULL, 'section 10: a refused move leaves no activity');
-- Version
SELECT is(t.dry($$SELECT crm_deals.move_deal(t.deal('d3'), 'won', expected_version => 2)$$),
          'UD001 deal.version deal_version', 'rule 6: expected_version: a stale one is refused');
SELECT matches(t.error($$SELECT crm_deals.move_deal(t.deal('d3'), 'won', expected_version => 2)$$, 'detail'), '\m1\M',
               'rule 6: with the current one in DETAIL');
SELECT is(t.dry($$SELECT crm_deals.move_deal(t.deal('d3'), 'lead', expected_version => 2)$$),
          'UD001 deal.version deal_version', 'rule 6: also where the deal is there already');
SELECT is(t.move($$t.deal('d3'), 'won', expected_version => 1$$), 'd3 Sales won won won 100 closed 2 won',
          'rule 6: the current one passes');
-- Unknown
SELECT is(t.dry($$SELECT crm_deals.move_deal(4711, 'won')$$), 'P0002', 'section 10: an unknown deal is P0002');
SELECT is(t.dry($$SELECT crm_deals.move_deal(t.deal('d4'), 'nowhere')$$), 'P0002',
          'section 10: an unknown stage is P0002');
SELECT is(t.error($$SELECT crm_deals.move_deal(t.deal('d4'), 'nowhere')$$, 'detail')
              ~ 'lead.*qualified.*proposal.*negotiation.*won.*lost',
          true, 'section 10: naming the ones that exist');
SELECT is(t.dry($$SELECT crm_deals.move_deal(t.deal('d4'), '4711')$$), 'P0002', 'section 10: an unknown id is, too');
SELECT is(t.dry($$SELECT crm_deals.move_deal(t.deal('d4'), 4711)$$), 'P0002', 'section 10: as a number, too');
SELECT is(t.dry($$SELECT crm_deals.move_deal(t.deal('d4'), '99999999999999999999999')$$), 'P0002',
          'section 10: one that is no bigint as well');
SELECT is(t.dry($$SELECT crm_deals.move_deal(t.deal('d4'), '')$$), 'P0002', 'section 10: and an empty text');
SELECT is(t.dry(format('SELECT crm_deals.move_deal(%s)', v.arguments)), '22004',
          'move_deal: NULL is no argument: ' || v.arguments)
FROM (VALUES ('NULL, ''won'''), ('1, NULL::text'), ('1, NULL::bigint')) AS v (arguments);
-- An alias
INSERT INTO crm_deals.deal_alias (old_id, deal_id) VALUES (9001, t.deal('d4'));
SELECT is(t.move($$9001, 'qualified'$$), 'd4 Sales qualified qualified open 25 2 stage_changed',
          'section 6: move_deal follows deal_alias');
SELECT is(crm_deals.resolve_deal(9001), t.deal('d4'), 'section 12: resolve_deal(old id)');
SELECT is(crm_deals.resolve_deal(t.deal('d4')), t.deal('d4'), 'section 12: resolve_deal(id)');
SELECT is(t.dry('SELECT crm_deals.resolve_deal(4711)'), 'P0002',
          'section 12: resolve_deal of an unknown deal is P0002');
-- Two calls in one statement, a call in a CTE
SELECT is((SELECT string_agg(m.stage_key || ' ' || m.version, ', ' ORDER BY d.name)
           FROM crm_deals.deal AS d, LATERAL crm_deals.move_deal(d.id, 'b', actor => d.name) AS m
           WHERE d.name IN ('s1', 's2')),
          'b 2, b 2', 'move_deal: of many deals in one query');
SELECT is((SELECT string_agg(actor, ' ' ORDER BY actor) FROM crm_deals.deal_event WHERE actor LIKE 's_'), 's1 s2',
          'move_deal: each with its own actor');
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

SELECT * FROM finish();
