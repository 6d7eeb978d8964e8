"""Case g: recordings of one small file per frame, of which only the headers are read."""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.model import Comparison, Contender, Job, Setup
from benchmarks.sources import num_frames

#: Frames at full scale.
_NUM_FRAMES = 50_000
_STEM = "TSeries-1"
_PERIOD = 0.032950206

_HEADER = """<?xml version="1.0" encoding="utf-8"?>
<PVScan version="5.6.64.400" date="11/3/2022 11:20:34 AM" notes="">
  <PVStateShard>
    <PVStateValue key="activeMode" value="ResonantGalvo" />
    <PVStateValue key="framePeriod" value="0.032950206" />
    <PVStateValue key="laserPower">
      <IndexedValue index="0" value="599.609375" description="920 Axon" />
      <IndexedValue index="1" value="0" description="1064 Axon" />
    </PVStateValue>
    <PVStateValue key="micronsPerPixel">
      <IndexedValue index="XAxis" value="1.1078125" />
      <IndexedValue index="YAxis" value="1.1078125" />
      <IndexedValue index="ZAxis" value="260" />
    </PVStateValue>
    <PVStateValue key="objectiveLens" value="16X" />
    <PVStateValue key="pmtGain">
      <IndexedValue index="0" value="0" description="PMT 1 HV (Red)" />
      <IndexedValue index="1" value="700" description="PMT 2 HV (Green)" />
    </PVStateValue>
    <PVStateValue key="rastersPerFrame" value="1" />
    <PVStateValue key="scanLinePeriod" value="6.3123E-05" />
    <PVStateValue key="zDevice" value="1" />
  </PVStateShard>
  <Sequence type="TSeries Timed Element" cycle="1" time="11:20:34.9066674">
    <PVStateShard />
"""
_FRAME = """\
    <Frame relativeTime="{time:.9f}" absoluteTime="{absolute:.14f}" index="{index}" \
parameterSet="CurrentSettings">
      <File channel="2" channelName="Ch2" filename="{name}" />
      <ExtraParameters lastGoodFrame="0" />
      <PVStateShard>
        <PVStateValue key="framePeriod" value="0.032950206" />
        <PVStateValue key="positionCurrent">
          <SubindexedValues index="XAxis">
            <SubindexedValue subindex="0" value="14.927" />
          </SubindexedValues>
          <SubindexedValues index="YAxis">
            <SubindexedValue subindex="0" value="56.215" />
          </SubindexedValues>
          <SubindexedValues index="ZAxis">
            <SubindexedValue subindex="0" value="166.575" description="Z Focus" />
            <SubindexedValue subindex="1" value="-130" description="Optotune ETL 10-30" />
          </SubindexedValues>
        </PVStateValue>
        <PVStateValue key="scanLinePeriod" value="6.3123E-05" />
      </PVStateShard>
    </Frame>
"""
_OME = '<?xml version="1.0"?><OME UUID="urn:uuid:{own}">{content}</OME>'
_LISTED = (
    '<TiffData FirstC="0" FirstT="{index}" FirstZ="0" PlaneCount="1" IFD="0">'
    '<UUID FileName="{name}">urn:uuid:{own}</UUID></TiffData>'
)


def write_bruker_frames(folder: Path, count: int) -> Path:
    """Write a recording of Prairie View with one image of 8x8 pixels per file.

    The XML file and the descriptions in the images have the structure of Prairie View 5.6: the
    first image lists the names and UUIDs of all, and each image states its own UUID.

    Parameters
    ----------
    folder : pathlib.Path
        Made if it does not exist.
    count : int
        Number of frames.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{_STEM}_Cycle00001_Ch2_{number:06d}.ome.tif" for number in range(1, count + 1)]
    owns = [str(uuid.UUID(int=number)) for number in range(1, count + 1)]
    placeholder = str(uuid.UUID(int=0))
    listed = (
        _LISTED.format(index=i, name=name, own=own)
        for i, (name, own) in enumerate(zip(names, owns, strict=True))
    )
    first = f'<Image ID="Image:1"><Pixels ID="Pixels:1">{"".join(listed)}</Pixels></Image>'
    (folder / names[0]).write_bytes(_image(_OME.format(own=owns[0], content=first)))
    content = f'<BinaryOnly MetadataFile="{names[0]}" UUID="urn:uuid:{owns[0]}"/>'
    other = _image(_OME.format(own=placeholder, content=content))
    for name, own in zip(names[1:], owns[1:], strict=True):
        (folder / name).write_bytes(other.replace(placeholder.encode(), own.encode(), 1))
    with (folder / f"{_STEM}.xml").open("w", encoding="utf-8-sig") as file:
        file.write(_HEADER)
        for index, name in enumerate(names):
            time = index * _PERIOD
            file.write(_FRAME.format(time=time, absolute=time + 6.71, index=index + 1, name=name))
        file.write("  </Sequence>\n</PVScan>\n")
    return folder


def _image(description: str) -> bytes:
    import tifffile

    buffer = io.BytesIO()
    pixels = np.arange(64, dtype="uint16").reshape(8, 8)
    software = "Prairie View 5.6.64.400"
    tifffile.imwrite(buffer, pixels, description=description, metadata=None, software=software)
    return buffer.getvalue()


def write_numbered_frames(folder: Path, count: int) -> Path:
    """Write a folder of numbered TIFF files of 8x8 pixels.

    Parameters
    ----------
    folder : pathlib.Path
        Made if it does not exist.
    count : int
        Number of frames.
    """
    import tifffile

    folder.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.arange(64, dtype="uint16").reshape(8, 8), metadata=None)
    for number in range(count):
        (folder / f"frame_{number:06d}.tif").write_bytes(buffer.getvalue())
    return folder


_RECORDINGS: dict[str, tuple[str, Callable[[Path, int], Path], dict[str, Any]]] = {
    "bruker": ("Bruker", write_bruker_frames, {}),
    "tiff": ("numbered TIFF files", write_numbered_frames, {"sampling_frequency": 30.0}),
}


def _make_sources(name: str) -> Callable[[Path, float], None]:
    def make(folder: Path, scale: float) -> None:
        if not (folder / name).exists():
            _RECORDINGS[name][1](folder / name, num_frames(scale, _NUM_FRAMES))

    return make


def _prepare(name: str) -> Callable[[Setup], Job]:
    def prepare(setup: Setup) -> Job:
        import nwb_ophys

        arguments = _RECORDINGS[name][2]

        def run() -> None:
            interface = nwb_ophys.open(setup.sources / name, **arguments)
            interface.get_metadata()

        return Job(run=run)

    return prepare


def many_files_comparisons() -> list[Comparison]:
    """Return the comparisons of case g."""
    return [
        Comparison(
            key=f"g-{name}",
            title=f"{title}, {_NUM_FRAMES:,} frames: open and metadata",
            timed=(
                "Detection, opening and get_metadata are timed, after the import of the package. "
                "The files were written before, so that they are in the system's cache."
            ),
            contenders=[Contender(name="nwb_ophys", prepare=_prepare(name))],
            make_sources=_make_sources(name),
        )
        for name, (title, _, _) in _RECORDINGS.items()
    ]
