"""All comparisons."""

from __future__ import annotations

from benchmarks.clusters import cluster_comparisons
from benchmarks.lengths import length_comparisons
from benchmarks.many_files import many_files_comparisons
from benchmarks.model import Comparison
from benchmarks.movies import movie_comparisons
from benchmarks.raw_files import raw_file_comparisons
from benchmarks.reading import reading_comparisons
from benchmarks.segmentation import segmentation_comparisons
from benchmarks.starting import starting_comparisons

CASES = {
    "a": "Movie to HDF5",
    "b": "Movie to Zarr",
    "c": "Raw files",
    "d": "ROIs",
    "e": "Length",
    "f": "Start of the program",
    "g": "Many files",
    "h": "Reading with h5py",
    "i": "Reading over HTTP",
    "j": "Cluster",
}


def all_comparisons() -> list[Comparison]:
    """Return all comparisons in the order of their keys."""
    return [
        *movie_comparisons(),
        *raw_file_comparisons(),
        *segmentation_comparisons(),
        *length_comparisons(),
        *starting_comparisons(),
        *many_files_comparisons(),
        *reading_comparisons(),
        *cluster_comparisons(),
    ]


def find_comparison(key: str) -> Comparison:
    """Return the comparison of a key."""
    return next(each for each in all_comparisons() if each.key == key)
