"""Writers of small recordings in the true raw formats, for tests, the demo and plug-in authors.

A recording is simulated once and written in any of the formats. The arrays that a reader returns
can then be compared with the simulated ones::

    recording = simulate_recording(num_samples=50)
    (path,) = write_scanimage("recording.tif", recording.movie)
    suite2p_folder = write_suite2p("analysed", recording)

Each ``write_<format>`` is defined in the ``sample`` module of its format.
"""

from __future__ import annotations

from typing import Any

from nwb_ophys.simulation.recording import SimulatedRecording as SimulatedRecording
from nwb_ophys.simulation.recording import simulate_recording as simulate_recording
from nwb_ophys.testing.contract import check_format as check_format
from nwb_ophys.testing.samples import sample_writers

_OWN = ("SimulatedRecording", "check_format", "simulate_recording")


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return sorted([*_OWN, *sample_writers()])
    if name in sample_writers():
        return sample_writers()[name]
    raise AttributeError(f"module '{__name__}' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *sample_writers()]
