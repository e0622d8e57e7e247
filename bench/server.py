"""Talks to the throw-away server: starts and stops it, runs psql and pgbench, reads sizes, log positions and memory."""

import glob
import os
import re
import subprocess
import threading
import time

FOLDER = os.path.dirname(os.path.abspath(__file__))
WORKSPACE = os.environ.get("BENCH_WORKSPACE", "")
# PostgreSQL refuses to run as root.
AS_SERVER_USER = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []


def path(*names):
    return os.path.join(FOLDER, *names)


def text_of(*names):
    with open(path(*names), encoding="utf-8") as file:
        return file.read()


def run(command, **options):
    done = subprocess.run(command, text=True, capture_output=True, check=False, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr or done.stdout}")
    return done.stdout


# ---------- Sessions ----------

def environment(notify="off", commit="on", **settings):
    """Returns the environment of a client whose sessions have these settings."""
    settings = {"crm_deals.notify": notify, "synchronous_commit": commit, "client_min_messages": "warning", **settings}
    return {**os.environ, "PGOPTIONS": " ".join(f"-c {name}={value}" for name, value in settings.items())}


def psql(database, variables=None):
    command = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database]
    for name, value in (variables or {}).items():
        command += ["-v", f"{name}={value}"]
    return command


def sql(database, text, variables=None, **settings):
    return run(psql(database, variables), input=text, env=environment(**settings)).strip()


def rows(database, text, **settings):
    """Returns the rows of a query as lists of texts."""
    return [line.split("|") for line in sql(database, text, **settings).splitlines()]


# ---------- The server ----------

def control(action):
    """Runs pg_ctl: start, stop or restart."""
    command = ["bin/pg_ctl", "-D", "server/data", "-l", "server/log", "-p", f"{WORKSPACE}/bin/postgres", "-w"]
    command += ["-m", "fast"] if action != "start" else []
    # The server keeps what it inherits: no pipe of ours.
    subprocess.run([*AS_SERVER_USER, *command, "-t", "600", action], cwd=WORKSPACE, check=True,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def configure(**settings):
    for name, value in settings.items():
        sql("postgres", f"ALTER SYSTEM SET {name} = {value};")
    sql("postgres", "SELECT pg_reload_conf();")
    time.sleep(0.3)


def prepare():
    """Gives the server the settings of a real one: it writes to disk, and holds all sides in memory."""
    with open("/proc/meminfo", encoding="ascii") as info:
        kilobytes = int(re.search(r"^MemTotal:\s+(\d+)", info.read(), re.MULTILINE).group(1))
    # Nobody decodes the log, so UPDATE writes less of it. Checkpoints and autovacuum stay out of the runs.
    configure(fsync="on", wal_level="replica", autovacuum="off", max_wal_size="'8GB'", checkpoint_timeout="'1h'",
              shared_buffers=f"'{kilobytes // 4096}MB'")
    control("restart")


# ---------- Before a run ----------

WARM = """
SELECT count(pg_prewarm(c.oid))
FROM pg_class AS c LEFT JOIN pg_index AS i ON i.indexrelid = c.oid
WHERE c.oid IN ('crm_deals.deal'::regclass, 'crm_deals.deal_name'::regclass)
   OR i.indrelid IN ('crm_deals.deal'::regclass, 'crm_deals.deal_event'::regclass, 'crm_deals.deal_name'::regclass);
"""


def make_ready(*databases):
    """Clears away what earlier runs left behind, and reads everything that a move needs into memory."""
    for database in databases:
        sql(database, "VACUUM crm_deals.deal, crm_deals.deal_event, crm_deals.deal_name;")
    sql("postgres", "CHECKPOINT;")
    warm(*databases)


def warm(*databases):
    """Does the same without a vacuum and a checkpoint."""
    for database in databases:
        sql(database, WARM)


# ---------- pgbench ----------

def pgbench(database, script, clients, variables, seconds=None, transactions=None, log=None, notify="off", commit="on"):
    """Returns transactions a second and their number."""
    command = ["pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", str(min(clients, 2))]
    for name in [script] if isinstance(script, str) else script:
        command += ["-f", name]
    command += ["-t", str(transactions)] if transactions else ["-T", str(seconds)]
    for name, value in variables.items():
        command += ["-D", f"{name}={value}"]
    if log:
        command += ["-l", f"--log-prefix={log}"]
    output = run(command + [database], env=environment(notify, commit))
    failed = re.search(r"number of failed transactions: (\d+)", output)
    if failed and int(failed.group(1)) > 0:
        raise RuntimeError(output)
    return (float(re.search(r"^tps = ([0-9.]+)", output, re.MULTILINE).group(1)),
            int(re.search(r"^number of transactions actually processed: (\d+)", output, re.MULTILINE).group(1)))


def transactions(prefix):
    """Yields of each transaction in pgbench's logs the number of its script, when it ended, and its seconds. A line has
    client, number, microseconds, script, and the end's second and microsecond."""
    for name in glob.glob(f"{prefix}.*"):
        with open(name, encoding="ascii") as log:
            for line in log:
                words = line.split()
                yield int(words[3]), int(words[4]) + int(words[5]) / 1e6, int(words[2]) / 1e6
        os.remove(name)


# ---------- Statements, their time, and memory and processor time of their backend ----------

class BackendWatch(threading.Thread):
    """Keeps the most memory of its own, without what is shared, and the processor seconds that a process has had."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid = pid
        self.memory = 0
        self.begun = self.seconds = self.processor_seconds()
        self.ended = threading.Event()

    def processor_seconds(self):
        with open(f"/proc/{self.pid}/stat", encoding="utf-8") as stat:
            fields = stat.read().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def run(self):
        while not self.ended.is_set():
            try:
                with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
                    own = re.search(r"^RssAnon:\s+(\d+) kB", status.read(), re.MULTILINE)
                self.memory = max(self.memory, int(own.group(1)) * 1024 if own else 0)
                self.seconds = self.processor_seconds()
            except OSError:
                return
            time.sleep(0.02)


def timed(database, text, variables=None, **settings):
    """Runs statements in one session: their seconds, and their backend's processor seconds and memory."""
    with subprocess.Popen(psql(database, variables), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, env=environment(**settings)) as session:
        session.stdin.write("SELECT pg_backend_pid();\n")
        session.stdin.flush()
        watch = BackendWatch(int(session.stdout.readline()))
        watch.start()
        output, errors = session.communicate(f"\\timing on\n{text}")
        watch.ended.set()
        watch.join()
    if session.returncode != 0:
        raise RuntimeError(f"{text}: {errors}")
    milliseconds = [float(found) for found in re.findall(r"^Time: ([0-9.]+) ms", output, re.MULTILINE)]
    return {"seconds": sum(milliseconds) / 1000, "memory": watch.memory,
            "processor seconds": watch.seconds - watch.begun}


# ---------- Write-ahead log and sizes ----------

def wal_position(database):
    return int(sql(database, "SELECT pg_current_wal_insert_lsn() - '0/0';").split(".")[0])


def size(database):
    """Returns the bytes of deals and log with their indexes."""
    return int(sql(database, """
        SELECT pg_total_relation_size('crm_deals.deal') + pg_total_relation_size('crm_deals.deal_event');"""))
