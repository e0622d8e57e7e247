# Joins the SQL files into the extension's script. Files come in the Makefile's order: those of sql/schema
# become the parts that crm_deals_internal.schema() returns, those of sql/functions follow as they are.
#
# The line above each function says who may execute it: "-- access: LEVEL", where LEVEL is one that
# grant_access() knows, or owner. crm_deals_internal.function_privileges() returns what stands there.

# Returns the name of a file in its list of the Makefile: "deal", "import/write".
function part(file) {
    sub(/^.*sql\/(schema|functions)\//, "", file)
    sub(/\.sql$/, "", file)
    return file
}

function fail(message) {
    print FILENAME ":" FNR ": " message > "/dev/stderr"
    failed = 1
    exit 1
}

# Notes who may execute the function that the line creates.
function note_access(line, level,    name) {
    if (level !~ /^(read|consume|write|manager|admin|owner)$/)
        fail("\"-- access: LEVEL\" is missing above this function, or the level is unknown")
    match(line, /crm_deals(_internal)?\.[a-z0-9_]+/)
    split(substr(line, RSTART, RLENGTH), name, ".")
    if (level != "owner" && listed)
        fail("only functions above the line @function_privileges@ can be of another level than owner")
    if (level != "owner" && !((name[1], name[2], level) in noted)) {
        noted[name[1], name[2], level] = 1
        privileges = privileges (privileges ? ",\n           " : "") \
            sprintf("('%s', '%s', '%s')", level, name[1], name[2])
    }
}

BEGIN {
    print "\\echo Use \"CREATE EXTENSION crm_deals CASCADE\" to load this file. \\quit"
    print ""
    print "-- What is internal stands in a schema of its own, in which nobody else creates anything."
    print "CREATE SCHEMA crm_deals_internal;"
    print "GRANT USAGE ON SCHEMA crm_deals_internal TO PUBLIC;"
    print ""
    print "-- The tables that install() makes, as text: they are the user's, not the extension's."
    print "CREATE FUNCTION crm_deals_internal.schema(part text) RETURNS text"
    print "LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp"
    print "AS $schema$"
    print "SELECT CASE schema.part"
}

FNR == 1 && FILENAME ~ /schema\// {
    if (in_schema) print "$ddl$"
    printf "WHEN '%s' THEN $ddl$\n", part(FILENAME)
    in_schema = 1
}

FNR == 1 && FILENAME !~ /schema\// {
    if (in_schema) {
        print "$ddl$\nEND\n$schema$;\n"
        print "COMMENT ON FUNCTION crm_deals_internal.schema(text) IS"
        print "    'Internal: the DDL that install() runs, part by part.';"
    }
    in_schema = 0
    printf "\n-- %s\n\n", part(FILENAME)
}

/^CREATE (OR REPLACE )?(FUNCTION|AGGREGATE|PROCEDURE) / && !in_schema {
    level = previous
    sub(/^-- access: /, "", level)
    note_access($0, previous ~ /^-- access: / ? level : "")
}

# The list stands where this line stands.
/^-- @function_privileges@$/ {
    print "CREATE FUNCTION crm_deals_internal.function_privileges() RETURNS TABLE (level text, schema text, function text)"
    print "LANGUAGE sql IMMUTABLE PARALLEL SAFE"
    print "SET search_path = pg_catalog, pg_temp"
    print "AS $$"
    print "    VALUES " privileges
    print "$$;"
    print "COMMENT ON FUNCTION crm_deals_internal.function_privileges() IS"
    print "    'Internal: which functions each level may execute.';"
    listed = 1
    next
}

{ print; previous = $0 }

END { if (failed) exit 1 }
