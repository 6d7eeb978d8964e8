"""Open datasets of other files that a user gave: those that are copied, and links."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nwb_ophys.errors import OutputError
from nwb_ophys.storage.backends.base import Backend
from nwb_ophys.storage.backends.registry import backend_of_data
from nwb_ophys.storage.hdmf.placeholders import dataset_builders
from nwb_ophys.storage.sources import ArraySource, Source, is_fillable, source_of, unwrapped

if TYPE_CHECKING:
    from hdmf.build import GroupBuilder


def source_of_given(value: Any, backend: Backend, replaced: Path | None = None) -> Source | None:
    """Return data that a user gave as a source, or None for data that hdmf writes or links.

    Parameters
    ----------
    value : object
        The data of a dataset, perhaps in the wrapper of a backend.
    backend : Backend
        Backend of the file that is written.
    replaced : pathlib.Path, optional
        File whose place the new one takes. Its data are copied, since a link would lead to itself.
    """
    found, data = source_of(value), unwrapped(value)
    holder = None if found is not None else backend_of_data(data)
    if holder is None or not is_fillable(data.shape, data.dtype):
        return found
    is_linked = holder is backend and backend.links(data) and not _lies_in(data, holder, replaced)
    return None if is_linked else ArraySource(data, "an open dataset of another file")


def _lies_in(data: Any, holder: Backend, path: Path | None) -> bool:
    file = holder.file_of(data)
    return file is not None and _is_same(file, path)


def _is_same(file: str | Path, path: Path | None) -> bool:
    try:
        return path is not None and Path(file).samefile(path)
    except OSError:  # of a file without a name
        return False


def check_links(root: GroupBuilder, replaced: Path) -> None:
    """Check that nothing that is written would be a link to the file that is replaced.

    Parameters
    ----------
    root : hdmf.build.GroupBuilder
        After the datasets were planned.
    replaced : pathlib.Path

    Raises
    ------
    OutputError
        If data that are not copied would be, such as texts; names them.
    """
    for name, builder in dataset_builders(root):
        data = unwrapped(builder.data)
        holder = backend_of_data(data)
        if holder and not is_fillable(data.shape, data.dtype) and _lies_in(data, holder, replaced):
            raise OutputError(
                f"'{name}' is read from '{replaced}', which would be replaced by a link to itself; "
                "write to another name, or copy it into memory first."
            )
