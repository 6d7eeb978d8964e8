"""Open NWB files, and read the metadata of their objects."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from nwb_ophys.errors import CorruptSourceError, SourceError, error_within, last_reason
from nwb_ophys.formats.nwb.files import MASKS, TABLES, text_of
from nwb_ophys.metadata import models
from nwb_ophys.storage import DEFAULT_BACKEND, backend_of_path, get_backend
from nwb_ophys.timing import usable_rate

if TYPE_CHECKING:
    from hdmf.build import GroupBuilder

# A new file has its own identifier and its own record of the program that wrote it.
_NOT_COPIED = {"identifier", "was_generated_by"}
_LINKS = {"device", "model", "optical_channel", "imaging_plane"}


def open_nwb(path: Path) -> tuple[Any, Any]:
    """Open an NWB file with pynwb.

    Returns
    -------
    tuple
        The IO object, which the caller closes, and the ``NWBFile``.

    Raises
    ------
    CorruptSourceError
        If the file cannot be read.
    """
    io = None
    try:
        with warnings.catch_warnings():
            # The reader cannot mend outdated types in another author's file, so their warnings go.
            warnings.simplefilter("ignore")
            backend = backend_of_path(path) or get_backend(DEFAULT_BACKEND)
            io = backend.open(path, "r")
            root = io.read_builder()
            _check_columns(path, root)
            _complete_rates(root)
            _complete_masks(root)
            return io, io.read()
    except ImportError:
        raise
    except SourceError:
        if io is not None:
            io.close()
        raise
    except Exception as error:  # a damaged file can raise anything
        if io is not None:
            io.close()
        own = error_within(error)
        if own is not None:
            raise own from error
        is_circle = isinstance(error, RecursionError)
        reason = "Its links lead in a circle." if is_circle else last_reason(error)
        is_whole = "whose schema is not in the file" in reason
        step = "" if is_whole else " It may be damaged; check it with nwb-ophys inspect."
        raise CorruptSourceError(f"'{path}' cannot be read as NWB: {reason}{step}") from error


def _check_columns(path: Path, group: GroupBuilder) -> None:
    """Raise if a table lists a column that is not there."""
    members = {*group.datasets, *group.groups, *group.links}
    listed = [text_of(name) for name in np.ravel(group.attributes.get("colnames", ()))]
    missing = [name for name in listed if name not in members]
    if missing:
        raise CorruptSourceError(
            f"'{path}' is damaged: its table '{group.name}' lists the column '{missing[0]}', which "
            "is not there. Copy the file again from where it was written."
        )
    for inner in group.groups.values():
        _check_columns(path, inner)


def _complete_rates(group: GroupBuilder) -> None:
    """Add the rate NaN to series that state neither a rate nor times, which pynwb cannot read."""
    from hdmf.build import DatasetBuilder  # here, as detection imports this module

    if "data" in group.datasets and "timestamps" not in {*group.datasets, *group.links}:
        start = group.datasets.get("starting_time")
        if start is None:
            unknown = {"rate": float("nan"), "unit": "seconds"}
            if "unit" in group.datasets["data"].attributes:  # of a series, not of a table
                group.set_dataset(DatasetBuilder("starting_time", 0.0, attributes=unknown))
        elif "rate" not in start.attributes:
            start.set_attribute("rate", float("nan"))
    for inner in group.groups.values():
        _complete_rates(inner)


def _complete_masks(group: GroupBuilder) -> None:
    """Add masks without pixels to tables of ROIs without masks, which pynwb cannot read.

    pynwb and other programs have written such tables; conversions leave them out with a note.
    """
    from hdmf.build import DatasetBuilder  # here, as detection imports this module

    kind = text_of(group.attributes.get("neurodata_type"))
    if kind in TABLES and "id" in group.datasets and not {*MASKS} & {*group.datasets}:
        name = MASKS[0]
        masks = np.zeros((len(group.datasets["id"].data), 0, 0), np.float32)
        group.set_dataset(
            DatasetBuilder(
                name,
                masks,
                attributes={
                    "neurodata_type": "VectorData",
                    "namespace": "hdmf-common",
                    "description": "No masks.",
                },
            )
        )
        columns = [text_of(each) for each in np.ravel(group.attributes.get("colnames", ()))]
        group.set_attribute("colnames", [*columns, name])
    for inner in group.groups.values():
        _complete_masks(inner)


def rate_of_times(timestamps: Any) -> float | None:
    """Return the rate in Hz that follows from the median step of timestamps; None without one."""
    times = np.asarray(timestamps[:], dtype=np.float64)
    steps = np.diff(times[np.isfinite(times)])
    step = float(np.median(steps)) if len(steps) else 0.0
    return 1 / step if step > 0 else None


def are_times(timestamps: Any) -> bool:
    """Return whether timestamps tell samples apart: false where all are alike, or NaN."""
    if len(timestamps) < 2:
        return len(timestamps) == 0 or bool(np.isfinite(timestamps[0]))
    times = np.asarray(timestamps[:], dtype=np.float64)
    return bool(np.isfinite(times).any() and (times != times[0]).any())


def starting_time_of(series: Any) -> float:
    """Return the time of the first sample of a series in seconds; 0 where it is not stated."""
    first = series.starting_time
    if series.timestamps is not None:
        first = series.timestamps[0] if len(series.timestamps) else None
    return 0.0 if first is None or not np.isfinite(first) else float(first)


def stated(container: Any, model: type, leave_out: Iterable[str] = ()) -> dict[str, Any]:
    """Return the fields of a model that an object in a file has.

    Parameters
    ----------
    container : pynwb container
    model : type
        A class of :mod:`nwb_ophys.metadata.models`.
    leave_out : iterable of str
        Fields to leave out, besides those that link to other objects.
    """
    skipped = _LINKS | set(leave_out)
    found = {
        field.name: _plain(getattr(container, field.name, None))
        for field in attrs.fields(model)
        if field.name not in skipped
    }
    return {key: value for key, value in found.items() if value is not None}


def session_of(nwbfile: Any) -> dict[str, Any]:
    """Return the ``NWBFile`` and ``Subject`` metadata of a file."""
    session = stated(nwbfile, models.Session, _NOT_COPIED)
    session["session_start_time"] = nwbfile.session_start_time.isoformat()
    if session.get("timestamps_reference_time") == session["session_start_time"]:
        del session["timestamps_reference_time"]
    if "source_script" in session and "source_script_file_name" not in session:
        del session["source_script"]
        warnings.warn(
            f"The script in 'general/source_script' of '{nwbfile.container_source}' is left out, "
            "because the attribute 'file_name', which NWB requires, is absent. Copy the file again "
            "if you can.",
            UserWarning,
            stacklevel=4,
        )
    subject = nwbfile.subject
    return {
        "NWBFile": session,
        **({} if subject is None else {"Subject": stated(subject, models.Subject)}),
    }


def plane_of(plane: Any) -> dict[str, Any]:
    """Return the ``Device`` and ``ImagingPlane`` metadata of the plane of a series or table."""
    device = stated(plane.device, models.Device)
    if getattr(plane.device, "model", None) is not None:
        device["model"] = stated(plane.device.model, models.DeviceModel)
    entry = stated(plane, models.ImagingPlane)
    if usable_rate(entry.get("imaging_rate")) is None:
        entry.pop("imaging_rate", None)
    entry["device"] = device["name"]
    entry["optical_channel"] = [
        stated(channel, models.OpticalChannel) for channel in plane.optical_channel
    ]
    return {"Device": [device], "ImagingPlane": [entry]}


def _plain(value: Any) -> Any:
    """Return a value in the types of metadata: lists, numbers, texts and ISO 8601 datetimes."""
    if value is None or isinstance(value, (str, bool)):
        return value or None
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value] or None
    array = np.asarray(value[()] if hasattr(value, "shape") and value.shape else value)
    if array.dtype.kind in "SO":
        return [str(item.decode() if isinstance(item, bytes) else item) for item in array.ravel()]
    found = array.tolist()
    return found if found != [] else None
