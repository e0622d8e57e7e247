-- All triggers of the product. They are ordinary ones: under session_replication_role = replica they stay off, as
-- section 4 of the contract says.

-- deal: wait for changes of stages, derive, then judge, log and notify.
-- The name of the trigger that derives sorts late, so that a user's own BEFORE triggers fire first.
CREATE OR REPLACE TRIGGER crm_deals_begin BEFORE INSERT OR UPDATE OR DELETE ON crm_deals.deal
    FOR EACH STATEMENT EXECUTE FUNCTION crm_deals_internal.deal_begin();
CREATE OR REPLACE TRIGGER zz_crm_deals_rules BEFORE INSERT OR UPDATE ON crm_deals.deal
    FOR EACH ROW EXECUTE FUNCTION crm_deals_internal.deal_rules();
-- A statement that deletes deals through a parent of their table fires no other trigger of ours.
CREATE OR REPLACE TRIGGER crm_deals_delete BEFORE DELETE ON crm_deals.deal
    FOR EACH ROW EXECUTE FUNCTION crm_deals_internal.deal_delete();
CREATE OR REPLACE TRIGGER crm_deals_capture_insert AFTER INSERT ON crm_deals.deal
    REFERENCING NEW TABLE AS new_deals
    FOR EACH STATEMENT EXECUTE FUNCTION crm_deals_internal.deal_capture();
CREATE OR REPLACE TRIGGER crm_deals_capture_update AFTER UPDATE ON crm_deals.deal
    REFERENCING OLD TABLE AS old_deals NEW TABLE AS new_deals
    FOR EACH STATEMENT EXECUTE FUNCTION crm_deals_internal.deal_capture();
CREATE OR REPLACE TRIGGER crm_deals_capture_delete AFTER DELETE ON crm_deals.deal
    REFERENCING OLD TABLE AS old_deals
    FOR EACH STATEMENT EXECUTE FUNCTION crm_deals_internal.deal_capture();
CREATE OR REPLACE TRIGGER crm_deals_no_truncate BEFORE TRUNCATE ON crm_deals.deal
    FOR EACH STATEMENT EXECUTE FUNCTION crm_deals_internal.append_only();

-- deal_event: nobody changes it, not even its owner.
CREATE OR REPLACE TRIGGER crm_deals_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON crm_deals.deal_event
    FOR EACH STATEMENT EXECUTE FUNCTION crm_deals_internal.append_only();
CREATE OR REPLACE TRIGGER crm_deals_append_only_row BEFORE UPDATE OR DELETE ON crm_deals.deal_event
    FOR EACH ROW EXECUTE FUNCTION crm_deals_internal.append_only_row();

-- A NULL where none may be says nothing: the row gets the default, or keeps its value. The name sorts late, as above.
CREATE OR REPLACE TRIGGER zz_crm_deals_nulls BEFORE INSERT OR UPDATE ON crm_deals.activity
    FOR EACH ROW EXECUTE FUNCTION crm_deals_internal.fill_nulls('occurred_at');
CREATE OR REPLACE TRIGGER zz_crm_deals_nulls BEFORE INSERT OR UPDATE ON crm_deals.lead
    FOR EACH ROW EXECUTE FUNCTION crm_deals_internal.fill_nulls('custom_fields', 'created_at', 'status');

-- activity: a moment that reports could not bear is refused when it is written; one from before stays. WHEN is short,
-- since every move evaluates it for its note.
CREATE OR REPLACE TRIGGER crm_deals_bounds AFTER INSERT ON crm_deals.activity
    FOR EACH ROW WHEN (new.done_at IS NOT NULL)
    EXECUTE FUNCTION crm_deals_internal.activity_out_of_bounds();
CREATE OR REPLACE TRIGGER crm_deals_bounds_of_change AFTER UPDATE ON crm_deals.activity
    FOR EACH ROW WHEN (new.done_at IS DISTINCT FROM old.done_at)
    EXECUTE FUNCTION crm_deals_internal.activity_out_of_bounds();

-- stage: writers of deals wait for changes that they must see, and deals follow their stage.
CREATE OR REPLACE TRIGGER crm_deals_begin BEFORE UPDATE ON crm_deals.stage
    FOR EACH STATEMENT EXECUTE FUNCTION crm_deals_internal.edit_begin();
