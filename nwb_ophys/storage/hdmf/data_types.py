"""Types of data that hdmf leaves as they are, like the class of h5py; others it reads and converts.

Importing this module registers them. They are not registered where they are defined, so that files
can be read without hdmf.
"""

from __future__ import annotations

from hdmf.build import ObjectMapper

from nwb_ophys.storage.backends.hdf5_reading import CheckedDataset

# By its exact type, which hdmf looks up.
ObjectMapper.no_convert(CheckedDataset)
