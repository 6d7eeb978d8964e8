"""Tests of messages: arguments of Python become flags on the command line."""

from __future__ import annotations

import numpy as np
import pytest

from nwb_ophys import NumpyImagingInterface
from nwb_ophys.cli.app import _COMMANDS, app
from nwb_ophys.errors import MetadataError, OutputExistsError
from nwb_ophys.flags import SWITCHES, VALUES, with_flags

START = "NWBFile.session_start_time=2024-05-17T14:30:00+02:00"

MESSAGES = {
    "use overwrite=True to replace it or append=True to add to it.": (
        "use --overwrite to replace it or --append to add to it."
    ),
    "give sampling_frequency, in Hz.": "give --option sampling_frequency=VALUE, in Hz.",
    "Give num_channels and num_planes to read it.": (
        "Give --option num_channels=VALUE and --option num_planes=VALUE to read it."
    ),
    "give sampling_frequency=30.": "give --option sampling_frequency=30.",
    "give it with plane_index=0, or plane_index=1.": (
        "give it with --option plane_index=0, or --option plane_index=1."
    ),
    "mask_type=None writes none.": "--option mask_type=null writes none.",
    'give photon_series_type="OnePhotonSeries".': (
        "give --option photon_series_type=OnePhotonSeries."
    ),
    'read it with format="tiff".': "read it with --format tiff.",
    "give roi_ids=[1, 2].": 'give --option "roi_ids=[1, 2]".',
    'give metadata["NWBFile"]["lab"]="A lab".': 'give --set "NWBFile.lab=A lab".',
    'give metadata["Ophys"]["ImagingPlane"][0]["location"]="V1".': (
        "give --set Ophys.ImagingPlane.0.location=V1."
    ),
    "Give line_scans=False (--option line_scans=false) to leave them out.": (
        "Give --option line_scans=false to leave them out."
    ),
    "with allow_truncated=True (on the command line --option allow_truncated=true).": (
        "with --option allow_truncated=true."
    ),
    "Give it as channel_name=..., on the command line with --option channel_name=VALUE.": (
        "Give --option channel_name=VALUE."
    ),
    "name the format (format=, on the command line --format): a.": "name the format (--format): a.",
    "align them with set_aligned_starting_time().": (
        "align them with set_aligned_starting_time() in Python."
    ),
    # What users wrote, headers, and arguments of functions that no command has, stay.
    "--option is 'sampling_frequency=x'; it must be KEY=VALUE.": None,
    "sampling_frequency is 'fast' (str); it must be a number.": None,
    'metadata["NWBFile"]["lab"] is 7 (int); it must be a text.': None,
    "The header has SI.hChannels.channelSave=1 and fs=30.": None,
    "use iterator_type='v2', which reads it block by block.": None,
    "There is no option 'masktype' here. Did you mean 'mask_type'?": None,
}


@pytest.mark.parametrize("message", MESSAGES)
def test_arguments_become_flags(message):
    assert with_flags(message) == (MESSAGES[message] or message)


def test_the_arguments_that_are_flags_are_those_of_the_commands():
    flags = {}
    for name in _COMMANDS:
        command = app.get_command(None, name)
        flags |= {option: each for each in command.params for option in each.opts}
    for name in SWITCHES:
        assert flags[f"--{name.replace('_', '-')}"].is_flag
    for name in VALUES:
        assert not flags[f"--{name.replace('_', '-')}"].is_flag


def test_one_message_names_the_argument_in_python_and_the_flag_on_the_command_line(
    run, raw, tmp_path
):
    interface = NumpyImagingInterface(np.zeros((3, 4, 5), "uint16"), 10.0)
    start = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
    path = tmp_path / "a.nwb"
    interface.run_conversion(path, metadata=start, progress=False)
    with pytest.raises(OutputExistsError, match="use overwrite=True to replace it or append=True"):
        interface.run_conversion(path, metadata=start, progress=False)
    told = run("convert", "suite2p", "-o", path, "--set", START)
    assert told.is_mistake("use --overwrite to replace it or --append to add to it")
    assert "=True" not in told.err
    with pytest.raises(
        MetadataError, match=r'give .*metadata\["NWBFile"\]\["session_start_time"\]='
    ):
        interface.run_conversion(tmp_path / "b.nwb")
    told = run("convert", "suite2p", "-o", tmp_path / "b.nwb")
    assert told.is_mistake("--set NWBFile.session_start_time=2024-05-17T14:30:00+02:00.")
    told = run("convert", "movie.tif", "-o", tmp_path / "b.nwb")
    assert told.is_mistake("Give --option sampling_frequency=VALUE.")
    assert "..." not in told.err
