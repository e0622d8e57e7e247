"""One deal more a transaction."""

import sides
from results import Bar
from works.common import rate, rate_of_tryton, rounds

NAME = "insert of one deal"
BARS = [
    Bar("rate", "bare", at_least=0.95, note="duplicates off"),
    Bar("rate", "bare", ours="ours flag", at_least=0.45, note="duplicates flag; bare: no search"),
    Bar("rate", "by hand", note="duplicates off"),
    Bar("rate", "by hand flag", ours="ours flag", note="duplicates flag"),
    Bar("rate", "tryton"),
]


def measure(plan, results):
    columns = ["ours", "ours_flag", "bare", "by_hand", "by_hand_flag"]
    if plan.tryton and sides.why_no_tryton() is None:
        columns.append("tryton")
    for side in rounds(plan.rounds, columns):
        results.add(NAME, f"among {plan.deals:,}, 1 client, synchronous_commit off", side.replace("_", " "), {"rate": inserts(plan, side)})


def inserts(plan, side):
    if side == "tryton":
        return rate_of_tryton(plan, "create", 1, "off")
    return rate(plan, "insert", side, plan.deals, 1)
