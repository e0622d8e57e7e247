-- The trigger functions of sql/schema/triggers.sql, and what they share.

-- access: public
CREATE FUNCTION crm_deals_internal.deal_begin() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'crm_deals_deal_begin';
COMMENT ON FUNCTION crm_deals_internal.deal_begin() IS
    'Trigger: keeps stages from changing until the writer of deals commits.';

-- access: public
CREATE FUNCTION crm_deals_internal.deal_rules() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'crm_deals_deal_rules';
COMMENT ON FUNCTION crm_deals_internal.deal_rules() IS
    'Trigger: derives what follows from the stage of a deal, and refuses a statement that contradicts it.';

-- access: public
CREATE FUNCTION crm_deals_internal.deal_delete() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'crm_deals_deal_delete';
COMMENT ON FUNCTION crm_deals_internal.deal_delete() IS
    'Trigger: refuses to delete deals through a parent of their table.';

-- access: public
CREATE FUNCTION crm_deals_internal.deal_capture() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'crm_deals_deal_capture';
COMMENT ON FUNCTION crm_deals_internal.deal_capture() IS
    'Trigger: judges the rows that were really written, logs an event for each change, and notifies.';

-- access: public
CREATE FUNCTION crm_deals_internal.append_only() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'crm_deals_append_only';
COMMENT ON FUNCTION crm_deals_internal.append_only() IS
    'Trigger: refuses changes of the log, and TRUNCATE of deals.';

-- access: public
CREATE FUNCTION crm_deals_internal.append_only_row() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'crm_deals_append_only_row';
COMMENT ON FUNCTION crm_deals_internal.append_only_row() IS
    'Trigger: refuses changes of the log through a parent of it.';

-- access: public
CREATE FUNCTION crm_deals_internal.activity_out_of_bounds() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM crm_deals_internal.check_trigger_table(tg_relid, 'activity');
    IF new.done_at < '1900-01-01 00:00:00+00' OR new.done_at > now() + interval '1 day' THEN
        RAISE EXCEPTION 'done_at is out of bounds'
            USING ERRCODE = '23514', DETAIL = 'It is a moment between 1900 and tomorrow.', SCHEMA = TG_TABLE_SCHEMA,
                  TABLE = TG_TABLE_NAME, COLUMN = 'done_at', CONSTRAINT = 'deal_bounds';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.activity_out_of_bounds() IS
    'Trigger: refuses an activity that was done before 1900 or will be done later than tomorrow.';

-- access: public
CREATE FUNCTION crm_deals_internal.fill_nulls() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'crm_deals_fill_nulls';
COMMENT ON FUNCTION crm_deals_internal.fill_nulls() IS
    'Trigger: puts the default, or on UPDATE the old value, in place of NULL. Its arguments are the columns.';

-- access: public
CREATE FUNCTION crm_deals_internal.edit_begin() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'crm_deals_edit_begin';
COMMENT ON FUNCTION crm_deals_internal.edit_begin() IS
    'Trigger: lets one editor of stages and pipelines in at a time. Writers of deals do not wait.';

-- access: public
CREATE FUNCTION crm_deals_internal.lock_before_change() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'crm_deals_lock_before_change';
COMMENT ON FUNCTION crm_deals_internal.lock_before_change() IS
    'Trigger: waits for writers of deals, and holds new ones off until commit.';

-- access: public
CREATE FUNCTION crm_deals_internal.stage_rules() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'crm_deals_stage_rules';
COMMENT ON FUNCTION crm_deals_internal.stage_rules() IS
    'Trigger: checks a stage, and locks writers out if they must see the change.';

-- access: public
CREATE FUNCTION crm_deals_internal.rederive_deals() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'crm_deals_rederive_deals';
COMMENT ON FUNCTION crm_deals_internal.rederive_deals() IS
    'Trigger: makes deals follow the status and the probability of their stage.';

-- access: public
CREATE FUNCTION crm_deals_internal.stages_given_up() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'crm_deals_stages_given_up';
COMMENT ON FUNCTION crm_deals_internal.stages_given_up() IS
    'Trigger: refuses to archive a stage that holds deals, and to take the last open or won stage from a pipeline.';

-- access: public
CREATE FUNCTION crm_deals_internal.rename_lost_reasons() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'crm_deals_rename_lost_reasons';
COMMENT ON FUNCTION crm_deals_internal.rename_lost_reasons() IS
    'Trigger: gives deals the new name of a lost reason that is renamed.';

-- access: public
CREATE FUNCTION crm_deals_internal.pipeline_rules() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'crm_deals_pipeline_rules';
COMMENT ON FUNCTION crm_deals_internal.pipeline_rules() IS
    'Trigger: checks a pipeline, and locks writers out if they must see the change.';

