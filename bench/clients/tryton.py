"""Opportunities of Tryton, created and moved through its own API, in this process, without a server in between.

    tryton.py prepare DATABASE                               fills the empty database
    tryton.py create|move DATABASE CLIENTS SECONDS COMMIT    prints how many a second; COMMIT: synchronous_commit

Runs with the Python that Debian's packages belong to. PGHOST and PGUSER say where the server is.
"""

import multiprocessing
import os
import sys
import time

from trytond.config import config

A_CLIENT = 50    # opportunities that a client moves back and forth


def configure(commit="on"):
    # Tryton's address of a database names no folder of sockets: libpq takes that from PGHOST.
    config.set("database", "uri", "postgresql://")
    config.set("cache", "clean_timeout", "3600")
    os.environ["PGOPTIONS"] = f"-c synchronous_commit={commit}"


def in_transaction(database, work, *arguments, company=None):
    from trytond.transaction import Transaction
    with Transaction().start(database, 1, context={"company": company} if company else {}) as transaction:
        result = work(*arguments)
        transaction.commit()
    return result


def model(name):
    from trytond.pool import Pool
    return Pool().get(name)


# ---------- Preparing ----------

def activate(database):
    from trytond.pool import Pool
    from trytond.transaction import Transaction
    with Transaction().start(database, 0) as transaction:
        transaction.database.init()
        transaction.commit()
    Pool.start()
    Pool(database).init(update=["res", "ir"], lang=["en"])
    pool = Pool(database)
    with Transaction().start(database, 1) as transaction:
        pool.get("ir.module").update_list()
        modules = pool.get("ir.module").search([("name", "=", "sale_opportunity")])
        pool.get("ir.module").activate(modules)
        transaction.commit()
    pool.init(update=["sale_opportunity"], lang=["en"])


def create_company():
    Currency, Party, Company = model("currency.currency"), model("party.party"), model("company.company")
    currency, = Currency.create([{"name": "Euro", "symbol": "EUR", "code": "EUR"}])
    company_party, employee_party, _ = Party.create([{"name": name} for name in ("Company", "Employee", "Customer")])
    company, = Company.create([{"party": company_party.id, "currency": currency.id}])
    model("company.employee").create([{"party": employee_party.id, "company": company.id}])


def prepare(database):
    activate(database)
    in_transaction(database, create_company)


# ---------- Working ----------

def find_values():
    company, = model("company.company").search([])
    employee, = model("company.employee").search([])
    customer, = model("party.party").search([("name", "=", "Customer")])
    return {"company": company.id, "employee": employee.id, "party": customer.id}


def create(values, count=1):
    values = {**values, "description": "Opportunity", "amount": 1000}
    return [opportunity.id for opportunity in model("sale.opportunity").create([dict(values) for _ in range(count)])]


def move(opportunity_id):
    """To opportunity, and back to lead."""
    Opportunity = model("sale.opportunity")
    opportunity = Opportunity(opportunity_id)
    button = Opportunity.opportunity if opportunity.state == "lead" else Opportunity.lead
    button([opportunity])


def client(what, database, seconds, ready, go, results):
    from trytond.pool import Pool
    Pool.start()
    Pool(database).init()
    values = in_transaction(database, find_values)
    mine = in_transaction(database, create, values, A_CLIENT, company=values["company"])

    def work(number):
        arguments = (move, mine[number % A_CLIENT]) if what == "move" else (create, values)
        in_transaction(database, *arguments, company=values["company"])

    work(0)
    ready.wait()
    go.wait()
    begun, done = time.monotonic(), 0
    while time.monotonic() - begun < seconds:
        work(done)
        done += 1
    results.put(done / (time.monotonic() - begun))


def measure(what, database, clients, seconds):
    ready, go, results = multiprocessing.Barrier(clients + 1), multiprocessing.Event(), multiprocessing.Queue()
    arguments = (what, database, seconds, ready, go, results)
    processes = [multiprocessing.Process(target=client, args=arguments) for _ in range(clients)]
    for process in processes:
        process.start()
    while ready.n_waiting < clients:
        time.sleep(0.05)
        if any(process.exitcode for process in processes):
            sys.exit("a client failed")
    ready.wait()
    go.set()
    rate = sum(results.get(timeout=seconds + 120) for _ in processes)
    for process in processes:
        process.join()
    return rate


def main(what, database, clients=1, seconds=1, commit="on"):
    configure(commit)
    if what == "prepare":
        prepare(database)
    else:
        print(f"{measure(what, database, int(clients), float(seconds)):.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
