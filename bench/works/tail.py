"""The slowest moves of one client while another session moves very many other deals in one statement."""

import os
import threading
import time

import sides
from results import Bar
from server import WORKSPACE, make_ready, path, pgbench, text_of, timed, transactions
from works.common import choice, rounds

NAME = "a move during a bulk move"
BARS = [Bar("p99", "bare", at_most=1.5), Bar("median", "bare")]


def measure(plan, results):
    others = plan.deals - plan.deals_a_client
    for side in rounds(plan.bulk_rounds, ["ours", "bare"]):
        results.add(NAME, f"{others:,} other deals", side, latencies(plan, side))
    results.compare(NAME, BARS)


class BulkMove(threading.Thread):
    def __init__(self, database, side, first, last):
        super().__init__()
        self.arguments = database, text_of(sides.statement("bulk_move", side)), {"first": first, "last": last}
        self.began = self.ended = None
        self.error = None

    def run(self):
        self.began = time.time()
        try:
            timed(*self.arguments)
        except RuntimeError as error:
            self.error = error
        self.ended = time.time()


def latencies(plan, side):
    database = sides.database(side, plan.deals)
    make_ready(database)
    prefix = os.path.join(WORKSPACE, f"latency_{side}")
    bulk = BulkMove(database, side, plan.deals_a_client + 1, plan.deals)
    bulk.start()
    runs = 0
    while runs == 0 or bulk.is_alive():
        pgbench(database, path(sides.statement("move", side)), 1, choice(plan.deals), 1, log=f"{prefix}.{runs}")
        runs += 1
    bulk.join()
    if bulk.error:
        raise bulk.error
    return quantiles(prefix, bulk.began, bulk.ended)


def quantiles(prefix, began, ended):
    """Returns the quantiles of the moves that ended between two moments."""
    found = sorted(seconds for _, moment, seconds in transactions(prefix) if began <= moment <= ended)
    if not found:
        raise RuntimeError("no move ended during the bulk move")
    return {"p99": found[int(len(found) * 0.99)], "median": found[len(found) // 2], "moves": len(found)}
