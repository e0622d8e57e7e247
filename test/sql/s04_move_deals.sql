\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Sections 4 and 12: move_deals() is set-based, with an outcome for every id.
SELECT crm_deals.create_pipeline('Strict',
                                 '[{"name": "A"}, {"name": "B"}, {"name": "C", "required_fields": ["amount"]}, '
                                 '{"name": "Won", "status": "won"}, {"name": "Lost", "status": "lost"}]',
                                 gates => '{"forbid_skipping": true}') AS strict \gset
SELECT t.new_deals('d', 4, 'lead'), t.new_deals('s', 3, 'a', 'Strict'), t.new_deal('won', 'won') \gset none_
CREATE FUNCTION t.moves(ids bigint[], arguments text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    m record;
    outcomes text[];
BEGIN
    FOR m IN EXECUTE format('SELECT * FROM crm_deals.move_deals(%L, %s) ORDER BY deal_id', ids, arguments) LOOP
        outcomes := outcomes
        || (SELECT concat_ws(' ', coalesce((SELECT name FROM crm_deals.deal WHERE id = m.deal_id), m.deal_id::text),
                             m.outcome,
                             CASE WHEN m.detail IS NOT NULL THEN 'detail' END,
                             (SELECT kind FROM crm_deals.deal_event WHERE id = m.event_id)));
    END LOOP;
    RETURN array_to_string(outcomes, ', ');
END
$$;
SELECT max(id) AS last_event FROM crm_deals.deal_event \gset
SELECT is(t.moves(ARRAY[t.deal('d1'), t.deal('d2'), t.deal('won'), t.deal('s1'), 4711], $$'won'$$),
          'd1 moved won, d2 moved won, s1 rejected detail, won unchanged, 4711 not_found',
          'move_deals: an outcome for every id');
SELECT is((SELECT string_agg(t.state(name), ', ' ORDER BY name) FROM crm_deals.deal WHERE name IN ('d1', 'd2', 's1')),
          'won won 100 closed v2, won won 100 closed v2, a open 0 v1',
          'move_deals: rejected ones do not stop the others');
SELECT is((SELECT count(DISTINCT batch_id) || ' ' || count(*) FROM crm_deals.deal_event WHERE id > :last_event), '1 2',
          'move_deals: set-based: one statement, one batch');
SELECT is((SELECT count(*) FROM crm_deals.activity), 0::bigint, 'move_deals: without a note no activities');
SELECT is(t.moves(ARRAY[t.deal('d1'), t.deal('d3'), t.deal('d4')], $$'qualified', note => 'a note', actor => 'anna'$$),
          'd1 moved reopened, d3 moved stage_changed, d4 moved stage_changed', 'move_deals: from several stages');
SELECT is((SELECT string_agg(concat_ws(' | ', d.name, a.kind, a.subject, a.body, a.actor), '; ' ORDER BY d.name)
           FROM crm_deals.activity AS a JOIN crm_deals.deal AS d ON d.id = a.deal_id),
          'd1 | note | Deal moved: Won → Qualified | a note | anna; d3 | note | Deal moved: Lead → Qualified | a note '
          '| anna; d4 | note | Deal moved: Lead → Qualified | a note | anna',
          'move_deals: with a note an activity a deal');
SELECT is((SELECT count(*) FROM crm_deals.deal_event WHERE actor = 'anna' AND note = 'a note'), 3::bigint,
          'move_deals: actor and note are in the events');
-- The reason, and why a deal is rejected
SELECT is((SELECT string_agg(DISTINCT outcome || ': ' || (detail ~ 'lost_reason'), ' ')
           FROM crm_deals.move_deals(ARRAY[t.deal('d3'), t.deal('d4')], 'lost')),
          'rejected: true', 'rule 4: holds in move_deals, and the detail says so');
SELECT is(t.moves(ARRAY[t.deal('d3')], $$'lost', lost_reason => 'price'$$), 'd3 moved lost',
          'move_deals: with a reason');
SELECT is((SELECT detail ~ 'C' AND detail ~ 'amount' FROM crm_deals.move_deals(ARRAY[t.deal('s1')], 'c')), true,
          'move_deals: the detail has all the rules that are broken');
SELECT is(t.moves(ARRAY[t.deal('s1')], $$'c', override => 'the boss said so'$$), 's1 moved stage_changed',
          'move_deals: override');
SELECT is((SELECT bypassed FROM crm_deals.deal_event WHERE deal_id = t.deal('s1') AND version = 2),
          '{forbid_skipping,required_fields}', 'move_deals: bypassed names the rules');
SELECT is(t.moves(ARRAY[t.deal('s2')], $$'lost', override => 'the boss said so'$$), 's2 rejected detail',
          'rule 4: is not overridden in move_deals');
-- Deals of several pipelines, each to its own stage of that key
SELECT is(t.moves(ARRAY[t.deal('d2'), t.deal('s2'), t.deal('d4')], $$'lost', lost_reason => 'price'$$),
          'd2 moved lost, d4 moved lost, s2 moved lost', 'move_deals: of several pipelines, each to its own');
SELECT is((SELECT count(DISTINCT stage_id) FROM crm_deals.deal WHERE name IN ('d2', 's2', 'd4')), 2::bigint,
          'move_deals: stages of the same key');
SELECT is(t.moves(ARRAY[t.deal('d2'), t.deal('s3')], $$'b'$$), 'd2 rejected detail, s3 moved stage_changed',
          'move_deals: a stage that a deal''s pipeline does not have');
SELECT is(t.moves(ARRAY[t.deal('d2'), t.deal('s3')], $$'nowhere'$$), 'd2 rejected detail, s3 rejected detail',
          'move_deals: a stage that no pipeline has');
-- Ids
SELECT is(t.moves(ARRAY[t.deal('s3'), t.deal('s3'), NULL, t.deal('s3')], $$'a'$$), 's3 moved stage_changed',
          'move_deals: an id given twice is one deal, NULL none');
SELECT is(t.moves('{}', $$'a'$$), NULL, 'move_deals: of no ids');
SELECT is(t.moves(NULL, $$'a'$$), NULL, 'move_deals: of NULL');
SELECT is(t.moves('{-1,0,9223372036854775807,-9223372036854775808}', $$'a'$$),
          '-9223372036854775808 not_found, -1 not_found, 0 not_found, 9223372036854775807 not_found',
          'move_deals: ids at their limits');
INSERT INTO crm_deals.deal_alias (old_id, deal_id) VALUES (9001, t.deal('s3'));
SELECT is(t.moves('{9001}', $$'b'$$), '9001 moved stage_changed', 'section 6: move_deals follows deal_alias');
SELECT is(t.state('s3'), 'b open 0 v4', 'section 6: to the deal that it means');
-- Many
SELECT t.new_deals('m', 500, 'lead') AS none \gset
SELECT max(id) AS last_event FROM crm_deals.deal_event \gset
SELECT is((SELECT string_agg(DISTINCT outcome, ' ') || ' ' || count(*) || ' ' || count(DISTINCT event_id)
           FROM crm_deals.move_deals((SELECT array_agg(id) FROM crm_deals.deal WHERE name ~ '^m\d'), 'proposal')),
          'moved 500 500', 'move_deals: five hundred at once');
SELECT is((SELECT count(DISTINCT batch_id) || ' ' || count(*) FROM crm_deals.deal_event WHERE id > :last_event),
          '1 500', 'move_deals: one batch');
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

SELECT * FROM finish();
