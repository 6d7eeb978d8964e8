"""Writers of small recordings in the true raw formats, for tests, the demo and plug-in authors.

A recording is simulated once and written in any of the formats; what a reader returns can then
be compared with what was simulated::

    recording = simulate_recording(num_samples=50)
    (path,) = write_scanimage("recording.tif", recording.movie)
    suite2p_folder = write_suite2p("analysed", recording)
"""

from nwb_ophys.testing.bruker import write_bruker
from nwb_ophys.testing.caiman import write_caiman
from nwb_ophys.testing.cnmfe import write_cnmfe
from nwb_ophys.testing.contract import check_format
from nwb_ophys.testing.extract import write_extract
from nwb_ophys.testing.femtonics import write_femtonics
from nwb_ophys.testing.hdf5 import write_hdf5
from nwb_ophys.testing.inscopix import write_inscopix, write_inscopix_cells
from nwb_ophys.testing.memmap import write_memmap
from nwb_ophys.testing.micromanager import write_micromanager
from nwb_ophys.testing.minian import write_minian
from nwb_ophys.testing.miniscope import write_miniscope, write_old_miniscope
from nwb_ophys.testing.nwb import write_nwb
from nwb_ophys.testing.ome_tiff import write_ome_tiff
from nwb_ophys.testing.scanbox import write_scanbox
from nwb_ophys.testing.scanimage import write_scanimage
from nwb_ophys.testing.scanimage_legacy import write_scanimage_legacy
from nwb_ophys.testing.sima import write_sima
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
    "write_cnmfe",
    "write_extract",
    "write_femtonics",
    "write_hdf5",
    "write_inscopix",
    "write_inscopix_cells",
    "write_memmap",
    "write_micromanager",
    "write_minian",
    "write_miniscope",
    "write_nwb",
    "write_old_miniscope",
    "write_ome_tiff",
    "write_scanbox",
    "write_scanimage",
    "write_scanimage_legacy",
    "write_sima",
    "write_suite2p",
    "write_thor",
    "write_tiff",
]
