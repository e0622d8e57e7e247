-- timeline(): what happened to a deal, from the log and from its activities, as sentences.

-- ----------
-- Words
-- ----------

-- All that is said in a language; another language begins with a column here. Not every server encoding has umlauts.
-- access: read
CREATE FUNCTION crm_deals_internal.timeline_texts() RETURNS TABLE (key text, en text, de text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    VALUES
        -- kinds of events
        ('created', 'The deal was created in %s.', 'Der Deal wurde in %s angelegt.'),
        ('imported', 'The deal was imported into %s.', 'Der Deal wurde in %s importiert.'),
        ('updated', 'The deal was changed.', 'Der Deal wurde ge{ae}ndert.'),
        ('won', 'The deal was won.', 'Der Deal wurde gewonnen.'),
        ('lost', 'The deal was lost.', 'Der Deal ging verloren.'),
        ('abandoned', 'The deal was abandoned.', 'Der Deal wurde aufgegeben.'),
        ('reopened', 'The deal was reopened.', 'Der Deal wurde wieder ge{oe}ffnet.'),
        ('reverted', 'Changes were undone.', '{Ae}nderungen wurden r{ue}ckg{ae}ngig gemacht.'),
        ('restored', 'The deal was restored.', 'Der Deal wurde wiederhergestellt.'),
        ('redacted', 'Personal data was removed.', 'Personenbezogene Daten wurden entfernt.'),
        ('deleted', 'The deal was deleted.', 'Der Deal wurde gel{oe}scht.'),
        ('merged', 'The deal was merged into deal %s.', 'Der Deal wurde mit Deal %s zusammengef{ue}hrt.'),
        ('merged_here', '"%s" was merged into this deal.', '"%s" wurde mit diesem Deal zusammengef{ue}hrt.'),
        ('taken', 'Values were taken from "%s".', 'Werte wurden aus "%s" {ue}bernommen.'),
        ('of_merged', 'In "%s": %s', 'In "%s": %s'),
        -- what changed
        ('moved', 'Moved from %s to %s.', 'Von %s nach %s verschoben.'),
        ('reason', 'Reason: %s.', 'Grund: %s.'),
        ('bypassed', 'Bypassed rules: %s.', 'Umgangene Regeln: %s.'),
        ('has', '%s: %s.', '%s: %s.'),
        ('set', '%s set to %s.', '%s auf %s gesetzt.'),
        ('changed', '%s changed from %s to %s.', '%s von %s auf %s ge{ae}ndert.'),
        ('removed', '%s removed (it was %s).', '%s entfernt (vorher %s).'),
        ('altered', '%s changed.', '%s ge{ae}ndert.'),
        ('more', 'Further changes: %s.', 'Weitere {Ae}nderungen: %s.'),
        ('true', 'yes', 'ja'),
        ('false', 'no', 'nein'),
        -- columns
        ('deal.name', 'Name', 'Name'),
        ('deal.amount', 'Amount', 'Betrag'),
        ('deal.currency', 'Currency', 'W{ae}hrung'),
        ('deal.probability', 'Probability', 'Wahrscheinlichkeit'),
        ('deal.expected_close_date', 'Expected close date', 'Erwarteter Abschluss'),
        ('deal.closed_at', 'Closing time', 'Abschlusszeit'),
        ('deal.lost_reason', 'Lost reason', 'Verlustgrund'),
        ('deal.owner', 'Owner', 'Verantwortlicher'),
        ('deal.account_id', 'Account', 'Kunde'),
        ('deal.primary_contact_id', 'Primary contact', 'Hauptkontakt'),
        ('deal.source', 'Source', 'Quelle'),
        ('deal.notes', 'Notes', 'Notizen'),
        ('deal.external_id', 'External id', 'Externe Kennung'),
        ('deal.custom_fields', 'Custom fields', 'Eigene Felder'),
        -- activities
        ('note', 'Note', 'Notiz'),
        ('email', 'E-mail', 'E-Mail'),
        ('call', 'Call', 'Anruf'),
        ('meeting', 'Meeting', 'Termin'),
        ('task', 'Task', 'Aufgabe'),
        ('event', 'Event', 'Ereignis'),
        ('due', 'due %s', 'f{ae}llig %s'),
        ('done', 'done %s', 'erledigt %s'),
        ('for', 'for %s', 'f{ue}r %s')
$$;
COMMENT ON FUNCTION crm_deals_internal.timeline_texts() IS
    'Internal: lists the sentences and words of timeline().';

-- access: read
CREATE FUNCTION crm_deals_internal.with_umlauts(ascii text) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN getdatabaseencoding() IN ('UTF8', 'LATIN1', 'LATIN9', 'WIN1252')
                THEN replace(replace(replace(replace(ascii, '{ae}', chr(228)), '{oe}', chr(246)), '{ue}', chr(252)),
                             '{Ae}', chr(196))
                ELSE translate(ascii, '{}', '') END
$$;
COMMENT ON FUNCTION crm_deals_internal.with_umlauts(text) IS
    'Internal: puts umlauts into a text, if the encoding of the database has them.';

-- access: read
CREATE FUNCTION crm_deals_internal.timeline_words(language text) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_object_agg(t.key, CASE split_part(w.language, '-', 1)
                                   WHEN 'de' THEN crm_deals_internal.with_umlauts(t.de) ELSE t.en END)
    FROM crm_deals_internal.timeline_texts() AS t,
         (SELECT coalesce(timeline_words.language, current_setting('crm_deals.language', true))) AS w (language)
$$;
COMMENT ON FUNCTION crm_deals_internal.timeline_words(text) IS
    'Internal: returns the texts of timeline() in a language, English if there are none in it.';

-- ----------
-- Labels
-- ----------

-- A text that cannot be a key has no label: an actor need not be an owner.
-- access: read
CREATE FUNCTION crm_deals_internal.labels_of(entity text, keys text[]) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    key_type text := (SELECT h.key_type FROM crm_deals_internal.host(entity) AS h);
    form text := CASE key_type WHEN 'bigint' THEN '^-?[0-9]{1,18}$' WHEN 'integer' THEN '^-?[0-9]{1,18}$'
                               WHEN 'uuid' THEN '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' ELSE '' END;
    labels jsonb;
BEGIN
    IF key_type IS NOT NULL THEN
        EXECUTE format('SELECT jsonb_object_agg(v.id::text, v.label) FROM crm_deals.%I AS v
                        WHERE v.id = ANY ($1::%s[]) AND v.label IS NOT NULL',
                       '_' || entity, CASE key_type WHEN 'integer' THEN 'bigint' ELSE key_type END)
        INTO labels
        USING ARRAY(SELECT DISTINCT k.key FROM unnest(keys) AS k (key) WHERE k.key ~ form);
    END IF;
    RETURN coalesce(labels, '{}');
END
$$;
COMMENT ON FUNCTION crm_deals_internal.labels_of(text, text[]) IS
    'Internal: returns the labels of those keys that are accounts, contacts or owners, as an object.';

-- The options of select fields have labels, too.
-- access: read
CREATE FUNCTION crm_deals_internal.field_labels(organization text, language text,
                                                OUT fields jsonb, OUT options jsonb)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    SELECT coalesce(jsonb_object_agg('deal.custom_fields.' || f.key,
                                     crm_deals_internal.label(f.labels, coalesce(f.label, f.key), language)), '{}'),
           coalesce(jsonb_object_agg('custom_fields.' || f.key, o.labels) FILTER (WHERE o.labels IS NOT NULL), '{}')
    INTO fields, options
    FROM (SELECT DISTINCT ON (c.key) c.key, c.label, c.labels, c.options
          FROM crm_deals.custom_field AS c
          WHERE c.entity = 'deal' AND (c.organization = field_labels.organization OR c.organization IS NULL)
          ORDER BY c.key, c.organization NULLS LAST) AS f
    CROSS JOIN LATERAL (SELECT jsonb_object_agg(e.option ->> 'value',
                                                crm_deals_internal.label(e.option -> 'labels', e.option ->> 'value',
                                                                         language)) AS labels
                        FROM jsonb_array_elements(f.options) AS e (option)
                        WHERE jsonb_typeof(e.option) = 'object') AS o;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.field_labels(text, text) IS
    'Internal: returns the labels of the custom fields of deals, and of their options.';

-- access: read
CREATE FUNCTION crm_deals_internal.organization_of_deal(deal bigint) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN (SELECT p.organization
            FROM crm_deals.deal_event AS e
            JOIN crm_deals.pipeline AS p ON p.id = e.pipeline_id
            WHERE e.deal_id = deal
            ORDER BY e.version DESC
            LIMIT 1);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.organization_of_deal(bigint) IS
    'Internal: returns the organization of a deal, of a deleted one too.';

-- What these events and activities name by a key: for each column the labels of its values.
-- access: read
CREATE FUNCTION crm_deals_internal.timeline_names(events bigint[], activities bigint[], language text) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        WITH named AS (
            SELECT k.key, v.value
            FROM crm_deals.deal_event AS e
            CROSS JOIN unnest(ARRAY['owner', 'account_id', 'primary_contact_id']) AS k (key)
            CROSS JOIN LATERAL (VALUES (e.changes -> k.key ->> 0), (e.changes -> k.key ->> 1)) AS v (value)
            WHERE e.id = ANY (timeline_names.events) AND v.value IS NOT NULL
            UNION ALL
            SELECT 'owner', e.actor FROM crm_deals.deal_event AS e WHERE e.id = ANY (timeline_names.events)
            UNION ALL
            SELECT 'owner', v.value
            FROM crm_deals.activity AS a
            CROSS JOIN LATERAL (VALUES (a.actor), (a.assignee::text)) AS v (value)
            WHERE a.id = ANY (timeline_names.activities)
        )
        SELECT jsonb_object_agg(h.key, crm_deals_internal.labels_of(
                   h.entity, ARRAY(SELECT n.value FROM named AS n WHERE n.key = h.key)))
               || jsonb_build_object('lost_reason', (
                   SELECT jsonb_object_agg(l.name, crm_deals_internal.label(l.labels, l.name, language))
                   FROM crm_deals.lost_reason AS l
                   WHERE l.pipeline_id IN (SELECT e.pipeline_id FROM crm_deals.deal_event AS e
                                           WHERE e.id = ANY (timeline_names.events))))
        FROM (VALUES ('owner', 'owner'), ('account_id', 'account'), ('primary_contact_id', 'contact'))
             AS h (key, entity)
    );
