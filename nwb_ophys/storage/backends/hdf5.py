"""The HDF5 backend: chunks are encoded by us and stored as they are, behind standard filters."""

from __future__ import annotations

import functools
import importlib
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from hdmf.backends.hdf5.h5_utils import H5DataIO
from hdmf.build import DatasetBuilder
from numpy.typing import NDArray

from nwb_ophys.errors import MissingPackageError
from nwb_ophys.storage.backends.base import ChunkSink, SinkTools, WrapperSettings
from nwb_ophys.storage.compression import encoder, hdf5_filters, parse_compression
from nwb_ophys.storage.configuration import KEEP_FILTERS, DatasetConfiguration
from nwb_ophys.storage.grid import Selection, Shape, cell_at, inside
from nwb_ophys.storage.hdmf.placeholders import BuilderHook, Placeholder, rewrapped
from nwb_ophys.storage.sources import unwrapped


def load_plugins() -> None:
    """Have HDF5 know the filters of ``hdf5plugin``, where it is installed."""
    with suppress(ImportError):
        importlib.import_module("hdf5plugin")


def check_filters(dataset: h5py.Dataset) -> None:
    """Check that a dataset can be decoded here.

    Raises
    ------
    MissingPackageError
        Naming the dataset and the filter that is missing.
    """
    filters = dataset.id.get_create_plist()
    for number in range(filters.get_nfilters()):
        code, _, _, name = filters.get_filter(number)
        if not h5py.h5z.filter_avail(code):
            kind = name.decode(errors="replace") or "no name"
            raise MissingPackageError(
                f"'{dataset.name.strip('/')}' of '{dataset.file.filename}' is compressed with the "
                f"HDF5 filter {code} ({kind}), which is not installed here; most of them come with "
                'pip install "nwb-ophys[compression]".'
            )


_FILTERS = ("compression", "compression_opts", "shuffle", "fletcher32")


@functools.cache
def _io_class() -> type:
    # pynwb takes most of a second to import.
    from pynwb import NWBHDF5IO

    return type("HookedNWBHDF5IO", (BuilderHook, NWBHDF5IO), {})


class Hdf5Backend:
    """One HDF5 file, through pynwb."""

    name = "hdf5"
    suffix = ".nwb"
    default_compression = "gzip"

    def open(self, path: Path, mode: str, manager: Any = None) -> Any:
        """Return a ``pynwb.NWBHDF5IO`` with a builder hook."""
        if mode != "w":
            load_plugins()
        return _io_class()(str(path), mode=mode, manager=manager)

    def can_fill(self, dtype: np.dtype[Any]) -> bool:
        """Whether datasets of a dtype can be filled: numbers and records of numbers."""
        return True

    def wrapper_settings(self, given: Any) -> WrapperSettings:
        """Return what an ``H5DataIO`` says."""
        if not isinstance(given, H5DataIO):
            return _stated_for_zarr(given)
        settings = given.io_settings
        chunks = settings.get("chunks")
        shuffle = settings.get("shuffle")
        return WrapperSettings(
            chunk_shape=tuple(chunks) if isinstance(chunks, (tuple, list)) else None,
            compression=stated_compression(settings),
            shuffle=None if shuffle is None else bool(shuffle),
            maxshape=None if settings.get("maxshape") is None else tuple(settings["maxshape"]),
        )

    def check(self, location: str, builder: DatasetBuilder) -> None:
        """Refuse nothing."""

    def declare(self, configuration: DatasetConfiguration, given: Any) -> Any:
        """Return a wrapped placeholder."""
        chunks = configuration.chunk_shape
        declared = Placeholder(configuration.shape, configuration.dtype, chunks)  # type: ignore[arg-type]
        wrapper = H5DataIO(data=declared, chunks=chunks)
        settings = wrapper.io_settings
        was_given = dict(given.io_settings) if isinstance(given, H5DataIO) else {}
        if isinstance(given, h5py.Dataset):
            was_given = {"maxshape": given.maxshape, "fillvalue": given.fillvalue}
        elif getattr(given, "fill_value", None) is not None:  # an array of Zarr's
            was_given = {"fillvalue": given.fill_value}
        elif not hasattr(unwrapped(given), "maxshape"):
            # hdmf makes the columns of tables extensible, unless they came from an iterator.
            settings.pop("maxshape")
        kept = ("maxshape", "fillvalue", *(_FILTERS if _is_as_given(configuration) else ()))
        settings.update({key: was_given[key] for key in kept if key in was_given})
        if not _is_as_given(configuration):
            compression = parse_compression(configuration.compression or "none")
            itemsize = configuration.dtype.itemsize  # type: ignore[union-attr]
            settings.update(hdf5_filters(compression, itemsize, bool(configuration.shuffle)))
        return wrapper

    def wrap(self, given: Any, data: Any, compression: str | None) -> Any:
        """Return data in an ``H5DataIO`` with the settings of the given one, numbers compressed."""
        if data is unwrapped(given):  # which may also be a link, or an empty dataset
            return given
        wrapper = rewrapped(given, data) if isinstance(given, H5DataIO) else H5DataIO(data=data)
        settings = wrapper.io_settings
        preset = compression or (
            None if "compression" in settings or settings.get("fletcher32") else "gzip"
        )
        kind = getattr(data, "dtype", None)
        if preset is not None and kind is not None and np.dtype(kind).kind in "iuf":
            filters = hdf5_filters(parse_compression(preset), np.dtype(kind).itemsize, True)
            for key in _FILTERS:
                settings.pop(key, None)
            settings.update(filters)
        return wrapper

    def sink(self, root: Any, configuration: DatasetConfiguration, tools: SinkTools) -> Hdf5Sink:
        """Open a declared dataset of an open file."""
        return Hdf5Sink(root[configuration.location], configuration, tools)

    def single_file(self, root: Any) -> Path | None:
        """Return the file, to which all chunks go."""
        return Path(root.filename)

    def contents(self, group: Any) -> dict[str, Any]:
        """Return what is in an open group by name: the groups of its own, None for all else."""
        own = [name for name in group if isinstance(group.get(name, getlink=True), h5py.HardLink)]
        groups = {name: group[name] for name in own if isinstance(group[name], h5py.Group)}
        return {name: groups.get(name) for name in group}

    def recognises(self, path: Path) -> bool:
        """Whether the path is a file with HDF5's signature."""
        return path.is_file() and bool(h5py.is_hdf5(path))

    def neurodata_type(self, path: Path) -> str | None:
        """Return the neurodata type of the root group."""
        with h5py.File(path, "r") as file:
            kind = file.attrs.get("neurodata_type")
        return kind.decode() if isinstance(kind, bytes) else kind

    def copy(self, source: Path, target: Path) -> None:
        """Copy the file."""
        shutil.copyfile(source, target)


