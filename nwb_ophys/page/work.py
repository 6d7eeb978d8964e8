"""The long work of the page, done in its own process; see :mod:`nwb_ophys.page.worker`.

Each public function is one piece of work: it takes plain values, does what a command does with the
same functions, and returns plain values for the templates.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.errors import (
    MetadataError,
    MissingPackageError,
    OptionError,
    printable,
    shown_size,
)
from nwb_ophys.inspection import inspect_file
from nwb_ophys.metadata import archive_findings, dump_metadata
from nwb_ophys.opening import (
    Recording,
    apply_times,
    check_metadata_for_archive,
    describe_recording,
    edited_metadata,
    joined_files,
    open_recording,
    summarise_file,
)
from nwb_ophys.opening.grouping import group
from nwb_ophys.opening.times_given import stated_keys
from nwb_ophys.page import forms
from nwb_ophys.page import request as requests
from nwb_ophys.page.request import Request
from nwb_ophys.page.roots import Roots, as_identifier
from nwb_ophys.page.wording import page_lines
from nwb_ophys.registry import (
    detect as candidates_of,
)
from nwb_ophys.registry import (
    formats,
    get_format,
    likeliest,
    option_asking_for,
    unrecognised,
)
from nwb_ophys.storage import (
    DEFAULT_BACKEND,
    BackendConfiguration,
    WriteProgress,
    backend_of_name,
    estimate_nwbfile,
    plan_nwbfile,
    reserved,
)
from nwb_ophys.storage.command import stated_command

_SECONDS_PER_REPORT = 0.2


class Tools:
    """Open recording that one piece of work leaves to the next, and the way to report progress.

    Parameters
    ----------
    report : callable
        Takes plain values.
    """

    def __init__(self, report: Callable[[Any], None]) -> None:
        self.report = report
        self._opened: tuple[Any, Recording] | None = None

    def recording(self, request: Request) -> Recording:
        """Return the recording of a request, which stays open for the next piece of work."""
        if self._opened is not None and self._opened[0] == request.source:
            return self._opened[1]
        self.close()
        opened = open_recording(
            request.paths,
            request.formats,
            request.options,
            all_in_one=request.all_in_one,
            leave_out=request.leave_out,
            has_times=bool(request.clocks.keys() & {"times", "pulses"}),
        )
        try:
            lines = _with_clocks(opened, request)
        except BaseException:
            opened.converter.close()
            raise
        for line in lines:
            warnings.warn(line, UserWarning, stacklevel=2)
        self._opened = request.source, opened
        return opened

    def close(self) -> None:
        """Close the recording that is open."""
        before, self._opened = self._opened, None
        if before is not None:
            before[1].converter.close()


def _with_clocks(recording: Recording, request: Request) -> list[str]:
    """Apply the files of other devices, which lie in the roots; return what was matched."""
    allowed = Roots(tuple(map(Path, request.roots)))
    clocks: dict[str, Any] = dict(request.clocks)
    for name, lines in clocks.items():
        for line in lines:
            stated = stated_keys(line, name, has_stream=name != "trials")
            for key, value in stated.items():
                if key == "file" or key.endswith("_path"):
                    _check_file(allowed, str(value))
    if len(clocks.get("trials", ())) > 1:
        raise OptionError("trials has several lines; give one table.")
    clocks["trials"] = next(iter(clocks.get("trials", ())), None)
    return list(apply_times(recording, **clocks)) if request.clocks else []


def _check_file(allowed: Roots, path: str) -> None:
    if not Path(path).is_absolute():
        raise OptionError(f"'{path}' is not a whole path; give one that begins with a slash.")
    allowed.existing(as_identifier(Path(path)))


# --- what is in a folder ------------------------------------------------------------------------


def detect(tools: Tools, path: str) -> dict[str, Any]:
    """Return the recordings in a folder, with the evidence of their formats.

    Parameters
    ----------
    tools : Tools
    path : str
    """
    tools.close()  # the files may have changed
    place = Path(path)
    found = candidates_of(place, every_file=True)
    if not found:
        raise unrecognised(place)
    rows = likeliest(found)
    recordings = [
        {
            "path": str(each),
            "name": printable(_relative(each, place)),
            "format": row.name,
            "kind": row.kind,
            "option": option_asking_for(row),
            "evidence": printable(
                next(c.evidence for c in found if c.path == each and c.format == row.name)
            ),
            "choices": list(
                dict.fromkeys(c.format for c in found if c.path == each and c.kind == row.kind)
            ),
        }
        for each, row in rows
    ]
    plain = [(each, row) for each, row in rows if not option_asking_for(row)]
    lines = [line for each in _grouped(plain, place) for line in each.describe()]
    return {"recordings": recordings, "lines": lines, "formats": sorted(formats())}


def _grouped(rows: Any, place: Path) -> Any:
    """Return groups of files; where it is unclear which are one movie, opening says so."""
    with suppress(Exception):
        return group(rows, given=[place])
    return []


def _relative(path: Path, place: Path) -> str:
    return str(path.relative_to(place)) if place in path.parents else path.name


# --- streams and metadata -----------------------------------------------------------------------


def survey(tools: Tools, request: Request, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the streams of a recording, its options, and the form of its metadata.

    Parameters
    ----------
    tools : Tools
    request : Request
    names : tuple of str
        Names of the formats of its parts, whose options are shown even if it cannot be opened.
    """
    fields = forms.option_fields([get_format(name) for name in names], request.options)
    left = [{"name": name, "type": "", "facts": ""} for name in request.leave_out]
    try:
        recording = tools.recording(request)
        metadata = _metadata(recording, request)  # which conversion options may refuse
    except Exception as error:
        lines = page_lines(error)
        if lines is None:
            raise
        files = {name: [_file_of(each) for each in lines] for name, lines in request.clocks.items()}
        faults = forms.attributed(lines, [field["key"] for field in fields], files)
        return {
            "options": fields,
            "faults": faults,
            "streams": left,  # which may be the fault
            "lines": [],
            "metadata": None,
        }
    streams = [_described(name, each) for name, each in recording.converter.interfaces.items()]
    streams += left
    return {
        "options": fields,
        "faults": {},
        "streams": streams,
        "lines": list(joined_files(recording)),
        "metadata": metadata,
    }


