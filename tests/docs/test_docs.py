"""Tests of the pages of docs/: their code runs, and they are complete."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import attrs
import click
import h5py
import pytest

import nwb_ophys
from nwb_ophys import errors, interfaces, tools
from nwb_ophys.cli.app import app
from nwb_ophys.documents import parse_yaml
from nwb_ophys.formats import builtin_rows
from nwb_ophys.metadata import imaging_schema, models, segmentation_schema, to_lists, validate
from nwb_ophys.registry import formats

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted(
    str(path.relative_to(DOCS.parent))
    for path in DOCS.rglob("*.rst")
    if ".. code-block:: python" in path.read_text(encoding="utf-8")
    or "   nwb-ophys " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", PAGES)
# neuroconv says of the metadata of our interfaces that their form is its old one.
@pytest.mark.filterwarnings("ignore:The metadata passed to NeuroConv:FutureWarning")
def test_every_block_runs(page, name):
    if name.endswith("converter.rst"):
        pytest.importorskip("neuroconv")
    blocks = page.run_all(name)
    assert blocks


def test_the_examples_follow_each_other_in_one_folder(blocks_of):
    """No page of the README, the tutorials and on DANDI makes a file that another one makes too."""
    pages = ["README.md", "docs/dandi.rst", *(name for name in PAGES if "/tutorials/" in name)]
    made: dict[str, str] = {"session.nwb": "the demo"}
    for page in pages:
        for name in {name for block in blocks_of(page) for name in _made_by(block)}:
            assert made.setdefault(name, page) == page, f"{page} and {made[name]} make '{name}'"


def _made_by(block) -> list[str]:
    if block.language == "bash":
        lines = block.code.replace("\\\n", " ").splitlines()
        new = [line for line in lines if not re.search("--append|--overwrite|--plan", line)]
        return [name for line in new for name in re.findall(r" -o (\S+)", line)]
    return re.findall(r'(?:run_conversion|write_nwbfile)\((?:nwbfile, )?"([^"]+)"', block.code)


def test_the_tutorials_are_among_the_pages():
    tutorials = {path.name for path in (DOCS / "tutorials").glob("*.rst")}
    assert tutorials == {Path(name).name for name in PAGES if "/tutorials/" in name}


def test_every_format_has_a_page_with_an_example():
    for row in formats().values():
        page = DOCS / "formats" / f"{row.name}.rst"
        assert page.is_file(), f"the format {row.name} has no page {page}"
        text = page.read_text(encoding="utf-8")
        assert text.startswith(f"{row.name}\n{'=' * len(row.name)}\n")
        source = row.load().Source
        assert f"{row.interface_name}(" in text
        assert f"arguments-table:: {source.__module__}.{source.__name__}" in text


def test_every_model_of_metadata_has_a_table():
    text = (DOCS / "metadata.rst").read_text(encoding="utf-8")
    # Those that others are made from, of which no key is of its own.
    bases = {base for model in _models() for base in model.__bases__}
    for model in set(_models()) - bases:
        assert f".. metadata-table:: {model.__name__}\n" in text


def _models() -> list[type]:
    found = vars(models).values()
    return [item for item in found if isinstance(item, type) and attrs.has(item)]


def test_the_metadata_that_are_shown_are_valid(blocks_of):
    lists, dictionaries = (b for b in blocks_of("docs/metadata.rst") if b.language == "yaml")
    shown = parse_yaml(lists.code)
    schema = segmentation_schema()
    series = imaging_schema()["properties"]["Ophys"]["properties"]
    schema["properties"]["Ophys"]["properties"] |= series
    validate(shown, schema)
    read = to_lists(parse_yaml(dictionaries.code), shown)["Ophys"]
    assert read["TwoPhotonSeries"][0]["name"] == "Movie"
    assert read["Device"][0]["model"]["name"] == "Bergamo II"


def test_the_storage_settings_that_are_shown_fit_the_files_to_practise_on(page, blocks_of):
    (block,) = (b for b in blocks_of("docs/tutorials/storage.rst") if b.language == "yaml")
    Path("shown.yaml").write_text(block.code, encoding="utf-8")
    movie = nwb_ophys.ScanImageImagingInterface("scan_00001.tif")
    start = {"NWBFile": {"session_start_time": "2024-05-17T14:03:21+02:00"}}
    configuration = nwb_ophys.BackendConfiguration.from_yaml("shown.yaml")
    movie.run_conversion("a.nwb", metadata=start, configuration=configuration)
    with h5py.File("a.nwb") as file:
        data = file["acquisition/TwoPhotonSeries/data"]
        assert (data.chunks, data.compression_opts) == ((20, 128, 96), 9)


def test_every_public_name_is_in_the_reference():
    pages = {path.stem: path.read_text(encoding="utf-8") for path in (DOCS / "api").glob("*.rst")}
    everything = "\n".join(pages.values())
    in_formats = set(nwb_ophys.formats.__all__)
    assert ".. recording-converters::\n" in pages["converter"]  # makes an entry for each of them
    in_rows = {row.converter for row in builtin_rows()} - {None}
    assert in_rows <= set(nwb_ophys.__all__)
    elsewhere = in_formats | in_rows | set(dir(errors)) | {"__version__"}
    for name in set(dir(nwb_ophys)) - elsewhere:
        assert f":: nwb_ophys.{name}\n" in everything, f"nwb_ophys.{name} is nowhere"
    for name in tools.__all__:
        in_metadata = name == "DeepDict"
        if not (name.startswith("_") or in_metadata):
            assert f":: nwb_ophys.tools.{name}\n" in pages["tools"], f"tools.{name} is nowhere"
    for name in interfaces.__all__:
        assert f".{name}\n" in pages["interfaces"], f"interfaces.{name} is nowhere"


def test_the_documentation_builds_without_warnings(tmp_path):
    pytest.importorskip("sphinx")
    pytest.importorskip("numpydoc")
    pytest.importorskip("myst_parser")
    build = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "dummy"]
    done = subprocess.run(
        [*build, "-d", str(tmp_path / "doctrees"), str(DOCS), str(tmp_path / "out")],
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr


def test_every_option_of_the_command_line_is_named():
    """In the README or the pages, and no other option of our commands is named there."""
    pages = [DOCS.parent / "README.md", *DOCS.rglob("*.rst"), *DOCS.rglob("*.md")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in pages)
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
    context = click.Context(app)
    for name in app.list_commands(context):
        assert re.search(rf"nwb-ophys {name}\b|``{name}``", text), name
        options = {
            each
            for parameter in app.get_command(context, name).params
            for each in (*parameter.opts, *parameter.secondary_opts)
            if each.startswith("--")
        }
        assert options <= named, f"{name}: {options - named}"
        for line in re.findall(rf"nwb-ophys {name} (?:[^\n`]*\\\n)*[^\n`]*", text):
            used = set(re.findall(r"(?<!\S)--[a-z][a-z-]+", line)) - {"--help"}
            assert used <= options, line


def test_every_name_of_the_package_on_a_page_exists():
    for path in (DOCS.parent / "README.md", *DOCS.rglob("*.rst"), *DOCS.rglob("*.md")):
        for name in set(re.findall(r"\bnwb_ophys(?:\.\w+)+", path.read_text(encoding="utf-8"))):
            assert _exists(name), f"{path}: {name}"


def _exists(name: str) -> bool:
    found, reached = nwb_ophys, "nwb_ophys"
    for part in name.split(".")[1:]:
        reached += f".{part}"
        if not hasattr(found, part) and importlib.util.find_spec(reached) is None:
            return False
        found = getattr(found, part) if hasattr(found, part) else importlib.import_module(reached)
    return True
