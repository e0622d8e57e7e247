\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Rule 6: version rises by one with every change, and a stale one is refused.
SELECT t.new_deals('d', 3, 'lead') AS none \gset
CREATE FUNCTION t.version(wanted text) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT version FROM crm_deals.deal WHERE name = wanted);
END
$$;
SELECT is(t.version('d1'), 1, 'rule 6: version is 1 at creation');
SELECT is(t.after($$INSERT INTO crm_deals.deal (name, version) VALUES ('a', 7)$$, $$SELECT t.version('a')$$), '1',
          'rule 6: whatever the INSERT says');
UPDATE crm_deals.deal SET amount = 1 WHERE name = 'd1';
SELECT is(t.version('d1'), 2, 'rule 6: it rises by one with a change');
UPDATE crm_deals.deal SET amount = amount + 1, stage_id = t.stage('won'), notes = 'any' WHERE name = 'd1';
SELECT is(t.version('d1'), 3, 'rule 6: of many columns, too');
UPDATE crm_deals.deal SET amount = 3, version = version WHERE name = 'd1';
SELECT is(t.version('d1'), 4, 'rule 6: the stored version may be sent');
UPDATE crm_deals.deal SET amount = 4, version = version + 1 WHERE name = 'd1';
SELECT is(t.version('d1'), 5, 'rule 6: that plus one may be sent, as lock columns of ORMs do, and counts once');
SELECT is(t.dry(format('UPDATE crm_deals.deal SET amount = 9, version = %s WHERE name = ''d1''', v.version)),
          'UD001 deal.version deal_version',
          'rule 6: version ' || v.version || ' of a deal at 5 is stale')
FROM (VALUES ('4'), ('7'), ('1'), ('0'), ('-5'), ('2147483647'), ('-2147483648')) AS v (version);
SELECT is(t.dry($$UPDATE crm_deals.deal SET amount = 9, version = NULL WHERE name = 'd1'$$), 'done',
          'rule 6: version NULL says nothing');
SELECT is(t.dry($$UPDATE crm_deals.deal SET version = 9 WHERE name = 'd1'$$),
          'UD001 deal.version deal_version', 'rule 6: alone, too');
SELECT matches(t.error($$UPDATE crm_deals.deal SET amount = 9, version = 3 WHERE name = 'd1'$$, 'detail'), '\m5\M',
               'section 10: UD001 has the current version in DETAIL');
SELECT is(t.dry($$UPDATE crm_deals.deal SET amount = 9, version = 1 WHERE name IN ('d1', 'd2')$$),
          'UD001 deal.version deal_version', 'rule 6: one stale row refuses the statement');
SELECT is(t.version('d2'), 1, 'rule 6: and leaves the others as they were');

-- An UPDATE that changes nothing
CREATE FUNCTION t.updated(statement text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    result bigint;
BEGIN
    EXECUTE statement;
    GET DIAGNOSTICS result = ROW_COUNT;
    RETURN result;
END
$$;
SELECT max(id) AS last_event FROM crm_deals.deal_event \gset
SELECT updated_at AS before FROM crm_deals.deal WHERE name = 'd1' \gset
SELECT is(t.updated($$UPDATE crm_deals.deal
                      SET amount = amount, name = name, stage_id = stage_id, custom_fields = custom_fields
                      WHERE name = 'd1'$$),
          1::bigint,
          'rule 6: an UPDATE that leaves every column as it was counts as an updated row');
SELECT is(t.version('d1'), 5, 'rule 6: but is no change: the version stays');
SELECT is((SELECT updated_at FROM crm_deals.deal WHERE name = 'd1'), :'before', 'rule 6: so does updated_at');
SELECT is((SELECT count(*) FROM crm_deals.deal_event WHERE id > :last_event), 0::bigint,
          'rule 6: and nothing is logged');
SELECT is(t.updated($$UPDATE crm_deals.deal SET amount = CASE name WHEN 'd2' THEN 1 ELSE amount END$$), 3::bigint,
          'rule 6: of three rows updated');
SELECT is((SELECT string_agg(d.name || ' ' || e.version, ', ') FROM crm_deals.deal_event AS e
           JOIN crm_deals.deal AS d ON d.id = e.deal_id WHERE e.id > :last_event),
          'd2 2', 'rule 6: the one that changed has an event');

-- What the rules own cannot be written
UPDATE crm_deals.deal SET updated_at = '2001-01-01', stage_entered_at = '2001-01-01' WHERE name = 'd3';
SELECT is(t.version('d3'), 1, 'rule 6: updated_at and stage_entered_at are derived, writing them is no change');
SELECT is((SELECT count(*) FROM crm_deals.deal WHERE updated_at < '2002-01-01' OR stage_entered_at < '2002-01-01'),
          0::bigint,
          'rule 6: and has no effect');
-- A long row of changes in one transaction
BEGIN;
DO $$BEGIN FOR n IN 1 .. 200 LOOP UPDATE crm_deals.deal SET amount = n WHERE name = 'd3'; END LOOP; END$$;
COMMIT;
SELECT is(t.version('d3') || ' ' || (SELECT count(*) FROM crm_deals.deal_event WHERE deal_id = t.deal('d3')), '201 201',
          'rule 6: each of many changes in one transaction counts');
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

SELECT * FROM finish();
