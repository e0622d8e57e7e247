"""The sides whose rules are not in the server: a Node.js application, and Tryton."""

import functools
import shutil
import subprocess

import sides
from server import configure, environment, make_ready, path, run, sql

PYTHON = "/usr/bin/python3"    # Tryton's packages belong to Debian's own
DATABASE = "tryton"


def why_no_app():
    if shutil.which("node") is None:
        return "Node.js is missing"
    try:
        run(["node", "-e", "require.resolve('pg')"], cwd=path("clients"))
    except RuntimeError:
        return "the npm package pg is missing (npm ci in bench/clients)"
    return None


def why_no_tryton(plan):
    if not plan.tryton:
        return "left out"
    command = [PYTHON, "-c", "import trytond.modules.sale_opportunity, psycopg2"]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        return "the Debian packages tryton-server, tryton-modules-sale-opportunity and python3-psycopg2 are missing"
    return None


def rate_from_node(plan, side, clients, commit, notify):
    """Returns moves a second from Node.js: by the application, or by one UPDATE if our triggers keep the rules."""
    kind = "app" if side == "app" else "ours"
    database = sides.database("bare" if kind == "app" else "ours", plan.deals)
    make_ready(database)
    return float(run(["node", path("clients", "app.mjs"), database, kind, str(clients), str(plan.seconds),
                      str(plan.deals_a_client), notify], env=environment(notify, commit)))


def rate_of_tryton(plan, what, clients, commit):
    """Returns how many opportunities a second Tryton's clients create or move."""
    prepare_tryton()
    sql(DATABASE, "CHECKPOINT;")
    return float(tryton(what, DATABASE, str(clients), str(plan.seconds), commit))


@functools.cache
def prepare_tryton():
    """Installs Tryton. It reads catalogs that grow meanwhile, which PostgreSQL must therefore analyze meanwhile."""
    sql("postgres", f"CREATE DATABASE {DATABASE};")
    configure(autovacuum="on", autovacuum_naptime="'1s'")
    tryton("prepare", DATABASE)
    configure(autovacuum="off")


def tryton(*arguments):
    return run([PYTHON, "-B", path("clients", "tryton.py"), *arguments], env=environment())
