"""One stage move a transaction, with NOTIFY by the transaction or by the dispatcher. Bare never notifies."""

import time

import sides
from results import Bar
from server import sql
from works.common import rate, rate_from_node, rounds

NAME = "one move, notifying"
BARS = [
    Bar("rate", "bare", ours="on", note="notify on; bare: none"),
    Bar("rate", "by hand", ours="on", note="notify on, by hand, too"),
    Bar("rate", "app", ours="on", note="notify on, the app, too"),
    Bar("rate", "bare", ours="dispatch", at_least=0.85, note="dispatch; bare: none"),
]


def measure(plan, results):
    columns = ["on", "dispatch", "bare", "by hand"] + (["app"] if sides.why_no_app() is None else [])
    for clients in plan.clients:
        variant = f"{clients} client{'s' if clients > 1 else ''}, synchronous_commit on"
        for side in rounds(plan.rounds, columns):
            results.add(NAME, variant, side, {"rate": moves(plan, side, clients)})


def moves(plan, side, clients):
    if side == "app":
        return rate_from_node(plan, "app", clients, "on", "on")
    if side in ("on", "dispatch"):
        result = rate(plan, "move", "ours", plan.deals, clients, "on", side)
        wait_for_dispatcher(sides.database("ours", plan.deals))
        return result
    return rate(plan, "move", side.replace(" ", "_"), plan.deals, clients, "on", "on" if side == "by hand" else "off")


def wait_for_dispatcher(database):
    """It shall not work through this run's events during the next."""
    while sql(database, "SELECT count(*) FROM crm_deals_internal.pending(crm_deals_internal.dispatcher());") != "0":
        time.sleep(0.1)