def _file_of(given: str) -> str:
    """Return the name of the file in a text such as ``stream=clock.csv::time,unit=ms``."""
    return Path(given.partition("::")[0].partition(",")[0].rpartition("=")[2]).name


def _described(name: str, interface: Any) -> dict[str, Any]:
    """Return facts on a stream in words."""
    extractor = getattr(interface, "extractor", None)
    return {
        "name": name,
        "type": type(interface).__name__,
        "facts": ", ".join(_facts(extractor)),
    }


def _facts(extractor: Any) -> Iterator[str]:
    """Yield facts on an extractor; extractors of other packages need not have each."""
    rate = _asked(extractor, "get_sampling_frequency")
    num_samples = _asked(extractor, "get_num_samples")
    shape = _asked(extractor, "get_frame_shape") or _asked(extractor, "get_image_shape")
    num_rois = _asked(extractor, "get_num_rois")
    if num_rois is not None:
        yield f"{num_rois:,} ROIs"
    if num_samples is not None:
        yield f"{num_samples:,} samples"
    if shape is not None:
        yield f"{' × '.join(str(size) for size in shape)} pixels"
    if rate:
        yield f"{rate:.4g} Hz"
        if num_samples:
            yield f"{num_samples / rate:,.4g} s"


def _asked(extractor: Any, method: str) -> Any:
    with suppress(Exception):
        return getattr(extractor, method)()
    return None


def _metadata(recording: Recording, request: Request) -> dict[str, Any]:
    """Return the form of the metadata, with faults and findings beside the fields."""
    converter, options = recording.converter, recording.conversion_options
    base = edited_metadata(converter, None, {}, options)
    schema = converter.get_metadata_schema()
    kept, faults = _accepted(recording, request.settings)
    edited = edited_metadata(converter, None, kept, options)
    try:
        findings = check_metadata_for_archive(converter, edited, options)
    except MetadataError as error:
        faults = forms.merged(faults, forms.faults_by_key(error))
        findings = archive_findings(edited)
    groups = forms.groups_of(base, edited, schema, request.settings)
    stated = [attrs.asdict(each) for each in findings]
    minimal = requests.minimal_metadata(kept, edited)
    return {
        "groups": groups,
        "apart": forms.mark(groups, stated, faults),
        "num_faults": sum(map(len, faults.values())),
        "num_required": sum(each.importance == "required" for each in findings),
        "num_advised": sum(each.importance == "advised" for each in findings),
        "document": describe_recording(converter, edited, options),
        "minimal": dump_metadata(minimal) if minimal else "",
        "specification": requests.specification_of(attrs.evolve(request, settings=kept), edited),
        "start": str(edited["NWBFile"].get("session_start_time") or ""),
    }


