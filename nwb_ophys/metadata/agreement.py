"""Facts that several files, or frames, of one recording state: kept only where all agree."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np

_TOLERANCE = 1e-6


class CommonFacts:
    """The facts that all parts of a recording state alike.

    Parameters
    ----------
    where : str
        The recording, for messages, such as ``'/data/day1'``.
    parts : str
        Word for its parts, in the plural, such as ``files``.
    tolerance : float
        Relative difference up to which two numbers agree.
    """

    def __init__(self, where: str, parts: str = "files", tolerance: float = _TOLERANCE) -> None:
        self._where, self._parts, self._tolerance = where, parts, tolerance
        self._first: tuple[str, Mapping[str, Any]] | None = None
        self._other: dict[str, tuple[str, Any]] = {}

    def add(self, label: str, facts: Mapping[str, Any]) -> None:
        """Compare the facts of one more part with those of the first one.

        Parameters
        ----------
        label : str
            Name of the part, for messages.
        facts : mapping of str to object
            By name; None, or an absent name, is not stated.
        """
        if self._first is None:
            self._first = (label, dict(facts))
            return
        first = self._first[1]
        for name in {**first, **facts}:
            if name not in self._other and not _agree(
                first.get(name), facts.get(name), self._tolerance
            ):
                self._other[name] = (label, facts.get(name))

    @property
    def differing(self) -> list[str]:
        """Names of the facts on which the parts do not agree."""
        return list(self._other)

    def agreed(self) -> dict[str, Any]:
        """Return the facts on which all agree, with a warning that names the others."""
        if self._first is None:
            return {}
        label, first = self._first
        if self._other:
            shown = ", ".join(
                f"{name} ({_shown(first.get(name))} in '{label}', {_shown(value)} in '{other}')"
                for name, (other, value) in self._other.items()
            )
            warnings.warn(
                f"The {self._parts} of {self._where} state different settings, which are left out: "
                f"{shown}. Give them in the metadata if one value is right for all.",
                UserWarning,
                stacklevel=3,
            )
        return {name: value for name, value in first.items() if name not in self._other}


def common_facts(
    where: str, stated: Iterable[tuple[str, Mapping[str, Any]]], parts: str = "files"
) -> dict[str, Any]:
    """Return the facts that all parts of a recording state alike; warn of those that differ.

    Parameters
    ----------
    where, parts : str
        As for :class:`CommonFacts`.
    stated : iterable of (str, mapping)
        Name and facts of each part.

    Returns
    -------
    dict
        Facts by name.
    """
    common = CommonFacts(where, parts)
    for label, facts in stated:
        common.add(label, facts)
    return common.agreed()


def common_header(headers: Sequence[Any], names: Mapping[str, str]) -> Any:
    """Return the first header, with None for attributes that others state otherwise.

    Parameters
    ----------
    headers : sequence of attrs instances
        With the attribute ``path``; headers of the files of one recording.
    names : mapping of str to str
        Attributes to compare, with their names in the warning.
    """
    first = headers[0]
    stated = [
        (header.path.name, {words: getattr(header, name) for name, words in names.items()})
        for header in headers
    ]
    agreed = common_facts(f"the recording '{first.path}'", stated)
    unknown = {name: None for name, words in names.items() if words not in agreed}
    return attrs.evolve(first, **unknown)


def _agree(one: Any, other: Any, tolerance: float) -> bool:
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        one, other = np.asarray(one).tolist(), np.asarray(other).tolist()
    if _is_number(one) and _is_number(other):
        both_nan = math.isnan(one) and math.isnan(other)
        return both_nan or math.isclose(one, other, rel_tol=tolerance)
    if _is_sequence(one) and _is_sequence(other):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(_agree(a, b, tolerance) for a, b in pairs)
    return bool(one == other)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "not stated"
    if _is_number(value):
        return f"{value:g}"
    if _is_sequence(value):
        return f"[{', '.join(_shown(each) for each in value)}]"
    return str(value)
