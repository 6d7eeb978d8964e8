"""Table of a comparison whose job has parts: a row for each part."""

from __future__ import annotations

from attrs import frozen

from benchmarks.model import Comparison, quantity_of
from benchmarks.results import Results, median


@frozen
class _Quantity:
    """Heading, unit and format of a quantity, and whether ratios are shown."""

    heading: str
    unit: float = 1.0
    digits: str = ".3g"
    has_ratio: bool = False


_QUANTITIES = {
    "seconds": _Quantity("s", has_ratio=True),
    "processor_seconds": _Quantity("processor s", has_ratio=True),
    "requests": _Quantity("requests", digits=",.0f"),
    "transferred": _Quantity("MB", unit=1e6, digits=",.1f"),
}


def parts_table(results: Results, comparison: Comparison) -> list[str]:
    """Return the lines of a table: for each quantity the contenders, and the first over the last.

    Parameters
    ----------
    results : dict
    comparison : Comparison
        With parts.
    """
    names = [each.name for each in comparison.contenders]
    shown = {
        quantity: how
        for quantity, how in _QUANTITIES.items()
        if any(_values(results, comparison, part, quantity)[0] for part in comparison.parts)
    }
    heads = []
    for how in shown.values():
        heads += [f"{name}, {how.heading}" for name in names]
        heads += [f"ratio of {how.heading}"] if how.has_ratio else []
    lines = [f"| | {' | '.join(heads)} |", f"|{'---|' * (len(heads) + 1)}"]
    for part, title in comparison.parts.items():
        cells = []
        for quantity, how in shown.items():
            values = _values(results, comparison, part, quantity)
            cells += ["" if v is None else f"{v / how.unit:{how.digits}}" for v in values]
            first, last = values[0], values[-1]
            if how.has_ratio:
                cells.append(f"{first / last:.3g}" if first and last else "")
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return lines


def _values(
    results: Results, comparison: Comparison, part: str, quantity: str
) -> list[float | None]:
    name = quantity_of(part, quantity)
    return [median(results, comparison.key, each.name, name) for each in comparison.contenders]
