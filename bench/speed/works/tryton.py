"""Tryton's opportunities: the database, and how many of its clients' works a second."""

from server import configure, environment, path, run, sql

PYTHON = "/usr/bin/python3"
DATABASE = "tryton"
prepared = []


def client(*arguments):
    return run([PYTHON, "-B", path("tryton", "clients.py"), *arguments], env=environment())


def prepare():
    """Installing asks the catalogs much, about as many tables as it has made: they need to be analyzed meanwhile."""
    sql("postgres", f"CREATE DATABASE {DATABASE};")
    configure(autovacuum="on", autovacuum_naptime="'1s'")
    client("prepare", DATABASE)
    configure(autovacuum="off")


def rate(what, clients, seconds, commit):
    if not prepared:
        prepared.append(True)
        prepare()
    sql(DATABASE, "CHECKPOINT;")
    return float(client(what, DATABASE, str(clients), str(seconds), commit))
