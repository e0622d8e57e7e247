"""The slowest moves of one client while another session moves very many other deals in one statement."""

import glob
import os
import threading
import time

import sides
from results import Bar
from server import WORKSPACE, make_ready, path, pgbench, timed
from works.common import rounds

NAME = "a move during a bulk move"
BARS = [Bar("p99", "bare", at_most=1.5), Bar("median", "bare")]


def measure(plan, results):
    for side in rounds(plan.bulk_rounds, ["ours", "bare"]):
        results.add(NAME, f"{plan.deals - plan.deals // 32:,} other deals", side.replace("_", " "), latencies(plan, side))


class BulkMove(threading.Thread):
    def __init__(self, database, side, first, last):
        super().__init__()
        self.arguments = database, sides.statements("bulk_move", side), {"first": first, "last": last}
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
    own = plan.deals // 32
    make_ready(database)
    prefix = os.path.join(WORKSPACE, f"latency_{side}")
    bulk = BulkMove(database, side, own + 1, plan.deals)
    bulk.start()
    runs = 0
    while runs == 0 or bulk.is_alive():
        pgbench(database, path(sides.statements("move", side)), 1, 1, {"base": 0, "deals_a_client": own}, log=f"{prefix}.{runs}")
        runs += 1
    bulk.join()
    if bulk.error:
        raise bulk.error
    return quantiles(prefix, bulk.began, bulk.ended)


def quantiles(prefix, began, ended):
    """Of the transactions between these moments; of pgbench's log: client, number, microseconds, script, second, microsecond."""
    found = []
    for name in glob.glob(f"{prefix}.*"):
        with open(name, encoding="ascii") as log:
            for line in log:
                words = line.split()
                if began <= int(words[4]) + int(words[5]) / 1e6 <= ended:
                    found.append(int(words[2]))
        os.remove(name)
    found.sort()
    if not found:
        raise RuntimeError("no move ended during the bulk move")
    return {"p99": found[int(len(found) * 0.99)], "median": found[len(found) // 2], "moves": len(found)}
