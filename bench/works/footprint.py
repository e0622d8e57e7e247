"""What a move writes: bytes of write-ahead log, and by how much compact tables and their indexes grow."""

import sides
from results import Bar
from server import configure, make_ready, path, pgbench, size, sql, wal_position
from works.common import choice, rounds

NAME = "what a move writes"
BARS = [
    Bar("WAL bytes", "bare", at_most=1.1),
    Bar("WAL bytes", "by hand", at_most=0.6),
    Bar("WAL bytes after a checkpoint", "bare"),
    Bar("WAL bytes after a checkpoint", "by hand"),
    Bar("table and index bytes", "bare", at_most=1.1),
    Bar("table and index bytes", "by hand", at_most=0.6),
]


def measure(plan, results):
    moves = min(plan.deals // 4, 20_000)
    for side in rounds(min(plan.rounds, 3), ["ours", "bare", "by_hand"]):
        # Copies are made compact: what grows depends on the space that earlier moves left behind.
        name = f"footprint_{side}"
        sides.copy(sides.database(side, plan.deals), name)
        results.add(NAME, f"{moves:,} moves", side, footprint(name, side, plan.deals, moves))
        sides.drop(name)
    results.compare(NAME, BARS)


def move_each_once(database, side, deals, first, moves):
    pgbench(database, path(sides.statement("move", side)), 1, choice(deals, once=1, place=first), transactions=moves,
            commit="off")


def footprint(database, side, deals, moves):
    half = moves // 2
    try:
        # Full-page images depend on when the last checkpoint was: first without, then right after one.
        configure(full_page_writes="off")
        sql(database, "VACUUM FULL crm_deals.deal, crm_deals.deal_event;")
        make_ready(database)
        size_before, wal_before = size(database), wal_position(database)
        move_each_once(database, side, deals, 0, half)
        wal, grown = wal_position(database) - wal_before, size(database) - size_before
    finally:
        configure(full_page_writes="on")
    sql(database, "CHECKPOINT;")
    wal_before = wal_position(database)
    move_each_once(database, side, deals, half, half)
    return {"WAL bytes": wal / half, "WAL bytes after a checkpoint": (wal_position(database) - wal_before) / half,
            "table and index bytes": grown / half}
