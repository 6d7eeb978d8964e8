"""File of results, to which each run adds its comparisons."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

Results = dict[str, Any]


def load_results(path: Path, machine: dict[str, str], scale: float) -> Results:
    """Return the results in a file, or empty results if there is no file.

    Raises
    ------
    ValueError
        When they are of other versions, another machine or another scale, as numbers that are
        shown together must not be.
    """
    if not path.exists():
        return {"machine": machine, "scale": scale, "comparisons": {}}
    results: Results = json.loads(path.read_text(encoding="utf-8"))
    for name, present in (("machine", machine), ("scale", scale)):
        if results[name] != present:
            raise ValueError(
                f"'{path}' has results of another {name}: {results[name]}; now it is {present}. "
                "Give another --output, or delete it."
            )
    return results


def save_results(path: Path, results: Results) -> None:
    """Write results, with the comparisons in the order of the letters of their keys."""
    comparisons = results["comparisons"]
    results["comparisons"] = {key: comparisons[key] for key in sorted(comparisons, key=_order)}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def _order(key: str) -> str:
    """Return the letter only, so that comparisons of one case stay in the order of the runs."""
    return key[0]


def median(results: Results, key: str, contender: str, quantity: str) -> float | None:
    """Return the median over the rounds, or None if the quantity was not measured."""
    comparison = results["comparisons"].get(key)
    values = comparison["contenders"].get(contender, {}).get(quantity) if comparison else None
    return None if not values or None in values else statistics.median(values)


def throughput(results: Results, key: str, contender: str) -> float | None:
    """Return uncompressed megabytes per second of the median round."""
    num_bytes = median(results, key, contender, "num_bytes")
    seconds = median(results, key, contender, "seconds")
    return num_bytes / seconds / 1e6 if num_bytes and seconds else None
