"""Rounds in which the contenders of a comparison take turns, each in a fresh process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.model import Comparison, Contender


def run_rounds(
    comparison: Comparison, rounds: int, scale: float, sources: Path, target: Path
) -> dict[str, Any]:
    """Measure all contenders of a comparison.

    Parameters
    ----------
    comparison : Comparison
    rounds : int
        A contender that begins a round is the last of the next.
    scale : float
        Share of the full amount of data.
    sources, target : pathlib.Path
        Folder of the source files, and the file that each contender writes.

    Returns
    -------
    dict
        For each contender by name, the measured values of all rounds by quantity; or ``not_run``,
        the reason why there are none.
    """
    print(f"{comparison.key}: {comparison.title}", flush=True)
    common = ["--sources", str(sources), "--scale", str(scale)]
    run_module("benchmarks.run", comparison.key, *common)
    results: dict[str, Any] = {
        each.name: {"not_run": each.not_run} if each.not_run else {}
        for each in comparison.contenders
    }
    contenders = [each for each in comparison.contenders if not each.not_run]
    for index in range(rounds):
        first = index % len(contenders)
        for contender in contenders[first:] + contenders[:first]:
            if _takes_part(contender, index):
                arguments = [comparison.key, contender.name, "--target", str(target), *common]
                measured = json.loads(run_module("benchmarks.run", *arguments).splitlines()[-1])
                print(f"  round {index + 1}, {contender.name}: {measured['seconds']:.3f} s")
                sys.stdout.flush()
                for quantity, value in measured.items():
                    results[contender.name].setdefault(quantity, []).append(value)
    return results


def _takes_part(contender: Contender, index: int) -> bool:
    return contender.max_rounds is None or index < contender.max_rounds


def run_module(module: str, *arguments: str) -> str:
    """Run a module in a separate process and return its output.

    Raises
    ------
    RuntimeError
        With its error output when it fails.
    """
    command = [sys.executable, "-W", "ignore", "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} failed:\n{done.stderr[-4000:]}")
    return done.stdout
