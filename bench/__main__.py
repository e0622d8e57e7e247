"""Runs the works that the plan names and prints a table for each. Started by `run`."""

import datetime
import json
import os
import sys
import time

import outside
import plan as plans
import results as all_results
import server
import works


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        models = sorted({line.split(":", 1)[1].strip() for line in info if line.startswith("model name")})
    with open("/proc/loadavg", encoding="ascii") as load:
        loads = " ".join(load.read().split()[:3])
    version = server.sql("postgres", "SELECT version();").split(" on ")[0]
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%F %H:%M UTC")
    return f"{version}, {os.cpu_count()} processors ({', '.join(models)}), load at the start {loads}, {now}"


def write(results, plan, about):
    """Is called after each work, so that a later failure loses nothing."""
    with open(os.environ["RESULTS"], "w", encoding="utf-8") as file:
        json.dump(all_results.as_json(results, plan, about), file, indent=1, ensure_ascii=False)
        file.write("\n")


def results_before():
    """Returns the rows of another run, to compare with, if BEFORE names its file."""
    if not os.environ.get("BEFORE"):
        return None
    with open(os.environ["BEFORE"], encoding="utf-8") as file:
        return json.load(file)["rows"]


def say_what_is_missing(plan, results):
    if {"move", "notifying"} & set(plan.works) and outside.why_no_app():
        results.skip("app", outside.why_no_app())
    if {"move", "insert"} & set(plan.works) and outside.why_no_tryton(plan):
        results.skip("tryton", outside.why_no_tryton(plan))


def main():
    plan = plans.chosen(works.NAMES)
    before = results_before()
    results = all_results.Results()
    server.prepare()
    about = machine()
    say_what_is_missing(plan, results)
    for work in works.ALL:
        if works.name(work) in plan.works:
            begun = time.monotonic()
            work.measure(plan, results)
            write(results, plan, about)
            print(f"{work.NAME}: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    rounds = f"{plan.rounds} rounds of {plan.seconds} s, {plan.bulk_rounds} of long statements"
    print(f"{about}\nPlan {plan.name}: {rounds}.\n")
    print(all_results.tables(results, before))


main()
