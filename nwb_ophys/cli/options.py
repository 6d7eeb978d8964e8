"""Command-line options that several commands share."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import click

from nwb_ophys.cli.terminal import is_quiet, own_stdout, say_lines
from nwb_ophys.errors import ArgumentError, OptionError, OutputError, OutsideFolderError
from nwb_ophys.remote.paths import as_path, is_url
from nwb_ophys.shell_words import quoted
from nwb_ophys.storage import BACKENDS, DEFAULT_BACKEND

_SHELL_EXPANDS = os.name != "nt"


class LocalPath(click.Path):
    """Path of the disk; ``pathlib`` makes the current folder of an empty text."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path, unless there is none."""
        if not str(value).strip():
            self.fail("The path is empty; a variable of the shell may have no value.", param, ctx)
        return super().convert(value, param, ctx)


class InputPath(LocalPath):
    """Path of the disk, or a URL as it was given, of which ``pathlib`` drops double slashes."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        if isinstance(value, str) and is_url(value):
            return as_path(value)
        return super().convert(value, param, ctx)


PATH = InputPath()


def expanded(ctx: click.Context, param: click.Parameter, value: tuple[Any, ...]) -> Any:
    """Replace patterns such as ``scan_*.tif`` by the files, which the shells of Windows do not.

    No file has a star or a question mark in its name there.
    """
    if _SHELL_EXPANDS:
        return value
    found: list[Any] = []
    for path in value:
        is_pattern = {"*", "?"} & set(path.name) and not is_url(str(path))
        found += sorted(path.parent.glob(path.name)) or [path] if is_pattern else [path]
    return tuple(found)


paths = click.argument("paths", nargs=-1, required=True, type=PATH, callback=expanded)

format_names = click.option(
    "--format",
    "format_names",
    multiple=True,
    metavar="NAME",
    help="Format of the paths (see 'nwb-ophys formats'); detected when not given. With several "
    "paths give it once for all, or once for each path.",
)

options = click.option(
    "--option",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="A source argument, such as sampling_frequency=7.5, or a conversion option, such as "
    "mask_type=pixel.",
)

metadata_file = click.option(
    "--metadata",
    "metadata_file",
    type=PATH,
    help="YAML or JSON file of metadata, as 'nwb-ophys metadata' writes it.",
)

settings = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="One metadata value, such as NWBFile.session_start_time=2024-05-17T14:30:00+02:00.",
)

_CLOCKS = (
    click.option(
        "--times",
        "times",
        multiple=True,
        metavar="[STREAM=]FILE[::COLUMN][,KEY=VALUE...]",
        help="File with a time for each frame: a table, .npy, MATLAB or HDF5. Keys: unit, zero, "
        "per_sample, plane, extra. Several movies need the name of the stream, and may each have "
        "times.",
    ),
    click.option(
        "--pulses",
        "pulses",
        multiple=True,
        metavar="[STREAM=]FILE[::CHANNEL][,KEY=VALUE...]",
        help="File with a channel that has a pulse for each frame: its trace, with rate=HZ or "
        "time=COLUMN, or the times of its pulses. Further keys: edge, threshold, bit, missing, "
        "after, before, and those of --times.",
    ),
    click.option(
        "--trials",
        metavar="FILE[,KEY=VALUE...]",
        help="Table with a line for each trial and the columns start_time and stop_time, in "
        "seconds from the start of the session. Keys: start, stop, duration, unit, zero, "
        "descriptions_path.",
    ),
)


def clocks(command: Any) -> Any:
    """Add the options for clocks and events that were recorded beside the imaging."""
    for option in reversed(_CLOCKS):
        command = option(command)
    return command


def open_paths(
    paths: Sequence[Path],
    format_names: Sequence[str],
    given: dict[str, Any],
    all_in_one: bool,
    left: Sequence[str],
    times: Sequence[str],
    pulses: Sequence[str],
    trials: str | None,
) -> tuple[Any, list[str]]:
    """Return the recording at some paths, open until the command ends, and lines on its clocks.

    The arguments are the values of the options, as click gives them.
    """
    from nwb_ophys.opening import apply_times, open_recording

    has_times = bool(times or pulses)
    recording = open_recording(
        *(paths, format_names, given),
        all_in_one=all_in_one,
        leave_out=left,
        has_times=has_times,
    )
    click.get_current_context().call_on_close(recording.converter.close)
    return recording, apply_times(recording, times=times, pulses=pulses, trials=trials)


all_in_one = click.option(
    "--all-in-one",
    is_flag=True,
    help="Allow recordings of different subjects or days in one file.",
)

leave_out = click.option(
    "--leave-out",
    "left",
    multiple=True,
    metavar="STREAM",
    help="Stream that is not converted, by the name that is printed, such as 'bruker Ch2'; may be "
    "given several times.",
)

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON in place of text.")


def as_json(command: Any) -> Any:
    """Add the option ``--json``, with which stdout has nothing but one document of JSON."""

    @functools.wraps(command)
    def alone(*args: Any, as_json: bool, **given: Any) -> Any:
        with own_stdout() if as_json else nullcontext():
            return command(*args, as_json=as_json, **given)

    return _JSON(alone)


overwrite = click.option("--overwrite", is_flag=True, help="Replace an existing file.")

allow_outside = click.option(
    "--allow-outside",
    multiple=True,
    metavar="FOLDER",
    type=PATH,
    help="Folder in which files may lie that PATH names or links to, beyond its own folder; may be "
    "given several times.",
)


@contextmanager
def with_own_flag() -> Iterator[None]:
    """Name ``--allow-outside`` in errors of commands that have this flag in place of an option."""
    try:
        yield
    except OutsideFolderError as error:
        text = str(error).replace("--option allow_outside=", "--allow-outside ")
        raise OutsideFolderError(text) from error


resume = click.option(
    "--resume",
    is_flag=True,
    help="Go on where an earlier run of the same command was killed; keep what is written when "
    "this run is interrupted.",
)

in_place = click.option(
    "--in-place",
    is_flag=True,
    help="With --append, change the file itself where there is no space for a copy. An error is "
    "undone; after a kill the next run or 'nwb-ophys clean' undoes it, from a hidden journal "
    "beside the file. Until then the file is damaged. Let nothing read or back it up meanwhile.",
)

no_space_check = click.option(
    "--no-space-check",
    is_flag=True,
    help="Write even if the space seems too small, for file systems that state a wrong number.",
)

no_progress = click.option(
    "--no-progress",
    is_flag=True,
    callback=lambda ctx, param, value: value or is_quiet(),
    help="Show no progress bar.",
)


class OutputPath(LocalPath):
    """Path of a file to write; a name with a slash at its end is that of a folder.

    Parameters
    ----------
    example : str
        Name of such a file, for messages.
    """

    def __init__(self, example: str = "session.nwb") -> None:
        super().__init__()
        self._example = Path(example)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path, unless it names a folder that does not exist."""
        if is_url(value):
            return as_path(value)
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        is_folder = str(value).endswith(("/", os.sep)) and not path.exists()
        if is_folder and path.suffix != ".zarr":
            raise OutputError(
                f"'{value}' is a folder, which does not exist; give the name of a file that ends "
                f"in {self._example.suffix}, such as '{path / self._example}', in a folder that "
                "exists."
            )
        return path


