"""What was measured, and the rows of the table: medians of both sides, and how they relate."""

import statistics
from dataclasses import asdict, dataclass

# Metrics that are times and bytes; the others are numbers.
SECONDS = {"seconds", "processor seconds", "median", "p95", "p99", "first", "catching up"}
BYTES = {"memory", "index", "table of names"}


@dataclass
class Bar:
    """What is compared with what, and what is wanted of it."""
    metric: str
    against: str = None         # the other side; without one, our figure stands alone
    at_least: float = None
    at_most: float = None
    exactly: float = None
    ours: str = "ours"
    relation: str = "ratio"     # ours / against; "times faster": against / ours; "MiB more": ours - against
    note: str = ""


@dataclass
class Row:
    work: str
    variant: str
    metric: str
    against: str
    ratio: float                # in the unit; our figure if it stands alone
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
        """Keeps what one round of one side gave."""
        side = side if side == "pg_trgm" else side.replace("_", " ")
        self.measured.append({"work": work, "variant": variant, "side": side, **metrics})

    def skip(self, side, why):
        self.skipped.append({"side": side, "why": why})

    def values(self, work, variant, side, metric):
        return [m[metric] for m in self.measured
                if (m["work"], m["variant"], m["side"]) == (work, variant, side) and m.get(metric) is not None]

    def compare(self, work, bars, variants=None):
        """Adds a row for each variant and bar of which both sides were measured."""
        for variant in variants or dict.fromkeys(m["variant"] for m in self.measured if m["work"] == work):
            for bar in bars:
                ours = self.values(work, variant, bar.ours, bar.metric)
                others = self.values(work, variant, bar.against, bar.metric) if bar.against else [None] * len(ours)
                if ours and others:
                    self.rows.append(row(work, variant, bar, ours, others))


def relation(bar, ours, other):
    if other is None:
        return ours
    if bar.relation == "MiB more":
        return (ours - other) / 2**20
    if bar.relation == "times faster":
        return other / ours if ours else float("inf")
    return ours / other if other else float("inf")


def median(values):
    return statistics.median(values) if values[0] is not None else None


def row(work, variant, bar, ours, others):
    value = relation(bar, median(ours), median(others))
    each = [relation(bar, a, b) for a, b in zip(ours, others)]
    unit = bar.relation if bar.against else "alone"
    made = Row(work, variant, bar.metric, bar.against or "", value, min(each), max(each), len(each), "", None, bar.note,
               ours, others if bar.against else [], unit)
    if bar.exactly is not None:
        made.bar, made.met = f"= {related(made, bar.exactly, unsigned=True)}", value == bar.exactly
    elif bar.at_least is not None:
        made.bar, made.met = f"≥ {related(made, bar.at_least, unsigned=True)}", value >= bar.at_least
    elif bar.at_most is not None:
        made.bar, made.met = f"≤ {related(made, bar.at_most, unsigned=True)}", value <= bar.at_most
    return made


# ---------- Printing ----------

def duration(seconds):
    for limit, unit, scale in (1e-3, "µs", 1e6), (1, "ms", 1e3), (600, "s", 1):
        if seconds < limit:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds / 60:.1f} min"


def figure(metric, value):
    if metric in SECONDS:
        return duration(value)
    if metric in BYTES:
        return f"{value / 2**20:,.0f} MiB"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def related(made, value, unsigned=False):
    if made.unit == "alone":
        return figure(made.metric, value)
    if made.unit == "MiB more":
        return f"{value:g} MiB" if unsigned else f"{value:+.1f} MiB"
    if made.unit == "times faster":
        return f"{value:.0f} ×" if value >= 10 else f"{value:.2f} ×"
    return f"{value:g}" if unsigned else f"{value:.2f}"


def cells(made):
    """Returns the cells of a row; a figure that stands alone leaves two empty, and has its spread beside it."""
    spread = f" ({related(made, made.low)}–{related(made, made.high)})" if made.rounds > 1 else ""
    met = "" if made.met is None else "yes" if made.met else "**no**"
    ours = figure(made.metric, statistics.median(made.ours))
    first = [made.metric, f"{made.variant}{', ' if made.note else ''}{made.note}"]
    if made.unit == "alone":
        return first + [ours + spread, "", "", "", made.bar, met]
    theirs = figure(made.metric, statistics.median(made.others))
    return first + [ours, made.against, theirs, related(made, made.ratio) + spread, made.bar, met]


def same(made, other):
    return all(getattr(made, name) == other[name] for name in ("work", "variant", "metric", "against", "note"))


def since(made, before):
    """Returns our figure before, and how the one of now relates to it."""
    other = next((other for other in before if same(made, other)), None)
    if other is None:
        return ["", ""]
    was = statistics.median(other["ours"])
    return [figure(made.metric, was), f"{statistics.median(made.ours) / was:.3f}" if was else ""]


def table(made_rows, before):
    head = ["", "", "ours", "against", "theirs", "relation (lowest–highest)", "wanted", ""]
    if before is not None:
        head += ["ours before", "now / before"]
    lines = [head, ["---", "---", "--:", "---", "--:", "--:", "--:", "---"] + ["--:"] * (len(head) - 8)]
    lines += [cells(made) + (since(made, before) if before is not None else []) for made in made_rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def tables(results, before=None):
    """Returns a table for each work; with the rows of another run, our figures of that run beside."""
    text = [f"{work}\n\n{table([made for made in results.rows if made.work == work], before)}\n"
            for work in dict.fromkeys(made.work for made in results.rows)]
    text += [f"Not measured: {skipped['side']}: {skipped['why']}." for skipped in results.skipped]
    return "\n".join(text)


def as_json(results, plan, machine):
    return {"machine": machine, "plan": asdict(plan), "rows": [asdict(made) for made in results.rows],
            "skipped": results.skipped, "measured": results.measured}
