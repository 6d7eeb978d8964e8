"""Places of metadata in a file: the dataset or attribute in which a field of a model is stored.

The schema that a file was written with states the place of each field of a type.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
from hdmf.build import Builder, DatasetBuilder, GroupBuilder, LinkBuilder, ObjectMapper
from hdmf.spec import AttributeSpec, DatasetSpec, LinkSpec

# Fields that follow from the data beside them.
_OF_DATA = ("dimension", "format")


@attrs.frozen(kw_only=True)
class FieldPlace:
    """Place of one field of one object in a file.

    Attributes
    ----------
    location : str
        Path of the dataset, or of the object with the attribute; empty for the root.
    attribute : str or None
        Name of the attribute; None where the field is a dataset.
    spec : hdmf.spec.Spec
        Specification of the field.
    holder : hdmf.build.Builder or None
        What is stored at the location; None if nothing is.
    obstacle : str
        End of a sentence that says why the field cannot be edited; empty if it can.
    """

    location: str
    attribute: str | None
    spec: Any
    holder: Builder | None
    obstacle: str = ""

    @property
    def key(self) -> tuple[str, str | None]:
        """Location and attribute, by which two places are the same."""
        return self.location, self.attribute

    @property
    def is_required(self) -> bool:
        """Return whether NWB requires the field."""
        return bool(self.spec.required)

    def value(self) -> Any:
        """Return the stored value as texts, numbers and lists; None if there is none."""
        if self.holder is None:
            return None
        if self.attribute is not None:
            return plain(self.holder.attributes.get(self.attribute))
        return plain(getattr(self.holder, "data", None))

    def attributes(self) -> dict[str, Any]:
        """Return the attributes that the dataset has, or has to have when it is new."""
        stated = {} if self.holder is None else dict(self.holder.attributes)
        for spec in self.spec.attributes:
            default = spec.value if spec.value is not None else spec.default_value
            if default is not None and spec.required | (self.holder is None):
                stated.setdefault(spec.name, default)
        return stated


def plain(value: Any) -> Any:
    """Return a stored value as texts, numbers and lists."""
    if hasattr(value, "shape") and not isinstance(value, (np.ndarray, np.generic)):
        value = value[()]  # of a dataset
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, (np.ndarray, list, tuple)):
        return [plain(each) for each in value]
    return value.item() if isinstance(value, np.generic) else value


def place_of(mapper: ObjectMapper, builder: GroupBuilder, name: str) -> FieldPlace | None:
    """Return the place of a field of an object, or None if its type has no such field.

    Parameters
    ----------
    mapper : hdmf.build.ObjectMapper
        Of the type of the object.
    builder : hdmf.build.GroupBuilder
        The stored object.
    name : str
        Name of the field, as pynwb's constructors have it.
    """
    spec = mapper.get_carg_spec(name)
    if spec is None:
        return None
    if not isinstance(spec, (AttributeSpec, DatasetSpec)):
        obstacle = "is a list of objects, of which only single fields are edited"
        if isinstance(spec, LinkSpec):
            obstacle = "is a link to another object, which is not edited"
        return FieldPlace(location="", attribute=None, spec=spec, holder=None, obstacle=obstacle)
    steps = _steps_of(spec, mapper.spec)
    attribute = steps.pop() if isinstance(spec, AttributeSpec) else None
    holder, link = _walk(builder, steps)
    obstacle = "is a fact of the data, which are not edited" if name in _OF_DATA else ""
    if link is not None:
        obstacle = f"is stored in '{'/'.join(path_of(link.builder))}'; edit it there"
    location = "/".join([*path_of(builder), *steps])
    return FieldPlace(
        location=location, attribute=attribute, spec=spec, holder=holder, obstacle=obstacle
    )


def path_of(builder: GroupBuilder) -> list[str]:
    """Return the names of the groups that lead from the root to an object, and its own."""
    return str(builder.path).split("/")[1:]


def _steps_of(spec: Any, top: Any) -> list[str]:
    steps = []
    while spec is not top:
        steps.append(spec.name)
        spec = spec.parent
    return steps[::-1]


def _walk(builder: GroupBuilder, steps: list[str]) -> tuple[Builder | None, LinkBuilder | None]:
    """Return what is stored at a place, and the link on the way if there is one."""
    found: Any = builder
    for step in steps:
        parts: Mapping[str, Any] = {**found.groups, **found.datasets}
        if step in found.links:
            return None, found.links[step]
        if step not in parts:
            return None, None
        found = parts[step]
        if isinstance(found, DatasetBuilder):
            break
    return found, None
