\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Sections 5 and 6: undo_batch undoes a merge.
ALTER TABLE crm_deals.deal ADD COLUMN parent_id bigint REFERENCES crm_deals.deal, ADD COLUMN span interval;
ALTER TABLE crm_deals.deal_contact ADD COLUMN since interval;
CREATE TABLE t.invoice (id integer, deal_id bigint REFERENCES crm_deals.deal);
INSERT INTO crm_deals.contact (first_name) VALUES ('Ann'), ('Bob'), ('Cem');
INSERT INTO crm_deals.account (name) VALUES ('Acme');
-- The tables as they were. The log is left out, and what every write changes.
CREATE FUNCTION t.all_rows() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT concat('deal ', to_jsonb(d) - 'version'::text - 'updated_at'::text) FROM crm_deals.deal AS d
    UNION ALL SELECT concat('activity ', to_jsonb(a)) FROM crm_deals.activity AS a
    UNION ALL SELECT concat('stakeholder ', to_jsonb(c)) FROM crm_deals.deal_contact AS c
    UNION ALL SELECT concat('alias ', to_jsonb(a)) FROM crm_deals.deal_alias AS a
    UNION ALL SELECT concat('flag ', to_jsonb(f)) FROM crm_deals.deal_duplicate AS f
    UNION ALL SELECT concat('lead ', to_jsonb(l)) FROM crm_deals.lead AS l
$$;
CREATE TABLE t.before (row text);
CREATE FUNCTION t.keep() RETURNS void LANGUAGE sql AS $$
    DELETE FROM t.before;
    INSERT INTO t.before SELECT t.all_rows()
$$;
CREATE FUNCTION t.compare() RETURNS text LANGUAGE sql AS $$
    SELECT coalesce((SELECT string_agg('has ' || h, E'\n')
                     FROM (SELECT t.all_rows() AS h EXCEPT ALL TABLE t.before) AS h), '')
           || coalesce((SELECT string_agg('lacks ' || row, E'\n')
                        FROM (TABLE t.before EXCEPT ALL SELECT t.all_rows()) AS l), '')
$$;
CREATE FUNCTION t.merge_batch(duplicate bigint) RETURNS bigint LANGUAGE sql AS $$
    SELECT batch_id FROM crm_deals.deal_event
    WHERE deal_id = duplicate AND kind = 'merged' ORDER BY version DESC LIMIT 1
$$;
CREATE FUNCTION t.undo_merge(duplicate bigint) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', CASE u.deal_id WHEN duplicate THEN 'duplicate' ELSE 'survivor' END, u.outcome,
                                u.detail), ' / ' ORDER BY u.deal_id <> duplicate)
    FROM crm_deals.undo_batch(t.merge_batch(duplicate), 'boss') AS u
