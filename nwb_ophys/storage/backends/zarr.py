"""The Zarr backend, through hdmf-zarr."""

from __future__ import annotations

import functools
import importlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from hdmf.backends.hdf5.h5_utils import H5DataIO
from hdmf.build import DatasetBuilder
from hdmf.spec import RefSpec
from numpy.typing import NDArray

from nwb_ophys.errors import MissingPackageError, OutputError
from nwb_ophys.storage.backends.base import ChunkSink, SinkTools, WrapperSettings
from nwb_ophys.storage.backends.hdf5 import stated_compression
from nwb_ophys.storage.compression import gzip_encoder, parse_compression, zarr_codecs
from nwb_ophys.storage.configuration import KEEP_FILTERS, DatasetConfiguration
from nwb_ophys.storage.grid import Selection, Shape
from nwb_ophys.storage.hdmf.placeholders import BuilderHook, Placeholder, rewrapped
from nwb_ophys.storage.sources import unwrapped

_FILTERS = ("compressor", "filters")


def hdmf_zarr() -> Any:
    """Return the package.

    Raises
    ------
    MissingPackageError
        Naming the ``pip install`` that brings it.
    """
    try:
        import hdmf_zarr
    except ImportError as error:
        raise MissingPackageError(
            'The backend "zarr" needs the package hdmf-zarr: pip install "nwb-ophys[zarr]".'
        ) from error
    return hdmf_zarr


@functools.cache
def _io_class() -> type:
    return type("HookedNWBZarrIO", (BuilderHook, hdmf_zarr().NWBZarrIO), {})


class ZarrBackend:
    """A Zarr folder, through hdmf-zarr."""

    name = "zarr"
    suffix = ".nwb.zarr"
    default_compression = "blosc"

    def open(self, path: Path, mode: str, manager: Any = None) -> Any:
        """Return an ``hdmf_zarr.NWBZarrIO`` with a builder hook.

        References and other objects are stored as JSON, which every reader of hdmf-zarr's decodes;
        the pickles that it writes itself are not decoded by numcodecs from 0.15.2 on.
        """
        io = _io_class()(str(path), mode=mode, manager=manager)
        io._ZarrIO__codec_cls = importlib.import_module("numcodecs").JSON
        return io

    def can_fill(self, dtype: np.dtype[Any]) -> bool:
        """Whether datasets of a dtype can be filled: hdmf-zarr notes the fields of records."""
        return dtype.names is None

    def wrapper_settings(self, given: Any) -> WrapperSettings:
        """Return what a ``ZarrDataIO`` says, or an ``H5DataIO`` that holds here too."""
        if isinstance(given, H5DataIO):
            settings = given.io_settings
            chunks, compression = settings.get("chunks"), stated_compression(settings)
            keys = ("compression", "compression_opts", "fletcher32")
            asked = {key: settings[key] for key in keys if settings.get(key) is not None}
            foreign = ", ".join(f"{key}={value!r}" for key, value in asked.items())
            return WrapperSettings(
                chunk_shape=tuple(chunks) if isinstance(chunks, (tuple, list)) else None,
                compression=None if compression == KEEP_FILTERS else compression,
                shuffle=settings.get("shuffle"),
                foreign=foreign if compression == KEEP_FILTERS else None,
            )
        if not isinstance(given, hdmf_zarr().ZarrDataIO):
            return WrapperSettings()
        settings = given.io_settings
        chunks = settings.get("chunks")
        return WrapperSettings(
            chunk_shape=tuple(chunks) if isinstance(chunks, (tuple, list)) else None,
            compression=KEEP_FILTERS if settings.keys() & set(_FILTERS) else None,
        )

    def check(self, location: str, builder: DatasetBuilder) -> None:
        """Refuse records that hold references: Zarr has no codec for them that readers decode."""
        fields = builder.dtype if isinstance(builder.dtype, list) else []
        kinds = [getattr(field, "dtype", None) or field["dtype"] for field in fields]
        if any(isinstance(kind, (dict, RefSpec)) or kind == "object" for kind in kinds):
            raise OutputError(
                f"'{location}' is a table of references with other fields, which hdmf-zarr stores "
                "as pickles that no reader decodes; write this file with the backend 'hdf5'."
            )

    def declare(self, configuration: DatasetConfiguration, given: Any) -> Any:
        """Return a wrapped placeholder."""
        storing = hdmf_zarr().ZarrDataIO
        chunks = configuration.chunk_shape
        declared = Placeholder(configuration.shape, configuration.dtype, chunks)  # type: ignore[arg-type]
        wrapper = storing(data=declared, chunks=chunks, fillvalue=0)
        settings = wrapper.io_settings
        fill = getattr(given, "fillvalue", getattr(given, "fill_value", None))
        if isinstance(given, H5DataIO):
            fill = given.io_settings.get("fillvalue")
        if fill is not None:  # of a dataset that was read
            settings["fill_value"] = fill
        if isinstance(given, storing):
            settings.update({k: v for k, v in given.io_settings.items() if k != "chunks"})
        if configuration.compression != KEEP_FILTERS:
            compression = parse_compression(configuration.compression or "none")
            itemsize = configuration.dtype.itemsize  # type: ignore[union-attr]
            settings.update(zarr_codecs(compression, itemsize, bool(configuration.shuffle)))
        return wrapper

    def wrap(self, given: Any, data: Any, compression: str | None) -> Any:
        """Return data in a ``ZarrDataIO``: the settings of the given one, or chunks of HDF5's."""
        wrapper = self._wrapped(given, data)
        kind = getattr(data, "dtype", None)
        if compression is None or kind is None or np.dtype(kind).kind not in "iuf":
            return wrapper
        storing = hdmf_zarr().ZarrDataIO
        wrapper = wrapper if isinstance(wrapper, storing) else storing(data=data)
        codecs = zarr_codecs(parse_compression(compression), np.dtype(kind).itemsize, True)
        wrapper.io_settings.update(codecs)
        return wrapper

    @staticmethod
    def _wrapped(given: Any, data: Any) -> Any:
        storing = hdmf_zarr().ZarrDataIO
        if isinstance(given, storing):
            return given if data is unwrapped(given) else rewrapped(given, data)
        if not isinstance(given, H5DataIO):
            return data
        chunks = given.io_settings.get("chunks")
        return data if chunks is None else storing(data=data, chunks=chunks)

    def sink(self, root: Any, configuration: DatasetConfiguration, tools: SinkTools) -> ZarrSink:
        """Open a declared dataset of an open file."""
        return ZarrSink(root[configuration.location], configuration, tools)

    def single_file(self, root: Any) -> Path | None:
        """Return None: each chunk is a file."""
        return None

    def contents(self, group: Any) -> dict[str, Any]:
        """Return what is in an open group by name: the groups of its own, None for all else."""
        links = [link["name"] for link in group.attrs.get("zarr_link", [])]
        return dict.fromkeys([*links, *group.array_keys()]) | dict(group.groups())

    def recognises(self, path: Path) -> bool:
        """Whether the path is a folder that holds a Zarr group."""
        return (path / ".zgroup").is_file() or (path / "zarr.json").is_file()

    def neurodata_type(self, path: Path) -> str | None:
        """Return the neurodata type of the root group."""
        if (path / "zarr.json").is_file():  # format 3
            attributes = json.loads((path / "zarr.json").read_bytes()).get("attributes", {})
        elif (path / ".zattrs").is_file():
            attributes = json.loads((path / ".zattrs").read_bytes())
        else:
            attributes = {}
        return attributes.get("neurodata_type")

    def copy(self, source: Path, target: Path) -> None:
        """Copy the folder."""
        shutil.copytree(source, target)


