"""import_deals() of very many deals beside COPY of the same deals into a bare table. Both begin with a CSV file. The
bare table has the same columns, indexes, CHECKs and foreign keys, no trigger and no log. Duplicates off."""

import os

import sides
from results import Bar
from server import WORKSPACE, sql, text_of, timed
from works.common import rotated

NAME = "import of many deals"
BARS = [
    Bar("seconds", "bare", ours="typed columns", at_most=3, note="typed columns"),
    Bar("seconds", "bare", ours="texts", note="texts"),
    Bar("seconds", "bare", ours="again, unchanged", note="again, unchanged"),
    Bar("processor seconds", "bare", ours="typed columns", note="typed columns"),
    Bar("processor seconds", "bare", ours="texts", note="texts"),
    Bar("processor seconds", "bare", ours="again, unchanged", note="again, unchanged"),
    Bar("memory", "bare", ours="typed columns", relation="MiB more", note="typed columns"),
]

# Fresh tables on both sides, so that no round pays for the one before
EMPTY = """
DROP TABLE IF EXISTS bare;
CREATE TABLE bare (LIKE crm_deals.deal INCLUDING ALL,
    FOREIGN KEY (stage_id, pipeline_id) REFERENCES crm_deals.stage (id, pipeline_id),
    FOREIGN KEY (account_id) REFERENCES crm_deals.account,
    FOREIGN KEY (primary_contact_id) REFERENCES crm_deals.contact ON DELETE SET NULL);
SET crm_deals.allow_truncate = on;
TRUNCATE crm_deals.deal_event, crm_deals.deal CASCADE;
CHECKPOINT;
"""

COPY_BARE = """
COPY bare (external_id, name, account_id, stage_id, pipeline_id, status, probability, amount, currency,
           expected_close_date, owner, created_at, lost_reason, closed_at, stage_entered_at, updated_at)
FROM :'bare' (FORMAT csv);
"""

IMPORT = """
BEGIN;
CREATE TEMPORARY TABLE source (external_id text, name text, account text, stage text, amount {}, expected_close_date {},
                               owner text, created_at {}, lost_reason text);
COPY source FROM :'source' (FORMAT csv);
SELECT outcome, count(*) FROM crm_deals.import_deals('source') GROUP BY outcome;
COMMIT;
"""
TYPED = IMPORT.format("numeric", "date", "timestamptz")
TEXTS = IMPORT.format("text", "text", "text")

# Deals with five steps of history each, by 50 actors, in place of the source above
HISTORY_NAME = "import of deals with history"
HISTORY_BARS = [
    Bar(figure, "bare", ours=ours, at_most=3, note=ours)
    for figure in ("seconds", "processor seconds") for ours in ("history", "rehearsal", "after a rehearsal")
]

EMPTY_EVENTS = EMPTY + """
DROP TABLE IF EXISTS bare_event;
CREATE TABLE bare_event (LIKE crm_deals.deal_event INCLUDING ALL);
"""

WITH_HISTORY = """
BEGIN;
CREATE TEMPORARY TABLE source (LIKE made);
CREATE TEMPORARY TABLE history (LIKE made_history);
COPY source FROM :'source' (FORMAT csv);
COPY history FROM :'history' (FORMAT csv);
SELECT outcome, count(*) FROM crm_deals.import_deals('source', history => 'history', dry_run => {}) GROUP BY outcome;
COMMIT;
"""

# Leaves statistics of a table that has pages and no rows
ANALYSE_EMPTY = "ANALYZE crm_deals.deal, crm_deals.deal_event;"

KEEP_BARE = """
COPY (TABLE crm_deals.deal) TO :'bare' (FORMAT csv);
COPY (TABLE crm_deals.deal_event) TO :'events' (FORMAT csv);
"""

COPY_BARE_HISTORY = """
BEGIN;
COPY bare FROM :'bare' (FORMAT csv);
COPY bare_event FROM :'events' (FORMAT csv);
COMMIT;
"""


def measure_history(name, deals, results):
    """Imports deals with history; COPY of what the first import wrote is the other side."""
    files = {kind: os.path.join(WORKSPACE, "server", f"import_with_{kind}.csv")
             for kind in ("source", "history", "bare", "events")}
    sql(name, text_of("sql/import_history.sql"), {"deals": deals, **files})
    sql(name, EMPTY_EVENTS)
    works = [("history", WITH_HISTORY.format("false")), ("bare", COPY_BARE_HISTORY),
             ("rehearsal", WITH_HISTORY.format("true")), ("after a rehearsal", WITH_HISTORY.format("false"))]
    for side, text in works:
        results.add(HISTORY_NAME, f"{deals:,} deals", side, timed(name, text, files))
        if side == "history":
            sql(name, KEEP_BARE, files)
        sql(name, ANALYSE_EMPTY if side == "rehearsal" else "" if side == "history" else EMPTY_EVENTS)


def measure(plan, results):
    name = "importing"
    files = {kind: os.path.join(WORKSPACE, "server", f"import_{kind}.csv") for kind in ("source", "bare")}
    sides.copy(sides.database("ours", 0), name)
    sql(name, text_of("sql/import_source.sql"), {"deals": plan.bulk, **files})
    # "again" imports what stands there already, so it follows the first import.
    works = [[("bare", COPY_BARE)], [("typed columns", TYPED), ("again, unchanged", TYPED)], [("texts", TEXTS)]]
    for number in range(plan.bulk_rounds):
        for group in rotated(works, number):
            sql(name, EMPTY)
            for side, text in group:
                results.add(NAME, f"{plan.bulk:,} deals", side, timed(name, text, files))
    # The cost grows with the rows, no faster. Of fewer than 1,000 deals COPY's processor time may be too short to count.
    for deals in sorted({max(plan.bulk // 100, 1000), max(plan.bulk // 10, 1000), plan.bulk}):
        measure_history(name, deals, results)
    sides.drop(name)
    results.compare(NAME, BARS)
    results.compare(HISTORY_NAME, HISTORY_BARS)