CREATE OR REPLACE TRIGGER crm_deals_lock BEFORE INSERT OR DELETE ON crm_deals.stage
    FOR EACH STATEMENT EXECUTE FUNCTION crm_deals_internal.lock_before_change();
CREATE OR REPLACE TRIGGER crm_deals_defaults BEFORE INSERT ON crm_deals.stage
    FOR EACH ROW EXECUTE FUNCTION crm_deals_internal.stage_defaults();
CREATE OR REPLACE TRIGGER zz_crm_deals_rules BEFORE INSERT OR UPDATE ON crm_deals.stage
    FOR EACH ROW EXECUTE FUNCTION crm_deals_internal.stage_rules();
CREATE OR REPLACE TRIGGER crm_deals_rules_again AFTER INSERT OR UPDATE ON crm_deals.stage
    FOR EACH ROW EXECUTE FUNCTION crm_deals_internal.stage_rules();
CREATE OR REPLACE TRIGGER crm_deals_rederive AFTER UPDATE ON crm_deals.stage
    REFERENCING OLD TABLE AS old_stages NEW TABLE AS new_stages
    FOR EACH STATEMENT EXECUTE FUNCTION crm_deals_internal.rederive_deals();
CREATE OR REPLACE TRIGGER crm_deals_archived AFTER UPDATE ON crm_deals.stage
    REFERENCING OLD TABLE AS old_stages NEW TABLE AS new_stages
    FOR EACH STATEMENT EXECUTE FUNCTION crm_deals_internal.stages_given_up();
CREATE OR REPLACE TRIGGER crm_deals_removed AFTER DELETE ON crm_deals.stage
    REFERENCING OLD TABLE AS old_stages
    FOR EACH STATEMENT EXECUTE FUNCTION crm_deals_internal.stages_given_up();
CREATE OR REPLACE TRIGGER crm_deals_name AFTER UPDATE ON crm_deals.stage
    FOR EACH ROW WHEN ((old.key, old.name) IS DISTINCT FROM (new.key, new.name))
    EXECUTE FUNCTION crm_deals_internal.keep_stage_name();

-- pipeline
CREATE OR REPLACE TRIGGER crm_deals_begin BEFORE INSERT OR UPDATE OR DELETE ON crm_deals.pipeline
    FOR EACH STATEMENT EXECUTE FUNCTION crm_deals_internal.edit_begin();
CREATE OR REPLACE TRIGGER crm_deals_default BEFORE INSERT OR UPDATE ON crm_deals.pipeline
    FOR EACH ROW WHEN (new.is_default) EXECUTE FUNCTION crm_deals_internal.clear_other_default();
CREATE OR REPLACE TRIGGER zz_crm_deals_rules BEFORE INSERT OR UPDATE ON crm_deals.pipeline
    FOR EACH ROW EXECUTE FUNCTION crm_deals_internal.pipeline_rules();
CREATE OR REPLACE TRIGGER crm_deals_rules_again AFTER INSERT OR UPDATE ON crm_deals.pipeline
    FOR EACH ROW EXECUTE FUNCTION crm_deals_internal.pipeline_rules();

-- deal_name is kept if a pipeline of the organization looks for duplicates.
CREATE OR REPLACE TRIGGER crm_deals_names_kept AFTER INSERT ON crm_deals.pipeline
    FOR EACH ROW WHEN (new.duplicate_policy <> 'off') EXECUTE FUNCTION crm_deals_internal.keep_names();
CREATE OR REPLACE TRIGGER crm_deals_names_kept_or_not AFTER UPDATE ON crm_deals.pipeline
    FOR EACH ROW WHEN ((old.duplicate_policy = 'off') <> (new.duplicate_policy = 'off'))
    EXECUTE FUNCTION crm_deals_internal.keep_names();
CREATE OR REPLACE TRIGGER crm_deals_names_not_kept AFTER DELETE ON crm_deals.pipeline
    FOR EACH ROW WHEN (old.duplicate_policy <> 'off') EXECUTE FUNCTION crm_deals_internal.keep_names();

-- Deals follow a lost reason that is renamed.
CREATE OR REPLACE TRIGGER crm_deals_begin BEFORE UPDATE ON crm_deals.lost_reason
    FOR EACH STATEMENT EXECUTE FUNCTION crm_deals_internal.edit_begin();
CREATE OR REPLACE TRIGGER crm_deals_renamed AFTER UPDATE ON crm_deals.lost_reason
    REFERENCING OLD TABLE AS old_reasons NEW TABLE AS new_reasons
    FOR EACH STATEMENT EXECUTE FUNCTION crm_deals_internal.rename_lost_reasons();

