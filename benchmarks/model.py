"""Model of a measurement: contenders that do the same job and are compared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import field, frozen


def quantity_of(part: str, quantity: str) -> str:
    """Return the name of a quantity of one part of a job."""
    return f"{quantity} of {part}"


@frozen(kw_only=True)
class Setup:
    """Folder of the sources and path of the output of a contender.

    Attributes
    ----------
    sources : pathlib.Path
        Folder of the files that the comparison's ``make_sources`` made.
    target : pathlib.Path
        The file (or Zarr folder) to write.
    scale : float
        Share of the full amount of data.
    """

    sources: Path
    target: Path
    scale: float


@frozen(kw_only=True)
class Job:
    """Timed call, ready to run.

    Attributes
    ----------
    run : callable
        Called without arguments, with all imports and sources ready. If it writes no file, it may
        return the bytes of its result, or a dictionary of measured quantities.
    num_bytes : int, optional
        Number of uncompressed bytes, for the throughput.
    """

    run: Callable[[], Any]
    num_bytes: int | None = None


@frozen(kw_only=True)
class Contender:
    """One way to do the job of a comparison.

    Attributes
    ----------
    name : str
    prepare : callable, optional
        Makes the job of a setup, and is not timed.
    max_rounds : int, optional
        Limit of rounds for contenders with long rounds.
    not_run : str
        Reason why the contender is listed but not measured.
    """

    name: str
    prepare: Callable[[Setup], Job] | None = None
    max_rounds: int | None = None
    not_run: str = ""


@frozen(kw_only=True)
class Comparison:
    """Contenders that take turns, in a different order in each round.

    Attributes
    ----------
    key : str
        Letter of the case, followed by a name.
    title : str
    timed : str
        Sentences that describe exactly the part that is timed.
    contenders : list of Contender
    make_sources : callable, optional
        Writes the missing source files, called once with (folder, scale).
    least_rounds : int
        Number of rounds below which the results are a trial.
    parts : dict of str to str
        Titles of the parts of the job, whose quantities the job returns under the names of
        :func:`quantity_of`. The report then has a row for each part.
    """

    key: str
    title: str
    timed: str
    contenders: list[Contender] = field(repr=False)
    make_sources: Callable[[Path, float], None] | None = None
    least_rounds: int = 5
    parts: dict[str, str] = field(factory=dict, repr=False)

    @property
    def case(self) -> str:
        """Letter of the case."""
        return self.key[0]

    def contender(self, name: str) -> Contender:
        """Return the contender with a name."""
        return next(each for each in self.contenders if each.name == name)
