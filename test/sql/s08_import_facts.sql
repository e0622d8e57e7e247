\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 8: import_deals() invents no fact: how a deal ended, when, and why.
CREATE FUNCTION t.moment(at timestamptz) RETURNS text LANGUAGE sql AS $$
    SELECT to_char(at AT TIME ZONE 'UTC', CASE WHEN at AT TIME ZONE 'UTC' = (at AT TIME ZONE 'UTC')::date
                                               THEN 'YYYY-MM-DD' ELSE 'YYYY-MM-DD HH24:MI' END)
$$;
\i :include/import.sql
SET TimeZone = 'America/New_York';
SELECT crm_deals.create_pipeline('Listed', '[{"name": "New"}, {"name": "Won", "status": "won"},
                                             {"name": "Lost", "status": "lost"}]') AS listed \gset
INSERT INTO crm_deals.lost_reason (pipeline_id, name) VALUES (:listed, 'Price'), (:listed, 'Time');
UPDATE crm_deals.pipeline SET duplicate_policy = 'off';

-- No closing time: the row is rejected, and says the way out.
SELECT is(t.import('[{"external_id": "a", "name": "A", "stage": "won", "created_at": "2024-01-05"}]'),
          'a rejected: A deal that is won needs a closing time, which is not made up: give closed_at, or a history.',
          'section 8: a deal that is won needs a closing time');
SELECT is(t.import('[{"external_id": "a", "name": "A", "status": "lost", "lost_reason": "price",
                      "created_at": "2024-01-05", "expected_close_date": "2024-02-10"}]'),
          'a rejected: A deal that is lost needs a closing time, which is not made up: give closed_at, or pass '
          'closed_at_from => ''expected_close_date''.',
          'section 8: the detail names closed_at_from if there is such a column');
SELECT is((SELECT count(*) FROM crm_deals.deal), 0::bigint, 'section 8: and nothing is there');
SELECT is(t.import('[{"external_id": "a", "name": "A", "stage": "won", "created_at": "2024-01-05",
                      "expected_close_date": "2024-02-10"}]',
                   $$, closed_at_from => 'expected_close_date', formats => '{"time_zone": "UTC"}'$$),
          'a created', 'section 8: closed_at_from is used');
SELECT is(t.imported('a'), 'won won made 2024-01-05 closed 2024-02-10 12:00 in it since 2024-02-10 12:00',
          'section 8: a mere day stands for 12:00 of that day in formats.time_zone; stage_entered_at is it');

-- A deal that is closed already keeps its own closing time.
SELECT is(t.import('[{"external_id": "a", "name": "A", "stage": "won", "amount": 5,
                      "expected_close_date": "2024-03-03"}]',
                   $$, closed_at_from => 'expected_close_date', formats => '{"time_zone": "UTC"}'$$),
          'a updated', 'section 8: a second import changes the amount');
SELECT is(t.imported('a'), 'won won 5 made 2024-01-05 closed 2024-02-10 12:00 in it since 2024-02-10 12:00',
          'section 8: and a closed deal keeps its closing time');
SELECT is(t.import('[{"external_id": "a", "name": "A", "stage": "won"}]'), 'a unchanged',
          'section 8: which need not be given again');

-- A mere day, on the day on which the deal was made
SELECT is(t.import('[{"external_id": "b", "name": "B", "stage": "won", "created_at": "2024-05-05 17:30:00+00",
                      "closed_at": "2024-05-05"},
                     {"external_id": "c", "name": "C", "stage": "won", "created_at": "2024-05-05 09:30:00+00",
                      "closed_at": "2024-05-05"}]', $$, formats => '{"time_zone": "UTC"}'$$),
          'b created; c created', 'section 8: made and closed on one day');
