"""Describe the machine and the packages of the measurements."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

_PACKAGES = (
    "neuroconv",
    "pynwb",
    "hdmf",
    "hdmf-zarr",
    "h5py",
    "zarr",
    "numcodecs",
    "numpy",
    "roiextractors",
    "tifffile",
    "isal",
)


def machine_facts() -> dict[str, str]:
    """Return the machine and the versions, without anything that names the machine."""
    import nwb_ophys

    facts = {
        "CPU": f"{_cpu()}, {os.cpu_count()} cores",
        "Memory": f"{psutil.virtual_memory().total / 1e9:.0f} GB",
        "System": platform.system(),
        "Python": platform.python_version(),
        "nwb_ophys": nwb_ophys.__version__,
    }
    for name in _PACKAGES:
        try:
            facts[name] = version(name)
        except PackageNotFoundError:
            facts[name] = "not installed"
    return facts


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
