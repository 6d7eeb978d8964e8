"""Noise among the bytes of a chunk, found by samples."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import attrs
import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from nwb_ophys.storage import literals

# The first bytes of each step are counted. A prime number does not fall into the same columns.
_SAMPLE_STEP, _SAMPLE_BYTES = 4703, 64
_FEWEST_STEPS = 16
_BITS = 8
# Bytes of a piece in whose middle repeats are searched; deflate finds them over 32 kB.
_LONGEST_TRIAL, _SHORTEST_TRIAL, _TRIAL_PART = 1 << 15, 1 << 12, 8
# Consecutive pieces of about the same entropy, in bits, are like the first of them.
_MOST_ALIKE, _ALIKE = 4, 0.1
# Repeats that save less than this part are not worth the time of finding them.
_LEAST_SAVING = 0.01
_LEAST_STORED = 7.6 / _BITS
# Few different bytes are mostly long runs, of which every search makes short work.
_LEAST_ENTROPY = 1.0

Bytes = NDArray[np.uint8]


@attrs.frozen
class Piece:
    """Consecutive bytes of a plane."""

    start: int
    data: Bytes
    shrinks_to: float
    """Part of their size to which a codec would bring them."""
    is_noise: bool
    """Whether a search for repeats is not worth its time."""

    @property
    def is_incompressible(self) -> bool:
        """True for noise that hardly gets smaller."""
        return self.is_noise and self.shrinks_to >= _LEAST_STORED


@attrs.frozen
class _Trial:
    """What a codec makes of a part of a piece."""

    entropy: float
    """Bits per byte of the whole piece."""
    shrinks_to: float
    is_noise: bool


def examined(parts: Iterable[Bytes]) -> Iterator[Piece]:
    """Yield the parts of a chunk, with what samples show of them.

    Parameters
    ----------
    parts : iterable of numpy.ndarray of uint8
        Consecutive bytes.
    """
    start, alike, trial = 0, 0, None
    for data in parts:
        entropy = _entropy(data)
        if trial is None or alike == _MOST_ALIKE or abs(entropy - trial.entropy) > _ALIKE:
            trial, alike = _tried(data, entropy), 0
        alike += 1
        shrinks_to = min(entropy / _BITS, trial.shrinks_to)
        yield Piece(start, data, shrinks_to, trial.is_noise)
        start += data.size


def _entropy(data: Bytes) -> float:
    """Return the bits of information per byte if each byte is independent, from samples."""
    step = min(_SAMPLE_STEP, data.size // _FEWEST_STEPS | 1)
    steps = data.size // step
    sample = data[: steps * step].reshape(steps, step)[:, :_SAMPLE_BYTES].reshape(-1)
    counts = np.bincount(sample)
    counts = counts[counts > 0]
    shares = counts / sample.size
    # A sample shows fewer different bytes than there are (Miller and Madow, 1955).
    unseen = (counts.size - 1) / (2 * sample.size * math.log(2))
    return -float(shares @ np.log2(shares)) + unseen


def _tried(data: Bytes, entropy: float) -> _Trial:
    if entropy < (_LEAST_ENTROPY if literals.are_compiled() else _LEAST_STORED * _BITS):
        return _Trial(entropy, entropy / _BITS, is_noise=False)
    size = min(max(data.size // _TRIAL_PART, _SHORTEST_TRIAL), _LONGEST_TRIAL, data.size)
    start = (data.size - size) // 2
    part = data[start : start + size]
    shrinks_to = min(len(isal_zlib.compress(part, 1)) / size, 1.0)
    if not literals.are_compiled():
        return _Trial(entropy, shrinks_to, is_noise=shrinks_to >= _LEAST_STORED)
    without_repeats = literals.encode_into(part, bytearray(literals.most_bytes(size))) / size
    return _Trial(
        entropy, shrinks_to, is_noise=shrinks_to >= (1 - _LEAST_SAVING) * min(without_repeats, 1.0)
    )
