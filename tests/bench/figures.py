# SPDX-License-Identifier: LGPL-2.1-or-later
"""What every bench does with its samples: median and spread, aims, a table, JSON, plots."""
import json
import os
import re
import statistics
from dataclasses import dataclass, field


@dataclass
class Figure:
    """One quantity, measured for each subject. samples {subject: [values]} in the order in which they were taken."""

    name: str
    unit: str
    samples: dict[str, list[float]] = field(default_factory=dict)

    def add(self, subject, value):
        self.samples.setdefault(subject, []).append(value)

    def median(self, subject):
        return statistics.median(self.samples[subject])

    def spread(self, subject):
        return min(self.samples[subject]), max(self.samples[subject])

    def as_json(self):
        return {"name": self.name, "unit": self.unit,
                **{s: {"median": self.median(s), "min": min(v), "max": max(v), "samples": v} for s, v in self.samples.items()}}


@dataclass
class Aim:
    """value must be at most aim, or at least."""

    name: str
    value: float
    aim: float
    unit: str = ""
    least: bool = False

    @property
    def met(self):
        return self.value >= self.aim if self.least else self.value <= self.aim

    def as_json(self):
        return {"name": self.name, "value": round(self.value, 3), "aim": self.aim, "met": self.met}


def number(value):
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 1 else f"{value:.2f}"


def cell(figure, subject):
    """Median, and the spread where there is one."""
    low, high = figure.spread(subject)
    text = f"{number(figure.median(subject))} {figure.unit}"
    return text if low == high else f"{text} ({number(low)}..{number(high)})"


def print_rows(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(f"{text:{width}}" for text, width in zip(row, widths)).rstrip())


def print_table(figures, subjects, machine, aims):
    """subjects {key: heading}; the last column is the first subject's median as a part of the second's."""
    first, second = subjects
    rows = [["MEASURED", *(s.upper() for s in subjects.values()), "RATIO"]]
    for f in figures:
        ratio = f"{f.median(first) / f.median(second):.2f}" if f.median(second) else "-"
        rows.append([f.name, *(cell(f, s) for s in subjects), ratio])
    print_rows(rows)
    print()
    if aims:
        print_rows([["AIM", "", "FOUND", ""],
                    *([a.name, f"at {'least' if a.least else 'most'} {number(a.aim)} {a.unit}".strip(), f"{number(a.value)} {a.unit}".strip(),
                       "met" if a.met else "MISSED"] for a in aims)])
        print()
    print("Median (smallest..largest). " + "; ".join(f"{k.replace('_', ' ')}: {v}" for k, v in machine.items()))


def print_json(figures, machine, aims, pretty):
    print(json.dumps({"machine": machine, "aims": [a.as_json() for a in aims], "figures": [f.as_json() for f in figures]},
                     indent=2 if pretty else None))


def host_machine():
    """What a reader must know about the machine to judge the figures."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = re.search(r"^model name\s*:\s*(.*)$", file.read(), re.M)
    return {"processor": model.group(1).strip() if model else os.uname().machine, "cores": os.cpu_count()}


def draw(figures, subjects, limits, directory, name, title):
    """One panel for each figure: a bar for the median of each subject, a dot for each sample, and a line for an aim of the first
    subject, where limits {figure's name: value} has one."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot

    directory.mkdir(parents=True, exist_ok=True)
    columns = min(3, len(figures))
    lines = -(-len(figures) // columns)
    page, panels = pyplot.subplots(lines, columns, figsize=(4.2 * columns, 3.4 * lines + 0.5), squeeze=False, layout="constrained")
    page.suptitle(title)
    for panel in panels.flat[len(figures):]:
        panel.set_visible(False)
    for panel, figure in zip(panels.flat, figures):
        medians = [figure.median(s) for s in subjects]
        panel.bar(list(subjects.values()), medians, color=["#2a6f97", "#adb5bd"], width=0.55)
        for i, subject in enumerate(subjects):
            panel.plot([i] * len(figure.samples[subject]), figure.samples[subject], "o", color="#212529", markersize=4, alpha=0.7)
            panel.annotate(number(medians[i]), (i, max(figure.samples[subject])), (0, 7), textcoords="offset points", ha="center")
        if figure.name in limits:
            panel.axhline(limits[figure.name], 0, 0.5, color="#c1121f", linestyle="--", linewidth=1.2, label="aim: at most")
            panel.legend(frameon=False, fontsize=8, loc="upper left")
        panel.set_title(figure.name, fontsize=10)
        panel.set_ylabel(figure.unit)
        panel.set_ylim(0, max(max(v) for v in figure.samples.values()) * 1.25)
        panel.spines[["top", "right"]].set_visible(False)
    path = directory / f"{name}.png"
    page.savefig(path, dpi=110)
    pyplot.close(page)
    return path
