# What the tests of delivery share. Writers commit, roll back, prepare and die; readers of consumers do so, too. All of
# them keep books outside of the server. At the end the books are compared with each other and with the log.
#
# An object of this class is one such test. Its methods stand in a class for each part:
#
#   Delivery::Books      what each process writes down
#   Delivery::Workers    the processes and their sessions
#   Delivery::Writers    the processes that write deals
#   Delivery::Consumers  the processes that read and acknowledge events
#   Delivery::Audit      the comparison at the end
#
# Delivery::Session is a session of psql, Delivery::Common has small functions.
#
# A part of a transaction that can be undone by itself (between savepoints) has a tag, TRANSACTION:PART. The writer uses
# the tag as the actor, so an event itself tells where it comes from. The books are files in a folder, one for each
# process. A line is a moment (of a clock that only goes forward), a verb and its arguments:
#
#   wrote TRANSACTION TAG=EVENTS,...    this is about to be committed or prepared; "?" if the answer never came
#   void TAG                            it was rolled back to a savepoint
#   ending TRANSACTION                  COMMIT, COMMIT PREPARED or a statement of its own is about to be sent
#   committed | undone TRANSACTION      the server has said so
#   got CONSUMER BATCH SINCE ID|TAG ... a read_events that was sent at SINCE returned this
#   acking CONSUMER BATCH FROM TO       the acknowledgement of these places of the batch may become durable from now on
#   acked CONSUMER BATCH FROM TO        the server has said that it is durable
#   subscribing | subscribed CONSUMER
#   fault TEXT                          something happened that must not happen
package Delivery;
use strict;
use warnings;

use Delivery::Common;
use Exporter 'import';
use PostgreSQL::Test::Utils ();

use parent qw(Delivery::Books Delivery::Workers Delivery::Writers Delivery::Consumers Delivery::Audit);

our @EXPORT = qw(one chance prepare_tables prepare_business rows_of);

# The SQL that installs, with triggers of a user: they change the same deal again after a change, and insert another
# deal before one.
sub prepare_tables
{
	return <<'SQL';
CREATE EXTENSION crm_deals CASCADE;
SELECT crm_deals.install();
CREATE FUNCTION public.change_more() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_WHEN = 'AFTER' THEN
        UPDATE crm_deals.deal SET notes = 'changed again' || clock_timestamp() WHERE id = new.id;
    ELSE
        INSERT INTO crm_deals.deal (name) VALUES ('Before ' || new.id);
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER again AFTER UPDATE OF source ON crm_deals.deal FOR EACH ROW WHEN (new.source LIKE 'again%')
    EXECUTE FUNCTION public.change_more();
CREATE TRIGGER before BEFORE UPDATE OF source ON crm_deals.deal FOR EACH ROW WHEN (new.source LIKE 'before%')
    EXECUTE FUNCTION public.change_more();
SQL
}

# The SQL that also makes the pipeline and the deals 1 .. 60, on which every writer works.
sub prepare_business
{
	return prepare_tables() . <<'SQL';
SELECT crm_deals.create_pipeline('Sales');
SELECT crm_deals.add_stage(1, 'Given up', status => 'abandoned');
UPDATE crm_deals.pipeline SET lost_reason_required = false, duplicate_policy = 'off';
SET crm_deals.actor = 'setup:1';
INSERT INTO crm_deals.deal (name) SELECT 'Deal ' || n FROM generate_series(1, 60) AS n;
SQL
}

# What each table holds: TABLE => 'COUNT DIGEST'
sub rows_of
{
	my ($node, $database) = @_;
	my $tables = $node->safe_psql($database // 'postgres', <<'SQL' . '\gexec');
SELECT format('SELECT %L, count(*) || '' '' || coalesce(md5(string_agg(t::text, '' '' ORDER BY t::text)), '''') '
              'FROM %s AS t', relname, oid::regclass)
FROM pg_class WHERE relnamespace = 'crm_deals'::regnamespace AND relkind = 'r'
SQL

	return { map { split /\|/ } split /\n/, $tables };
}

# Makes a test: Delivery->new(node => the server, database => ...)
sub new
{
	my ($class, %options) = @_;
	my $self = bless {
		database => 'postgres',
		workers => [],
		name => 'main',
		transaction => 0,
		batch => 0,
		consumers => {},
		folder => PostgreSQL::Test::Utils::tempdir('books'),
		%options }, $class;

	$SIG{$_} = sub { exit 1 } for qw(TERM INT);    # so that servers and workers end with the test
	$self->open_book;
	$self->aim($self->{node}) if $self->{node};
	$self->note_in_book('wrote', 'setup', 'setup:1=60');
	$self->note_in_book($_, 'setup') for 'ending', 'committed';
	return $self;
}

1;
