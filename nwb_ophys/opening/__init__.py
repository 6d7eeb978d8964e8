"""Open everything at some paths, with arguments that may be given as text."""

from nwb_ophys.metadata.setting import set_in_metadata
from nwb_ophys.opening.archive_check import check_metadata_for_archive, check_recording
from nwb_ophys.opening.metadata_edits import (
    describe_recording,
    edited_metadata,
    write_metadata,
)
from nwb_ophys.opening.recordings import Recording, open, open_all, open_recording, options_of
from nwb_ophys.opening.summary import joined_files, summarise_file
from nwb_ophys.opening.times import apply_times

__all__ = [
    "Recording",
    "apply_times",
    "check_metadata_for_archive",
    "check_recording",
    "describe_recording",
    "edited_metadata",
    "joined_files",
    "open",
    "open_all",
    "open_recording",
    "options_of",
    "set_in_metadata",
    "summarise_file",
    "write_metadata",
]
