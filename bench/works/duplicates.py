"""Looking for duplicates beside pg_trgm's own GIN index over the same names: the same question to both, each in a
single process. Cold: the server restarted, and the page cache dropped if that is allowed. Warm: all in memory. If the
whole would take hours, pg_trgm is asked a sample, and its time is multiplied. All answers that both gave must be
alike."""

import os
import statistics

import sides
from results import Bar
from server import WORKSPACE, control, path, pgbench, rows, sql, text_of, transactions

NAME = "duplicates"
FASTER = Bar("seconds", "pg_trgm", relation="times faster")

# Nothing waits for the disk at COMMIT, which would be the same for both, and nothing runs in parallel.
SETTINGS = {"commit": "off", "max_parallel_workers_per_gather": 0, "max_parallel_maintenance_workers": 0,
            "work_mem": "64MB", "maintenance_work_mem": "768MB", "pg_trgm.similarity_threshold": 0.85}
SIDES = {"ours": SETTINGS, "pg_trgm": {**SETTINGS, "enable_seqscan": "off", "plan_cache_mode": "force_generic_plan"}}
COLD = 20           # questions that are asked cold
DROP_CACHES = "/proc/sys/vm/drop_caches"


def measure(plan, results):
    deals, fewer = plan.bulk, plan.bulk // 10
    few = min(1000, fewer // 10)

    many = Names(plan, results, "names", deals)
    many.measure_indexes()
    many.write_questions()
    many.look_up(f"a name among {deals:,}", 200, 100)
    many.write_one_by_one(f"one deal looked up and written among {deals:,}")
    many.write_at_once(few, Bar("seconds", "pg_trgm", at_least=150, relation="times faster"))
    many.write_at_once(fewer, Bar("seconds", at_most=12), FASTER,
                       Bar("seconds", ours="plain insert", note="policy off"))
    many.keep_the_index(fewer)
    many.find_all_pairs(f"all pairs of {deals:,}", deals // 100, Bar("seconds", at_most=15), FASTER,
                        Bar("memory", at_most=2**30))
    sides.drop(many.database)

    less = Names(plan, results, "fewer", fewer)
    less.find_all_pairs(f"all pairs of {fewer:,}", 100,
                        Bar("seconds", "pg_trgm", at_least=800, relation="times faster"), Bar("memory"))
    sides.drop(less.database)

    sites = Names(plan, results, "sites", fewer, of_one_template=True)
    sites.write_site_questions()
    sites.look_up(f"a name among {fewer:,} of one template", 10, None)
    sites.find_all_pairs(f"all pairs of {fewer:,} of one template", fewer // 20 - 1,
                         Bar("seconds", "pg_trgm", at_least=10, relation="times faster"), Bar("memory"))
    sides.drop(sites.database)

    move(plan, results)


def go_cold():
    control("stop")
    if os.access(DROP_CACHES, os.W_OK):
        os.sync()
        with open(DROP_CACHES, "w", encoding="ascii") as file:
            file.write("3")
    control("start")


class Names:
    """A database of deals, and the same names under pg_trgm's index."""

    def __init__(self, plan, results, database, deals, of_one_template=False):
        self.plan, self.results, self.database, self.deals = plan, results, database, deals
        sides.create(database, text_of("sql/duplicates.sql"))
        self.tell("ours", f"""
            SELECT crm_deals.create_pipeline('Sales') AS sales \\gset
            SELECT crm_deals.create_pipeline('Plain', organization => 'plain') \\g /dev/null
            UPDATE crm_deals.pipeline SET duplicate_policy = 'off';
            CALL bench.fill({deals}, :sales, {of_one_template});
            VACUUM ANALYZE;""")
        # fastupdate off: else pg_trgm's look-ups after a write go through its list of pending entries, and take longer.
        self.built = {side: self.seconds(side, f"bench.seconds('{statement}')") for side, statement in {
            "pg_trgm": "CREATE INDEX peer_name ON bench.peer USING gin (name gin_trgm_ops) WITH (fastupdate = off)",
            "ours": "UPDATE crm_deals.pipeline SET duplicate_policy = ''flag'' WHERE organization IS NULL"}.items()}
        self.tell("ours", "VACUUM ANALYZE; CHECKPOINT;")

    def tell(self, side, text):
        return sql(self.database, text, **SIDES[side])

    def seconds(self, side, function, before=""):
        """Returns what a function of the schema `bench` returns last."""
        return float(self.tell(side, f"{before}\nSELECT {function};").split()[-1])

    def go_warm(self):
        self.tell("ours", "SELECT bench.warm_up();")

    def forget(self):
        """Removes what was written after the first deals."""
        self.tell("ours", f"""
            CALL bench.forget({self.deals});
            VACUUM ANALYZE crm_deals.deal, crm_deals.deal_name, crm_deals.deal_event, crm_deals.deal_duplicate,
                           bench.peer;
            CHECKPOINT;""")

    def later_deals(self, count):
        self.tell("ours", f"CALL bench.later_deals({self.deals}, {count}, {self.deals // 20});")

    def compare(self, run):
        asked, alike, _ = rows(self.database, f"SELECT * FROM bench.compare('{run}');")[0]
        if asked == "0" or asked != alike:
            raise RuntimeError(f"{run}: of {asked} answers {alike} are pg_trgm's")

    # ---------- The indexes ----------

    def measure_indexes(self):
        variant = f"both indexes over {self.deals:,} names"
        sizes = {"ours": "bench.matching_index()", "pg_trgm": "'bench.peer_name'"}
        for side, index in sizes.items():
            self.results.add(NAME, variant, side, {"seconds": self.built[side],
                                                   "index": self.seconds(side, f"pg_relation_size({index})")})
        size = self.seconds("ours", "pg_relation_size('crm_deals.deal_name')")
        self.results.add(NAME, variant, "ours", {"table of names": size})
        self.results.compare(NAME, [FASTER, Bar("index", "pg_trgm"), Bar("table of names")], [variant])

    def keep_the_index(self, count):
        """Measures the index's part of a statement that writes names: its time with the index, less that without it."""
        variant = "the index's part of a name written"
        index = self.tell("ours", "SELECT bench.matching_index();")
        self.later_deals(count)
        for temperature in self.temperatures():
            self.bring_to(temperature)
            taken = [float(self.tell("ours", f"BEGIN; {drop} SELECT bench.write_names(); ROLLBACK;").split()[-1])
                     for drop in ("", f"DROP INDEX {index};")]
            self.results.add(NAME, variant + temperature, "ours", {"seconds": (taken[0] - taken[1]) / count})
            self.tell("ours", "VACUUM crm_deals.deal_name; CHECKPOINT;")
        self.results.compare(NAME, [Bar("seconds", at_most=50e-6)], [variant])
        self.results.compare(NAME, [Bar("seconds")], [f"{variant}, cold"])

    def temperatures(self):
        """Returns the end of a variant's name for each round: the first is cold, and the others are warm."""
        return [", cold"] + [""] * self.plan.bulk_rounds

    def bring_to(self, temperature):
        if temperature:
            go_cold()
        else:
            self.go_warm()

    # ---------- One name ----------

    def write_questions(self):
        self.tell("ours", f"CALL bench.questions({self.deals}, {self.plan.questions}, {self.deals // 20});")

    def write_site_questions(self):
        self.tell("ours", f"""INSERT INTO bench.fresh SELECT n, bench.site_name(1 + bench.pick(n, 1, {self.deals}))
                              FROM generate_series(1, {self.plan.questions}) AS n;""")

    def look_up(self, variant, median, p95):
        asked = {"ours": self.plan.questions, "pg_trgm": self.plan.questions // 10}
        for side in SIDES:
            go_cold()
            self.tell(side, f"CALL bench.ask('{variant}, cold', '{side}', {COLD});")
        self.go_warm()
        for _ in range(self.plan.bulk_rounds):
            for side, questions in asked.items():
                self.tell(side, f"""CALL bench.ask('first', '{side}', 5);
                                    CALL bench.ask('{variant}', '{side}', {questions});""")
        self.add_quantiles(variant, median, p95)

    def write_one_by_one(self, variant):
        asked = {"ours": self.plan.questions, "pg_trgm": self.plan.questions // 10}
        self.later_deals(self.plan.questions + COLD + 5)
        for side in SIDES:
            go_cold()
            self.tell(side, f"CALL bench.write_each('{variant}, cold', '{side}', 0, {COLD});")
        self.go_warm()
        for side, deals in asked.items():
            self.tell(side, f"""CALL bench.write_each('first', '{side}', {COLD}, 5);
                                CALL bench.write_each('{variant}', '{side}', {COLD + 5}, {deals});""")
        self.tell("ours", f"CALL bench.flagged('{variant}');")
        self.add_quantiles(variant, 80, None)
        self.forget()

    def add_quantiles(self, variant, median, p95):
        for run in variant, f"{variant}, cold":
            for side in SIDES:
                self.results.add(NAME, run, side, {
                    "median": self.seconds(side, f"bench.quantile('{run}', '{side}', 0.5)"),
                    "p95": self.seconds(side, f"bench.quantile('{run}', '{side}', 0.95)"),
                    "first": self.seconds(side, f"""seconds[1] FROM bench.answer
                        WHERE run = '{run}' AND side = '{side}' ORDER BY id LIMIT 1""")})
        self.results.compare(NAME, [Bar("median", "pg_trgm", at_least=median, relation="times faster"),
                                    Bar("p95", "pg_trgm", at_least=p95, relation="times faster")], [variant])
        self.results.compare(NAME, [Bar(metric, "pg_trgm", relation="times faster")
                                    for metric in ("median", "p95", "first")], [f"{variant}, cold"])
        self.compare(variant)

    # ---------- Many names ----------

    def write_at_once(self, count, *bars):
        variant = f"{count:,} new deals against {self.deals:,}"
        self.later_deals(count)
        writers = {"ours": self.write_deals, "plain insert": self.write_plain_deals, "pg_trgm": self.write_peers}
        for temperature in self.temperatures():
            for side, write in writers.items():
                self.bring_to(temperature)
                self.results.add(NAME, variant + temperature, side, {"seconds": write(count, not temperature)})
            self.tell("ours", "CALL bench.flagged('at once');")
            self.compare("at once")
            self.forget()
        self.results.compare(NAME, bars, [variant])
        self.results.compare(NAME, [FASTER], [f"{variant}, cold"])

    def write_deals(self, _, warm):
        return self.seconds("ours", """bench.seconds('INSERT INTO crm_deals.deal (id, name)
                                                      SELECT id, name FROM bench.fresh ORDER BY id')""",
                            first("crm_deals.deal", 20000001) if warm else "")

    def write_plain_deals(self, _, warm):
        """Writes the same deals into the pipeline that looks for nothing."""
        return self.seconds("ours", """bench.seconds('INSERT INTO crm_deals.deal (id, name, pipeline_id)
            SELECT f.id + 10000000, f.name, p.id FROM bench.fresh AS f, crm_deals.pipeline AS p
            WHERE p.organization = ''plain'' ORDER BY f.id')""", first("crm_deals.deal", 20000002) if warm else "")

    def write_peers(self, count, warm):
        """Writes all the rows, and asks pg_trgm about a hundred of them."""
        every = count // 100
        text = f"""DELETE FROM bench.answer WHERE run = 'at once';
                   {first("bench.peer", 20000001) if warm else ""}
                   SELECT bench.seconds('INSERT INTO bench.peer SELECT * FROM bench.fresh ORDER BY id');
                   SELECT bench.sample('at once', 'bench.fresh', {every}, 20);"""
        written, answered = (float(found) for found in self.tell("pg_trgm", text).split())
        return written + answered * every

    def find_all_pairs(self, variant, every, *bars):
        """Compares all names with all, each time in a new session; asks pg_trgm about every n-th name."""
        for temperature in self.temperatures():
            self.bring_to(temperature)
            seconds, memory = rows(self.database, "SELECT * FROM bench.scan();", **SIDES["ours"])[0]
            self.results.add(NAME, variant + temperature, "ours", {"seconds": float(seconds), "memory": int(memory)})
        for temperature in ", cold", "":
            self.bring_to(temperature)
            taken = self.seconds("pg_trgm", f"bench.sample('{variant}', 'bench.peer', {every}, 1000000)",
                                 f"DELETE FROM bench.answer WHERE run = '{variant}';")
            self.results.add(NAME, variant + temperature, "pg_trgm", {"seconds": taken * every})
        self.tell("ours", f"CALL bench.scanned('{variant}');")
        self.compare(variant)
        self.results.compare(NAME, bars, [variant])
        self.results.compare(NAME, [FASTER], [f"{variant}, cold"])


def first(table, number):
    """Returns the statement that a session has run before the one that is measured, if it is not cold."""
    return f"INSERT INTO {table} (id, name) VALUES ({number}, 'First of its session');"


# ---------- Moves ----------

def move(plan, results):
    """Measures moves of deals in a pipeline that flags, and of deals in one that does not; pgbench mixes them."""
    variant, each = "a stage move, duplicates flagged", 20_000
    database = sides.create("flagged_moves", text_of("sql/duplicates.sql"))
    sql(database, f"""
        SELECT crm_deals.create_pipeline('Sales') AS sales \\gset
        SELECT crm_deals.create_pipeline('Plain', organization => 'plain') AS plain \\gset
        UPDATE crm_deals.pipeline SET duplicate_policy = 'off' WHERE id = :plain;
        INSERT INTO crm_deals.deal (id, name, pipeline_id)
        SELECT n, bench.deal_name(n, {each // 10}), CASE n % 2 WHEN 0 THEN :sales ELSE :plain END
        FROM generate_series(1, {2 * each}) AS n;
        VACUUM ANALYZE;
        CHECKPOINT;""", **SETTINGS)
    # Deals with even ids are in the pipeline that flags.
    stages = [int(sql(database, f"""SELECT sum(s.id) FROM crm_deals.stage AS s
                                    JOIN crm_deals.deal AS d USING (pipeline_id)
                                    WHERE d.id = {number} AND s.position <= 2;""")) for number in (2, 1)]
    prefix = os.path.join(WORKSPACE, "flagged_moves")
    scripts = [path(f"sql/statements/{kind}_move.sql") for kind in ("flagged", "plain")]
    for _ in range(plan.bulk_rounds):
        pgbench(database, scripts, 1, {"deals": each, "stages": stages[0], "plain_stages": stages[1]},
                plan.seconds, commit="off", log=prefix)
        taken = {0: [], 1: []}
        for number, _, seconds in transactions(prefix):
            taken[number].append(seconds)
        for number, side in enumerate(["ours", "policy off"]):
            results.add(NAME, variant, side, {"median": statistics.median(taken[number])})
    sides.drop(database)
    results.compare(NAME, [Bar("median", "policy off", at_least=0.95, relation="times faster")], [variant])
