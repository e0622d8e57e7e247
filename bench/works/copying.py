"""COPY of very many deals into empty tables."""

import os

import sides
from results import Bar
from server import WORKSPACE, make_ready, sql, text_of, timed
from works.common import rounds

NAME = "COPY of many deals"
BARS = [
    Bar("seconds", "bare", at_most=1.2, note="duplicates off"),
    Bar("seconds", "bare", ours="ours flag", at_most=4, note="duplicates flag; bare: no search"),
    Bar("seconds", "by hand", note="duplicates off"),
    Bar("seconds", "by hand flag", ours="ours flag", note="duplicates flag; by hand: extrapolated from a sample"),
    Bar("memory", "bare", at_most=64, relation="MiB more"),
    Bar("memory", "bare", ours="ours flag", at_most=64, relation="MiB more", note="duplicates flag; bare: no search"),
    Bar("memory", "by hand", relation="MiB more"),
]
SIDES = ["ours", "ours_flag", "bare", "by_hand", "by_hand_flag"]
SAMPLE = 1000


def measure(plan, results):
    files = make_files(1, plan.bulk, "copied")
    sample = min(SAMPLE, plan.bulk // 100)
    sample_files = make_files(plan.deals + 1, plan.deals + sample, "sample")
    for side in rounds(plan.bulk_rounds, SIDES, slow=["by_hand", "by_hand_flag"]):
        measured = extrapolated(plan, sample, sample_files) if side == "by_hand_flag" else copied(side, files)
        results.add(NAME, f"{plan.bulk:,} deals", side, measured)
    results.compare(NAME, BARS)


def make_files(first, last, name):
    files = {kind: os.path.join(WORKSPACE, "server", f"{name}_{kind}.csv") for kind in ("plain", "derived")}
    sql(sides.database("ours", 0), text_of("sql/statements/copy_source.sql"), {"first": first, "last": last, **files})
    return files


def copied(side, files):
    name = f"copy_{side}"
    sides.copy(sides.database(side, 0), name)
    make_ready(name)
    measured = timed(name, text_of(sides.statement("copy", side)), files)
    sides.drop(name)
    return measured


def extrapolated(plan, sample, files):
    """Returns what a whole COPY would take. By hand a search takes the longer the more names there are. The sample is
    copied among all names; the deals of a whole COPY meet half as many as there are at its end."""
    database = sides.database("by_hand_flag", plan.deals)
    make_ready(database)
    statement = "BEGIN;\n" + text_of("sql/statements/copy.sql") + "ROLLBACK;\n"
    seconds = timed(database, statement, files)["seconds"]
    return {"seconds": seconds / sample * plan.bulk * (plan.bulk / 2) / plan.deals}
