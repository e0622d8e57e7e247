-- Duplicates: deals whose names are similar, by similarity() of pg_trgm (src/duplicates/README.md).

-- access: public
CREATE FUNCTION crm_deals_internal.similarity(a text, b text) RETURNS real
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_deals_similarity';
COMMENT ON FUNCTION crm_deals_internal.similarity(text, text) IS
    'Internal: returns what similarity() of pg_trgm returns, in whatever schema that is.';

-- The index of names: its operator class.

-- access: public
CREATE FUNCTION crm_deals_internal.signatures(organization text, name text, threshold real, made_for text)
RETURNS bigint[]
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 100
AS 'MODULE_PATHNAME', 'crm_deals_signatures';
COMMENT ON FUNCTION crm_deals_internal.signatures(text, text, real, text) IS
    'Internal: the keys of a name; two names whose similarity reaches the threshold share at least one.';

-- access: public
CREATE FUNCTION crm_deals_internal.signatures_meet(signatures bigint[], query bigint[]) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 100
AS 'MODULE_PATHNAME', 'crm_deals_signatures_meet';
COMMENT ON FUNCTION crm_deals_internal.signatures_meet(bigint[], bigint[]) IS
    'Internal: returns whether the name with these signatures can be similar to the name of the query.';

-- access: public
CREATE FUNCTION crm_deals_internal.signature_query(
    query bigint[], internal, smallint, internal, internal, internal, internal
) RETURNS internal
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_deals_signature_query';
COMMENT ON FUNCTION crm_deals_internal.signature_query(
    bigint[], internal, smallint, internal, internal, internal, internal
) IS 'Internal: extractQuery of GIN, returns the look-ups of a query.';

-- access: public
CREATE FUNCTION crm_deals_internal.signature_consistent(
    internal, smallint, bigint[], integer, internal, internal, internal, internal
) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_deals_signature_consistent';
COMMENT ON FUNCTION crm_deals_internal.signature_consistent(
    internal, smallint, bigint[], integer, internal, internal, internal, internal
) IS 'Internal: consistent of GIN, is true if at least one look-up succeeds.';

-- access: public
CREATE FUNCTION crm_deals_internal.signature_compare_partial(bigint, bigint, smallint, internal)
RETURNS integer
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_deals_signature_compare_partial';
COMMENT ON FUNCTION crm_deals_internal.signature_compare_partial(bigint, bigint, smallint, internal) IS
    'Internal: comparePartial of GIN, says whether the name behind a key can match.';

CREATE OPERATOR crm_deals_internal.&&~ (
    LEFTARG = bigint[], RIGHTARG = bigint[], FUNCTION = crm_deals_internal.signatures_meet
);
COMMENT ON OPERATOR crm_deals_internal.&&~ (bigint[], bigint[]) IS
    'Internal: returns whether the name with these signatures can be similar to the name of the query.';

CREATE OPERATOR CLASS crm_deals_internal.signature_ops FOR TYPE bigint[] USING gin AS
    OPERATOR 1 crm_deals_internal.&&~ (bigint[], bigint[]),
    FUNCTION 1 pg_catalog.btint8cmp(bigint, bigint),
    FUNCTION 2 pg_catalog.ginarrayextract(anyarray, internal, internal),
    FUNCTION 3 crm_deals_internal.signature_query(
        bigint[], internal, smallint, internal, internal, internal, internal),
    FUNCTION 4 crm_deals_internal.signature_consistent(
        internal, smallint, bigint[], integer, internal, internal, internal, internal),
    FUNCTION 5 crm_deals_internal.signature_compare_partial(bigint, bigint, smallint, internal),
    STORAGE bigint;
COMMENT ON OPERATOR CLASS crm_deals_internal.signature_ops USING gin IS
    'Internal: the operator class of the index of names.';

-- access: public
CREATE FUNCTION crm_deals_internal.trigram_canary() RETURNS bigint
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_deals_trigram_canary';
COMMENT ON FUNCTION crm_deals_internal.trigram_canary() IS
    'Internal: a number that changes if pg_trgm makes other trigrams of the same letters.';

-- Everything that signatures depend on. The column that names the locale of a database has different names in
-- different major versions.
-- access: public
CREATE FUNCTION crm_deals_internal.made_for() RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat_ws('/', '1', current_setting('server_version_num')::integer / 10000, getdatabaseencoding(),
                     d.datlocprovider, d.datctype, to_jsonb(d) ->> 'daticulocale', to_jsonb(d) ->> 'datlocale',
                     pg_database_collation_actual_version(d.oid),
                     (SELECT e.extversion FROM pg_extension AS e WHERE e.extname = 'pg_trgm'),
                     crm_deals_internal.trigram_canary())
    FROM pg_database AS d
    WHERE d.datname = current_database()
