"""What the works share."""

import sides
from server import environment, make_ready, path, pgbench, run
from works import tryton


def rounds(count, columns, slow=()):
    """Round by round, every column once; each round begins with another, so that disturbances meet all alike. Slow
    ones, which take minutes, are in the first round only."""
    for number in range(count):
        start = number % len(columns)
        yield from (column for column in columns[start:] + columns[:start] if number == 0 or column not in slow)


def rate(plan, work, side, deals, clients, commit="off", notify="off", prepare=make_ready):
    """Transactions of a side a second, by pgbench."""
    database = sides.database(side, deals)
    prepare(database)
    variables = {"base": 0, "deals_a_client": max(deals // 32, 1)}
    return pgbench(database, path(sides.statements(work, side)), clients, plan.seconds, variables, notify, commit)


def rate_from_node(plan, side, clients, commit, notify):
    """Moves a second from Node.js: by the application, or by one UPDATE where ours keeps the rules."""
    kind = "app" if side == "app" else "ours"
    database = sides.database("bare" if kind == "app" else "ours", plan.deals)
    make_ready(database)
    return float(run(["node", path("app", "app.mjs"), database, kind, str(clients), str(plan.seconds), str(plan.deals_a_client),
                      notify], env=environment(notify, commit)))


def rate_of_tryton(plan, what, clients, commit):
    return tryton.rate(what, clients, plan.seconds, commit)
