"""Convert every mock interface of neuroconv beside one of ours, and print what was written.

The script runs in a process of its own: some mock interfaces load extensions of NWB, which every
file that the process writes afterwards contains.
"""

from __future__ import annotations

import json
import sys
import traceback
import warnings
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import h5py
import neuroconv
import numpy as np
import pynwb
from neuroconv.tools.testing import mock_interfaces
from prepared_schemas import prepared_schemas
from quick_arguments import quick_arguments

from nwb_ophys import NumpyImagingInterface, NumpySegmentationInterface, OphysConverter

MOVIE = np.arange(12 * 6 * 8, dtype=np.uint16).reshape(12, 6, 8)
TRACES = np.arange(36, dtype=np.float32).reshape(12, 3)
OURS = {3: MOVIE, 2: np.swapaxes(TRACES, 1, -1)}
START = datetime(2024, 5, 17, 12, 30, tzinfo=timezone.utc)

# These load extensions, so that they come last.
LAST = ("MockFiberPhotometryInterface", "MockPoseEstimationInterface")


def mock_names() -> list[str]:
    """Return the names of all mock interfaces that neuroconv ships."""
    found = [name for name in vars(mock_interfaces) if name.startswith("Mock")]
    return sorted(set(found) - {"MockInterface"}, key=lambda name: (name in LAST, name))


def _stated(source: Any) -> Any:
    metadata = source.get_metadata()
    metadata["NWBFile"]["session_start_time"] = START
    return metadata


def _values(path: Path) -> dict[str, Any]:
    """Return the values of all datasets that do not belong to the file as a whole."""
    found: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        is_of_file = "/" not in name or name.startswith(("specifications", "general/session"))
        if isinstance(item, h5py.Dataset) and not is_of_file and item.dtype.kind in "iufb":
            found[name] = item[()]

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def _compare(path: Path, alone: Path) -> str:
    """Return the differences between a file and what the mock interface writes alone."""
    found, expected = _values(path), _values(alone)
    missing = [name for name in expected if name not in found]
    if missing:
        return f"lacks {missing}"
    other = [
        name
        for name, values in expected.items()
        if not np.array_equal(found[name], values, equal_nan=values.dtype.kind == "f")
    ]
    ours = found.get("acquisition/Movie/data", found.get("processing/ophys/Fluorescence/ours/data"))
    if ours is None or not np.array_equal(np.swapaxes(ours, 1, -1), OURS[ours.ndim]):
        other.append("our data")
    if other:
        return f"other values in {other}"
    errors = pynwb.validate(path=str(path))
    return f"invalid: {errors}" if errors else "ok"


def _ours(name: str) -> tuple[Any, dict[str, Any]]:
    """Return one of our interfaces and its arguments: a movie, or ROIs beside the mock movie."""
    if name == "MockImagingInterface":
        return NumpySegmentationInterface, {
            "image_masks": np.ones((6, 8, 3)),
            "raw": TRACES,
            "sampling_frequency": 10.0,
        }
    return NumpyImagingInterface, {"timeseries": MOVIE, "sampling_frequency": 10.0}


def _convert(name: str, how: str, folder: Path) -> str:
    alone, path = folder / f"{name}.nwb", folder / f"{name}_{how}.nwb"
    mock, (cls, source) = getattr(mock_interfaces, name), _ours(name)
    if not alone.exists():
        theirs = mock()
        theirs.run_conversion(nwbfile_path=str(alone), metadata=_stated(theirs))
    converter: Any
    if how == "converter":
        classes = {"Ours": cls, "Theirs": mock}
        rig = type("Rig", (neuroconv.NWBConverter,), {"data_interface_classes": classes})
        converter = rig(source_data={"Ours": source, "Theirs": {}})
    else:
        interfaces = {"Ours": cls(**source), "Theirs": mock()}
        is_pipe = how == "pipe"
        converter = neuroconv.ConverterPipe(interfaces) if is_pipe else OphysConverter(interfaces)
    converter.run_conversion(nwbfile_path=str(path), metadata=_renamed(_stated(converter)))
    return _compare(path, alone)


def _renamed(metadata: Any) -> Any:
    """Name our data, so that they are found."""
    ophys = metadata["Ophys"]
    for series in ophys.get("TwoPhotonSeries", []):
        series["name"] = "Movie"
    for traces in ophys.get("Fluorescence", {}).values():
        if isinstance(traces, dict) and "raw" in traces:
            traces["raw"]["name"] = "ours"
    return metadata


def main(folder: Path) -> None:
    """Print a table of results as JSON: for each mock interface, and each way to use it."""
    warnings.simplefilter("ignore")
    table: dict[str, dict[str, str]] = {}
    for name in mock_names():
        table[name] = {}
        # NWBConverter shares all but its constructor with ConverterPipe.
        is_first = len(table) == 1
        for how in ("stream", "pipe", *(["converter"] if is_first else [])):
            try:
                table[name][how] = _convert(name, how, folder)
            except Exception:
                table[name][how] = traceback.format_exc(limit=-4)
    (folder / "table.json").write_text(json.dumps(table))


if __name__ == "__main__":
    with quick_arguments(), prepared_schemas():
        main(Path(sys.argv[1]))
