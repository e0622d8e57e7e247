"""A change of a column that no index holds: the notes. It is logged as every change is."""

from results import Bar
from works.common import rate, rounds

NAME = "change of the notes"
BARS = [Bar("rate", "bare", at_least=0.95), Bar("rate", "by hand")]


def measure(plan, results):
    for side in rounds(plan.rounds, ["ours", "bare", "by_hand"]):
        results.add(NAME, "1 client, synchronous_commit off", side.replace("_", " "), {"rate": rate(plan, "notes", side, plan.deals, 1)})
