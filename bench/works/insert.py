"""One new deal a transaction."""

import outside
from outside import rate_of_tryton
from results import Bar
from server import make_ready, warm
from works.common import rate, turns

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
    """Measures right after a checkpoint, and later. After a checkpoint PostgreSQL logs a page whole when it is first
    written; of the index of names, whose pages are written in no order, that is nearly every page for some seconds."""
    measure_at(plan, results, "right after a checkpoint", make_ready)
    if outside.why_no_tryton(plan) is None:
        add(plan, results, "right after a checkpoint", "tryton", rate_of_tryton(plan, "create", 1, "off"))
    for _ in turns(plan, plan.settling, "insert", SIDES, plan.deals, 1, prepare=warm):
        pass
    measure_at(plan, results, "later", warm)
    results.compare(NAME, BARS)


def measure_at(plan, results, moment, prepare):
    for side, measured in turns(plan, plan.rounds, "insert", SIDES, plan.deals, 1, prepare=prepare):
        add(plan, results, moment, side, measured)
    # This one is slow, so it runs once.
    add(plan, results, moment, "by_hand_flag", rate(plan, "insert", "by_hand_flag", plan.deals, 1, prepare=prepare))


def add(plan, results, moment, side, measured):
    results.add(NAME, f"among {plan.deals:,}, 1 client, synchronous_commit off, {moment}", side, {"rate": measured})
