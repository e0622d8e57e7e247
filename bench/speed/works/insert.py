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
    for side in rounds(plan.rounds, columns, slow=["by_hand_flag", "tryton"]):
        for moment, measured in inserts(plan, side):
            results.add(NAME, f"among {plan.deals:,}, 1 client, synchronous_commit off, {moment}", side.replace("_", " "), {"rate": measured})


def inserts(plan, side):
    """After a checkpoint PostgreSQL logs a page whole when it is first written: of the index of names, whose pages are
    written in no order, nearly every page for some seconds. So it is measured then and later."""
    if side == "tryton":
        yield "right after a checkpoint", rate_of_tryton(plan, "create", 1, "off")
        return
    yield "right after a checkpoint", rate(plan, "insert", side, plan.deals, 1)
    for _ in range(plan.settling):
        rate(plan, "insert", side, plan.deals, 1, ready=True)
    yield "later", rate(plan, "insert", side, plan.deals, 1, ready=True)
