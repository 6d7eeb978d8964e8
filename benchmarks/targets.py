"""Targets of the package, checked against the results."""

from __future__ import annotations

from attrs import frozen

from benchmarks.model import quantity_of
from benchmarks.results import Results, median

_MOVIE, _ZARR = "a-movie-hdf5", "b-movie-zarr"


@frozen(kw_only=True)
class Target:
    """Number to reach: the median of one contender, or its ratio to another contender's.

    Attributes
    ----------
    text : str
    key : str
        Key of the comparison.
    of, to : str
        Contenders; the value is the quantity of the first, divided by that of the second if given.
    quantity : str
    bound : float
        Value to reach.
    goal : float, optional
        Value to aim for.
    at_most : bool
        Whether the bound is the highest value allowed, not the lowest.
    unit : float
        Size of the unit of the value in bytes, if the value is no ratio.
    """

    text: str
    key: str
    of: str
    to: str | None = None
    quantity: str = "seconds"
    bound: float
    goal: float | None = None
    at_most: bool = False
    unit: float = 1.0

    def value(self, results: Results) -> float | None:
        """Return the measured value, or None."""
        value = median(results, self.key, self.of, self.quantity)
        if self.to is None:
            return None if value is None else value / self.unit
        other = median(results, self.key, self.to, self.quantity)
        return value / other if value is not None and other else None

    def met(self, value: float) -> bool:
        """Return whether a value is within the bound."""
        return value <= self.bound if self.at_most else value >= self.bound


def faster(text: str, key: str, than: str, bound: float, goal: float | None = None) -> Target:
    """Return the target of nwb_ophys being faster by a factor."""
    return Target(text=text, key=key, of=than, to="nwb_ophys", bound=bound, goal=goal)


TARGETS = [
    faster("Movie to HDF5: speed over neuroconv's", _MOVIE, "neuroconv", 20, 30),
    faster("Bright movie to HDF5: speed over neuroconv's", "a-bright-hdf5", "neuroconv", 20, 30),
    faster("TIFF file to HDF5: speed over neuroconv's", "c-plain", "neuroconv", 16, 25),
    faster("ScanImage file to HDF5: speed over neuroconv's", "c-scanimage", "neuroconv", 18, 25),
    faster("LZW TIFF file to HDF5: speed over neuroconv's", "c-lzw", "neuroconv", 8, 12),
    Target(
        text="Movie to HDF5: speed over the roofline's, 1 worker and 1 thread",
        key=_MOVIE,
        of="roofline, 1 thread",
        to="nwb_ophys, workers=1",
        bound=1.0,
        goal=1.3,
    ),
    Target(
        text="Movie to HDF5: speed over the roofline's, 2 workers and 2 threads",
        key=_MOVIE,
        of="roofline, 2 threads",
        to="nwb_ophys, workers=2",
        bound=1.0,
        goal=1.3,
    ),
    Target(
        text="Movie to HDF5: size of the file over neuroconv's",
        key=_MOVIE,
        of="nwb_ophys",
        to="neuroconv",
        quantity="size",
        bound=0.9,
        at_most=True,
    ),
    faster("Movie to Zarr: speed over neuroconv's", _ZARR, "neuroconv", 12),
    faster("Movie to Zarr: speed over neuroconv's with Blosc", _ZARR, "neuroconv, Blosc", 2.5),
    Target(
        text="1,500 ROIs, image masks and traces, from Suite2p: speed over neuroconv's from images",
        key="d-1500-image",
        of="neuroconv, from images",
        to="nwb_ophys, from Suite2p",
        bound=90,
        goal=200,
    ),
    Target(
        text="1,500 ROIs, image masks alone, from Suite2p: speed over neuroconv's from images",
        key="d-1500-image-alone",
        of="neuroconv, from images",
        to="nwb_ophys, from Suite2p",
        bound=100,
    ),
    Target(
        text="10,000 ROIs, image masks and traces: memory above the source's, MB",
        key="d-10000-image",
        of="nwb_ophys, from Suite2p",
        quantity="above",
        bound=300,
        at_most=True,
        unit=1e6,
    ),
    Target(
        text="Movie of 20 GB: peak of memory relative to a movie of 2 GB",
        key="e-length",
        of="20 GB",
        to="2 GB",
        quantity="peak",
        bound=1.05,
        at_most=True,
    ),
    Target(
        text="Help of the command: time over neuroconv's",
        key="f-help",
        of="nwb_ophys",
        to="neuroconv",
        bound=0.25,
        at_most=True,
    ),
    *(
        Target(
            text=f"{movie} read with h5py: processor time of neuroconv's file over that of ours",
            key="h-reading",
            of="neuroconv",
            to="nwb_ophys",
            quantity=quantity_of(part, "processor_seconds"),
            bound=2,
            goal=3,
        )
        for part, movie in (("movie", "Movie"), ("bright", "Bright movie"))
    ),
    Target(
        text="Bruker, 50,000 frames: open and metadata, seconds",
        key="g-bruker",
        of="nwb_ophys",
        bound=1.5,
        goal=0.5,
        at_most=True,
    ),
    Target(
        text="Movie to Zarr by a cluster: speed of two workers over one worker's",
        key="j-cluster",
        of="nwb_ophys, 1 worker of a cluster",
        to="nwb_ophys, 2 workers of a cluster",
        bound=1.7,
        goal=1.9,
    ),
]
