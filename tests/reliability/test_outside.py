"""Recordings whose files lead elsewhere, lack parts, or are no files at all.

Each case is opened as ``nwb-ophys convert`` opens it, and must be refused within ten seconds with
an error that names the file, before anything outside of the recording's folder is read.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest

from nwb_ophys import Hdf5ImagingInterface
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
    """Fail if the block waits for something, or takes more than ten seconds of the processor.

    The time on the clock may be six times as long, since a loaded machine is slow.
    """

    def end(*_: object) -> None:
        raise TimeoutError("waited for a pipe, a device or the end of a circle")

    start = time.process_time()
    previous = signal.signal(signal.SIGALRM, end)
    signal.alarm(6 * _SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
    assert time.process_time() - start < _SECONDS


def opened(path: Path, **options: object) -> np.ndarray:
    """Return the first frames of a recording, opened as the command line opens it."""
    with in_time(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        recording = open_recording([path], options=options)
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
        return np.asarray(extractor.get_series(0, 1))
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
    match = "lies outside of the folder.*give allow_outside="
    refused(path, OutsideFolderError, match, dataset_name="mov", **RATE)


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
    refused(place.file, CorruptSourceError, match, **RATE)


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
    return simulate_recording(num_cells=3)


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
    from nwb_ophys.opening import write_metadata
    from nwb_ophys.storage import check_target

    path = SPECIAL[kind][0](tmp_path / "out.nwb")
    for write in (
        lambda: check_target(path, overwrite=True),
        lambda: check_target(path, append=True),
        lambda: write_metadata(path, "a: 1", overwrite=True),
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
    refused(place.file, SpecialFileError, "pipe.h5' is a named pipe", **RATE)


# --- names in texts ----------------------------------------------------------------------------


def _elsewhere(folder: Path, pattern: str) -> tuple[Path, Path]:
    """Move a file of a recording out of its folder; return where it was and where it is."""
    inside = sorted(folder.rglob(pattern))[-1]
    outside = folder.parent / "private" / inside.name
    outside.parent.mkdir(exist_ok=True)
    inside.rename(outside)
    return inside, outside


def _replace(file: Path, old: str, new: str) -> None:
    content = file.read_bytes()
    assert old.encode() in content
    file.write_bytes(content.replace(old.encode(), new.encode()))


def _ome_files(folder: Path, name: str) -> Path:
    """Write an OME-TIFF of two files, whose first names the second."""
    paths = sample_writers()["write_ome_tiff"](folder, MOVIE, num_files=2)
    inside, _ = _elsewhere(folder, paths[-1].name)
    placed = name.format(outside=folder.parent / "private", file=inside.name)
    # The XML has a fixed length in the file, so that the name is replaced by one as long.
    _rewrite_xml(paths[0], f'FileName="{inside.name}"', f'FileName="{placed}"')
    return paths[0]


def _rewrite_xml(path: Path, old: str, new: str) -> None:
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        text, pixels = tiff.pages.first.description, tiff.asarray(series=None, key=slice(None))
    assert old in text, text
    tifffile.imwrite(
        path,
        np.atleast_3d(pixels),
        description=text.replace(old, new).encode(),
        metadata=None,
        photometric="minisblack",
    )


def _companion(folder: Path, name: str) -> Path:
    """Write an OME-TIFF whose XML is in another file."""
    import tifffile

    (path,) = sample_writers()["write_ome_tiff"](folder / "movie.ome.tif", MOVIE)
    with tifffile.TiffFile(path) as tiff:
        whole, pixels = tiff.pages.first.description, tiff.asarray()
    private = folder.parent / "private"
    private.mkdir(exist_ok=True)
    (private / "movie.companion.ome").write_text(whole)
    placed = name.format(outside=private, file="movie.companion.ome")
    head = whole[: whole.index(">", whole.index("<OME")) + 1]
    text = f'{head}<BinaryOnly MetadataFile="{placed}" UUID="urn:uuid:1"/></OME>'
    tifffile.imwrite(path, pixels, description=text.encode(), metadata=None)
    return path


def _bruker(folder: Path, name: str) -> Path:
    sample_writers()["write_bruker"](folder, MOVIE, sampling_frequency=30.0)
    inside, outside = _elsewhere(folder, "*.tif")
    placed = name.format(outside=outside.parent, file=inside.name)
    _replace(next(folder.glob("*.xml")), f'filename="{inside.name}"', f'filename="{placed}"')
    return folder


def _ndtiff(folder: Path, name: str) -> Path:
    import struct

    path = sample_writers()["write_ndtiff"](folder, {"GFP": MOVIE}, num_files=1)
    inside, outside = _elsewhere(folder, "*.tif")
    placed = name.format(outside=outside.parent, file=inside.name).encode()
    old, index = inside.name.encode(), folder / "NDTiff.index"
    content = index.read_bytes()
    old, new = (struct.pack("<I", len(each)) + each for each in (old, placed))
    assert old in content
    index.write_bytes(content.replace(old, new))
    return path


NAMING = {
    "OME-XML, UUID FileName": _ome_files,
    "OME-XML, MetadataFile": _companion,
    "Bruker XML": _bruker,
}
NAMES = ["../private/{file}", "{outside}/{file}", "sub/../../private/{file}", "sub/link/{file}"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", NAMING)
def test_names_in_texts_do_not_lead_out(tmp_path, case, name):
    folder = tmp_path / "recording"
    (folder / "sub").mkdir(parents=True)
    path = NAMING[case](folder, name)
    if "link" in name:
        (folder / "sub/link").symlink_to(tmp_path / "private")
    refused(path, OutsideFolderError, "lies outside of the folder")
    if "link" not in name:  # allowed, the same files give the movie
        assert np.all(opened(path, allow_outside=str(tmp_path / "private")) == SECRET)


@pytest.mark.parametrize("name", NAMES)
def test_the_index_of_ndtiff_names_files_of_its_folder_only(tmp_path, name):
    folder = tmp_path / "recording"
    folder.mkdir()
    path = _ndtiff(folder, name)
    refused(path, CorruptSourceError, "NDTiff.index'.*it states .* the file '.*/")


@pytest.mark.parametrize("case", NAMING)
def test_pipes_that_a_text_names_are_refused(tmp_path, case):
    folder = tmp_path / "recording"
    (folder / "sub").mkdir(parents=True)
    path = NAMING[case](folder, "sub/{file}")
    _fifo(folder / "sub" / sorted((tmp_path / "private").iterdir())[0].name)
    refused(path, SpecialFileError, "a named pipe")


# --- Zarr --------------------------------------------------------------------------------------


def _store(path: Path) -> Path:
    """Write an NWB file with a movie as a Zarr store, of several chunks."""
    from nwb_ophys.storage import BackendConfiguration

    path.parent.mkdir(exist_ok=True)
    source = sample_writers()["write_nwb"](path.parent / "source.nwb", np.tile(MOVIE, (20, 8, 8)))
    repack(source, path, configuration=BackendConfiguration(backend="zarr", chunk_mb=0.1))
    source.unlink()
    return path


DATA = "acquisition/TwoPhotonSeries/data"


def _chunks(store: Path) -> list[Path]:
    return sorted(path for path in (store / DATA).iterdir() if path.name[0].isdigit())


def _reference(store: Path, **reference: str) -> None:
    import json

    group = store / "acquisition/TwoPhotonSeries"
    attributes = json.loads((group / ".zattrs").read_text())
    link = {"name": "data", "path": f"/{DATA}", **reference}
    attributes["zarr_link"] = [*attributes.get("zarr_link", []), link]
    (group / ".zattrs").write_text(json.dumps(attributes))
    (store / ".zmetadata").unlink(missing_ok=True)


def _elsewhere_store(store: Path, source: str) -> None:
    import shutil

    _store(store.parent.parent / "private/secret.nwb.zarr")
    shutil.rmtree(store / DATA)
    _reference(store, source=source.format(outside=store.parent.parent / "private"))


def _chunk_link(store: Path, target: str) -> None:
    chunk = _chunks(store)[0]
    chunk.unlink()
    chunk.symlink_to(target)


def _array_link(store: Path) -> None:
    private = store.parent.parent / "private"
    private.mkdir()
    (store / DATA).rename(private / "data")
    (store / DATA).symlink_to(private / "data")


def _chunk_pipe(store: Path) -> None:
    chunk = _chunks(store)[-1]
    chunk.unlink()
    os.mkfifo(chunk)


STORES = {
    "reference, relative": (
        lambda store: _elsewhere_store(store, "../../private/secret.nwb.zarr"),
        OutsideFolderError,
    ),
    "reference, absolute": (
        lambda store: _elsewhere_store(store, "{outside}/secret.nwb.zarr"),
        OutsideFolderError,
    ),
    "reference to the system": (
        lambda store: _elsewhere_store(store, "/etc"),
        OutsideFolderError,
    ),
    "chunk, link to passwords": (
        lambda store: _chunk_link(store, "/etc/passwd"),
        OutsideFolderError,
    ),
    "chunk, link to a device": (lambda store: _chunk_link(store, "/dev/zero"), SpecialFileError),
    "chunk, a pipe": (_chunk_pipe, SpecialFileError),
    "array, a link": (_array_link, OutsideFolderError),
}


@pytest.mark.parametrize("case", STORES)
def test_zarr_stores_do_not_lead_out(tmp_path, case):
    store = _store(tmp_path / "recording/session.nwb.zarr")
    damage, error = STORES[case]
    damage(store)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        refused(store, error, "zarr")
        with in_time(), pytest.raises(error):
            repack(store, tmp_path / "copy.nwb.zarr")
        with in_time(), pytest.raises(error):
            repack(store, tmp_path / "copy.nwb")
    assert not list(tmp_path.glob("copy*"))


def test_a_reference_in_a_circle_ends(tmp_path):
    store = _store(tmp_path / "recording/session.nwb.zarr")
    _reference(store, source=".", name="again", path="/acquisition")
    with in_time(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        refused(store, CorruptSourceError, "session.nwb.zarr'.* links lead in a circle")


@pytest.mark.parametrize("kind", ["hard", "soft", "external"])
def test_a_link_in_a_circle_ends(tmp_path, kind):
    path = sample_writers()["write_nwb"](tmp_path / "session.nwb", MOVIE)
    with h5py.File(path, "r+") as file:
        links = {
            "hard": file["acquisition"],
            "soft": h5py.SoftLink("/acquisition"),
            "external": h5py.ExternalLink("session.nwb", "/acquisition"),
        }
        file["acquisition/TwoPhotonSeries/again"] = links[kind]
    refused(path, CorruptSourceError, "session.nwb'.* links lead in a circle")
    with pytest.raises(CorruptSourceError, match="'acquisition/TwoPhotonSeries/again' leads to"):
        open_recording([path])
    _check_that_other_threads_may_read(path)
    with in_time():
        repack(path, tmp_path / "copy.nwb")


def test_groups_that_are_nested_too_deep_are_refused(tmp_path):
    path = sample_writers()["write_nwb"](tmp_path / "session.nwb", MOVIE)
    with h5py.File(path, "r+") as file:
        file.create_group("scratch/" + "/".join(["deeper"] * 100))
    refused(path, CorruptSourceError, "nested deeper than 64 levels")
    _check_that_other_threads_may_read(path)


def _check_that_other_threads_may_read(path):
    """An error of the recursion within h5py would leave its lock held by this thread."""
    read = []

    def run():
        with h5py.File(path) as file:
            read.append(file.attrs["nwb_version"])

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(20)
    assert read


@pytest.mark.parametrize("index", [0, 1, -1])
def test_a_chunk_without_a_file_is_not_zeros(tmp_path, index):
    store = _store(tmp_path / "recording/session.nwb.zarr")
    chunks = _chunks(store)
    assert len(chunks) > 2
    chunks[index].unlink()
    refused(store, CorruptSourceError, f"{DATA}' lacks 1 of {len(chunks)} chunks, positions")


def test_a_folder_in_place_of_a_chunk_is_not_zeros(tmp_path):
    store = _store(tmp_path / "recording/session.nwb.zarr")
    chunks = _chunks(store)
    chunks[1].unlink()
    chunks[1].mkdir()
    refused(store, CorruptSourceError, f"{DATA}' lacks 1 of {len(chunks)} chunks, positions")


@pytest.mark.parametrize("name", ["C", "max_proj", "Y_fm_chk"])
def test_a_chunk_of_minian_without_a_file_is_not_zeros(tmp_path, simulated, name):
    kind = "minian-movie" if name == "Y_fm_chk" else "minian"
    path, options = _written(tmp_path / "recording", FORMATS[kind], simulated)
    chunk = sorted((path / f"{name}.zarr" / name).glob("[0-9]*"))[-1]
    chunk.unlink()
    refused(path, CorruptSourceError, f"{name}.zarr/{name}' lacks 1 of", **options)


def test_a_movie_with_dark_frames_is_whole(tmp_path, backend):
    """Chunks of zeros are stored, so that an absent one is one that was lost."""
    from nwb_ophys import NumpyImagingInterface

    movie = np.zeros((40, 30, 20), np.uint16)
    movie[:3] = SECRET
    np.save(tmp_path / "movie.npy", movie)
    interface = NumpyImagingInterface(tmp_path / "movie.npy", sampling_frequency=30.0)
    metadata = interface.get_metadata()
    metadata["NWBFile"]["session_start_time"] = "2024-05-17T14:30:00+02:00"
    path = tmp_path / ("dark.nwb" if backend == "hdf5" else "dark.nwb.zarr")
    options = {"iterator_options": {"chunk_shape": (4, 20, 30)}}
    interface.run_conversion(path, metadata=metadata, conversion_options=options, backend=backend)
    assert np.all(opened(path) == SECRET)


# --- circles -----------------------------------------------------------------------------------


def _circle_of_groups(place: Place) -> None:
    with h5py.File(place.file, "w") as file:
        inner = file.create_group("a/b/c")
        inner["again"] = file["a"]
        inner["top"] = file["/"]
        inner["soft"] = h5py.SoftLink("/a/b/c/soft")
        file["mov"] = MOVIE


def _circle_of_files(place: Place) -> None:
    with h5py.File(place.folder / "other.h5", "w") as file:
        file["back"] = h5py.ExternalLink("movie.h5", "/there")
    with h5py.File(place.file, "w") as file:
        file["there"] = h5py.ExternalLink("other.h5", "/back")
        file["self"] = h5py.ExternalLink("movie.h5", "/self")
        file["mov"] = MOVIE


def _circle_of_folders(place: Place) -> None:
    write_h5(place.file)
    (place.folder / "again").symlink_to(place.folder)
    (place.folder / "sub/up").symlink_to(place.folder)
    (place.folder / "one").symlink_to(place.folder / "two")
    (place.folder / "two").symlink_to(place.folder / "one")


CIRCLES = {
    "groups": _circle_of_groups,
    "files": _circle_of_files,
    "folders": _circle_of_folders,
}


@pytest.mark.parametrize("case", CIRCLES)
@pytest.mark.parametrize("given", ["file", "folder"])
def test_circles_of_links_end(tmp_path, case, given):
    from nwb_ophys import detect

    place = Place(tmp_path)
    CIRCLES[case](place)
    path = place.file if given == "file" else place.folder
    with in_time(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert detect(path)
    assert np.all(opened(place.file, **RATE) == SECRET)


# --- links that are the user's own, and those of DataLad ---------------------------------------


def test_a_path_that_is_a_link_is_followed(tmp_path):
    """A user may give a link; what lies beside its target belongs to the recording."""
    place = Place(tmp_path)
    external_link("part.h5")(place)
    write_h5(place.folder / "part.h5")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/movie.h5").symlink_to(place.file)
    (tmp_path / "mine/folder").symlink_to(place.folder)
    options = {"dataset_name": "mov", **RATE}
    for path in (tmp_path / "mine/movie.h5", tmp_path / "mine/folder/movie.h5"):
        recording = open_recording([path], ["hdf5"], options)
        interface = next(iter(recording.converter.interfaces.values()))
        assert np.all(interface.extractor.get_series(0, 1) == SECRET)
        interface.extractor.close()


@pytest.mark.parametrize("given", ["recording", "recording/sub-1", "recording/sub-1/movie.h5"])
def test_links_of_datalad_are_followed(tmp_path, given):
    folder = tmp_path / "recording"
    stored = folder / ".git/annex/objects/Xk/9f/MD5E-s1/MD5E-s1"
    stored.mkdir(parents=True)
    write_h5(stored / "movie.h5")
    (folder / "sub-1").mkdir()
    target = "../.git/annex/objects/Xk/9f/MD5E-s1/MD5E-s1/movie.h5"
    (folder / "sub-1/movie.h5").symlink_to(target)
    assert np.all(opened(tmp_path / given, **RATE) == SECRET)


def test_the_store_of_another_data_set_is_not_that_of_datalad(tmp_path):
    folder = tmp_path / "recording"
    folder.mkdir()
    stored = tmp_path / "other/.git/annex/objects"
    stored.mkdir(parents=True)
    (folder / "movie.h5").symlink_to(write_h5(stored / "movie.h5"))
    refused(folder, OutsideFolderError, "movie.h5' is a link to", **RATE)


def test_detection_names_links_that_it_does_not_follow(tmp_path):
    from nwb_ophys import detect

    place = Place(tmp_path)
    write_h5(place.file)
    (place.folder / "other.h5").symlink_to(place.secret)
    (place.folder / "more").symlink_to(place.outside)
    with pytest.warns(UserWarning, match="Links in .*more', .*other.h5'"):
        found = detect(place.folder)
    assert [candidate.path for candidate in found] == [place.file]


def test_commands_name_their_own_flag(tmp_path):
    from click.testing import CliRunner

    from nwb_ophys.cli.repack import repack as command

    place = Place(tmp_path)
    path = sample_writers()["write_nwb"](place.folder / "a.nwb", MOVIE)
    with h5py.File(path, "r+") as file:
        shape, raw = MOVIE.shape, str(place.raw)
        file.create_dataset("more", shape, "u2", external=[(raw, 0, MOVIE.nbytes)])
    output = place.folder / "b.nwb"
    given = [str(path), "-o", str(output), "--no-progress"]
    result = CliRunner().invoke(command, given)
    assert isinstance(result.exception, OutsideFolderError)
    assert f"(on the command line --allow-outside {place.outside})" in str(result.exception)
    CliRunner().invoke(command, [*given, "--allow-outside", str(place.outside)])
    with h5py.File(output) as file:
        assert not file["more"].external
        assert np.all(file["more"][:] == SECRET)


# --- damage that ends a search for links --------------------------------------------------------


def _damage(path: Path, name: str) -> None:
    """Overwrite the header of an object, so that HDF5 cannot open it."""
    with h5py.File(path) as file:
        address = h5py.h5o.get_info(file[name].id).addr
    content = bytearray(path.read_bytes())
    content[address : address + 4] = b"\xff" * 4
    path.write_bytes(content)


@pytest.mark.parametrize("case", ["external link", "raw file", "virtual dataset"])
@pytest.mark.parametrize("kind", ["dataset", "group"])
def test_a_damaged_object_hides_no_name_of_a_file(tmp_path, case, kind):
    """Fault: the search for names ended at it, so that HDF5 followed all that come after it."""
    place = Place(tmp_path)
    {
        "external link": external_link("../private/secret.h5"),
        "raw file": raw_file("../private/secret.raw"),
        "virtual dataset": virtual("../private/secret.h5"),
    }[case](place)
    with h5py.File(place.file, "a") as file:
        if kind == "dataset":
            file["a"] = np.arange(10)
        else:
            file["a/b"] = np.arange(10)
    _damage(place.file, "a")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with in_time(), pytest.raises(OutsideFolderError, match="outside of the folder"):
            Hdf5ImagingInterface(place.file, sampling_frequency=30.0)


def test_groups_nested_without_end_are_refused(tmp_path):
    path = tmp_path / "deep.h5"
    with h5py.File(path, "w") as file:
        file["mov"] = MOVIE
        group = file
        for _ in range(1_000):
            group = group.create_group("a")
    refused(path, CorruptSourceError, r"deep\.h5' is not read: its groups are nested deeper than")
