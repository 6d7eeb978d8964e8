"""Tests of movies of Inscopix with the translations that its motion correction wrote."""

from __future__ import annotations

import numpy as np
import pytest

from nwb_ophys import InscopixImagingInterface
from nwb_ophys.errors import SourceError
from nwb_ophys.testing import simulate_recording, write_inscopix

START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
MOVIE = simulate_recording(num_samples=6, dtype="uint16").movie
SHIFTS = np.arange(12.0).reshape(6, 2) - 5.5


def write_table(path, shifts=SHIFTS, header="translationX,translationY,time"):
    rows = [f"{x},{y},{index * 0.05}" for index, (x, y) in enumerate(shifts)]
    path.write_text("\n".join([header, *rows, ""]))
    return path


def test_the_movie_and_its_translations(tmp_path):
    path, table = write_inscopix(tmp_path / "a-MC.isxd", MOVIE), write_table(tmp_path / "t.csv")
    interface = InscopixImagingInterface(path, translations_path=table)
    with pytest.warns(UserWarning, match="not the name of the movie that was registered; give the"):
        interface.create_nwbfile(START)
    raw = InscopixImagingInterface(write_inscopix(tmp_path / "a.isxd", MOVIE + 1))
    nwbfile = raw.create_nwbfile(START)
    interface.add_to_nwbfile(nwbfile, original="OnePhotonSeries")
    stack = nwbfile.processing["ophys"]["MotionCorrection"]["CorrectedImageStack"]
    np.testing.assert_array_equal(stack.xy_translation.data[:], SHIFTS)
    assert stack.original is nwbfile.acquisition["OnePhotonSeries"]
    assert stack.xy_translation.description.startswith("Number of pixels by which Inscopix's")


def test_frames_that_are_not_in_the_file(tmp_path):
    path = write_inscopix(tmp_path / "a.isxd", MOVIE, missing={"dropped": [2]})
    with pytest.warns(UserWarning, match="dropped"):
        interface = InscopixImagingInterface(
            path, translations_path=write_table(tmp_path / "t.csv", np.arange(14).reshape(7, 2))
        )
    expected = np.delete(np.arange(14.0).reshape(7, 2), 2, axis=0)
    np.testing.assert_array_equal(interface.registration.shifts, expected)


def test_a_movie_without_translations(tmp_path):
    interface = InscopixImagingInterface(write_inscopix(tmp_path / "a.isxd", MOVIE))
    assert list(interface.create_nwbfile(START).acquisition) == ["OnePhotonSeries"]
    with pytest.raises(SourceError, match="does not state the translations of its frames"):
        interface.create_nwbfile(START, motion_correction=True)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"shifts": SHIFTS[:4]}, "has 4 translations, .* 6 frames; it may be of another movie"),
        ({"header": "x,y,time"}, "is not a table of translations with the columns translationX"),
        ({"shifts": np.full((6, 2), "-")}, "is not a table of translations"),
    ],
)
def test_tables_that_do_not_fit(tmp_path, table, message):
    path, table = (
        write_inscopix(tmp_path / "a.isxd", MOVIE),
        write_table(tmp_path / "t.csv", **table),
    )
    with pytest.raises(SourceError, match=message):
        InscopixImagingInterface(path, translations_path=table)
    with pytest.raises(SourceError, match=r"absent.csv"):
        InscopixImagingInterface(path, translations_path=tmp_path / "absent.csv")
