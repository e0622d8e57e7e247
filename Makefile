# The folder of this Makefile, for builds elsewhere (make -f ../crm_deals/Makefile); empty if the build is here.
source := $(filter-out ./,$(dir $(lastword $(MAKEFILE_LIST))))

# The version is written once, in crm_deals.control.
EXTENSION  = crm_deals
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" $(source)crm_deals.control)

# The rooms of src/, lowest first: a file includes only its own room and rooms before it (src/README.md).
ROOMS = base config rules log events duplicates triggers functions

base = acting_as_owner arrays caller_query catalog currency deal_row installation installed json kept_query owner_query \
	relation_watch retired search_path settings texts transition write_as_caller write_context
config = pipeline_cache stage_lock stage_lookup
rules = broken_rule custom_fields derive gates
log = changes event_ids event_log log_transaction log_value old_values
events = channels consumers dispatcher event_row notify notify_send payload subscriptions
duplicates = core/signature core/similarity core/similarity_join concurrent_writers core_memory deal_cursor deal_ids \
	deal_names duplicate_check duplicate_flags duplicate_functions duplicate_join import_duplicates name_groups name_index \
	progress signature_ops text_numbers trigram
triggers = append_only config_triggers deal_triggers fill_nulls relatives target_rules
functions = added_columns board_sums check_move corrections field_index import import_texts install maintenance merge \
	move_deal redact repoint stages undo_merge

MODULE_big = crm_deals
OBJS = src/crm_deals.o $(foreach room,$(ROOMS),$(patsubst %,src/$(room)/%.o,$($(room))))

# What install() creates; each becomes a part of crm_deals_internal.schema(). Those with tables are in their order.
TABLES = account contact host_views pipeline custom_field deal deal_name lead activity target event_log log_format \
	deal_merge consumers
SCHEMA = types $(TABLES) name_index installation views triggers own_account_triggers own_contact_triggers

# The internal functions, which CREATE EXTENSION creates in this order.
FUNCTIONS = labels rules write_as_caller $(install:%=install/%) pipelines moves duplicates log_values corrections merge \
	$(consumers:%=consumers/%) dispatcher maintenance $(leads:%=leads/%) custom_fields $(import:%=import/%) \
	filters board past rates forecast changes reports trend attainment timeline sample row_security verify access

install = words versions create migrate bring_back install
consumers = selection subscriptions delivery payload_facts
leads = host_tables find create parties deal convert
import = call columns formats staging lookup custom_fields resolve refusals history settle views write judge result \
	party party_rows party_write

# Earlier releases, oldest first: sql/upgrade has what leads from each of them to the next. And those that change tables.
RELEASES   = 0.1.0
MIGRATIONS = 0.2.0

# The parts of the extension's script, in order. sql/public.sql calls what stands before it.
SQL = $(SCHEMA:%=sql/schema/%.sql) $(foreach m,$(MIGRATIONS),sql/migrations/$(m).sql sql/migrations/$(m)-obstacles.sql) \
	$(FUNCTIONS:%=sql/functions/%.sql) sql/public.sql sql/functions/privileges.sql

DATA_built = $(EXTENSION)--$(EXTVERSION).sql $(RELEASES:%=$(EXTENSION)--%--$(EXTVERSION).sql)
DOCS = doc/crm_deals.md doc/contract.md doc/security.md doc/upgrading.md

