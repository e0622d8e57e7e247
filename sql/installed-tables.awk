# Writes the C header src/base/installed_tables.h: what the DDL of sql/schema makes, for base/installed.c. A line of a
# table that begins with four spaces and a name is a column; its type is the next word.
BEGIN {
    split("bigint INT8OID integer INT4OID text TEXTOID text[] TEXTARRAYOID bigint[] INT8ARRAYOID jsonb JSONBOID " \
          "timestamptz TIMESTAMPTZOID date DATEOID numeric NUMERICOID real FLOAT4OID boolean BOOLOID " \
          "interval INTERVALOID xid8 XID8OID pg_snapshot PG_SNAPSHOTOID " \
          "crm_deals.deal_status DEAL_STATUS_TYPE", words, " ")
    for (i = 1; i in words; i += 2)
        oid[words[i]] = words[i + 1]
    print "/* Made by sql/installed-tables.awk of sql/schema/. */"
}

/^CREATE TABLE crm_deals\./ {
    table = $3
    sub(/^crm_deals\./, "", table)
    tables[++n_tables] = table
    of_host[table] = FILENAME ~ /(account|contact)\.sql$/
    next
}

/^\)/ { table = "" }

/^CREATE OR REPLACE VIEW crm_deals\./ {
    view = $5
    sub(/^crm_deals\./, "", view)
    views = views "\tVIEW(" view ")\n"
}

table != "" && /^    PRIMARY KEY \(/ {
    sub(/^[^(]*\(/, "")
    sub(/\).*/, "")
    gsub(/,/, "")
    for (i = 1; i <= NF; i++)
        required[table, $i] = "true"
}

table != "" && /^    [a-z_]+ / && !/^    (CONSTRAINT|PRIMARY|UNIQUE|CHECK|FOREIGN) / {
    type = $2
    sub(/,$/, "", type)
    type = type ~ /^@[a-z]+_key@$/ ? "HOST_KEY_TYPE" : oid[type]
    if (type == "") {
        printf "%s: column %s of %s has a type that sql/installed-tables.awk does not know\n", FILENAME, $1, table \
            > "/dev/stderr"
        exit 1
    }
    columns[table, ++n[table]] = $1
    types[table, $1] = type
    required[table, $1] = / NOT NULL| PRIMARY KEY/ ? "true" : "false"
}

END {
    for (t = 1; t <= n_tables; t++) {
        table = tables[t]
        printf "static const InstalledColumn columns_of_%s[] = {\n", table
        for (i = 1; i <= n[table]; i++) {
            column = columns[table, i]
            printf "\t{\"%s\", %s, %s},\n", column, types[table, column], required[table, column]
        }
        print "};\n"
    }
    print "#define INSTALLED_RELATIONS(TABLE, TABLE_OR_HOSTS, VIEW) \\"
    for (t = 1; t <= n_tables; t++)
        printf "\t%s(%s) \\\n", of_host[tables[t]] ? "TABLE_OR_HOSTS" : "TABLE", tables[t]
    gsub(/\n/, " \\\n", views)
    sub(/ \\\n$/, "\n", views)
    printf "%s", views
}
