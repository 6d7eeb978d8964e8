"""Recordings whose files lead elsewhere, lack parts, or are no files at all.

Each case is opened as ``nwb-ophys convert`` opens it, and must be refused within ten seconds with
an error that names the file, before anything outside of the recording's folder is read.
"""

from __future__ import annotations

import os
import signal
import socket
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest

from nwb_ophys.errors import (
    CorruptSourceError,
    NwbOphysError,
    OutputError,
    OutsideFolderError,
    SourceError,
    SpecialFileError,
)
from nwb_ophys.formats import builtin_rows
from nwb_ophys.opening import open_recording
from nwb_ophys.simulation.recording import SimulatedRecording, simulate_recording
from nwb_ophys.storage import repack
from nwb_ophys.testing import sample_writers
from nwb_ophys.testing.samples import write_sample

RATE = {"sampling_frequency": 30.0}
SECRET = 4321
MOVIE = np.full((12, 6, 5), SECRET, np.uint16)
_SECONDS = 10


@contextmanager
def in_time() -> Iterator[None]:
    """Fail if the block takes longer than ten seconds, as on a pipe that nobody writes to."""

    def end(*_: object) -> None:
        raise TimeoutError(f"took longer than {_SECONDS} s")

    previous = signal.signal(signal.SIGALRM, end)
    signal.alarm(_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def opened(path: Path, **options: object) -> np.ndarray:
    """Return the first frames of a recording, opened as the command line opens it."""
    with in_time(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        recording = open_recording([path], options={**RATE, **options})
        interfaces = recording.converter.interfaces.values()
        try:
            found = [_read(interface.extractor) for interface in interfaces]
        finally:
            for interface in interfaces:
                if hasattr(interface.extractor, "close"):
                    interface.extractor.close()
    return found[0]


def _read(extractor: object) -> np.ndarray:
    if hasattr(extractor, "get_series"):
        return np.asarray(extractor.get_series(0, 2))
    return np.asarray(extractor.get_roi_image_masks())


def refused(path: Path, error: type[Exception], match: str, **options: object) -> None:
    with pytest.raises(error, match=match) as raised:
        opened(path, **options)
    assert str(SECRET) not in str(raised.value)


# --- HDF5: links, raw files and virtual datasets that lead out ---------------------------------


class Place:
    """The folder of a recording, and a folder beside it with a file that is not part of it."""

    def __init__(self, root: Path) -> None:
        self.folder, self.outside = root / "recording", root / "private"
        self.folder.mkdir()
        self.outside.mkdir()
        (self.folder / "sub").mkdir()
        self.file = self.folder / "movie.h5"
        self.secret = write_h5(self.outside / "secret.h5")
        self.raw = self.outside / "secret.raw"
        self.raw.write_bytes(MOVIE.tobytes())


def write_h5(path: Path, name: str = "mov", movie: np.ndarray = MOVIE) -> Path:
    with h5py.File(path, "w") as file:
        file[name] = movie
    return path


def external_link(target: str, name: str = "mov", inner: str = "/mov") -> Callable[[Place], None]:
    def write(place: Place) -> None:
        with h5py.File(place.file, "w") as file:
            file[name] = h5py.ExternalLink(target.format(**vars(place)), inner)

    return write


def soft_link_to_external(place: Place) -> None:
    with h5py.File(place.file, "w") as file:
        file["deep/er/link"] = h5py.ExternalLink("../private/secret.h5", "/mov")
        file["mov"] = h5py.SoftLink("/deep/er/link")


def link_of_a_file(place: Place) -> None:
    """Link to a file in the folder that itself is a link out of it."""
    (place.folder / "part.h5").symlink_to(place.secret)
    external_link("part.h5")(place)


def link_of_a_folder(place: Place) -> None:
    (place.folder / "parts").symlink_to(place.outside)
    external_link("parts/secret.h5")(place)


def chain_of_links(place: Place) -> None:
    external_link("second.h5")(place)
    with h5py.File(place.folder / "second.h5", "w") as file:
        file["mov"] = h5py.ExternalLink("../private/secret.h5", "/mov")


def raw_file(name: str, size: int = MOVIE.nbytes) -> Callable[[Place], None]:
    def write(place: Place) -> None:
        stated = [(name.format(**vars(place)), 0, size)]
        with h5py.File(place.file, "w") as file:
            file.create_dataset("mov", MOVIE.shape, MOVIE.dtype, external=stated)

    return write


def passwords(place: Place) -> None:
    with h5py.File(place.file, "w") as file:
        file.create_dataset("mov", (2, 4, 4), "u1", external=[("/etc/passwd", 0, 32)])


def virtual(name: str, count: int = 1, inner: str = "mov") -> Callable[[Place], None]:
    def write(place: Place) -> None:
        layout = h5py.VirtualLayout((count * len(MOVIE), *MOVIE.shape[1:]), MOVIE.dtype)
        for index in range(count):
            source = h5py.VirtualSource(name.format(n=index, **vars(place)), inner, MOVIE.shape)
            layout[index * len(MOVIE) : (index + 1) * len(MOVIE)] = source
        with h5py.File(place.file, "w") as file:
            file.create_virtual_dataset("mov", layout)

    return write


def virtual_of_virtual(place: Place) -> None:
    virtual("../private/secret.h5")(place)
    place.file.rename(place.folder / "inner.h5")
    virtual("inner.h5")(place)


LEADING_OUT = {
    "external link, relative": external_link("../private/secret.h5"),
    "external link, absolute": external_link("{secret}"),
    "external link through a folder": external_link("sub/../../private/secret.h5"),
    "external link in a group": external_link("../private/secret.h5", "a/b/mov"),
    "external link of a group": external_link("../private/secret.h5", "data", "/"),
    "external link beside the movie": external_link("../private/secret.h5", "notes"),
    "soft link to an external link": soft_link_to_external,
    "external link to a link": link_of_a_file,
    "external link through a link of a folder": link_of_a_folder,
    "external link of an external link": chain_of_links,
    "raw file, relative": raw_file("../private/secret.raw"),
    "raw file, absolute": raw_file("{raw}"),
    "raw file of passwords": passwords,
    "virtual, relative": virtual("../private/secret.h5"),
    "virtual, absolute": virtual("{secret}"),
    "virtual of a virtual": virtual_of_virtual,
}


@pytest.mark.parametrize("case", LEADING_OUT)
@pytest.mark.parametrize("given", ["file", "folder"])
def test_hdf5_is_not_followed_out_of_the_folder(tmp_path, monkeypatch, case, given):
    place = Place(tmp_path)
    monkeypatch.chdir(place.folder)  # HDF5 finds raw files from the current folder
    LEADING_OUT[case](place)
    path = place.file if given == "file" else place.folder
    match = "lies outside of the folder.*allow_outside="
    refused(path, OutsideFolderError, match, dataset_name="mov")


@pytest.mark.parametrize(
    "case", ["external link, relative", "virtual, absolute", "raw file, absolute"]
)
@pytest.mark.parametrize("form", [str, lambda folder: [folder, "/nowhere"], Path])
def test_what_the_user_allows_is_read(tmp_path, case, form):
    place = Place(tmp_path)
    LEADING_OUT[case](place)
    options = {"dataset_name": "mov", "allow_outside": form(str(place.outside))}
    recording = open_recording([place.file], ["hdf5"], {**RATE, **options})
    interface = next(iter(recording.converter.interfaces.values()))
    with in_time():
        assert np.all(interface.extractor.get_series(0, 12) == SECRET)
        assert interface.get_metadata()["NWBFile"]
    interface.extractor.close()


@pytest.mark.parametrize("name", ["part.h5", "sub/part.h5", "sub/../part.h5", "{folder}/part.h5"])
@pytest.mark.parametrize("write", [external_link, virtual])
def test_files_in_the_folder_are_read(tmp_path, name, write):
    place = Place(tmp_path)
    for part in (place.folder / "part.h5", place.folder / "sub/part.h5"):
        write_h5(part)
    write(name)(place)
    recording = open_recording([place.file], ["hdf5"], {**RATE, "dataset_name": "mov"})
    interface = next(iter(recording.converter.interfaces.values()))
    assert np.all(interface.extractor.get_series(0, 12) == SECRET)
    interface.extractor.close()


# --- HDF5: parts that were never written -------------------------------------------------------


def unwritten_chunks(place: Place) -> None:
    with h5py.File(place.file, "w") as file:
        movie = file.create_dataset("mov", MOVIE.shape, MOVIE.dtype, chunks=(2, 6, 5))
        movie[:4] = MOVIE[:4]
        movie[8:] = MOVIE[8:]


def unwritten_tiles(place: Place) -> None:
    with h5py.File(place.file, "w") as file:
        movie = file.create_dataset(
            "mov",
            MOVIE.shape,
            MOVIE.dtype,
            chunks=(4, 3, 5),
            compression="gzip",
            maxshape=(None, 6, 5),
        )
        movie[4:8, :3] = MOVIE[4:8, :3]


def unwritten(place: Place) -> None:
    with h5py.File(place.file, "w") as file:
        file.create_dataset("mov", MOVIE.shape, MOVIE.dtype)


def extended(place: Place) -> None:
    with h5py.File(place.file, "w") as file:
        movie = file.create_dataset(
            "mov", data=MOVIE, chunks=(3, 6, 5), maxshape=(None, 6, 5), fillvalue=7
        )
        movie.resize(30, axis=0)


def short_raw(place: Place) -> None:
    (place.folder / "part.raw").write_bytes(MOVIE.tobytes()[:-10])
    raw_file("part.raw")(place)


def without_a_source(place: Place) -> None:
    for index in (0, 2):
        write_h5(place.folder / f"part{index}.h5")
    virtual("part{n}.h5", 3)(place)


def without_a_dataset(place: Place) -> None:
    write_h5(place.folder / "part.h5", "other")
    virtual("part.h5")(place)


def with_a_shorter_source(place: Place) -> None:
    write_h5(place.folder / "part.h5", movie=MOVIE[:5])
    virtual("part.h5")(place)


def with_an_unwritten_source(place: Place) -> None:
    unwritten_chunks(place)
    place.file.rename(place.folder / "part.h5")
    virtual("part.h5")(place)


def with_a_gap(place: Place) -> None:
    write_h5(place.folder / "part.h5")
    layout = h5py.VirtualLayout((40, *MOVIE.shape[1:]), MOVIE.dtype)
    layout[20:32] = h5py.VirtualSource(place.folder / "part.h5", "mov", MOVIE.shape)
    with h5py.File(place.file, "w") as file:
        file.create_virtual_dataset("mov", layout)


def source_in_itself(place: Place) -> None:
    virtual(".", inner="mov")(place)


LACKING = {
    "chunks in the middle": (unwritten_chunks, "lacks 2 of 6 chunks, positions 4 to 7 along"),
    "tiles": (unwritten_tiles, "lacks 5 of 6 chunks, positions 0 to 11 along"),
    "all of a contiguous dataset": (unwritten, "its values were never written"),
    "the end of an extended dataset": (extended, "lacks 6 of 10 chunks, positions 12 to 29"),
    "the raw file": (raw_file("absent.raw"), "'absent.raw', which does not exist"),
    "the end of the raw file": (short_raw, "has 710 bytes instead of 720"),
    "a source": (without_a_source, "reads the file 'part1.h5', which does not exist"),
    "every source": (virtual("absent.h5"), "reads the file 'absent.h5', which does not exist"),
    "a source elsewhere": (virtual("/absent/x.h5"), "reads the file '/absent/x.h5', which"),
    "the dataset of a source": (without_a_dataset, "the dataset 'mov' of '.*part.h5', which does"),
    "the end of a source": (with_a_shorter_source, "reads 360 values of 'mov'"),
    "chunks of a source": (with_an_unwritten_source, "in '.*part.h5' lacks 2 of 6 chunks"),
    "a part of a virtual dataset": (with_a_gap, "states no source for 840 of its 1200 values"),
    "anything but itself": (source_in_itself, "reads itself"),
}


@pytest.mark.parametrize("case", LACKING)
def test_parts_that_are_absent_are_not_zeros(tmp_path, monkeypatch, case):
    place = Place(tmp_path)
    monkeypatch.chdir(place.folder)
    write, match = LACKING[case]
    write(place)
    refused(place.file, CorruptSourceError, match)


@pytest.mark.parametrize("case", ["a source", "the end of a source", "anything but itself"])
@pytest.mark.parametrize("suffix", [".nwb", ".nwb.zarr"])
def test_repack_refuses_virtual_datasets_without_their_sources(tmp_path, case, suffix):
    place = Place(tmp_path)
    path = sample_writers()["write_nwb"](place.folder / "a.nwb", MOVIE)
    LACKING[case][0](place)
    with h5py.File(place.file) as made, h5py.File(path, "r+") as file:
        data = file["acquisition/TwoPhotonSeries/data"]
        attributes = dict(data.attrs)
        del file["acquisition/TwoPhotonSeries/data"]
        h5py.h5o.copy(made.id, b"mov", file.id, b"acquisition/TwoPhotonSeries/data")
        file["acquisition/TwoPhotonSeries/data"].attrs.update(attributes)
        if case == "anything but itself":
            file["mov"] = file["acquisition/TwoPhotonSeries/data"]
    with in_time(), pytest.raises(SourceError, match="irtual dataset"):
        repack(path, place.folder / f"b{suffix}")
    assert not (place.folder / f"b{suffix}").exists()
    refused(path, SourceError, "irtual dataset")


# --- every format: links that lead out, and pipes in place of files ----------------------------

FORMATS = {row.name: row for row in builtin_rows() if row.sample is not None}


@pytest.fixture(scope="module")
def simulated() -> SimulatedRecording:
    return simulate_recording(num_frames=8, num_rows=12, num_columns=14, num_cells=3)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _written(folder: Path, row, recording) -> tuple[Path, dict[str, object]]:
    """Return the path of a sample and the options that open it."""
    folder.mkdir()
    arguments = write_sample(row, folder, recording)
    path = Path(next(iter(arguments.values())))
    return path, dict(list(arguments.items())[1:])


@pytest.mark.parametrize("name", FORMATS)
def test_links_out_of_a_folder_are_refused_in_every_format(tmp_path, simulated, name):
    folder = tmp_path / "recording"
    path, options = _written(folder, FORMATS[name], simulated)
    chosen = _files(folder)[-1]
    (tmp_path / "private").mkdir()
    chosen.rename(tmp_path / "private" / chosen.name)
    chosen.symlink_to(tmp_path / "private" / chosen.name)
    given = path if path.is_dir() else folder
    with pytest.raises(OutsideFolderError, match=f"'{chosen}' is a link to"), in_time():
        open_recording([given], options=options)
    cls = FORMATS[name].load()
    if path.is_dir():
        with pytest.raises(OutsideFolderError, match=f"'{chosen}' is a link to"):
            cls(path, **options)
    allowed = cls(path, **options, allow_outside=tmp_path / "private")
    getattr(allowed.extractor, "close", lambda: None)()


@pytest.mark.parametrize("name", FORMATS)
def test_a_pipe_in_place_of_a_file_is_not_opened(tmp_path, simulated, name):
    folder = tmp_path / "recording"
    path, options = _written(folder, FORMATS[name], simulated)
    for chosen in _files(folder)[:6]:
        kept = tmp_path / "kept"
        chosen.rename(kept)
        os.mkfifo(chosen)
        for given in {path, folder}:
            with in_time(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    recording = open_recording([given], options=options)
                except NwbOphysError:
                    continue
                else:
                    for interface in recording.converter.interfaces.values():
                        getattr(interface.extractor, "close", lambda: None)()
        chosen.unlink()
        kept.rename(chosen)


# --- special files that the user gives ---------------------------------------------------------


def _fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def _socket(path: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))
    return path


def _link_to_fifo(path: Path) -> Path:
    path.symlink_to(_fifo(path.with_name("pipe")))
    return path


SPECIAL = {
    "pipe": (_fifo, r"a named pipe \(FIFO\)"),
    "socket": (_socket, "a socket"),
    "link to a pipe": (_link_to_fifo, "a named pipe"),
    "device": (lambda _: Path("/dev/zero"), "a device"),
    "terminal": (lambda _: Path("/dev/tty"), "a device"),
}
USES = {
    "convert": lambda path: opened(path),
    "detect": lambda path: __import__("nwb_ophys").detect(path),
    "open": lambda path: __import__("nwb_ophys").open(path),
    "repack": lambda path: repack(path, path.parent / "x.nwb"),
    "inspect": lambda path: _inspect(path),
    "metadata": lambda path: _metadata(path),
    "configuration": lambda path: _configuration(path),
}


def _inspect(path: Path) -> None:
    from nwb_ophys.inspection import inspect_file

    inspect_file(path)


def _metadata(path: Path) -> None:
    from nwb_ophys.metadata import load_metadata

    load_metadata(path)


def _configuration(path: Path) -> None:
    from nwb_ophys.storage import BackendConfiguration

    BackendConfiguration.from_yaml(path)


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("use", USES)
def test_special_files_are_refused_at_once(tmp_path, kind, use):
    make, words = SPECIAL[kind]
    path = make(tmp_path / "movie.h5")
    with in_time(), pytest.raises(SpecialFileError, match=f"'{path}' is {words}"):
        USES[use](path)


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_special_files_are_not_written_to(tmp_path, kind):
    from nwb_ophys.opening import write_text
    from nwb_ophys.storage import check_target

    path = SPECIAL[kind][0](tmp_path / "out.nwb")
    for write in (
        lambda: check_target(path, overwrite=True),
        lambda: check_target(path, append=True),
        lambda: write_text(path, "a: 1", overwrite=True),
    ):
        with in_time(), pytest.raises(OutputError, match="not a file; give the name of a file"):
            write()


@pytest.mark.parametrize("name", ["pipe.h5", "{folder}/pipe.h5"])
@pytest.mark.parametrize("write", [external_link, virtual, raw_file])
def test_special_files_that_a_file_names_are_refused(tmp_path, monkeypatch, name, write):
    place = Place(tmp_path)
    monkeypatch.chdir(place.folder)
    write(name)(place)
    _fifo(place.folder / "pipe.h5")
    refused(place.file, SpecialFileError, "pipe.h5' is a named pipe")
