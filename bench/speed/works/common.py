"""What the works share."""

from statistics import mean

import sides
from server import environment, make_ready, path, pgbench, run
from works import tryton

SECONDS_A_TURN = 2


def rotated(columns, number):
    """Each round begins with another, so that disturbances meet all alike."""
    start = number % max(len(columns), 1)
    return columns[start:] + columns[:start]


def rounds(count, columns, slow=()):
    """Round by round, every column once. Slow ones, which take minutes, are in the first round only."""
    for number in range(count):
        yield from (column for column in rotated(columns, number) if number == 0 or column not in slow)


def rate(plan, work, side, deals, clients, commit="off", notify="off", prepare=make_ready):
    """Transactions of a side a second, by pgbench."""
    prepare(sides.database(side, deals))
    return run_of(plan.seconds, work, side, deals, clients, commit, notify)


def turns(plan, count, work, columns, deals, clients, commit="off", prepare=make_ready):
    """Round by round, every side and its transactions a second. Within a round the sides take turns of two seconds: a
    machine that is slow for some seconds is so for all. Many clients take longer turns, for each starts a session."""
    seconds = min(plan.seconds, max(SECONDS_A_TURN, clients // 4))
    databases = [sides.database(side, deals) for side in columns]
    for number in range(count):
        prepare(*databases)
        measured = {side: [] for side in columns}
        for turn in range(plan.seconds // seconds):
            for side in rotated(columns, number + turn):
                measured[side].append(run_of(seconds, work, side, deals, clients, commit, "off"))
        yield from ((side, mean(rates)) for side, rates in measured.items())


def run_of(seconds, work, side, deals, clients, commit, notify):
    variables = {"base": 0, "deals_a_client": max(deals // 32, 1)}
    return pgbench(sides.database(side, deals), path(sides.statements(work, side)), clients, seconds, variables, notify, commit)


def rate_from_node(plan, side, clients, commit, notify):
    """Moves a second from Node.js: by the application, or by one UPDATE where ours keeps the rules."""
    kind = "app" if side == "app" else "ours"
    database = sides.database("bare" if kind == "app" else "ours", plan.deals)
    make_ready(database)
    return float(run(["node", path("app", "app.mjs"), database, kind, str(clients), str(plan.seconds), str(plan.deals_a_client),
                      notify], env=environment(notify, commit)))


def rate_of_tryton(plan, what, clients, commit):
    return tryton.rate(what, clients, plan.seconds, commit)
