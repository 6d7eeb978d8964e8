"""The order of the frames of a ScanImage recording: planes, frames per slice and flyback frames."""

from __future__ import annotations

import attrs

from nwb_ophys.errors import SourceError
from nwb_ophys.formats.scanimage.text import HeaderProperties

_AS_PLAIN = "the order of the planes is unclear. Read it as a plain TIFF stack."


@attrs.frozen(kw_only=True)
class Stack:
    """Saved frames of one channel from one volume to the next.

    Attributes
    ----------
    num_planes : int
        Number of planes, without flyback.
    frames_per_slice : int
        Number of saved frames of each plane before the next plane.
    num_flyback_frames : int
        Number of saved flyback frames between two volumes.
    mode : str
        ``"fast"`` or ``"slow"``; empty if not stated.
    """

    num_planes: int = 1
    frames_per_slice: int = 1
    num_flyback_frames: int = 0
    mode: str = ""

    @property
    def frames_per_cycle(self) -> int:
        """Number of saved frames of a channel from one volume to the next."""
        return self.num_planes * self.frames_per_slice + self.num_flyback_frames


def stack_of(si: HeaderProperties) -> Stack:
    """Return the order of the frames that a header states.

    Raises
    ------
    SourceError
        If its numbers contradict each other.
    """
    mode = str(si.value("hStackManager.stackMode") or "")
    num_slices = _num_slices(si)
    enabled = si.value("hStackManager.enable")
    # A single plane is not a volume, even if the stack manager is switched on.
    if num_slices <= 1 or enabled in (False, 0):
        return Stack(mode=mode)
    if enabled is not None and mode == "slow" and _is_endless(si):
        return Stack(mode=mode)
    if enabled is not None:
        return _stack_since_2019(si, num_slices, mode)
    if si.value("hFastZ.enable"):
        return _fast_stack_before_2019(si, num_slices)
    return _slow_stack_before_2019(si, num_slices)


def _num_slices(si: HeaderProperties) -> int:
    """Return the number of slices that were scanned.

    ``numSlices`` is a setting of the user that only stacks of equal steps have. The others have as
    many slices as depths are listed, or as fit between two depths.
    """
    per_slice = si.integer("hStackManager.framesPerSlice") or 1
    listed = _listed_depths(si)
    counts = [si.integer("hStackManager.actualNumSlices"), listed]
    if si.value("hStackManager.stackDefinition") in ("arbitrary", "bounded"):
        counts.append((si.integer("hStackManager.numFramesPerVolume") or 0) // per_slice)
    counts += [si.integer(f"hStackManager.{name}") for name in ("numSlices", "slicesPerAcq")]
    return next((count for count in counts if count), 1)


def _listed_depths(si: HeaderProperties) -> int:
    """Return the number of depths that the user listed for a fast stack before 2019; 0 if none."""
    if not si.value("hFastZ.enable") or not si.value("hFastZ.useArbitraryZs"):
        return 0
    if si.value("hFastZ.waveformType") not in (None, "step"):
        return 0  # ScanImage ignores the list for a continuous sweep
    depths = si.value("hFastZ.userZs")
    return len(depths) if isinstance(depths, list) else int(depths is not None)


def _is_endless(si: HeaderProperties) -> bool:
    """Return whether there is no limit to the frames of a slice, so that no second one follows."""
    name = "hStackManager.framesPerSlice"
    return si.integer(name) is None and si.number(name) is not None


def averaged_frames(si: HeaderProperties) -> int:
    """Return the number of frames averaged into each saved frame."""
    return si.integer("hScan2D.logAverageFactor") or 1


def _stack_since_2019(si: HeaderProperties, num_slices: int, mode: str) -> Stack:
    per_slice = si.integer("hStackManager.framesPerSlice") or 1
    per_volume = si.integer("hStackManager.numFramesPerVolume") or per_slice * num_slices
    with_flyback = si.integer("hStackManager.numFramesPerVolumeWithFlyback")
    if with_flyback is None and si.value("hFastZ.discardFlybackFrames"):
        with_flyback = per_volume + (si.integer("hFastZ.numDiscardFlybackFrames") or 0)
    flyback = (with_flyback or per_volume) - per_volume
    if per_volume != per_slice * num_slices or flyback < 0:
        raise SourceError(
            f"'{si.path}': its header states {num_slices} slices of {per_slice} frames, but "
            f"{per_volume} frames per volume and {with_flyback} with flyback; {_AS_PLAIN}"
        )
    return _averaged(si, num_slices, per_slice, flyback, mode)


def _fast_stack_before_2019(si: HeaderProperties, num_slices: int) -> Stack:
    """Return a fast stack of ScanImage 4 to 2018, with one frame per slice."""
    image_type = si.value("hFastZ.imageType")
    if image_type not in (None, "XY-Z"):
        raise SourceError(
            f"'{si.path}': its header states fast z images of the type {image_type}, whose pages "
            "are not planes; only XY-Z is read. Read it as a plain TIFF stack."
        )
    flyback = si.integer("hFastZ.numDiscardFlybackFrames")
    discards = si.value("hFastZ.discardFlybackFrames")
    if discards and flyback is None:
        raise SourceError(
            f"'{si.path}': its header states that each volume ends with flyback frames "
            f"({si.spelled('hFastZ.discardFlybackFrames')[0]}), but not their number; {_AS_PLAIN}"
        )
    flyback = flyback or 0 if discards or discards is None else 0
    with_flyback = si.integer("hFastZ.numFramesPerVolume")
    if with_flyback not in (None, num_slices + flyback):
        raise SourceError(
            f"'{si.path}': its header states {num_slices} slices and {flyback} flyback frames, "
            f"but {with_flyback} frames per volume; {_AS_PLAIN}"
        )
    return _averaged(si, num_slices, 1, flyback, "fast")


def _slow_stack_before_2019(si: HeaderProperties, num_slices: int) -> Stack:
    """Return a stack whose slices are acquired one after the other, all frames of each."""
    name = "hStackManager.framesPerSlice"
    per_slice = si.integer(name)
    if _is_endless(si):
        return Stack()
    if per_slice is None:
        raise SourceError(
            f"'{si.path}': its header states {num_slices} slices, but not the number of frames "
            f"of each ({si.spelled(name)[0]}); {_AS_PLAIN}"
        )
    return _averaged(si, num_slices, per_slice, 0, "slow")


def _averaged(
    si: HeaderProperties, num_slices: int, per_slice: int, flyback: int, mode: str
) -> Stack:
    """Return the stack of saved frames, from the numbers of acquired frames."""
    factor = averaged_frames(si)
    # ScanImage averages only frames of the same slice, before it saves them.
    if per_slice % factor or (factor > 1 and flyback):
        raise SourceError(
            f"'{si.path}': its header states that {factor} frames were averaged, but {per_slice} "
            f"frames per slice and {flyback} flyback frames; {_AS_PLAIN}"
        )
    return Stack(
        num_planes=num_slices,
        frames_per_slice=per_slice // factor,
        num_flyback_frames=flyback,
        mode=mode,
    )
