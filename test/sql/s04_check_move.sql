\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 4: check_move() is a dry run. It uses the same code that enforces the rules.
SELECT crm_deals.create_pipeline('Strict', '[{"name": "A", "next": ["b"]}, {"name": "B", "next": ["c"]},
    {"name": "C", "required_fields": ["amount", "owner"], "next": ["won"]}, {"name": "Won", "status": "won"},
    {"name": "Lost", "status": "lost", "required_fields": ["notes"]}, {"name": "Silent", "status": "abandoned"}]',
                                 gates => '{"forbid_skipping": true, "forbid_backward": true, "forbid_unlisted": true}')
           AS strict \gset
SELECT crm_deals.create_pipeline('Closed', '[{"name": "Z"}]') AS closed \gset
UPDATE crm_deals.pipeline SET is_active = false WHERE id = :closed;
SELECT t.new_deals('d', 2, 'a', 'Strict'), t.new_deal('s', 'lead') \gset none_
UPDATE crm_deals.deal SET stage_id = t.stage('b', 'Strict') WHERE name = 'd2';
CREATE FUNCTION t.check(wanted text, to_stage text, reason text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT string_agg(c.rule, ' ' ORDER BY c.rule)
            FROM crm_deals.check_move(t.deal(wanted), to_stage, reason) AS c);
END
$$;
SELECT is(t.check(v.deal, v.stage, v.reason), v.rules,
          'check_move: ' || v.deal || ' to ' || v.stage || ': ' || coalesce(v.rules, 'it may go'))
FROM (VALUES ('d1', 'a', NULL, NULL), ('d1', 'b', NULL, NULL),
             ('d1', 'c', NULL, 'forbid_skipping forbid_unlisted required_fields'),
             ('d1', 'won', NULL, 'forbid_skipping forbid_unlisted required_fields'),
             ('d1', 'lost', NULL, 'lost_reason required_fields'), ('d1', 'lost', 'price', 'required_fields'),
             ('d1', 'silent', NULL, NULL), ('d1', 'silent', 'price', 'lost_reason'),
             ('d2', 'a', NULL, 'forbid_backward forbid_unlisted'), ('d2', 'c', NULL, 'required_fields'),
             ('s', 'won', NULL, NULL), ('s', 'lost', NULL, 'lost_reason')) AS v (deal, stage, reason, rules);
SELECT is(t.check('s', t.stage('z', 'Closed')::text), 'pipeline_active',
          'check_move: an inactive pipeline, its stage given by id');
SELECT is((SELECT detail FROM crm_deals.check_move(t.deal('d2'), 'c')) ~ 'amount.*owner', true,
          'check_move: the detail names all the fields that are missing');
-- It agrees with the move, for every deal and stage.
SELECT is((SELECT string_agg(d.name || ' ' || s.key, ', ')
           FROM crm_deals.deal AS d, crm_deals.stage AS s
           WHERE (EXISTS (SELECT FROM crm_deals.check_move(d.id, s.id::text,
                                                           CASE s.status WHEN 'lost' THEN 'price' END)))
                 = (t.dry(format('SELECT crm_deals.move_deal(%s, %s, lost_reason => %L)', d.id, s.id,
                                 CASE s.status WHEN 'lost' THEN 'price' END)) = 'done')),
          NULL, 'check_move: answers for every deal and stage what move_deal then does');
-- It changes nothing.
SELECT is((SELECT count(*) FROM crm_deals.deal_event), 4::bigint, 'check_move: leaves no event');
SELECT is(t.get($$SET LOCAL transaction_read_only = on; SELECT count(*) FROM crm_deals.check_move(1, 'c')$$)
              ~ '^\d$|^3$',
          true, 'check_move: runs in a read-only transaction');
SELECT is((SELECT provolatile::text FROM pg_proc WHERE oid = 'crm_deals.check_move(bigint, text, text)'::regprocedure),
          's', 'section 11: it is STABLE');
-- Unknown
SELECT is(t.dry($$SELECT * FROM crm_deals.check_move(4711, 'won')$$), 'P0002', 'check_move: an unknown deal is P0002');
SELECT is(t.dry($$SELECT * FROM crm_deals.check_move(1, 'nowhere')$$), 'P0002',
          'check_move: an unknown stage is P0002');
SELECT is(t.error($$SELECT * FROM crm_deals.check_move(1, 'nowhere')$$, 'detail')
              ~ '"a".*"b".*"c".*"won".*"lost".*"silent"',
          true, 'check_move: naming the ones that exist');
INSERT INTO crm_deals.deal_alias (old_id, deal_id) VALUES (9001, t.deal('d2'));
SELECT is((SELECT string_agg(rule, ' ') FROM crm_deals.check_move(9001, 'c')), 'required_fields',
          'check_move: follows deal_alias');
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');

SELECT * FROM finish();