backend_names = click.Choice(list(BACKENDS))

zarr_format = click.option(
    "--zarr-format",
    type=click.Choice(["2", "3"]),
    callback=lambda ctx, param, value: None if value is None else int(value),
    help="Format of a Zarr store; an error if the installed packages do not write it.  [default: 3 "
    "with hdmf-zarr 0.14 or later, else 2]",
)

_ABOVE_ZERO = click.FloatRange(min=0, min_open=True)

_STORAGE = (
    click.option(
        "--compression",
        metavar="NAME",
        help="gzip, gzip:1 to gzip:9, zstd, blosc, lz4 or none. Every HDF5 reader opens gzip and "
        "none.  [default: gzip in HDF5, blosc in Zarr]",
    ),
    click.option(
        "--chunk-mb",
        type=_ABOVE_ZERO,
        help="Size of chunks, in MB.  [default: chosen for each dataset]",
    ),
    click.option(
        "--buffer-gb",
        type=_ABOVE_ZERO,
        help="Memory for data being read and compressed, in GB.  [default: 0.5]",
    ),
    click.option(
        "--configuration",
        "configuration_file",
        type=PATH,
        help="YAML file with the storage settings of each dataset, as --plan prints it.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(min=0),
        help="Threads that read and compress; 0 uses the main thread only.  [default: one per "
        "core, and one more for Zarr]",
    ),
    click.option(
        "--verify", is_flag=True, help="Read the file back and compare it with the source."
    ),
    click.option(
        "--plan",
        is_flag=True,
        help="Print how each dataset would be stored and, before a conversion, an estimate of size "
        "and time; write nothing.",
    ),
)


def storage(command: Any) -> Any:
    """Add the options for the storage of a file."""
    for option in reversed(_STORAGE):
        command = option(command)
    return command


