-- The trigger functions of sql/schema/triggers.sql and what they share.

-- access: owner
CREATE FUNCTION crm_deals_internal.deal_begin() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'crm_deals_deal_begin';
COMMENT ON FUNCTION crm_deals_internal.deal_begin() IS
    'Trigger: from here to commit no stage changes that this writer of deals goes by.';

-- access: owner
CREATE FUNCTION crm_deals_internal.deal_rules() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'crm_deals_deal_rules';
COMMENT ON FUNCTION crm_deals_internal.deal_rules() IS
    'Trigger: derives what a deal owes to its stage, refuses statements that contradict it.';

-- access: owner
CREATE FUNCTION crm_deals_internal.deal_capture() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'crm_deals_deal_capture';
COMMENT ON FUNCTION crm_deals_internal.deal_capture() IS
    'Trigger: judges the rows really written, logs one event a change, notifies.';

-- access: owner
CREATE FUNCTION crm_deals_internal.append_only() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'crm_deals_append_only';
COMMENT ON FUNCTION crm_deals_internal.append_only() IS
    'Trigger: refuses changes of the log and TRUNCATE of deals.';

-- access: owner
CREATE FUNCTION crm_deals_internal.edit_begin() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'crm_deals_edit_begin';
COMMENT ON FUNCTION crm_deals_internal.edit_begin() IS
    'Trigger: one editor of stages and pipelines at a time; writers of deals do not wait.';

-- access: owner
CREATE FUNCTION crm_deals_internal.lock_before_change() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'crm_deals_lock_before_change';
COMMENT ON FUNCTION crm_deals_internal.lock_before_change() IS
    'Trigger: waits for writers of deals and holds new ones until commit.';

-- access: owner
CREATE FUNCTION crm_deals_internal.stage_rules() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'crm_deals_stage_rules';
COMMENT ON FUNCTION crm_deals_internal.stage_rules() IS
    'Trigger: checks a stage; locks out writers where they must see the change.';

-- access: owner
CREATE FUNCTION crm_deals_internal.rederive_deals() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'crm_deals_rederive_deals';
COMMENT ON FUNCTION crm_deals_internal.rederive_deals() IS
    'Trigger: deals follow the status and the probability of their stage.';

-- access: owner
CREATE FUNCTION crm_deals_internal.pipeline_rules() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'crm_deals_pipeline_rules';
COMMENT ON FUNCTION crm_deals_internal.pipeline_rules() IS
    'Trigger: checks a pipeline; locks out writers where they must see the change.';

-- access: owner
CREATE FUNCTION crm_deals_internal.currency_rules() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'crm_deals_currency_rules';
COMMENT ON FUNCTION crm_deals_internal.currency_rules() IS
    'Trigger: the currencies of an exchange rate are ISO 4217 codes.';

-- access: owner
CREATE FUNCTION crm_deals_internal.custom_field_rules() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'crm_deals_custom_field_rules';
COMMENT ON FUNCTION crm_deals_internal.custom_field_rules() IS
    'Trigger: custom fields of a lead, account or contact against their definitions.';

-- access: owner
CREATE FUNCTION crm_deals_internal.forget_pipelines() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'crm_deals_forget_pipelines';
COMMENT ON FUNCTION crm_deals_internal.forget_pipelines() IS
    'Trigger: every backend reads pipelines, stages and custom fields anew.';

-- access: read
CREATE FUNCTION crm_deals_internal.check_installed() RETURNS void
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_deals_check_installed';
COMMENT ON FUNCTION crm_deals_internal.check_installed() IS
    'Internal: an error that says to run install() where the tables are missing.';

-- access: admin
CREATE FUNCTION crm_deals_internal.stage_is_logged(stage bigint) RETURNS boolean
LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'crm_deals_stage_is_logged';
COMMENT ON FUNCTION crm_deals_internal.stage_is_logged(bigint) IS
    'Internal: whether the log mentions a stage, as committed now.';

-- access: admin
CREATE FUNCTION crm_deals_internal.stage_holds_deals(stage bigint) RETURNS boolean
LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'crm_deals_stage_holds_deals';
COMMENT ON FUNCTION crm_deals_internal.stage_holds_deals(bigint) IS
    'Internal: whether a deal is in a stage, as committed now and whoever may see it.';

-- access: admin
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
    'Internal: what a writer of deals does before it locks a row.';

-- access: admin
CREATE FUNCTION crm_deals_internal.enter_as_editor() RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'crm_deals_enter_as_editor';
COMMENT ON FUNCTION crm_deals_internal.enter_as_editor() IS
    'Internal: what an editor of stages and pipelines does before it locks a row.';

-- access: admin
CREATE FUNCTION crm_deals_internal.lock_out_writers() RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'crm_deals_lock_out_writers';
COMMENT ON FUNCTION crm_deals_internal.lock_out_writers() IS
    'Internal: waits for writers of deals and holds new ones until commit.';
