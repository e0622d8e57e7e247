\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 3: what create_pipeline() and add_stage() read out of a stage's key or name, and say in a NOTICE.
SELECT is(crm_deals_internal.status_of_word(v.word), v.status, format('section 3: "%s" means %s', v.word, v.status))
FROM (VALUES ('won', 'won'), ('Gewonnen', 'won'), ('Closed Won', 'won'), ('CLOSED_WON', 'won'), ('closed-won', 'won'),
             (U&'closed\00A0won', 'won'), ('Lost', 'lost'), ('verloren', 'lost'), (' Closed - Lost ', 'lost'),
             ('Abandoned', 'abandoned'), ('verworfen', 'abandoned'), ('won back', NULL), ('wonderful', NULL),
             ('open', NULL), ('', NULL), (NULL, NULL)) AS v (word, status);

SET client_min_messages = notice;
SELECT crm_deals.create_pipeline('Words', $$[{"name": "Start", "probability": 0.5}, {"name": "Closed Won"},
                                             {"name": "Nein", "key": "closed_lost"}, {"name": "Won", "status": "open"},
                                             {"name": "Verworfen", "status": null}, {"name": "Late", "probability": 1}
                                            ]$$) AS words \gset
SELECT crm_deals.add_stage(:words, 'Gewonnen', key => 'yes') AS none \gset
SELECT crm_deals.add_stage(:words, 'Half', probability => 0.25) AS none \gset
SELECT crm_deals.add_stage(:words, 'lost', status => 'open') AS none \gset
SET client_min_messages = warning;
SELECT is((SELECT string_agg(concat_ws(' ', name, status, probability), ', ' ORDER BY position) FROM crm_deals.stage
           WHERE pipeline_id = :words),
          'Start open 0.5, Closed Won won 100, Nein lost 0, Won open 0, Verworfen abandoned 0, Late open 1, '
          'Gewonnen won 100, Half open 0.25, lost open 0',
          'section 3: a status that is given counts, else the word; the probability stays as written');
INSERT INTO crm_deals.stage (pipeline_id, key, name) VALUES (:words, 'verloren', 'Verloren');
SELECT is((SELECT status::text FROM crm_deals.stage WHERE key = 'verloren'), 'open', 'section 3: not by INSERT');
SELECT * FROM finish();
