"""Read the metadata of Femtonics MESc files: measurement units and their channels.

A file has sessions (``MSession_0``), a session has measurement units (``MUnit_0``), and a unit has
one dataset per channel (``Channel_0``). Metadata are attributes; texts are UTF-16 in integers.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import h5py
import numpy as np

from nwb_ophys.errors import SourceError
from nwb_ophys.filetypes.files import require_file, unreadable_file
from nwb_ophys.filetypes.hdf5 import open_hdf5
from nwb_ophys.filetypes.lengths import known_metres, metres_per_unit
from nwb_ophys.filetypes.xml import Element, XmlError, parse_xml
from nwb_ophys.listings import kept
from nwb_ophys.metadata import is_unset_clock, possible_number
from nwb_ophys.paths import natural_order
from nwb_ophys.storage.backends.hdf5_claims import check_stored
from nwb_ophys.trial import try_hdf5

# Number of the kind of conversion with a scale and an offset.
_LINEAR = 1
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "\u00b5s": 1e-6, "\u03bcs": 1e-6}

#: Attribute with the time between frames.
TIME_STEP = "ZAxisConversionConversionLinearScale"


@attrs.frozen
class Channel:
    """One channel of a unit.

    Attributes
    ----------
    name : str
    dataset : str
        Path of the dataset in the file.
    scale, offset : float or None
        Linear conversion from stored numbers to intensity; None if it is not stated.
    conversion_type : float or None
        Number of the kind of conversion; 1 is linear.
    unit : str
        Unit of the intensity; empty if not stated.
    pmt_voltage : float or None
        Stated reference voltage of its photomultiplier.
    shape : tuple of int
        Shape of the dataset.
    """

    name: str
    dataset: str
    scale: float | None
    offset: float | None
    conversion_type: float | None
    unit: str
    pmt_voltage: float | None
    shape: tuple[int, ...]

    @property
    def has_frames(self) -> bool:
        """Return whether there are frames: an aborted unit has none, other scans more axes."""
        return len(self.shape) == 3 and self.shape[0] > 0

    @property
    def is_linear(self) -> bool:
        """False where another conversion than a linear one is stated."""
        return self.conversion_type in (None, _LINEAR)


@attrs.frozen
class Unit:
    """One measurement unit, a single continuous recording.

    Attributes
    ----------
    session, name : str
    channels : tuple of Channel
    time_step : float or None
        Seconds between frames; None if the third axis is not time, or states no number.
    axis_unit : str
        Stated unit of the third axis.
    start : datetime.datetime or None
        Start of the unit in UTC.
    pixel_size : tuple of float or None
        Size of a pixel along x and y, in m.
    position : tuple of float or None
        Position of the image in the space, along x, y and z, in m.
    space, comment, experimenter, setup, program, task : str
        Empty if not stated.
    curves : tuple of str
        Names of the curves, signals that were recorded with the images.
    """

    session: str
    name: str
    channels: tuple[Channel, ...]
    time_step: float | None
    axis_unit: str
    start: datetime.datetime | None
    pixel_size: tuple[float, float] | None
    position: tuple[float, float, float] | None
    space: str
    comment: str
    experimenter: str
    setup: str
    program: str
    task: str
    curves: tuple[str, ...] = ()

    @property
    def movie_channels(self) -> tuple[Channel, ...]:
        """Return the channels with frames over time."""
        return tuple(each for each in self.channels if self.time_step and each.has_frames)

    @property
    def is_over_time(self) -> bool:
        """Return whether the unit of the third axis is a unit of time."""
        return self.axis_unit in _SECONDS


@attrs.frozen
class Header:
    """Metadata of a whole file.

    Attributes
    ----------
    path : pathlib.Path
    vendor : str
    units : tuple of Unit
    lost : tuple of str
        Sessions, units and channels that the file counts but does not have, in words.
    """

    path: Path
    vendor: str
    units: tuple[Unit, ...]
    lost: tuple[str, ...] = ()

    @property
    def movies(self) -> tuple[Unit, ...]:
        """Units with frames over time."""
        return tuple(unit for unit in self.units if unit.movie_channels)

    @property
    def left_out(self) -> tuple[str, ...]:
        """Paths of units and channels that are not movies over time."""
        found = []
        for unit in self.units:
            path, own = f"{unit.session}/{unit.name}", unit.movie_channels
            others = [each.dataset.strip("/") for each in unit.channels if each not in own]
            found += others if own else [path]
        return tuple(found)

    @property
    def first_start(self) -> datetime.datetime | None:
        """Start of the first movie; None unless all movies state their start on one clock."""
        starts = [unit.start for unit in self.movies]
        stated = [start for start in starts if start is not None]
        is_one_clock = len({is_unset_clock(start) for start in stated}) == 1
        return min(stated) if len(stated) == len(starts) and is_one_clock else None

    def label(self, unit: Unit) -> str:
        """Return a name that distinguishes a unit from the others; empty for the only movie."""
        several = len({each.session for each in self.movies}) > 1
        if len(self.movies) == 1:
            return ""
        return f"{unit.session} {unit.name}" if several else unit.name


def open_mesc(path: Path) -> h5py.File:
    """Open a file for reading.

    Raises
    ------
    SourceNotFoundError
        When it does not exist.
    CorruptSourceError
        When it is truncated, or is not an HDF5 file.
    """
    require_file(path, "a .mesc file")
    try_hdf5(path)
    try:
        return open_hdf5(path)
    except OSError as error:
        raise unreadable_file(path, "a MESc file (HDF5)", error) from error


def read_header(path: Path) -> Header:
    """Read the metadata of a file, without its pixels; once while a recording is opened.

    Raises
    ------
    SourceNotFoundError, CorruptSourceError
        When it cannot be opened.
    SourceError
        When it has no measurement units.
    """
    return kept(_read_header, path)


def _read_header(path: Path) -> Header:
    with open_mesc(path) as file:
        units = [
            _read_unit(file[session][name], session, name)
            for session in _numbered_names(file, "MSession_")
            for name in _numbered_names(file[session], "MUnit_")
        ]
        vendor = _text(file, "Vendor").split(" http")[0]
        lost = list(_lost(file))
    if not units:
        raise SourceError(
            f"'{path}' has no measurement unit of MESc (MSession_0/MUnit_0, …); give another file."
        )
    return Header(path, vendor, tuple(units), tuple(lost))


def _lost(file: h5py.File) -> Iterator[str]:
    """Yield the sessions, units and channels that their groups count but do not have."""
    counted = ("VecMSessionsSize", "VecMUnitsSize", "VecChannelsSize")
    prefixes = ("MSession_", "MUnit_", "Channel_")
    pending = [(file, 0)]
    while pending:
        group, level = pending.pop(0)
        names = _numbered_names(group, prefixes[level])
        stated = _number(group, counted[level])
        if stated is not None and stated > len(names):
            place = group.name.strip("/")
            yield f"{place or 'it'} states {stated:.0f} {prefixes[level][:-1]} and has {len(names)}"
        if level < 2:
            pending += [(group[name], level + 1) for name in names]


def _numbered_names(group: Any, prefix: str) -> list[str]:
    """Return the names of members of the kind that the prefix has, which damage may change."""
    kind = h5py.Dataset if prefix == "Channel_" else h5py.Group
    found = [
        name
        for name in group
        if isinstance(name, str) and name.startswith(prefix) and isinstance(group.get(name), kind)
    ]
    return sorted(found, key=natural_order)


def _read_unit(group: h5py.Group, session: str, name: str) -> Unit:
    parameters = _parameters(group)
    axis_unit = _text(group, "ZAxisConversionUnitName")
    step = _number(group, TIME_STEP)
    factor = _SECONDS.get(axis_unit)
    revision = _number(group, "CreatingMEScRevision")
    program = _text(group, "CreatingMEScVersion")
    return Unit(
        session=session,
        name=name,
        channels=_channels(group, parameters),
        time_step=step * factor if step and step > 0 and factor else None,
        axis_unit=axis_unit,
        start=_start(group),
        pixel_size=_pixel_size(group),
        position=_position(group),
        space=_text(group, "SpaceName"),
        comment=_text(group, "Comment"),
        experimenter=_text(group, "ExperimenterUsername"),
        setup=_text(group, "ExperimenterSetupID"),
        program=program + (f" (revision {revision:.0f})" if program and revision else ""),
        task=(parameters.get("Type") or "") if parameters is not None else "",
        curves=tuple(
            _text(group[each], "Name") or each for each in _numbered_names(group, "Curve_")
        ),
    )


def _channels(group: h5py.Group, parameters: Any) -> tuple[Channel, ...]:
    """Return the channels in the order of the numbers of their datasets."""
    found: list[Channel] = []
    for dataset in _numbered_names(group, "Channel_"):
        check_stored(group[dataset])
        name = _text(group, f"{dataset}_Name") or dataset
        taken = {channel.name for channel in found}
        prefix = f"{dataset}_Conversion_"
        kind = _number(group, f"{prefix}Type")
        found.append(
            Channel(
                name=f"{name} {dataset}" if name in taken else name,
                dataset=group[dataset].name,
                scale=_number(group, f"{prefix}ConversionLinearScale"),
                offset=_number(group, f"{prefix}ConversionLinearOffset"),
                conversion_type=kind,
                unit=_text(group, f"{prefix}UnitName"),
                pmt_voltage=_pmt_voltage(parameters, name),
                shape=tuple(group[dataset].shape),
            )
        )
    return tuple(found)


def _attribute(item: Any, name: str) -> Any:
    """Return an attribute; None if it is absent, empty or of a type that NumPy lacks."""
    try:
        value = item.attrs[name]
    except (KeyError, OSError, TypeError):
        return None
    return None if isinstance(value, h5py.Empty) else value


def _text(item: Any, name: str) -> str:
    value = _attribute(item, name)
    if isinstance(value, np.ndarray) and value.dtype.kind in "iu":
        # The integers are signed, UTF-16 code units are not.
        value = value.astype("<u2", casting="unsafe").tobytes().decode("utf-16-le", "replace")
    elif isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value.split("\0")[0].strip() if isinstance(value, str) else ""


def _number(item: Any, name: str) -> float | None:
    value = _attribute(item, name)
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if np.isfinite(found) else None


def _start(group: h5py.Group) -> datetime.datetime | None:
    seconds = _number(group, "MeasurementDatePosix")
    if seconds is None or seconds <= 0:
        return None
    nanoseconds = _number(group, "MeasurementDateNanoSecs") or 0.0
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    try:
        elapsed = datetime.timedelta(seconds=seconds, microseconds=round(nanoseconds / 1000))
        return epoch + elapsed
    except OverflowError:
        return None


def _pixel_size(group: h5py.Group) -> tuple[float, float] | None:
    found = []
    for axis in "XY":
        scale = _number(group, f"{axis}AxisConversionConversionLinearScale")
        unit = _text(group, f"{axis}AxisConversionUnitName")
        what = f"the axis {axis} of {group.name} in '{group.file.filename}'"
        factor = metres_per_unit(unit, what) if scale else None
        if not scale or factor is None:
            return None
        found.append(abs(scale) * factor)
    return (found[0], found[1])


def _position(group: h5py.Group) -> tuple[float, float, float] | None:
    """Return the position of the image in m; None if it is rotated or not stated."""
    shift, rotation = _attribute(group, "GeomTransTransl"), _attribute(group, "GeomTransRot")
    # An unknown unit is named for the size of a pixel.
    factor = known_metres(_text(group, "XAxisConversionUnitName"))
    if factor is None or np.shape(shift) != (3,) or not np.isfinite(shift).all():
        return None
    if rotation is not None and not np.allclose(rotation, [0, 0, 0, 1]):
        return None
    x, y, z = (float(each) * factor for each in shift)
    return (x, y, z)


def _parameters(group: h5py.Group) -> Element | None:
    value = _attribute(group, "MeasurementParamsXML")
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    try:
        return parse_xml(text) if isinstance(text, str) else None
    except XmlError:
        return None


def _pmt_voltage(parameters: Any, channel: str) -> float | None:
    for gear in () if parameters is None else parameters.iterfind(".//Gear[@type='PMT']"):
        stated = {item.get("name"): item.get("value") for item in gear.iterfind("param")}
        if stated.get("channel_name") == channel:
            return possible_number(stated.get("reference_voltage"), most=1e5)
    return None
