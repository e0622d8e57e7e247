"""A change of a column that no index holds: the notes. It is logged as every change is."""

from results import Bar
from works.common import turns

NAME = "change of the notes"
BARS = [Bar("rate", "bare", at_least=0.95), Bar("rate", "by hand")]


def measure(plan, results):
    for side, rate in turns(plan, plan.rounds, "notes", ["ours", "bare", "by_hand"], plan.deals, 1):
        results.add(NAME, "1 client, synchronous_commit off", side, {"rate": rate})
    results.compare(NAME, BARS)
