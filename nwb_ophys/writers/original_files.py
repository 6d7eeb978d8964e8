"""The files that a registered movie was made from."""

from __future__ import annotations

from collections.abc import Sequence

import attrs


@attrs.frozen(kw_only=True)
class OriginalFiles:
    """The files of an original movie that is not in the NWB file itself.

    Attributes
    ----------
    files : sequence of str
        Names of the files, in their order.
    starting_frames : sequence of int
        Number of the first frame of each file.
    description : str
    """

    files: Sequence[str]
    starting_frames: Sequence[int]
    description: str
