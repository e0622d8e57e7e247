# crm_deals: the version is written once, in crm_deals.control.
EXTENSION  = crm_deals
EXTVERSION = $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" crm_deals.control)

# The flow of the data, top to bottom.
MODULE_big = crm_deals
OBJS = \
	src/crm_deals.o \
	src/currency.o \
	src/settings.o \
	src/catalog.o \
	src/owner_query.o \
	src/caller_query.o \
	src/transition.o \
	src/installation.o \
	src/pipeline_cache.o \
	src/stage_lock.o \
	src/stage_rules.o \
	src/json.o \
	src/custom_fields.o \
	src/field_index.o \
	src/deal_row.o \
	src/deal_rules.o \
	src/gates.o \
	src/write_context.o \
	src/deal_capture.o \
	src/int8_array.o \
	src/text_numbers.o \
	src/trigram.o \
	src/similarity.o \
	src/signature.o \
	src/signature_ops.o \
	src/similarity_join.o \
	src/name_index.o \
	src/deal_ids.o \
	src/written_names.o \
	src/duplicate_join.o \
	src/progress.o \
	src/deal_reader.o \
	src/rivals.o \
	src/matches.o \
	src/duplicates.o \
	src/changes.o \
	src/event_log.o \
	src/generation.o \
	src/notify.o \
	src/dispatcher.o \
	src/notification.o \
	src/event_facts.o \
	src/payload.o \
	src/channels.o \
	src/consumers.o \
	src/import_duplicates.o \
	src/import.o \
	src/maintenance.o \
	src/corrections.o \
	src/moves.o \
	src/board_sums.o \
	src/duplicate_search.o

# What install() creates, in this order; each becomes a part of _schema().
SCHEMA = types account contact host_views pipeline custom_field deal deal_name name_index lead \
	activity event_log consumers installation views triggers own_account_triggers own_contact_triggers

# What CREATE EXTENSION creates, in this order.
FUNCTIONS = labels rules install pipelines moves duplicates corrections consumers dispatcher maintenance leads custom_fields import \
	filters board past forecast reports row_security verify access privileges

DATA_built = $(EXTENSION)--$(EXTVERSION).sql
DOCS = doc/crm_deals.md

# The contract's sections, s02 first.
REGRESS = $(patsubst test/sql/%.sql,%,$(sort $(wildcard test/sql/*.sql)))
REGRESS_OPTS = --inputdir=test
ISOLATION = $(patsubst test/specs/%.spec,%,$(sort $(wildcard test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test --outputdir=.

# PostgreSQL's own headers are not ours to keep free of warnings.
PG_CONFIG ?= pg_config
PG_CPPFLAGS = -isystem $(shell $(PG_CONFIG) --includedir-server)
PG_CFLAGS = -DCRM_DEALS_VERSION='"$(EXTVERSION)"' -Wall -Wextra -Wno-declaration-after-statement $(if $(WERROR),-Werror)

EXTRA_CLEAN = $(DATA_built)

PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

$(EXTENSION)--$(EXTVERSION).sql: sql/extension.awk $(SCHEMA:%=sql/schema/%.sql) $(FUNCTIONS:%=sql/functions/%.sql) Makefile
	awk -f sql/extension.awk $(SCHEMA:%=sql/schema/%.sql) $(FUNCTIONS:%=sql/functions/%.sql) > $@

# Objects follow every header: there are few.
$(OBJS): $(wildcard src/*.h)

.PHONY: demo test soak lint bench
demo: ; examples/demo/run $(if $(DATA),"$(DATA)")
test: ; test/harness/run-tests
soak: ; test/fuzz/run 300 && SOAK=1 TESTS="$(basename $(notdir $(wildcard test/t/1[1-8]_*.pl test/t/20_*.pl)))" test/harness/run-tests
lint: ; test/harness/lint
bench: ; bench/speed/run

print-%: ; @echo $($*)
