"""Names of the stores of a movie that Minian registered."""

from __future__ import annotations

MOVIE_STORES = ("Y_fm_chk.zarr", "Y_hw_chk.zarr")
"""Stores of the registered movie, which differ in their chunks; the first is read faster."""

ORIGINAL_STORE = "varr_ref.zarr"
MOTION_STORE = "motion.zarr"
