"""What was measured, and the rows of the table: ratios of medians, with the spread over the rounds."""

import statistics
from dataclasses import asdict, dataclass


@dataclass
class Bar:
    """What is compared with what, and what is wanted of it."""
    metric: str
    against: str
    at_least: float = None
    at_most: float = None
    ours: str = "ours"
    name: str = ""              # of the row, where it is not that of the work
    difference: bool = False    # ours - against, in MiB, in place of ours / against
    note: str = ""


@dataclass
class Row:
    work: str
    variant: str
    metric: str
    against: str
    ratio: float
    low: float
    high: float
    rounds: int
    bar: str
    met: bool
    note: str
    ours: list
    others: list
    unit: str


class Results:
    def __init__(self):
        self.measured = []
        self.rows = []
        self.skipped = []

    def add(self, work, variant, side, metrics):
        self.measured.append({"work": work, "variant": variant, "side": side, **metrics})

    def skip(self, side, why):
        self.skipped.append({"side": side, "why": why})

    def values(self, work, variant, side, metric):
        return [m[metric] for m in self.measured if (m["work"], m["variant"], m["side"]) == (work, variant, side) and metric in m]

    def compare(self, work, bars):
        """A row for each variant and bar of which both sides were measured."""
        for variant in dict.fromkeys(m["variant"] for m in self.measured if m["work"] == work):
            for bar in bars:
                ours = self.values(work, variant, bar.ours, bar.metric)
                others = self.values(work, variant, bar.against, bar.metric)
                if ours and others:
                    self.rows.append(row(work, variant, bar, ours, others))


def relation(bar, ours, other):
    if bar.difference:
        return (ours - other) / 2**20
    return ours / other if other else float("inf")


def row(work, variant, bar, ours, others):
    value = relation(bar, statistics.median(ours), statistics.median(others))
    each = [relation(bar, a, b) for a, b in zip(ours, others)]
    return judged(Row(bar.name or work, variant, bar.metric, bar.against, value, min(each), max(each), len(each), "", None, bar.note, ours, others,
                      "MiB more" if bar.difference else "ratio"), bar)


def judged(made, bar):
    if bar.at_least is not None:
        made.bar, made.met = f"≥ {bar.at_least:g}", made.ratio >= bar.at_least
    elif bar.at_most is not None:
        made.bar, made.met = f"≤ {bar.at_most:g}", made.ratio <= bar.at_most
    return made


# ---------- Printing ----------

def number(value, unit):
    return f"{value:+.1f} MiB" if unit == "MiB more" else f"{value:.2f}"


def table(results):
    lines = ["| work | | against | ratio of medians (lowest–highest) | wanted | |", "|---|---|---|--:|--:|---|"]
    for made in results.rows:
        spread = f" ({number(made.low, made.unit)}–{number(made.high, made.unit)})" if made.rounds > 1 else ""
        met = "" if made.met is None else "yes" if made.met else "**no**"
        note = f", {made.note}" if made.note else ""
        lines.append(f"| {made.work}: {made.metric} | {made.variant}{note} | {made.against} | {number(made.ratio, made.unit)}{spread} | {made.bar} | {met} |")
    lines += [f"\nNot measured: {skipped['side']}: {skipped['why']}." for skipped in results.skipped]
    return "\n".join(lines)


def as_json(results, plan, machine):
    return {"machine": machine, "plan": asdict(plan), "rows": [asdict(made) for made in results.rows], "skipped": results.skipped,
            "measured": results.measured}
