"""The check of arguments of hdmf's functions, quicker for those that are right.

hdmf compares each argument of each call with the description of the function, which takes a large
part of the time in which the tests write and read files. The answer for an argument of some class
is the same each time, so that it is kept. Whenever an argument is not known to be right, hdmf
itself compares, so that each mistake has its answer and each warning its words.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import hdmf.utils
import pytest
from hdmf.term_set import TermSetWrapper
from hdmf.utils import AllowPositional, check_type

_PLAIN = (type(None), bool, int, float, str, bytes)
_WITH_A_WARNING = (AllowPositional.WARNING, AllowPositional.ERROR)
_ABSENT = object()


@contextmanager
def quick_arguments() -> Iterator[None]:
    """Compare arguments the quick way while the context lasts."""
    with pytest.MonkeyPatch.context() as patch:
        compare = hdmf.utils.__dict__["__parse_args"]
        patch.setitem(hdmf.utils.__dict__, "__parse_args", quick(compare))
        yield


def quick(compare: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that answers as ``compare``, hdmf's, does.

    Parameters
    ----------
    compare : callable
        The function that is called for whatever is not known to be right.
    """
    # With the list itself, so that no other one gets its identity.
    known: dict[int, tuple[Any, _Described | None]] = {}

    def call(
        validator: Any,
        args: Any,
        kwargs: Any,
        enforce_type: bool = True,
        enforce_shape: bool = True,
        allow_extra: bool = False,
        allow_positional: Any = AllowPositional.ALLOWED,
    ) -> Any:
        """Compare the arguments of a call with their description."""
        is_usual = enforce_type and enforce_shape and not allow_extra
        if is_usual and not (args and allow_positional in _WITH_A_WARNING):
            found = known.get(id(validator))
            if found is None:
                found = known[id(validator)] = (validator, _described(validator))
            values = found[1] and found[1].fitted(args, kwargs)
            if values:
                return _without_errors(values)
        return compare(
            validator, args, kwargs, enforce_type, enforce_shape, allow_extra, allow_positional
        )

    return call


def _described(validator: Any) -> _Described | None:
    """Return the arguments of a function; None if it has none, or a name twice."""
    names = {each["name"] for each in validator}
    return _Described(validator) if names and len(names) == len(validator) else None


def _without_errors(values: dict[str, Any]) -> dict[str, Any]:
    return {
        "args": values,
        "future_warnings": [],
        "type_errors": [],
        "value_errors": [],
        "syntax_errors": [],
    }


class _Described:
    """The arguments of a function, and the classes that each is known to accept."""

    def __init__(self, validator: Any) -> None:
        self._arguments = [_Argument(each) for each in validator]

    def fitted(self, args: Any, kwargs: Any) -> dict[str, Any] | None:
        """Return the value of each argument; None if one is not known to be right."""
        values: dict[str, Any] = {}
        stated, used = len(args), 0
        if stated > len(self._arguments):
            return None
        for number, argument in enumerate(self._arguments):
            value = kwargs.get(argument.name, _ABSENT)
            if value is not _ABSENT:
                if number < stated:  # stated twice
                    return None
                used += 1
            elif number < stated:
                value = args[number]
            elif argument.default is _ABSENT:
                return None
            else:
                value = argument.default if argument.is_plain else copy.deepcopy(argument.default)
            if type(value) not in argument.accepted and not argument.accepts(value):
                return None
            values[argument.name] = value
        return values if used == len(kwargs) else None


class _Argument:
    """An argument of a function, as hdmf describes it."""

    def __init__(self, described: dict[str, Any]) -> None:
        self.name = described["name"]
        self.default = described.get("default", _ABSENT)
        self.is_plain = isinstance(self.default, _PLAIN)
        # A shape, or one of some values, is a matter of the value itself.
        self._is_bounded = "shape" in described or "enum" in described
        self.accepted: set[type] = set()
        self._type = described["type"]
        self._allows_none = "default" in described and (
            self.default is None or described.get("allow_none", False)
        )

    def accepts(self, value: Any) -> bool:
        """Return whether a value is accepted for its class, and keep that."""
        if self._is_bounded and value is not None:
            return False
        if isinstance(value, TermSetWrapper) or value.__class__ is not type(value):
            return False
        if not check_type(value, self._type, self._allows_none):
            return False
        self.accepted.add(type(value))
        return True