$$;
CREATE FUNCTION t.pair(tag text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    s bigint;
    d bigint;
BEGIN
    INSERT INTO crm_deals.deal (name, owner, custom_fields) VALUES ('Survivor ' || tag, 'anna', '{"both": 1}')
    RETURNING id INTO s;
    INSERT INTO crm_deals.deal (name, amount, currency, external_id, notes, custom_fields, account_id, span, source)
    SELECT 'Duplicate ' || tag, 5.50, 'USD', 'ext-' || tag, 'hello', '{"both": 2, "one": null, "more": [1]}', a.id,
           '1 mon 2 days', 'web'
    FROM crm_deals.account AS a
    RETURNING id INTO d;
    INSERT INTO crm_deals.deal (name, parent_id) VALUES ('Child ' || tag, d);
    INSERT INTO crm_deals.activity (kind, subject, deal_id) VALUES ('call', 'one', s), ('call', 'two', d);
    INSERT INTO crm_deals.lead (company_name, deal_id, status, converted_at) VALUES ('Acme', d, 'converted', now());
    INSERT INTO crm_deals.deal_contact (deal_id, contact_id, role, since)
    SELECT v.deal, c.id, v.role, v.since::interval
    FROM (VALUES (s, 'Ann', 'buyer', '1 day'), (d, 'Ann', 'decides', '2 mons'), (d, 'Bob', 'pays', NULL),
                 (s, 'Cem', NULL, NULL), (d, 'Cem', NULL, NULL)) AS v (deal, name, role, since)
    JOIN crm_deals.contact AS c ON c.first_name = v.name;
    INSERT INTO t.invoice VALUES (1, d);
END
$$;
CREATE FUNCTION t.s(tag text) RETURNS bigint LANGUAGE sql AS $$ SELECT t.deal('Survivor ' || tag) $$;
CREATE FUNCTION t.d(tag text) RETURNS bigint LANGUAGE sql AS $$ SELECT t.deal('Duplicate ' || tag) $$;
SELECT count(t.pair(tag)) AS none FROM regexp_split_to_table('a b c d e f g h i j', ' ') AS tag \gset
SELECT t.d('a') AS a, t.d('b') AS b, t.d('c') AS c, t.d('d') AS d, t.d('e') AS e, t.d('f') AS f, t.d('g') AS g,
       t.d('h') AS h, t.d('i') AS i, t.d('j') AS j \gset
-- Nothing changed since. A dismissed pair, and references of the survivor to the duplicate.
SELECT crm_deals.dismiss_duplicate(t.d('a'), t.d('b'), 'eve') AS none \gset
UPDATE crm_deals.deal SET parent_id = :a WHERE id = t.s('a');
SELECT t.keep() AS none \gset
SET intervalstyle = sql_standard;
SELECT crm_deals.merge_deals(t.s('a'), :a, 'merger') AS none \gset
SET intervalstyle = iso_8601;
SELECT is((SELECT count(DISTINCT batch_id) || ' ' || string_agg(kind, ' ' ORDER BY id) FROM crm_deals.deal_event
           WHERE batch_id = t.merge_batch(:a)),
          '1 merged updated', 'merge_deals: the end of the one and the change of the other are one batch');
SELECT is(t.undo_merge(:a),
          'duplicate reverted What refers to it in t.invoice stays with the survivor. / survivor reverted',
          'undo_batch: a merge: both deals, and the tables whose references stay');
RESET intervalstyle;
SELECT is(t.compare(), '',
          'undo_batch: a merge: all is as before: deals, activities, stakeholders, flags, leads, aliases');
SELECT is((SELECT deal_id = t.s('a') FROM t.invoice ORDER BY deal_id LIMIT 1), true,
          'undo_batch: a merge: references of other tables stay with the survivor');
SELECT is(t.kinds(:a), 'created merged reverted', 'undo_batch: a merge: the log of the duplicate');
SELECT is(t.undo_merge(:a),
          'duplicate changed_since It was restored since. / '
          'survivor changed_since What it took from the other deal was changed since.',
          'undo_batch: a merge: twice does nothing');
SELECT is((SELECT count(*) FROM crm_deals.deal_merge), 0::bigint, 'undo_batch: a merge: its record ends');
-- The survivor was changed since: that stays
SELECT crm_deals.merge_deals(t.s('b'), :b) AS none \gset
UPDATE crm_deals.deal SET source = 'fair', amount = 7, custom_fields = custom_fields || '{"later": 1}', notes = 'mine',
                          stage_id = t.stage('proposal') WHERE id = t.s('b');
INSERT INTO crm_deals.activity (kind, subject, deal_id) VALUES ('call', 'later', t.s('b'));
UPDATE crm_deals.activity SET body = 'edited' WHERE kind = 'note' AND deal_id = t.s('b');
UPDATE crm_deals.deal_contact SET role = 'leaves' WHERE deal_id = t.s('b') AND contact_id = 1;
DELETE FROM crm_deals.deal_contact WHERE deal_id = t.s('b') AND contact_id = 2;
SELECT is(t.undo_merge(:b),
          'duplicate reverted What refers to it in t.invoice stays with the survivor. '
          '1 of 3 stakeholders are gone or elsewhere. The note that was made of its notes was changed, and stays. / '
          'survivor reverted These stay, because they were changed since: amount, currency, custom_fields, source.',
          'undo_batch: a merge: a value of the survivor only if it is unchanged');
SELECT is((SELECT concat_ws(' ', source, amount, currency, notes, external_id, account_id, span,
                            custom_fields ->> 'later')
           FROM crm_deals.deal WHERE id = t.s('b')),
          'fair 7 USD mine 1', 'undo_batch: a merge: later changes of the survivor stay, an amount with its currency');
SELECT is((SELECT concat_ws(' ', source, amount, currency, notes, external_id, account_id, span = '1 mon 2 days')
           FROM crm_deals.deal WHERE id = :b),
          'web 5.50 USD hello ext-b 1 t', 'undo_batch: a merge: the duplicate is whole');
SELECT is((SELECT string_agg(deal_id - t.s('b') || ' ' || subject, ', ' ORDER BY id) FROM crm_deals.activity
           WHERE deal_id IN (:b, t.s('b'))),
          '0 one, 1 two, 0 Notes of merged deal: Duplicate b, 0 later',
          'undo_batch: a merge: what came later stays where it is');
SELECT is((SELECT string_agg(concat_ws(' ', deal_id - t.s('b'), contact_id, role), ', ' ORDER BY deal_id, contact_id)
           FROM crm_deals.deal_contact WHERE deal_id IN (:b, t.s('b'))),
          '0 1 leaves, 0 3, 1 1 decides, 1 3', 'undo_batch: a merge: so does what was said of a stakeholder since');
-- A chain, undone from its end: all is as before
SELECT t.keep() AS none \gset
SELECT t.d('c') AS none, t.s('c') AS s_c, t.s('d') AS s_d \gset
SELECT crm_deals.merge_deals(:s_c, :c), crm_deals.merge_deals(:s_d, :s_c) \gset none_
SELECT is(t.undo_merge(:s_c) ~ '^duplicate reverted.*/ survivor reverted', true,
          'undo_batch: a chain: the second first');
SELECT is(crm_deals.resolve_deal(:c), :s_c::bigint,
          'undo_batch: a chain: the way of the first ends in its survivor again');
SELECT is(t.undo_merge(:c) ~ '^duplicate reverted.*/ survivor reverted', true, 'undo_batch: a chain: then the first');
SELECT is(t.compare(), '', 'undo_batch: a chain: all is as before');
-- The same from its beginning: what moved twice goes back to where it came from
SELECT crm_deals.merge_deals(:s_c, :c), crm_deals.merge_deals(:s_d, :s_c) \gset none_
SELECT is(t.undo_merge(:c),
          format('duplicate reverted Its external id belongs to another deal now. / '
                 'survivor changed_since It was merged into deal %s since.', :s_d),
          'undo_batch: a chain: the first alone, its survivor is merged on');
SELECT is((SELECT string_agg(subject, ' ') FROM crm_deals.activity WHERE deal_id = :c), 'two',
          'undo_batch: a chain: its activities are back');
SELECT is(t.undo_merge(:s_c) ~ '^duplicate reverted.*/ survivor reverted', true,
          'undo_batch: a chain: the second later');
SELECT is((SELECT string_agg(subject, ' ') FROM crm_deals.activity WHERE deal_id = :s_c), 'one',
          'undo_batch: a chain: what is back with the first stays there');
SELECT is((SELECT count(*) FROM crm_deals.deal_alias), 0::bigint, 'undo_batch: a chain: no alias is left');
-- Its survivor is gone
SELECT crm_deals.merge_deals(t.s('e'), :e) AS none \gset
DELETE FROM t.invoice; DELETE FROM crm_deals.lead;
UPDATE crm_deals.deal SET parent_id = NULL WHERE parent_id = t.s('e');
DELETE FROM crm_deals.deal WHERE id = t.s('e');
SELECT is(t.undo_merge(:e),
          'duplicate reverted What refers to it in t.invoice stays with the survivor. '
          'The survivor is gone, or hidden from you, and what it got with it. / '
          'survivor changed_since It was deleted since.',
          'undo_batch: a merge: the survivor was deleted since');
SELECT is((SELECT string_agg(contact_id || ' ' || coalesce(role, '-'), ', ' ORDER BY contact_id)
           FROM crm_deals.deal_contact WHERE deal_id = :e),
          '1 decides, 3 -', 'undo_batch: a merge: stakeholders that only the duplicate''s row had are back');
-- An external id of another deal's
SELECT crm_deals.merge_deals(t.s('f'), :f) AS none \gset
UPDATE crm_deals.deal SET external_id = 'own' WHERE id = t.s('f');
INSERT INTO crm_deals.deal (name, external_id) VALUES ('rival', 'ext-f');
SELECT is(t.undo_merge(:f),
          'duplicate reverted Its external id belongs to another deal now. / '
          'survivor reverted These stay, because they were changed since: external_id.',
          'undo_batch: a merge: without an external id that another deal has now');
-- The stage of the duplicate is archived: the merge stands, both deals say so
UPDATE crm_deals.deal SET stage_id = t.stage('qualified') WHERE id = :g;
SELECT crm_deals.merge_deals(t.s('g'), :g) AS none \gset
UPDATE crm_deals.stage SET archived_at = now() WHERE id = t.stage('qualified');
SELECT t.keep() AS none \gset
SELECT is(t.undo_merge(:g),
          'duplicate changed_since Its stage "Qualified" is archived: no board would show it. / '
          'survivor unchanged The other deal does not come back.',
          'undo_batch: a merge: nothing goes where no board shows it');
SELECT is(t.compare(), '', 'undo_batch: a merge: then nothing is put back');
UPDATE crm_deals.stage SET archived_at = NULL WHERE id = t.stage('qualified');
SELECT is(t.undo_merge(:g), 'duplicate reverted / survivor reverted', 'undo_batch: a merge: later it can be undone');
-- Pruned, redacted
SELECT crm_deals.merge_deals(t.s('h'), :h), crm_deals.merge_deals(t.s('i'), :i), crm_deals.merge_deals(t.s('j'), :j)
\gset none_
SELECT crm_deals.prune_events(now()) AS none \gset
UPDATE crm_deals.deal SET source = 'pruned' WHERE id = t.s('h');
SELECT is(t.undo_merge(:h),
          'duplicate reverted / survivor reverted These stay, because they were changed since: source.',
          'undo_batch: a merge: after prune_events()');
SELECT is((SELECT string_agg(subject, ' ') FROM crm_deals.activity WHERE deal_id = :h), 'two',
          'undo_batch: a merge: after prune_events() the record is still there');
SELECT count(*) AS none FROM crm_deals.redact(deals => ARRAY[:i]) \gset
SELECT is((SELECT string_agg(u.outcome || ' ' || coalesce(u.detail, ''), ' / ' ORDER BY u.deal_id)
           FROM crm_deals.undo_batch(t.merge_batch(:i)) AS u),
          'reverted These stay, because they were changed since: custom_fields. / reverted It was redacted.',
          'undo_batch: a merge: a redacted deal');
SELECT is((SELECT concat_ws(' ', name, notes, amount) FROM crm_deals.deal WHERE id = :i), '[redacted] [redacted] 5.50',
          'undo_batch: a merge: comes back without what was erased');
SELECT is((SELECT string_agg(subject, ' ') FROM crm_deals.activity WHERE deal_id = :i), '[redacted]',
          'undo_batch: a merge: its activities too, and the note of its notes goes');
-- An undone merge is not undone into a deletion
SELECT t.undo_merge(:j) AS none \gset
SELECT is((SELECT u.outcome || ' ' || u.detail FROM crm_deals.deal_event AS e, crm_deals.undo_batch(e.batch_id) AS u
           WHERE e.deal_id = :j AND e.kind = 'reverted'),
          'changed_since It came back from a merge. merge_deals() merges it again.',
          'undo_batch: of the return from a merge leaves the deal alone');
-- An actor who dismissed a pair
SELECT crm_deals.merge_deals(t.s('a'), :a) AS none \gset
SELECT is((SELECT count(*) FROM crm_deals.deal_merge WHERE moved::text ~ 'eve'), 1::bigint, 'the record names her');
SELECT count(*) AS none FROM crm_deals.redact(actor => 'eve') \gset
SELECT is((SELECT count(*) FROM crm_deals.deal_merge WHERE moved::text ~ 'eve'), 0::bigint,
          'redact: who dismissed a pair, in the record of a merge');
SELECT t.undo_merge(:a) AS none \gset
SELECT is((SELECT resolution || ' ' || resolved_by FROM crm_deals.deal_duplicate
           WHERE :a IN (deal_id, other_deal_id) AND :b IN (deal_id, other_deal_id)),
          'dismissed [redacted]', 'undo_batch: a merge: the pair stays dismissed');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');
SELECT is(has_table_privilege('public', 'crm_deals.deal_merge', 'SELECT'), false, 'nobody reads what a merge moved');

SELECT * FROM finish();