SELECT is(t.imported(v.id), v.wanted, 'section 8: ' || v.what)
FROM (VALUES ('b', 'won won made 2024-05-05 17:30 closed 2024-05-05 17:30 in it since 2024-05-05 17:30',
              'a mere day stands for created_at if that is later on the same day'),
             ('c', 'won won made 2024-05-05 09:30 closed 2024-05-05 12:00 in it since 2024-05-05 12:00',
              'else for 12:00')) AS v (id, wanted, what);
SELECT is(t.import('[{"external_id": "d", "name": "D", "stage": "won", "created_at": "2024-05-01",
                      "closed_at": "2024-05-05"}]', $$, formats => '{"time_zone": "Asia/Tokyo"}'$$) || ': '
          || t.imported('d'),
          'd created: won won made 2024-04-30 15:00 closed 2024-05-05 03:00 in it since 2024-05-05 03:00',
          'section 8: 12:00 in Tokyo');

-- The argument lost_reason
SELECT is(t.import(format('[{"external_id": "e", "name": "E", "pipeline": "Listed", "stage": "Lost",
                             "closed_at": "2024-05-05", "created_at": "2024-05-01", "lost_reason": %s}]', v.reason),
                   v.arguments), v.wanted, 'section 8: ' || v.what)
FROM (VALUES (1, 'null', $$, lost_reason => 'Time'$$, 'e created', 'it stands for rows without a reason'),
             (2, '"Price"', $$, lost_reason => 'Time'$$, 'e updated', 'and replaces none'))
     AS v (n, reason, arguments, wanted, what)
ORDER BY v.n;
SELECT matches(t.import('[{"external_id": "f", "name": "F", "pipeline": "Listed", "stage": "Lost",
                           "created_at": "2024-05-01", "closed_at": "2024-05-05"}]', $$, lost_reason => 'Weather'$$),
               '^f rejected: .*Weather', 'section 8: the argument lost_reason must be in the catalogue');
SELECT is((SELECT lost_reason FROM crm_deals.deal WHERE external_id = 'e'), 'Price',
          'section 8: the reason of the row is the deal''s');
SELECT is(t.import('[{"external_id": "e", "name": "E", "pipeline": "Listed", "stage": "Lost"}]',
                   $$, lost_reason => 'Time'$$), 'e unchanged', 'section 8: nor does it replace the deal''s own');

-- Status words
SELECT is(t.import('[{"external_id": "g", "name": "G", "status": "Gewonnen", "created_at": "2024-05-01",
                      "closed_at": "2024-05-09"},
                     {"external_id": "h", "name": "H", "status": "LOST", "stage": "proposal", "lost_reason": "x",
                      "created_at": "2024-05-01", "closed_at": "2024-05-09"},
                     {"external_id": "i", "name": "I", "status": "open", "stage": "Won", "created_at": "2024-05-01"},
                     {"external_id": "j", "name": "J", "status": "open", "created_at": "2024-05-01"},
                     {"external_id": "k", "name": "K", "status": "perhaps", "created_at": "2024-05-01"}]') ~
          '^g created; h created; i rejected: .*open.*; j created; k rejected: .*perhaps.*$', true,
          'section 8: a status in any language and case');
SELECT is(t.imported(v.id), v.wanted, 'section 8: ' || v.what)
FROM (VALUES ('g', 'won won made 2024-05-01 04:00 closed 2024-05-09 16:00 in it since 2024-05-09 16:00',
              'alone it chooses the first stage of it; 12:00 of the session''s zone'),
             ('h', 'lost lost x made 2024-05-01 04:00 closed 2024-05-09 16:00 in it since 2024-05-09 16:00',
              'a closed one beside an open stage puts the deal into the first stage of that status'),
             ('j', 'lead open made 2024-05-01 04:00 in it since 2024-05-01 04:00', 'open chooses the first stage'))
     AS v (id, wanted, what);
SELECT is((SELECT s.key FROM crm_deals.deal AS d JOIN crm_deals.stage AS s ON s.id = d.last_open_stage_id
           WHERE d.external_id = 'h'), 'proposal', 'section 8: with the open stage as its last open one');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'section 8: no rule is broken');

SELECT * FROM finish();
