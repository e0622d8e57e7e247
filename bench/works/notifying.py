"""One stage move a transaction, with NOTIFY by the transaction or by the dispatcher, and with a session that listens or
without one. Bare never notifies."""

import subprocess
import threading
import time

import outside
import sides
from outside import rate_from_node
from results import Bar
from server import environment, make_ready, psql, sql
from works.common import clients_words, rounds, run_of

NAME = "one move, notifying"
BARS = [
    Bar("rate", "bare", ours="on", note="notify on; bare: none"),
    Bar("rate", "by hand", ours="on", note="notify on, by hand, too"),
    Bar("rate", "app", ours="on", note="notify on, the app, too"),
    Bar("rate", "bare", ours="dispatch", at_least=0.85, note="dispatch; bare: none"),
    Bar("rate", "off", ours="on", note="notify on; ours with notify off"),
    Bar("rate", "off", ours="dispatch", note="dispatch; ours with notify off"),
    # A listener hears of each move once.
    Bar("heard of each move", ours="on", exactly=1, note="notify on"),
    Bar("heard of each move", ours="dispatch", exactly=1, note="dispatch"),
    # When the clients stop, the dispatcher has events left to send, for which it takes a moment.
    Bar("events behind", ours="dispatch", note="dispatch"),
    Bar("catching up", ours="dispatch", note="dispatch"),
]
OURS = ["off", "on", "dispatch"]


def measure(plan, results):
    others = ["bare", "by hand"] + (["app"] if outside.why_no_app() is None else [])
    for commit in plan.commits:
        for clients in plan.clients:
            where = f"{clients_words(clients)}, synchronous_commit {commit}"
            for side in rounds(plan.rounds, OURS + (others if commit == "on" else [])):
                results.add(NAME, where, side, moves(plan, side, clients, commit))
            for side in rounds(plan.rounds, OURS):
                with Listener(sides.database("ours", plan.deals)) as listener:
                    measured = moves(plan, side, clients, commit)
                if side != "off":
                    measured["heard of each move"] = listener.heard / measured["moves"]
                results.add(NAME, f"{where}, a session listens", side, measured)
    results.compare(NAME, BARS)


def moves(plan, side, clients, commit):
    if side == "app":
        return {"rate": rate_from_node(plan, "app", clients, commit, "on")}
    of = "ours" if side in OURS else side.replace(" ", "_")
    database = sides.database(of, plan.deals)
    make_ready(database)
    notify = side if side in OURS else "on" if side == "by hand" else "off"
    rate, count = run_of(plan.seconds, "move", of, plan.deals, clients, commit, notify)
    return {"rate": rate, "moves": count, **(wait_for_dispatcher(database) if side == "dispatch" else {})}


def wait_for_dispatcher(database):
    """Waits until it has sent this run's events, so that it does not work through them during the next run."""
    begun = time.monotonic()
    behind = left = events_left(database)
    while left > 0:
        time.sleep(0.05)
        left = events_left(database)
    return {"events behind": behind, "catching up": time.monotonic() - begun if behind else 0}


def events_left(database):
    return int(sql(database, "SELECT count(*) FROM crm_deals_internal.pending(crm_deals_internal.dispatcher());"))


class Listener:
    """A session that listens, and counts what it hears. psql looks for notifications after each statement: fifty times
    a second."""

    def __init__(self, database):
        self.database = database
        self.heard = 0

    def __enter__(self):
        self.ended = threading.Event()
        self.session = subprocess.Popen(psql(self.database), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=environment())
        self.session.stdin.write("LISTEN crm_deals_stage_changed;\nSELECT 'listening';\n")
        self.session.stdin.flush()
        self.session.stdout.readline()
        self.threads = [threading.Thread(target=self.ask), threading.Thread(target=self.count)]
        for thread in self.threads:
            thread.start()
        return self

    def ask(self):
        while not self.ended.is_set():
            self.session.stdin.write("SELECT;\n")
            self.session.stdin.flush()
            time.sleep(0.02)
        self.session.stdin.close()

    def count(self):
        self.heard = sum(line.startswith("Asynchronous") for line in self.session.stdout)

    def __exit__(self, *error):
        time.sleep(0.5)
        self.ended.set()
        for thread in self.threads:
            thread.join()
        self.session.wait()
