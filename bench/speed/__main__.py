"""Measures crm_deals beside bare PostgreSQL, PL/pgSQL, an application and Tryton. Started by `run`."""

import datetime
import json
import os
import sys
import time

import plan as plans
import results as all_results
import sides
import works
from server import run


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        models = sorted({line.split(":", 1)[1].strip() for line in info if line.startswith("model name")})
    with open("/proc/loadavg", encoding="ascii") as load:
        loads = " ".join(load.read().split()[:3])
    version = run(["psql", "-X", "-A", "-t", "-d", "postgres", "-c", "SELECT version()"]).strip()
    return f"{version.split(' on ')[0]}, {os.cpu_count()} processors ({', '.join(models)}), load at the start {loads}, " + \
        datetime.datetime.now(datetime.timezone.utc).strftime("%F %H:%M UTC")


def say_what_is_missing(plan, results):
    for side, why in ("app", sides.why_no_app()), ("tryton", sides.why_no_tryton() if plan.tryton else "left out"):
        if why:
            results.skip(side, why)


def write(results, plan, about):
    """After each work: what there is outlives a failure of a later one."""
    with open(os.environ["RESULTS"], "w", encoding="utf-8") as file:
        json.dump(all_results.as_json(results, plan, about), file, indent=1, ensure_ascii=False)
        file.write("\n")


def main():
    plan = plans.chosen()
    results = all_results.Results()
    about = machine()
    say_what_is_missing(plan, results)
    for work in works.ALL:
        if plan.works and work.__name__.split(".")[-1] not in plan.works:
            continue
        begun = time.monotonic()
        work.measure(plan, results)
        results.compare(work.NAME, work.BARS)
        write(results, plan, about)
        print(f"{work.NAME}: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    print(about)
    print(f"{plan.name}: {plan.rounds} rounds of {plan.seconds} s, {plan.bulk_rounds} of statements with many deals.\n")
    print(all_results.table(results))


main()
