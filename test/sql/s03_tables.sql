\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 3: every table, its columns, defaults and constraints.
-- Every column of the contract must be there. Other columns are the product's own business, but for the listed ones.
SELECT is((SELECT string_agg(w.name, ' ') FROM unnest(string_to_array(v.columns, ' ')) AS w (name)
           WHERE NOT EXISTS (SELECT FROM pg_attribute AS a
                             WHERE a.attrelid = ('crm_deals.' || v.relation)::regclass AND a.attname = w.name
                               AND NOT a.attisdropped)),
          NULL,
          'section 3: ' || v.relation || ' has the columns of the contract')
FROM (VALUES ('pipeline',
              'id organization name labels description is_active is_default currency forbid_skipping forbid_backward '
              'forbid_unlisted lost_reason_required duplicate_policy duplicate_threshold duplicate_scope'),
             ('stage',
              'id pipeline_id key name labels description position status probability required_fields rots_after '
              'archived_at'),
             ('stage_transition', 'id from_stage_id to_stage_id'),
             ('lost_reason', 'id pipeline_id name labels is_active'),
             ('deal',
              'id organization name account_id primary_contact_id pipeline_id stage_id status amount currency '
              'probability probability_overridden expected_close_date closed_at lost_reason owner source notes '
              'custom_fields external_id version stage_entered_at created_at updated_at'),
             ('deal_alias', 'old_id old_external_id deal_id'), ('deal_contact', 'deal_id contact_id role'),
             ('activity',
              'id kind subject body occurred_at due_at done_at actor deal_id account_id contact_id lead_id'),
             ('deal_event',
              'id batch_id deal_id version kind occurred_at actor session_user_name origin pipeline_id from_stage_id '
              'to_stage_id from_status status amount currency probability expected_close_date owner lost_reason '
              'changes bypassed merged_into note'),
             ('deal_duplicate', 'deal_id other_deal_id similarity found_at resolution resolved_by resolved_at'),
             ('account', 'id name organization external_id owner custom_fields'),
             ('contact', 'id account_id first_name last_name email phone organization external_id owner custom_fields'),
             ('lead',
              'id organization company_name first_name last_name email phone status source owner custom_fields '
              'external_id converted_at account_id contact_id deal_id'),
             ('custom_field', 'id organization entity key label labels type options required'),
             ('exchange_rate', 'currency base rate valid_from'),
             ('deal_overview',
              'id name pipeline stage_key stage_name stage_label account_label contact_label owner_label '
              'weighted_amount days_in_stage open_duplicates')) AS v (relation, columns);
