# Joins the SQL files into the extension's script. Files come in the Makefile's order: those of sql/schema and
# sql/migrations become the parts that crm_deals_internal.schema() returns, the others follow as they are.
#
# The line above each function says who may execute it: "-- access: LEVEL". The LEVEL is one that grant_access()
# knows, or "owner", or "public": what is pure or checks its caller. crm_deals_internal.function_privileges() returns all of these lines.
#
# sql/public.sql creates the functions of the schema crm_deals; no other file does.

# Returns the name of a file in its list of the Makefile: "deal", "import/write".
function part(file) {
    sub(/^.*sql\/(schema|migrations|functions)\//, "", file)
    sub(/\.sql$/, "", file)
    return file
}

function fail(file, number, message) {
    print file ":" number ": " message > "/dev/stderr"
    failed = 1
    exit 1
}

# Returns whether the file holds DDL that install() runs.
function is_ddl(file) {
    return file ~ /(^|\/)sql\/(schema|migrations)\//
}

# Notes who may execute the function that the line creates.
function note_access(file, number, line, above,    level, name) {
    level = above
    if (!sub(/^-- access: /, "", level) || level !~ /^(read|consume|write|manager|admin|owner|public)$/)
        fail(file, number, "\"-- access: LEVEL\" is missing above this function, or the level is unknown")
    match(line, /crm_deals(_internal)?\.[a-z0-9_]+/)
    split(substr(line, RSTART, RLENGTH), name, ".")
    if ((name[1] == "crm_deals") != (file ~ /(^|\/)public\.sql$/))
        fail(file, number, "public functions are created in sql/public.sql, internal ones elsewhere")
    if (level != "owner" && !((name[1], name[2], level) in noted)) {
        noted[name[1], name[2], level] = 1
        privileges = privileges (privileges ? ",\n           " : "") \
            sprintf("('%s', '%s', '%s')", level, name[1], name[2])
    }
}

# The list stands before functions that it names: all files are read for it first.
function read_access_lines(    i, number, line, above) {
    for (i = 1; i < ARGC; i++) {
        if (is_ddl(ARGV[i]))
            continue
        above = ""
        for (number = 1; (getline line < ARGV[i]) > 0; number++) {
            if (line ~ /^CREATE (OR REPLACE )?(FUNCTION|AGGREGATE|PROCEDURE) /)
                note_access(ARGV[i], number, line, above)
            above = line
        }
        close(ARGV[i])
    }
}

BEGIN {
    # These are made here, and install() calls them before it knows its caller.
    privileges = "('public', 'crm_deals_internal', 'schema'),\n           " \
        "('public', 'crm_deals_internal', 'parts_with_tables'),\n           " \
        "('public', 'crm_deals_internal', 'function_privileges')"
    read_access_lines()
    print "\\echo Use \"CREATE EXTENSION crm_deals CASCADE\" to load this file. \\quit"
    print ""
    print "-- Nothing that a user made can be meant by a name in this script."
    print "SET LOCAL search_path = pg_catalog, pg_temp;"
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

FNR == 1 && is_ddl(FILENAME) {
    if (FILENAME ~ /migrations\/[0-9.]+\.sql$/)
        migrations = migrations (migrations ? ", " : "") "'" part(FILENAME) "'"
    if (in_schema) print "$ddl$"
    printf "WHEN '%s' THEN $ddl$\n", part(FILENAME)
    in_schema = 1
}

FNR == 1 && !is_ddl(FILENAME) {
    if (in_schema) {
        print "$ddl$\nEND\n$schema$;\n"
        print "COMMENT ON FUNCTION crm_deals_internal.schema(text) IS"
        print "    'Internal: the DDL that install() runs, part by part.';\n"
        gsub(/ /, "', '", tables)
        print "CREATE FUNCTION crm_deals_internal.parts_with_tables() RETURNS text[]"
        print "LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp"
        print "AS $$ SELECT ARRAY['" tables "'] $$;"
        print "COMMENT ON FUNCTION crm_deals_internal.parts_with_tables() IS"
        print "    'Internal: the parts of schema() that make tables, in their order.';\n"
        print "CREATE FUNCTION crm_deals_internal.migrations() RETURNS text[]"
        print "LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp"
        print "AS $$ SELECT ARRAY[" migrations "] $$;"
        print "COMMENT ON FUNCTION crm_deals_internal.migrations() IS"
        print "    'Internal: the versions that change tables, each a part of schema().';"
    }
    in_schema = 0
    printf "\n-- %s\n\n", part(FILENAME)
}

# The list stands where this line stands.
/^-- @function_privileges@$/ {
    print "CREATE FUNCTION crm_deals_internal.function_privileges()"
    print "RETURNS TABLE (level text, schema text, function text)"
    print "LANGUAGE sql IMMUTABLE PARALLEL SAFE"
    print "SET search_path = pg_catalog, pg_temp"
    print "AS $$"
    print "    VALUES " privileges
    print "$$;"
    print "COMMENT ON FUNCTION crm_deals_internal.function_privileges() IS"
    print "    'Internal: which functions each level may execute.';"
    next
}

{ print }

END { if (failed) exit 1 }
