"""Case c: raw files on disk to HDF5, with the interface of their format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.model import Comparison, Contender, Job, Setup
from benchmarks.peers import neuroconv_convert
from benchmarks.session import METADATA
from benchmarks.sources import SAMPLING_FREQUENCY, load_noise, make_noise, num_frames, read_through

#: Frames at full scale: 300 MB.
_NUM_FRAMES = 572

#: By file name: title, name of the interface in both packages, and its further arguments.
_FILES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "plain.tif": ("TIFF file", "TiffImagingInterface", {"sampling_frequency": SAMPLING_FREQUENCY}),
    "lzw.tif": (
        "TIFF file compressed with LZW",
        "TiffImagingInterface",
        {"sampling_frequency": SAMPLING_FREQUENCY},
    ),
    "scanimage.tif": ("ScanImage file", "ScanImageImagingInterface", {}),
}


def _make_sources(folder: Path, scale: float) -> None:
    from nwb_ophys.testing import write_scanimage, write_tiff

    make_noise(folder, scale)
    movie = load_noise(folder, num_frames(scale, _NUM_FRAMES))
    writers: dict[str, Callable[[Path], Any]] = {
        "plain.tif": lambda path: write_tiff(path, movie),
        "lzw.tif": lambda path: write_tiff(path, movie, compression="lzw"),
        "scanimage.tif": lambda path: write_scanimage(path, movie),
    }
    for name, write in writers.items():
        if not (folder / name).exists():
            write(folder / name)


def _ours(name: str) -> Callable[[Setup], Job]:
    def prepare(setup: Setup) -> Job:
        import nwb_ophys

        _, interface_name, arguments = _FILES[name]
        interface = getattr(nwb_ophys, interface_name)

        def run() -> None:
            opened = interface(setup.sources / name, **arguments)
            opened.run_conversion(setup.target, metadata=METADATA, progress=False)

        return _job(setup, name, run)

    return prepare


def _neuroconv(name: str) -> Callable[[Setup], Job]:
    def prepare(setup: Setup) -> Job:
        from neuroconv import datainterfaces

        _, interface_name, arguments = _FILES[name]
        interface = getattr(datainterfaces, interface_name)

        def run() -> None:
            opened = interface(file_path=str(setup.sources / name), **arguments)
            neuroconv_convert(opened, setup.target)()

        return _job(setup, name, run)

    return prepare


def _job(setup: Setup, name: str, run: Callable[[], None]) -> Job:
    read_through(setup.sources / name)
    frame_bytes = load_noise(setup.sources, 1).nbytes
    return Job(run=run, num_bytes=num_frames(setup.scale, _NUM_FRAMES) * frame_bytes)


def raw_file_comparisons() -> list[Comparison]:
    """Return the comparisons of case c."""
    return [
        Comparison(
            key=f"c-{name.partition('.')[0]}",
            title=f"{title} to HDF5",
            timed=(
                "The whole conversion is timed: opening the interface, metadata, reading, writing. "
                "The raw file was read once before, so that it is in the system's cache."
            ),
            contenders=[
                Contender(name="neuroconv", prepare=_neuroconv(name)),
                Contender(name="nwb_ophys", prepare=_ours(name)),
            ],
            make_sources=_make_sources,
        )
        for name, (title, _, _) in _FILES.items()
    ]