-- access: public
CREATE FUNCTION crm_deals_internal.clear_other_default() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'crm_deals_clear_other_default';
COMMENT ON FUNCTION crm_deals_internal.clear_other_default() IS
    'Trigger: when a pipeline becomes the default, the former default stops being it.';

-- access: public
CREATE FUNCTION crm_deals_internal.currency_rules() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'crm_deals_currency_rules';
COMMENT ON FUNCTION crm_deals_internal.currency_rules() IS
    'Trigger: refuses an exchange rate whose currencies are not ISO 4217 codes.';

-- access: public
CREATE FUNCTION crm_deals_internal.custom_field_rules() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'crm_deals_custom_field_rules';
COMMENT ON FUNCTION crm_deals_internal.custom_field_rules() IS
    'Trigger: checks custom fields of a lead, an account or a contact against their definitions.';

-- access: public
CREATE FUNCTION crm_deals_internal.forget_pipelines() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'crm_deals_forget_pipelines';
COMMENT ON FUNCTION crm_deals_internal.forget_pipelines() IS
    'Trigger: makes every backend read pipelines, stages and custom fields again.';

-- access: read
CREATE FUNCTION crm_deals_internal.is_blank(value text) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_deals_is_blank';
COMMENT ON FUNCTION crm_deals_internal.is_blank(text) IS
    'Internal: returns whether nothing is seen of a text: it is empty, or of blanks and other invisible characters.';

-- access: public
CREATE FUNCTION crm_deals_internal.check_installed() RETURNS void
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_deals_check_installed';
COMMENT ON FUNCTION crm_deals_internal.check_installed() IS
    'Internal: raises an error that names install() if the tables are missing.';

-- Called by functions that do the work of a public function as the owner of the tables.
-- access: public
CREATE FUNCTION crm_deals_internal.check_acts_as_owner() RETURNS void
LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'crm_deals_check_acts_as_owner';
COMMENT ON FUNCTION crm_deals_internal.check_acts_as_owner() IS
    'Internal: raises an error unless the current user has the rights of the owner of the tables.';

-- access: admin
CREATE FUNCTION crm_deals_internal.stage_is_logged(stage bigint) RETURNS boolean
LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'crm_deals_stage_is_logged';
COMMENT ON FUNCTION crm_deals_internal.stage_is_logged(bigint) IS
    'Internal: returns whether the log mentions a stage, as committed now.';

-- access: admin
CREATE FUNCTION crm_deals_internal.stage_holds_deals(stage bigint) RETURNS boolean
LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'crm_deals_stage_holds_deals';
COMMENT ON FUNCTION crm_deals_internal.stage_holds_deals(bigint) IS
    'Internal: returns whether a stage holds any deal, as committed now, also one that the caller cannot see.';

-- access: public
CREATE FUNCTION crm_deals_internal.lock_targets() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'crm_deals_lock_targets';
COMMENT ON FUNCTION crm_deals_internal.lock_targets() IS
    'Trigger: waits for writers of targets, and holds new ones off until commit.';

-- access: public
CREATE FUNCTION crm_deals_internal.target_organization() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'crm_deals_target_organization';
COMMENT ON FUNCTION crm_deals_internal.target_organization() IS
    'Trigger: gives a target of a pipeline the pipeline''s organization if it has none.';

-- access: public
CREATE FUNCTION crm_deals_internal.target_rules() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'crm_deals_target_rules';
COMMENT ON FUNCTION crm_deals_internal.target_rules() IS
    'Trigger: refuses a target that overlaps another, of a wrong currency or of another organization than its '
    'pipeline.';

-- access: public
CREATE FUNCTION crm_deals_internal.check_trigger_table(called_for oid, belongs_to text) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF called_for IS DISTINCT FROM to_regclass('crm_deals.' || belongs_to) THEN
        RAISE EXCEPTION 'this trigger function belongs to crm_deals.%', belongs_to USING ERRCODE = '39P01';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.check_trigger_table(oid, text) IS
    'Internal: refuses a trigger function on any relation but the installed one.';

-- access: write
CREATE FUNCTION crm_deals_internal.enter_as_writer() RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'crm_deals_enter_as_writer';
COMMENT ON FUNCTION crm_deals_internal.enter_as_writer() IS
    'Internal: does what a writer of deals must do before it locks a row.';

-- access: admin
CREATE FUNCTION crm_deals_internal.enter_as_editor() RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'crm_deals_enter_as_editor';
COMMENT ON FUNCTION crm_deals_internal.enter_as_editor() IS
    'Internal: does what an editor of stages and pipelines must do before it locks a row.';

-- access: admin
CREATE FUNCTION crm_deals_internal.lock_out_writers() RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'crm_deals_lock_out_writers';
COMMENT ON FUNCTION crm_deals_internal.lock_out_writers() IS
    'Internal: waits for writers of deals, and holds new ones off until commit.';
