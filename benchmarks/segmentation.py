"""Case d: ROIs in a Suite2p folder to HDF5."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from benchmarks.analysed import NUM_SAMPLES, add_delta_f, make_suite2p
from benchmarks.model import Comparison, Contender, Job, Setup
from benchmarks.peers import neuroconv_convert
from benchmarks.session import METADATA
from benchmarks.sources import FIELD_SHAPE

NUMBERS = (100, 1500, 10_000)

#: By the end of the key: what is written, the folder it is in, and the form of the masks.
PARTS = {
    "image": ("image masks and 4 traces", "traces", "image"),
    "pixel": ("pixel masks and 4 traces", "traces", "pixel"),
    "image-alone": ("image masks alone", "masks", "image"),
    "pixel-alone": ("pixel masks alone", "masks", "pixel"),
}

#: Dense masks of float64 beyond this size in bytes are not asked of neuroconv.
_DENSE_LIMIT = 8e9


def _folder(sources: Path, full: int, scale: float) -> Path:
    return sources / f"suite2p-{max(10, round(full * scale))}"


def _make_sources(full: int, folder: Path, scale: float) -> None:
    target = _folder(folder, full, scale)
    if not target.exists():
        make_suite2p(target, int(target.name.partition("-")[2]))


def _ours(full: int, part: str) -> Callable[[Setup], Job]:
    def prepare(setup: Setup) -> Job:
        from nwb_ophys import Suite2pSegmentationInterface

        _, name, mask_type = PARTS[part]
        folder = _folder(setup.sources, full, setup.scale) / name / "suite2p"
        interface = Suite2pSegmentationInterface(folder)
        add_delta_f(interface.extractor, folder / "plane0")
        return Job(
            run=lambda: interface.run_conversion(
                setup.target, metadata=METADATA, mask_type=mask_type, progress=False
            ),
            num_bytes=_num_bytes(interface.extractor.get_num_rois(), part),
        )

    return prepare


def _neuroconv(full: int, part: str) -> Callable[[Setup], Job]:
    def prepare(setup: Setup) -> Job:
        from neuroconv.datainterfaces import Suite2pSegmentationInterface

        _, name, mask_type = PARTS[part]
        folder = _folder(setup.sources, full, setup.scale) / name / "suite2p"
        interface = Suite2pSegmentationInterface(folder_path=str(folder))
        add_delta_f(interface.segmentation_extractor, folder / "plane0")
        return Job(
            run=neuroconv_convert(interface, setup.target, mask_type=mask_type),
            num_bytes=_num_bytes(interface.segmentation_extractor.get_num_rois(), part),
        )

    return prepare


def _num_bytes(num_rois: int, part: str) -> int | None:
    """Return the bytes of image masks in float32, and of traces; None of pixel masks."""
    if part.startswith("pixel"):
        return None
    traces = 2 if part.endswith("alone") else 4 * NUM_SAMPLES
    return 4 * num_rois * (FIELD_SHAPE[0] * FIELD_SHAPE[1] + traces)


def _too_large(number: int, part: str) -> str:
    needed = 8 * number * FIELD_SHAPE[0] * FIELD_SHAPE[1]
    if part.startswith("pixel") or needed < _DENSE_LIMIT:
        return ""
    return f"not run: its dense masks alone need {needed / 1e9:.0f} GB of memory"


def segmentation_comparisons() -> list[Comparison]:
    """Return the comparisons of case d."""
    return [
        Comparison(
            key=f"d-{number}-{part}",
            title=f"{number:,} ROIs, {what}, to HDF5",
            timed=(
                "A Suite2p folder: disks of about 100 pixels in a field of 512 × 512, and float32 "
                f"traces of {NUM_SAMPLES:,} samples. Timed is the conversion by the interface, "
                "which is open already. Of masks alone the folder has no images, and one "
                "trace of two samples."
            ),
            contenders=[
                Contender(
                    name="neuroconv",
                    prepare=_neuroconv(number, part),
                    not_run=_too_large(number, part),
                ),
                Contender(name="nwb_ophys", prepare=_ours(number, part)),
            ],
            make_sources=functools.partial(_make_sources, number),
        )
        for number in NUMBERS
        for part, (what, _, _) in PARTS.items()
    ]
