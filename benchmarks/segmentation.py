"""Case d: ROIs to HDF5, from a Suite2p folder and from images of masks in memory.

neuroconv 0.10 writes masks in the form of their source and ignores ``mask_type``: pixel
masks from Suite2p, image masks from images. What it needs for image masks is therefore measured
from images, and what we need both from images and from Suite2p.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from benchmarks.analysed import NUM_SAMPLES, add_delta_f, dense_extractor, make_suite2p
from benchmarks.model import Comparison, Contender, Job, Setup
from benchmarks.ours import write_segmentation
from benchmarks.peers import neuroconv_convert, neuroconv_write_segmentation
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

_TIMED = (
    "ROIs are disks of about 100 pixels in a field of 512 × 512, traces are float32 with "
    f"{NUM_SAMPLES:,} samples. Adding to an `NWBFile` and writing are timed, from an open source: "
    "a Suite2p folder, or float32 images and traces in memory (*from images*). neuroconv writes "
    "masks in the form of their source, so it always writes pixel masks from Suite2p. For masks "
    "alone the source has no summary images, and one trace of two samples."
)

#: Images of more bytes than this are not held in memory.
_LARGEST_SOURCE = 4e9

Prepare = Callable[[Setup], Job]


def _plane(sources: Path, full: int, scale: float, part: str) -> Path:
    name = f"suite2p-{max(10, round(full * scale))}"
    return sources / name / PARTS[part][1] / "suite2p" / "plane0"


def _make_sources(full: int, sources: Path, scale: float) -> None:
    folder = _plane(sources, full, scale, "image").parents[2]
    if not folder.exists():
        make_suite2p(folder, int(folder.name.partition("-")[2]))


def _ours(full: int, part: str) -> Prepare:
    def prepare(setup: Setup) -> Job:
        from nwb_ophys import Suite2pSegmentationInterface

        plane = _plane(setup.sources, full, setup.scale, part)
        interface = Suite2pSegmentationInterface(plane.parent)
        add_delta_f(interface.extractor, plane)
        options = {"metadata": METADATA, "mask_type": PARTS[part][2], "progress": False}
        return Job(
            run=lambda: interface.run_conversion(setup.target, **options),
            num_bytes=_num_bytes(interface.extractor.get_num_rois(), part),
        )

    return prepare


def _neuroconv(full: int, part: str) -> Prepare:
    def prepare(setup: Setup) -> Job:
        from neuroconv.datainterfaces import Suite2pSegmentationInterface

        plane = _plane(setup.sources, full, setup.scale, part)
        interface = Suite2pSegmentationInterface(folder_path=str(plane.parent))
        add_delta_f(interface.segmentation_extractor, plane)
        return Job(run=neuroconv_convert(interface, setup.target))

    return prepare


def _from_images(write: Callable[..., Callable[[], None]], full: int, part: str) -> Prepare:
    def prepare(setup: Setup) -> Job:
        extractor = dense_extractor(_plane(setup.sources, full, setup.scale, part))
        num_bytes = _num_bytes(extractor.get_num_rois(), part)
        return Job(run=write(extractor, setup.target), num_bytes=num_bytes)

    return prepare


def _num_bytes(num_rois: int, part: str) -> int | None:
    """Return the bytes of float32 image masks and of traces, or None for pixel masks."""
    if part.startswith("pixel"):
        return None
    traces = 2 if part.endswith("alone") else 4 * NUM_SAMPLES
    return 4 * num_rois * (FIELD_SHAPE[0] * FIELD_SHAPE[1] + traces)


def _contenders(full: int, part: str) -> list[Contender]:
    if part.startswith("pixel"):
        return [
            Contender(name="neuroconv", prepare=_neuroconv(full, part)),
            Contender(name="nwb_ophys", prepare=_ours(full, part)),
        ]
    size = 4 * full * FIELD_SHAPE[0] * FIELD_SHAPE[1]
    reason = f"not run: the images need {size / 1e9:.0f} GB of memory"
    reason = reason if size > _LARGEST_SOURCE else ""
    writers = {"neuroconv": neuroconv_write_segmentation, "nwb_ophys": write_segmentation}
    return [
        *(
            Contender(
                name=f"{name}, from images",
                prepare=_from_images(write, full, part),
                not_run=reason,
            )
            for name, write in writers.items()
        ),
        Contender(name="nwb_ophys, from Suite2p", prepare=_ours(full, part)),
        Contender(name="neuroconv, from Suite2p: pixel masks", prepare=_neuroconv(full, part)),
    ]


def segmentation_comparisons() -> list[Comparison]:
    """Return the comparisons of case d."""
    return [
        Comparison(
            key=f"d-{number}-{part}",
            title=f"{number:,} ROIs, {what}",
            timed=_TIMED,
            contenders=_contenders(number, part),
            make_sources=functools.partial(_make_sources, number),
        )
        for number in NUMBERS
        for part, (what, _, _) in PARTS.items()
    ]
