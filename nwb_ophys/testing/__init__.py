"""Writers of small recordings in the true raw formats, for tests, the demo and plug-in authors.

A recording is simulated once and written in any of the formats; what a reader returns can then
be compared with what was simulated::

    recording = simulate_recording(num_samples=50)
    (path,) = write_scanimage("recording.tif", recording.movie)
    suite2p_folder = write_suite2p("analysed", recording)
"""

from nwb_ophys.testing.bruker import write_bruker
from nwb_ophys.testing.caiman import write_caiman
from nwb_ophys.testing.contract import check_format
from nwb_ophys.testing.scanimage import write_scanimage
from nwb_ophys.testing.simulate import SimulatedRecording, simulate_recording
from nwb_ophys.testing.suite2p import write_suite2p
from nwb_ophys.testing.thor import write_thor
from nwb_ophys.testing.tiff import write_tiff

__all__ = [
    "SimulatedRecording",
    "check_format",
    "simulate_recording",
    "write_bruker",
    "write_caiman",
    "write_scanimage",
    "write_suite2p",
    "write_thor",
    "write_tiff",
]
