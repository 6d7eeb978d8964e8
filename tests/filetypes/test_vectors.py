"""Tests of vectors in files of every type."""

from __future__ import annotations

import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

from nwb_ophys.errors import CorruptSourceError, SourceError, SourceNotFoundError, UnsafePickleError
from nwb_ophys.filetypes.vectors import opened_vector, split_unit

TIMES = np.arange(5) * 0.25
OTHERS = np.arange(15.0).reshape(5, 3)


def in_text(path):
    lines = [f"{t},{a},{b}" for t, (a, b, _) in zip(TIMES, OTHERS, strict=True)]
    path.write_text("t,a,b\n" + "\n".join(lines))


def in_hdf5(path):
    with h5py.File(path, "w") as file:
        file["scan/t"] = TIMES
        file["scan/t"].attrs["unit"] = "seconds"
        file["others"] = OTHERS
        file["name"] = "text"


def in_hdf5_matlab(path):
    with h5py.File(path, "w", userblock_size=512) as file:
        file["t"] = TIMES[:, None]
        file["others"] = OTHERS.T
        for each in file.values():
            each.attrs["MATLAB_class"] = np.bytes_("double")


WRITERS = {
    "t.csv": in_text,
    "t.npz": lambda path: np.savez(path, t=TIMES, others=OTHERS),
    "t.mat": lambda path: scipy.io.savemat(path, {"t": TIMES, "others": OTHERS, "s": "text"}),
    "t73.mat": in_hdf5_matlab,
    "t.h5": in_hdf5,
}


def values_of(path, name=None):
    with opened_vector(path, name) as vector:
        assert len(vector) == 5
        return np.concatenate(list(vector.blocks()))


@pytest.mark.parametrize("name", WRITERS)
def test_the_only_times_are_found_and_others_by_name(tmp_path, name):
    path = tmp_path / name
    WRITERS[name](path)
    np.testing.assert_array_equal(values_of(path), TIMES)
    second = "a" if name == "t.csv" else "others[0]"
    np.testing.assert_array_equal(values_of(path, second), OTHERS[:, 0])
    with pytest.raises(SourceError, match=r"has no \w+ 'no': it has.*'t' \(|'scan/t' \("):
        values_of(path, "no")


def test_arrays_without_names(tmp_path):
    path = tmp_path / "t.npy"
    np.save(path, OTHERS)
    np.testing.assert_array_equal(values_of(path, "2"), OTHERS[:, 2])
    with pytest.raises(SourceError, match=r"shape \(5, 3\); name one of its rows or columns"):
        values_of(path)
    with pytest.raises(SourceError, match="no \\[3\\]; the indices are 0 to 2"):
        values_of(path, "3")
    np.save(path, TIMES[None])
    np.testing.assert_array_equal(values_of(path), TIMES)
    np.save(path, np.array(list(zip(TIMES, OTHERS[:, 1], strict=True)), "f8,f8"))
    np.testing.assert_array_equal(values_of(path, "f1"), OTHERS[:, 1])


def test_nested_names(tmp_path):
    scipy.io.savemat(tmp_path / "s.mat", {"daq": {"clock": {"t": TIMES}, "x": OTHERS}})
    np.testing.assert_array_equal(values_of(tmp_path / "s.mat", "daq/clock/t"), TIMES)
    in_hdf5(tmp_path / "t.h5")
    with opened_vector(tmp_path / "t.h5", "/scan/t") as vector:
        assert vector.unit == "seconds"


def test_several_vectors_are_not_chosen_among(tmp_path):
    np.savez(tmp_path / "t.npz", a=TIMES, b=TIMES)
    with pytest.raises(SourceError, match=r"not clear which array.*'a' \(5,\), 'b' \(5,\).*::a"):
        values_of(tmp_path / "t.npz")


@pytest.mark.parametrize("name", ["x.h5", "x.npy", "x.mat", "x.npz", "x.csv"])
def test_damaged_files_are_named(tmp_path, name):
    path = tmp_path / name
    heads = {"x.h5": b"\x89HDF\r\n\x1a\n", "x.npy": b"\x93NUMPY", "x.npz": b"PK\x03\x04"}
    path.write_bytes(heads.get(name, b"\0") + b"\0" * 600)
    with pytest.raises(CorruptSourceError, match=name):
        values_of(path)
    with pytest.raises(SourceNotFoundError):
        values_of(tmp_path / f"absent{name}")


def test_pickles_are_not_loaded(tmp_path):
    np.save(tmp_path / "p.npy", np.array([{}, {}], object), allow_pickle=True)
    with pytest.raises(SourceError, match="has other values, not numbers"):
        values_of(tmp_path / "p.npy")
    np.save(tmp_path / "q.npy", np.array([print, len], object), allow_pickle=True)
    with pytest.raises(UnsafePickleError):
        values_of(tmp_path / "q.npy")


