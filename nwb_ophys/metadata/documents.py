"""Metadata as YAML or JSON documents."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nwb_ophys.documents import DocumentError, dump_yaml, read_document
from nwb_ophys.errors import MetadataError, absence
from nwb_ophys.metadata.deepdict import DeepDict
from nwb_ophys.outside import require_ordinary


def load_metadata(path: str | Path) -> DeepDict:
    """Read metadata from a YAML or JSON file.

    Parameters
    ----------
    path : path-like
        The file; ``.json`` is read as JSON, anything else as YAML.

    Raises
    ------
    MetadataError
        When the file is absent, is not valid YAML or JSON, or does not hold a dictionary.
    """
    file = Path(path)
    require_ordinary(file)
    if not file.is_file():
        fault = "is a folder; give a file" if file.is_dir() else absence(file)
        raise MetadataError(f"The metadata file '{path}' {fault}.")
    try:
        loaded = read_document(file)
    except UnicodeDecodeError as error:
        raise MetadataError(
            f"The metadata file '{path}' is not a text in UTF-8; give a YAML or JSON file."
        ) from error
    except OSError as error:
        reason = error.strerror or error
        raise MetadataError(f"The metadata file '{path}' cannot be read: {reason}.") from error
    except DocumentError as error:
        raise MetadataError(f"The metadata file '{path}' is not valid: {error}.") from error
    if loaded is None:
        return DeepDict()
    if not isinstance(loaded, dict):
        raise MetadataError(
            f"The metadata file '{path}' holds a {type(loaded).__name__}; it must be a dictionary "
            "with keys such as NWBFile, Subject and Ophys."
        )
    return DeepDict(loaded)


def dump_metadata(
    metadata: Mapping[str, Any],
    schema: Mapping[str, Any] | None = None,
    suggested: Mapping[str, Mapping[str, Any]] | None = None,
) -> str:
    """Return metadata as YAML, with the description of each key as a comment.

    Parameters
    ----------
    metadata : Mapping
        The metadata.
    schema : Mapping, optional
        JSON schema of the metadata; its descriptions become the comments.
    suggested : Mapping of str to Mapping, optional
        Examples by key of the metadata, and by key within it. A key that the metadata lacks is
        written as a comment with its example, for the user to fill in.

    Returns
    -------
    str
        The document; :func:`load_metadata` reads the same metadata from it.
    """
    stated = DeepDict(metadata).to_dict()
    suggested, schema = suggested or {}, schema or {}
    lines = []
    for key in [*suggested, *(key for key in stated if key not in suggested)]:
        examples = suggested.get(key, {})
        own = stated.get(key)
        known = own if isinstance(own, Mapping) else {}
        lacking = {k: each for k, each in examples.items() if k not in known}
        if key in stated:
            lines += _lines({key: stated[key]}, schema, 0)
            lines += [f"  # {line}" for line in _lines(lacking, _inner(schema, key), 0)]
        else:
            lines += [f"# {line}" for line in _lines({key: lacking}, schema, 0)]
    return "\n".join(lines) + "\n"


def _inner(schema: Mapping[str, Any], key: Any) -> Any:
    return schema.get("properties", {}).get(key) or schema.get("additionalProperties") or {}


def _lines(value: dict[str, Any], schema: Mapping[str, Any], depth: int) -> list[str]:
    lines = []
    indent = "  " * depth
    for key, item in value.items():
        inner = _inner(schema, key)
        description = " ".join(str(inner.get("description") or "").replace("``", "").split())
        comment = f"  # {description}" if description else ""
        label = _scalar(key)
        if isinstance(item, dict) and item:
            lines.append(f"{indent}{label}:{comment}")
            lines.extend(_lines(item, inner, depth + 1))
        elif isinstance(item, (list, tuple)) and item and all(isinstance(e, dict) for e in item):
            lines.append(f"{indent}{label}:{comment}")
            for entry in item:
                first, *rest = _lines(entry, inner.get("items", {}), depth + 1) or [
                    f"{indent}  {{}}"
                ]
                lines.append(f"{indent}- {first.removeprefix(indent + '  ')}")
                lines.extend(rest)
        else:
            lines.append(f"{indent}{label}: {_scalar(item)}{comment}")
    return lines


def _scalar(value: Any) -> str:
    try:
        return dump_yaml(_plain(value), flow_style=True).removesuffix("\n")
    except DocumentError as error:
        raise MetadataError(
            f"{value!r} ({type(value).__name__}) cannot be written as YAML; give a text, a number, "
            "a date, a list or a dictionary."
        ) from error


def _plain(value: Any) -> Any:
    """Convert NumPy values and tuples to the values of Python that YAML knows."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}
    return value