def stated_compression(settings: dict[str, Any]) -> str | None:
    """Return the preset of an ``H5DataIO``'s settings; None where it states none, or bare gzip."""
    name, level = settings.get("compression"), settings.get("compression_opts")
    if settings.get("fletcher32"):
        return KEEP_FILTERS
    if name is None:
        # Most wrappers are for chunks or maxshape, and say nothing of compression; ours say None.
        return "none" if "compression" in settings else None
    if name == "gzip":
        return None if level is None else f"gzip:{level}" if 1 <= level <= 9 else KEEP_FILTERS
    return KEEP_FILTERS


def _stated_for_zarr(given: Any) -> WrapperSettings:
    """Return what a ``ZarrDataIO`` says that HDF5 has too."""
    settings = getattr(given, "io_settings", {})
    chunks, codec = settings.get("chunks"), settings.get("compressor")
    level = getattr(codec, "level", 0)
    filters = [repr(each) for each in settings.get("filters") or ()]
    compression = "none" if "compressor" in settings and codec is None else None
    if getattr(codec, "codec_id", None) == "gzip" and 1 <= level <= 9:
        compression = f"gzip:{level}"
    if codec is not None and compression is None:
        filters.append(repr(codec))
    return WrapperSettings(
        chunk_shape=tuple(chunks) if isinstance(chunks, (tuple, list)) else None,
        compression=None if filters else compression,
        foreign=" and ".join(filters) or None,
    )


def _is_as_given(configuration: DatasetConfiguration) -> bool:
    return configuration.compression == KEEP_FILTERS


class Hdf5Sink(ChunkSink):
    """A dataset of an HDF5 file.

    h5py lets one thread at a time into the HDF5 library; encoding needs no library, so that only
    storing waits.
    """

    def __init__(
        self, dataset: h5py.Dataset, configuration: DatasetConfiguration, tools: SinkTools
    ) -> None:
        super().__init__(dataset, dataset.fillvalue, tools)
        self._dataset = dataset
        self._encode = None
        if not _is_as_given(configuration):
            compression = parse_compression(configuration.compression or "none")
            self._encode = encoder(compression, self.dtype.itemsize, bool(configuration.shuffle))
        self.shuffles = self._encode is not None and bool(dataset.shuffle)

    def put(self, corner: Shape, values: NDArray[Any]) -> None:
        """Encode and store a chunk."""
        if self._encode is None:
            cell = cell_at(corner, values.shape, self._dataset.shape)
            self._dataset[cell] = values[inside(cell)]
            return
        super().put(corner, values)

    def put_byte_planes(self, corner: Shape, planes: NDArray[np.uint8]) -> None:
        """Encode and store a chunk whose bytes are shuffled already."""
        assert self._encode is not None
        self._dataset.id.write_direct_chunk(corner, self._encode(planes))

    def read(self, selection: Selection) -> NDArray[Any]:
        """Return what is stored, through HDF5's own filters."""
        return self._dataset[selection]
