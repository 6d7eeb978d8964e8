"""Facts of headers: each change of a header shows in the NWB file, or is refused by name."""

from __future__ import annotations

import math
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from header_facts import TABLES
from header_facts.table import Fact, Table
from pynwb import NWBHDF5IO
from pynwb.ophys import OnePhotonSeries, TwoPhotonSeries

from nwb_ophys.errors import NwbOphysError
from nwb_ophys.formats import builtin_rows
from nwb_ophys.testing import simulate_recording
from nwb_ophys.testing.samples import write_sample

START = "2031-02-03T04:05:06+01:00"
# Values of NWB where nothing is stated.
_DEFAULTS = {
    "Series.conversion": 1.0,
    "Series.offset": 0.0,
    "Series.comments": "no comments",
    "Series.unit": "n.a.",
    "Series.starting_time": 0.0,
}
ROWS = {row.name: row for row in builtin_rows()}


def _cases(kind: str) -> list[Any]:
    return [
        pytest.param(table, fact, value, id=f"{table.name}-{fact.header}-{value!r}"[:60])
        for table in TABLES
        for fact in table.facts
        for value in getattr(fact, kind)
    ]


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Function that returns the folder with the sample of a table, and its source arguments."""
    recording = simulate_recording(num_samples=6, num_rows=24, num_columns=34, num_cells=3)
    written: dict[str, Any] = {}

    def of(table: Table) -> tuple[Path, dict[str, Any]]:
        if table.name not in written:
            folder = tmp_path_factory.mktemp("sample")
            write = table.sample or (lambda *where: write_sample(ROWS[table.format], *where))
            written[table.name] = folder, write(folder, recording)
        return written[table.name]

    return of


@pytest.fixture
def copied(originals: Any, tmp_path: Path) -> Any:
    """Function that copies the sample of a table; returns its folder and source arguments."""

    def copy(table: Table) -> tuple[Path, dict[str, Any]]:
        folder, source = originals(table)
        shutil.copytree(folder, tmp_path / "s")
        moved = {
            name: tmp_path / "s" / value.relative_to(folder) if isinstance(value, Path) else value
            for name, value in source.items()
        }
        return tmp_path / "s", moved

    return copy


def _open(table: Table, source: dict[str, Any]) -> Any:
    return ROWS[table.format].load()(**source)


def _close(interface: Any) -> None:
    close = getattr(interface.extractor, "close", None)
    if callable(close):
        close()


def _metadata(interface: Any) -> dict[str, Any]:
    """Return the start of the session where the files state none."""
    stated = interface.get_metadata()["NWBFile"].get("session_start_time")
    return {} if stated else {"NWBFile": {"session_start_time": START}}


def _series(nwbfile: Any) -> Any:
    places = [nwbfile.acquisition]
    if "ophys" in nwbfile.processing:
        places.append(nwbfile.processing["ophys"].data_interfaces)
    for place in places:
        for each in place.values():
            if isinstance(each, (TwoPhotonSeries, OnePhotonSeries)):
                return each
    containers = nwbfile.processing["ophys"].data_interfaces
    responses = [containers[name] for name in ("Fluorescence", "DfOverF") if name in containers]
    return next(iter(responses[0].roi_response_series.values()))


def _times(series: Any) -> np.ndarray:
    if series.timestamps is not None:
        return np.asarray(series.timestamps[:])
    return float(series.starting_time) + np.arange(series.data.shape[0]) / float(series.rate)


def _value(nwbfile: Any, place: str) -> Any:
    """Return the value at a place of an NWB file; None if nothing is stated there."""
    owner, *names = place.split(".")
    series = _series(nwbfile)
    plane = next(iter(nwbfile.imaging_planes.values()))
    if names[0] == "rate" and series.timestamps is None:
        return float(series.rate)
    if names[0] == "rate":
        return 1 / float(np.median(np.diff(_times(series))))
    if names[0] == "time":
        return _times(series)[int(names[1])]
    owners = {
        "NWBFile": nwbfile,
        "Subject": nwbfile.subject,
        "Device": plane.device,
        "ImagingPlane": plane,
        "OpticalChannel": plane.optical_channel[0],
        "Series": series,
        "Table": _table(nwbfile),
    }
    found = owners[owner]
    for name in names:
        if found is None:
            return None
        if name.isdigit():
            found = found[int(name)] if len(found) > int(name) else None
        else:
            found = getattr(found, name)
    is_nan = isinstance(found, (float, np.floating)) and math.isnan(found)
    is_unset = place == "NWBFile.session_start_time" and found == datetime.fromisoformat(START)
    return None if is_nan or is_unset or found in ("", "unknown") else found


def _table(nwbfile: Any) -> Any:
    if "ophys" not in nwbfile.processing:
        return None
    containers = nwbfile.processing["ophys"].data_interfaces
    if "ImageSegmentation" not in containers:
        return None
    return next(iter(containers["ImageSegmentation"].plane_segmentations.values()))


def _check(fact: Fact, raw: Any, found: Any, precision: float = 1e-9) -> None:
    """Compare a value in the file with the value of the header."""
    expected = fact.meant(raw)
    if isinstance(expected, datetime):
        aware = expected if expected.tzinfo else expected.astimezone()
        assert abs(found - aware) < timedelta(microseconds=2), fact.file
    elif fact.within:
        assert str(expected) in str(found), fact.file
    elif isinstance(expected, str):
        assert str(found) == expected, fact.file
    else:
        assert found is not None, fact.file
        # A rate describes times within a microsecond.
        limit = 1e-6 if ".time." in fact.file else 1e-15
        assert float(found) == pytest.approx(float(expected), rel=precision, abs=limit), fact.file


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_the_file_states_what_the_header_states(table, originals, tmp_path):
    folder, source = originals(table)
    interface = _open(table, source)
    path = interface.run_conversion(
        tmp_path / "o.nwb", metadata=_metadata(interface), progress=False
    )
    _close(interface)
    with NWBHDF5IO(path, "r") as io:
        nwbfile = io.read()
        for fact in table.facts:
            raw = fact.at.get(folder)
            assert raw is not None, fact.header
            _check(fact, raw, _value(nwbfile, fact.file))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("table", "fact", "value"), _cases("possible"))
def test_a_change_of_the_header_shows_in_the_file(table, fact, value, copied):
    folder, source = copied(table)
    before = fact.at.get(folder)
    fact.at.put(folder, value)
    raw = fact.at.get(folder)
    assert raw != before
    refusal, found = _converted(table, fact, source)
    assert refusal is None
    _check(fact, raw, found)


def _written_together() -> list[Any]:
    """Return the facts of each table in groups whose places in the NWB file differ."""
    found = []
    for table in TABLES:
        facts = [fact for fact in table.facts if fact.possible]
        groups: list[list[Fact]] = []
        for fact in (each for each in facts if not each.alone):
            free = [group for group in groups if fact.file not in {each.file for each in group}]
            free[0].append(fact) if free else groups.append([fact])
        groups += [[each] for each in facts if each.alone]
        for index, group in enumerate(groups):
            found.append(pytest.param(table, group, id=f"{table.name}-{index}"))
    return found


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("table", "facts"), _written_together())
def test_changes_of_the_header_are_written(table, facts, copied, tmp_path):
    """Writing takes a tenth of a second, so that one file has the first values of many facts."""
    folder, source = copied(table)
    for fact in facts:
        fact.at.put(folder, fact.possible[0])
    interface = _open(table, source)
    path = interface.run_conversion(
        tmp_path / "o.nwb", metadata=_metadata(interface), progress=False
    )
    _close(interface)
    with NWBHDF5IO(path, "r") as io:
        nwbfile = io.read()
        for fact in facts:
            _check(fact, fact.at.get(folder), _value(nwbfile, fact.file))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("table", "fact", "value"), _cases("impossible"))
def test_an_impossible_value_is_refused_or_left_out(table, fact, value, copied, originals):
    folder, source = copied(table)
    fact.at.put(folder, value)
    refusal, found = _converted(table, fact, source)
    if refusal is not None:
        names = {path.name for path in folder.rglob("*")} | {folder.name}
        assert any(f"{name}'" in refusal for name in names), refusal
        assert fact.header in refusal, refusal
    elif fact.elsewhere and found is not None:
        _check(fact, fact.at.get(originals(table)[0]), found, precision=1e-4)
    elif fact.within:
        assert _words(fact, value) not in str(found or ""), fact.file
    else:
        assert found in (None, _DEFAULTS.get(fact.file)), fact.file


def _converted(table: Table, fact: Fact, source: dict[str, Any]) -> tuple[str | None, Any]:
    """Return the error of the package, or None and the value in the converted file."""
    try:
        interface = _open(table, source)
    except NwbOphysError as error:
        return str(error), None
    try:
        nwbfile = interface.create_nwbfile(_metadata(interface))
        return None, _value(nwbfile, fact.file)
    except NwbOphysError as error:
        return str(error), None
    finally:
        _close(interface)


def _words(fact: Fact, value: Any) -> str:
    """Return the words that would state an impossible value; unlikely ones if there are none."""
    try:
        return str(fact.meant(value)) if value else "\0"
    except (TypeError, ValueError):
        return str(value)


def test_each_format_has_a_table():
    assert {table.format for table in TABLES} == set(ROWS)


_NOT_FACTS = ("name", "grid_spacing_unit", "origin_coords_unit", "reference_frame", "imaging_plane")


def _leaves(value: Any, place: str = "") -> set[str]:
    """Return the places of all values in a description."""
    if isinstance(value, dict):
        found = set()
        for key, inner in value.items():
            found |= _leaves(inner, f"{place}.{key}".lstrip("."))
        return found
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return _leaves(value[0], place)
    return set() if value is None else {place}


def _place_of(leaf: str) -> str:
    """Return the place in the NWB file of a key of the metadata."""
    short = leaf.removeprefix("Ophys.")
    short = short.replace("ImagingPlane.optical_channel", "OpticalChannel")
    for kind in ("TwoPhotonSeries", "OnePhotonSeries"):
        short = short.replace(f"{kind}.", "Series.")
    return short


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_the_table_has_each_fact_that_the_format_states(table, originals):
    interface = _open(table, originals(table)[1])
    stated = {_place_of(leaf) for leaf in _leaves(dict(interface.describe()))}
    _close(interface)
    tables = [each for each in TABLES if each.format == table.format]
    known = {fact.file for each in tables for fact in each.facts}
    known |= {place for each in tables for place in each.constant}
    missing = {
        place
        for place in stated
        if place.rpartition(".")[2] not in _NOT_FACTS
        and not any(each == place or each.startswith(f"{place}.") for each in known)
    }
    assert not missing
