# Makes the upgrade script from an earlier release:
#
#     awk -f upgrade.awk -v from=RELEASE -v obstacles=FILES NEW RELEASE.sql... retire.sql NEW drop-retired.sql
#
# NEW is the new version's own script. It is read twice, first for the signatures of its functions. In the result they
# replace those that are there. RELEASE.sql is what one does by hand to get from that release to the next, for operators
# and operator classes above all: these cannot be replaced. Files of releases before the first are left out.

# Returns the version in the name of a file.
function version_of(file) {
    sub(/^.*\//, "", file)
    match(file, /^[0-9.]*[0-9]/)
    return substr(file, 1, RLENGTH)
}

# Returns whether the first version comes before the second.
function is_before(first, second,    a, b, i) {
    split(first, a, ".")
    split(second, b, ".")
    for (i = 1; i <= 3; i++)
        if (a[i] != b[i])
            return a[i] + 0 < b[i] + 0
    return 0
}

# Prints the queries of the later versions, for a list of what stands in the way.
function print_obstacles(    files, n, i, line) {
    n = split(obstacles, files, " ")
    for (i = 1; i <= n; i++) {
        if (!is_before(from, version_of(files[i])))
            continue
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

FNR == 1 && FILENAME ~ /upgrade\/retire\.sql$/ { what = "retire" }
FNR == 1 && FILENAME ~ /upgrade\/[0-9.]+\.sql$/ { what = "hand" }
FNR == 1 && FILENAME ~ /upgrade\/drop-retired\.sql$/ { what = "end" }
FNR == 1 && FILENAME !~ /upgrade\// { what = what == "" ? "signatures" : "new" }

# A signature can stand on several lines.
what == "signatures" {
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

what == "hand" && is_before(version_of(FILENAME), from) { next }

# The functions whose result changes.
what == "hand" && sub(/^-- made anew: /, "") {
    made_anew = made_anew (made_anew ? ", " : "") "'" $0 "'"
    next
}

what == "retire" && /@signatures@/ { sub(/@signatures@/, "\n            " signatures) }
what == "retire" && /@made_anew@/ { sub(/@made_anew@/, made_anew) }
what == "retire" && /@obstacles@/ { print_obstacles(); next }

# What has been there since an earlier version.
what == "new" && /^(\\echo|SET LOCAL|CREATE SCHEMA|GRANT USAGE ON SCHEMA) / { next }
what == "new" && /^CREATE OPERATOR / { skipping = 1 }
skipping {
    if (/;$/) skipping = 0
    next
}
what == "new" && /^CREATE (FUNCTION|AGGREGATE) / { sub(/^CREATE/, "CREATE OR REPLACE") }

{ print }
