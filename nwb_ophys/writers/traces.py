"""Traces of ROIs: fluorescence and ΔF/F."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
from hdmf.common import DynamicTableRegion
from pynwb.ophys import DfOverF, Fluorescence, RoiResponseSeries

from nwb_ophys.dtypes import stored_dtype, widened
from nwb_ophys.errors import MetadataError
from nwb_ophys.extractors.labels import extractor_label
from nwb_ophys.iterators import SliceableDataChunkIterator
from nwb_ophys.iterators.base import within
from nwb_ophys.metadata import (
    get_default_segmentation_metadata,
    merge_lists,
    models,
    parse_model,
    trace_entry,
)
from nwb_ophys.rois.model import Rois
from nwb_ophys.storage.grid import default_chunk_shape
from nwb_ophys.timing import clock_of
from nwb_ophys.writers.compression import compressed
from nwb_ophys.writers.masks import (
    add_plane_segmentation,
    find_plane_segmentation,
    resolve_plane_segmentation,
)
from nwb_ophys.writers.series import time_fields
from nwb_ophys.writers.session import ophys_container, ophys_module

if TYPE_CHECKING:
    from pynwb import NWBFile

# Small enough that reading one ROI, or one sample, of an hour of a thousand ROIs touches a few
# percent of the data.
_CHUNK_MB = 0.5


def add_fluorescence_traces(
    segmentation_extractor: Any,
    nwbfile: NWBFile,
    metadata: Mapping[str, Any] | None,
    plane_segmentation_name: str | None = None,
    plane_index: int | None = None,
    iterator_options: dict[str, Any] | None = None,
    compression_options: dict[str, Any] | None = None,
) -> NWBFile:
    """Add the traces of the ROIs of a plane segmentation, which is added where it is absent.

    Parameters
    ----------
    segmentation_extractor : roiextractors.SegmentationExtractor or Rois
        Traces that are None or empty, and those of background components, are left out; traces
        of zeros are kept.
    nwbfile : pynwb.NWBFile
    metadata : Mapping or None
        A series takes its fields from ``metadata["Ophys"][container][plane segmentation][trace]``;
        the container is ``DfOverF`` for dff and ``Fluorescence`` for the rest.
    plane_segmentation_name : str, optional
        ``PlaneSegmentation`` by default.
    plane_index : int, optional
        Position of the plane segmentation in the metadata. Deprecated.
    iterator_options : dict, optional
        Arguments of the iterator over the data. Without ``chunk_mb`` and ``chunk_shape`` chunks
        have at most 0.5 MB, cut by the same factor along samples and ROIs.
    compression_options : dict, optional
        Arguments of ``H5DataIO``; gzip by default.

    Returns
    -------
    pynwb.NWBFile
        The same file; an existing series of the name is left as it is. Without traces nothing
        is added.

    Raises
    ------
    ValueError
        When the metadata are wrong, or give a series the name of another plane's series.
    """
    rois = Rois.of(segmentation_extractor)
    traces = rois.traces
    if not traces:
        return nwbfile
    for trace, data in traces.items():  # all of them before the first one is added
        stored_dtype(data.dtype, f"The trace '{trace}' of {extractor_label(rois.extractor)}")
    merged = merge_lists(get_default_segmentation_metadata(), metadata)
    name = resolve_plane_segmentation(merged, plane_segmentation_name, plane_index, "plane_index")
    region = _create_roi_table_region(rois, nwbfile, merged, name)
    clock = clock_of(
        rois.extractor, label=extractor_label(rois.extractor), **_stated_times(merged, name, traces)
    )
    _check_names(merged, name, traces)
    for trace, data in traces.items():
        container_key = "DfOverF" if trace == "dff" else "Fluorescence"
        container = _container(nwbfile, merged, container_key)
        model = _series_model(merged, container_key, name, trace, container, region.table)
        if model is None:
            continue
        iterator = _iterator_over(data, iterator_options or {})
        iterator.owner = rois.extractor
        fields = attrs.asdict(model, filter=lambda _, value: value is not None)
        series = RoiResponseSeries(
            **fields | time_fields(clock),
            data=compressed(iterator, compression_options),
            rois=_copy_of(region),
        )
        container.add_roi_response_series(series)
    return nwbfile


def _iterator_over(data: Any, given: Mapping[str, Any]) -> SliceableDataChunkIterator:
    """Return an iterator whose chunks suit readers of single ROIs and of single samples."""
    options = dict(given)
    if options.get("chunk_mb") is None and options.get("chunk_shape") is None:
        buffer_mb = (options.get("buffer_gb") or 1.0) * 1e3
        itemsize = widened(data.dtype).itemsize
        chunk = default_chunk_shape(data.shape, itemsize, min(_CHUNK_MB, buffer_mb))
        buffer = options.get("buffer_shape")
        options["chunk_shape"] = chunk if buffer is None else within(chunk, buffer)
    return SliceableDataChunkIterator(data, **options)


def add_traces_alone(
    segmentation_extractor: Any,
    nwbfile: NWBFile,
    metadata: Mapping[str, Any] | None,
    plane_segmentation_name: str | None = None,
    iterator_options: dict[str, Any] | None = None,
    compression_options: dict[str, Any] | None = None,
) -> NWBFile:
    """Add the traces of ROIs; a table that is absent is added without masks.

    Parameters are those of :func:`add_fluorescence_traces`, which adds a table with image masks.

    Returns
    -------
    pynwb.NWBFile
        The same file.
    """
    rois = Rois.of(segmentation_extractor)
    if rois.traces:
        add_plane_segmentation(
            rois,
            nwbfile,
            metadata,
            plane_segmentation_name=plane_segmentation_name,
            include_roi_centroids=False,
            mask_type=None,
        )
    return add_fluorescence_traces(
        rois,
        nwbfile,
        metadata,
        plane_segmentation_name=plane_segmentation_name,
        iterator_options=iterator_options,
        compression_options=compression_options,
    )


def _create_roi_table_region(
    segmentation_extractor: Any,
    nwbfile: NWBFile,
    metadata: Mapping[str, Any] | None,
    plane_segmentation_name: str | None = None,
    plane_index: int | None = None,
) -> DynamicTableRegion:
    """Return a region of all ROIs of a plane segmentation, which is added where it is absent.

    Parameters
    ----------
    segmentation_extractor : roiextractors.SegmentationExtractor or Rois
    nwbfile : pynwb.NWBFile
    metadata : Mapping or None
    plane_segmentation_name : str, optional
        ``PlaneSegmentation`` by default.
    plane_index : int, optional
        Position of the plane segmentation in the metadata. Deprecated.
    """
    merged = merge_lists(get_default_segmentation_metadata(), metadata)
    name = resolve_plane_segmentation(merged, plane_segmentation_name, plane_index, "plane_index")
    rois = Rois.of(segmentation_extractor)
    add_plane_segmentation(rois, nwbfile, merged, plane_segmentation_name=name)
    table = find_plane_segmentation(nwbfile, merged, name)
    num_rois = len(rois)
    if len(table.id) != num_rois:
        raise MetadataError(
            f"The plane segmentation '{name}' in the file has {len(table.id)} ROIs, but the "
            f"segmentation has {num_rois}; give it another name in the metadata."
        )
    return table.create_roi_table_region(
        region=list(range(num_rois)), description=f"All ROIs of '{name}', in order."
    )


def _copy_of(region: DynamicTableRegion) -> DynamicTableRegion:
    """Return a copy of a region for another series: an object has only one parent."""
    return DynamicTableRegion(
        name="rois", data=list(region.data), description=region.description, table=region.table
    )


def _get_segmentation_data_interface(nwbfile: NWBFile, data_interface_name: str) -> Any:
    """Return a container of traces in the ophys module; an absent one is added.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
    data_interface_name : str
        A container named ``DfOverF`` is of that type, any other a ``Fluorescence``.
    """
    ophys = ophys_module(nwbfile)
    if data_interface_name in ophys.data_interfaces:
        return ophys.data_interfaces[data_interface_name]
    kind = DfOverF if data_interface_name == "DfOverF" else Fluorescence
    return ophys_container(nwbfile, kind, data_interface_name)


def _container(nwbfile: NWBFile, metadata: Mapping[str, Any], key: str) -> Any:
    kind = DfOverF if key == "DfOverF" else Fluorescence
    return ophys_container(nwbfile, kind, metadata["Ophys"][key]["name"])


def _entry(metadata: Mapping[str, Any], key: str, plane: str, trace: str) -> Any:
    return (metadata["Ophys"][key].get(plane) or {}).get(trace)


def _check_names(metadata: Mapping[str, Any], plane: str, traces: Mapping[str, Any]) -> None:
    """Raise an error where two traces of a plane segmentation would be one series."""
    first: dict[tuple[str, str], str] = {}
    for trace in traces:
        key = "DfOverF" if trace == "dff" else "Fluorescence"
        stated = _entry(metadata, key, plane, trace) or {}
        name = str(stated.get("name") or trace_entry(trace)["name"])
        path = f'metadata["Ophys"]["{key}"]["{plane}"]["{trace}"]["name"]'
        other = first.setdefault((key, name), path)
        if other != path:
            raise MetadataError(f"{path} is '{name}', and so is {other}; give each series a name.")


def _stated_times(
    metadata: Mapping[str, Any], plane: str, traces: Mapping[str, Any]
) -> dict[str, float | None]:
    """Return the rate and start that the metadata state for any trace; they hold for the plane."""
    stated: dict[str, float | None] = {"rate": None, "starting_time": None}
    for trace in traces:
        entry = _entry(metadata, "DfOverF" if trace == "dff" else "Fluorescence", plane, trace)
        for field in stated:
            if isinstance(entry, Mapping) and stated[field] is None:
                stated[field] = entry.get(field)
    return stated


def _series_model(
    metadata: Mapping[str, Any], key: str, plane: str, trace: str, container: Any, table: Any
) -> models.RoiResponseSeries | None:
    """Return the fields of a series, or None where the container has the same series already."""
    stated = _entry(metadata, key, plane, trace)
    path = f'metadata["Ophys"]["{key}"]["{plane}"]["{trace}"]'
    model = parse_model(models.RoiResponseSeries, trace_entry(trace) | dict(stated or {}), path)
    present = container.roi_response_series
    if model.name not in present:
        return model
    if present[model.name].rois.table is table:
        return None
    if stated is None:
        # Another plane's trace has the default name; the plane's name distinguishes this one.
        model = attrs.evolve(model, name=f"{model.name}{plane}")
        return None if model.name in present else model
    other = present[model.name].rois.table.name
    raise MetadataError(
        f"{path}[\"name\"] is '{model.name}', the name of a series of plane segmentation '{other}' "
        f"in '{container.name}'; give this series another name."
    )