$$;
COMMENT ON FUNCTION crm_deals_internal.made_for() IS
    'Internal: what the index of names is made for: locale, encoding and versions, as one text.';

-- access: public
CREATE FUNCTION crm_deals_internal.keep_names() RETURNS trigger
LANGUAGE c
AS 'MODULE_PATHNAME', 'crm_deals_keep_names';
COMMENT ON FUNCTION crm_deals_internal.keep_names() IS
    'Internal: trigger of pipeline, begins or ends to keep the names of an organization''s deals in deal_name.';

-- Runs as the owner of the tables. A lower threshold makes more signatures; below 0.6 there are so many that it is no
-- slower to compare every name.
-- access: public
CREATE FUNCTION crm_deals_internal.rebuild_duplicates() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lowest real := (SELECT min(p.duplicate_threshold) FROM crm_deals.pipeline AS p WHERE p.duplicate_policy <> 'off');
    threshold real := greatest(0.6::real, least(lowest, 0.85::real));
BEGIN
    PERFORM crm_deals_internal.check_acts_as_owner();
    TRUNCATE crm_deals.deal_name;
    DROP INDEX IF EXISTS crm_deals.deal_name_signatures;
    INSERT INTO crm_deals.deal_name (deal_id, organization, name)
    SELECT d.id, d.organization, d.name
    FROM crm_deals.deal AS d
    WHERE EXISTS (SELECT FROM crm_deals.pipeline AS p
                  WHERE p.organization IS NOT DISTINCT FROM d.organization AND p.duplicate_policy <> 'off');
    EXECUTE crm_deals_internal.fill(crm_deals_internal.schema('name_index'),
                            jsonb_build_object('threshold', quote_literal(threshold),
                                               'made_for', quote_literal(crm_deals_internal.made_for())));
END
$$;
COMMENT ON FUNCTION crm_deals_internal.rebuild_duplicates() IS
    'Internal: makes deal_name and its index anew, for this server and for the lowest threshold in use.';

-- Finding and scanning.

-- access: public
CREATE FUNCTION crm_deals_internal.names_are_missing() RETURNS boolean
LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'crm_deals_names_are_missing';
COMMENT ON FUNCTION crm_deals_internal.names_are_missing() IS
    'Internal: returns whether deal_name lacks names of deals, as after a restore without its rows.';

-- access: read
CREATE FUNCTION crm_deals_internal.similar_deals(name text, threshold real, max_results integer, pipeline bigint)
RETURNS TABLE (deal_id bigint, deal_name text, similarity real)
LANGUAGE c STABLE
AS 'MODULE_PATHNAME', 'crm_deals_similar_deals';
COMMENT ON FUNCTION crm_deals_internal.similar_deals(text, real, integer, bigint) IS
    'Internal: find_duplicates(), for the id of a pipeline.';

-- access: read
CREATE FUNCTION crm_deals_internal.find_duplicates(name text, threshold real, max_results integer, pipeline text)
RETURNS TABLE (deal_id bigint, deal_name text, similarity real)
LANGUAGE plpgsql STABLE COST 1000 ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM crm_deals_internal.check_installed();
    IF max_results < 0 THEN
        RAISE EXCEPTION 'max_results cannot be negative' USING ERRCODE = '22023';
    END IF;
    RETURN QUERY
    SELECT s.deal_id, s.deal_name, s.similarity
    FROM crm_deals_internal.similar_deals(
        name, threshold, max_results,
        coalesce(crm_deals_internal.find_pipeline(pipeline), crm_deals_internal.default_pipeline())) AS s;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.find_duplicates(text, real, integer, text) IS
    'Internal: what crm_deals.find_duplicates() does.';

-- Flagging and dismissing.

-- access: admin
CREATE FUNCTION crm_deals_internal.flag_similar_deals(pipeline bigint) RETURNS bigint
LANGUAGE c
AS 'MODULE_PATHNAME', 'crm_deals_flag_duplicates';
COMMENT ON FUNCTION crm_deals_internal.flag_similar_deals(bigint) IS
    'Internal: flag_duplicates(), for the id of a pipeline, or for all pipelines if it is NULL.';

-- access: admin
CREATE FUNCTION crm_deals_internal.flag_duplicates(pipeline text) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM crm_deals_internal.check_installed();
    RETURN crm_deals_internal.flag_similar_deals(crm_deals_internal.find_pipeline(pipeline));
END
$$;
COMMENT ON FUNCTION crm_deals_internal.flag_duplicates(text) IS
    'Internal: what crm_deals.flag_duplicates() does.';
