"""Instructions of the server's processor for a move and for an insert, counted by callgrind: repeatable, whatever else the
machine does.

The first ones, which fill caches and settle on plans, are not counted. "The rules alone" are, of ours, what the
functions that derive and judge run, and by hand the BEFORE trigger, both with all that they call.
"""

import os
import re
import shutil

import sides
from results import Bar
from server import FOLDER, WORKSPACE, path, run, sql

NAME = "instructions"
BARS = [
    Bar("all", "bare"),
    Bar("all", "bare", ours="ours flag", note="duplicates flag; bare: no search"),
    Bar("all", "by hand"),
    Bar("all", "by hand, our indexes"),
    Bar("rules alone", "by hand, our indexes", at_most=0.1),
]
NOT_COUNTED = 20

# Deals to move, and numbers of names that no deal has yet
FIRST = {"move": 1, "insert": 500_000_000}

# Of each side the functions that are the rules; none of them calls another.
RULES = {
    "ours": ["crm_deals_deal_begin", "crm_deals_deal_rules", "check_still_derived", "broken_rules", "enforce_rules"],
    "by_hand_rules": ["plpgsql_call_handler"],
}


def measure(plan, results):
    if shutil.which("valgrind") is None:
        results.skip(NAME, "valgrind is missing")
        return
    databases = {side: sides.database(side, plan.sizes[0]) for side in ("ours", "ours_flag", "bare", "by_hand", "by_hand_our_indexes")}
    databases["by_hand_rules"] = f"by_hand_rules_{plan.sizes[0]}"
    sides.copy(databases["by_hand_our_indexes"], databases["by_hand_rules"])
    sql(databases["by_hand_rules"], "ALTER TABLE crm_deals.deal DISABLE TRIGGER log;")
    run([os.path.join(FOLDER, "..", "..", "test", "harness", "server"), "stop", WORKSPACE])

    count_moves(plan, results, databases)
    count_inserts(plan, results, databases)


def count_moves(plan, results, databases):
    counts = {side: instructions(plan, "move", databases[side], side)
              for side in ("ours", "bare", "by_hand", "by_hand_our_indexes", "by_hand_rules")}
    results.add(NAME, "a move", "ours", {"all": counts["ours"]["all"], "rules alone": counts["ours"]["rules"]})
    results.add(NAME, "a move", "bare", {"all": counts["bare"]["all"]})
    results.add(NAME, "a move", "by hand", {"all": counts["by_hand"]["all"]})
    results.add(NAME, "a move", "by hand, our indexes",
                {"all": counts["by_hand_our_indexes"]["all"], "rules alone": counts["by_hand_rules"]["rules"]})


def count_inserts(plan, results, databases):
    for side in ("ours", "ours_flag", "bare", "by_hand"):
        results.add(NAME, f"an insert among {plan.sizes[0]:,}", side.replace("_", " "),
                    {"all": instructions(plan, "insert", databases[side], side)["all"]})


def instructions(plan, work, database, side):
    out = os.path.join(WORKSPACE, "server", f"callgrind.{database}.{work}")
    run([path("count-instructions"), WORKSPACE, database, out], input=session(work, side, plan.counted))
    listing = run(["callgrind_annotate", "--inclusive=yes", "--threshold=100", f"{out}.1"])
    return {"all": total(listing) / plan.counted, "rules": sum(inclusive(listing, name) for name in RULES.get(side, [])) / plan.counted}


def session(work, side, counted):
    """Prepared, as pgbench does it; a statement is one line. Two functions of PostgreSQL mark what is counted."""
    with open(path(sides.statements(work, side)), encoding="utf-8") as file:
        lines = [line for line in file if not line.startswith(("\\", "--"))]
    statement = re.sub(r"(?<!:):(deal|n)\b", "$1", " ".join(" ".join(lines).split()))
    once = [f"EXECUTE once ({FIRST[work] + n})" for n in range(NOT_COUNTED + counted)]
    return "\n".join([f"PREPARE once (bigint) AS {statement}"] + once[:NOT_COUNTED] + ["SELECT pg_conf_load_time()"] + once[NOT_COUNTED:] +
                     ["SELECT pg_postmaster_start_time()"]) + "\n"


def total(listing):
    return int(re.search(r"^([0-9,]+) .*PROGRAM TOTALS", listing, re.MULTILINE).group(1).replace(",", ""))


def inclusive(listing, name):
    """With what it calls; 0 where it was not called."""
    found = re.search(rf"^\s*([0-9,]+) .*:{name}(?: \[.*)?$", listing, re.MULTILINE)
    return int(found.group(1).replace(",", "")) if found else 0
