"""One UPDATE that moves very many deals."""

import sides
from results import Bar
from server import make_ready, text_of, timed
from works.common import rounds

NAME = "UPDATE of many deals"
BARS = [
    Bar("seconds", "bare", at_most=1.1),
    Bar("seconds", "by hand", at_most=0.6),
    Bar("memory", "bare", at_most=64, relation="MiB more"),
    Bar("memory", "by hand", relation="MiB more"),
]


def measure(plan, results):
    for side in rounds(plan.bulk_rounds, ["ours", "bare", "by_hand"], slow=["by_hand"]):
        database = sides.database(side, plan.deals)
        make_ready(database)
        statement = text_of(sides.statement("bulk_move", side))
        results.add(NAME, f"{plan.bulk:,} deals", side, timed(database, statement, {"first": 1, "last": plan.bulk}))
    results.compare(NAME, BARS)
