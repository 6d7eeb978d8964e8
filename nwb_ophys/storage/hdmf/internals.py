"""Access to private attributes of hdmf and hdmf-zarr, one function for each.

hdmf has no public way to any of these. Nothing else in the package touches them, except
:mod:`nwb_ophys.storage.hdmf.iterators`, which calls the methods of an iterator's subclass.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hdmf.build import DatasetBuilder, TypeMap
    from hdmf.container import AbstractContainer, Data
    from hdmf.data_utils import DataIO
    from hdmf.query import HDMFDataset

TypeMapState = tuple[tuple[Any, ...], ...]
"""Everything that a copy of a map of types takes from it."""


def root_of(io: Any) -> Any:
    """Return the open root group, of h5py or Zarr, of an IO object."""
    return io._file


def set_object_codec(io: Any, codec: type) -> None:
    """Set the codec with which an ``NWBZarrIO`` encodes references and other objects."""
    io._ZarrIO__codec_cls = codec


def write_files_with(store: Any, write: Callable[[Any, str], None]) -> None:
    """Have a ``zarr.DirectoryStore`` write its files with a function of contents and path."""
    store._tofile = write


class RootByItsHeaders:
    """Mixin for the ``NWBZarrIO`` of Zarr 3 that ignores the copies of headers in the root.

    hdmf-zarr opens a store to change it by the copies, in which new arrays are not found.
    """

    def _open_file(self, store: Any, mode: str, storage_options: Any = None) -> Any:
        """Return the open root group; Zarr 3 takes a text for a URL."""
        import zarr

        place = Path(store) if isinstance(store, str) else store
        return zarr.open_group(place, mode=mode, use_consolidated=False)

    def _open_file_consolidated(self, store: Any, mode: str, storage_options: Any = None) -> Any:
        """Return the open root group of a store to which a link leads."""
        return self._open_file(store, mode)


def replace_data(owner: Data, values: Any) -> None:
    """Replace the data of an object of hdmf, such as a column; its property is read-only."""
    owner._Data__data = values


def replace_dataset(wrapper: HDMFDataset, dataset: Any) -> None:
    """Replace the dataset in a wrapper, as which hdmf reads records and references."""
    wrapper._HDMFDataset__dataset = dataset


def forget_fields(builder: DatasetBuilder) -> None:
    """Remove the dtype of a builder; with the fields of records, hdmf writes them from memory."""
    builder._DatasetBuilder__dtype = None


def set_dtype(builder: DatasetBuilder, dtype: type) -> None:
    """Replace the dtype of a builder, of which hdmf makes the dataset."""
    builder._DatasetBuilder__dtype = dtype


def forget_file(container: AbstractContainer) -> None:
    """Remove the note of the file to which an object was written, and mark the object as changed.

    hdmf refuses to set another file, and skips objects without changes.
    """
    container._AbstractContainer__container_source = None
    container.set_modified()


def settings_of(wrapper: DataIO) -> dict[str, Any]:
    """Return the settings of an ``H5DataIO`` or ``ZarrDataIO``; changing them changes the wrapper.

    The constructors check and complete their arguments, and warn about some; the dictionary is
    what hdmf hands on to h5py or Zarr.
    """
    settings: dict[str, Any] = wrapper.io_settings
    return settings


def state_of(type_map: TypeMap) -> TypeMapState:
    """Return the namespaces, classes, mappers and generators of a map of types.

    Two states are equal if nothing was registered in between.
    """
    catalog = type_map.namespace_catalog
    classes = type_map._TypeMap__ns_dt_to_container_cls
    return (
        tuple((name, id(catalog.get_namespace(name))) for name in catalog.namespaces),
        tuple((name, *types.items()) for name, types in classes.items()),
        tuple(type_map._TypeMap__mapper_cls.items()),
        tuple(type_map._TypeMap__class_generator_manager.custom_generators),
        tuple(type_map.type_config.paths),
    )
