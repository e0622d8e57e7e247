"""COPY of very many deals into empty tables."""

import os

import sides
from results import Bar
from server import WORKSPACE, make_ready, sql_file, timed
from works.common import rounds

NAME = "COPY of many deals"
BARS = [
    Bar("seconds", "bare", at_most=1.2, note="duplicates off"),
    Bar("seconds", "bare", ours="ours flag", at_most=4, note="duplicates flag; bare: no search"),
    Bar("seconds", "by hand", note="duplicates off"),
    Bar("seconds", "by hand flag", ours="ours flag", note="duplicates flag; by hand: extrapolated from a sample"),
    Bar("memory", "bare", at_most=64, difference=True),
    Bar("memory", "bare", ours="ours flag", at_most=64, difference=True, note="duplicates flag; bare: no search"),
    Bar("memory", "by hand", difference=True),
]
SAMPLE = 1000


def measure(plan, results):
    files = make_files(1, plan.bulk, "copied")
    sample = min(SAMPLE, plan.bulk // 10)
    sample_files = make_files(plan.deals + 1, plan.deals + sample, "sample")
    for side in rounds(plan.bulk_rounds, ["ours", "ours_flag", "bare", "by_hand", "by_hand_flag"], slow=["by_hand", "by_hand_flag"]):
        measured = extrapolated(plan, sample, sample_files) if side == "by_hand_flag" else copied(side, files)
        results.add(NAME, f"{plan.bulk:,} deals", side.replace("_", " "), measured)


def make_files(first, last, name):
    files = {kind: os.path.join(WORKSPACE, "server", f"{name}_{kind}.csv") for kind in ("plain", "derived")}
    sql_file(sides.database("ours", 0), "statements/copy_source.sql", {"first": first, "last": last, **files})
    return files


def copied(side, files):
    name = f"copy_{side}"
    sides.copy(sides.database(side, 0), name)
    make_ready(name)
    measured = timed(name, sides.statements("copy", side), files)
    sides.drop(name)
    return measured


def extrapolated(plan, sample, files):
    """By hand a search takes as long as there are names. The sample is copied among all; the deals of the whole COPY
    meet half as many as there are at its end."""
    database = sides.database("by_hand_flag", plan.deals)
    make_ready(database)
    seconds = timed(database, "statements/copy_sample.sql", files)["seconds"]
    return {"seconds": seconds / sample * plan.bulk * (plan.bulk / 2) / plan.deals}
