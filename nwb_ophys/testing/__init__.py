"""Writers of small recordings in the true raw formats, for tests, the demo and plug-in authors.

A recording is simulated once and written in any of the formats; what a reader returns can then
be compared with what was simulated::

    recording = simulate_recording(num_samples=50)
    (path,) = write_scanimage("recording.tif", recording.movie)
    suite2p_folder = write_suite2p("analysed", recording)
"""

from nwb_ophys.formats.bruker.sample import write_bruker
from nwb_ophys.formats.caiman.sample import write_caiman
from nwb_ophys.formats.cnmfe.sample import write_cnmfe
from nwb_ophys.formats.extract.sample import write_extract
from nwb_ophys.formats.femtonics.sample import write_femtonics
from nwb_ophys.formats.hdf5.sample import write_hdf5
from nwb_ophys.formats.inscopix.sample import write_inscopix, write_inscopix_cells
from nwb_ophys.formats.memmap.sample import write_memmap
from nwb_ophys.formats.micromanager.sample import write_micromanager
from nwb_ophys.formats.minian.sample import write_minian
from nwb_ophys.formats.miniscope.sample import write_miniscope, write_old_miniscope
from nwb_ophys.formats.nwb.sample import write_nwb
from nwb_ophys.formats.ome_tiff.sample import write_ome_tiff
from nwb_ophys.formats.scanbox.sample import write_scanbox
from nwb_ophys.formats.scanimage.sample import write_scanimage
from nwb_ophys.formats.scanimage_legacy.sample import write_scanimage_legacy
from nwb_ophys.formats.sima.sample import write_sima
from nwb_ophys.formats.suite2p.sample import write_suite2p
from nwb_ophys.formats.thor.sample import write_thor
from nwb_ophys.formats.tiff.sample import write_tiff
from nwb_ophys.simulation.recording import SimulatedRecording, simulate_recording
from nwb_ophys.testing.contract import check_format

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
