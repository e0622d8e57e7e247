-- If we name no stages, a pipeline gets the six default ones.
SELECT crm_deals.create_pipeline('New Business') AS created \gset

SELECT crm_deals.create_pipeline('Renewals', '[
    {"key": "upcoming",   "name": "Upcoming",   "probability": 60},
    {"key": "contacted",  "name": "Contacted",  "probability": 70},
    {"key": "quote_sent", "name": "Quote sent", "probability": 85, "rots_after": "14 days"},
    {"key": "renewed",    "name": "Renewed",    "status": "won"},
    {"key": "churned",    "name": "Churned",    "status": "lost"}]',
    gates => '{"forbid_backward": true}') AS created \gset

SELECT crm_deals.create_pipeline('Enterprise', '[
    {"key": "discovery",  "name": "Discovery",  "probability": 10},
    {"key": "evaluation", "name": "Evaluation", "probability": 30, "required_fields": ["amount"]},
    {"key": "proposal",   "name": "Proposal",   "probability": 50, "required_fields": ["expected_close_date"]},
    {"key": "contract",   "name": "Contract",   "probability": 80, "required_fields": ["custom_fields.legal_contact"]},
    {"key": "won",        "name": "Won",        "status": "won"},
    {"key": "lost",       "name": "Lost",       "status": "lost"}]',
    gates => '{"forbid_skipping": true}') AS created \gset

-- If a pipeline has a catalogue of reasons, the reason of a lost deal must be in it.
INSERT INTO crm_deals.lost_reason (pipeline_id, name)
SELECT id, unnest(ARRAY['price', 'chose a competitor', 'project cancelled'])
FROM crm_deals.pipeline
WHERE name = 'Enterprise';

SELECT p.name AS pipeline,
       string_agg(CASE WHEN s.status = 'open' THEN s.name || ' ' || s.probability || ' %' ELSE s.name END, ', '
                  ORDER BY s.position) AS stages,
       concat_ws(', ',
                 CASE WHEN p.forbid_skipping THEN 'no skipping' END,
                 CASE WHEN p.forbid_backward THEN 'no way back' END,
                 CASE WHEN bool_or(s.required_fields <> '{}') THEN 'required fields' END) AS gates
FROM crm_deals.pipeline AS p
JOIN crm_deals.stage AS s ON s.pipeline_id = p.id
GROUP BY p.id
ORDER BY p.id;