END
$$;
COMMENT ON FUNCTION crm_deals_internal.timeline_names(bigint[], bigint[], text) IS
    'Internal: returns the labels of owners, accounts, contacts and lost reasons, for each column an object.';

-- A stage that was renamed since is called what it was called then. The labels are those of today's name.
-- access: read
CREATE FUNCTION crm_deals_internal.stage_label_then(stage bigint, at timestamptz, with_pipeline boolean,
                                                    language text) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    name_then text := (SELECT n.name FROM crm_deals.stage_name AS n WHERE n.stage_id = stage AND n.until > at
                       ORDER BY n.until LIMIT 1);
    label text;
BEGIN
    SELECT CASE WHEN name_then <> s.name THEN name_then
                ELSE crm_deals_internal.label(s.labels, s.name, language) END
           || CASE WHEN with_pipeline THEN format(' (%s)', crm_deals_internal.label(p.labels, p.name, language))
                   ELSE '' END
    INTO label
    FROM crm_deals.stage AS s
    JOIN crm_deals.pipeline AS p ON p.id = s.pipeline_id
    WHERE s.id = stage;
    RETURN coalesce(label, name_then, '#' || stage);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.stage_label_then(bigint, timestamptz, boolean, text) IS
    'Internal: returns the name that a stage had at a moment, with that of its pipeline if wanted.';

