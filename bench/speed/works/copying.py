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
    Bar("memory", "bare", at_most=64, difference=True),
    Bar("memory", "by hand", difference=True),
]


def measure(plan, results):
    files = {name: os.path.join(WORKSPACE, "server", f"{name}.csv") for name in ("plain", "derived")}
    sql_file(sides.database("ours", 0), "statements/copy_source.sql", {"deals": plan.bulk, **files})
    for side in rounds(plan.bulk_rounds, ["ours", "ours_flag", "bare", "by_hand"]):
        name = f"copy_{side}"
        sides.copy(sides.database(side, 0), name)
        make_ready(name)
        results.add(NAME, f"{plan.bulk:,} deals", side.replace("_", " "), timed(name, sides.statements("copy", side), files))
        sides.drop(name)
