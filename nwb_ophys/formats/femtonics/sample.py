"""Files of Femtonics' MESc."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

if TYPE_CHECKING:
    from nwb_ophys.simulation.recording import Array, SimulatedRecording

__all__ = ["write_femtonics"]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def write_femtonics(
    path: str | Path,
    movie: Array | Mapping[str, Array],
    *,
    sampling_frequency: float = 30.0,
    start: datetime | None = None,
    session: int = 0,
    pixel_size: float = 1.5,
    position: tuple[float, float, float] = (-24.0, -36.0, -150.0),
    comment: str = "",
    axis_unit: str = "ms",
    inverted: bool = True,
) -> Path:
    """Add a measurement unit to a ``.mesc`` file.

    Parameters
    ----------
    path : str or pathlib.Path
        The file; created if it does not exist.
    movie : numpy.ndarray, or mapping of str to numpy.ndarray
        Integers from 0 to 65535, (samples, rows, columns), written as uint16; or several movies by
        channel name. A single movie is the channel UG.
    sampling_frequency : float
        Frames per second in Hz.
    start : datetime.datetime, optional
        Start of the unit, with a time zone.
    session : int
        Number of the session.
    pixel_size : float
        Side of a pixel in micrometres.
    position : tuple of float
        Position of the image along x, y and z in micrometres.
    comment : str
        Comment of the experimenter.
    axis_unit : str
        Unit of the third axis; with any other unit than ``ms`` the unit is a stack of depths.
    inverted : bool
        Whether bright pixels are small numbers, as they come from photomultipliers.

    Returns
    -------
    pathlib.Path
        The file.
    """
    path = Path(path)
    channels = dict(movie) if isinstance(movie, Mapping) else {"UG": movie}
    with h5py.File(path, "a") as file:
        file.attrs["Vendor"] = np.bytes_(b"Femtonics Ltd. http://femtonics.eu")
        file.attrs["FileFormatVersion"] = np.uint32(2)
        group = file.require_group(f"MSession_{session}")
        unit = group.create_group(f"MUnit_{len(group)}")
        group.attrs["VecMUnitsSize"] = np.uint64(len(group))
        file.attrs["VecMSessionsSize"] = np.uint64(len(file))
        _write_unit(unit, comment, position, start)
        samples, rows, columns = np.shape(next(iter(channels.values())))
        step = 1000.0 / sampling_frequency
        _write_axis(unit, "X", columns, pixel_size, "\u00b5m")
        _write_axis(unit, "Y", rows, pixel_size, "\u00b5m")
        _write_axis(unit, "Z", samples, step, axis_unit)
        unit.attrs["VecChannelsSize"] = np.uint64(len(channels))
        for number, (name, frames) in enumerate(channels.items()):
            _write_channel(unit, f"Channel_{number}", name, np.asarray(frames), inverted)
        gears = "".join(
            f'<Gear name="PMT_{name}" type="PMT"><param name="reference_voltage" value="65.0" />'
            f'<param name="channel_name" value="{name}" /></Gear>'
            for name in channels
        )
        xml = f'<Task Type="TaskResonantScan" Version="1.0"><Devices>{gears}</Devices></Task>'
        unit.attrs["MeasurementParamsXML"] = np.bytes_(xml.encode("latin-1"))
    return path


def _write_unit(
    unit: h5py.Group, comment: str, position: tuple[float, ...], start: datetime | None
) -> None:
    texts = {
        "Comment": comment,
        "CreatingMEScVersion": "MESc 3.3",
        "ExperimenterSetupID": "SN0001",
        "ExperimenterUsername": "",
        "SpaceName": "space1",
    }
    for name, text in texts.items():
        unit.attrs[name] = _characters(text)
    unit.attrs["CreatingMEScRevision"] = np.uint32(4356)
    unit.attrs["GeomTransTransl"] = np.asarray(position, dtype=np.float64)
    unit.attrs["GeomTransRot"] = np.array([0.0, 0.0, 0.0, 1.0])
    unit.attrs["PointsColors0"] = h5py.Empty("u4")
    unit.attrs["Type"] = np.uint32(4)
    if start is not None:
        since = start - _EPOCH
        unit.attrs["MeasurementDatePosix"] = np.uint64(since // timedelta(seconds=1))
        unit.attrs["MeasurementDateNanoSecs"] = np.int32(since.microseconds * 1000)


def _write_axis(unit: h5py.Group, axis: str, size: int, scale: float, name: str) -> None:
    unit.attrs[f"{axis}Dim"] = np.uint64(size)
    unit.attrs[f"{axis}AxisConversionConversionLinearScale"] = np.float64(scale)
    unit.attrs[f"{axis}AxisConversionConversionLinearOffset"] = np.float64(0.0)
    unit.attrs[f"{axis}AxisConversionType"] = np.uint32(1)
    unit.attrs[f"{axis}AxisConversionUnitName"] = _characters(name)


def _write_channel(unit: h5py.Group, dataset: str, name: str, frames: Any, inverted: bool) -> None:
    is_in_range = frames.dtype.kind in "iu" and frames.min() >= 0 and frames.max() < 65536
    if frames.ndim != 3 or not is_in_range:
        raise ValueError(
            f"the movie of {name} is {frames.dtype} of the shape {frames.shape}; MESc writes "
            "integers from 0 to 65535, (samples, rows, columns)."
        )
    frames = frames.astype(np.uint16)
    chunks = (1, *frames.shape[1:])
    unit.create_dataset(dataset, data=frames, chunks=chunks, maxshape=(None, *frames.shape[1:]),
                        compression="gzip", compression_opts=1)  # fmt: skip
    unit.attrs[f"{dataset}_Name"] = _characters(name)
    unit.attrs[f"{dataset}_Conversion_Type"] = np.uint32(1)
    unit.attrs[f"{dataset}_Conversion_UnitName"] = _characters("scalar")
    scale, offset = (-1.0, 65535.0) if inverted else (1.0, 0.0)
    unit.attrs[f"{dataset}_Conversion_ConversionLinearScale"] = np.float64(scale)
    unit.attrs[f"{dataset}_Conversion_ConversionLinearOffset"] = np.float64(offset)


def _characters(text: str) -> Any:
    """Return a text as MESc stores it: UTF-16 in signed integers, with a zero at the end."""
    return np.frombuffer(f"{text}\0".encode("utf-16-le"), dtype="<i2")


def write_sample(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    """Write a MESc file with one unit of one channel; return the source arguments."""
    return {"file_path": write_femtonics(folder / "session.mesc", recording.movie)}
