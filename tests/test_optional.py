"""Packages that only some formats need."""

from __future__ import annotations

import sys

import pytest

from nwb_ophys.errors import CorruptSourceError, MissingPackageError
from nwb_ophys.optional import require_package
from nwb_ophys.testing import simulate_recording, write_minian


def test_a_package_that_is_not_installed():
    with pytest.raises(MissingPackageError, match=r"is not installed .* \"nwb-ophys\[extra\]\""):
        require_package("no_such_package_of_anybody", "extra")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import no_such_package_of_anybody", "ModuleNotFoundError: No module named"),
        ("raise ValueError('numpy.dtype size changed')", "ValueError: numpy.dtype size changed."),
    ],
)
def test_a_package_that_cannot_be_imported(tmp_path, monkeypatch, code, reason):
    """Fault: it was said to be absent, or any error of the import passed on."""
    (tmp_path / "broken_package.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingPackageError) as raised:
        require_package("broken_package", "extra")
    message = str(raised.value)
    assert f"is installed, but cannot be imported: {reason}" in message
    assert 'pip install --upgrade "nwb-ophys[extra]"' in message


def test_zarr_that_cannot_be_imported_is_no_damage_of_the_file(tmp_path, monkeypatch):
    """Fault: the error of the import was unexpected, or called damage of the store."""
    from nwb_ophys import MinianSegmentationInterface

    path = write_minian(tmp_path / "minian", simulate_recording(num_samples=4, num_cells=1))
    (tmp_path / "zarr.py").write_text("raise ImportError('numcodecs lacks blosc')")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "zarr"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingPackageError, match=r"'zarr' .*numcodecs lacks blosc") as raised:
        MinianSegmentationInterface(path, sampling_frequency=10.0)
    assert not isinstance(raised.value, CorruptSourceError)