def _accepted(
    recording: Recording, settings: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return the settings that can be made, and the faults of the others by their key."""
    kept: dict[str, str] = {}
    faults: dict[str, list[str]] = {}
    for key, text in settings.items():
        try:
            edited_metadata(
                recording.converter, None, {**kept, key: text}, recording.conversion_options
            )
            kept[key] = text
        except (OptionError, MetadataError) as error:
            faults[key] = page_lines(error) or []
    return kept, faults


def look(tools: Tools, request: Request) -> dict[str, Any]:
    """Return pictures of the first frames, with outlines of the ROIs and example traces.

    Parameters
    ----------
    tools : Tools
    request : Request
    """
    from nwb_ophys.page.look import pictures_of

    return pictures_of(
        tools.recording(request), _accepted(tools.recording(request), request.settings)[0]
    )


# --- plan and conversion ------------------------------------------------------------------------


def _configuration(request: Request) -> BackendConfiguration:
    backend = backend_of_name(Path(request.output)) or DEFAULT_BACKEND
    given: dict[str, Any] = {"compression": request.compression} if request.compression else {}
    return BackendConfiguration(backend=backend, **given)


def _edited(recording: Recording, request: Request) -> Any:
    return edited_metadata(
        recording.converter, None, request.settings, recording.conversion_options
    )


def plan(tools: Tools, request: Request) -> dict[str, Any]:
    """Return how each dataset would be stored, with an estimate of size and time.

    Parameters
    ----------
    tools : Tools
    request : Request
    """
    recording = tools.recording(request)
    metadata = _edited(recording, request)
    nwbfile = recording.converter.create_nwbfile(metadata, recording.conversion_options)
    configuration = _configuration(request)
    planned = plan_nwbfile(nwbfile, configuration)
    rows = [
        {
            "location": each.location,
            "shape": " × ".join(f"{size:,}" for size in each.shape or ()),
            "dtype": str(each.dtype),
            "chunks": " × ".join(map(str, each.chunk_shape)) if each.chunk_shape else "",
            "compression": str(each.compression or "none"),
            "size": shown_size(each.num_bytes),
        }
        for each in planned.datasets.values()
    ]
    return {
        "rows": rows,
        "yaml": planned.to_yaml(),
        "estimate": str(estimate_nwbfile(nwbfile, configuration)),
    }


def convert(tools: Tools, request: Request) -> dict[str, Any]:
    """Convert a recording, check the file, and make its report.

    Parameters
    ----------
    tools : Tools
    request : Request
    """
    from nwb_ophys.page.look import FileReport

    tools.close()
    report = FileReport(request)
    started = time.monotonic()
    with (
        stated_command(requests.convert_command(request)[1:]),
        reserved(request.output, overwrite=request.overwrite, append=False),
    ):
        written = _written(tools, request, report.observer)
    seconds = time.monotonic() - started
    stage = {"stage": "Checking the file", "fraction": None, "detail": ""}
    tools.report({**stage, "written": str(written)})
    outcome = {
        "path": str(written),
        "seconds": seconds,
        "summary": summarise_file(written).splitlines(),
        **_inspected(written),
    }
    tools.report({"stage": "Making the report", "fraction": None, "detail": ""})
    return {**outcome, **report.made(written)}


def _written(tools: Tools, request: Request, observer: Any) -> Path:
    """Write the file of a request, and return its path."""
    recording = tools.recording(request)
    try:
        written = recording.converter.run_conversion(
            request.output,
            metadata=_edited(recording, request),
            overwrite=request.overwrite,
            configuration=_configuration(request),
            progress=_reporter(tools.report),
            verify=request.verify,
            observer=observer,
            conversion_options=recording.conversion_options,
        )
    finally:
        tools.close()
    return Path(str(written))


def _reporter(report: Callable[[Any], None]) -> Callable[[WriteProgress], None]:
    """Return a function that reports the progress of a write a few times a second."""
    last = [0.0]

    def show(progress: WriteProgress) -> None:
        now = time.monotonic()
        is_last = progress.num_bytes >= progress.total_bytes
        if now - last[0] < _SECONDS_PER_REPORT and not is_last:
            return
        last[0] = now
        detail = f"{printable(progress.location)}, {progress.frames:,} of {progress.num_frames:,}"
        fraction = progress.num_bytes / max(progress.total_bytes, 1)
        report({"stage": "Writing", "fraction": fraction, "detail": detail})

    return show


def _inspected(path: Path) -> dict[str, Any]:
    """Return the findings on a file, or the reason for which it was not checked."""
    try:
        findings = inspect_file(path, archive="dandi")
    except MissingPackageError as error:
        return {"findings": None, "is_valid": None, "unchecked": str(error)}
    refused = any(each.is_error or each.importance == "CRITICAL" for each in findings)
    return {
        "findings": [attrs.asdict(each) for each in findings],
        "is_valid": not any(each.is_error for each in findings),
        "is_accepted": not refused,
        "unchecked": "",
    }