def test_a_sheet_of_excel_is_no_archive_of_arrays(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.xlsx", "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    for name in (None, "time"):
        with pytest.raises(CorruptSourceError, match=r"a sheet of Excel, save it as \.csv"):
            values_of(tmp_path / "t.xlsx", name)


ISO = [f"2024-05-17T14:30:00.{each}25" for each in range(5)]
RECORDS = np.zeros(5, dtype=[("time", "S32"), ("t", "f8"), ("frame", "i4")])
RECORDS["time"], RECORDS["t"], RECORDS["frame"] = ISO, TIMES, range(5)


def in_datasets(path, **members):
    with h5py.File(path, "w") as file:
        for name, values in members.items():
            file[name] = values


def in_matlab_cells(path):
    with h5py.File(path, "w", userblock_size=512) as file:
        codes = [file.create_dataset(f"#refs#/{i}", data=[*map(ord, t)]) for i, t in enumerate(ISO)]
        for each in codes:
            each.attrs["MATLAB_class"] = np.bytes_("char")
        cells = [[each.ref for each in codes]]
        file.create_dataset("time", data=cells, dtype=h5py.ref_dtype)
        file["time"].attrs["MATLAB_class"] = np.bytes_("cell")


WITH_DATES = {
    "fixed.h5": lambda path: in_datasets(path, time=np.array(ISO, "S32"), frame=np.arange(5)),
    "variable.h5": lambda path: in_datasets(path, time=ISO, label=["a"] * 5),
    "records.h5": lambda path: in_datasets(path, table=RECORDS[["time", "frame"]]),
    "texts.npy": lambda path: np.save(path, np.array(ISO)),
    "objects.npy": lambda path: np.save(path, np.array(ISO, object), allow_pickle=True),
    "texts.npz": lambda path: np.savez(path, time=np.array(ISO)),
    "cells.mat": lambda path: scipy.io.savemat(path, {"time": np.array(ISO, object), "n": 5}),
    "rows.mat": lambda path: scipy.io.savemat(path, {"time": np.array(ISO)}),
    "cells73.mat": in_matlab_cells,
}


@pytest.mark.parametrize("name", WITH_DATES)
def test_texts_are_dates_and_times(tmp_path, name):
    WITH_DATES[name](tmp_path / name)
    with opened_vector(tmp_path / name) as vector:
        assert vector.in_utc is False
        found = np.asarray(vector.values[:]).view("datetime64[ns]")
    np.testing.assert_array_equal(found, np.array(ISO, "datetime64[ns]"))


def test_other_texts_are_refused_with_the_forms_that_are_read(tmp_path):
    in_datasets(tmp_path / "t.h5", time=["14:30:00", "14:30:01"])
    with pytest.raises(SourceError, match=r"has texts such as '14:30:00', not numbers, nor dates"):
        values_of(tmp_path / "t.h5")
    in_datasets(tmp_path / "t.h5", time=[*ISO[:4], "never"])
    with pytest.raises(SourceError, match=r"'time' of .*, index 4: 'never' is not a date"):
        values_of(tmp_path / "t.h5")


def test_columns_of_tables_in_hdf5(tmp_path):
    in_datasets(tmp_path / "t.h5", table=RECORDS)
    np.testing.assert_array_equal(values_of(tmp_path / "t.h5", "table/t"), TIMES)
    with pytest.raises(SourceError, match="It is not clear which dataset"):
        values_of(tmp_path / "t.h5")


@pytest.mark.parametrize(("kind", "cure"), [("datetime", "cellstr"), ("duration", "seconds")])
def test_objects_of_matlab_are_named_with_the_cure(tmp_path, kind, cure):
    """Numbers beside them, such as those of frames, are no times."""
    in_datasets(tmp_path / "t.mat", frame=TIMES[None])
    with h5py.File(tmp_path / "t.mat", "r+") as file:
        file["time"] = np.arange(6, dtype=np.uint32)[None]
        file["time"].attrs["MATLAB_class"] = np.bytes_(kind)
        file["time"].attrs["MATLAB_object_decode"] = np.int32(3)
    for name in (None, "time"):
        with pytest.raises(SourceError, match=rf"class {kind}, .* after time = {cure}\(time"):
            values_of(tmp_path / "t.mat", name)
    np.testing.assert_array_equal(values_of(tmp_path / "t.mat", "frame"), TIMES)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("time (ms)", ("time", "ms")),
        ("Time [s]", ("Time", "s")),
        ("time_ms", ("time", "ms")),
        ("start_time_ms", ("start_time", "ms")),
        ("t/us", ("t", "us")),
        ("start_time", ("start_time", None)),
        ("frame_times", ("frame_times", None)),
        ("t", ("t", None)),
    ],
)
def test_units_behind_names(name, found):
    assert split_unit(name) == found


def test_a_file_without_permission_is_named_without_hdf5(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_text("1\n2\n")

    def refuse(self, *_):
        raise PermissionError(13, "Permission denied", str(self))

    def refuse_in_hdf5(_):
        raise PermissionError("Unable to determine if file is accessible as hdf5")

    monkeypatch.setattr(h5py, "is_hdf5", refuse_in_hdf5)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(PermissionError, match="Permission denied") as caught, opened_vector(path):
        pass
    assert caught.value.filename == str(path)


def test_a_file_without_numbers(tmp_path):
    path = tmp_path / "t.mat"
    scipy.io.savemat(path, {"t": np.array([[0.5], [1.0]], dtype=object)})
    words = "has no variable of numbers; cells and objects"
    with pytest.raises(SourceError, match=words), opened_vector(path):
        pass
