"""The works, in the order of the tables. Each module has NAME, BARS, and measure(plan, results)."""

from works import (boards, bulk, copying, duplicates, footprint, growth, importing, insert, instructions, move,
                   move_deals, notes, notifying, reading, tail)

# Duplicates restart the server, and instructions are counted while it is stopped: these come last.
ALL = [move, notifying, insert, notes, growth, footprint, bulk, move_deals, copying, importing, tail, reading, boards,
       duplicates, instructions]


def name(work):
    return work.__name__.split(".")[-1]


NAMES = [name(work) for work in ALL]
