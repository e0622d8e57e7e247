\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Sections 3 and 12: create_pipeline().
SELECT is((SELECT string_agg(concat_ws(' | ', key, name, labels ->> 'de', probability, status), '; ' ORDER BY position)
           FROM crm_deals.stage WHERE pipeline_id = :sales),
          'lead | Lead | Lead | 10 | open; qualified | Qualified | Qualifiziert | 25 | open; '
          'proposal | Proposal | Angebot | 50 | open; negotiation | Negotiation | Verhandlung | 75 | open; '
          'won | Won | Gewonnen | 100 | won; lost | Lost | Verloren | 0 | lost',
          'section 3: the six default stages, in English and German');
SELECT is((SELECT string_agg(position::text, ' ' ORDER BY position) FROM crm_deals.stage WHERE pipeline_id = :sales),
          '1 2 3 4 5 6', 'section 3: in their order');
-- The first of an organization becomes its default.
CREATE FUNCTION t.defaults() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(name, ' ' ORDER BY name) FROM crm_deals.pipeline WHERE is_default
$$;
SELECT is(t.defaults(), 'Sales', 'section 3: the first pipeline becomes the default');
SELECT crm_deals.create_pipeline('Second') AS second \gset
SELECT is(t.defaults(), 'Sales', 'section 3: the second does not');
SELECT crm_deals.create_pipeline('Acme first', organization => 'acme') AS acme \gset
SELECT is(t.defaults(), 'Acme first Sales', 'section 3: the first of an organization is its default');
SELECT crm_deals.create_pipeline('Third', is_default => true) AS third \gset
SELECT is(t.defaults(), 'Acme first Third', 'section 3: is_default => true takes it from the other');
SELECT is(t.after($$SELECT crm_deals.create_pipeline('Globex first', organization => 'globex', is_default => false)$$,
                  'SELECT t.defaults()'),
          'Acme first Third', 'section 3: is_default => false of the first one');

-- stages: an array of objects
SELECT crm_deals.create_pipeline('Full', '[{"name": "First one", "key": "f", "probability": 12.5,
    "labels": {"de": "Erste", "fr": "Première"},
    "description": "begins here", "required_fields": ["amount", "custom_fields.budget"], "rots_after": "10 days",
    "next": ["second_one", "w"]},
    {"name": "Second one"}, {"name": "W", "status": "won", "next": []}, {"name": "L", "status": "lost"},
    {"name": "Abandoned", "status": "abandoned", "probability": 0}]',
    'a description', 'CHF', 'acme', gates => '{"forbid_backward": true, "forbid_unlisted": false}') AS full \gset
SELECT is((SELECT to_jsonb(s) - 'id' - 'pipeline_id' FROM crm_deals.stage AS s WHERE pipeline_id = :full AND key = 'f'),
          '{"key": "f", "name": "First one", "labels": {"de": "Erste", "fr": "Première"}, '
          '"status": "open", "position": 1, "rots_after": "@ 10 days", "archived_at": null, '
          '"description": "begins here", "probability": 12.5, "required_fields": ["amount", "custom_fields.budget"]}',
          'section 3: everything that stages may say');
SELECT is((SELECT string_agg(concat_ws(' ', key, status, probability), ', ' ORDER BY position) FROM crm_deals.stage
           WHERE pipeline_id = :full),
          'f open 12.5, second_one open 0, w won 100, l lost 0, abandoned abandoned 0',
          'section 3: keys from names, default probabilities, in their order');
SELECT is((SELECT string_agg(f.key || '>' || s.key, ' ' ORDER BY s.position) FROM crm_deals.stage_transition AS x
           JOIN crm_deals.stage AS f ON f.id = x.from_stage_id JOIN crm_deals.stage AS s ON s.id = x.to_stage_id),
          'f>second_one f>w', 'section 3: next are the listed moves');
SELECT is((SELECT concat_ws(' ', name, description, currency, organization, is_default, forbid_skipping,
                            forbid_backward, forbid_unlisted)
           FROM crm_deals.pipeline WHERE id = :full),
          'Full a description CHF acme f f t f', 'section 3: gates sets the three booleans');
SELECT crm_deals.create_pipeline(
    'Same', '[{"name": "Step"}, {"name": "Step"}, {"name": "step!"}, {"name": "→"}, {"name": "!"}]') AS same \gset
