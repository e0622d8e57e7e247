# Joins the SQL files into the extension's script: those of sql/schema become
# the parts that crm_deals._schema() returns, the others follow as they are.
# Files come in the Makefile's order, those of sql/schema first.

function part(file) {
    sub(/.*\//, "", file)
    sub(/\.sql$/, "", file)
    return file
}

BEGIN {
    print "\\echo Use \"CREATE EXTENSION crm_deals CASCADE\" to load this file. \\quit"
    print ""
    print "-- The tables that install() makes, as text: they are the user's, not the extension's."
    print "CREATE FUNCTION crm_deals._schema(part text) RETURNS text"
    print "LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp"
    print "AS $schema$"
    print "SELECT CASE _schema.part"
}

FNR == 1 && FILENAME ~ /schema\// {
    if (in_schema) print "$ddl$"
    printf "WHEN '%s' THEN $ddl$\n", part(FILENAME)
    in_schema = 1
}

FNR == 1 && FILENAME !~ /schema\// {
    if (in_schema) print "$ddl$\nEND\n$schema$;\n\nCOMMENT ON FUNCTION crm_deals._schema(text) IS\n    'Internal: the DDL that install() runs, part by part.';"
    in_schema = 0
    printf "\n-- %s\n\n", part(FILENAME)
}

{ print }
