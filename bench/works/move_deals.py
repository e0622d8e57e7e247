"""One move_deals() of many deals, gates on and a tenth of them rejected, beside the plain UPDATE of those that may go.
Each moves deals that the other has not touched."""

import sides
from results import Bar
from server import sql, timed
from works.common import rounds

NAME = "move_deals() of many deals"
BARS = [Bar("seconds", "UPDATE"), Bar("memory", "UPDATE", relation="MiB more")]

PREPARE = """
CREATE EXTENSION crm_deals CASCADE;
SELECT crm_deals.install();
SELECT crm_deals.create_pipeline('Sales', '[{"name": "A"}, {"name": "B", "required_fields": ["amount"]},
                                            {"name": "Won", "status": "won"}, {"name": "Lost", "status": "lost"}]',
                                 gates => '{"forbid_skipping": true}');
"""

# Every tenth deal lacks the amount that stage B requires.
FILL = """
SET crm_deals.allow_truncate = on;
TRUNCATE crm_deals.deal, crm_deals.deal_event RESTART IDENTITY CASCADE;
INSERT INTO crm_deals.deal (name, amount)
SELECT 'Deal ' || n, CASE WHEN n % 10 > 0 THEN n END FROM generate_series(1, 2 * :deals) AS n;
VACUUM ANALYZE crm_deals.deal;
CHECKPOINT;
"""

STATEMENTS = {
    "UPDATE": """UPDATE crm_deals.deal SET stage_id = (SELECT id FROM crm_deals.stage WHERE key = 'b')
                 WHERE id <= :deals AND amount IS NOT NULL;""",
    "ours": """SELECT outcome, count(*)
               FROM crm_deals.move_deals(ARRAY(SELECT id FROM crm_deals.deal WHERE id > :deals), 'b')
               GROUP BY outcome;""",
}


def measure(plan, results):
    deals = min(plan.bulk, 100_000)
    name = sides.create("move_deals", PREPARE)
    for number, side in enumerate(rounds(plan.bulk_rounds, list(STATEMENTS))):
        if number % len(STATEMENTS) == 0:
            sql(name, FILL, {"deals": deals})
        results.add(NAME, f"{deals:,} deals, a tenth rejected", side, timed(name, STATEMENTS[side], {"deals": deals}))
    sides.drop(name)
    results.compare(NAME, BARS)
