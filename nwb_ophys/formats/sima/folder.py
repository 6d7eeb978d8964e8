"""The contents of a ``.sima`` folder: ROIs, extracted signals and images."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from nwb_ophys.errors import CorruptSourceError, SourceArgumentError
from nwb_ophys.formats.sima.pickles import load_sima_pickle
from nwb_ophys.formats.sima.rois import roi_field, roi_pixels

TRACES = {
    "raw": "raw",
    "demixed_raw": "demixed",
    "spikes": "deconvolved",
    "spikes_fits": "denoised",
}
"""Kinds of traces by SIMA's names of the signals."""


@attrs.frozen(kw_only=True)
class SimaPart:
    """The parts of a folder that make up one segmentation.

    Attributes
    ----------
    channel_name, signals_label : str or None
        The channel and the label of extracted signals.
    roi_label : str or None
        The label of ROIs without extracted signals.
    sequence : int or None
        Number of the sequence in the dataset; None where there is only one.
    """

    channel_name: str | None = None
    signals_label: str | None = None
    roi_label: str | None = None
    sequence: int | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """The source arguments that choose this part."""
        return attrs.asdict(self, filter=lambda _, value: value is not None)


class SimaFolder:
    """The pickles of a folder, each read once and never written.

    Parameters
    ----------
    path : pathlib.Path
    is_trusted : bool
        Whether to load pickles that name what SIMA does not write.

    Raises
    ------
    UnsafePickleError
        When a pickle names what SIMA does not write and is not trusted.
    CorruptSourceError
        When SIMA did not write the folder, or a pickle is damaged.
    """

    def __init__(self, path: Path, is_trusted: bool = False) -> None:
        self.path, self._is_trusted = path, is_trusted
        if not (path / "dataset.pkl").is_file():
            raise CorruptSourceError(
                f"'{path}' is not a folder of SIMA: it has no dataset.pkl. Give the folder "
                "NAME.sima."
            )
        self._dataset = self._mapping("dataset.pkl")

    def _mapping(self, name: str) -> Mapping[Any, Any]:
        path = self.path / name
        found = load_sima_pickle(path, is_trusted=self._is_trusted)
        if not isinstance(found, dict):
            raise CorruptSourceError(
                f"'{path}' holds {type(found).__name__}, not a dictionary; SIMA did not write it."
            )
        return found

    @cached_property
    def roi_sets(self) -> dict[str, list[Mapping[str, Any]]]:
        """The ROIs of ``rois.pkl`` by their label."""
        if not (self.path / "rois.pkl").is_file():
            return {}
        return {
            str(label): self._rois(entry, "rois.pkl", label)
            for label, entry in self._mapping("rois.pkl").items()
        }

    @cached_property
    def signals(self) -> dict[str, dict[str, Mapping[str, Any]]]:
        """The extracted signals, by channel and label."""
        found: dict[str, dict[str, Mapping[str, Any]]] = {}
        names = (re.fullmatch(r"signals_(\d+)\.pkl", file.name) for file in self.path.iterdir())
        for index in sorted(int(name[1]) for name in names if name):
            own = self._mapping(self.signals_file(index))
            found[self._channel_name(index)] = {str(label): entry for label, entry in own.items()}
        return found

    @staticmethod
    def signals_file(channel: int) -> str:
        """Return the name of the file with the signals of a channel."""
        return f"signals_{channel}.pkl"

    def channel_index(self, name: str) -> int:
        """Return the number of a channel in the name of its file."""
        return self.channel_names.index(name) if name in self.channel_names else int(name)

    @property
    def channel_names(self) -> list[str]:
        """The names of the channels in dataset.pkl."""
        return [str(name) for name in self._dataset.get("channel_names") or ()]

    def _channel_name(self, index: int) -> str:
        names = self.channel_names
        return names[index] if index < len(names) else str(index)

    def rois_of(self, part: SimaPart) -> list[Mapping[str, Any]]:
        """Return the ROIs of a part, in the order of its signals, if any."""
        if part.roi_label is not None:
            return self.roi_sets[part.roi_label]
        channel, label = str(part.channel_name), str(part.signals_label)
        file = self.signals_file(self.channel_index(channel))
        return self._rois(self.signals[channel][label], file, label)

    def _rois(self, entry: Any, file: str, label: Any) -> list[Mapping[str, Any]]:
        rois = entry.get("rois") if isinstance(entry, dict) else None
        if not isinstance(rois, list) or not all(isinstance(roi, dict) for roi in rois):
            raise CorruptSourceError(
                f"'{self.path / file}' does not hold a list of ROIs under '{label}'; SIMA did "
                "not write it."
            )
        return rois

    def field_of(self, rois: Sequence[Mapping[str, Any]]) -> tuple[int, int, int]:
        """Return (planes, rows, columns) of the dataset, or else of the ROIs.

        Raises
        ------
        CorruptSourceError
            When neither states them.
        """
        stated = self._dataset.get("frame_shape")
        if stated is not None and len(stated) == 4:
            planes, rows, columns = (int(size) for size in stated[:3])
            return planes, rows, columns
        found = roi_field(rois)
        if found is None:
            raise CorruptSourceError(
                f"'{self.path}' states the size of the field neither in dataset.pkl nor with its "
                "ROIs, which are polygons; set im_shape of the ROIs in SIMA and save them again."
            )
        return found

    @cached_property
    def parts(self) -> list[SimaPart]:
        """All segmentations of the folder: each extraction, and ROIs without signals.

        Raises
        ------
        CorruptSourceError
            When there are none.
        """
        found = []
        for channel, extractions in self.signals.items():
            for label, entry in extractions.items():
                raw = entry.get("raw") if isinstance(entry, dict) else None
                if not isinstance(raw, (list, tuple)) or not raw:
                    file = self.path / self.signals_file(self.channel_index(channel))
                    raise CorruptSourceError(f"'{file}' holds no signals 'raw' under '{label}'.")
                for sequence in range(len(raw)):
                    number = sequence if len(raw) > 1 else None
                    found.append(
                        SimaPart(channel_name=channel, signals_label=label, sequence=number)
                    )
        extracted = [self.rois_of(part) for part in found]
        for label, rois in self.roi_sets.items():
            if not any(self._are_same(rois, others) for others in extracted):
                found.append(SimaPart(roi_label=label))
        if not found:
            raise CorruptSourceError(
                f"'{self.path}' has no ROIs: there is neither a rois.pkl nor a signals_0.pkl with "
                "any. Segment the dataset, or import ROIs, in SIMA."
            )
        return found

    def absent_signals(self) -> list[str]:
        """Return the files of signals of the channels before the last one that has signals.

        ROIs without any signals have not been extracted, or have lost the file of the first.
        """
        numbers = [self.channel_index(channel) for channel in self.signals]
        expected = range(max(numbers, default=1))
        return [self.signals_file(index) for index in expected if index not in numbers]

    def unknown_signals(self) -> list[str]:
        """Return values with the form of signals under names that SIMA does not write, in words."""
        found = []
        for channel, extractions in self.signals.items():
            file = self.signals_file(self.channel_index(channel))
            for label, entry in extractions.items():
                raw = entry.get("raw") if isinstance(entry, dict) else None
                form = _form(raw)
                if form:
                    names = [n for n in entry if n not in TRACES and _form(entry[n]) == form]
                    found += [f"'{name}' under '{label}' in {file}" for name in names]
        return found

    def missing_sequences(self) -> str | None:
        """Return which signals are of fewer sequences than the dataset has, in words, or None."""
        counts = {
            f"'{label}' in {self.signals_file(self.channel_index(channel))}": len(entry["raw"])
            for channel, extractions in self.signals.items()
            for label, entry in extractions.items()
            if isinstance(entry, dict) and isinstance(entry.get("raw"), (list, tuple))
        }
        stated = self._dataset.get("num_sequences")
        most = max([*counts.values(), stated if isinstance(stated, int) else 0])
        short = [f"{what} of {count}" for what, count in counts.items() if count < most]
        return f"has {most} sequences, but signals {', '.join(short)}" if short else None

    def _are_same(
        self, rois: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]
    ) -> bool:
        if len(rois) != len(others):
            return False
        one, other = (roi_pixels(each, self.field_of(each), self.path) for each in (rois, others))
        arrays = ((*each.coordinates, each.ends) for each in (one, other))
        return all(np.array_equal(a, b) for a, b in zip(*arrays, strict=True))

    def choose(self, **asked: Any) -> SimaPart:
        """Return the one segmentation that the arguments choose.

        Parameters
        ----------
        **asked
            Attributes of :class:`SimaPart`; None for any value.

        Raises
        ------
        SourceArgumentError
            When they choose none or several; the message names all segmentations.
        """
        found = self.select(**asked)
        if len(found) == 1:
            return found[0]
        how = "none" if not found else "several"
        known = "; ".join(_in_words(part) for part in (found or self.parts))
        raise SourceArgumentError(
            f"'{self.path}' has {how} of what was asked for; choose by these arguments one of: "
            f"{known}."
        )

    def select(self, **asked: Any) -> list[SimaPart]:
        """Return the segmentations that the arguments allow."""
        given = {name: value for name, value in asked.items() if value is not None}
        return [
            part
            for part in self.parts
            if all((getattr(part, name) or 0) == (value or 0) for name, value in given.items())
        ]

    def image(self, name: str, channel: int) -> Any:
        """Return an image over time of a channel, (planes, rows, columns); None where absent.

        Parameters
        ----------
        name : str
            Such as ``time_averages``.
        channel : int
        """
        path = self.path / f"{name}.pkl"
        if not path.is_file():
            return None
        images = load_sima_pickle(path, is_trusted=self._is_trusted)
        if isinstance(images, list) and channel < len(
            images
        ):  # older folders: an array for each channel
            image = np.asarray(images[channel])
            return image[np.newaxis] if image.ndim == 2 else image
        is_whole = isinstance(images, np.ndarray) and images.ndim == 4
        return images[..., channel] if is_whole and channel < images.shape[-1] else None


def _form(signals: Any) -> list[tuple[int, ...]]:
    """Return the shapes of the signals of all sequences; empty for other values."""
    if not isinstance(signals, (list, tuple)):
        return []
    arrays = [each for each in signals if isinstance(each, np.ndarray) and each.ndim == 2]
    return [each.shape for each in arrays] if len(arrays) == len(signals) else []


def _in_words(part: SimaPart) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in part.arguments.items())
