"""Tests of mistakes of users: one line on stderr, exit code 2, and no file left."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from nwb_ophys.cli import main
from nwb_ophys.cli.app import app
from nwb_ophys.cli.options import LocalPath

START = "NWBFile.session_start_time=2024-05-17T14:30:00+02:00"
RATE = ("--option", "sampling_frequency=30")
TO = ("-o", "out.nwb")


def _damage(raw: Path) -> None:
    """Folder with files that were truncated while they were copied, and files of other kinds."""
    for name in ("movie.tif", "si.tif", "caiman.hdf5", "movie.npy"):
        content = (raw / name).read_bytes()
        (raw / f"cut-{name}").write_bytes(content[: len(content) // 2])
    for index, name in enumerate(("F.npy", "stat.npy", "ops.npy")):
        folder = raw / f"damaged{index}" / "suite2p" / "plane0"
        folder.mkdir(parents=True)
        for file in (raw / "suite2p" / "plane0").iterdir():
            content = file.read_bytes()
            (folder / file.name).write_bytes(content[:150] if file.name == name else content)
    (raw / "empty").mkdir()
    (raw / "header only").mkdir()
    (raw / "header only" / "sample.mat").write_bytes(b"MATLAB 5.0 MAT-file")
    (raw / "text.tif").write_text("no TIFF at all")
    (raw / "nothing.tif").touch()
    (raw / "list.yaml").write_text("[1, 2]")
    (raw / "broken.yaml").write_text("NWBFile: [1,\n  x: }")
    (raw / "number.yaml").write_text("NWBFile: {lab: 7}")
    (raw / "misspelt.yaml").write_text("Ophys: {ImagingPlanes: []}")
    (raw / "link.yaml").write_text(
        "NWBFile: {session_start_time: 2024-05-17T14:30:00+02:00}\n"
        "Ophys: {Device: [{name: Scope}]}\n"
    )


MISTAKES = {
    # name: (arguments, words)
    "missing file": (["absent.tif", *TO], ["'absent.tif'", "does not exist"]),
    "nothing in a folder": (
        ["empty", *TO],
        ["'empty'", "No format recognises", "which is an empty folder"],
    ),
    "half of a recording": (
        ["header only", *TO],
        ["'header only'", "which contains 1 .mat file", "scanbox: a .sbx file with the .mat file"],
    ),
    "no suite2p folder": (
        ["empty", *TO, "--format", "suite2p"],
        ["'empty'", "not a Suite2p folder"],
    ),
    "a key with two values": (
        [
            "movie.tif",
            *TO,
            *RATE,
            "--set",
            "NWBFile.experimenter=A, B",
            "--set",
            "NWBFile.experimenter=C, D",
        ],
        ["--set states NWBFile.experimenter twice", "'A, B'", "'C, D'"],
    ),
    "no TIFF in a folder": (["empty", *TO, "--format", "tiff", *RATE], ["'empty'", "no TIFF"]),
    "a file for a folder": (["movie.tif", *TO, "--format", "suite2p"], ["'movie.tif'"]),
    "a folder for a file": (["suite2p", *TO, "--format", "caiman"], ["'suite2p'"]),
    "truncated TIFF": (["cut-movie.tif", *TO, *RATE, "--set", START], ["cut-movie.tif", "trunc"]),
    "truncated ScanImage": (["cut-si.tif", *TO, "--set", START], ["cut-si.tif", "truncated"]),
    "truncated HDF5": (
        ["cut-caiman.hdf5", *TO, "--format", "caiman", "--set", START],
        ["cut-caiman.hdf5", "truncated"],
    ),
    "truncated HDF5, not recognised": (["cut-caiman.hdf5", *TO], ["cut-caiman.hdf5"]),
    "truncated array": (
        ["cut-movie.npy", *TO, "--format", "numpy", *RATE, "--set", START],
        ["cut-movie.npy", "is truncated", "--option allow_truncated=true"],
    ),
    "corrupt traces": (["damaged0/suite2p", *TO, "--set", START], ["plane0/F.npy", "damaged"]),
    "corrupt ROIs": (["damaged1/suite2p", *TO, "--set", START], ["plane0/stat.npy", "damaged"]),
    "corrupt ops": (["damaged2/suite2p", *TO, "--set", START], ["plane0/ops.npy", "damaged"]),
    "a text called TIFF": (
        ["text.tif", *TO, "--format", "tiff", *RATE],
        ["text.tif", "not a TIFF"],
    ),
    "an empty file": (["nothing.tif", *TO, "--format", "tiff", *RATE], ["nothing.tif"]),
    "a TIFF of no ScanImage": (["movie.tif", *TO, "--format", "scanimage"], ["movie.tif"]),
    "unknown format": (["movie.tif", *TO, "--format", "tif"], ["Did you mean 'tiff'"]),
    "too many formats": (
        ["movie.tif", *TO, "--format", "tiff", "--format", "tiff"],
        ["2 formats"],
    ),
    "no rate": (["movie.tif", *TO], ["movie.tif", "--option sampling_frequency="]),
    "a rate in words": (
        ["movie.tif", *TO, "--option", "sampling_frequency=fast"],
        ["sampling_frequency", "'fast'", "number"],
    ),
    "a rate of zero": (["movie.tif", *TO, "--option", "sampling_frequency=0"], ["above 0"]),
    "misspelt option": (
        ["suite2p", *TO, "--set", START, "--option", "masktype=pixel"],
        ["no option 'masktype'", "mask_type"],
    ),
    "a mask that is none": (
        ["suite2p", *TO, "--set", START, "--option", "mask_type=round"],
        ["mask_type", "'round'", "pixel"],
    ),
    "an iterator option": (
        ["suite2p", *TO, "--set", START, "--option", "iterator_options={bufer_gb: 1}"],
        ["bufer_gb", "buffer_gb"],
    ),
    "an ROI that is not there": (
        ["suite2p", *TO, "--set", START, "--option", "roi_ids=[99]"],
        ["roi_ids", "99"],
    ),
    "a plane that is not there": (
        ["suite2p", *TO, "--set", START, "--option", "plane_name=plane7"],
        ["plane7", "plane0, plane1"],
    ),
    "a channel that is not there": (
        ["si.tif", *TO, "--set", START, "--option", "channel_name=Channel 9"],
        ["Channel 9", "Channel 1"],
    ),
    "an option without value": (["suite2p", *TO, "--option", "mask_type"], ["KEY=VALUE"]),
    "a stub of none": (["suite2p", *TO, "--stub", "0"], ["--stub"]),
    "a backend that is none": (["suite2p", *TO, "--backend", "mat"], ["hdf5", "zarr"]),
    "no start": (["suite2p", *TO], ["session_start_time", 'metadata["NWBFile"]']),
    "a start in words": (
        ["suite2p", *TO, "--set", "NWBFile.session_start_time=noon"],
        ["session_start_time", "'noon'", "2024-05-17T14:30:00+02:00"],
    ),
    "misspelt key": (
        ["suite2p", *TO, "--set", START, "--set", "NWBFile.labb=x"],
        ["'labb'", "Did you mean 'lab'"],
    ),
    "wrong type": (
        ["suite2p", *TO, "--set", START, "--set", "Ophys.ImagingPlane.0.imaging_rate=fast"],
        ['["ImagingPlane"][0]["imaging_rate"]', "number"],
    ),
    "link to nowhere": (
        ["suite2p", *TO, "--set", START, "--set", "Ophys.ImagingPlane.0.device=Scope"],
        ['["ImagingPlane"][0]["device"]', "'Scope'", "'Microscope'"],
    ),
    "entry that is not there": (
        ["suite2p", *TO, "--set", START, "--set", "Ophys.Device.4.name=x"],
        ["Ophys.Device.4.name"],
    ),
    "a setting without value": (["suite2p", *TO, "--set", "NWBFile"], ["--set", "KEY=VALUE"]),
    "no metadata file": (["suite2p", *TO, "--metadata", "no.yaml"], ["'no.yaml'"]),
    "metadata of a list": (["suite2p", *TO, "--metadata", "list.yaml"], ["'list.yaml'", "list"]),
    "metadata of no YAML": (["suite2p", *TO, "--metadata", "broken.yaml"], ["'broken.yaml'"]),
    "metadata of a wrong type": (
        ["suite2p", *TO, "--set", START, "--metadata", "number.yaml"],
        ['["NWBFile"]["lab"]', "text"],
    ),
    "metadata misspelt": (
        ["suite2p", *TO, "--set", START, "--metadata", "misspelt.yaml"],
        ["ImagingPlanes", "Did you mean 'ImagingPlane'"],
    ),
    "metadata that link to nowhere": (
        ["suite2p", *TO, "--metadata", "link.yaml"],
        ["'Microscope'", "'Scope'"],
    ),
    "no folder to write to": (["suite2p", "-o", "no/such/a.nwb", "--set", START], ["no/such"]),
    "a target that is a folder": (["suite2p", "-o", "empty", "--set", START], ["'empty'"]),
    "a folder that is no NWB file": (
        ["suite2p", "-o", "empty", "--overwrite", "--set", START],
        ["'empty'", "not an NWB file"],
    ),
    "appending to something else": (
        ["suite2p", "-o", "movie.tif", "--append", "--set", START],
        ["'movie.tif'", "not an NWB file"],
    ),
    "overwrite and append": (
        ["suite2p", *TO, "--append", "--overwrite", "--set", START],
        ["not both"],
    ),
    "no paths": ([*TO], ["PATHS"]),
    "no target": (["suite2p"], ["--output"]),
    "unknown flag": (["suite2p", *TO, "--force"], ["--force"]),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_of_convert(run, raw, name):
    _damage(raw)
    before = _listing(raw)
    arguments, words = MISTAKES[name]
    told = run("convert", *arguments)
    assert told.is_mistake(*words), told
    assert told.out == ""
    assert _listing(raw) == before


def _listing(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() if p.is_file() else b"" for p in folder.rglob("*")}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["inspect", "absent.nwb"], ["'absent.nwb'"]),
        (["inspect", "movie.tif"], ["'movie.tif'", "not an NWB file"]),
        (["metadata", "absent"], ["'absent'"]),
        (["metadata", "movie.tif"], ["sampling_frequency"]),
        (["metadata", "suite2p", "-o", "movie.tif"], ["'movie.tif'", "exists"]),
        (["metadata", "suite2p", "-o", "no/such.yaml"], ["no/such.yaml"]),
        (["demo", "suite2p"], ["'suite2p'", "not empty"]),
        (["demo", "movie.tif"], ["movie.tif"]),
        (["formats", "extra"], ["extra"]),
        (["bogus"], ["bogus"]),
        (["--bogus"], ["--bogus"]),
    ],
)
def test_mistakes_elsewhere(run, raw, arguments, words):
    before = _listing(raw)
    told = run(*arguments)
    assert told.is_mistake(*words), told
    assert _listing(raw) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["convert", "", *TO],
        ["convert", "movie.tif", "-o", ""],
        ["convert", "movie.tif", *TO, "--metadata", " "],
        ["detect", ""],
        ["inspect", ""],
        ["verify", ""],
        ["repack", "", *TO],
        ["report", ""],
        ["edit", "", "--set", "NWBFile.lab=X"],
        ["clean", ""],
        ["demo", ""],
        ["batch", ""],
    ],
)
def test_an_empty_path_is_not_the_current_folder(run, raw, arguments):
    before = sorted(raw.rglob("*"))
    assert run(*arguments).is_mistake("The path is empty")
    assert sorted(raw.rglob("*")) == before


def test_no_command_makes_the_current_folder_of_an_empty_path():
    with click.Context(app) as context:
        commands = [app.get_command(context, name) for name in app.list_commands(context)]
    types = [each.type for command in commands for each in command.params]
    assert [each for each in types if isinstance(each, click.Path)]
    assert all(isinstance(each, LocalPath) for each in types if isinstance(each, click.Path))


def test_debug_shows_the_traceback(raw):
    for arguments in (
        ["convert", "absent.tif", *TO, "--debug"],
        ["--debug", "convert", "absent.tif", *TO],
    ):
        with pytest.raises(FileNotFoundError, match=r"absent\.tif"):
            main(arguments)


def test_what_is_no_mistake_ends_with_one(run, raw, monkeypatch):
    import nwb_ophys.opening

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("division by\nzero")

    monkeypatch.setattr(nwb_ophys.opening, "open_recording", fail)
    told = run("convert", "suite2p", *TO)
    assert told.code == 1
    assert told.err.splitlines() == [
        "Error: ZeroDivisionError: division by zero",
        "This error is unexpected. Run the command again with --debug to see the traceback.",
    ]


def test_an_absent_package_is_named_with_its_install(run, raw, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "hdmf_zarr", None)
    told = run("convert", "suite2p", "-o", "a.nwb.zarr", "--backend", "zarr", "--set", START)
    assert told.is_mistake('pip install "nwb-ophys[zarr]"')


def test_a_disk_that_is_full(run, raw, monkeypatch):
    import errno
    import os

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "out.nwb")

    monkeypatch.setattr(os, "fsync", full)
    told = run("convert", "suite2p", *TO, "--set", START)
    assert told.is_mistake("No space left on device")
    assert not (raw / "out.nwb").exists()
    assert not list(raw.glob(".*"))


LONG = "x" * 300


@pytest.mark.parametrize(
    "arguments",
    [
        ("convert", "suite2p", "-o", f"{LONG}.nwb", "--set", START),
        ("convert", "suite2p", "-o", f"{LONG}.nwb.zarr", "--set", START),
        ("metadata", "suite2p", "-o", f"{LONG}.yaml"),
    ],
    ids=["hdf5", "zarr", "metadata"],
)
def test_a_name_that_is_too_long(run, raw, arguments):
    told = run(*arguments)
    assert told.is_mistake("cannot be written: File name too long. Choose a shorter name")
    assert not list(raw.glob("x*"))
    assert not list(raw.glob(".*"))


def test_a_demo_on_a_disk_that_is_full(run, tmp_path, monkeypatch):
    import errno
    import os

    from nwb_ophys.cli import demo_recording

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(demo_recording, "write_scanimage", full)
    told = run("demo", tmp_path / "demo")
    assert told.is_mistake("scan_00001.tif' cannot be written: No space left on device. Free")
    assert not (tmp_path / "demo").exists()


def test_a_disk_that_is_too_small_is_named_with_the_flag(run, raw, monkeypatch):
    from nwb_ophys.storage import space

    monkeypatch.setattr(space, "free_space", lambda folder: 10)
    told = run("convert", "suite2p", *TO, "--set", START)
    assert told.is_mistake("has 10 bytes free.", "or use --no-space-check to write all the same.")
    assert not list(raw.glob("*out*"))
    assert run("convert", "suite2p", *TO, "--set", START, "--no-space-check").code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["convert", "--overwrite", *TO, "--report", "movie.tif", "suite2p"], "an HTML page"),
        (["convert", "movie.tif", *TO, *RATE, "--log-file", "movie.tif"], "a log of this program"),
        (
            ["metadata", "movie.tif", *RATE, "-o", "movie.tif", "--overwrite"],
            "a document of metadata",
        ),
        (["report", "absent.nwb", "-o", "movie.tif", "--overwrite"], "an HTML page"),
    ],
)
def test_a_recording_is_not_replaced_by_a_text(run, raw, arguments, words):
    content = Path("movie.tif").read_bytes()
    told = run(*arguments)
    assert told.is_mistake("'movie.tif'", f"is not {words}", "left as it is"), told
    assert Path("movie.tif").read_bytes() == content


def test_the_file_that_is_read_is_not_replaced(run, raw):
    run("convert", "movie.tif", "-o", "a.nwb", *RATE, "--set", START)
    content = Path("a.nwb").read_bytes()
    Path("link.nwb").symlink_to("a.nwb")
    for output in ("a.nwb", "link.nwb"):
        told = run("convert", "a.nwb", "-o", output, "--overwrite")
        assert told.is_mistake("is read from", "would be lost", "choose another name"), told
    assert Path("a.nwb").read_bytes() == content


HEADERS = {
    # What programs for acquisition write as texts beside a movie.
    "Experiment.xml": '<?xml version="1.0"?>\n<ThorImageExperiment>\n</ThorImageExperiment>\n',
    "metaData.json": '{\n    "deviceName": "Miniscope",\n    "frameRate": 30\n}\n',
    "timeStamps.csv": "Frame Number,Time Stamp (ms),Buffer Index\n0,1,0\n",
    "stage.nd": '"NDInfoFile", Version 1.0\n"Description", File recreated from images.\n',
    "notes.txt": "Subject: M7\nsessions of May: three\n",
    "Timing.txt": "0.033\n0.066\n",
}


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["convert", "movie.tif", *RATE, "--set", START, *TO, "--log-file"], "a log of this"),
        (["metadata", "movie.tif", *RATE, "--overwrite", "-o"], "a document of metadata"),
        (["report", "absent.nwb", "--overwrite", "-o"], "an HTML page"),
    ],
    ids=["log", "metadata", "report"],
)
def test_a_text_of_a_recording_is_not_replaced(run, raw, name, arguments, words):
    Path(name).write_text(HEADERS[name])
    told = run(*arguments, name)
    assert told.is_mistake(f"'{name}'", f"is not {words}", "left as it is"), told
    assert Path(name).read_text() == HEADERS[name]
    assert not Path("out.nwb").exists()


def test_texts_of_the_program_itself_are_replaced(run, raw):
    for style in ("neuroconv", "lists"):
        given = ["metadata", "movie.tif", *RATE, "--style", style, "-o", "meta.yaml"]
        assert run(*given, "--overwrite").code == 0
        assert run(*given, "--overwrite").code == 0
    Path("meta.yaml").write_text('{\n  "NWBFile": {"lab": "Ours"}\n}')  # as JSON, by the user
    assert run(*given, "--overwrite").code == 0
    for _ in range(2):
        assert run("detect", "movie.tif", "--log-file", "mine").code == 0
    assert len(Path("mine").read_text().splitlines()) % 2 == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["convret", "movie.tif"], "No such command 'convret'. Did you mean 'convert'?"),
        (["movie.tif"], "'movie.tif' is a path; give a command before it, as in: nwb-ophys detect"),
        (["help"], "No such command 'help'. 'nwb-ophys --help' lists the commands."),
        (["convert"], "Missing argument 'PATHS...'. 'nwb-ophys convert --help' shows the"),
        (["convert", "movie.tif", *TO, "--fps", "30"], "'nwb-ophys convert --help' shows the"),
        (
            ["convert", "movie.tif", *TO, "--sampling_frequency", "30"],
            "It is an argument of a format: give --option sampling_frequency=VALUE.",
        ),
        (
            ["metadata", "movie.tif", "--sampling-frequency=30"],
            "It is an argument of a format: give --option sampling_frequency=VALUE.",
        ),
        (["report", "suite2p"], "'suite2p' has no NWB files; give an NWB file, or a folder of"),
    ],
)
def test_the_first_words_of_a_new_user(run, raw, arguments, words):
    told = run(*arguments)
    assert told.is_mistake(words), told
    assert not Path("suite2p/index.html").exists()
