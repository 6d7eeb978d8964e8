"""Reader of the translations that Inscopix's motion correction writes on request.

The movie itself states nothing of them. ``motion_correct`` of Inscopix's software writes a CSV file
(``output_translation_files``) with the columns ``translationX`` and ``translationY``, the
translation of each frame to the reference frame in pixels, and the time of the frame.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import CorruptSourceError, SourceError, shown
from nwb_ophys.formats.inscopix.header import IsxdHeader
from nwb_ophys.outside import check_file

_COLUMNS = ("translationX", "translationY")


def read_translations(path: Path, header: IsxdHeader) -> NDArray[np.float64]:
    """Return the translations of the frames of a movie, (samples, 2): x and y.

    Parameters
    ----------
    path : pathlib.Path
        The CSV file.
    header : IsxdHeader
        Header of the movie. Rows of frames that are not in its file are left out.

    Raises
    ------
    CorruptSourceError
        When the file has no such columns of numbers.
    SourceError
        When it does not have a row for each frame.
    """
    try:
        check_file(path)
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [
                {(key or "").strip(): value for key, value in row.items()}
                for row in csv.DictReader(file)
            ]
        values = np.array([[float(row[name]) for name in _COLUMNS] for row in rows])
    except (OSError, KeyError, TypeError, ValueError, AttributeError, csv.Error) as error:
        raise CorruptSourceError(
            f"'{path}' is not a table of translations with the columns {' and '.join(_COLUMNS)}: "
            f"{shown(error)}. Give the file that Inscopix's motion correction wrote."
        ) from error
    valid = header.valid_samples
    if len(values) == header.num_times:
        return values.reshape(-1, 2)[valid]
    if len(values) == len(valid):
        return values.reshape(-1, 2)
    raise SourceError(
        f"'{path}' has {len(values)} translations, '{header.path}' {len(valid)} frames; it may be "
        "of another movie."
    )
