"""Metadata as YAML or JSON documents."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from nwb_ophys.errors import MetadataError
from nwb_ophys.metadata.deepdict import DeepDict


def load_metadata(path: str | Path) -> DeepDict:
    """Read metadata from a YAML or JSON file.

    Parameters
    ----------
    path : path-like
        The file; ``.json`` is read as JSON, anything else as YAML.

    Raises
    ------
    MetadataError
        When the file is absent, is not valid YAML or JSON, or holds no dictionary.
    """
    path = Path(path)
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise MetadataError(f"The metadata file '{path}' cannot be read: {error}.") from error
    try:
        loaded = _parse(content, path.suffix.lower() == ".json")
    # PyYAML lets the errors of Python's own constructors through, as for the date 2024-02-30.
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise MetadataError(f"The metadata file '{path}' is not valid: {reason}.") from error
    if loaded is None:
        return DeepDict()
    if not isinstance(loaded, dict):
        raise MetadataError(
            f"The metadata file '{path}' holds a {type(loaded).__name__}; it must be a dictionary "
            "with keys such as NWBFile, Subject and Ophys."
        )
    return DeepDict(loaded)


def dump_metadata(metadata: Mapping[str, Any], schema: Mapping[str, Any] | None = None) -> str:
    """Write metadata as YAML, each key with a comment that says what it is.

    Parameters
    ----------
    metadata : Mapping
        The metadata.
    schema : Mapping, optional
        Their JSON schema, whose descriptions become the comments.

    Returns
    -------
    str
        The document; :func:`load_metadata` reads the same metadata from it.
    """
    return "\n".join(_lines(DeepDict(metadata).to_dict(), schema or {}, 0)) + "\n"


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, for which a key given twice is an error instead of lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        _check_unique(keys, f" (line {node.start_mark.line + 1} and below)")
        return super().construct_mapping(node, deep)


# YAML 1.1, which PyYAML reads, takes 1e-6 for a text.
_NUMBER = (
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)
_Loader.add_implicit_resolver(*_NUMBER)


def _parse(content: str, is_json: bool) -> Any:
    if is_json:
        return json.loads(content, object_pairs_hook=_unique_dict)
    return read_yaml(content)


def read_yaml(content: str) -> Any:
    """Read a YAML document, in which ``1e-6`` is a number and a key given twice an error.

    Raises
    ------
    yaml.YAMLError, ValueError
        When it is not valid.
    """
    return yaml.load(content, Loader=_Loader)


def _unique_dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    _check_unique([key for key, _ in pairs])
    return dict(pairs)


def _check_unique(keys: list[str], where: str = "") -> None:
    twice = next((key for position, key in enumerate(keys) if key in keys[:position]), None)
    if twice is not None:
        raise ValueError(f"the key '{twice}' is given twice{where}")


class _Dumper(yaml.SafeDumper):
    """PyYAML's safe dumper, with every text on one line."""


def _represent_text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = None if value.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _represent_text)
# So that a text that looks like such a number is quoted.
_Dumper.add_implicit_resolver(*_NUMBER)


def _lines(value: dict[str, Any], schema: Mapping[str, Any], depth: int) -> list[str]:
    lines = []
    indent = "  " * depth
    for key, item in value.items():
        inner = schema.get("properties", {}).get(key) or schema.get("additionalProperties") or {}
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
        dumped = yaml.dump(
            _plain(value),
            Dumper=_Dumper,
            default_flow_style=True,
            width=float("inf"),
            allow_unicode=True,
            sort_keys=False,
        )
    except yaml.YAMLError as error:
        raise MetadataError(
            f"{value!r} ({type(value).__name__}) cannot be written as YAML; give a text, a number, "
            "a date, a list or a dictionary."
        ) from error
    return dumped.removesuffix("\n").removesuffix("...").removesuffix("\n")


def _plain(value: Any) -> Any:
    """Turn NumPy values, and what YAML would not give back, into those that YAML knows."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}
    return value
