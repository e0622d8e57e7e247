"""One stage move a transaction, notify off."""

import sides
from results import Bar
from works.common import rate_from_node, rate_of_tryton, rounds, turns

NAME = "one move"
BARS = [
    Bar("rate", "bare", at_least=0.95),
    Bar("rate", "by hand", at_least=1.5),
    Bar("rate", "app", at_least=3),
    Bar("rate", "app", ours="ours from Node.js", note="ours from Node.js, too"),
    Bar("rate", "tryton", at_least=50),
]


def measure(plan, results):
    for commit in plan.commits:
        for clients in plan.clients:
            variant = f"{clients} client{'s' if clients > 1 else ''}, synchronous_commit {commit}"
            for side, rate in turns(plan, plan.rounds, "move", ["ours", "bare", "by_hand"], plan.deals, clients, commit):
                results.add(NAME, variant, side.replace("_", " "), {"rate": rate})
            for side in rounds(plan.rounds, outside_the_server(plan)):
                results.add(NAME, variant, side, {"rate": moves(plan, side, clients, commit)})


def outside_the_server(plan):
    columns = ["app", "ours from Node.js"] if sides.why_no_app() is None else []
    if plan.tryton and sides.why_no_tryton() is None:
        columns.append("tryton")
    return columns


def moves(plan, side, clients, commit):
    if side == "tryton":
        return rate_of_tryton(plan, "move", clients, commit)
    return rate_from_node(plan, side, clients, commit, "off")
