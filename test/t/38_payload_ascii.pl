# Payloads are ASCII, in databases of any encoding: no listener's client_encoding can fail on them. Texts are cut where
# the escaped text fits, and no surrogate pair is split.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;

use CrmDeals;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('payload_ascii');

# The payload of the deal that is won in a database of this encoding; the name is given in its bytes, as hex.
sub payload_of
{
	my ($encoding, $name, $times) = @_;
	my $database = lc "in_${encoding}_$times";

	$node->safe_psql('postgres', "CREATE DATABASE $database ENCODING '$encoding' LOCALE 'C' TEMPLATE template0")
	  if value($node, "SELECT count(*) FROM pg_database WHERE datname = '$database'") eq '0';
	my $sql = <<"SQL";
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS crm_deals CASCADE;
DO \$\$ BEGIN
    IF to_regclass('crm_deals.deal') IS NULL THEN
        PERFORM crm_deals.install();
        PERFORM crm_deals.create_pipeline('Sales');
    END IF;
END \$\$;
LISTEN crm_deals_won;
INSERT INTO crm_deals.deal (name, stage_id)
SELECT repeat(convert_from(decode('$name', 'hex'), getdatabaseencoding()), $times), s.id
FROM crm_deals.stage AS s WHERE s.key = 'won';
SQL
	my ($status, $stdout, $stderr) = $node->psql($database, $sql);
	my ($payload) = $stdout =~ /^Asynchronous notification "crm_deals_won" with payload "(.*)" received/m;

	is($status, 0, "$encoding: the deal is written") or diag $stderr;
	return $payload // "none: $stdout $stderr";
}

sub is_payload
{
	my ($encoding, $name, $expected, $what) = @_;
	my $payload = payload_of($encoding, $name, 1);

	like($payload, qr/"deal_name": "\Q$expected\E"/, "$encoding: $what");
	unlike($payload, qr/[^\x20-\x7e]/, '... in ASCII');
	return;
}

# A long name is cut to whole characters, and the payload stays below 8,000 bytes.
sub is_cut
{
	my ($encoding, $name, $character, $what) = @_;
	my $payload = payload_of($encoding, $name, 9000);

	like($payload, qr/"deal_name": "(?:\Q$character\E)+"/, "$encoding: $what");
	unlike($payload, qr/[^\x20-\x7e]/, '... in ASCII');
	cmp_ok(length $payload, '<', 8000, '... below 8,000 bytes');
	cmp_ok(length $payload, '>', 3000, '... and not cut more than it must');
	return;
}

is_payload('UTF8', 'c3a4e282acf09f9880220a5c', '\u00e4\u20ac\ud83d\ude00\"\u000a\\\\', 'characters of two to four bytes');
is_payload('LATIN1', 'e461', '\u00e4a', 'its own characters');
is_payload('LATIN9', 'a4', '\u20ac', 'its own euro sign');
is_payload('EUC_JP', 'c6fc61', '\u65e5a', 'characters of two bytes');
is_payload('SQL_ASCII', '61ff62', 'a\ufffdb', 'a byte that is no UTF-8');
is_payload('SQL_ASCII', '61c3a4', 'a\u00e4', 'bytes that are UTF-8');
is_payload('SQL_ASCII', 'f09f98', '\ufffd\ufffd\ufffd', 'the beginning of a character');
is_cut('UTF8', 'f09f9880', '\ud83d\ude00', 'surrogate pairs at the cut');
is_cut('EUC_JP', 'c6fc', '\u65e5', 'characters at the cut');
is_cut('SQL_ASCII', 'ff', '\ufffd', 'bytes at the cut');

$node->stop;
done_testing();
