"""Report of the results as Markdown tables."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.comparisons import CASES, all_comparisons
from benchmarks.model import Comparison
from benchmarks.parts import parts_table
from benchmarks.results import Results, median, throughput
from benchmarks.targets import TARGETS, Target

_INTRODUCTION = """\
# Benchmarks

`python -m benchmarks` writes this page; [results.json](results.json) has the numbers of each round.

Each measurement runs in a separate Python process, which first opens or makes the source. This is
not timed unless stated otherwise. Contenders take turns, in a different order in each round.
Numbers are medians over the rounds, with the minimum and the maximum in brackets; ratios are ratios
of medians. MB/s are uncompressed megabytes (10⁶ bytes) per second. *On disk* is the time until the
system has written everything to the disk; nwb_ophys waits for this before it renames the file, the
others do not. *Peak* is the highest resident memory while the job runs, and *above* is the peak
minus the memory just before; *own* leaves out mapped files and is sampled every 5 ms.
"""

#: Heading, and text of a contender's cell.
Column = tuple[str, Callable[[Results, str, str], str]]


def write_report(folder: Path, results: Results, plots: dict[str, str]) -> None:
    """Write ``results.md``.

    Parameters
    ----------
    folder : pathlib.Path
    results : dict
    plots : dict
        Name of the image by the letter of its case.
    """
    known = {each.key: each for each in all_comparisons()}
    lines = [_INTRODUCTION, *_trial_notes(results, known), "## Machine", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in results["machine"].items()]
    lines += ["", "## Targets", "", *_targets(results)]
    case = ""
    for key in results["comparisons"]:
        comparison = known[key]
        if comparison.case != case:
            case = comparison.case
            lines += ["", f"## {CASES[case]}", "", comparison.timed]
            lines += ["", f"![{CASES[case]}]({plots[case]})"] if case in plots else []
        lines += ["", f"### {comparison.title}", "", *_table(results, comparison)]
    (folder / "results.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _trial_notes(results: Results, known: dict[str, Comparison]) -> list[str]:
    """Return a warning for each way in which the results are less than a report needs."""
    rounds = {key: value["rounds"] for key, value in results["comparisons"].items()}
    few = [key for key, number in rounds.items() if number < known[key].least_rounds]
    notes = []
    if results["scale"] != 1:
        notes.append(f"**A trial run with {results['scale']:g} of the full amount of data.**\n")
    if few:
        notes.append(f"**A trial run with too few rounds of {', '.join(few)}.**\n")
    return notes


# --- targets ----------------------------------------------------------------------------------


def _targets(results: Results) -> list[str]:
    lines = ["| target | bound | goal | measured | met |", "|---|---|---|---|---|"]
    for target in TARGETS:
        value = target.value(results)
        measured = "not measured" if value is None else f"{value:.3g}"
        met = "" if value is None else "yes" if target.met(value) else "**no**"
        bound = f"{'≤' if target.at_most else '≥'} {target.bound:g}"
        lines.append(f"| {target.text} | {bound} | {_goal(target)} | {measured} | {met} |")
    return lines


def _goal(target: Target) -> str:
    return "" if target.goal is None else f"{target.goal:g}"


# --- comparisons ------------------------------------------------------------------------------


def _table(results: Results, comparison: Comparison) -> list[str]:
    measured = results["comparisons"][comparison.key]
    if comparison.parts:
        return [*parts_table(results, comparison), "", _rounds_line(measured)]
    columns = [column for column in _COLUMNS if _has(results, comparison, column)]
    lines = [f"| | {' | '.join(name for name, _ in columns)} |", f"|{'---|' * (len(columns) + 1)}"]
    for name, values in measured["contenders"].items():
        if values.get("not_run"):
            cells = [values["not_run"], *[""] * (len(columns) - 1)]
        else:
            cells = [cell(results, comparison.key, name) for _, cell in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return [*lines, "", _rounds_line(measured)]


def _rounds_line(measured: Any) -> str:
    rounds = {len(v["seconds"]) for v in measured["contenders"].values() if "seconds" in v}
    shown = " to ".join(str(number) for number in sorted({min(rounds), max(rounds)}))
    return f"Rounds: {shown}"


def _has(results: Results, comparison: Comparison, column: Column) -> bool:
    """Return whether any contender has a cell in the column."""
    names = results["comparisons"][comparison.key]["contenders"]
    # The memory of a process that only starts another one means nothing.
    if comparison.case == "f" and column[0] not in ("seconds", "speed over neuroconv's"):
        return False
    return any(column[1](results, comparison.key, name) for name in names)


def _seconds(results: Results, key: str, name: str) -> str:
    values = _rounds(results, key, name, "seconds")
    if not values:
        return ""
    middle, least, most = statistics.median(values), min(values), max(values)
    digits = 3 if middle < 1 else 2 if middle < 10 else 1
    return f"{middle:.{digits}f} ({least:.{digits}f} to {most:.{digits}f})"


def _rounds(results: Results, key: str, name: str, quantity: str) -> list[Any]:
    return results["comparisons"][key]["contenders"][name].get(quantity) or []


def _throughput(results: Results, key: str, name: str) -> str:
    value = throughput(results, key, name)
    return "" if value is None else f"{value:,.0f}"


def _ratio(results: Results, key: str, name: str) -> str:
    names = results["comparisons"][key]["contenders"]
    peer = next((each for each in names if each.startswith("neuroconv")), "")
    own, other = (median(results, key, each, "seconds") for each in (name, peer))
    return f"{other / own:.3g}" if own and other else ""


def _megabytes(quantity: str) -> Callable[[Results, str, str], str]:
    def cell(results: Results, key: str, name: str) -> str:
        value = median(results, key, name, quantity)
        if value is None:
            return ""
        return f"{value / 1e6:,.0f}" if value >= 1e8 else f"{value / 1e6:,.1f}"

    return cell


def _on_disk(results: Results, key: str, name: str) -> str:
    value = median(results, key, name, "seconds_on_disk")
    writes = not name.startswith("roofline")
    return f"{value:.3g}" if value is not None and writes else ""


_COLUMNS: list[Column] = [
    ("seconds", _seconds),
    ("on disk, s", _on_disk),
    ("MB/s", _throughput),
    ("speed over neuroconv's", _ratio),
    ("file, MB", _megabytes("size")),
    ("peak, MB", _megabytes("peak")),
    ("above, MB", _megabytes("above")),
    ("own above, MB", _megabytes("own_above")),
]
