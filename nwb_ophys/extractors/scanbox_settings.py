"""What Scanbox's ``.mat`` file states of the microscope, in the units of NWB."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np

from nwb_ophys.extractors.scanbox_header import ScanboxHeader, number_of


@attrs.frozen
class ScanboxSettings:
    """The settings of a recording; what is not stated is None."""

    header: ScanboxHeader

    @classmethod
    def of(cls, header: ScanboxHeader) -> ScanboxSettings:
        """Return the settings that a header states."""
        return cls(header)

    @property
    def _config(self) -> Any:
        return getattr(self.header.info, "config", None)

    @property
    def microscope(self) -> str:
        """The program with its version, and the objective."""
        version = number_of(self.header.info, "scanbox_version")
        program = "Scanbox" if version is None else f"Scanbox {version:g}"
        objective = getattr(self.header.info, "objective", None)
        stated = f" Objective: {objective}." if isinstance(objective, str) and objective else ""
        return f"Laser-scanning microscope run by {program}.{stated}"

    @property
    def wavelength(self) -> float | None:
        """Wavelength of the excitation in nm; Scanbox writes 0 where it does not run the laser."""
        return number_of(self._config, "wavelength") or None

    @property
    def notes(self) -> str | None:
        """What the user noted while recording."""
        texts = np.atleast_1d(getattr(self.header.info, "usernotes", ()))
        lines = [str(text).strip() for text in texts.ravel().tolist() if np.size(text)]
        return "\n".join(line for line in lines if line) or None

    def pmt_gain(self, channel: int) -> float | None:
        """Return the gain of a photomultiplier, from 0 to 1 as Scanbox sets it."""
        return number_of(self._config, f"pmt{channel}_gain")

    def grid_spacing(self, is_volumetric: bool) -> list[float] | None:
        """Return the distance of pixels along x, y and, of volumes, of planes, in metres.

        Of a magnification there is the size of a pixel in µm in the list ``calibration``.
        """
        number = number_of(self._config, "magnification")
        sizes = np.atleast_1d(getattr(self.header.info, "calibration", ()))
        if number is None or not 1 <= number <= len(sizes):
            return None
        size = [number_of(sizes[int(number) - 1], axis) for axis in ("x", "y")]
        if not all(size):
            return None
        between = self._between_planes() if is_volumetric else None
        return [micrometres * 1e-6 for micrometres in (*size, between) if micrometres]

    def description(self, plane: int | None) -> str | None:
        """Return where the objective was, and how deep a plane is."""
        knobby = getattr(getattr(self._config, "knobby", None), "pos", None)
        x, y, z, turn = (number_of(knobby, axis) for axis in "xyza")
        told = []
        if x is not None and y is not None and z is not None:
            turned = "" if turn is None else f", turned by {turn:g}°"
            place = f"x = {x:g}, y = {y:g}, z = {z:g} µm{turned}"
            told.append(f"Objective at {place}, as its controller (Knobby) counts.")
        depths = self._depths()
        if len(depths) and plane is not None:
            told.append(f"Plane {plane} at {depths[plane]:g} µm of the tunable lens.")
        elif len(depths):
            listed = ", ".join(f"{depth:g}" for depth in depths)
            told.append(f"Planes at {listed} µm of the tunable lens.")
        return " ".join(told) or None

    def _depths(self) -> Sequence[float]:
        """Return the depth of each plane in µm, where they are stated."""
        depths = np.atleast_1d(getattr(self.header.info, "otwave_um", ()))
        is_stated = depths.size == self.header.num_planes > 1 and depths.dtype.kind in "biuf"
        return [float(depth) for depth in depths] if is_stated else []

    def _between_planes(self) -> float | None:
        """Return the distance of planes in µm, where it is the same between all."""
        steps = np.abs(np.diff(self._depths()))
        is_even = len(steps) and steps[0] > 0 and np.allclose(steps, steps[0])
        return float(steps[0]) if is_even else None
