"""Boards, forecasts, reports and the past beside the queries that a developer would write by hand."""

import sides
from results import Bar
from server import sql, text_of

NAME = "boards and reports"
BARS = [Bar("seconds", "by hand", relation="times faster")]


def measure(plan, results):
    for deals in plan.sizes:
        if deals <= max(plan.deals, plan.sizes[0]):
            ask(plan, results, deals)
    results.compare(NAME, BARS)


def ask(plan, results, deals):
    name = sides.create(f"history_{deals}", text_of("sql/history.sql"), {"deals": deals})
    if deals <= 10_000 and sql(name, "SELECT * FROM crm_deals.verify();"):
        raise RuntimeError("the deals of sql/history.sql break rules")
    answers = sql(name, text_of("sql/boards.sql"), {"rounds": plan.rounds})
    sides.drop(name)
    for line in answers.splitlines():
        question, function, by_hand = line.split("|")
        results.add(NAME, f"{question}, among {deals:,}", "ours", {"seconds": float(function)})
        results.add(NAME, f"{question}, among {deals:,}", "by hand", {"seconds": float(by_hand)})
