"""What an interrupt, such as Ctrl-C, must not leave half done."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def to_the_end(action: Callable[[], None]) -> None:
    """Do something that may be begun anew, until it is done; an interrupt is raised only then.

    Parameters
    ----------
    action : callable
        Begun anew after each interrupt.

    Raises
    ------
    Exception
        Whatever the action raises.
    """
    interrupt: BaseException | None = None
    while True:
        try:
            action()
            break
        except Exception:
            raise
        except BaseException as raised:
            interrupt = raised
    if interrupt is not None:
        raise interrupt


@contextmanager
def blosc_without_lock() -> Iterator[None]:
    """Have numcodecs take no lock around Blosc.

    It takes one in the main thread, in Python, to have Blosc start threads of its own. An
    interrupt can leave it taken, and the next Blosc chunk of the process would wait for ever.
    Where numcodecs is not loaded yet, nothing is done.
    """
    blosc = sys.modules.get("numcodecs.blosc")
    before = getattr(blosc, "use_threads", None)
    try:
        if blosc is not None:
            blosc.use_threads = False  # type: ignore[attr-defined]
        yield
    finally:
        if blosc is not None:
            blosc.use_threads = before  # type: ignore[attr-defined]