SELECT is((SELECT string_agg(format('%s.%s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod)),
                             ', ' ORDER BY c.relname, a.attname)
           FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
           WHERE c.relnamespace = 'crm_deals'::regnamespace AND c.relkind = 'r'
             AND (a.attname ~ '(^id|_id)$' AND a.attname !~ 'external_id$' AND format_type(a.atttypid, NULL) <> 'bigint'
                  OR a.attname ~ '_(at|since)$' AND format_type(a.atttypid, NULL) <> 'timestamp with time zone'
                  OR a.attname ~ '^(amount|rate)$|^probability$' AND format_type(a.atttypid, a.atttypmod) <> 'numeric'
                  OR a.attname IN ('labels', 'custom_fields', 'changes', 'options')
                  AND format_type(a.atttypid, NULL) <> 'jsonb'
                  OR a.attname ~ '_date$|^valid_from$' AND format_type(a.atttypid, NULL) <> 'date'
                  OR format_type(a.atttypid, NULL) IN ('character varying', 'timestamp without time zone', 'json',
                                                       'real', 'double precision')
                  AND a.attname NOT IN ('duplicate_threshold', 'similarity'))),
          NULL,
          'section 3: bigint keys, timestamptz for moments, date for days, numeric for money and percent, '
          'jsonb for free fields');

-- Defaults
INSERT INTO crm_deals.pipeline (name) VALUES ('Plain') RETURNING id AS plain \gset
SELECT is((SELECT to_jsonb(p) - 'id' - 'lost_reason_required_since' FROM crm_deals.pipeline AS p WHERE id = :plain),
          '{"name": "Plain", "labels": {}, "currency": null, "is_active": true, "is_default": false, '
          '"description": null, "organization": null, "forbid_backward": false, "forbid_skipping": false, '
          '"forbid_unlisted": false, "duplicate_scope": "all", "duplicate_policy": "flag", '
          '"duplicate_threshold": 0.85, "lost_reason_required": true}',
          'section 3: defaults of pipeline');
INSERT INTO crm_deals.stage (pipeline_id, name) VALUES (:plain, 'Über Stage!');
INSERT INTO crm_deals.stage (pipeline_id, key, name, status)
VALUES (:plain, 'w', 'Won', 'won'), (:plain, 'l', 'Lost', 'lost'), (:plain, 's', 'Silent', 'abandoned');
SELECT is((SELECT to_jsonb(s) - 'id' - 'pipeline_id' - 'key' FROM crm_deals.stage AS s WHERE name = 'Über Stage!'),
          '{"name": "Über Stage!", "labels": {}, "status": "open", "position": 1, "rots_after": null, '
          '"archived_at": null, "description": null, "probability": 0, "required_fields": []}',
          'section 3: defaults of stage');
SELECT is((SELECT string_agg(key || ' ' || probability, ', ' ORDER BY position) FROM crm_deals.stage
           WHERE pipeline_id = :plain AND status <> 'open'),
          'w 100, l 0, s 0', 'section 3: probability of a stage: 100 for won, else 0');
INSERT INTO crm_deals.deal (name) VALUES ('d');
SELECT is((SELECT to_jsonb(d) - 'id' - 'pipeline_id' - 'stage_id' - 'created_at' - 'updated_at' - 'stage_entered_at'
           FROM crm_deals.deal AS d),
          '{"name": "d", "notes": null, "owner": null, "amount": null, "source": null, "status": "open", "version": 1, '
          '"currency": "EUR", "closed_at": null, "account_id": null, "lost_reason": null, "external_id": null, '
          '"probability": 10, "organization": null, "custom_fields": {}, "last_open_stage_id": null, '
          '"primary_contact_id": null, "expected_close_date": null, "probability_overridden": false}',
          'section 3: only name is required to create a deal');
SELECT is((SELECT (created_at = updated_at AND updated_at = stage_entered_at) FROM crm_deals.deal), true,
          'section 3: its stamps are one moment');
-- Currency
SELECT is(t.after(format('UPDATE crm_deals.pipeline SET currency = ''CHF'' WHERE id = %s; '
                         'INSERT INTO crm_deals.deal (name) VALUES (''c'')',
                         :sales),
                  'SELECT currency FROM crm_deals.deal WHERE name = ''c'''),
          'CHF', 'section 3: the currency defaults to the pipeline''s');
SELECT is(t.after('SET LOCAL crm_deals.default_currency = ''JPY''; INSERT INTO crm_deals.deal (name) VALUES (''c'')',
                  'SELECT currency FROM crm_deals.deal WHERE name = ''c'''),
          'JPY', 'section 3: that to crm_deals.default_currency');
SELECT is(t.dry('SET LOCAL crm_deals.default_currency = ''XYZ'''), '22023', 'section 3: which is a currency');
SELECT alike(t.dry(format('INSERT INTO crm_deals.deal (name, currency) VALUES (''c'', %L)', v.code)),
             '23514 deal% deal_currency', 'section 3: not an ISO 4217 code: "' || v.code || '"')
FROM (VALUES ('eur'), ('EURO'), (''), ('XYZ'), ('E R'), ('€'), ('ÄÖÜ')) AS v (code);
SELECT is(t.dry('UPDATE crm_deals.deal SET currency = ''XYZ'''), '23514 deal.currency deal_currency',
          'section 3: on UPDATE neither');
SELECT is(t.dry('UPDATE crm_deals.deal SET currency = NULL'), 'done',
          'section 3: a deal has a currency: NULL says nothing');
SELECT is(t.dry(format('INSERT INTO crm_deals.deal (name, currency) VALUES (''c'', %L)', v.code)), 'done',
          'section 3: an ISO 4217 code: ' || v.code)
FROM (VALUES ('USD'), ('JPY'), ('XCG'), ('ZWG')) AS v (code);

-- What is refused
SELECT is(t.dry(v.statement), v.result, 'section 3: ' || v.statement)
FROM (VALUES ('INSERT INTO crm_deals.deal (amount) VALUES (1)', '23502 deal.name'),
             ('INSERT INTO crm_deals.deal (name) VALUES ('''')', '23514 deal.name deal_name'),
             ('INSERT INTO crm_deals.deal (name) VALUES (E'' \t\r\n'')', '23514 deal.name deal_name'),
             ('UPDATE crm_deals.deal SET name = '' ''', '23514 deal.name deal_name'),
             ('UPDATE crm_deals.deal SET amount = -0.01', '23514 deal deal_amount'),
             ('UPDATE crm_deals.deal SET amount = ''NaN''', '23514 deal deal_amount'),
             ('UPDATE crm_deals.deal SET amount = ''Infinity''', '23514 deal deal_amount'),
             ('UPDATE crm_deals.deal SET amount = ''-Infinity''', '23514 deal deal_amount'),
             ('UPDATE crm_deals.deal SET amount = 0', 'done'),
             ('UPDATE crm_deals.deal SET expected_close_date = ''infinity''', '23514 deal deal_expected_close_date'),
             ('UPDATE crm_deals.deal SET custom_fields = ''[]''', '23514 deal deal_custom_fields'),
             ('UPDATE crm_deals.deal SET custom_fields = ''null''', '23514 deal deal_custom_fields'),
             ('UPDATE crm_deals.deal SET custom_fields = NULL', 'done'),
             ('UPDATE crm_deals.deal SET account_id = 4711', '23503 deal deal_account_id_fkey'),
             ('UPDATE crm_deals.deal SET primary_contact_id = 4711', '23503 deal deal_primary_contact_id_fkey'),
             ('INSERT INTO crm_deals.pipeline (name) VALUES ('' '')', '23514 pipeline.name pipeline_name'),
             ('INSERT INTO crm_deals.pipeline (name) VALUES (''Sales'')', '23505 pipeline pipeline_organization_name'),
             ('INSERT INTO crm_deals.pipeline (name, organization) VALUES (''Sales'', ''acme'')', 'done'),
             ('INSERT INTO crm_deals.pipeline (name, duplicate_policy) VALUES (''x'', ''maybe'')',
              '23514 pipeline pipeline_duplicate_policy'),
             ('INSERT INTO crm_deals.pipeline (name, duplicate_scope) VALUES (''x'', ''maybe'')',
              '23514 pipeline pipeline_duplicate_scope'),
             ('INSERT INTO crm_deals.pipeline (name, duplicate_threshold) VALUES (''x'', 1.5)',
              '23514 pipeline pipeline_duplicate_threshold'),
             ('INSERT INTO crm_deals.pipeline (name, duplicate_threshold) VALUES (''x'', ''NaN'')',
              '23514 pipeline pipeline_duplicate_threshold'),
             ('INSERT INTO crm_deals.pipeline (name, currency) VALUES (''x'', ''XYZ'')',
              '23514 pipeline.currency pipeline_currency'),
             ('INSERT INTO crm_deals.pipeline (name, labels) VALUES (''x'', ''[]'')', '23514 pipeline pipeline_labels'),
             ('INSERT INTO crm_deals.stage (pipeline_id, name) VALUES (4711, ''x'')',
              '23503 stage stage_pipeline_id_fkey'),
             ('INSERT INTO crm_deals.stage (pipeline_id, name) VALUES (1, '' '')', '23514 stage.name stage_name'),
             ('INSERT INTO crm_deals.stage (pipeline_id, key, name) VALUES (1, ''lead'', ''x'')',
              '23505 stage stage_pipeline_key'),
             ('INSERT INTO crm_deals.stage (pipeline_id, name, probability) VALUES (1, ''x'', 101)',
              '23514 stage stage_probability'),
             ('INSERT INTO crm_deals.stage (pipeline_id, name, probability) VALUES (1, ''x'', ''NaN'')',
              '23514 stage stage_probability'),
             ('INSERT INTO crm_deals.stage (pipeline_id, name, status) VALUES (1, ''x'', ''maybe'')', '22P02'),
             ('INSERT INTO crm_deals.activity (kind, subject) VALUES (''fax'', ''x'')', '23514 activity activity_kind'),
             ('INSERT INTO crm_deals.activity (kind, subject, deal_id) VALUES (''call'', ''x'', 4711)',
              '23503 activity activity_deal_id_fkey'),
             ('INSERT INTO crm_deals.lead (status) VALUES (''maybe'')', '23514 lead lead_status'),
             ('INSERT INTO crm_deals.account (name) VALUES ('' '')', '23514 account account_name'),
             ('INSERT INTO crm_deals.exchange_rate VALUES (''USD'', ''EUR'', 0)',
              '23514 exchange_rate exchange_rate_rate'),
             ('INSERT INTO crm_deals.exchange_rate VALUES (''USD'', ''EUR'', ''NaN'')',
              '23514 exchange_rate exchange_rate_rate'),
             ('INSERT INTO crm_deals.exchange_rate VALUES (''XYZ'', ''EUR'', 1)',
              '23514 exchange_rate.currency exchange_rate_currency'),
             ('INSERT INTO crm_deals.exchange_rate VALUES (''USD'', ''XYZ'', 1)',
              '23514 exchange_rate.base exchange_rate_base'),
             ('INSERT INTO crm_deals.exchange_rate VALUES (''USD'', ''EUR'', 1, ''2026-01-01''), '
              '(''USD'', ''EUR'', 2, ''2026-01-01'')',
              '23505 exchange_rate exchange_rate_pkey'),
             ('INSERT INTO crm_deals.exchange_rate VALUES (''USD'', ''EUR'', 1, ''2026-01-01''), '
              '(''USD'', ''EUR'', 2, ''2026-02-01'')',
              'done')) AS v (statement, result);
SELECT is(t.dry(format('INSERT INTO crm_deals.activity (kind, subject) VALUES (%L, ''x'')', v.kind)), 'done',
          'section 3: activity.kind: ' || v.kind)
FROM (VALUES ('meeting'), ('email'), ('note'), ('call'), ('task'), ('event')) AS v (kind);
SELECT is(t.dry(format('INSERT INTO crm_deals.lead (status, converted_at) VALUES (%L, %L)', v.status,
                       CASE v.status WHEN 'converted' THEN now() END)),
          'done', 'section 3: lead.status: ' || v.status)
FROM (VALUES ('new'), ('working'), ('qualified'), ('disqualified'), ('converted')) AS v (status);
SELECT is((SELECT status FROM crm_deals.lead WHERE false) IS NULL
          AND (SELECT pg_get_expr(adbin, adrelid) = '''new''::text'
               FROM pg_attrdef JOIN pg_attribute AS a ON a.attrelid = adrelid AND a.attnum = adnum
               WHERE adrelid = 'crm_deals.lead'::regclass AND attname = 'status'),
          true, 'section 3: a lead begins as new');
SELECT is(t.dry(format('INSERT INTO crm_deals.%I (%s, external_id, organization) '
                       'VALUES (''x'', ''e'', %L), (''y'', ''e'', %L)',
                       v.relation, v.name, v.organization, v.organization)),
          '23505 ' || v.relation || ' ' || v.relation || '_external_id',
          'section 3: external_id is unique per organization: ' || v.relation || coalesce(' of ' || v.organization, ''))
FROM (VALUES ('account', 'name', NULL), ('account', 'name', 'acme'), ('contact', 'email', NULL),
             ('lead', 'email', NULL)) AS v (relation, name, organization);
-- stage.position is unique and deferrable; is_default is one per organization.
SELECT is(t.dry(format('UPDATE crm_deals.stage SET position = 7 - position WHERE pipeline_id = %s', :sales)), 'done',
          'section 3: positions may be swapped in one statement');
SELECT is(t.dry(format('UPDATE crm_deals.stage SET position = 1 WHERE pipeline_id = %s', :sales)),
          '23505 stage stage_pipeline_position', 'section 3: position is unique per pipeline');
SELECT is((SELECT condeferrable FROM pg_constraint WHERE conname = 'stage_pipeline_position'), true,
          'section 3: deferrable');
UPDATE crm_deals.pipeline SET is_default = true WHERE id = :plain;
SELECT is((SELECT string_agg(name, ' ') FROM crm_deals.pipeline WHERE is_default), 'Plain',
          'section 3: setting a default pipeline clears the other');
SELECT is(t.after('INSERT INTO crm_deals.pipeline (name, organization, is_default) '
                  'VALUES (''A'', ''acme'', true), (''B'', ''acme'', true)',
                  'SELECT string_agg(name, '' '' ORDER BY name) FROM crm_deals.pipeline WHERE is_default'),
          'B Plain', 'section 3: one per organization');
SELECT is(t.after('UPDATE crm_deals.pipeline SET is_default = false',
                  'SELECT t.dry(''INSERT INTO crm_deals.deal (name) VALUES (''''x'''')'')'),
          'P0002', 'section 3: without a default pipeline a deal must name one');
SELECT is(t.dry(format('UPDATE crm_deals.pipeline SET organization = ''acme'' WHERE id = %s', :sales)),
          '23514 pipeline.organization pipeline_immutable', 'section 3: a pipeline''s organization does not change');
-- is_active
UPDATE crm_deals.pipeline SET is_active = false WHERE id = :sales;
SELECT is(t.dry(format('INSERT INTO crm_deals.deal (name, pipeline_id) VALUES (''x'', %s)', :sales)),
          '23514 deal.pipeline_id deal_pipeline_active', 'section 3: no deal enters an inactive pipeline');
SELECT is(t.after($$UPDATE crm_deals.deal SET stage_id = t.stage('won') WHERE name = 'd'$$, 'SELECT t.state(''d'')'),
          'won won 100 closed v2', 'section 3: those inside go on');
INSERT INTO crm_deals.deal (name, stage_id) SELECT 'outside', id FROM crm_deals.stage WHERE name = 'Über Stage!';
SELECT is(t.dry($$UPDATE crm_deals.deal SET stage_id = t.stage('lead') WHERE name = 'outside'$$),
          '23514 deal.pipeline_id deal_pipeline_active', 'section 3: nor by changing pipeline');
UPDATE crm_deals.pipeline SET is_active = true WHERE id = :sales;
-- Deletes: a deal takes its contacts, activities, duplicates and aliases along.
INSERT INTO crm_deals.contact (first_name) VALUES ('Ada') RETURNING id AS ada \gset
INSERT INTO crm_deals.deal_contact VALUES (t.deal('d'), :ada, 'buyer');
INSERT INTO crm_deals.activity (kind, subject, deal_id) VALUES ('call', 'x', t.deal('d'));
INSERT INTO crm_deals.deal_duplicate (deal_id, other_deal_id, similarity) VALUES (t.deal('outside'), t.deal('d'), 0.9);
SELECT is(t.dry($$INSERT INTO crm_deals.deal_duplicate (deal_id, other_deal_id, similarity)
                  VALUES (t.deal('d'), t.deal('outside'), 0.9)$$),
          '23505 deal_duplicate deal_duplicate_pair', 'section 3: an unordered pair is flagged once');
SELECT is((SELECT string_agg(name || ' ' || open_duplicates, ', ' ORDER BY name) FROM crm_deals.deal_overview),
          'd 1, outside 1', 'section 3: deal_overview counts open duplicates');
DELETE FROM crm_deals.deal WHERE name = 'd';
SELECT is((SELECT (SELECT count(*) FROM crm_deals.deal_contact) + (SELECT count(*) FROM crm_deals.activity)
                  + (SELECT count(*) FROM crm_deals.deal_duplicate)),
          0::bigint, 'section 2: deleting a deal takes its contacts, activities and duplicates along');
-- deal_overview
UPDATE crm_deals.deal SET amount = 200, probability = 25 WHERE name = 'outside';
UPDATE crm_deals.stage SET labels = '{"de": "Stufe", "fr": "Étape"}' WHERE name = 'Über Stage!';
CREATE FUNCTION t.label(language text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('crm_deals.language', language, true);
    RETURN (SELECT stage_label FROM crm_deals.deal_overview WHERE name = 'outside');
END
$$;
SELECT is((SELECT concat_ws(' ', pipeline, stage_name, weighted_amount::integer, days_in_stage)
           FROM crm_deals.deal_overview WHERE name = 'outside'),
          'Plain Über Stage! 50 0', 'section 3: deal_overview');
SELECT is(t.label(v.language), v.label, 'section 3: label in ' || v.language)
FROM (VALUES ('de', 'Stufe'), ('de-AT', 'Stufe'), ('fr', 'Étape'), ('it', 'Über Stage!'),
             ('', 'Über Stage!')) AS v (language, label);
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');

SELECT * FROM finish();