# The contract's sections, s02 first.
REGRESS = $(basename $(notdir $(sort $(wildcard $(source)test/sql/*.sql))))
REGRESS_OPTS = --inputdir=$(source)test
ISOLATION = $(basename $(notdir $(sort $(wildcard $(source)test/specs/*.spec))))
ISOLATION_OPTS = --inputdir=$(source)test --outputdir=.

# PostgreSQL's own headers are not ours to keep free of warnings. The internal ones come last: they have a c.h, too,
# which on Debian may be another major's. Only PG_CPPFLAGS reach the bitcode, too.
PG_CONFIG ?= pg_config
PG_CPPFLAGS = -DCRM_DEALS_VERSION='"$(EXTVERSION)"' -Isrc -I$(source)src \
	-isystem $(shell $(PG_CONFIG) --includedir-server) -isystem $(shell $(PG_CONFIG) --pkgincludedir)/internal
PG_CFLAGS = -Wall -Wextra -Wno-declaration-after-statement $(if $(WERROR),-Werror)
ifneq ($(findstring clang,$(CC)),)
# It does not know all flags and attributes of a PostgreSQL that gcc built.
PG_CFLAGS += -Wno-ignored-optimization-argument -Wno-unknown-warning-option -Wno-ignored-attributes
endif

EXTRA_CLEAN = $(DATA_built:%=%.new) src/base/installed_tables.h $(wildcard $(EXTENSION)--*.sql $(EXTENSION)-*.zip postgresql-*-crm-deals_*.deb)

# A server has PGXS, perhaps without its headers.
PGXS := $(wildcard $(shell $(PG_CONFIG) --pgxs 2>/dev/null))
ifneq ($(and $(PGXS),$(wildcard $(shell $(PG_CONFIG) --includedir-server 2>/dev/null)/postgres.h)),)
include $(PGXS)
else
# Nothing can be built. What has a rule below does without, or installs what is missing.
.PHONY: all
all .DEFAULT: ; @PG_CONFIG='$(PG_CONFIG)' $(source)test/harness/packages --only-say build; exit 1
endif

$(EXTENSION)--$(EXTVERSION).sql: sql/extension.awk $(SQL) Makefile
	awk -f $< -v tables='$(TABLES)' $(filter %.sql,$^) > $@.new
	mv $@.new $@

# An upgrade script: what one does by hand, then every function.
obstacles = $(MIGRATIONS:%=sql/migrations/%-obstacles.sql)
$(EXTENSION)--%--$(EXTVERSION).sql: $(EXTENSION)--$(EXTVERSION).sql $(RELEASES:%=sql/upgrade/%.sql) \
		sql/upgrade/retire.sql sql/upgrade/drop-retired.sql $(obstacles) sql/upgrade.awk
	awk -f $(filter %.awk,$^) -v from=$* -v obstacles='$(filter %-obstacles.sql,$^)' \
		$(filter-out %.awk %-obstacles.sql %/drop-retired.sql,$^) $< $(filter %/drop-retired.sql,$^) > $@.new
	mv $@.new $@

# The schema's DDL tells C code what a table of ours is.
installed_tables = src/base/installed_tables.h
$(OBJS) $(OBJS:.o=.bc): $(installed_tables)
$(installed_tables): sql/installed-tables.awk $(SCHEMA:%=sql/schema/%.sql) Makefile | $(CURDIR)/src/base/
	awk -f $< $(filter %.sql,$^) > $@.new
	mv $@.new $@

# Objects follow every header: there are few. A build elsewhere makes its folders first.
BITCODE = $(OBJS:.o=.bc)
folders = $(addprefix $(CURDIR)/,$(sort $(dir $(OBJS))))
$(OBJS) $(BITCODE): $(wildcard $(source)src/*/*.h $(source)src/*/*/*.h) crm_deals.control | $(folders)
$(folders): ; mkdir -p $@

# The tests that have a longer form
LONG = $(basename $(notdir $(shell grep -l 'ENV{SOAK}' test/t/*.pl)))

.PHONY: dist deb demo test soak lint bench
dist: ; git archive --format=zip --prefix=$(EXTENSION)-$(EXTVERSION)/ -o $(EXTENSION)-$(EXTVERSION).zip HEAD
deb: ; packaging/build-deb
demo: ; examples/demo/run $(if $(DATA),"$(DATA)")
test: ; test/harness/run-tests
soak:
	test/harness/packages test extensions node fuzz
	test/fuzz/run 300
	test/fuzz/server 600
	SOAK=1 TESTS="$(LONG)" test/harness/run-tests
	test/harness/packages-in-chroot
lint: ; test/harness/lint
bench: ; bench/run

print-%: ; @echo $($*)
