"""Measure speed, memory and file size: ``python -m benchmarks``.

Results are added to results.json in the output folder. results.md and the plots are generated from
the complete file, so that cases can be run one at a time. For results to publish, let nothing
else run.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.comparisons import CASES, all_comparisons
from benchmarks.machine import machine_facts
from benchmarks.plots import write_plots
from benchmarks.report import write_report
from benchmarks.results import load_results, save_results
from benchmarks.rounds import run_rounds


def main() -> None:
    """Measure the requested cases and write the report."""
    parser = _parser()
    given = parser.parse_args()
    wanted = [
        each
        for each in all_comparisons()
        if each.case in given.only.split(",") or each.key in given.only.split(",")
    ]
    path = given.output / "results.json"
    try:
        results = load_results(path, machine_facts(), given.scale)
    except ValueError as error:
        parser.error(str(error))
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="benchmarks-") as folder:
        for comparison in wanted:
            target = Path(folder) / "written.nwb"
            rounds = max(given.rounds, comparison.least_rounds if given.rounds >= 5 else 0)
            contenders = run_rounds(comparison, rounds, given.scale, Path(folder), target)
            # In the order of this run: an older result does not keep its place.
            results["comparisons"].pop(comparison.key, None)
            results["comparisons"][comparison.key] = {"rounds": rounds, "contenders": contenders}
            save_results(path, results)
    write_report(given.output, results, write_plots(given.output, results))
    print(f"Written: {given.output / 'results.md'}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    cases = "; ".join(f"{letter}: {title}" for letter, title in CASES.items())
    parser.add_argument(
        "--only",
        default=",".join(CASES),
        help=f"letters of cases or keys of comparisons, separated by commas ({cases})",
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=5,
        help="number of rounds; a report needs 5, and more are run for comparisons that need them",
    )
    parser.add_argument(
        "--scale", type=float, default=1.0, help="share of the full amount of data, for a trial"
    )
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument(
        "--folder", type=Path, help="folder for temporary files; by default that of the system"
    )
    return parser


if __name__ == "__main__":
    main()
