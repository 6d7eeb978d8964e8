"""The harness of corruption: seeded damage to recordings of all formats, and its consequences.

As a script it is one worker: it reads the folder of the originals and of its work, then one case
per line, and answers one line of JSON per case. :class:`Pool` runs workers, ends those that hang,
and notes those that crash.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import queue
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
import zlib
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil

SECONDS = 10.0
_WALL_SECONDS = 300.0
MEMORY_BYTES = 3_000_000_000
_BLOCK = 4096
_START = "2024-05-17T14:30:00+02:00"
_TEXTS = (".xml", ".json", ".txt", ".csv", ".env", ".zarray", ".zattrs", ".zgroup", ".settings")

# Recordings in the folder of real data: the path, the options that open it, and the names of files
# that are copied with it (all where empty).
REAL: dict[str, tuple[str, dict[str, Any]]] = {
    "bruker": ("bruker/*", {}),
    "bruker-lines": ("bruker_linescan/*", {}),
    "scanimage": ("scanimage/volumetric_two_channels_multi_file", {}),
    "scanimage-volume": ("scanimage/volumetric_single_channel_single_file_no_flyback", {}),
    "scanimage-slices": ("scanimage/scanimage_20220923_noroi.tif", {"slice_sample": 0}),
    "scanimage-legacy": ("scanimage_legacy/*.tiff", {}),
    "scanimage-big": ("scanimage_nansen/TS_UnitTestImage_BigTIFF.tif", {}),
    "imagej": ("scanimage_nansen/*_8frames.tif", {"sampling_frequency": 2.0}),
    "thor": ("thor/20231018-002", {}),
    "miniscope": ("miniscope/C6-J588_Disc5", {}),
    "inscopix": ("inscopix/movie_longer_than_3_min.isxd", {}),
    "inscopix-cells": ("inscopix/cellset_series_part1.isxd", {}),
    "femtonics": ("femtonics/p29.mesc", {}),
    "caiman": ("caiman/caiman_analysis.hdf5", {}),
    "caiman-new": ("caiman/v1.12.1_neurofinder_crop.hdf5", {}),
    "extract": ("extract/extract_public_output.mat", {"sampling_frequency": 30.0}),
    "minian": ("minian/segmented_data_3units_100frames", {}),
    "suite2p": ("suite2p/two_planes_two_channels", {}),
    "suite2p-new": ("suite2p/v1.1.0/suite2p", {}),
    "nwb": ("suite2p/v1.1.0/written_by_suite2p.nwb", {}),
    "tiff": ("tiff/video-gcamp.tif", {"sampling_frequency": 10.0}),
    "ndtiff": ("ndtiff/ndtiff3.2_multichannel", {}),
    "tiff-folder": ("tiff_one_page_per_file", {"sampling_frequency": 10.0}),
}


# --- the originals ------------------------------------------------------------------------------


def write_originals(
    folder: Path, data: Path | None, real: Collection[str] | None = None
) -> dict[str, dict[str, Any]]:
    """Write a sample of each format and copy the real recordings, each to a folder of its own.

    Parameters
    ----------
    folder : pathlib.Path
    data : pathlib.Path or None
        Folder of the real recordings; None for samples alone.
    real : collection of str, optional
        Names of the real recordings to copy; by default all.

    Returns
    -------
    dict of str to dict
        By name: ``path`` within the folder, ``format`` to name or None, and ``options``.
    """
    from nwb_ophys.formats import builtin_rows
    from nwb_ophys.simulation.recording import simulate_recording
    from nwb_ophys.testing.samples import write_sample

    recording = simulate_recording(num_samples=12)
    found: dict[str, dict[str, Any]] = {}
    for row in builtin_rows():
        home = folder / row.name
        home.mkdir(parents=True)
        arguments = write_sample(row, home, recording)
        paths = {key: value for key, value in arguments.items() if isinstance(value, Path)}
        if not paths:  # arrays in memory
            shutil.rmtree(home)
            continue
        path, *others = (str(each.relative_to(home)) for each in paths.values())
        options = {k: v for k, v in arguments.items() if isinstance(v, (str, int, float, list))}
        found[row.name] = {
            "path": path, "format": row.name, "options": options,
            "paths": dict(zip(list(paths)[1:], others, strict=True)),
        }  # fmt: skip
    _add_facts(folder, found)
    for name, (pattern, options) in REAL.items() if data is not None else ():
        if real is not None and f"real-{name}" not in real:
            continue
        origin = next(iter(sorted(data.glob(pattern))))
        home = folder / f"real-{name}"
        home.mkdir()
        if origin.is_dir():
            shutil.copytree(origin, home / origin.name)
        else:
            shutil.copyfile(origin, home / origin.name)
        found[f"real-{name}"] = {"path": origin.name, "format": None, "options": options}
    return found


def _add_facts(folder: Path, found: dict[str, dict[str, Any]]) -> None:
    """State in samples what real files always do, and add stores that this package wrote."""
    import numpy as np

    for path in (folder / "suite2p").rglob("ops.npy"):
        np.save(path, {**np.load(path, allow_pickle=True).item(), "spikedetect": True})
    for backend, suffix in (("hdf5", ".nwb"), ("zarr", ".nwb.zarr")):
        for name in ("nwb", "nwb-segmentation"):
            home = folder / f"{name}-of-{backend}"
            home.mkdir()
            path = f"session{suffix}"
            one = found[name]
            convert(folder / name / one["path"], name, one["options"], home / path, backend)
            found[home.name] = {"path": path, "format": name, "options": {}}


# --- the damage ---------------------------------------------------------------------------------


def damage(home: Path, kind: str, chance: random.Random) -> tuple[str, list[Path]]:
    """Damage one recording, and return what was done and the files concerned.

    Where the kind of damage does not apply, another one is chosen.
    """
    files = sorted(path for path in home.rglob("*") if path.is_file())
    wanted = _wanted(kind, files)
    if not wanted:
        return damage(home, chance.choice(list(KINDS)), chance)
    path = chance.choice(wanted)
    done, *others = KINDS[kind](path, wanted, chance)
    return f"{kind}: {path.relative_to(home)} {done}", [path, *others]


def _wanted(kind: str, files: list[Path]) -> list[Path]:
    if kind == "text":
        return [p for p in files if p.suffix.lower() in _TEXTS or p.name in _TEXTS]
    if kind.startswith("hdf5_"):
        return [p for p in files if p.open("rb").read(4) == b"\x89HDF" or _is_matlab_hdf5(p)]
    if kind in ("swap_files", "rename", "copy", "remove"):
        # Nothing counts plain files with a number each, so that the last one is not missed.
        return [p for p in files if p.name != "Img_24.tif"] if len(files) > 1 else []
    return [p for p in files if p.stat().st_size]


def _is_matlab_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(514)[-2:] != b"" and path.read_bytes()[512:516] == b"\x89HDF"


def _flip(path: Path, last: int, chance: random.Random) -> str:
    count = chance.choice((1, 1, 2, 8))
    with path.open("r+b") as file:
        size = min(last, path.stat().st_size)
        places = [chance.randrange(size) for _ in range(count)]
        for place in places:
            file.seek(place)
            (byte,) = file.read(1)
            file.seek(place)
            file.write(bytes([byte ^ (1 << chance.randrange(8))]))
    return f"at {places}"


def _flip_head(path: Path, _: Any, chance: random.Random) -> tuple[str]:
    return (_flip(path, chance.choice((64, 1024, _BLOCK)), chance),)


def _flip_any(path: Path, _: Any, chance: random.Random) -> tuple[str]:
    return (_flip(path, 1 << 60, chance),)


def _flip_tail(path: Path, _: Any, chance: random.Random) -> tuple[str]:
    content = bytearray(path.read_bytes())
    place = max(0, len(content) - chance.randrange(1, _BLOCK))
    content[place] ^= 1 << chance.randrange(8)
    path.write_bytes(content)
    return (f"at {place} of {len(content)}",)


def _zero(path: Path, _: Any, chance: random.Random) -> tuple[str]:
    size = path.stat().st_size
    place = chance.randrange(0, size, chance.choice((512, _BLOCK)))
    count = min(chance.choice((16, 512, _BLOCK, _BLOCK)), size - place)
    with path.open("r+b") as file:
        file.seek(place)
        file.write(bytes(count))
    return (f"{count} at {place}",)


def _noise(path: Path, _: Any, chance: random.Random) -> tuple[str]:
    size = path.stat().st_size
    place = chance.randrange(size)
    count = min(chance.choice((8, 64, 1024)), size - place)
    with path.open("r+b") as file:
        file.seek(place)
        file.write(chance.randbytes(count))
    return (f"{count} at {place}",)


def _truncate(path: Path, _: Any, chance: random.Random) -> tuple[str]:
    size = path.stat().st_size
    kept = chance.choice((chance.randrange(size), size - 1, max(0, size - chance.randrange(64))))
    os.truncate(path, kept)
    return (f"to {kept} of {size}",)


def _append(path: Path, _: Any, chance: random.Random) -> tuple[str]:
    count = chance.choice((1, 16, _BLOCK))
    with path.open("ab") as file:
        file.write(chance.choice((bytes(count), chance.randbytes(count))))
    return (f"{count} bytes",)


def _empty(path: Path, _: Any, chance: random.Random) -> tuple[str]:
    os.truncate(path, 0)
    return ("",)


def _blocks(path: Path, chance: random.Random) -> tuple[bytes, int, int, int]:
    content = path.read_bytes()
    size = chance.choice((64, 512, _BLOCK))
    one, two = sorted(chance.randrange(len(content)) for _ in range(2))
    return content, one, two, size


def _double(path: Path, _: Any, chance: random.Random) -> tuple[str]:
    content, one, _two, size = _blocks(path, chance)
    path.write_bytes(content[: one + size] + content[one:])
    return (f"{size} at {one}",)


def _cut(path: Path, _: Any, chance: random.Random) -> tuple[str]:
    content, one, _two, size = _blocks(path, chance)
    path.write_bytes(content[:one] + content[one + size :])
    return (f"{size} at {one}",)


def _swap(path: Path, _: Any, chance: random.Random) -> tuple[str]:
    content, one, two, size = _blocks(path, chance)
    size = min(size, two - one, len(content) - two)
    path.write_bytes(
        content[:one] + content[two : two + size] + content[one + size : two]
        + content[one : one + size] + content[two + size :]
    )  # fmt: skip
    return (f"{size} at {one} and {two}",)


def _remove(path: Path, _: Any, chance: random.Random) -> tuple[str]:
    path.unlink()
    return ("",)


def _alike(path: Path, files: list[Path], chance: random.Random) -> Path:
    others = [p for p in files if p != path]
    alike = [p for p in others if p.suffix == path.suffix and p.parent == path.parent]
    return chance.choice(alike or others)


def _swap_files(path: Path, files: list[Path], chance: random.Random) -> tuple[str, Path]:
    other = _alike(path, files, chance)
    one, two = path.read_bytes(), other.read_bytes()
    path.write_bytes(two)
    other.write_bytes(one)
    return f"with {other.name}", other


def _copy(path: Path, files: list[Path], chance: random.Random) -> tuple[str, Path]:
    other = _alike(path, files, chance)
    shutil.copyfile(path, other)
    return f"over {other.name}", other


def _rename(path: Path, _: Any, chance: random.Random) -> tuple[str, Path]:
    numbers = re.findall(r"\d+", path.stem)
    new = path.with_name(f"{path.stem}x{path.suffix}")
    if numbers and chance.random() < 0.5:
        last = path.stem.rindex(numbers[-1])
        number = str(int(numbers[-1]) + 500).zfill(len(numbers[-1]))
        new = path.with_name(path.stem[:last] + number + path.name[last + len(numbers[-1]) :])
    path.rename(new)
    return f"to {new.name}", new


def _edit_text(path: Path, _: Any, chance: random.Random) -> tuple[str]:
    text = path.read_bytes().decode("latin-1")
    choice = chance.randrange(6)
    lines = text.splitlines(keepends=True) or [""]
    if choice == 0:
        index = chance.randrange(len(lines))
        path.write_bytes("".join(lines[:index] + lines[index + 1 :]).encode("latin-1"))
        return (f"without line {index}: {lines[index][:60]!r}",)
    numbers = list(re.finditer(r"-?\d+(\.\d+)?", text))
    words = list(re.finditer(r"\w{3,}", text))
    if choice in (1, 2, 3) and numbers:
        old = chance.choice(numbers)
        new = chance.choice(("0", "-1", "1e400", "NaN", "99999999999", "", "abc", "7", "2"))
    elif choice == 4 and words:
        old, new = chance.choice(words), chance.choice(("x", "", "\xff\xfe", "\x00"))
    else:
        marks = list(re.finditer(r"[<>\"{}\[\],:]", text))
        if not marks:
            return ("unchanged",)
        old, new = chance.choice(marks), ""
    path.write_bytes((text[: old.start()] + new + text[old.end() :]).encode("latin-1"))
    return (f"{text[max(0, old.start() - 30) : old.end()]!r} to {new!r}",)


def _hdf5_remove(path: Path, _: Any, chance: random.Random) -> tuple[str]:
    import h5py

    with h5py.File(path, "r+") as file:
        names: list[tuple[str, str]] = []
        file.visititems(
            lambda name, item: names.extend([(name, ""), *((name, a) for a in item.attrs)])
        )
        has_record = any("nwb_ophys_record" in name for name in file.get("scratch", ()))
        names = [each for each in names if has_record or not _is_unknowable(file, *each)]
        if not names:
            return ("unchanged",)
        name, attribute = chance.choice(names)
        if attribute:
            del file[name].attrs[attribute]
        else:
            del file[name]
    return (f"without {name} {attribute}",)


def _hdf5_short(path: Path, _: Any, chance: random.Random) -> tuple[str]:
    """Store numbers in compressed chunks of which a later one holds too few, or too many."""
    import h5py

    with h5py.File(path, "r+") as file:
        names: list[str] = []
        file.visititems(
            lambda name, item: names.append(name) if _is_divisible(item) else None  # type: ignore[func-returns-value]
        )
        if not names:
            return ("unchanged",)
        name = chance.choice(names)
        values, attributes = file[name][()], dict(file[name].attrs)
        del file[name]
        chunks = (-(-len(values) // 2), *values.shape[1:])
        made = file.create_dataset(name, data=values, chunks=chunks, compression="gzip")
        made.attrs.update(attributes)
        whole = made[: chunks[0]].tobytes()
        length = chance.choice((0, 1, len(whole) // 2, len(whole) - 1, 2 * len(whole)))
        corner = (chunks[0], *(0 for _ in values.shape[1:]))
        made.id.write_direct_chunk(corner, zlib.compress((2 * whole)[:length]))
    return (f"with {length} of {len(whole)} bytes in a chunk of {name}",)


def _is_divisible(item: Any) -> bool:
    """Return whether an object is a dataset of numbers that two chunks can hold."""
    import h5py

    return isinstance(item, h5py.Dataset) and bool(
        item.shape and len(item) > 1 and item.size and item.dtype.kind in "biufV"
        and not item.dtype.hasobject and not item.is_virtual
    )  # fmt: skip


def _is_unknowable(file: Any, name: str, attribute: str) -> bool:
    """Return whether a file without a member is a whole file, which nothing in it contradicts.

    NWB counts its objects nowhere (a record of this package does), and users add the image Cn to
    the estimates of CaImAn themselves.
    """
    is_object = "neurodata_type" in file[name].attrs and "colnames" not in file[name].parent.attrs
    return not attribute and (is_object or name == "estimates/Cn")


KINDS = {
    "flip_head": _flip_head, "flip_any": _flip_any, "flip_tail": _flip_tail, "zero": _zero,
    "noise": _noise, "truncate": _truncate, "append": _append, "empty": _empty, "double": _double,
    "cut": _cut, "swap": _swap, "remove": _remove, "swap_files": _swap_files, "copy": _copy,
    "rename": _rename, "text": _edit_text, "hdf5_remove": _hdf5_remove,
    "hdf5_short": _hdf5_short,
}  # fmt: skip
# How often each kind occurs; members are few in most recordings.
WEIGHTS = {
    "flip_head": 4,
    "flip_any": 3,
    "zero": 3,
    "truncate": 2,
    "text": 4,
    "hdf5_remove": 2,
    "hdf5_short": 2,
}


# --- one run ------------------------------------------------------------------------------------


def convert(
    path: Path,
    format_name: str | None,
    options: dict[str, Any],
    output: Path,
    backend: str | None = None,
) -> list[str]:
    """Open, describe and convert a recording as the command line does; return the notes."""
    from nwb_ophys.metadata.deepdict import DeepDict
    from nwb_ophys.opening import edited_metadata, open_recording

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        names = [format_name] if format_name else []
        recording = open_recording([path], names, options, all_in_one=True)
        with contextlib.closing(recording.converter):
            edits: dict[str, Any] = {}
            metadata = edited_metadata(
                recording.converter, None, edits, recording.conversion_options
            )
            if not metadata["NWBFile"].get("session_start_time"):
                metadata["NWBFile"]["session_start_time"] = _START
            assert isinstance(metadata, (dict, DeepDict))
            recording.converter.run_conversion(
                output,
                backend=backend,
                metadata=metadata,
                overwrite=True,
                progress=False,
                workers=0,
                conversion_options=recording.conversion_options,
            )
    return [str(each.message) for each in caught if each.category is UserWarning]


def tree_of(path: Path) -> tuple[dict[str, list[int]], str]:
    """Return the shapes of all datasets by place, and a hash of their values."""
    import h5py

    found: dict[str, list[int]] = {}
    values: list[str] = []  # in any order, since a damaged header may state other names

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = list(item.shape or ())
            if name.startswith(("acquisition", "processing")) and item.dtype.kind in "iuf":
                values.append(hashlib.sha256(item[()].tobytes()).hexdigest())

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return found, hashlib.sha256(" ".join(sorted(values)).encode()).hexdigest()


class Worker:
    """Runs cases, one after the other, in folders of its own."""

    def __init__(self, originals: Path, work: Path, recordings: dict[str, Any]) -> None:
        self.originals, self.work, self.recordings = originals, work, recordings
        self.whole: dict[str, Any] = {}

    def run(self, case: dict[str, Any]) -> dict[str, Any]:
        """Return the result of a case: its ``class``, and what was done and said."""
        whole = self.whole_of(case["name"])
        with self.copied(case["name"]) as home:
            chance = random.Random(case["seed"])
            done, files = damage(home, case["kind"], chance)
            is_named = chance.random() < 0.5
            result = self.judged(case["name"], home, files, whole, is_named, done)
        return {**result, "done": done, "named": is_named}

    def whole_of(self, name: str) -> Any:
        """Return shapes, values and notes of a whole recording, which one worker converts."""
        if name not in self.whole:
            shared = self.work / f"{name}.json"
            if not shared.exists():
                own = self.work / f"{name}.{os.getpid()}"
                own.write_text(json.dumps(self.converted(name)), encoding="utf-8")
                own.replace(shared)
            self.whole[name] = json.loads(shared.read_text(encoding="utf-8"))
        return self.whole[name]

    @contextlib.contextmanager
    def copied(self, name: str) -> Iterator[Path]:
        home = Path(tempfile.mkdtemp(dir=self.work)) / "data"
        shutil.copytree(self.originals / name, home)
        try:
            yield home
        finally:
            shutil.rmtree(home.parent, ignore_errors=True)

    def converted(self, name: str) -> Any:
        """Return shapes, values and notes of the conversion of a whole recording."""
        with self.copied(name) as home:
            one = self.recordings[name]
            output = home.parent / "out.nwb"
            notes = convert(home / one["path"], one["format"], _options(one, home), output)
            return *tree_of(output), [note.replace(str(home), "") for note in notes]

    def judged(
        self, name: str, home: Path, files: list[Path], whole: Any, is_named: bool, done: str = ""
    ) -> dict[str, Any]:
        from nwb_ophys.errors import NwbOphysError

        one, output = self.recordings[name], home.parent / "out.nwb"
        # Files that only the user's arguments join are not recognised by themselves.
        format_name = one["format"] if is_named or one.get("paths") else None
        try:
            notes = convert(home / one["path"], format_name, _options(one, home), output)
        except NwbOphysError as error:
            text = str(error)
            names = {home.name, *(file.name for file in files), *Path(one["path"]).parts}
            is_ok = any(each in text for each in names)
            if output.exists():
                return {"class": "half-written", "said": text}
            return {"class": "refused" if is_ok else "unnamed", "said": text}
        except Exception as error:
            said = "".join(traceback.format_exception(error)[-6:])
            return {"class": "foreign", "said": said}
        shapes, values = tree_of(output)
        was, were, said_before = whole
        said = [n for n in (note.replace(str(home), "") for note in notes) if n not in said_before]
        held = [place for place in was if not _is_fact(place)]
        lost = [place for place in held if place not in shapes]
        new = [place for place in shapes if place not in was and not _is_fact(place)]
        if values == were and sorted(was[p] for p in lost) == sorted(shapes[p] for p in new):
            lost = []  # all values are there under a name of the damaged header
        lost += [f"{p} {was[p]} {shapes[p]}" for p in held if p in shapes and was[p] != shapes[p]]
        if lost and not said:
            return {"class": "missing", "said": "; ".join(lost)}
        if lost or said:
            return {"class": "noted", "said": " | ".join([*said, *lost])}
        is_wrong = values != were and "bytes in a chunk" in done
        other = "missing" if is_wrong else "other values"
        return {"class": "same" if values == were else other, "said": ""}


def _options(one: dict[str, Any], home: Path) -> dict[str, Any]:
    return {**one["options"], **{k: str(home / v) for k, v in one.get("paths", {}).items()}}


def _is_fact(place: str) -> bool:
    """Return whether a dataset is a fact of the metadata and no structure of the data."""
    return place.startswith("general/") or place.count("/") == 0 or place.endswith(
        ("/starting_time", "/timestamps", "/dimension", "/pmt_gain", "/scan_line_rate",
         "/exposure_time", "/num_samples", "/field_of_view", "/binning", "/power", "/control",
         "/control_description")
    )  # fmt: skip


def work(originals: str, folder: str) -> None:
    """Answer cases on the standard input until it ends."""
    answers, sys.stdout = sys.stdout, sys.stderr
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    recordings = json.loads(sys.stdin.readline())
    worker = Worker(Path(originals), Path(folder), recordings)
    import nwb_ophys.opening  # noqa: F401

    used = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, used + MEMORY_BYTES))
    for line in sys.stdin:
        try:
            result = worker.run(json.loads(line))
        except BaseException:
            result = {"class": "harness", "done": line, "said": traceback.format_exc()}
        print(json.dumps(result), file=answers, flush=True)


# --- the pool -----------------------------------------------------------------------------------


class Pool:
    """Processes that run cases; one that hangs or crashes is replaced and noted."""

    def __init__(self, originals: Path, folder: Path, recordings: dict[str, Any]) -> None:
        self.originals, self.folder, self.recordings = originals, folder, recordings

    def run(
        self, cases: Iterable[dict[str, Any]], num_workers: int = 1, report: Any = None
    ) -> list[dict[str, Any]]:
        """Return the results of cases, of which each is also given to a function."""
        self._report = report or (lambda result: None)
        waiting: queue.Queue[dict[str, Any]] = queue.Queue()
        for case in cases:
            waiting.put(case)
        results: list[dict[str, Any]] = []
        threads = [
            threading.Thread(target=self._serve, args=(waiting, results))
            for _ in range(num_workers)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results

    def _serve(self, waiting: queue.Queue[dict[str, Any]], results: list[dict[str, Any]]) -> None:
        process = None
        while True:
            try:
                case = waiting.get_nowait()
            except queue.Empty:
                break
            if process is None or process.poll() is not None:
                process = self._start()
            results.append({**case, **self._ask(process, case)})
            self._report(results[-1])
        if process is not None:
            process.stdin.close()
            process.wait()
            process.stdout.close()

    def _start(self) -> Any:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", __file__, str(self.originals), str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        process.stdin.write(json.dumps(self.recordings) + "\n")
        return process

    @staticmethod
    def _ask(process: Any, case: dict[str, Any]) -> dict[str, Any]:
        process.stdin.write(json.dumps(case) + "\n")
        process.stdin.flush()
        is_late = threading.Event()

        def watch() -> None:
            began, seen = time.monotonic(), psutil.Process(process.pid)
            with contextlib.suppress(psutil.Error):
                used = sum(seen.cpu_times()[:2])
                while not ended.wait(0.5):
                    computed = sum(seen.cpu_times()[:2]) - used
                    if computed > SECONDS + 5 or time.monotonic() - began > _WALL_SECONDS:
                        is_late.set()
                        process.kill()
                        return

        ended = threading.Event()
        watcher = threading.Thread(target=watch)
        watcher.start()
        began = time.monotonic()
        line = process.stdout.readline()
        ended.set()
        watcher.join()
        if line:
            return {**json.loads(line), "seconds": round(time.monotonic() - began, 2)}
        process.wait()
        what = "hang" if is_late.is_set() else "crash"
        return {"class": what, "said": f"exit code {process.returncode}", "done": ""}


WRONG = ("foreign", "crash", "hang", "unnamed", "missing", "half-written", "harness")


def cases_of(names: Iterable[str], count: int, seed: int) -> list[dict[str, Any]]:
    """Return cases, spread evenly over the recordings."""
    chance, names = random.Random(seed), sorted(names)
    kinds = [kind for kind in KINDS for _ in range(WEIGHTS.get(kind, 1))]
    return [
        {
            "name": names[index % len(names)],
            "kind": chance.choice(kinds),
            "seed": seed * 10**6 + index,
        }
        for index in range(count)
    ]


if __name__ == "__main__":
    work(*sys.argv[1:])