def configuration(
    path: Path | None,
    backend: str | None,
    compression: str | None,
    chunk_mb: float | None,
    buffer_gb: float | None,
    default: str | None = None,
    zarr_format: int | None = None,
) -> Any:
    """Return the configuration of a file; options override the values of the YAML file.

    Raises
    ------
    ArgumentError
        When the YAML file states another backend than the option, or the backend has no format.
    MissingPackageError
        When the installed packages do not write the format.
    """
    from nwb_ophys.storage import BackendConfiguration, get_backend

    preferred = backend or default or DEFAULT_BACKEND
    if path is None:
        base = BackendConfiguration(backend=preferred)
    else:
        base = BackendConfiguration.from_yaml(path, default_backend=preferred)
    if backend not in (None, base.backend):
        raise ArgumentError(
            f"'{path}' is for backend '{base.backend}', but '{backend}' was requested; make a "
            "configuration for that backend with --plan."
        )
    if zarr_format is not None:
        get_backend(base.backend, zarr_format)
    given = {"compression": compression, "chunk_mb": chunk_mb, "buffer_gb": buffer_gb}
    for name, value in given.items():
        if value is not None:  # Setting it overrides the entries of single datasets too.
            setattr(base, name, value)
    return base


debug = click.option("--debug", is_flag=True, help="Show the traceback of an error.")


def lock_at_once(output: Path) -> None:
    """Lock the file that a command writes until the command ends, before slow imports.

    Parameters
    ----------
    output : pathlib.Path
        If its folder does not allow new files, nothing is locked; the command says so later.

    Raises
    ------
    OutputBusyError
        When another process is writing the file; names the process.
    OutputError
        When no file can have the name.
    """
    from nwb_ophys.storage.locking import locked
    from nwb_ophys.storage.places import real_place

    if is_url(output):
        return
    place = real_place(output)
    if place.parent.is_dir() and os.access(place.parent, os.W_OK | os.X_OK):
        click.get_current_context().with_resource(locked(place))


def reserve(output: Path, *, overwrite: bool, append: bool) -> None:
    """Lock and check the file that a command writes, until the command ends.

    Parameters
    ----------
    output : pathlib.Path
    overwrite, append : bool
        Whether an existing file may be replaced, or added to.

    Raises
    ------
    OutputBusyError, OutputExistsError, OutputError
        See :func:`nwb_ophys.storage.reserved`.
    """
    lock_at_once(output)
    from nwb_ophys.storage import check_target, reserved

    if is_url(output):
        check_target(output, overwrite=overwrite, append=append)
        return

    context = click.get_current_context()
    context.with_resource(reserved(output, overwrite=overwrite, append=append))


def check_place_of_plan(output: Path, **_: bool) -> None:
    """Check that a file could be written at a path, whatever is there already.

    Parameters
    ----------
    output : pathlib.Path
        A URL is not looked at.
    **_ : bool
        As for :func:`reserve`; nothing that is there is touched.

    Raises
    ------
    OutputError
        See :func:`nwb_ophys.storage.check_place`.
    """
    if not is_url(output):
        from nwb_ophys.storage.places import check_place, real_place

        check_place(real_place(output))


def pairs(texts: Sequence[str], option: str) -> dict[str, Any]:
    """Return texts of the form KEY=VALUE as a dictionary.

    Raises
    ------
    OptionError
        For a text without an equals sign, or a key with two values, one of which would be ignored.
    """
    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise OptionError(f"{option} is '{text}'; it must be KEY=VALUE.")
        name, given = key.strip(), value.strip()
        if found.setdefault(name, given) != given:
            raise OptionError(
                f"{option} states {name} twice, as '{found[name]}' and as '{given}'; leave one out."
            )
    return found


def say(text: str) -> None:
    """Print lines; a reader that has ended, as ``| head`` does, does not stop the command.

    Parameters
    ----------
    text : str
        Nothing is printed if it is empty.
    """
    with suppress(BrokenPipeError):
        if text:
            say_lines(f"{text}\n")


def say_json(value: Any) -> None:
    """Print a value as JSON.

    Parameters
    ----------
    value : Any
        Objects of attrs classes in it become objects of JSON, and other objects texts. JSON has no
        number for NaN, which becomes null, nor for infinity, which becomes a text.
    """
    import json

    with suppress(BrokenPipeError):
        say_lines(json.dumps(_plain(value), indent=2, allow_nan=False), always=True)


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    import attrs

    if attrs.has(type(value)):
        value = attrs.asdict(value, recurse=False)
    if hasattr(value, "tolist"):  # of NumPy
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def say_written(path: Path, streams: Iterable[str]) -> None:
    """Print the streams of a written file, a summary of its contents, and the next step."""
    from nwb_ophys.opening import summarise_file

    say(f"{path}: {', '.join(streams)}")
    if is_url(path):
        say(f"Wrote {path}.")
    else:
        say(summarise_file(path))
    say(f"Check it with: nwb-ophys inspect {quoted(str(path))}")
