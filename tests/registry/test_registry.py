"""Tests of the rows of this package and of other packages, and of their part in detection."""

from __future__ import annotations

import importlib
import shutil
import sys
import textwrap
from importlib.metadata import EntryPoint, metadata, packages_distributions, requires
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from packaging.requirements import Requirement

from nwb_ophys.errors import UnknownFormatError
from nwb_ophys.opening import open_recording
from nwb_ophys.registry import detect, format_table, formats, get_format, rows

PLUGIN = '''
"""A format of another package."""
import attrs
import numpy as np
from nwb_ophys import ImagingInterface, argument
from nwb_ophys.extractors.arrays import ArrayImagingExtractor


@attrs.frozen(kw_only=True)
class Source:
    # The path is not the first one on purpose.
    gain: int = argument("Gain of the camera.")
    file_path: __import__("pathlib").Path = argument("The file.")


class HolographInterface(ImagingInterface):
    """Movie of the Holograph microscope."""

    Source = Source

    @classmethod
    def open(cls, source):
        shape = [int(size) for size in source.file_path.read_text().split()[1:]]
        return ArrayImagingExtractor(np.full(shape, source.gain, "uint8"), 10.0)

    @classmethod
    def matches(cls, path):
        if path.suffix == ".holo" and path.read_text().startswith("holo"):
            return f"'{path.name}' begins with holo"
        return None
'''

START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that adds a module with an entry point, like an installed package."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    points: list[EntryPoint] = []
    monkeypatch.setattr(
        rows, "entry_points", lambda group: points if group == "nwb_ophys.formats" else []
    )

    def add(name: str, module: str, text: str, attribute: str = "HolographInterface") -> None:
        (folder / f"{module}.py").write_text(textwrap.dedent(text))
        importlib.invalidate_caches()
        monkeypatch.delitem(sys.modules, module, raising=False)
        points.append(EntryPoint(name, f"{module}:{attribute}", "nwb_ophys.formats"))

    return add


@pytest.fixture
def holograph(tmp_path: Path) -> Path:
    path = tmp_path / "recording.holo"
    path.write_text("holo 5 3 4")
    return path


def test_a_package_that_is_installed_meanwhile_is_found(tmp_path, monkeypatch):
    site = tmp_path / "installed"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    assert "holograph" not in formats()
    info = site / "holo_rig-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: holo-rig\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[nwb_ophys.formats]\nholograph = holo_rig:Reader\n")
    assert formats()["holograph"].origin == "holo-rig"
    shutil.rmtree(info)
    assert "holograph" not in formats()


def test_the_installed_packages_are_read_once(monkeypatch):
    calls = []
    monkeypatch.setattr(rows, "entry_points", lambda group: calls.append(group) or ())
    assert formats() == formats()
    assert calls == ["nwb_ophys.formats"]


# --- our own ----------------------------------------------------------------------------------


def test_names_and_kinds_of_version_0_1_remain():
    kinds = {name: row.kind for name, row in formats().items()}
    assert (
        kinds.items()
        >= {
            "bruker": "imaging",
            "thor": "imaging",
            "scanimage": "imaging",
            "scanbox": "imaging",
            "scanimage-legacy": "imaging",
            "micromanager": "imaging",
            "ome-tiff": "imaging",
            "femtonics": "imaging",
            "miniscope": "imaging",
            "tiff": "imaging",
            "suite2p-movie": "imaging",
            "hdf5": "imaging",
            "inscopix": "imaging",
            "nwb": "imaging",
            "numpy": "imaging",
            "memmap": "imaging",
            "suite2p": "segmentation",
            "caiman": "segmentation",
            "cnmfe": "segmentation",
            "extract": "segmentation",
            "minian": "segmentation",
            "sima": "segmentation",
            "inscopix-cells": "segmentation",
            "nwb-segmentation": "segmentation",
            "numpy-segmentation": "segmentation",
        }.items()
    )


def test_every_public_interface_has_a_row():
    import nwb_ophys.formats

    names = {row.load().__name__ for row in formats().values()}
    assert names == set(nwb_ophys.formats.__all__)
    assert names <= set(importlib.import_module("nwb_ophys").__all__)


@pytest.fixture(scope="module")
def distributions():
    """Return the names of the distributions that bring each package."""
    return packages_distributions()  # reads the metadata of all installed distributions


@pytest.mark.parametrize("name", [name for name, row in formats().items() if row.is_ours])
def test_an_extra_brings_what_its_format_needs(name, distributions):
    row = get_format(name)
    assert row.extra in metadata("nwb-ophys").get_all("Provides-Extra")
    wanted = [Requirement(each) for each in requires("nwb-ophys") or []]
    brought = {
        each.name for each in wanted if each.marker and each.marker.evaluate({"extra": row.extra})
    }
    for package in row.requires:
        assert brought & set(distributions[package])


