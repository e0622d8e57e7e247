"""How much is measured: quick, normal or full."""

import os
import sys
from dataclasses import dataclass, field

CLIENTS_AT_MOST = 32


@dataclass
class Plan:
    name: str
    deals: int                  # in the database in which single deals are moved
    bulk: int                   # deals of one statement
    seconds: int                # of each run
    rounds: int                 # every round runs every side once; the table has ratios of medians
    bulk_rounds: int            # the same for statements that take long
    clients: list = field(default_factory=lambda: [1, 2, 8, 32])
    sizes: list = field(default_factory=lambda: [10_000, 1_032_000])    # tables that grow
    commits: list = field(default_factory=lambda: ["on", "off"])        # synchronous_commit
    counted: int = 200          # moves and inserts whose instructions are counted
    settling: int = 3           # rounds that are not counted, between those right after a checkpoint and the later ones
    questions: int = 2_000      # names that are looked up among the others
    tryton: bool = True
    works: list = field(default_factory=list)

    @property
    def deals_a_client(self):
        return max(self.deals // CLIENTS_AT_MOST, 1)


PLANS = {
    # To see that every work runs. Without Tryton: to make its database takes more than a minute.
    "quick": Plan("quick", deals=10_000, bulk=10_000, seconds=1, rounds=2, bulk_rounds=1, clients=[8],
                  sizes=[1_000, 10_000], counted=50, settling=0, questions=100, tryton=False),
    "normal": Plan("normal", deals=1_032_000, bulk=1_000_000, seconds=8, rounds=5, bulk_rounds=3),
    # Needs 60 GB of disk: two databases of ten million deals.
    "full": Plan("full", deals=1_032_000, bulk=1_000_000, seconds=20, rounds=5, bulk_rounds=5,
                 sizes=[10_000, 1_032_000, 10_000_000]),
}

# Environment variables that replace a figure of the plan
SETTINGS = {"deals": "DEALS", "bulk": "BULK", "seconds": "SECONDS_A_RUN", "rounds": "ROUNDS",
            "bulk_rounds": "BULK_ROUNDS"}


def chosen(all_works):
    plan = PLANS["full" if os.environ.get("FULL") else "quick" if os.environ.get("QUICK") else "normal"]
    for setting, variable in SETTINGS.items():
        if os.environ.get(variable):
            setattr(plan, setting, int(os.environ[variable]))
    plan.works = os.environ.get("WORKS", "").split() or all_works
    plan.tryton = plan.tryton and not os.environ.get("WITHOUT_TRYTON")
    unknown = set(plan.works) - set(all_works)
    if unknown:
        sys.exit(f"there is no work {', '.join(sorted(unknown))}; the works are {', '.join(all_works)}")
    return plan
