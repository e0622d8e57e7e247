# crm_deals: the version is written once, in crm_deals.control.
EXTENSION  = crm_deals
EXTVERSION = $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" crm_deals.control)

# The rooms of src/, lowest first: a file includes only its own room and rooms before it (src/README.md).
ROOMS = base config rules log events duplicates triggers functions

base = arrays caller_query catalog currency deal_row installation json owner_query relation_watch settings \
	texts transition write_context
config = pipeline_cache stage_lock stage_lookup
rules = broken_rule custom_fields derive gates
log = changes event_ids event_log log_transaction
events = channels consumers dispatcher event_row notify notify_send payload subscriptions
duplicates = core/signature core/similarity core/similarity_join concurrent_writers core_memory deal_cursor deal_ids \
	deal_names duplicate_check duplicate_flags duplicate_functions duplicate_join import_duplicates name_groups name_index \
	progress signature_ops text_numbers trigram
triggers = append_only config_triggers deal_triggers
functions = board_sums check_move corrections field_index import maintenance move_deal stages

MODULE_big = crm_deals
OBJS = src/crm_deals.o $(foreach room,$(ROOMS),$(patsubst %,src/$(room)/%.o,$($(room))))

# What install() creates, in this order; each becomes a part of crm_deals_internal.schema().
SCHEMA = types account contact host_views pipeline custom_field deal deal_name name_index lead \
	activity event_log consumers installation views triggers own_account_triggers own_contact_triggers

# The internal functions, which CREATE EXTENSION creates in this order.
FUNCTIONS = labels rules $(install:%=install/%) pipelines moves duplicates corrections \
	$(consumers:%=consumers/%) dispatcher maintenance $(leads:%=leads/%) custom_fields $(import:%=import/%) \
	filters board past forecast reports row_security verify access

install = words versions create migrate bring_back install
consumers = selection subscriptions delivery payload_facts
leads = host_tables find create parties deal convert
import = call columns staging lookup custom_fields resolve refusals history views write judge result

# The releases that change tables, oldest first, and those from which one can upgrade to this one.
MIGRATIONS = 0.2.0
UPGRADES   = 0.1.0

# The parts of the extension's script, in order. sql/public.sql calls what stands before it.
SQL = $(SCHEMA:%=sql/schema/%.sql) $(foreach m,$(MIGRATIONS),sql/migrations/$(m).sql sql/migrations/$(m)-obstacles.sql) \
	$(FUNCTIONS:%=sql/functions/%.sql) sql/public.sql sql/functions/privileges.sql

DATA_built = $(EXTENSION)--$(EXTVERSION).sql $(UPGRADES:%=$(EXTENSION)--%--$(EXTVERSION).sql)
DOCS = doc/crm_deals.md doc/contract.md doc/upgrading.md

# The contract's sections, s02 first.
REGRESS = $(patsubst test/sql/%.sql,%,$(sort $(wildcard test/sql/*.sql)))
REGRESS_OPTS = --inputdir=test
ISOLATION = $(patsubst test/specs/%.spec,%,$(sort $(wildcard test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test --outputdir=.

# PostgreSQL's own headers are not ours to keep free of warnings.
PG_CONFIG ?= pg_config
PG_CPPFLAGS = -DCRM_DEALS_VERSION='"$(EXTVERSION)"' -I$(if $(srcdir),$(srcdir),.)/src -isystem $(shell $(PG_CONFIG) --includedir-server)
PG_CFLAGS = -Wall -Wextra -Wno-declaration-after-statement $(if $(WERROR),-Werror)

EXTRA_CLEAN = $(DATA_built) $(DATA_built:%=%.new)

PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

$(EXTENSION)--$(EXTVERSION).sql: sql/extension.awk $(SQL) Makefile
	awk -f sql/extension.awk $(SQL) > $@.new
	mv $@.new $@

# An upgrade script: what one does by hand, then every function.
$(EXTENSION)--%--$(EXTVERSION).sql: sql/upgrade/%--$(EXTVERSION).sql sql/upgrade/retire.sql sql/upgrade.awk \
		$(EXTENSION)--$(EXTVERSION).sql $(MIGRATIONS:%=sql/migrations/%-obstacles.sql)
	awk -f sql/upgrade.awk -v obstacles='$(MIGRATIONS:%=sql/migrations/%-obstacles.sql)' \
		$(EXTENSION)--$(EXTVERSION).sql $< sql/upgrade/retire.sql $(EXTENSION)--$(EXTVERSION).sql > $@.new
	mv $@.new $@

# Objects follow every header: there are few.
$(OBJS): $(wildcard src/*/*.h src/*/*/*.h)

# The tests that have a longer form
LONG = $(basename $(notdir $(shell grep -l 'ENV{SOAK}' test/t/*.pl)))

.PHONY: demo test soak lint bench
demo: ; examples/demo/run $(if $(DATA),"$(DATA)")
test: ; test/harness/run-tests
soak: ; test/harness/packages test node && test/fuzz/run 300 && SOAK=1 TESTS="$(LONG)" test/harness/run-tests
lint: ; test/harness/lint
bench: ; bench/run

print-%: ; @echo $($*)
