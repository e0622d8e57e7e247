\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 7: labels per language; German and English shipped.
SELECT is((SELECT string_agg(format('%s %s %s', s.key, crm_deals_internal.label(s.labels, s.name, 'en'),
                                    crm_deals_internal.label(s.labels, s.name, 'de')),
                             ', ' ORDER BY s.position)
           FROM crm_deals.stage AS s),
          'lead Lead Lead, qualified Qualified Qualifiziert, proposal Proposal Angebot, '
          'negotiation Negotiation Verhandlung, won Won Gewonnen, lost Lost Verloren',
          'section 3: the default stages in English and German');
SELECT is(crm_deals_internal.label(v.labels, 'Name', v.language), v.label,
          format('section 7: %s in %s', v.labels, coalesce(v.language, 'none')))
FROM (VALUES ('{"de": "Deutsch", "de-AT": "Österreichisch"}'::jsonb, 'de-AT', 'Österreichisch'),
             ('{"de": "Deutsch", "de-AT": "Österreichisch"}', 'de-CH', 'Deutsch'),
             ('{"de": "Deutsch", "de-AT": "Österreichisch"}', 'de', 'Deutsch'),
             ('{"de-AT": "Österreichisch"}', 'de', 'Name'), ('{"de-AT": "Österreichisch"}', 'de-CH', 'Name'),
             ('{"de": "Deutsch"}', 'fr', 'Name'), ('{"de": "Deutsch"}', 'fr-CA', 'Name'),
             ('{"de": "Deutsch"}', '', 'Name'), ('{"de": "Deutsch"}', NULL, 'Name'), ('{}', 'de', 'Name'),
             (NULL, 'de', 'Name'), ('{"de": null}', 'de', 'Name'), ('{"de": null}', 'de-AT', 'Name'),
             ('{"de": "Deutsch"}', 'german', 'Name'), ('{"de": "Deutsch"}', 'x; DROP TABLE', 'Name'))
         AS v (labels, language, label);
-- The setting
SELECT t.new_deal('d', 'negotiation') AS none \gset
SELECT is(t.after(format('SET LOCAL crm_deals.language = %L', v.language),
                  'SELECT stage_name || '' '' || stage_label FROM crm_deals.deal_overview'),
          v.label, format('section 7: the list view, crm_deals.language = %L', v.language))
FROM (VALUES ('', 'Negotiation Negotiation'), ('en', 'Negotiation Negotiation'), ('de', 'Negotiation Verhandlung'),
             ('de-AT', 'Negotiation Verhandlung'), ('fr', 'Negotiation Negotiation')) AS v (language, label);
UPDATE crm_deals.stage SET labels = labels || '{"de-AT": "Verhandeln", "en": "Talks"}' WHERE key = 'negotiation';
SELECT is(t.after(format('SET LOCAL crm_deals.language = %L', v.language),
                  'SELECT stage_label FROM crm_deals.deal_overview'),
          v.label, format('section 7: labels that were edited, %L', v.language))
FROM (VALUES ('', 'Negotiation'), ('en', 'Talks'), ('en-GB', 'Talks'), ('de', 'Verhandlung'),
             ('de-AT', 'Verhandeln')) AS v (language, label);
SELECT is(crm_deals_internal.label('{"de": "Deutsch"}', 'Name', 'de') || ' '
          || t.after('SET LOCAL crm_deals.language = ''de''',
                     'SELECT crm_deals_internal.label(''{"de": "Deutsch", "en": "English"}'', ''Name'', ''en'')'),
          'Deutsch English', 'section 7: a language that is asked for goes before the setting');
-- Moves go by key and name, whatever the language
SET crm_deals.language = 'de';
SELECT is((SELECT stage_key FROM crm_deals.move_deal(t.deal('d'), 'won')), 'won',
          'section 7: a key is the same in every language');
SELECT is((SELECT stage_key FROM crm_deals.move_deal(t.deal('d'), 'Proposal')), 'proposal', 'section 7: so is a name');
SELECT is((SELECT stage_key FROM crm_deals.move_deal(t.deal('d'), 'Angebot')), 'proposal', 'section 7: and a label');
SELECT is((SELECT stage_label FROM crm_deals.deal_overview), 'Angebot', 'section 7: and is read');
RESET crm_deals.language;
-- Pipelines of one's own carry labels, too
SELECT crm_deals.create_pipeline(
    'Eigene',
    '[{"name": "Start", "labels": {"de": "Anfang", "fr": "Début"}}, {"name": "End", "status": "won"}]') AS own \gset
SELECT is((SELECT string_agg(crm_deals_internal.label(labels, name, 'fr'), ' ' ORDER BY position) FROM crm_deals.stage
           WHERE pipeline_id = :own),
          'Début End', 'section 3: labels of create_pipeline');
SELECT crm_deals.add_stage(:own, 'Middle', labels => '{"de": "Mitte"}') AS none \gset
SELECT is((SELECT crm_deals_internal.label(labels, name, 'de') FROM crm_deals.stage WHERE name = 'Middle'), 'Mitte',
          'section 3: labels of add_stage');
SELECT is(t.dry(format('UPDATE crm_deals.%I SET labels = ''[]''', v.relation)),
          format('23514 %1$s %1$s_labels', v.relation), 'section 3: labels are an object: ' || v.relation)
FROM (VALUES ('stage'), ('pipeline')) AS v (relation);
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');

SELECT * FROM finish();
