"""Add a table of trials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nwb_ophys.errors import MetadataError

if TYPE_CHECKING:
    from pynwb import NWBFile

RESERVED = ("id", "start_time", "stop_time", "tags", "timeseries", "timeseries_index")
"""Names of columns that have a meaning of their own in a table of trials."""


def add_trials(
    nwbfile: NWBFile,
    start_times: NDArray[np.float64],
    stop_times: NDArray[np.float64],
    columns: Mapping[str, ArrayLike] | None = None,
    descriptions: Mapping[str, str] | None = None,
    description: str = "Experimental trials.",
    ids: Sequence[int] | None = None,
) -> NWBFile:
    """Add trials with columns of numbers, truth values or texts.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
    start_times, stop_times : numpy.ndarray of float64, shape (trials,)
        In seconds from the start of the session.
    columns : Mapping of str to array-like, shape (trials,), optional
        Further columns by name.
    descriptions : Mapping of str to str, optional
        Descriptions of the columns; a default for each without one.
    description : str
        Description of the table.
    ids : sequence of int, optional
        Numbers of the trials; from 0 by default.

    Returns
    -------
    pynwb.NWBFile
        The same file.

    Raises
    ------
    MetadataError
        If the file has trials already, or a column cannot have its name.
    """
    from pynwb.epoch import TimeIntervals  # here, as readers check the names of columns

    if nwbfile.trials is not None:
        raise MetadataError(
            f"The file has {len(nwbfile.trials)} trials already, and NWB allows one table of them; "
            "leave the trials out, or write a new file."
        )
    check_column_names(columns or {})
    table = TimeIntervals(name="trials", description=description)
    numbers = range(len(start_times)) if ids is None else ids
    for number, start, stop in zip(numbers, start_times, stop_times, strict=True):
        table.add_interval(start_time=float(start), stop_time=float(stop), id=int(number))
    nwbfile.trials = table
    for name, values in (columns or {}).items():
        text = (descriptions or {}).get(name) or f"{name} of the trial."
        nwbfile.add_trial_column(name=name, description=text, data=_as_data(values))
    return nwbfile


def check_column_names(names: Iterable[str]) -> None:
    """Raise unless columns of trials may have some names.

    Raises
    ------
    MetadataError
        With the first wrong name.
    """
    for name in names:
        if not name or name in RESERVED or set(name) & set("/:"):
            raise MetadataError(
                f"A further column of trials cannot have the name '{name}'; rename it. Names have "
                f"no '/' and ':', and NWB uses {', '.join(RESERVED)} itself."
            )


def _as_data(values: ArrayLike) -> Any:
    return values if isinstance(values, list) else np.asarray(values)