SELECT is((SELECT count(DISTINCT key) || ' ' || min(key) FROM crm_deals.stage
           WHERE pipeline_id = t.pipeline('Same') AND name ~* 'step'),
          '3 step', 'section 3: keys are unique also where names are alike');
SELECT is((SELECT count(*) FILTER (WHERE btrim(key) <> '') FROM crm_deals.stage WHERE pipeline_id = t.pipeline('Same')),
          5::bigint, 'section 3: and never blank');
SELECT crm_deals.create_pipeline('Empty gates', gates => '{}') AS empty \gset
SELECT is((SELECT count(*) FROM crm_deals.stage WHERE pipeline_id = t.pipeline('Empty gates')), 6::bigint,
          'section 3: stages NULL makes the six');
SELECT is((SELECT string_agg(DISTINCT labels ->> 'de', ' ' ORDER BY labels ->> 'de') FROM crm_deals.stage
           WHERE key = 'won' AND pipeline_id IN (:sales, :second)),
          'Gewonnen', 'section 3: in every pipeline');

-- Errors: each leaves nothing behind.
SELECT count(*) AS pipelines FROM crm_deals.pipeline \gset
SELECT is(t.try(format('SELECT crm_deals.create_pipeline(''Bad'', %L)', v.stages)), '22023',
          'section 10: no stages: ' || v.stages)
FROM (VALUES ('[]'), ('{}'), ('"x"'), ('5'), ('null'), ('[5]'), ('["Lead"]'), ('[null]'), ('[{}]'), ('[{"key": "x"}]'),
             ('[{"name": "x", "nmae": "y"}]'), ('[{"name": "x", "status": "maybe"}]'),
             ('[{"name": "x", "status": ""}]'), ('[{"name": "x", "next": ["nowhere"]}]')) AS v (stages);
SELECT alike(t.try(format('SELECT crm_deals.create_pipeline(''Bad'', %L)', v.stages)), v.state || '%',
             'section 10: wrong values: ' || v.stages)
FROM (VALUES ('[{"name": " "}]', '23514 stage'), ('[{"name": null}]', '2'),
             ('[{"name": "x", "probability": 101}]', '23514 stage'), ('[{"name": "x", "probability": "much"}]', '22'),
             ('[{"name": "x", "rots_after": "soon"}]', '22'), ('[{"name": "x", "labels": []}]', '23514 stage'),
             ('[{"name": "x", "required_fields": ["amuont"]}]', '22023 stage'),
             ('[{"name": "x", "required_fields": "amount"}]', '22'),
             ('[{"name": "x", "required_fields": [null]}]', '22023'),
             ('[{"name": "x", "key": "k"}, {"name": "y", "key": "k"}]', '23505 stage'),
             ('[{"name": "x", "next": "x"}]', '22'), ('[{"name": "x", "next": [null]}]', '22')) AS v (stages, state);
SELECT is(t.try(format('SELECT crm_deals.create_pipeline(''Bad'', gates => %L)', v.gates)), '22023',
          'section 10: no gates: ' || v.gates)
FROM (VALUES ('[]'), ('5'), ('null'), ('{"forbid_skipping": "yes"}'), ('{"forbid_skipping": null}'),
             ('{"forbid_everything": true}')) AS v (gates);
SELECT is(t.try(v.statement), v.result, 'section 10: ' || v.statement)
FROM (VALUES ('SELECT crm_deals.create_pipeline(NULL)', '23502 pipeline.name'),
             ('SELECT crm_deals.create_pipeline('' '')', '23514 pipeline.name pipeline_name'),
             ('SELECT crm_deals.create_pipeline(''Sales'')', '23505 pipeline pipeline_organization_name'),
             ('SELECT crm_deals.create_pipeline(''x'', currency => ''XYZ'')',
              '23514 pipeline.currency pipeline_currency')) AS v (statement, result);
SELECT is((SELECT count(*) FROM crm_deals.pipeline), :pipelines::bigint,
          'section 10: every failure left nothing behind');
SELECT is(t.dry($$SELECT crm_deals.create_pipeline('Sales', organization => 'acme')$$), 'done',
          'section 3: a name is unique per organization');

SELECT * FROM finish();