def test_unknown_name():
    with pytest.raises(UnknownFormatError, match="Did you mean 'suite2p'") as caught:
        get_format("suit2p")
    assert all(name in str(caught.value) for name in formats())
    with pytest.raises(UnknownFormatError) as caught:
        get_format("zzzzz")
    assert "Did you mean" not in str(caught.value)


def test_table_tells_what_to_install(monkeypatch):
    heading, *lines = format_table()
    assert heading == ("KIND", "NAME", "RECOGNISED", "EXTRA", "INSTALLED")
    assert [line[1] for line in lines] == list(formats())
    assert {line[4] for line in lines} == {"yes"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    absent = {row[1]: row[4] for row in format_table()[1:]}
    assert absent["tiff"] == 'no: pip install "nwb-ophys[tiff]"'
    assert absent["numpy"] == "yes"


# --- of other packages ------------------------------------------------------------------------


def test_format_of_another_package(install, holograph, tmp_path):
    install("holograph", "holograph_nwb", PLUGIN)
    row = get_format("holograph")
    assert row.load().__name__ == "HolographInterface"
    (candidate,) = detect(holograph)
    assert candidate.row.name == "holograph"
    assert candidate.row.kind == "imaging"
    assert candidate.evidence == "'recording.holo' begins with holo"
    line = next(line for line in format_table() if line[1] == "holograph")
    assert line[0] == "imaging"
    assert line[4] == "yes"
    assert "Movie of the Holograph microscope." in line[2]
    recording = open_recording([holograph], options={"gain": "3"})
    path = recording.converter.run_conversion(tmp_path / "session.nwb", metadata=START)
    import h5py

    with h5py.File(path, "r") as file:
        data = file["acquisition/TwoPhotonSeries/data"]
        np.testing.assert_array_equal(data[:], np.full((5, 4, 3), 3))


def test_its_missing_argument_is_asked_for(install, holograph):
    install("holograph", "holograph_nwb", PLUGIN)
    with pytest.raises(TypeError, match=r"needs gain: Gain of the camera.*--option gain=VALUE"):
        open_recording([holograph])


BROKEN = {
    "import": "import a_package_that_is_absent",
    "syntax": "def broken(:",
    "error": "raise RuntimeError('the licence server does not answer')",
    "attribute": "HolographInterface = None",
    "no class": "",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_plug_in_stands_in_nobodys_way(install, holograph, tmp_path, kind):
    install("abroken", "broken_plugin", BROKEN[kind])
    install("holograph", "holograph_nwb", PLUGIN)
    with pytest.warns(UserWarning, match="'abroken'"):
        (candidate,) = detect(holograph)
    assert candidate.row.name == "holograph"
    # What the user asks for by name does not even look at the broken one.
    recording = open_recording([holograph], ["holograph"], {"gain": "3"})
    assert list(recording.converter.interfaces) == ["holograph"]
    with pytest.raises(UnknownFormatError, match=r"'abroken' of .* cannot be loaded"):
        open_recording([holograph], ["abroken"])
    line = next(line for line in format_table() if line[1] == "abroken")
    assert line[4] == "no"
    assert "cannot be loaded" in line[2]


def test_plug_in_that_fails_to_look(install, tmp_path):
    install(
        "nosy",
        "nosy_plugin",
        PLUGIN + "\nHolographInterface.matches = classmethod(lambda cls, path: 1 / 0)\n",
    )
    np.save(tmp_path / "movie.npy", np.zeros((3, 4, 5)))
    with pytest.warns(UserWarning, match="'nosy' .* division by zero"):
        (candidate,) = detect(tmp_path / "movie.npy")
    assert candidate.row.name == "numpy"


def test_plug_in_cannot_take_the_name_of_one_of_ours(install):
    install("tiff", "thief", PLUGIN)
    with pytest.warns(UserWarning, match="give the entry point another name"):
        found = formats()
    assert found["tiff"].origin == "nwb-ophys"


def test_plug_in_comes_before_ours_where_both_recognise(install, tmp_path):
    text = PLUGIN.replace('".holo"', '".npy"').replace(
        'path.read_text().startswith("holo")', "True"
    )
    install("special-npy", "special_plugin", text)
    np.save(tmp_path / "movie.npy", np.zeros((3, 4, 5)))
    found = [candidate.row.name for candidate in detect(tmp_path / "movie.npy")]
    assert found == ["special-npy", "numpy"]
