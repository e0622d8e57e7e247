"""Tryton's opportunities: the database, and how many of its clients' works a second."""

from server import environment, path, run, sql

PYTHON = "/usr/bin/python3"
DATABASE = "tryton"
prepared = []


def client(*arguments):
    return run([PYTHON, "-B", path("tryton", "clients.py"), *arguments], env=environment())


def rate(what, clients, seconds, commit):
    if not prepared:
        prepared.append(True)
        sql("postgres", f"CREATE DATABASE {DATABASE};")
        client("prepare", DATABASE)
    sql(DATABASE, "CHECKPOINT;")
    return float(client(what, DATABASE, str(clients), str(seconds), commit))
