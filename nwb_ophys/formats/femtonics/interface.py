"""Recordings of Femtonics two-photon microscopes (MESc files)."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.interfaces.arguments import argument
from nwb_ophys.interfaces.imaging import ImagingInterface
from nwb_ophys.interfaces.streams import Part
from nwb_ophys.metadata import camel_case
from nwb_ophys.paths import PathProbe

_OTHER_FILES = {
    ".mescroi": "ROIs that were drawn in Femtonics' MESc",
    ".mes": "measurements of Femtonics' older program MES",
}
_UNIT = re.compile(r"MSession_\d+/MUnit_\d+")


@attrs.frozen(kw_only=True)
class FemtonicsSource:
    """Source arguments of a Femtonics recording."""

    file_path: Path = argument("The .mesc file.")
    session_name: str | None = argument(
        "Name of the session, such as 'MSession_0'; required if several have a unit of that name.",
        default=None,
    )
    munit_name: str | None = argument(
        "Name of the measurement unit, such as 'MUnit_0'; optional if there is only one.",
        default=None,
    )
    channel_name: str | None = argument(
        "Name of the channel, such as 'UG'; optional if there is only one.", default=None
    )
    from_first_unit: bool = argument(
        "Count times from the start of the first unit in the file, not of this unit.",
        default=False,
    )


class FemtonicsImagingInterface(ImagingInterface):
    """One channel of a measurement unit in a Femtonics MESc file."""

    Source = FemtonicsSource
    reads_ranges = True

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.formats.femtonics.reader import FemtonicsExtractor

        return FemtonicsExtractor(**attrs.asdict(source))

    def describe(self) -> Mapping[str, Any]:
        """Return the metadata of the file: start, microscope, rate, sizes, channel."""
        unit, channel = self.extractor.unit, self.extractor.channel
        header = self.extractor.header
        start = header.first_start if self.source.from_first_unit else unit.start
        voltage = channel.pmt_voltage
        described = voltage is not None and f"Reference voltage of the PMT: {voltage:g}."
        return {
            "NWBFile": {
                "session_start_time": start,
                "experimenter": [unit.experimenter] if unit.experimenter else None,
            },
            "Ophys": {
                "Device": [_device(header.vendor, unit)],
                "ImagingPlane": [
                    {
                        "imaging_rate": self.extractor.get_sampling_frequency(),
                        "grid_spacing": unit.pixel_size and list(unit.pixel_size),
                        "grid_spacing_unit": unit.pixel_size and "meters",
                        "origin_coords": unit.position and list(unit.position),
                        "origin_coords_unit": unit.position and "meters",
                        "reference_frame": unit.position and _frame_of(unit),
                        "optical_channel": [
                            {
                                "name": camel_case(channel.name),
                                **({"description": described} if described else {}),
                            }
                        ],
                    }
                ],
                "TwoPhotonSeries": [{"comments": unit.comment or None}],
            },
        }

    def channel_names(self) -> Sequence[str]:
        """Return the names of all channels of the recording."""
        return [channel.name for channel in self.extractor.unit.channels]

    def channel_name(self) -> str:
        """Return the name of the channel that is read."""
        return str(self.extractor.channel.name)

    def position_name(self) -> str:
        """Return the name of the unit; empty if there is only one."""
        return self.extractor.header.label(self.extractor.unit)  # type: ignore[no-any-return]

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return the evidence for a MESc file: its measurement units."""
        from nwb_ophys.filetypes.hdf5 import read_hdf5_outline

        probe = PathProbe.of(path)
        outline = probe.read_once(read_hdf5_outline) if probe.is_file else None
        if outline is None:
            return None
        units = [name for name in outline.groups if _UNIT.fullmatch(name)]
        if not units:
            return None
        noun = "unit" if len(units) == 1 else "units"
        return f"'{probe.path.name}' has {len(units)} measurement {noun} of MESc"

    @classmethod
    def is_damaged(cls, probe: PathProbe) -> bool:
        """Return whether a file is a damaged HDF5 file, the container of MESc."""
        from nwb_ophys.filetypes.hdf5 import is_damaged_hdf5

        return is_damaged_hdf5(probe)

    @classmethod
    def refusal(cls, probe: PathProbe) -> str | None:
        """Return what a file of Femtonics without movies that are read is, or None."""
        what = _OTHER_FILES.get(probe.path.suffix.lower()) if probe.is_file else None
        return (
            f"'{probe.path}' has {what}, which are not read. Give a .mesc file." if what else None
        )

    @classmethod
    def parts(cls, path: Path, **source: Any) -> list[Part]:
        """Return every channel of every unit that is a movie."""
        from nwb_ophys.formats.femtonics.header import read_header

        header = read_header(path)
        if not header.movies:
            return [Part(arguments={"file_path": path})]  # opening it names the reason
        asked = {"session": source.get("session_name"), "name": source.get("munit_name")}
        _warn_of_others(header, asked)
        _warn_of_lost(header)
        _warn_of_curves(header, asked)
        chosen = [
            unit
            for unit in header.movies
            if all(value in (None, getattr(unit, key)) for key, value in asked.items())
        ]
        # Units in one file share a clock, so that their series can be compared.
        shares_clock = len(chosen) > 1 and header.first_start is not None
        return [
            Part(
                arguments={
                    "file_path": path,
                    "session_name": unit.session,
                    "munit_name": unit.name,
                    "channel_name": channel.name,
                },
                defaults={"from_first_unit": True} if shares_clock else {},
                recording=header.label(unit),
                channel=channel.name,
            )
            for unit in header.movies
            for channel in unit.movie_channels
        ]


def _warn_of_others(header: Any, asked: Mapping[str, Any]) -> None:
    others = header.left_out
    if others and not any(asked.values()):
        warnings.warn(
            f"{', '.join(others)} of '{header.path}' are not movies over time and are left out.",
            UserWarning,
            stacklevel=4,
        )


def _warn_of_curves(header: Any, asked: Mapping[str, Any]) -> None:
    found = [
        f"{unit.session}/{unit.name} ({', '.join(unit.curves)})"
        for unit in header.movies
        if unit.curves
    ]
    if found and not any(asked.values()):
        warnings.warn(
            f"'{header.path}' also has curves, signals recorded with the images, in "
            f"{'; '.join(found)}; they are left out.",
            UserWarning,
            stacklevel=4,
        )


def _warn_of_lost(header: Any) -> None:
    if header.lost:
        warnings.warn(
            f"'{header.path}' lacks parts that it counts: {'; '.join(header.lost)}. The conversion "
            "goes on without them; if they were not deleted in MESc, copy the file again from "
            "where it was recorded.",
            UserWarning,
            stacklevel=4,
        )


def _device(vendor: str, unit: Any) -> dict[str, Any]:
    parts = [
        f"setup {unit.setup}" if unit.setup else "",
        f"run by {unit.program}" if unit.program else "",
        f"with {unit.task}" if unit.task else "",
    ]
    stated = ", ".join(part for part in parts if part)
    maker = f" of {vendor.rstrip('.')}" if vendor else ""
    # NWB stores the manufacturer with the model only, and MESc states no model.
    return {"description": f"Two-photon microscope{maker}{': ' if stated else ''}{stated}."}


def _frame_of(unit: Any) -> str:
    return f"Coordinates of the microscope space '{unit.space}' in MESc." if unit.space else None  # type: ignore[return-value]
