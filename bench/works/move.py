"""One stage move a transaction, notify off."""

import outside
from outside import rate_from_node, rate_of_tryton
from results import Bar
from works.common import clients_words, rounds, turns

NAME = "one move"
BARS = [
    Bar("rate", "bare", at_least=0.95),
    Bar("rate", "by hand", at_least=1.5),
    Bar("rate", "app", at_least=3),
    Bar("rate", "app", ours="ours from Node.js", note="ours from Node.js, too"),
    Bar("rate", "tryton", at_least=50),
]
SIDES = ["ours", "bare", "by_hand"]


def measure(plan, results):
    for commit in plan.commits:
        for clients in plan.clients:
            variant = f"{clients_words(clients)}, synchronous_commit {commit}"
            for side, rate in turns(plan, plan.rounds, "move", SIDES, plan.deals, clients, commit):
                results.add(NAME, variant, side, {"rate": rate})
            for side in rounds(plan.rounds, outside_the_server(plan)):
                results.add(NAME, variant, side, {"rate": moves(plan, side, clients, commit)})
    results.compare(NAME, BARS)


def outside_the_server(plan):
    columns = ["app", "ours from Node.js"] if outside.why_no_app() is None else []
    return columns + (["tryton"] if outside.why_no_tryton(plan) is None else [])


def moves(plan, side, clients, commit):
    if side == "tryton":
        return rate_of_tryton(plan, "move", clients, commit)
    return rate_from_node(plan, side, clients, commit, "off")
