"""Whether two descriptions are of the same thing, where either may leave things unknown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

# What an entry is called and what it hangs on do not describe it.
_NOT_DESCRIBING = ("name", "device")


def same(first: Any, second: Any) -> bool:
    """Whether two values are equal, NaN equalling NaN, arrays compared by their elements."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    if isinstance(first, (list, tuple)) and isinstance(second, (list, tuple)):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, np.ndarray) or isinstance(second, np.ndarray):
        return np.array_equal(first, second)
    return bool(first == second or (first != first and second != second))


def is_described(entry: Mapping[str, Any], default: Mapping[str, Any]) -> bool:
    """Whether an entry says anything of the thing beyond its name and the defaults."""
    return any(_states(entry, key, default) for key in entry if key not in _NOT_DESCRIBING)


def compatible(
    first: Mapping[str, Any], second: Mapping[str, Any], default: Mapping[str, Any]
) -> bool:
    """Whether nothing that both entries state differs."""
    return all(
        same(first.get(key), second.get(key))
        for key in {*first, *second}
        if _states(first, key, default) and _states(second, key, default)
    )


def united(
    first: Mapping[str, Any], second: Mapping[str, Any], default: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what two compatible entries state together."""
    result = dict(first)
    for key, value in second.items():
        if not _states(result, key, default):
            result[key] = value
    return result


def _states(entry: Mapping[str, Any], key: str, default: Mapping[str, Any]) -> bool:
    value = entry.get(key)
    return value is not None and not (key in default and same(value, default[key]))
