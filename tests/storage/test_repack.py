"""Tests of repacking: nothing is lost or changed in a file of any author."""

from __future__ import annotations

import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr
from hdmf.backends.hdf5.h5_utils import H5DataIO
from hdmf.build import BuildManager
from pynwb import NWBHDF5IO, get_type_map, validate
from pynwb.image import ImageSeries
from pynwb.spec import NWBGroupSpec, NWBNamespaceBuilder

from nwb_ophys import (
    BackendConfiguration,
    DatasetConfiguration,
    repack,
    verify,
    write_nwbfile,
)
from nwb_ophys.errors import (
    ArgumentError,
    CorruptSourceError,
    OutputError,
    OutputExistsError,
    SourceError,
    SourceNotFoundError,
)
from nwb_ophys.storage import backend_for_repack, get_backend, plan_repack
from nwb_ophys.storage.backends.hdf5 import Hdf5Source
from nwb_ophys.storage.repacking import stored_source_of

from .conftest import new_file, read, snapshot
from .specimens import (
    DATA,
    DTYPES,
    MOVIE,
    add_by_hand,
    add_oddities,
    full_file,
    series,
    values_of,
    write,
)
from .walking import differences, facts_of


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    return add_by_hand(write(full_file(), tmp_path_factory.mktemp("full") / "full.nwb"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The same file as ``full``, without the records of references that Zarr cannot store."""
    folder = tmp_path_factory.mktemp("plain")
    return add_by_hand(write(full_file(with_tables=False), folder / "plain.nwb"))


def test_hdf5_is_the_same_in_every_type_value_link_and_reference(full, tmp_path):
    copy = repack(full, tmp_path / "b.nwb", verify=True)
    assert differences(facts_of(full), facts_of(copy)) == []
    assert validate(path=str(copy)) == validate(path=str(full))
    with NWBHDF5IO(str(copy), "r") as io:
        nwbfile = io.read()
        assert nwbfile.trials["timeseries"][0][0].timeseries.name == "times"
        assert nwbfile.units["electrodes"][1].group.iloc[0].name == "g"
        sharing = nwbfile.acquisition["sharing"]
        assert sharing.timestamps[5] == 5


def test_what_hdmf_does_not_know_is_kept_too(full, tmp_path):
    odd = tmp_path / "odd.nwb"
    odd.write_bytes(full.read_bytes())
    add_oddities(odd)
    copy = repack(odd, tmp_path / "b.nwb", workers=2)
    assert differences(facts_of(odd), facts_of(copy)) == []


def test_attributes_whose_names_are_not_utf_8_are_copied(plain, tmp_path):
    """Fault: one such name ended in a traceback."""
    odd = tmp_path / "odd.nwb"
    odd.write_bytes(plain.read_bytes())
    with h5py.File(odd, "a") as file:
        space = h5py.h5s.create(h5py.h5s.SCALAR)
        made = h5py.h5a.create(file.id, b"size_\xb5m", h5py.h5t.NATIVE_DOUBLE, space)
        made.write(np.array(2.5))
    with h5py.File(repack(odd, tmp_path / "copy.nwb"), "r") as file:
        found = np.zeros(())
        h5py.h5a.open(file.id, b"size_\xb5m").read(found)
    assert found == 2.5


@pytest.mark.parametrize("workers", [0, 3])
def test_there_and_back_again(plain, tmp_path, workers):
    there = repack(plain, tmp_path / "b.nwb.zarr", backend="zarr", workers=workers, verify=True)
    again = repack(there, tmp_path / "c.nwb.zarr", workers=workers, verify=True)
    assert differences(facts_of(there), facts_of(again)) == []
    back = repack(again, tmp_path / "d.nwb", backend="hdf5", workers=workers, verify=True)
    one, other = facts_of(plain), facts_of(back)
    for facts in (one, other):  # Zarr has no limits of growth
        for place, fact in facts.items():
            if fact[0] == "dataset":
                facts[place] = (*fact[:3], *fact[4:])
    assert differences(one, other) == []
    assert validate(path=str(back)) == validate(path=str(plain))


def test_references_are_read_from_zarr(tmp_path):
    nwbfile = new_file(a=MOVIE)
    device = nwbfile.create_device("Probe")
    group = nwbfile.create_electrode_group("g", description="d", location="l", device=device)
    nwbfile.add_electrode(group=group, location="l")
    source = write(nwbfile, tmp_path / "a.nwb")
    copy = repack(source, tmp_path / "b.nwb.zarr", backend="zarr")
    back = repack(copy, tmp_path / "c.nwb", backend="hdf5")
    with NWBHDF5IO(str(back), "r") as io:
        assert io.read().electrodes["group"][0].name == "g"


@pytest.mark.parametrize("is_attribute", [True, False])
def test_references_to_deleted_objects_are_named(tmp_path, is_attribute):
    """Fault: a KeyError that named the address of the object."""
    source = series(tmp_path / "a.nwb", MOVIE)
    with h5py.File(source, "a") as file:
        lost = file.create_group("scratch/lost")
        if is_attribute:
            file["scratch"].attrs["owner"] = lost.ref
        else:
            file.create_dataset("scratch/owners", data=[lost.ref], dtype=h5py.ref_dtype)
        del file["scratch/lost"]
    place = "The attribute 'owner' of '/scratch'" if is_attribute else "'/scratch/owners'"
    with pytest.raises(CorruptSourceError, match=f"{place} of .* refers to an object that is not"):
        repack(source, tmp_path / "b.nwb")


def test_records_of_references_are_refused_by_zarr_and_named(full, tmp_path):
    before = snapshot(tmp_path)
    with pytest.raises(OutputError, match=r"'intervals/trials/timeseries'.*'hdf5'"):
        repack(full, tmp_path / "b.nwb.zarr", backend="zarr")
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("filters", [{}, {"shuffle": True}, {"compression": "gzip"}])
def test_values_are_kept_bit_for_bit(tmp_path, backend, dtype, filters):
    values = values_of(dtype)
    source = series(tmp_path / "a.nwb", values, chunks=(99, 9, 16), **filters)
    copy = repack(source, tmp_path / "b", backend=backend)
    found, chunks = read(copy, DATA)
    assert found.dtype == values.dtype
    assert found.tobytes() == values.tobytes()
    assert chunks == (99, 9, 16)


def test_an_extension_that_is_not_installed_is_kept(tmp_path):
    source = write(new_file(a=MOVIE), tmp_path / "a.nwb")
    builder = NWBNamespaceBuilder("d", "mine", version="0.1.0", author="a", contact="c")
    builder.include_namespace("core")
    kind = NWBGroupSpec("d", neurodata_type_def="Mine", neurodata_type_inc="NWBDataInterface")
    builder.add_spec("mine.extensions.yaml", kind)
    builder.export("mine.namespace.yaml", outdir=str(tmp_path))
    types = get_type_map()
    types.load_namespaces(str(tmp_path / "mine.namespace.yaml"))
    manager = BuildManager(types)
    with NWBHDF5IO(str(source), "a", manager=manager) as io:
        nwbfile = io.read()
        mine = types.get_dt_container_cls("Mine", "mine")
        nwbfile.add_acquisition(mine(name="m"))
        io.write(nwbfile)
    copy = repack(source, tmp_path / "b.nwb")
    assert differences(facts_of(source), facts_of(copy)) == []
    there = repack(source, tmp_path / "c.nwb.zarr", backend="zarr")
    assert zarr.open(str(there), mode="r")["acquisition/m"].attrs["neurodata_type"] == "Mine"
    assert "mine" in zarr.open(str(there), mode="r")["specifications"]


def test_what_hdmf_would_lose_on_the_way_to_zarr_is_named(tmp_path):
    path = write_nwbfile(new_file(a=MOVIE), tmp_path / "a.nwb")
    with h5py.File(path, "r+") as file:
        file["acquisition/a/notes"] = [1, 2, 3]
    before = snapshot(tmp_path)
    with pytest.raises(SourceError, match="'acquisition/a/notes' would be lost"):
        repack(path, tmp_path / "a.zarr", backend="zarr")
    assert snapshot(tmp_path) == before


def test_rois_without_masks_are_refused_in_a_line(tmp_path):
    """Fault: the message held all that hdmf writes of the table."""
    source = write(full_file(with_tables=False), tmp_path / "a.nwb")
    masks = ("image_mask", "pixel_mask", "voxel_mask")
    with h5py.File(source, "r+") as file:
        (table,) = file["processing/ophys/ImageSegmentation"].values()
        for name in [name for name in table if name.removesuffix("_index") in masks]:
            del table[name]
        table.attrs["colnames"] = [name for name in table.attrs["colnames"] if name not in masks]
        place = table.name.strip("/")
    with pytest.raises(SourceError) as raised:
        repack(source, tmp_path / "a.nwb.zarr")
    message = str(raised.value)
    assert f"{place}: Must provide at least one of" in message
    assert message.endswith("Write it with the backend 'hdf5', as it is stored now.")
    assert len(message) < 400
    repack(source, tmp_path / "copy.nwb")


def test_links_to_another_file_hold_from_another_folder(tmp_path):
    series(tmp_path / "other.nwb")
    source = write(new_file(a=MOVIE), tmp_path / "a.nwb")
    with h5py.File(source, "r+") as file:
        file.require_group("scratch")["out"] = h5py.ExternalLink("other.nwb", f"/{DATA}")
    (tmp_path / "there").mkdir()
    copy = repack(source, tmp_path / "there" / "b.nwb")
    with h5py.File(copy) as file:
        assert isinstance(file["scratch"].get("out", getlink=True), h5py.ExternalLink)
        np.testing.assert_array_equal(file["scratch/out"][:], MOVIE)
        file["scratch/out"].file.close()


def test_chunks_of_which_a_filter_was_left_out_are_read(tmp_path):
    source = series(tmp_path / "a.nwb", chunks=(50, 16, 32), compression="gzip", shuffle=True)
    with h5py.File(source, "r+") as file:  # bit 0 is the shuffle
        stored = file[DATA].id
        stored.write_direct_chunk((50, 0, 0), zlib.compress(MOVIE[50:100].tobytes()), 1)
        stored.write_direct_chunk((100, 0, 0), MOVIE[100:150].tobytes(), 3)
    copy = repack(source, tmp_path / "b.nwb", workers=3)
    np.testing.assert_array_equal(read(copy, DATA)[0], MOVIE)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("damage", ["flipped", "cut", "trailing"])
def test_a_damaged_chunk_is_named_and_nothing_is_left_behind(tmp_path, backend, damage, workers):
    source = series(tmp_path / "a.nwb", chunks=(50, 16, 32), compression="gzip")
    with h5py.File(source, "r+") as file:
        stored = zlib.compress(MOVIE[100:150].tobytes())
        middle = len(stored) // 2
        flipped = stored[:middle] + bytes([stored[middle] ^ 255]) + stored[middle + 1 :]
        short = zlib.compress(MOVIE[100:140].tobytes())
        damaged = {"flipped": flipped, "cut": stored[:middle], "trailing": short}[damage]
        file[DATA].id.write_direct_chunk((100, 0, 0), damaged)
    before = snapshot(tmp_path)
    with pytest.raises(SourceError, match=rf"'{DATA}', frames \d+ to \d+.*a\.nwb") as caught:
        repack(source, tmp_path / "b", backend=backend, workers=workers)
    assert "\n" not in str(caught.value)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("damage", ["truncated", "text", "no NWB", "empty"])
@pytest.mark.parametrize("to", ["hdf5", "zarr"])
def test_a_source_that_is_no_whole_nwb_file_is_told_in_a_line(tmp_path, damage, to):
    source = series(tmp_path / "a.nwb")
    if damage == "truncated":
        source.write_bytes(source.read_bytes()[:20_000])
    elif damage == "no NWB":
        with h5py.File(source, "w") as file:
            file["a"] = 1
    else:
        source.write_bytes(b"text" if damage == "text" else b"")
    before = snapshot(tmp_path)
    with pytest.raises(SourceError, match=r"a\.nwb") as caught:
        repack(source, tmp_path / "b", backend=to)
    assert "\n" not in str(caught.value)
    assert snapshot(tmp_path) == before


def test_the_source_may_be_the_target(tmp_path, backend):
    source = write_nwbfile(new_file(a=MOVIE), tmp_path / "a", backend=backend)
    facts = facts_of(source)
    with pytest.raises(OutputExistsError):
        repack(source, source)
    repack(source, source, overwrite=True)
    assert differences(facts, facts_of(source)) == []
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_name_of_zarr_is_not_given_to_hdf5_nor_the_other_way_round(plain, tmp_path):
    repack(plain, tmp_path / "a.zarr")
    repack(tmp_path / "a.zarr", tmp_path / "b.nwb")
    repack(tmp_path / "a.zarr", tmp_path / "c.nwb.zarr")
    repack(tmp_path / "a.zarr", tmp_path / "d", backend="zarr")
    repack(tmp_path / "d", tmp_path / "e")
    kinds = {name: (tmp_path / name).is_dir() for name in ("a.zarr", "b.nwb", "c.nwb.zarr", "e")}
    assert kinds == {"a.zarr": True, "b.nwb": False, "c.nwb.zarr": True, "e": True}


def test_targets_and_sources_that_are_not_there(tmp_path):
    with pytest.raises(SourceNotFoundError, match="absent"):
        repack(tmp_path / "absent.nwb", tmp_path / "b.nwb")
    source = series(tmp_path / "a.nwb")
    with pytest.raises(OutputError, match="folder"):
        repack(source, tmp_path / "absent" / "b.nwb")
    with pytest.raises(ArgumentError, match="backend"):
        repack(source, tmp_path / "b", backend="zarr", configuration=BackendConfiguration())
    assert [path.name for path in tmp_path.iterdir()] == ["a.nwb"]


@pytest.mark.parametrize("workers", [0, 2])
def test_nothing_is_left_behind_by_ctrl_c(tmp_path, backend, workers):
    source = series(tmp_path / "a.nwb", chunks=(50, 16, 32))
    before = snapshot(tmp_path)

    def interrupt(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        repack(source, tmp_path / "b", backend=backend, workers=workers, progress=interrupt)
    assert snapshot(tmp_path) == before


def test_chunks_stay_unless_stated_and_the_configuration_is_used(tmp_path, backend):
    source = series(tmp_path / "a.nwb", chunks=(30, 16, 16), compression="lzf")
    assert backend_for_repack(source, "copy.nwb") == "hdf5"
    general = BackendConfiguration(backend=backend, compression="gzip:3")
    stated = plan_repack(source, general)
    assert stated[DATA].chunk_shape == (30, 16, 16)
    assert stated[DATA].compression == "gzip:3"
    stated[DATA].chunk_shape = (7, 16, 32)
    copy = repack(source, tmp_path / "b", configuration=stated)
    found, chunks = read(copy, DATA)
    assert chunks == (7, 16, 32)
    np.testing.assert_array_equal(found, MOVIE)
    assert backend_for_repack(copy, copy) == backend
    smaller = BackendConfiguration(backend=backend, chunk_mb=0.02)
    assert read(repack(source, tmp_path / "c", configuration=smaller), DATA)[1] == (19, 16, 32)
    entry = DatasetConfiguration(location="absent", chunk_shape=(1,))
    wrong = BackendConfiguration(backend=backend, datasets={"absent": entry})
    with pytest.raises(ArgumentError, match=DATA):
        repack(source, tmp_path / "d", configuration=wrong)


def test_sources_are_of_large_numbers_only(full):
    with h5py.File(full) as file:
        assert isinstance(stored_source_of(file["acquisition/type3/data"]), Hdf5Source)
        assert isinstance(stored_source_of(H5DataIO(file["acquisition/type3/data"])), Hdf5Source)
        assert stored_source_of(file["acquisition/empty/data"]) is None
        assert stored_source_of(file["session_description"]) is None
        assert stored_source_of(np.zeros(90_000)) is None
        assert not stored_source_of(file["acquisition/packed/data"]).in_parallel
        assert not stored_source_of(file["acquisition/plain/data"]).in_parallel
        label = stored_source_of(file["acquisition/type3/data"]).label
        assert label == f"'acquisition/type3/data' of '{Path(full)}'"


@pytest.mark.parametrize("name", ["b.nwb", "b.nwb.zarr"])
def test_files_that_a_series_names_are_found_from_another_folder(tmp_path, name):
    """Fault: relative names of videos led nowhere from the folder of a copy."""
    nwbfile = new_file()
    names = ["videos/ä.avi", "absent.avi", "https://x.org/a.avi", str(tmp_path / "videos/ä.avi")]
    nwbfile.add_acquisition(
        ImageSeries(
            name="a", external_file=names, starting_frame=[0, 1, 2, 3], num_samples=4,
            format="external", rate=1.0, unit="n.a.",
        )
    )  # fmt: skip
    source = write(nwbfile, tmp_path / "a.nwb")
    for folder in ("videos", "there"):
        (tmp_path / folder).mkdir()
    (tmp_path / "videos" / "ä.avi").touch()
    there = repack(source, tmp_path / "there" / name)
    moved = ["../videos/ä.avi", *names[1:]]
    assert _named(there) == moved
    assert verify(there).differences == ()
    back = repack(there, tmp_path / "back.nwb", backend="hdf5")
    assert _named(back) == names
    assert _named(repack(source, tmp_path / name)) == names


def _named(path):
    with get_backend("zarr" if path.is_dir() else "hdf5").open(path, "r") as io:
        return [str(each) for each in io.read().acquisition["a"].external_file[:]]
