"""How much is measured: quick, as it is, or full."""

import os
from dataclasses import dataclass, field

CLIENTS_AT_MOST = 32


@dataclass
class Plan:
    name: str
    deals: int                  # in the database that single deals are moved in
    bulk: int                   # deals of one statement
    seconds: int                # of each run
    rounds: int                 # every round runs everything once; ratios are of medians
    bulk_rounds: int
    clients: list = field(default_factory=lambda: [1, 2, 8, 32])
    sizes: list = field(default_factory=lambda: [10_000, 1_000_000])
    commits: list = field(default_factory=lambda: ["on", "off"])
    counted: int = 200          # moves, and inserts, whose instructions are counted
    settling: int = 3           # rounds that are not counted, between those right after a checkpoint and those later
    tryton: bool = True
    works: list = field(default_factory=list)    # all where none are named

    @property
    def deals_a_client(self):
        return max(self.deals // CLIENTS_AT_MOST, 1)


PLANS = {
    # Under four minutes: to see that all is there. Without Tryton, whose database alone takes a minute or more to make.
    "quick": Plan("quick", deals=10_000, bulk=10_000, seconds=1, rounds=2, bulk_rounds=2, clients=[8], sizes=[1_000, 10_000], counted=50, settling=0, tryton=False),
    "normal": Plan("normal", deals=1_032_000, bulk=1_000_000, seconds=8, rounds=5, bulk_rounds=3, sizes=[10_000, 1_032_000]),
    # Needs 60 GB of disk: the database of ten million deals, twice.
    "full": Plan("full", deals=1_032_000, bulk=1_000_000, seconds=20, rounds=5, bulk_rounds=5, sizes=[10_000, 1_032_000, 10_000_000]),
}


# What the environment may say differently.
SETTINGS = {"deals": "DEALS", "bulk": "BULK", "seconds": "SECONDS_A_RUN", "rounds": "ROUNDS", "bulk_rounds": "BULK_ROUNDS"}


def chosen():
    name = os.environ.get("PLAN") or ("full" if os.environ.get("FULL") else "quick" if os.environ.get("QUICK") else "normal")
    plan = PLANS[name]
    for setting, variable in SETTINGS.items():
        if os.environ.get(variable):
            setattr(plan, setting, int(os.environ[variable]))
    plan.works = os.environ.get("WORKS", "").split()
    plan.tryton = plan.tryton and not os.environ.get("WITHOUT_TRYTON")
    return plan
