"""Tests of the rows of formats: complete, cheap to import, and the only source of names."""

from __future__ import annotations

import ast
import configparser
import inspect
import pickle
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import nwb_ophys
from nwb_ophys import testing
from nwb_ophys.formats import ORDER, Format, builtin_rows, resolve
from nwb_ophys.opening import converters
from nwb_ophys.registry import FormatRow, formats

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / "nwb_ophys" / "formats"
ROWS = builtin_rows()


@pytest.fixture(params=ROWS, ids=[row.name for row in ROWS])
def row(request):
    return request.param


@pytest.fixture(scope="module")
def extras():
    """Return the names of the packages in each extra of setup.cfg."""
    parser = configparser.ConfigParser()
    parser.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    return {
        name: [Requirement(line) for line in text.splitlines() if line and line[0] != "#"]
        for name, text in parser["options.extras_require"].items()
    }


@pytest.fixture(scope="module")
def distributions():
    """Return the names of the distributions that bring each package."""
    return packages_distributions()  # reads the metadata of all installed distributions


def test_order_names_every_folder_once():
    folders = {path.parent.name for path in FOLDER.glob("*/__init__.py")}
    assert len(ORDER) == len(set(ORDER))
    assert set(ORDER) == folders


@pytest.mark.parametrize("folder", ORDER)
def test_importing_a_row_imports_nothing_else(folder):
    tree = ast.parse((FOLDER / folder / "__init__.py").read_text(encoding="utf-8"))
    imports = [ast.unparse(node) for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert imports == [
        "from __future__ import annotations",
        "from nwb_ophys.formats import Format",
    ]
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import)]


def test_names_are_unique_and_movies_come_first():
    names = [row.name for row in ROWS]
    kinds = [row.kind for row in ROWS]
    assert len(names) == len(set(names))
    assert kinds == sorted(kinds)
    assert list(formats()) == names
    assert FormatRow is Format


def test_a_row_is_complete(row):
    folder = row.interface.removeprefix("nwb_ophys.formats.").split(".")[0]
    # One name in all places: the folder, the format, and its extra.
    assert row.name.replace("-", "_").startswith(folder)
    assert row.kind in ("imaging", "segmentation")
    assert row.recognised
    assert not row.recognised.endswith(".")
    assert row.is_ours
    assert row.sample is not None
    assert set(row.file_suffixes) <= set(row.suffixes)
    assert all(each == each.lower() and each.startswith(".") for each in row.suffixes)


def test_the_class_does_not_state_suffixes_again(row):
    own = [cls for cls in row.load().__mro__ if cls.__module__.startswith("nwb_ophys.formats")]
    assert own
    assert not [cls for cls in own if "file_suffixes" in vars(cls)]


def test_an_extra_of_setup_cfg_has_what_the_row_requires(row, extras, distributions):
    wanted = [set(distributions[package]) for package in row.requires]
    brought = [requirement.name for requirement in extras[row.extra]]
    assert len(brought) == len(wanted)
    assert all(names & set(brought) for names in wanted)


def test_extras_are_of_formats_or_known(extras):
    others = {
        "zarr",
        "compression",
        "inspect",
        "cluster",
        "remote",
        "report",
        "gui",
        "tables",
        "all",
        "test",
        "bench",
        "docs",
        "lint",
        "types",
    }
    assert set(extras) == {row.extra for row in ROWS} | others


def test_all_has_every_extra_that_installs_something(extras):
    (everything,) = extras["all"]
    wanted = {row.extra for row in ROWS if row.requires} | {
        "zarr",
        "compression",
        "inspect",
        "remote",
        "report",
        "gui",
        "tables",
    }
    assert everything.extras == wanted


def test_converters_are_those_that_rows_name():
    named = {row.converter for row in ROWS if row.converter is not None}
    base = converters.RecordingConverter
    classes = {
        name: cls
        for name, cls in inspect.getmembers(converters, inspect.isclass)
        if issubclass(cls, base) and cls is not base
    }
    assert set(classes) == named
    assert named <= set(nwb_ophys.__all__)
    for name, cls in classes.items():
        assert cls.format_names == tuple(row.name for row in ROWS if row.converter == name)


def test_a_converter_made_from_rows_is_found_by_name_and_documented():
    for name in {row.converter for row in ROWS if row.converter is not None}:
        cls = getattr(nwb_ophys, name)
        assert pickle.loads(pickle.dumps(cls)) is cls is getattr(converters, name)
        assert name in dir(converters)
        for row in ROWS:
            assert (f"``{row.name}`` ({row.kind}): {row.recognised}" in cls.__doc__) == (
                row.converter == name
            )
    with pytest.raises(AttributeError, match="no attribute 'BogusConverter'"):
        converters.BogusConverter  # noqa: B018


def test_own_format_names_of_a_converter_are_kept():
    class Mine(converters.RecordingConverter):
        format_names = ("tiff",)

    class Derived(converters.BrukerConverter):
        pass

    assert Mine.format_names == ("tiff",)
    assert Derived.format_names == ("bruker",)


def test_samples_take_a_folder_and_a_recording(row):
    sample = resolve(row.sample)
    assert list(inspect.signature(sample).parameters) == ["folder", "recording"]
    # The names of samples are the same in many formats, so that they are not public.
    assert sample.__name__ not in testing.__all__


def test_public_names_of_samples_are_gathered():
    names = {path.parent.name for path in FOLDER.glob("*/sample.py")}
    assert names == set(ORDER)
    writers = {name for name in testing.__all__ if name.startswith("write_")}
    assert all(name.removeprefix("write_").startswith((*ORDER, "old_")) for name in writers)
    assert set(testing.__all__) - writers == {
        "SimulatedRecording",
        "check_format",
        "simulate_recording",
    }
    assert set(testing.__all__) <= set(dir(testing))
    with pytest.raises(AttributeError, match="no attribute 'write_bogus'"):
        testing.write_bogus  # noqa: B018


def test_a_format_without_a_sample_is_named(tmp_path):
    from nwb_ophys.errors import UnknownFormatError
    from nwb_ophys.testing.samples import write_sample

    row = Format(name="labrig", interface="labrig:LabRig", origin="nwb-ophys-labrig")
    recording = testing.simulate_recording(num_samples=1)
    with pytest.raises(UnknownFormatError, match="'labrig' of 'nwb-ophys-labrig' has no sample"):
        write_sample(row, tmp_path, recording)


def test_names_of_formats_are_loaded_on_use():
    import nwb_ophys.formats as module

    assert set(module.__all__) <= set(dir(module))
    with pytest.raises(AttributeError, match="no attribute 'BogusInterface'"):
        module.BogusInterface  # noqa: B018
