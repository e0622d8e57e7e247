"""What the works share: rounds, turns, and the rate of a side."""

from statistics import mean

import sides
from server import make_ready, path, pgbench

SECONDS_A_TURN = 2


def rotated(columns, number):
    """Returns the columns, beginning with another one each round, so that a disturbance meets all alike."""
    start = number % max(len(columns), 1)
    return columns[start:] + columns[:start]


def rounds(count, columns, slow=()):
    """Yields every column once a round. Slow ones, which take minutes, are in the first round only."""
    for number in range(count):
        yield from (column for column in rotated(columns, number) if number == 0 or column not in slow)


def rate(plan, work, side, deals, clients, commit="off", notify="off", prepare=make_ready):
    """Returns a side's transactions a second, by pgbench."""
    prepare(sides.database(side, deals))
    return run_of(plan.seconds, work, side, deals, clients, commit, notify)[0]


def turns(plan, count, work, columns, deals, clients, commit="off", prepare=make_ready):
    """Yields, round by round, every side and its transactions a second. Within a round the sides take turns of two
    seconds: if the machine is slow for some seconds, it is slow for all. With many clients a turn is longer, because
    each client first starts a session."""
    seconds = min(plan.seconds, max(SECONDS_A_TURN, clients // 4))
    databases = [sides.database(side, deals) for side in columns]
    for number in range(count):
        prepare(*databases)
        measured = {side: [] for side in columns}
        for turn in range(plan.seconds // seconds):
            for side in rotated(columns, number + turn):
                measured[side].append(run_of(seconds, work, side, deals, clients, commit)[0])
        yield from ((side, mean(rates)) for side, rates in measured.items())


def run_of(seconds, work, side, deals, clients, commit, notify="off"):
    """Returns transactions a second and their number."""
    return pgbench(sides.database(side, deals), path(sides.statement(work, side)), clients, choice(deals), seconds,
                   notify=notify, commit=commit)


def choice(deals, once=0, place=0):
    """Returns the variables by which pgbench's scripts choose deals: at random among the client's own, or each once."""
    return {"deals": deals, "own": max(deals // 32, 1), "once": once, "place": place}


def clients_words(count):
    return f"{count} client{'s' if count > 1 else ''}"
