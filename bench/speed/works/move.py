"""One stage move a transaction, notify off."""

import sides
from results import Bar
from works.common import rate, rate_from_node, rate_of_tryton, rounds

NAME = "one move"
BARS = [
    Bar("rate", "bare", at_least=0.95),
    Bar("rate", "by hand", at_least=1.5),
    Bar("rate", "app", at_least=3),
    Bar("rate", "app", ours="ours from Node.js", note="ours from Node.js, too"),
    Bar("rate", "tryton", at_least=50),
]


def measure(plan, results):
    columns = ["ours", "bare", "by_hand"]
    if sides.why_no_app() is None:
        columns += ["app", "ours from Node.js"]
    if plan.tryton and sides.why_no_tryton() is None:
        columns.append("tryton")
    for commit in plan.commits:
        for clients in plan.clients:
            variant = f"{clients} client{'s' if clients > 1 else ''}, synchronous_commit {commit}"
            for side in rounds(plan.rounds, columns):
                results.add(NAME, variant, side.replace("_", " "), {"rate": moves(plan, side, clients, commit)})


def moves(plan, side, clients, commit):
    if side in ("app", "ours from Node.js"):
        return rate_from_node(plan, side, clients, commit, "off")
    if side == "tryton":
        return rate_of_tryton(plan, "move", clients, commit)
    return rate(plan, "move", side, plan.deals, clients, commit)
