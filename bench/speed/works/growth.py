"""One move among more and more deals: ours / bare at each size, and that of the largest against that of the smallest."""

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
    smallest, largest = (ours_to_bare(results, f"among {deals:,}") for deals in (plan.sizes[0], plan.sizes[-1]))
    variant = f"{plan.sizes[0]:,} → {plan.sizes[-1]:,}"
    results.add(RATIOS, variant, "largest", {"ours / bare": largest})
    results.add(RATIOS, variant, "smallest", {"ours / bare": smallest})
    results.compare(RATIOS, [Bar("ours / bare", "smallest", ours="largest", at_least=0.95)])


def ours_to_bare(results, variant):
    return median(results.values(NAME, variant, "ours", "rate")) / median(results.values(NAME, variant, "bare", "rate"))
