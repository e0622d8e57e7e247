-- From 0.1.0 to 0.2.0: what was internal moves to a schema of its own. Triggers, views and the index of names depend on
-- the functions that are moved here, so they go on all the while. All other internal functions are made anew.
CREATE SCHEMA crm_deals_internal;
GRANT USAGE ON SCHEMA crm_deals_internal TO PUBLIC;

ALTER FUNCTION crm_deals._append_only() SET SCHEMA crm_deals_internal;
ALTER FUNCTION crm_deals_internal._append_only() RENAME TO append_only;
ALTER FUNCTION crm_deals._clear_other_default() SET SCHEMA crm_deals_internal;
ALTER FUNCTION crm_deals_internal._clear_other_default() RENAME TO clear_other_default;
ALTER FUNCTION crm_deals._currency_rules() SET SCHEMA crm_deals_internal;
ALTER FUNCTION crm_deals_internal._currency_rules() RENAME TO currency_rules;
ALTER FUNCTION crm_deals._custom_field_rules() SET SCHEMA crm_deals_internal;
ALTER FUNCTION crm_deals_internal._custom_field_rules() RENAME TO custom_field_rules;
ALTER FUNCTION crm_deals._deal_begin() SET SCHEMA crm_deals_internal;
ALTER FUNCTION crm_deals_internal._deal_begin() RENAME TO deal_begin;
ALTER FUNCTION crm_deals._deal_capture() SET SCHEMA crm_deals_internal;
ALTER FUNCTION crm_deals_internal._deal_capture() RENAME TO deal_capture;
ALTER FUNCTION crm_deals._deal_rules() SET SCHEMA crm_deals_internal;
ALTER FUNCTION crm_deals_internal._deal_rules() RENAME TO deal_rules;
ALTER FUNCTION crm_deals._dispatcher() SET SCHEMA crm_deals_internal;
ALTER FUNCTION crm_deals_internal._dispatcher() RENAME TO dispatcher;
ALTER FUNCTION crm_deals._edit_begin() SET SCHEMA crm_deals_internal;
ALTER FUNCTION crm_deals_internal._edit_begin() RENAME TO edit_begin;
ALTER FUNCTION crm_deals._forget_pipelines() SET SCHEMA crm_deals_internal;
ALTER FUNCTION crm_deals_internal._forget_pipelines() RENAME TO forget_pipelines;
ALTER FUNCTION crm_deals._keep_names() SET SCHEMA crm_deals_internal;
ALTER FUNCTION crm_deals_internal._keep_names() RENAME TO keep_names;
ALTER FUNCTION crm_deals._keep_stage_name() SET SCHEMA crm_deals_internal;
ALTER FUNCTION crm_deals_internal._keep_stage_name() RENAME TO keep_stage_name;
ALTER FUNCTION crm_deals._label(jsonb, text, text) SET SCHEMA crm_deals_internal;
ALTER FUNCTION crm_deals_internal._label(jsonb, text, text) RENAME TO label;
ALTER FUNCTION crm_deals._lock_before_change() SET SCHEMA crm_deals_internal;
ALTER FUNCTION crm_deals_internal._lock_before_change() RENAME TO lock_before_change;
ALTER FUNCTION crm_deals._pending(text) SET SCHEMA crm_deals_internal;
ALTER FUNCTION crm_deals_internal._pending(text) RENAME TO pending;
ALTER FUNCTION crm_deals._pipeline_rules() SET SCHEMA crm_deals_internal;
ALTER FUNCTION crm_deals_internal._pipeline_rules() RENAME TO pipeline_rules;
ALTER FUNCTION crm_deals._rederive_deals() SET SCHEMA crm_deals_internal;
ALTER FUNCTION crm_deals_internal._rederive_deals() RENAME TO rederive_deals;
ALTER FUNCTION crm_deals._signature_compare_partial(bigint, bigint, smallint, internal) SET SCHEMA crm_deals_internal;
ALTER FUNCTION crm_deals_internal._signature_compare_partial(
    bigint, bigint, smallint, internal
) RENAME TO signature_compare_partial;
ALTER FUNCTION crm_deals._signature_consistent(
    internal, smallint, bigint[], integer, internal, internal, internal, internal
) SET SCHEMA crm_deals_internal;
ALTER FUNCTION crm_deals_internal._signature_consistent(
    internal, smallint, bigint[], integer, internal, internal, internal, internal
) RENAME TO signature_consistent;
ALTER FUNCTION crm_deals._signature_query(
    bigint[], internal, smallint, internal, internal, internal, internal
) SET SCHEMA crm_deals_internal;
ALTER FUNCTION crm_deals_internal._signature_query(
    bigint[], internal, smallint, internal, internal, internal, internal
) RENAME TO signature_query;
ALTER FUNCTION crm_deals._signatures(text, text, real, text) SET SCHEMA crm_deals_internal;
ALTER FUNCTION crm_deals_internal._signatures(text, text, real, text) RENAME TO signatures;
ALTER FUNCTION crm_deals._signatures_meet(bigint[], bigint[]) SET SCHEMA crm_deals_internal;
ALTER FUNCTION crm_deals_internal._signatures_meet(bigint[], bigint[]) RENAME TO signatures_meet;
ALTER FUNCTION crm_deals._stage_defaults() SET SCHEMA crm_deals_internal;
ALTER FUNCTION crm_deals_internal._stage_defaults() RENAME TO stage_defaults;
ALTER FUNCTION crm_deals._stage_rules() SET SCHEMA crm_deals_internal;
ALTER FUNCTION crm_deals_internal._stage_rules() RENAME TO stage_rules;

ALTER OPERATOR crm_deals.&&~ (bigint[], bigint[]) SET SCHEMA crm_deals_internal;
ALTER OPERATOR CLASS crm_deals._signature_ops USING gin SET SCHEMA crm_deals_internal;
ALTER OPERATOR CLASS crm_deals_internal._signature_ops USING gin RENAME TO signature_ops;
ALTER OPERATOR FAMILY crm_deals._signature_ops USING gin SET SCHEMA crm_deals_internal;
ALTER OPERATOR FAMILY crm_deals_internal._signature_ops USING gin RENAME TO signature_ops;
-- made anew: crm_deals.check_move(bigint, text, text)
