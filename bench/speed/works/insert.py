"""One deal more a transaction."""

import sides
from results import Bar
from server import make_ready, warm
from works.common import rate, rate_of_tryton, turns

NAME = "insert of one deal"
BARS = [
    Bar("rate", "bare", at_least=0.95, note="duplicates off"),
    Bar("rate", "bare", ours="ours flag", at_least=0.45, note="duplicates flag; bare: no search"),
    Bar("rate", "by hand", note="duplicates off"),
    Bar("rate", "by hand flag", ours="ours flag", note="duplicates flag"),
    Bar("rate", "tryton"),
]


SIDES = ["ours", "ours_flag", "bare", "by_hand"]


def measure(plan, results):
    """After a checkpoint PostgreSQL logs a page whole when it is first written: of the index of names, whose pages are
    written in no order, nearly every page for some seconds. So it is measured then and later."""
    measure_at(plan, results, "right after a checkpoint", make_ready)
    if plan.tryton and sides.why_no_tryton() is None:
        add(plan, results, "right after a checkpoint", "tryton", rate_of_tryton(plan, "create", 1, "off"))
    for _ in turns(plan, plan.settling, "insert", SIDES, plan.deals, 1, prepare=warm):
        pass
    measure_at(plan, results, "later", warm)


def measure_at(plan, results, moment, prepare):
    for side, measured in turns(plan, plan.rounds, "insert", SIDES, plan.deals, 1, prepare=prepare):
        add(plan, results, moment, side, measured)
    # slow: once
    add(plan, results, moment, "by_hand_flag", rate(plan, "insert", "by_hand_flag", plan.deals, 1, prepare=prepare))


def add(plan, results, moment, side, measured):
    results.add(NAME, f"among {plan.deals:,}, 1 client, synchronous_commit off, {moment}", side.replace("_", " "), {"rate": measured})
