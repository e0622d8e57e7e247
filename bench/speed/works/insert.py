"""One deal more a transaction."""

import sides
from results import Bar
from server import warm
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
    """After a checkpoint PostgreSQL logs a page whole when it is first written: of the index of names, whose pages are
    written in no order, nearly every page for some seconds. So it is measured then and later."""
    columns = ["ours", "ours_flag", "bare", "by_hand", "by_hand_flag"]
    for side in rounds(plan.rounds, columns, slow=["by_hand_flag"]):
        add(plan, results, side, "right after a checkpoint", rate(plan, "insert", side, plan.deals, 1))
    if plan.tryton and sides.why_no_tryton() is None:
        add(plan, results, "tryton", "right after a checkpoint", rate_of_tryton(plan, "create", 1, "off"))
    for side in rounds(plan.settling, columns[:-1]):
        rate(plan, "insert", side, plan.deals, 1, prepare=warm)
    for side in rounds(plan.rounds, columns, slow=["by_hand_flag"]):
        add(plan, results, side, "later", rate(plan, "insert", side, plan.deals, 1, prepare=warm))


def add(plan, results, side, moment, measured):
    results.add(NAME, f"among {plan.deals:,}, 1 client, synchronous_commit off, {moment}", side.replace("_", " "), {"rate": measured})
