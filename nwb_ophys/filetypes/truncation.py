"""Files that end early: one refusal that names the option, and one warning with it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from nwb_ophys.errors import CorruptSourceError, counted
from nwb_ophys.filetypes.files import COPY_AGAIN

ALLOW_TRUNCATED = "allow_truncated=True (on the command line --option allow_truncated=true)"


class NothingCompleteError(CorruptSourceError):
    """A truncated file without a single complete frame.

    Attributes
    ----------
    reason : str
        Evidence that the file is truncated; empty if the message alone says it.
    """

    reason: str = ""


def report_truncated(
    path: Path,
    num_complete: int,
    num_expected: int = 0,
    *,
    allow: bool,
    is_exact: bool | None = None,
    unit: str = "frames",
    reason: str = "",
) -> None:
    """Refuse a truncated file, or warn that only its complete frames are read.

    Parameters
    ----------
    path : pathlib.Path
    num_complete : int
        Number of complete frames.
    num_expected : int
        Number of frames that the file should have. If it is not larger than the number of complete
        frames, it is unknown, and at least one frame is missing.
    allow : bool
        The source argument ``allow_truncated``.
    is_exact : bool, optional
        Whether the expected number is known, and not only the smallest possible one.
    unit : str
        Name of the frames in the plural, such as ``"pages"``.
    reason : str
        Evidence that the file is truncated.

    Raises
    ------
    CorruptSourceError
        Unless ``allow``; the message names the option.
    """
    if is_exact is None:
        is_exact, num_expected = num_expected > num_complete, max(num_expected, num_complete + 1)
    because = f" ({reason})" if reason else ""
    what = (
        f"'{path}' is truncated{because}: {num_complete} of {'' if is_exact else 'at least '}"
        f"{num_expected} {unit} {'is' if num_complete == 1 else 'are'} complete"
    )
    if not allow:
        raise CorruptSourceError(
            f"{what}. To repair it, {COPY_AGAIN}; to convert only what is complete, give "
            f"{ALLOW_TRUNCATED}."
        )
    # Named as the place of all these warnings, this line makes Python show each of them only once,
    # although a file is opened for each stream.
    warnings.warn(f"{what}; the rest of the file is left out.", UserWarning, stacklevel=1)


def nothing_complete(path: Path, unit: str = "frames", reason: str = "") -> NothingCompleteError:
    """Return the error for a truncated file of which nothing can be converted.

    Parameters
    ----------
    path : pathlib.Path
    unit : str
        Name of the frames in the plural.
    reason : str
        Evidence that the file is truncated.
    """
    because = f" ({reason})" if reason else ""
    error = NothingCompleteError(
        f"'{path}' is truncated or damaged{because}: 0 {unit} are complete, so there is nothing to "
        f"convert. To repair it, {COPY_AGAIN}."
    )
    error.reason = reason
    return error


def warn_of_later_files(path: Path, later: Sequence[Path]) -> None:
    """Warn that the files of a recording after a truncated one are left out.

    Parameters
    ----------
    path : pathlib.Path
        The truncated file.
    later : sequence of pathlib.Path
        The files after it; without any there is no warning.
    """
    if not later:
        return
    last = f" to '{later[-1].name}'" if len(later) > 1 else ""
    warnings.warn(
        f"'{path}' is truncated, so the recording ends there: the "
        f"{counted(len(later), 'file')} after it, '{later[0].name}'{last}, "
        f"{'is' if len(later) == 1 else 'are'} left out, since frames before them are missing.",
        UserWarning,
        stacklevel=1,
    )
