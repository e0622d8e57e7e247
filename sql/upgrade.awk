# Makes an upgrade script of the new version's script, a script of what one does by hand, and retire.sql:
#
#     awk -f upgrade.awk -v obstacles=FILES NEW HAND retire.sql NEW
#
# NEW is read twice, first for the signatures of its functions. In the result they replace those that are there.
# Operators and operator classes cannot be replaced: HAND does what has to be done with them.

# Prints the queries of the files, for a list of what stands in the way.
function print_obstacles(    files, n, i, line) {
    n = split(obstacles, files, " ")
    for (i = 1; i <= n; i++) {
        print "        UNION ALL"
        while ((getline line < files[i]) > 0)
            print "        " line
        close(files[i])
    }
}

BEGIN {
    print "\\echo Use \"ALTER EXTENSION crm_deals UPDATE\" to load this file. \\quit"
    print ""
    print "-- Nothing that a user made can be meant by a name in this script."
    print "SET LOCAL search_path = pg_catalog, pg_temp;"
}

FNR == 1 { file++ }

# A signature can stand on several lines.
file == 1 {
    if (/^COMMENT ON (FUNCTION|AGGREGATE) /) {
        signature = ""
        collecting = 1
        sub(/^COMMENT ON (FUNCTION|AGGREGATE) /, "")
    }
    if (collecting) {
        signature = signature $0
        if (signature ~ / IS($| )/) {
            sub(/ IS($| .*)/, "", signature)
            gsub(/ +/, " ", signature)
            signatures = signatures (signatures ? ",\n            " : "") "'" signature "'"
            collecting = 0
        }
    }
    next
}

# The functions whose result changes.
file == 2 && sub(/^-- made anew: /, "") {
    made_anew = made_anew (made_anew ? ", " : "") "'" $0 "'"
    next
}

file == 3 && /@signatures@/ { sub(/@signatures@/, "\n            " signatures) }
file == 3 && /@made_anew@/ { sub(/@made_anew@/, made_anew) }
file == 3 && /@obstacles@/ { print_obstacles(); next }

# What has been there since an earlier version.
file == 4 && /^(\\echo|SET LOCAL|CREATE SCHEMA|GRANT USAGE ON SCHEMA) / { next }
file == 4 && /^CREATE OPERATOR / { skipping = 1 }
skipping {
    if (/;$/) skipping = 0
    next
}
file == 4 { sub(/^CREATE (FUNCTION|AGGREGATE) /, "CREATE OR REPLACE " substr($0, 8, index(substr($0, 8), " "))) }

{ print }
