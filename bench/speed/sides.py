"""The databases that are compared: of each size one a side, copies of one another."""

import shutil
import subprocess

from server import path, run, sql, sql_file

# What makes a copy of ours another side.
FILES = {
    "ours_flag": ["ours_flag"],
    "bare": ["bare"],
    "by_hand": ["bare", "by_hand", "by_hand_indexes"],
    "by_hand_flag": ["bare", "by_hand", "by_hand_indexes", "by_hand_flag"],
    "by_hand_our_indexes": ["bare", "by_hand"],
}
MADE = {}


def database(side, deals):
    """The database of that side with so many deals, made on first use."""
    name = f"{side}_{deals}"
    if name not in MADE:
        MADE[name] = True
        if side == "ours":
            sql("postgres", f"CREATE DATABASE {name};")
            sql_file(name, "sides/ours.sql", {"deals": deals})
        else:
            copy(database("ours", deals), name)
            for file in FILES[side]:
                sql_file(name, f"sides/{file}.sql")
    return name


def copy(template, name):
    sql("postgres", f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy;")


def drop(name):
    sql("postgres", f"DROP DATABASE {name};")
    MADE.pop(name, None)


def drop_all(deals):
    for name in [name for name in MADE if name.endswith(f"_{deals}")]:
        drop(name)


def statements(work, side):
    """What a side runs for a work: sides with triggers run the same."""
    return f"statements/{work}.bare.sql" if side == "bare" else f"statements/{work}.sql"


# ---------- Sides outside the server ----------

def why_no_app():
    if shutil.which("node") is None:
        return "Node.js is missing"
    try:
        run(["node", "-e", "require.resolve('pg')"], cwd=path("app"))
    except RuntimeError:
        return "the npm package pg is missing (npm ci in bench/speed/app)"
    return None


def why_no_tryton():
    done = subprocess.run(["/usr/bin/python3", "-c", "import trytond.modules.sale_opportunity, psycopg2"], capture_output=True, check=False)
    if done.returncode != 0:
        return "the Debian packages tryton-server, tryton-modules-sale-opportunity and python3-psycopg2 are missing"
    return None
