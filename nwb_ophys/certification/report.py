"""The report of a verification: differences, what was compared, and what could not be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from nwb_ophys.errors import counted, first_named

_MOST_LISTED = 20


@attrs.frozen(kw_only=True)
class Difference:
    """A difference between a file and the hashes of its writing, or its source.

    Attributes
    ----------
    location : str
        Path of the dataset or group in the file.
    message : str
        What differs, as a sentence: the frames, and the first difference.
    frames : tuple of (int, int)
        First and last index along the first axis, of each range that differs.
    index : tuple of int or None
        Index of the first value that differs; None where only a hash is known.
    expected, found : object
        The value in the source and the value in the file at this index.
    """

    location: str
    message: str
    frames: tuple[tuple[int, int], ...] = ()
    index: tuple[int, ...] | None = None
    expected: object = None
    found: object = None

    def __str__(self) -> str:
        return f"'{self.location}': {self.message}" if self.location else self.message


@attrs.frozen(kw_only=True)
class SourceAnswer:
    """Answer to the question whether the source files may be deleted.

    Attributes
    ----------
    reasons : tuple of str
        Reasons for which they may not; empty if they may.
    num_datasets, num_files : int
        Numbers of datasets that equal the source, and of source files that are as they were.
    """

    reasons: tuple[str, ...]
    num_datasets: int = 0
    num_files: int = 0
    is_sampled: bool = False

    @property
    def is_yes(self) -> bool:
        """Return whether the source files may be deleted."""
        return not self.reasons

    def __str__(self) -> str:
        question = "May the source files be deleted?"
        if self.reasons:
            return f"{question} No, because {'; and '.join(self.reasons)}."
        files = counted(self.num_files, "source file")
        sampled = " (large files by samples of their contents)" if self.is_sampled else ""
        return (
            f"{question} Yes: {counted(self.num_datasets, 'dataset')} in the file "
            f"{'equals' if self.num_datasets == 1 else 'equal'} the source, and the {files} "
            f"{'is' if self.num_files == 1 else 'are'} as converted{sampled}."
        )


@attrs.frozen(kw_only=True)
class FileReport:
    """Report on a file.

    Attributes
    ----------
    path : pathlib.Path
    differences : tuple of Difference
    num_datasets, num_objects, num_bytes : int
        Numbers of the datasets and of the groups and datasets with attributes that were compared
        with hashes, and of the bytes of these datasets, decoded.
    compared_with_source : tuple of str
        Datasets that were compared with the source.
    not_compared : tuple of str
        Sentences about what could not be compared, and why.
    answer : SourceAnswer or None
        Whether the source files may be deleted; None where no sources were given.
    """

    path: Path
    differences: tuple[Difference, ...]
    num_datasets: int = 0
    num_objects: int = 0
    num_bytes: int = 0
    compared_with_source: tuple[str, ...] = ()
    not_compared: tuple[str, ...] = ()
    answer: SourceAnswer | None = None

    @property
    def is_equal(self) -> bool:
        """Return whether no difference was found."""
        return not self.differences

    def lines(self) -> Iterator[str]:
        """Yield the report line by line."""
        for difference in self.differences:
            yield f"differs: {difference}"
        yield from self.not_compared
        if self.compared_with_source:
            number = counted(len(self.compared_with_source), "dataset")
            yield f"equal to the source: {number}: {listed(self.compared_with_source)}"
        size = f"{counted(self.num_datasets, 'dataset')} ({self.num_bytes / 1e6:.1f} MB)"
        attributes = f"the attributes of {counted(self.num_objects, 'object')}"
        found = counted(len(self.differences), "difference") if self.differences else "all equal"
        yield f"{self.path}: {size} and {attributes} compared with their hashes: {found}."
        if self.answer is not None:
            yield str(self.answer)


def listed(names: Sequence[str], most: int = _MOST_LISTED) -> str:
    """Return names in quotes; only the first of many."""
    return first_named(list(names), most)


def ranges(spans: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Return sorted spans of whole numbers, joined where they touch."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return tuple(joined)


def in_words(spans: Sequence[tuple[int, int]]) -> str:
    """Return spans of frames in words."""
    shown = ", ".join(f"{a} to {b}" if a != b else str(a) for a, b in spans[:5])
    more = f" and {len(spans) - 5} more ranges" if len(spans) > 5 else ""
    return f"frame{'s' * (spans != ((spans[0][0], spans[0][0]),))} {shown}{more}"
