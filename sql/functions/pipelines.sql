-- Pipelines and their stages.

-- access: admin
CREATE FUNCTION crm_deals_internal.default_stages() RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_agg(jsonb_build_object('key', key, 'name', name, 'labels', jsonb_build_object('de', german),
                                        'probability', probability, 'status', status))
    FROM (VALUES ('lead', 'Lead', 'Lead', 10, 'open'),
                 ('qualified', 'Qualified', 'Qualifiziert', 25, 'open'),
                 ('proposal', 'Proposal', 'Angebot', 50, 'open'),
                 ('negotiation', 'Negotiation', 'Verhandlung', 75, 'open'),
                 ('won', 'Won', 'Gewonnen', 100, 'won'),
                 ('lost', 'Lost', 'Verloren', 0, 'lost')) AS s (key, name, german, probability, status)
$$;

COMMENT ON FUNCTION crm_deals_internal.default_stages() IS
    'Internal: returns the six stages that a pipeline gets if none are given.';

-- access: public
CREATE FUNCTION crm_deals_internal.slug(name text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(nullif(btrim(regexp_replace(lower(name), '[^[:alnum:]]+', '_', 'g'), '_'), ''), 'stage')
$$;

COMMENT ON FUNCTION crm_deals_internal.slug(text) IS
    'Internal: makes the key of a stage from its name.';

-- access: public
CREATE FUNCTION crm_deals_internal.stage_defaults() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    slug text;
BEGIN
    PERFORM crm_deals_internal.check_trigger_table(tg_relid, 'stage');
    IF new.key IS NULL THEN
        slug := crm_deals_internal.slug(new.name);
        SELECT c.candidate
        INTO new.key
        FROM generate_series(1, 1 + (SELECT count(*) FROM crm_deals.stage AS s
                                     WHERE s.pipeline_id = new.pipeline_id)) AS n,
             LATERAL (SELECT CASE n WHEN 1 THEN slug ELSE slug || '_' || n END) AS c (candidate)
        WHERE NOT EXISTS (SELECT FROM crm_deals.stage AS s WHERE s.pipeline_id = new.pipeline_id
                          AND s.key = c.candidate)
        ORDER BY n
        LIMIT 1;
    END IF;
    new.position := coalesce(new.position, (SELECT max(s.position) FROM crm_deals.stage AS s
                                            WHERE s.pipeline_id = new.pipeline_id) + 1, 1);
    new.probability := coalesce(new.probability, CASE new.status::text WHEN 'won' THEN 100 ELSE 0 END);
    RETURN new;
END
$$;

COMMENT ON FUNCTION crm_deals_internal.stage_defaults() IS
    'Trigger: fills the key, the position and the probability of a new stage.';

-- access: read
CREATE FUNCTION crm_deals_internal.raise_unknown_pipeline(pipeline text) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RAISE EXCEPTION 'pipeline "%" does not exist', pipeline
        USING ERRCODE = 'P0002',
              DETAIL = coalesce((SELECT 'There are ' || string_agg(format('"%s" (%s)', p.name, p.id), ', '
                                                                   ORDER BY p.id) || '.'
                                 FROM (SELECT p.id, p.name FROM crm_deals.pipeline AS p ORDER BY p.id LIMIT 50) AS p),
                                'There is none.');
END
$$;

COMMENT ON FUNCTION crm_deals_internal.raise_unknown_pipeline(text) IS
    'Internal: raises the error that names the pipelines that exist.';

-- access: read
CREATE FUNCTION crm_deals_internal.raise_unknown_stage(stage text, pipeline bigint) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RAISE EXCEPTION 'stage "%" does not exist', stage
        USING ERRCODE = 'P0002',
              DETAIL = coalesce((SELECT 'There are ' || string_agg(format('"%s" (%s)', s.key, s.id), ', '
                                                                   ORDER BY s.pipeline_id, s.position) || '.'
                                 FROM (SELECT s.id, s.key, s.pipeline_id, s.position
                                       FROM crm_deals.stage AS s
                                       WHERE s.archived_at IS NULL
                                         AND (raise_unknown_stage.pipeline IS NULL
                                              OR s.pipeline_id = raise_unknown_stage.pipeline)
                                       ORDER BY s.pipeline_id, s.position
                                       LIMIT 50) AS s),
                                'There is none.');
END
$$;

COMMENT ON FUNCTION crm_deals_internal.raise_unknown_stage(text, bigint) IS
    'Internal: raises the error that names the stages that exist.';

-- Checks what the arguments stages and gates of create_pipeline() say.
-- access: admin
CREATE FUNCTION crm_deals_internal.check_pipeline_arguments(stages jsonb, gates jsonb) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    unknown text;
BEGIN
    IF jsonb_typeof(stages) <> 'array' OR jsonb_array_length(stages) = 0
       OR jsonb_path_exists(stages, '$[*] ? (@.type() != "object" || !(exists (@.name)))') THEN
        RAISE EXCEPTION 'stages must be an array of objects, each with a name'
            USING ERRCODE = '22023', HINT = 'Such as [{"name": "Lead"}, {"name": "Won", "status": "won"}].';
    END IF;

    SELECT string_agg(DISTINCT k.key, ', ')
    INTO unknown
    FROM jsonb_array_elements(stages) AS s, LATERAL jsonb_object_keys(s) AS k (key)
    WHERE k.key NOT IN ('name', 'key', 'probability', 'status', 'labels', 'description', 'required_fields',
                        'rots_after', 'next');
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION 'a stage has no %', unknown
            USING ERRCODE = '22023',
                  HINT = 'A stage has name, key, probability, status, labels, description, required_fields, '
                         'rots_after, next.';
    END IF;

    SELECT string_agg(s.value ->> 'status', ', ')
    INTO unknown
    FROM jsonb_array_elements(stages) AS s
    WHERE s.value ->> 'status' NOT IN ('open', 'won', 'lost', 'abandoned');
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION 'a stage cannot have the status %', unknown
            USING ERRCODE = '22023', HINT = 'The status is open, won, lost or abandoned.';
    END IF;

    IF jsonb_typeof(gates) <> 'object' OR jsonb_path_exists(gates, '$.* ? (@.type() != "boolean")')
       OR EXISTS (SELECT FROM jsonb_object_keys(gates) AS k (key)
                  WHERE k.key NOT IN ('forbid_skipping', 'forbid_backward', 'forbid_unlisted')) THEN
        RAISE EXCEPTION 'gates must be an object of booleans'
            USING ERRCODE = '22023', HINT = 'The gates are forbid_skipping, forbid_backward, forbid_unlisted.';
    END IF;
END
$$;

COMMENT ON FUNCTION crm_deals_internal.check_pipeline_arguments(jsonb, jsonb) IS
    'Internal: refuses stages and gates that create_pipeline() does not understand.';

-- access: admin
CREATE FUNCTION crm_deals_internal.text_array(elements jsonb) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(array_agg(e.value), '{}')
    FROM jsonb_array_elements_text(coalesce(elements, '[]')) AS e
$$;

COMMENT ON FUNCTION crm_deals_internal.text_array(jsonb) IS
    'Internal: converts a JSON array of strings to text[].';

-- access: admin
CREATE FUNCTION crm_deals_internal.list_moves(pipeline bigint, stages jsonb, callers_path text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    unknown text;
BEGIN
    SELECT string_agg(DISTINCT coalesce(n.key, 'null'), ', ')
    INTO unknown
    FROM jsonb_array_elements(stages) AS s, LATERAL jsonb_array_elements_text(s -> 'next') AS n (key)
    WHERE NOT EXISTS (SELECT FROM crm_deals.stage AS t WHERE t.pipeline_id = pipeline AND t.key = n.key);
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION 'next names no stage of the pipeline: %', unknown
            USING ERRCODE = '22023',
                  HINT = format('Its keys are %s.', (SELECT string_agg(t.key, ', ' ORDER BY t.position)
                                                     FROM crm_deals.stage AS t WHERE t.pipeline_id = pipeline));
    END IF;

    PERFORM crm_deals_internal.write_as_caller(callers_path, $write$
        INSERT INTO crm_deals.stage_transition (from_stage_id, to_stage_id)
        SELECT DISTINCT f.id, t.id
        FROM jsonb_array_elements($2) WITH ORDINALITY AS s (stage, number),
             LATERAL jsonb_array_elements_text(s.stage -> 'next') AS n (key)
        JOIN crm_deals.stage AS t ON t.pipeline_id = $1 AND t.key = n.key,
             crm_deals.stage AS f
        WHERE f.pipeline_id = $1 AND f.position = s.number
        $write$, pipeline, stages);
END
$$;

COMMENT ON FUNCTION crm_deals_internal.list_moves(bigint, jsonb, text) IS
    'Internal: lists the moves that the stages of a new pipeline name under next.';

-- create_pipeline() and add_stage() take these words for a status, and an import does so in its column status.
-- access: write
CREATE FUNCTION crm_deals_internal.status_of_word(word text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN w.folded IN ('won', 'gewonnen', 'closedwon') THEN 'won'
        WHEN w.folded IN ('lost', 'verloren', 'closedlost') THEN 'lost'
        WHEN w.folded IN ('abandoned', 'verworfen') THEN 'abandoned'
    END
    FROM (SELECT lower(regexp_replace(word, E'[[:space:]_\\u00a0-]', '', 'g'))) AS w (folded)
$$;

COMMENT ON FUNCTION crm_deals_internal.status_of_word(text) IS
    'Internal: returns the status that a word means, such as won for "Closed Won", or NULL.';

-- access: admin
CREATE FUNCTION crm_deals_internal.status_of_new_stage(key text, name text, status text, probability numeric)
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    meant text := coalesce(crm_deals_internal.status_of_word(key), crm_deals_internal.status_of_word(name));
BEGIN
    IF probability > 0 AND probability < 1 THEN
        RAISE NOTICE 'the probability of stage "%" is % per cent', name, probability
            USING HINT = format('Write %s if you mean %1$s per cent.', trim_scale(probability * 100));
    END IF;
    IF status IS NOT NULL OR meant IS NULL THEN
        RETURN coalesce(status, 'open');
    END IF;
    RAISE NOTICE 'stage "%" gets the status %', name, meant
        USING DETAIL = 'Its key or name says so.', HINT = 'Give it another status if it means something else.';
    RETURN meant;
END
$$;

COMMENT ON FUNCTION crm_deals_internal.status_of_new_stage(text, text, text, numeric) IS
    'Internal: returns the status of a new stage: the one given, else the one that its key or name means, else open.';

-- access: admin
CREATE FUNCTION crm_deals_internal.create_pipeline(name text, stages jsonb, description text, currency text,
                                                   organization text, is_default boolean, gates jsonb,
                                                   callers_path text) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    pipeline bigint;
BEGIN
    PERFORM crm_deals_internal.check_installed();
    stages := coalesce(stages, crm_deals_internal.default_stages());
    gates := coalesce(gates, '{}');
    PERFORM crm_deals_internal.check_pipeline_arguments(stages, gates);
    stages := (SELECT jsonb_agg(s.stage || jsonb_build_object('status', crm_deals_internal.status_of_new_stage(
                          s.stage ->> 'key', s.stage ->> 'name', s.stage ->> 'status',
                          (s.stage ->> 'probability')::numeric)) ORDER BY s.number)
               FROM jsonb_array_elements(stages) WITH ORDINALITY AS s (stage, number));
    PERFORM crm_deals_internal.enter_as_editor();

    pipeline := crm_deals_internal.write_as_caller_returning(callers_path, $write$
        INSERT INTO crm_deals.pipeline (name, description, currency, organization, is_default,
                                        forbid_skipping, forbid_backward, forbid_unlisted)
        VALUES ($1, $2, $3, $4,
                coalesce($5, NOT EXISTS (SELECT FROM crm_deals.pipeline AS p
                                         WHERE p.organization IS NOT DISTINCT FROM $4)),
                coalesce(($6 ->> 'forbid_skipping')::boolean, false),
                coalesce(($6 ->> 'forbid_backward')::boolean, false),
                coalesce(($6 ->> 'forbid_unlisted')::boolean, false))
        RETURNING pipeline.id::text
        $write$, create_pipeline.name, create_pipeline.description, create_pipeline.currency,
        create_pipeline.organization, create_pipeline.is_default, gates);

    PERFORM crm_deals_internal.write_as_caller(callers_path, $write$
        INSERT INTO crm_deals.stage (pipeline_id, position, key, name, labels, description, status, probability,
                                     required_fields, rots_after)
        SELECT $1, s.number, s.stage ->> 'key', s.stage ->> 'name', coalesce(s.stage -> 'labels', '{}'),
               s.stage ->> 'description', (s.stage ->> 'status')::crm_deals.deal_status,
               (s.stage ->> 'probability')::numeric, crm_deals_internal.text_array(s.stage -> 'required_fields'),
               (s.stage ->> 'rots_after')::interval
        FROM jsonb_array_elements($2) WITH ORDINALITY AS s (stage, number)
        ORDER BY s.number
        $write$, pipeline, stages);

    IF jsonb_path_exists(stages, '$[*].next') THEN
        PERFORM crm_deals_internal.list_moves(pipeline, stages, callers_path);
    END IF;
    RETURN pipeline;
END
$$;

COMMENT ON FUNCTION crm_deals_internal.create_pipeline(text, jsonb, text, text, text, boolean, jsonb, text) IS
    'Internal: what crm_deals.create_pipeline() does.';

-- access: admin
CREATE FUNCTION crm_deals_internal.add_stage(pipeline bigint, name text, key text, before_key text,
                                             probability numeric, status text, labels jsonb, required_fields text[],
                                             rots_after interval, callers_path text) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    place integer;
BEGIN
    IF status NOT IN ('open', 'won', 'lost', 'abandoned') THEN
        RAISE EXCEPTION 'a stage cannot have the status %', status
            USING ERRCODE = '22023', HINT = 'The status is open, won, lost or abandoned.';
    END IF;
    status := crm_deals_internal.status_of_new_stage(key, name, status, probability);
    PERFORM crm_deals_internal.lock_out_writers();
    PERFORM FROM crm_deals.pipeline AS p WHERE p.id = pipeline FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        PERFORM crm_deals_internal.raise_unknown_pipeline(pipeline::text);
    END IF;

    IF before_key IS NOT NULL THEN
        SELECT s.position INTO place
        FROM crm_deals.stage AS s
        WHERE s.pipeline_id = pipeline AND s.id = crm_deals_internal.find_stage(pipeline, before_key);
        IF NOT FOUND THEN
            PERFORM crm_deals_internal.raise_unknown_stage(before_key, pipeline);
        END IF;
        PERFORM crm_deals_internal.write_as_caller(callers_path, $write$
            UPDATE crm_deals.stage AS s SET position = s.position + 1 WHERE s.pipeline_id = $1 AND s.position >= $2
            $write$, pipeline, place);
    END IF;

    RETURN crm_deals_internal.write_as_caller_returning(callers_path, $write$
        INSERT INTO crm_deals.stage (pipeline_id, position, key, name, labels, status, probability, required_fields,
                                     rots_after)
        VALUES ($1, $2, $3, $4, coalesce($5, '{}'), $6::crm_deals.deal_status, $7, coalesce($8, '{}'), $9)
        RETURNING stage.id::text
        $write$, pipeline, place, add_stage.key, add_stage.name, add_stage.labels, add_stage.status,
        add_stage.probability, add_stage.required_fields, add_stage.rots_after);
END
$$;

COMMENT ON FUNCTION crm_deals_internal.add_stage(bigint, text, text, text, numeric, text, jsonb, text[], interval,
                                                text) IS
    'Internal: what crm_deals.add_stage() does.';

-- access: admin
CREATE FUNCTION crm_deals_internal.reorder_stages(pipeline bigint, keys text[], callers_path text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    wanted text;
BEGIN
    PERFORM crm_deals_internal.lock_out_writers();
    IF NOT EXISTS (SELECT FROM crm_deals.pipeline AS p WHERE p.id = pipeline) THEN
        PERFORM crm_deals_internal.raise_unknown_pipeline(pipeline::text);
    END IF;

    SELECT string_agg(s.key, ', ' ORDER BY s.position)
    INTO wanted
    FROM crm_deals.stage AS s
    WHERE s.pipeline_id = pipeline AND s.archived_at IS NULL;
    IF keys IS NULL
       OR EXISTS (SELECT FROM crm_deals.stage AS s
                  WHERE s.pipeline_id = pipeline AND s.archived_at IS NULL AND s.key <> ALL (keys))
       OR EXISTS (SELECT FROM unnest(keys) AS k (key)
                  GROUP BY k.key
                  HAVING count(*) > 1
                      OR NOT EXISTS (SELECT FROM crm_deals.stage AS s
                                     WHERE s.pipeline_id = pipeline AND s.key IS NOT DISTINCT FROM k.key)) THEN
        RAISE EXCEPTION 'the keys must name every stage of the pipeline once'
            USING ERRCODE = '22023', HINT = format('Its stages are %s.', wanted);
    END IF;

    -- Archived stages that the keys do not name come last, in their order.
    PERFORM crm_deals_internal.write_as_caller(callers_path, $write$
        UPDATE crm_deals.stage AS s
        SET position = o.place
        FROM (SELECT t.id, row_number() OVER (ORDER BY array_position($2, t.key) NULLS LAST, t.position) AS place
              FROM crm_deals.stage AS t
              WHERE t.pipeline_id = $1) AS o
        WHERE s.id = o.id AND s.position <> o.place
        $write$, pipeline, keys);
END
$$;

COMMENT ON FUNCTION crm_deals_internal.reorder_stages(bigint, text[], text) IS
    'Internal: what crm_deals.reorder_stages() does.';

-- access: admin
CREATE FUNCTION crm_deals_internal.remove_stage(stage bigint, move_deals_to bigint, callers_path text) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    removed record;
    deals bigint[];
    target record;
    batch bigint;
    moved bigint := 0;
BEGIN
    PERFORM crm_deals_internal.lock_out_writers();
    SELECT s.name, s.status INTO removed FROM crm_deals.stage AS s WHERE s.id = stage FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM crm_deals_internal.raise_unknown_stage(stage::text, NULL);
    END IF;
    IF move_deals_to = stage THEN
        RAISE EXCEPTION 'deals cannot move to the stage that is removed' USING ERRCODE = '22023';
    END IF;
    SELECT s.name, s.status INTO target FROM crm_deals.stage AS s WHERE s.id = move_deals_to;
    IF NOT FOUND AND move_deals_to IS NOT NULL THEN
        PERFORM crm_deals_internal.raise_unknown_stage(move_deals_to::text, NULL);
    END IF;

    SELECT array_agg(d.id ORDER BY d.id) INTO deals FROM crm_deals.deal AS d WHERE d.stage_id = stage;
    IF deals IS NOT NULL AND move_deals_to IS NULL THEN
        RAISE EXCEPTION 'stage "%" holds deals', removed.name
            USING ERRCODE = '23503', SCHEMA = 'crm_deals', TABLE = 'deal', CONSTRAINT = 'deal_stage_fkey',
                  HINT = 'Say where they go: remove_stage(stage, move_deals_to).';
    ELSIF deals IS NOT NULL AND target.status <> removed.status THEN
        RAISE EXCEPTION 'the deals of stage "%" cannot move to stage "%" with it', removed.name, target.name
            USING ERRCODE = '23514', SCHEMA = 'crm_deals', TABLE = 'deal', COLUMN = 'status',
                  CONSTRAINT = 'deal_status_matches_stage',
                  DETAIL = format('They are %s, and would be %s.', removed.status, target.status),
                  HINT = 'Name a stage of the same status, or move the deals before.';
    ELSIF deals IS NOT NULL THEN
        batch := crm_deals_internal.move(deals, move_deals_to, NULL, NULL, NULL,
                                         format('stage "%s" removed', removed.name), callers_path);
        moved := (SELECT count(*) FROM crm_deals.deal_event AS e WHERE e.id >= batch AND e.batch_id = batch);
    END IF;
    IF crm_deals_internal.stage_holds_deals(stage) THEN
        RAISE EXCEPTION 'stage "%" still holds deals', removed.name
            USING ERRCODE = '23503', SCHEMA = 'crm_deals', TABLE = 'deal', CONSTRAINT = 'deal_stage_fkey',
                  HINT = 'They are hidden by row security, newer than the transaction, or held back by a trigger.';
    END IF;

    IF crm_deals_internal.stage_is_logged(stage) THEN
        PERFORM crm_deals_internal.write_as_caller(
            callers_path, 'UPDATE crm_deals.stage AS s SET archived_at = now() WHERE s.id = $1', stage);
    ELSE
        PERFORM crm_deals_internal.write_as_caller(
            callers_path, 'DELETE FROM crm_deals.stage AS s WHERE s.id = $1', stage);
    END IF;
    RETURN moved;
END
$$;

COMMENT ON FUNCTION crm_deals_internal.remove_stage(bigint, bigint, text) IS
    'Internal: what crm_deals.remove_stage() does.';
