"""Talks to the throw-away server: psql, pgbench, sizes, write-ahead log, memory of a backend."""

import os
import re
import subprocess
import threading
import time

FOLDER = os.path.dirname(os.path.abspath(__file__))
WORKSPACE = os.environ.get("BENCH_WORKSPACE", "")


def path(*names):
    return os.path.join(FOLDER, *names)


def environment(notify="off", commit="on"):
    options = f"-c crm_deals.notify={notify} -c synchronous_commit={commit} -c client_min_messages=warning"
    return {**os.environ, "PGOPTIONS": options}


def run(command, **options):
    done = subprocess.run(command, text=True, capture_output=True, check=False, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr or done.stdout}")
    return done.stdout


def psql(database, variables=None):
    command = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database]
    for name, value in (variables or {}).items():
        command += ["-v", f"{name}={value}"]
    return command


def sql(database, text, variables=None):
    return run(psql(database, variables), input=text, env=environment()).strip()


def sql_file(database, name, variables=None):
    return run(psql(database, variables) + ["-f", path(name)], env=environment()).strip()


# ---------- Before a run ----------

WARM = """
SELECT count(pg_prewarm(c.oid))
FROM pg_class AS c LEFT JOIN pg_index AS i ON i.indexrelid = c.oid
WHERE c.oid IN ('crm_deals.deal'::regclass, 'crm_deals.deal_name'::regclass)
   OR i.indrelid IN ('crm_deals.deal'::regclass, 'crm_deals.deal_event'::regclass, 'crm_deals.deal_name'::regclass);
"""


def make_ready(*databases):
    """What earlier runs left behind is cleared away, and everything that a move reads is in memory."""
    for database in databases:
        sql(database, "VACUUM crm_deals.deal, crm_deals.deal_event, crm_deals.deal_name;")
    sql("postgres", "CHECKPOINT;")
    warm(*databases)


def warm(*databases):
    """The same without a checkpoint: what a move reads is in memory, whatever other databases were used since."""
    for database in databases:
        sql(database, WARM)


# ---------- pgbench ----------

def pgbench(database, script, clients, seconds, variables, notify="off", commit="on", log=None, transactions=None):
    """Transactions a second."""
    command = ["pgbench", "-n", "-M", "prepared", "-f", script, "-c", str(clients), "-j", str(min(clients, 2))]
    command += ["-t", str(transactions)] if transactions else ["-T", str(seconds)]
    for name, value in variables.items():
        command += ["-D", f"{name}={value}"]
    if log:
        command += ["-l", f"--log-prefix={log}"]
    output = run(command + [database], env=environment(notify, commit))
    failed = re.search(r"number of failed transactions: (\d+)", output)
    if failed and int(failed.group(1)) > 0:
        raise RuntimeError(output)
    return float(re.search(r"^tps = ([0-9.]+)", output, re.MULTILINE).group(1))


# ---------- One statement, its time and the memory of its backend ----------

class MemoryWatch(threading.Thread):
    """The most memory of its own, without what is shared, that a process has had."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid = pid
        self.most = 0
        self.ended = threading.Event()

    def run(self):
        while not self.ended.is_set():
            try:
                with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
                    own = re.search(r"^RssAnon:\s+(\d+) kB", status.read(), re.MULTILINE)
                self.most = max(self.most, int(own.group(1)) * 1024 if own else 0)
            except OSError:
                return
            time.sleep(0.02)


def timed(database, name, variables, notify="off", commit="on"):
    """Runs a file of statements in one session: seconds, and bytes of its backend's own memory."""
    with open(path(name), encoding="utf-8") as statements:
        text = statements.read()
    with subprocess.Popen(psql(database, variables), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, env=environment(notify, commit)) as session:
        session.stdin.write("SELECT pg_backend_pid();\n")
        session.stdin.flush()
        watch = MemoryWatch(int(session.stdout.readline()))
        watch.start()
        output, errors = session.communicate(f"\\timing on\n{text}")
        watch.ended.set()
        watch.join()
    if session.returncode != 0:
        raise RuntimeError(f"{name}: {errors}")
    milliseconds = [float(found) for found in re.findall(r"^Time: ([0-9.]+) ms", output, re.MULTILINE)]
    return {"seconds": sum(milliseconds) / 1000, "memory": watch.most}


# ---------- Write-ahead log and sizes ----------

def wal_position(database):
    return int(sql(database, "SELECT pg_current_wal_insert_lsn() - '0/0';").split(".")[0])


def size(database):
    """Bytes of deals and log, indexes included."""
    return int(sql(database, "SELECT pg_total_relation_size('crm_deals.deal') + pg_total_relation_size('crm_deals.deal_event');"))


def configure(**settings):
    for name, value in settings.items():
        sql("postgres", f"ALTER SYSTEM SET {name} = {value};")
    sql("postgres", "SELECT pg_reload_conf();")
    time.sleep(0.3)