class ZarrSink(ChunkSink):
    """An array of a Zarr store; every chunk is a file of its own, so that threads do not meet."""

    def __init__(self, array: Any, configuration: DatasetConfiguration, tools: SinkTools) -> None:
        super().__init__(array, array.fill_value, tools)
        self._array = array
        self._filters = list(array.filters or ())
        self._compressor = array.compressor
        self._gzip = None
        if (configuration.compression or "").startswith("gzip"):
            # The codec of Zarr is zlib's, which ISA-L outruns.
            level = parse_compression(configuration.compression or "").level
            self._gzip = gzip_encoder(level)
        # Where the schema widens the dtype, the filter has been made for the narrower one.
        sizes = [getattr(codec, "elementsize", None) for codec in self._filters]
        self.shuffles = self._gzip is not None and sizes == [self.dtype.itemsize]

    def put_byte_planes(self, corner: Shape, planes: NDArray[np.uint8]) -> None:
        """Encode and store a chunk whose bytes are in order, and shuffled where they are to be."""
        index = tuple(start // size for start, size in zip(corner, self._chunks, strict=True))
        store, key = self._array.chunk_store, self._array._chunk_key(index)
        store[key] = self._encoded(planes)
        self._tools.flusher.add(str(Path(store.path) / key))

    def _encoded(self, stored: NDArray[np.uint8]) -> Any:
        encoded: Any = stored
        if not self.shuffles:
            encoded = stored.view(self.dtype)
            for codec in self._filters:
                encoded = codec.encode(encoded)
        if self._gzip is not None:
            return self._gzip(encoded)
        return encoded if self._compressor is None else self._compressor.encode(encoded)

    def read(self, selection: Selection) -> NDArray[Any]:
        """Return what is stored."""
        return self._array[selection]
