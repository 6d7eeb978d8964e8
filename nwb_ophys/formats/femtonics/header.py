"""What a file of Femtonics' MESc states of its measurement units and their channels.

A file has sessions (``MSession_0``), these have measurement units (``MUnit_0``), and those have a
dataset for each channel (``Channel_0``). All else is in attributes; texts are UTF-16 in integers.
"""

from __future__ import annotations

import datetime
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import attrs
import h5py
import numpy as np

from nwb_ophys.errors import CorruptSourceError, SourceError, SourceNotFoundError
from nwb_ophys.paths import natural_order

# Both letters that are written for micro.
_METRES = {"m": 1.0, "mm": 1e-3, "um": 1e-6, "\u00b5m": 1e-6, "\u03bcm": 1e-6, "nm": 1e-9}
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "\u00b5s": 1e-6, "\u03bcs": 1e-6}


@attrs.frozen
class Channel:
    """One channel of a unit.

    Attributes
    ----------
    name : str
    dataset : str
        Its place in the file.
    scale, offset : float or None
        From the stored numbers to the intensity, where that is linear.
    unit : str
        Of the intensity; empty where none is stated.
    pmt_voltage : float or None
        Reference voltage of its photomultiplier, as it is stated.
    """

    name: str
    dataset: str
    scale: float | None
    offset: float | None
    unit: str
    pmt_voltage: float | None


@attrs.frozen
class Unit:
    """One measurement unit: what was recorded in one go.

    Attributes
    ----------
    session, name : str
    channels : tuple of Channel
    time_step : float or None
        Seconds from frame to frame; None where the third axis is not time.
    axis_unit : str
        Unit of the third axis, as it is stated.
    start : datetime.datetime or None
        In universal time.
    pixel_size : tuple of float or None
        Along x and y, in m.
    position : tuple of float or None
        Of the image in the space, along x, y and z, in m.
    space, comment, experimenter, setup, program, task : str
        Empty where they are not stated.
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


@attrs.frozen
class Header:
    """What a whole file states.

    Attributes
    ----------
    path : pathlib.Path
    vendor : str
    units : tuple of Unit
    """

    path: Path
    vendor: str
    units: tuple[Unit, ...]

    @property
    def movies(self) -> tuple[Unit, ...]:
        """Units whose third axis is time."""
        return tuple(unit for unit in self.units if unit.time_step and unit.channels)

    @property
    def first_start(self) -> datetime.datetime | None:
        """When the first of the movies began; None unless all state it."""
        starts = [unit.start for unit in self.movies]
        return None if None in starts else min(filter(None, starts), default=None)

    def label(self, unit: Unit) -> str:
        """Return how a unit is told from the others; empty where it is the only movie."""
        several = len({each.session for each in self.movies}) > 1
        if len(self.movies) == 1:
            return ""
        return f"{unit.session} {unit.name}" if several else unit.name


def open_mesc(path: Path) -> h5py.File:
    """Open a file for reading.

    Raises
    ------
    SourceNotFoundError
        When it is not there.
    CorruptSourceError
        When it is no HDF5 file, or cut off.
    """
    if not path.is_file():
        raise SourceNotFoundError(f"'{path}' is no file; give the .mesc file.")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise CorruptSourceError(
            f"'{path}' cannot be read as a MESc file, which is HDF5: {error}. It may be cut off or "
            "damaged; copy it again."
        ) from error


def read_header(path: Path) -> Header:
    """Read what a file states; no pixel is read.

    Raises
    ------
    SourceNotFoundError, CorruptSourceError
        When it cannot be opened.
    SourceError
        When it has no measurement unit.
    """
    with open_mesc(path) as file:
        units = [
            _read_unit(file[session][name], session, name)
            for session in _named(file, "MSession_")
            for name in _named(file[session], "MUnit_")
        ]
        vendor = _text(file, "Vendor").split(" http")[0]
    if not units:
        raise SourceError(f"'{path}' has no measurement unit (MSession_0/MUnit_0, …) of MESc.")
    return Header(path, vendor, tuple(units))


def _named(group: Any, prefix: str) -> list[str]:
    found = [name for name in group if name.startswith(prefix)]
    return sorted(found, key=natural_order)


def _read_unit(group: h5py.Group, session: str, name: str) -> Unit:
    parameters = _parameters(group)
    axis_unit = _text(group, "ZAxisConversionUnitName")
    step = _number(group, "ZAxisConversionConversionLinearScale")
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
    )


def _channels(group: h5py.Group, parameters: Any) -> tuple[Channel, ...]:
    """Return the channels; each has the number that its dataset has."""
    found: list[Channel] = []
    for dataset in _named(group, "Channel_"):
        if not isinstance(group[dataset], h5py.Dataset):
            continue
        name = _text(group, f"{dataset}_Name") or dataset
        taken = {channel.name for channel in found}
        prefix = f"{dataset}_Conversion_"
        is_linear = _number(group, f"{prefix}Type") == 1
        found.append(
            Channel(
                name=f"{name} {dataset}" if name in taken else name,
                dataset=group[dataset].name,
                scale=_number(group, f"{prefix}ConversionLinearScale") if is_linear else None,
                offset=_number(group, f"{prefix}ConversionLinearOffset") if is_linear else None,
                unit=_text(group, f"{prefix}UnitName"),
                pmt_voltage=_pmt_voltage(parameters, name),
            )
        )
    return tuple(found)


def _attribute(item: Any, name: str) -> Any:
    """Return an attribute, or None where it is absent, empty or of a type that NumPy lacks."""
    try:
        value = item.attrs[name]
    except (KeyError, OSError, TypeError):
        return None
    return None if isinstance(value, h5py.Empty) else value


def _text(item: Any, name: str) -> str:
    value = _attribute(item, name)
    if isinstance(value, np.ndarray) and value.dtype.kind in "iu":
        # The integers are signed; as characters they are not.
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
    if not seconds:
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
        factor = _METRES.get(_text(group, f"{axis}AxisConversionUnitName"))
        if not scale or factor is None:
            return None
        found.append(abs(scale) * factor)
    return (found[0], found[1])


def _position(group: h5py.Group) -> tuple[float, float, float] | None:
    """Return where the image lies, in the unit of its axes; none where it is turned."""
    shift, turn = _attribute(group, "GeomTransTransl"), _attribute(group, "GeomTransRot")
    factor = _METRES.get(_text(group, "XAxisConversionUnitName"))
    if factor is None or np.shape(shift) != (3,) or not np.isfinite(shift).all():
        return None
    if turn is not None and not np.allclose(turn, [0, 0, 0, 1]):
        return None
    x, y, z = (float(each) * factor for each in shift)
    return (x, y, z)


def _parameters(group: h5py.Group) -> ElementTree.Element | None:
    value = _attribute(group, "MeasurementParamsXML")
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    try:
        return ElementTree.fromstring(text) if isinstance(text, str) else None
    except ElementTree.ParseError:
        return None


def _pmt_voltage(parameters: Any, channel: str) -> float | None:
    for gear in () if parameters is None else parameters.iterfind(".//Gear[@type='PMT']"):
        stated = {item.get("name"): item.get("value") for item in gear.iterfind("param")}
        if stated.get("channel_name") == channel:
            try:
                return float(stated["reference_voltage"] or "")
            except (KeyError, ValueError):
                return None
    return None
