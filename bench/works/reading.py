"""read_events() of 1,000 events out of logs of different lengths, by consumers that stand at different places."""

import re

import sides
from results import Bar
from server import sql, text_of

NAME = "reading 1,000 events"
BARS = [Bar("seconds"), Bar("first"), Bar("pages"), Bar("events", exactly=1000)]
PLACES = {
    "start": "at the start",
    "middle": "in the middle, 20 transactions were running",
    "end": "1,000 before the end, 20 transactions were running",
}
READINGS = 15

# Nothing is acknowledged, and nothing kept, so that each reading is the same.
READ = """BEGIN;
\\timing on
SELECT 'read ' || count(*), sum(length(payload::text)) FROM crm_deals.read_events('{consumer}', 1000);
\\timing off
ROLLBACK;
"""

# The first call reads the catalogs; the second shows the pages that a reading looks at, in memory or not.
PAGES = """BEGIN;
SELECT count(*) FROM crm_deals.read_events('{consumer}', 1000);
ROLLBACK;
BEGIN;
EXPLAIN (ANALYZE, BUFFERS) SELECT * FROM crm_deals.read_events('{consumer}', 1000);
ROLLBACK;
"""


def measure(plan, results):
    for events in sorted({max(size, 10_000) for size in plan.sizes}):
        name = sides.create(f"events_{events}", text_of("sql/events.sql"), {"events": events}, notify="on")
        for consumer, place in PLACES.items():
            read(results, name, consumer, f"log of {events:,}, consumer {place}")
        sides.drop(name)
    results.compare(NAME, BARS)


def read(results, name, consumer, where):
    output = sql(name, "LOAD 'crm_deals';\n" + READINGS * READ.format(consumer=consumer), jit="on")
    counts = [int(found) for found in re.findall(r"^read (\d+)", output, re.MULTILINE)]
    first, *later = [float(found) / 1000 for found in re.findall(r"^Time: ([0-9.]+) ms", output, re.MULTILINE)]
    # The first one builds the caches of the session.
    results.add(NAME, where, "ours", {"first": first, "pages": pages(name, consumer), "events": min(counts)})
    for seconds in later:
        results.add(NAME, where, "ours", {"seconds": seconds})


def pages(name, consumer):
    plan = sql(name, PAGES.format(consumer=consumer), jit="on")
    buffers = re.search(r"Buffers: shared (.*)", plan).group(1)
    return sum(int(found) for found in re.findall(r"(?:hit|read)=(\d+)", buffers))
