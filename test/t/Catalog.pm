# The catalogs of a database as lines of text, so that two databases can be compared.
#
#   catalog($node, $database)     every line, sorted: "kind: object, what it is like"
#   differences($got, $expected)  the lines of one list alone: "+line" is too much, "-line" is missing; the first fifty
#
# A line says nothing of OIDs, of the order of a table's columns, of the version that PostgreSQL 15.20 keeps among the
# options of a column, nor of who granted a privilege. The objects of every
# schema are there, those of users, too.
package Catalog;
use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;

our @EXPORT = qw(catalog differences);

my $ours = q{n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'};

# The privileges of an object: the default ones, too, where nobody granted any.
sub _privileges
{
	my ($name, $kind, $acl, $from) = @_;

	return "SELECT DISTINCT format('%s: %s may %s%s', $name,
								   CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END,
								   a.privilege_type, CASE WHEN a.is_grantable THEN ' and grant it' END)
			FROM $from, LATERAL aclexplode($acl) AS a";
}

# Kind => a query that returns a line for each object.
my %query = (
	schema => "SELECT format('%s, owner %s, comment %L', n.nspname, n.nspowner::regrole, obj_description(n.oid))
			   FROM pg_namespace AS n WHERE $ours",
	'schema privilege' => _privileges('n.nspname', 'n', "coalesce(n.nspacl, acldefault('n', n.nspowner))",
		"(SELECT n.* FROM pg_namespace AS n WHERE $ours) AS n"),
	relation => "SELECT format('%s, kind %s, owner %s, persistence %s, method %s, options %s, row security %s %s, '
							   'replica identity %s, comment %L', c.oid::regclass, c.relkind, c.relowner::regrole,
							   c.relpersistence, m.amname, ARRAY(SELECT unnest(c.reloptions) ORDER BY 1),
							   c.relrowsecurity, c.relforcerowsecurity, c.relreplident,
							   obj_description(c.oid, 'pg_class'))
				 FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
				 LEFT JOIN pg_am AS m ON m.oid = c.relam
				 WHERE $ours",
	'relation privilege' => _privileges('c.oid::regclass', 'r',
		"coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's'::\"char\" ELSE 'r' END, c.relowner))",
		"(SELECT c.* FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
		  WHERE $ours AND c.relkind NOT IN ('i', 'I', 'c')) AS c"),
	column => "SELECT format('%s.%I, %s, not null %s, default %s, identity %s, generated %s, collation %s, '
							 'storage %s %s, statistics %s, options %s, comment %L', c.oid::regclass, a.attname,
							 format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid),
							 a.attidentity, a.attgenerated, nullif(a.attcollation, 0)::regcollation, a.attstorage,
							 a.attcompression, nullif(a.attstattarget, -1),
							 ARRAY(SELECT o FROM unnest(a.attoptions) AS o WHERE o !~ '^pg_attver='),
							 col_description(c.oid, a.attnum))
			   FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
			   JOIN pg_namespace AS n ON n.oid = c.relnamespace
			   LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
			   WHERE $ours AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind NOT IN ('S', 'i', 'I')",
	'column privilege' => _privileges("format('%s.%I', c.attrelid::regclass, c.attname)", 'c', 'c.attacl',
		"(SELECT a.* FROM pg_attribute AS a JOIN pg_class AS r ON r.oid = a.attrelid
		  JOIN pg_namespace AS n ON n.oid = r.relnamespace WHERE $ours AND NOT a.attisdropped) AS c"),
	constraint => "SELECT format('%s of %s %s, %s, validated %s, inherited %s, comment %L', k.conname,
								 nullif(k.conrelid, 0)::regclass, nullif(k.contypid, 0)::regtype,
								 pg_get_constraintdef(k.oid), k.convalidated, NOT k.conislocal,
								 obj_description(k.oid, 'pg_constraint'))
				   FROM pg_constraint AS k JOIN pg_namespace AS n ON n.oid = k.connamespace WHERE $ours",
	trigger => "SELECT format('%s, enabled %s, comment %L', pg_get_triggerdef(t.oid), t.tgenabled,
							  obj_description(t.oid, 'pg_trigger'))
				FROM pg_trigger AS t WHERE NOT t.tgisinternal",
	'trigger of a key' => "SELECT format('%s on %s for %s, enabled %s', t.tgfoid::regproc, t.tgrelid::regclass,
										 k.conname, t.tgenabled)
						   FROM pg_trigger AS t JOIN pg_constraint AS k ON k.oid = t.tgconstraint WHERE t.tgisinternal",
	view => "SELECT format('%s, %s', c.oid::regclass, pg_get_viewdef(c.oid))
			 FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
			 WHERE $ours AND c.relkind IN ('v', 'm')",
	rule => "SELECT format('%s, enabled %s', pg_get_ruledef(r.oid), r.ev_enabled)
			 FROM pg_rewrite AS r JOIN pg_class AS c ON c.oid = r.ev_class
			 JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE $ours AND r.rulename <> '_RETURN'",
	index => "SELECT format('%s, valid %s, clustered %s, replica identity %s, comment %L',
							pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisclustered, i.indisreplident,
							obj_description(i.indexrelid, 'pg_class'))
			  FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
			  JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE $ours",
	sequence => "SELECT format('%s, %s from %s by %s, %s to %s, cache %s, cycle %s, of column %s.%I',
							   s.seqrelid::regclass, s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmin,
							   s.seqmax, s.seqcache, s.seqcycle, d.refobjid::regclass, a.attname)
				 FROM pg_sequence AS s
				 LEFT JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = s.seqrelid
					 AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
				 LEFT JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid",
	statistics => "SELECT pg_get_statisticsobjdef(oid) FROM pg_statistic_ext",
	policy => "SELECT format('%s on %s, for %s, permissive %s, to %s, using %s, with check %s, comment %L', p.polname,
							 p.polrelid::regclass, p.polcmd, p.polpermissive,
							 ARRAY(SELECT r::regrole::text FROM unnest(p.polroles) AS r ORDER BY 1),
							 pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid),
							 obj_description(p.oid, 'pg_policy'))
			   FROM pg_policy AS p",
	function => "SELECT format('%s(%s) returns %s, kind %s, owner %s, language %s, %s %s, strict %s, definer %s, '
							   'leakproof %s, cost %s, rows %s, support %s, settings %s, source %s %s %s, comment %L',
							   p.oid::regproc, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid),
							   p.prokind, p.proowner::regrole, l.lanname, p.provolatile, p.proparallel, p.proisstrict,
							   p.prosecdef, p.proleakproof, p.procost, p.prorows, p.prosupport::oid, p.proconfig,
							   CASE l.lanname WHEN 'c' THEN p.prosrc ELSE md5(p.prosrc) END,
							   p.probin, pg_get_function_sqlbody(p.oid), obj_description(p.oid, 'pg_proc'))
				 FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
				 JOIN pg_language AS l ON l.oid = p.prolang WHERE $ours",
	aggregate => "SELECT g::text FROM pg_aggregate AS g JOIN pg_proc AS p ON p.oid = g.aggfnoid
				  JOIN pg_namespace AS n ON n.oid = p.pronamespace WHERE $ours",
	'function privilege' => _privileges('f.oid::regprocedure', 'f', "coalesce(f.proacl, acldefault('f', f.proowner))",
		"(SELECT p.* FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace WHERE $ours) AS f"),
	type => "SELECT format('%s, kind %s, owner %s, labels %s, base %s, comment %L', t.oid::regtype, t.typtype,
						   t.typowner::regrole,
						   ARRAY(SELECT e.enumlabel FROM pg_enum AS e WHERE e.enumtypid = t.oid
								 ORDER BY e.enumsortorder),
						   nullif(t.typbasetype, 0)::regtype, obj_description(t.oid, 'pg_type'))
			 FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace WHERE $ours",
	'type privilege' => _privileges('t.oid::regtype', 'T', "coalesce(t.typacl, acldefault('T', t.typowner))",
		"(SELECT t.* FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace
		  WHERE $ours AND t.typtype IN ('e', 'd')) AS t"),
	'operator class' => "SELECT format('%s using %s, default %s, type %s, stores %s, owner %s', c.opcname, m.amname,
									   c.opcdefault, c.opcintype::regtype, nullif(c.opckeytype, 0)::regtype,
									   c.opcowner::regrole)
						 FROM pg_opclass AS c JOIN pg_namespace AS n ON n.oid = c.opcnamespace
						 JOIN pg_am AS m ON m.oid = c.opcmethod WHERE $ours",
	'operator class member' => "SELECT format('%s: %s %s', f.opfname, a.number, a.member)
								FROM (SELECT amopfamily AS family, amopstrategy AS number,
											 amopopr::regoperator::text AS member FROM pg_amop
									  UNION ALL
									  SELECT amprocfamily, amprocnum, amproc::regprocedure::text FROM pg_amproc) AS a
								JOIN pg_opfamily AS f ON f.oid = a.family
								JOIN pg_namespace AS n ON n.oid = f.opfnamespace WHERE $ours",
	extension => "SELECT format('%s %s, owner %s, schema %s, relocatable %s', extname, extversion, extowner::regrole,
								extnamespace::regnamespace, extrelocatable)
				  FROM pg_extension",
	member => "SELECT format('%s: %s %s', e.extname, i.type, i.identity)
			   FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid,
					LATERAL pg_identify_object(d.classid, d.objid, d.objsubid) AS i
			   WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'",
	publication => "SELECT format('%s: %s', p.pubname, r.prrelid::regclass)
					FROM pg_publication_rel AS r JOIN pg_publication AS p ON p.oid = r.prpubid",
	'default privilege' => "SELECT format('%s %s %s', defaclrole::regrole, defaclobjtype, defaclacl)
							FROM pg_default_acl",
);

sub catalog
{
	my ($node, $database) = @_;
	my $line = "regexp_replace(q.line, '\\s+', ' ', 'g')";
	my $sql = join "\nUNION ALL\n",
	  map { "SELECT '$_: ' || $line FROM ($query{$_}) AS q (line)" } sort keys %query;

	# A line that is there twice counts twice.
	my %seen;
	return [ map { $seen{$_}++ ? "$_ ($seen{$_})" : $_ }
		  sort split /\n/, $node->safe_psql($database, "SET search_path = pg_catalog; $sql") ];
}

sub differences
{
	my ($got, $expected) = @_;
	my ($here, $there) = map { +{ map { $_ => 1 } @$_ } } $got, $expected;

	my @lines = (map({ "+$_" } grep { !$there->{$_} } @$got), map({ "-$_" } grep { !$here->{$_} } @$expected));
	my $more = @lines - 50;

	return join "\n", $more > 0 ? (@lines[0 .. 49], "... and $more more") : @lines;
}

1;
