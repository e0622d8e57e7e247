"""Instructions that a server process executes for a move and for an insert. Callgrind counts them, so they hardly
depend on what else the machine does.

The first ones, which fill caches and settle on plans, are not counted. "The rules alone" are, for ours, the functions
that derive and judge, and by hand the BEFORE trigger, both with all that they call.
"""

import os
import re
import shutil
import subprocess

import sides
from results import Bar
from server import AS_SERVER_USER, WORKSPACE, control, run, sql, text_of

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

# The functions that are the rules. None of them calls another.
RULES = {
    "ours": ["crm_deals_deal_begin", "crm_deals_deal_rules", "check_still_derived", "broken_rules", "enforce_rules"],
    "by_hand_rules": ["plpgsql_call_handler"],
}


def measure(plan, results):
    if shutil.which("valgrind") is None:
        results.skip(NAME, "valgrind is missing")
        return
    databases = {side: sides.database(side, plan.sizes[0])
                 for side in ("ours", "ours_flag", "bare", "by_hand", "by_hand_our_indexes")}
    databases["by_hand_rules"] = f"by_hand_rules_{plan.sizes[0]}"
    sides.copy(databases["by_hand_our_indexes"], databases["by_hand_rules"])
    sql(databases["by_hand_rules"], "ALTER TABLE crm_deals.deal DISABLE TRIGGER log;")
    control("stop")
    try:
        count_moves(plan, results, databases)
        count_inserts(plan, results, databases)
    finally:
        control("start")
    results.compare(NAME, BARS)


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
        results.add(NAME, f"an insert among {plan.sizes[0]:,}", side,
                    {"all": instructions(plan, "insert", databases[side], side)["all"]})


def instructions(plan, work, database, side):
    out = os.path.join(WORKSPACE, "server", f"callgrind.{database}.{work}")
    callgrind(database, out, session(work, side, plan.counted))
    listing = run(["callgrind_annotate", "--inclusive=yes", "--threshold=100", f"{out}.1"])
    return {"all": total(listing) / plan.counted, "rules": rules(listing, side) / plan.counted}


def callgrind(database, out, statements):
    """Runs statements, one a line, in a single-user server; leaves what is counted in a file that ends in .1."""
    command = ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={out}",
               "--zero-before=pg_conf_load_time", "--dump-before=pg_postmaster_start_time",
               f"{WORKSPACE}/bin/postgres", "--single", "-D", f"{WORKSPACE}/server/data", "-c", "shared_buffers=128MB",
               "-c", "fsync=off", "-c", "crm_deals.notify=off", database]
    done = subprocess.run(AS_SERVER_USER + command, input=statements, text=True, capture_output=True, check=False,
                          cwd=WORKSPACE)
    error = re.search("^.*(ERROR|FATAL|PANIC).*$", done.stderr, re.MULTILINE)
    if done.returncode != 0 or error:
        raise RuntimeError(error.group() if error else done.stderr)


def session(work, side, counted):
    """Prepared, as pgbench does it. Two functions of PostgreSQL mark what is counted."""
    lines = [line for line in text_of(sides.statement(work, side)).splitlines() if not line.startswith(("\\", "--"))]
    statement = re.sub(r"(?<!:):(deal|n)\b", "$1", " ".join(" ".join(lines).split()))
    once = [f"EXECUTE once ({FIRST[work] + n})" for n in range(NOT_COUNTED + counted)]
    return "\n".join([f"PREPARE once (bigint) AS {statement}", *once[:NOT_COUNTED], "SELECT pg_conf_load_time()",
                      *once[NOT_COUNTED:], "SELECT pg_postmaster_start_time()"]) + "\n"


def total(listing):
    return int(re.search(r"^([0-9,]+) .*PROGRAM TOTALS", listing, re.MULTILINE).group(1).replace(",", ""))


def rules(listing, side):
    counts = [inclusive(listing, name) for name in RULES.get(side, [])]
    if counts and not any(counts):
        raise RuntimeError(f"none of {', '.join(RULES[side])} was called: have they other names now?")
    return sum(counts)


def inclusive(listing, name):
    """Returns the instructions of a function and of what it calls; 0 if it was not called."""
    found = re.search(rf"^\s*([0-9,]+) .*:{name}(?: \[.*)?$", listing, re.MULTILINE)
    return int(found.group(1).replace(",", "")) if found else 0
