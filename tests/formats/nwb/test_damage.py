"""NWB files that lack what they list."""

from __future__ import annotations

import shutil
import warnings

import h5py
import pytest

import nwb_ophys
from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.formats.nwb.sample import write_segmentation_sample
from nwb_ophys.simulation.recording import simulate_recording


def test_a_column_that_the_table_lists_and_lacks_is_named(tmp_path):
    path = write_segmentation_sample(tmp_path, simulate_recording(num_samples=4))["file_path"]
    with h5py.File(path, "r+") as file:
        table = next(iter(file["processing/ophys/ImageSegmentation"].values()))
        table.attrs["colnames"] = [*table.attrs["colnames"], "quality"]
    with pytest.raises(CorruptSourceError, match=r"\.nwb' is damaged: its table .*'quality'"):
        nwb_ophys.open(path, format="nwb-segmentation")


def _notes(path) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        nwb_ophys.open(path)
    return [str(each.message) for each in caught if each.category is UserWarning]


@pytest.mark.parametrize("attribute", ["neurodata_type", "namespace"])
@pytest.mark.parametrize("place", ["Fluorescence", "Fluorescence/RoiResponseSeries"])
def test_an_object_that_lost_its_type_is_named(tmp_path, place, attribute):
    path = write_segmentation_sample(tmp_path, simulate_recording(num_samples=4))["file_path"]
    assert _notes(path) == []
    with h5py.File(path, "r+") as file:
        del file[f"processing/ophys/{place}"].attrs[attribute]
    note = next(note for note in _notes(path) if "has taken away" in note)
    assert note.startswith(f"'{path}' has 'processing/ophys/{place}', which cannot be read")


@pytest.fixture(params=["hdf5", "zarr"])
def written(request, tmp_path):
    """A file that this package wrote, with the record of its conversion."""
    path = write_segmentation_sample(tmp_path, simulate_recording(num_samples=4))["file_path"]
    written = tmp_path / ("out.nwb" if request.param == "hdf5" else "out.nwb.zarr")
    nwb_ophys.open(path, format="nwb-segmentation").run_conversion(
        written, backend=request.param, progress=False
    )
    return written


def test_an_object_that_the_record_states_is_missed(written):
    assert _notes(written) == []
    place = "processing/ophys/Fluorescence"
    if written.is_dir():
        shutil.rmtree(written / place)
        (written / ".zmetadata").unlink(missing_ok=True)
    else:
        with h5py.File(written, "r+") as file:
            del file[place]
    (note,) = _notes(written)
    assert note.startswith(f"'{written}' has no '{place}', although the record of its conversion")


def test_a_group_of_a_zarr_store_that_lost_its_header_is_named(written):
    if written.is_file():
        pytest.skip("of Zarr stores")
    place = "processing/ophys/Fluorescence"
    (written / place / ".zgroup").unlink()
    (written / ".zmetadata").unlink(missing_ok=True)
    (note,) = _notes(written)
    assert note.startswith(f"'{written}' has '{place}', which cannot be read")