-- ----------
-- Sentences
-- ----------

-- A title is one line, and no value makes it long.
-- access: read
CREATE FUNCTION crm_deals_internal.one_line(value text, longest integer) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT nullif(CASE WHEN length(l.line) > longest THEN left(l.line, longest - 3) || '...' ELSE l.line END, '')
    FROM (SELECT btrim(regexp_replace(left(value, 4 * longest), '[[:space:][:cntrl:]]+', ' ', 'g'))) AS l (line)
$$;
COMMENT ON FUNCTION crm_deals_internal.one_line(text, integer) IS
    'Internal: returns a text without line breaks, cut to a length; NULL if nothing is left.';

-- In every session and language the same: UTC, as the log has it.
-- access: read
CREATE FUNCTION crm_deals_internal.shown_moment(at timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN isfinite(at) THEN to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')
                WHEN at > 'epoch' THEN 'infinity' ELSE '-infinity' END
$$;
COMMENT ON FUNCTION crm_deals_internal.shown_moment(timestamptz) IS
    'Internal: returns a moment as a title shows it.';

-- access: read
CREATE FUNCTION crm_deals_internal.shown_value(column_name text, value jsonb, words jsonb, names jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm_deals_internal.one_line(
        CASE
        WHEN jsonb_typeof(value) = 'array' THEN
            (SELECT string_agg(coalesce(names -> column_name ->> e.element, e.element), ', ' ORDER BY e.place)
             FROM jsonb_array_elements_text(value) WITH ORDINALITY AS e (element, place))
        WHEN jsonb_typeof(value) = 'boolean' THEN words ->> plain.text
        WHEN plain.text ~ '^[0-9]{4,}-[0-9]{2}-[0-9]{2}T[0-9:.]+[+]00:00$' THEN
            regexp_replace(plain.text, '^([0-9-]+)T([0-9]+:[0-9]+).*$', E'\\1 \\2 UTC')
        ELSE coalesce(names -> column_name ->> plain.text, plain.text)
        END, 80)
    FROM (SELECT value #>> '{}') AS plain (text)
$$;
COMMENT ON FUNCTION crm_deals_internal.shown_value(text, jsonb, jsonb, jsonb) IS
    'Internal: returns a value of the log as a title shows it; NULL if there is none.';

-- What follows from the stage is not said again. Of a new deal only a few columns are told. The currency stands with
-- the amount.
-- access: read
CREATE FUNCTION crm_deals_internal.told_changes(event jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(jsonb_object_agg(c.key, c.value), '{}')
    FROM jsonb_each(event -> 'changes'
                    || CASE WHEN event -> 'changes' ? 'currency' AND NOT event -> 'changes' ? 'amount'
                                 AND event ->> 'amount' IS NOT NULL
                            THEN jsonb_build_object('amount', jsonb_build_array(event -> 'amount', event -> 'amount'))
                            ELSE '{}' END) AS c
    WHERE CASE
          WHEN event ->> 'kind' IN ('deleted', 'merged', 'redacted') THEN false
          WHEN event -> 'from_stage_id' = 'null' THEN
              event ->> 'kind' = 'created' AND c.key IN ('amount', 'expected_close_date', 'owner')
          WHEN event -> 'from_stage_id' <> event -> 'to_stage_id' AND c.key IN ('probability', 'closed_at') THEN false
          WHEN event ->> 'from_status' <> event ->> 'status' AND c.key = 'lost_reason' THEN false
          WHEN c.key = 'currency' THEN event ->> 'amount' IS NULL AND NOT event -> 'changes' ? 'amount'
          ELSE c.key NOT IN ('id', 'organization', 'pipeline_id', 'stage_id', 'status', 'stage_entered_at',
                             'last_open_stage_id', 'version', 'created_at', 'updated_at', 'probability_overridden')
          END
$$;
COMMENT ON FUNCTION crm_deals_internal.told_changes(jsonb) IS
    'Internal: returns the changes of an event that its title tells.';

-- access: read
CREATE FUNCTION crm_deals_internal.change_sentences(event jsonb, words jsonb, names jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT string_agg(s.sentence, ' ' ORDER BY s.place) FILTER (WHERE s.place <= 5)
           || CASE WHEN count(*) > 5 THEN ' ' || format(words ->> 'more', count(*) - 5) ELSE '' END
    FROM (SELECT row_number() OVER (ORDER BY array_position(
                     ARRAY['name', 'amount', 'currency', 'expected_close_date', 'probability', 'owner', 'account_id',
                           'primary_contact_id', 'lost_reason', 'source'], c.column_name), c.column_name) AS place,
                 CASE WHEN event ->> 'kind' = 'created' THEN format(words ->> 'has', c.label, c.new)
                      WHEN c.is_long OR c.old = c.new OR coalesce(c.old, c.new) IS NULL
                      THEN format(words ->> 'altered', c.label)
                      WHEN c.old IS NULL THEN format(words ->> 'set', c.label, c.new)
                      WHEN c.new IS NULL THEN format(words ->> 'removed', c.label, c.old)
                      ELSE format(words ->> 'changed', c.label, c.old, c.new) END AS sentence
          FROM (SELECT t.key AS column_name,
                       crm_deals_internal.one_line(
                           coalesce(words ->> ('deal.' || t.key), regexp_replace(t.key, '^custom_fields[.]', '')), 80)
                           AS label,
                       t.key IN ('notes', 'custom_fields')
                           OR 'object' IN (jsonb_typeof(t.value -> 0), jsonb_typeof(t.value -> 1)) AS is_long,
                       crm_deals_internal.shown_value(t.key, t.value -> 0, words, names)
                           || CASE t.key WHEN 'amount' THEN ' ' || coalesce(event -> 'changes' -> 'currency' ->> 0,
                                                                            event ->> 'currency')
                                         WHEN 'probability' THEN ' %' ELSE '' END AS old,
                       crm_deals_internal.shown_value(t.key, t.value -> 1, words, names)
                           || CASE t.key WHEN 'amount' THEN ' ' || (event ->> 'currency')
                                         WHEN 'probability' THEN ' %' ELSE '' END AS new
                FROM jsonb_each(crm_deals_internal.told_changes(event)) AS t) AS c) AS s
$$;
COMMENT ON FUNCTION crm_deals_internal.change_sentences(jsonb, jsonb, jsonb) IS
    'Internal: tells what an event changed, a sentence for each column.';

-- "event" is a row of deal_event as an object, with from_stage and to_stage, the names of its stages; of_merged, the
-- name of the deal if it is one that was merged into this one; and taken_from, the name of the deal whose merge
-- wrote it.
-- access: read
CREATE FUNCTION crm_deals_internal.event_title(event jsonb, words jsonb, names jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN event ->> 'kind' = 'merged' AND event ->> 'of_merged' IS NOT NULL
                THEN format(words ->> 'merged_here', event ->> 'of_merged')
                WHEN event ->> 'of_merged' IS NOT NULL
                THEN format(words ->> 'of_merged', event ->> 'of_merged', t.title)
                ELSE t.title END
    FROM (SELECT coalesce(nullif(concat_ws(' ',
        CASE event ->> 'kind'
            WHEN 'created' THEN format(words ->> CASE event ->> 'origin' WHEN 'import' THEN 'imported'
                                                                         ELSE 'created' END, event ->> 'to_stage')
            WHEN 'reverted' THEN words ->> CASE event -> 'from_stage_id' WHEN 'null' THEN 'restored'
                                                                         ELSE 'reverted' END
            WHEN 'merged' THEN format(words ->> 'merged', event ->> 'merged_into')
            WHEN 'stage_changed' THEN NULL
            WHEN 'updated' THEN CASE WHEN event ->> 'taken_from' IS NOT NULL
                                     THEN format(words ->> 'taken', event ->> 'taken_from') END
            ELSE words ->> (event ->> 'kind') END,
        CASE WHEN event ->> 'kind' = 'lost' AND event ->> 'lost_reason' IS NOT NULL
             THEN format(words ->> 'reason', crm_deals_internal.shown_value('lost_reason', event -> 'lost_reason',
                                                                            words, names)) END,
        CASE WHEN event -> 'from_stage_id' <> event -> 'to_stage_id'
                  AND 'null' NOT IN (event -> 'from_stage_id', event -> 'to_stage_id')
             THEN format(words ->> 'moved', event ->> 'from_stage', event ->> 'to_stage') END,
        crm_deals_internal.change_sentences(event, words, names),
        CASE WHEN jsonb_array_length(nullif(event -> 'bypassed', 'null')) > 0
             THEN format(words ->> 'bypassed',
                         (SELECT string_agg(b.rule, ', ') FROM jsonb_array_elements_text(event -> 'bypassed')
                          AS b (rule))) END), ''), words ->> 'updated')) AS t (title)
$$;
COMMENT ON FUNCTION crm_deals_internal.event_title(jsonb, jsonb, jsonb) IS
    'Internal: tells in a line what an event was.';

-- access: read
CREATE FUNCTION crm_deals_internal.activity_title(kind text, subject text, due_at timestamptz, done_at timestamptz,
                                                  assignee text, words jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('%s: %s', coalesce(words ->> kind, kind), crm_deals_internal.one_line(subject, 200))
           || coalesce(' (' || nullif(concat_ws(', ',
                  CASE WHEN due_at IS NOT NULL
                       THEN format(words ->> 'due', crm_deals_internal.shown_moment(due_at)) END,
                  CASE WHEN done_at IS NOT NULL
                       THEN format(words ->> 'done', crm_deals_internal.shown_moment(done_at)) END,
                  CASE WHEN assignee IS NOT NULL THEN format(words ->> 'for', assignee) END), '') || ')', '')
$$;
COMMENT ON FUNCTION crm_deals_internal.activity_title(text, text, timestamptz, timestamptz, text, jsonb) IS
    'Internal: tells in a line what an activity is.';

-- ----------
-- The list
-- ----------

-- A deal that was deleted is known by its log, and to nobody under row security.
-- access: read
CREATE FUNCTION crm_deals_internal.deal_of_timeline(deal bigint) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF NOT EXISTS (SELECT FROM crm_deals.deal AS d WHERE d.id = deal)
       AND NOT EXISTS (SELECT FROM crm_deals.deal_alias AS a WHERE a.old_id = deal)
       AND NOT row_security_active('crm_deals.deal')
       AND EXISTS (SELECT FROM crm_deals.deal_event AS e WHERE e.deal_id = deal) THEN
        RETURN deal;
    END IF;
    RETURN crm_deals_internal.resolve_deal(deal);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.deal_of_timeline(bigint) IS
    'Internal: returns the deal that an id means, deleted ones included, or raises an error.';

-- Their events tell the story of the activities that moved with them.
-- access: read
CREATE FUNCTION crm_deals_internal.merged_deals(survivor bigint)
RETURNS TABLE (deal_id bigint, name text, transaction xid8)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN QUERY
    SELECT a.old_id, coalesce(crm_deals_internal.one_line(e.changes -> 'name' ->> 0, 80), a.old_id::text), e.transaction
    FROM crm_deals.deal_alias AS a
    CROSS JOIN LATERAL (SELECT l.kind, l.changes, l.transaction
                        FROM crm_deals.deal_event AS l
                        WHERE l.deal_id = a.old_id
                        ORDER BY l.version DESC
                        LIMIT 1) AS e
    WHERE a.deal_id = survivor AND e.kind = 'merged' AND NOT row_security_active('crm_deals.deal');
END
$$;
COMMENT ON FUNCTION crm_deals_internal.merged_deals(bigint) IS
    'Internal: returns the deals that were merged into a deal, with their last names.';

-- The note of a move has the moment of its event. Entries of one moment stay together, so the newest of each kind are
-- enough to find the newest of all.
-- access: read
CREATE FUNCTION crm_deals_internal.timeline_page(deal bigint, merged bigint[], max_entries integer, before timestamptz)
RETURNS TABLE (at timestamptz, event_id bigint, activity_id bigint)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 50
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN QUERY
    WITH event AS (
        SELECT n.id, n.at, n.moved_at, row_number() OVER (PARTITION BY n.moved_at ORDER BY n.id) AS place
        FROM (SELECT e.id, e.occurred_at AS at,
                     CASE WHEN e.from_stage_id <> e.to_stage_id THEN e.occurred_at END AS moved_at
              FROM crm_deals.deal_event AS e
              WHERE e.deal_id = ANY (deal || merged) AND (before IS NULL OR e.occurred_at < before)
              ORDER BY e.occurred_at DESC
              FETCH FIRST max_entries ROWS WITH TIES) AS n
    ), activity AS (
        SELECT n.id, n.at, n.moved_at, row_number() OVER (PARTITION BY n.moved_at ORDER BY n.id) AS place
        FROM (SELECT a.id, a.occurred_at AS at,
                     CASE WHEN a.kind = 'note' AND starts_with(a.subject, 'Deal moved: ')
                          THEN a.occurred_at END AS moved_at
              FROM crm_deals.activity AS a
              WHERE a.deal_id = deal AND (before IS NULL OR a.occurred_at < before)
              ORDER BY a.occurred_at DESC
              FETCH FIRST max_entries ROWS WITH TIES) AS n
    )
    SELECT coalesce(e.at, a.at) AS at, e.id, a.id
    FROM event AS e
    FULL JOIN activity AS a ON a.moved_at = e.moved_at AND a.place = e.place
    ORDER BY 1 DESC
    FETCH FIRST max_entries ROWS WITH TIES;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.timeline_page(bigint, bigint[], integer, timestamptz) IS
    'Internal: returns the newest entries before a moment, the note of a move beside its event.';

-- access: read
CREATE FUNCTION crm_deals_internal.timeline_events(ids bigint[], deal bigint, merged jsonb, language text)
RETURNS TABLE (id bigint, event jsonb)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 50
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN QUERY
    SELECT e.id,
           to_jsonb(e.*) || jsonb_build_object(
               'from_stage', crm_deals_internal.stage_label_then(e.from_stage_id, e.occurred_at,
                                                                 e.changes ? 'pipeline_id', language),
               'to_stage', crm_deals_internal.stage_label_then(
                   e.to_stage_id, e.occurred_at, e.changes ? 'pipeline_id' AND e.from_stage_id IS NOT NULL, language),
               'of_merged', CASE WHEN e.deal_id <> deal
                                 THEN (SELECT m.value ->> 'name' FROM jsonb_array_elements(merged) AS m
                                       WHERE m.value -> 'deal_id' = to_jsonb(e.deal_id)) END,
               'taken_from', CASE WHEN e.deal_id = deal
                                  THEN (SELECT min(m.value ->> 'name') FROM jsonb_array_elements(merged) AS m
                                        WHERE m.value ->> 'transaction' = e.transaction::text) END)
    FROM crm_deals.deal_event AS e
    WHERE e.id = ANY (ids);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.timeline_events(bigint[], bigint, jsonb, text) IS
    'Internal: returns events as event_title() reads them.';

-- access: read
CREATE FUNCTION crm_deals_internal.timeline(deal bigint, max_entries integer, before timestamptz, language text)
RETURNS TABLE (at timestamptz, kind text, actor text, title text, detail jsonb)
LANGUAGE plpgsql STABLE PARALLEL SAFE COST 10000 ROWS 50
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    shown_deal bigint;
    merged jsonb;
    -- parallel to each other
    moments timestamptz[];
    events bigint[];
    activities bigint[];
    words jsonb := crm_deals_internal.timeline_words(language);
    names jsonb;
BEGIN
    PERFORM crm_deals_internal.check_installed();
    IF coalesce(max_entries, 0) < 1 THEN
        RAISE EXCEPTION 'max_entries must be 1 or more' USING ERRCODE = '22023';
    END IF;
    shown_deal := crm_deals_internal.deal_of_timeline(deal);
    merged := coalesce((SELECT jsonb_agg(to_jsonb(m.*)) FROM crm_deals_internal.merged_deals(shown_deal) AS m), '[]');
    SELECT array_agg(p.at), array_agg(p.event_id), array_agg(p.activity_id)
    INTO moments, events, activities
    FROM crm_deals_internal.timeline_page(
        shown_deal, ARRAY(SELECT (m.value -> 'deal_id')::bigint FROM jsonb_array_elements(merged) AS m),
        max_entries, before) AS p;
    SELECT words || f.fields, crm_deals_internal.timeline_names(events, activities, language) || f.options
    INTO words, names
    FROM crm_deals_internal.field_labels(crm_deals_internal.organization_of_deal(shown_deal), language) AS f;

    RETURN QUERY
    SELECT p.at, coalesce(e.event ->> 'kind', a.kind),
           coalesce(names -> 'owner' ->> w.actor, w.actor),
           CASE WHEN e.id IS NOT NULL THEN crm_deals_internal.event_title(e.event, words, names)
                ELSE crm_deals_internal.activity_title(
                    a.kind, a.subject, a.due_at, a.done_at,
                    coalesce(names -> 'owner' ->> w.assignee, w.assignee), words) END,
           jsonb_strip_nulls(jsonb_build_object(
               'event_id', e.id, 'batch_id', e.event -> 'batch_id', 'activity_id', a.id,
               -- the text of a note that nobody wrote says what the title says
               'body', CASE WHEN e.id IS NULL THEN a.body
                            ELSE coalesce(e.event ->> 'note',
                                          CASE WHEN NOT starts_with(a.body, 'Deal stage changed from ')
                                               THEN a.body END) END))
           || CASE WHEN e.event -> 'changes' <> '{}' THEN jsonb_build_object('changes', e.event -> 'changes')
                   ELSE '{}' END
    FROM unnest(moments, events, activities) AS p (at, event_id, activity_id)
    LEFT JOIN crm_deals_internal.timeline_events(events, shown_deal, merged, language) AS e ON e.id = p.event_id
    LEFT JOIN crm_deals.activity AS a ON a.id = p.activity_id
    CROSS JOIN LATERAL (SELECT coalesce(e.event ->> 'actor', a.actor), a.assignee::text)
               AS w (actor, assignee)
    ORDER BY p.at DESC, p.event_id DESC NULLS LAST, p.activity_id DESC;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.timeline(bigint, integer, timestamptz, text) IS
    'Internal: what crm_deals.timeline() does.';
