\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 8: examples/import: CSV files, temporary tables, one call.
SET TimeZone = 'UTC';
SET DateStyle = ISO;
INSERT INTO crm_deals.custom_field (entity, key, type) VALUES ('deal', 'seats', 'number');
\pset tuples_only off
\pset format aligned
\cd :here
\cd ../examples/import
\i import.sql
\pset tuples_only on
\pset format unaligned
SELECT is((SELECT string_agg(concat_ws(' ', external_id, custom_fields, created_at, closed_at),
                             ', ' ORDER BY external_id)
           FROM crm_deals.deal),
          'crm-1 {"seats": 40} 2024-01-08 00:00:00+00 2024-02-28 16:45:00+00, crm-2 {} 2024-02-01 00:00:00+00, '
          'crm-3 {"seats": 12} 2024-01-15 00:00:00+00 2024-03-01 12:00:00+00',
          'import: the deals of the example');
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

SELECT * FROM finish();