-- The listed moves are gates too.
CREATE OR REPLACE TRIGGER crm_deals_lock BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm_deals.stage_transition
    FOR EACH STATEMENT EXECUTE FUNCTION crm_deals_internal.lock_before_change();

-- Backends keep a cache of these tables. The triggers invalidate it before and after a statement
-- (src/config/pipeline_cache.c).
CREATE OR REPLACE TRIGGER crm_deals_changing BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm_deals.pipeline
    FOR EACH STATEMENT EXECUTE FUNCTION crm_deals_internal.forget_pipelines();
CREATE OR REPLACE TRIGGER crm_deals_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm_deals.pipeline
    FOR EACH STATEMENT EXECUTE FUNCTION crm_deals_internal.forget_pipelines();
CREATE OR REPLACE TRIGGER crm_deals_changing BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm_deals.stage
    FOR EACH STATEMENT EXECUTE FUNCTION crm_deals_internal.forget_pipelines();
CREATE OR REPLACE TRIGGER crm_deals_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm_deals.stage
    FOR EACH STATEMENT EXECUTE FUNCTION crm_deals_internal.forget_pipelines();
CREATE OR REPLACE TRIGGER crm_deals_changing BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm_deals.stage_transition
    FOR EACH STATEMENT EXECUTE FUNCTION crm_deals_internal.forget_pipelines();
CREATE OR REPLACE TRIGGER crm_deals_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm_deals.stage_transition
    FOR EACH STATEMENT EXECUTE FUNCTION crm_deals_internal.forget_pipelines();
CREATE OR REPLACE TRIGGER crm_deals_changing BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm_deals.lost_reason
    FOR EACH STATEMENT EXECUTE FUNCTION crm_deals_internal.forget_pipelines();
CREATE OR REPLACE TRIGGER crm_deals_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm_deals.lost_reason
    FOR EACH STATEMENT EXECUTE FUNCTION crm_deals_internal.forget_pipelines();
CREATE OR REPLACE TRIGGER crm_deals_changing BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm_deals.custom_field
    FOR EACH STATEMENT EXECUTE FUNCTION crm_deals_internal.forget_pipelines();
CREATE OR REPLACE TRIGGER crm_deals_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm_deals.custom_field
    FOR EACH STATEMENT EXECUTE FUNCTION crm_deals_internal.forget_pipelines();
-- The cache knows whether there is any consumer, not how far it has read.
CREATE OR REPLACE TRIGGER crm_deals_changing BEFORE INSERT OR DELETE OR TRUNCATE ON crm_deals.event_consumer
    FOR EACH STATEMENT EXECUTE FUNCTION crm_deals_internal.forget_pipelines();
CREATE OR REPLACE TRIGGER crm_deals_changed AFTER INSERT OR DELETE OR TRUNCATE ON crm_deals.event_consumer
    FOR EACH STATEMENT EXECUTE FUNCTION crm_deals_internal.forget_pipelines();

-- These judge rows as they are stored, after the user's own triggers.
CREATE OR REPLACE TRIGGER crm_deals_currency AFTER INSERT OR UPDATE ON crm_deals.exchange_rate
    FOR EACH ROW EXECUTE FUNCTION crm_deals_internal.currency_rules();
CREATE OR REPLACE TRIGGER crm_deals_custom_fields AFTER INSERT OR UPDATE ON crm_deals.lead
    FOR EACH ROW EXECUTE FUNCTION crm_deals_internal.custom_field_rules();

-- Writers of targets come one at a time. The rules judge rows as they are stored, after the user's own triggers.
CREATE OR REPLACE TRIGGER crm_deals_lock BEFORE INSERT OR UPDATE ON crm_deals.target
    FOR EACH STATEMENT EXECUTE FUNCTION crm_deals_internal.lock_targets();
CREATE OR REPLACE TRIGGER zz_crm_deals_organization BEFORE INSERT OR UPDATE ON crm_deals.target
    FOR EACH ROW EXECUTE FUNCTION crm_deals_internal.target_organization();
CREATE OR REPLACE TRIGGER crm_deals_rules AFTER INSERT OR UPDATE ON crm_deals.target
    FOR EACH ROW EXECUTE FUNCTION crm_deals_internal.target_rules();
