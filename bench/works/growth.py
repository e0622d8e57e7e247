"""One move among more and more deals: ours / bare at each size, and the largest size against the smallest."""

from statistics import median

import sides
from results import Bar
from works.common import turns

NAME = "one move as the table grows"
RATIOS = "one move, largest to smallest table"
BARS = [Bar("rate", "bare")]


def measure(plan, results):
    for deals in plan.sizes:
        for side, rate in turns(plan, plan.rounds, "move", ["ours", "bare"], deals, 1):
            results.add(NAME, f"among {deals:,}", side, {"rate": rate})
        if deals > plan.deals:
            sides.drop_all(deals)
    results.compare(NAME, BARS)
    variant = f"{plan.sizes[0]:,} → {plan.sizes[-1]:,}"
    for name, deals in ("smallest", plan.sizes[0]), ("largest", plan.sizes[-1]):
        results.add(RATIOS, variant, name, {"ours / bare": ours_to_bare(results, f"among {deals:,}")})
    results.compare(RATIOS, [Bar("ours / bare", "smallest", ours="largest", at_least=0.95)])


def ours_to_bare(results, variant):
    return median(results.values(NAME, variant, "ours", "rate")) / median(results.values(NAME, variant, "bare", "rate"))
