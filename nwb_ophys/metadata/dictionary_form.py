"""The dictionary form of metadata, which NeuroConv has had since version 0.10: keys and schema.

Its entries have keys of the user's choosing, by which they refer to each other. An entry of a
recording has as its key the name that it has in ``get_metadata()``, or any key beside that name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from nwb_ophys.metadata import models
from nwb_ophys.metadata.models import model_schema

DEVICES, MODELS = "Devices", "DeviceModels"
PLANES, MOVIES = "ImagingPlanes", "MicroscopySeries"
TABLES, TRACES, IMAGES = "PlaneSegmentations", "RoiResponses", "SegmentationImages"

TOP_KEYS = (DEVICES, MODELS)
"""Keys of the metadata that only the dictionary form has."""

OPHYS_KEYS = (PLANES, MOVIES, TABLES, TRACES)
"""Keys of ``metadata["Ophys"]`` that only the dictionary form has."""

PLANE_KEY = "imaging_plane_metadata_key"
DEVICE_KEY = "device_metadata_key"
MODEL_KEY = "device_model_metadata_key"

PHOTON_SERIES = ("TwoPhotonSeries", "OnePhotonSeries")
"""Lists whose entries are in ``MicroscopySeries``."""

CONTAINER_OF_DFF = "DfOverF"
"""The list form keeps traces of the kind ``dff`` here, and all others in ``Fluorescence``."""


def has_dictionary_form(metadata: Any) -> bool:
    """Return whether metadata has a key that only the dictionary form has."""
    if not isinstance(metadata, Mapping):
        return False
    ophys = metadata.get("Ophys")
    inner = ophys if isinstance(ophys, Mapping) else {}
    return any(key in metadata for key in TOP_KEYS) or any(key in inner for key in OPHYS_KEYS)


def path_of_key(category: str, *steps: str) -> str:
    """Return the path of a category, or of an entry of it, for messages."""
    inner = "" if category in TOP_KEYS else '["Ophys"]'
    return f'metadata{inner}["{category}"]' + "".join(f'["{step}"]' for step in steps)


@attrs.frozen(kw_only=True)
class _Link:
    """A link of an entry: its field of the list form, its key here, and the entries it names."""

    field: str
    key: str
    target: str

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of the key."""
        return {"type": "string", "description": f"Key of an entry of {self.target}."}


LINKS: Mapping[str, _Link] = {
    DEVICES: _Link(field="model", key=MODEL_KEY, target=MODELS),
    PLANES: _Link(field="device", key=DEVICE_KEY, target=DEVICES),
    MOVIES: _Link(field="imaging_plane", key=PLANE_KEY, target=PLANES),
    TABLES: _Link(field="imaging_plane", key=PLANE_KEY, target=PLANES),
}
"""Link that the entries of a category have."""


def dictionary_schema() -> dict[str, Any]:
    """Return the JSON schema of the dictionary form, without the keys of the list form.

    No key is required, because entries of a recording are filled with what the recording states.
    """
    movie = _entry(MOVIES, models.TwoPhotonSeries, models.OnePhotonSeries)
    traces, images = _entry(TRACES, models.RoiResponseSeries), _entry(IMAGES, models.SummaryImage)
    ophys = {
        PLANES: _keyed(_entry(PLANES, models.ImagingPlane), "Imaging planes by key."),
        MOVIES: _keyed(movie, "Movies by key; an option sets the type of a series."),
        TABLES: _keyed(_entry(TABLES, models.PlaneSegmentation), "Plane segmentations by key."),
        TRACES: _keyed(
            _keyed(traces, "Traces by kind."), "Traces by the key of their plane segmentation."
        ),
        IMAGES: _keyed(
            _keyed(images, "Images by name."), "Images by the key of their plane segmentation."
        ),
    }
    devices, device_models = _entry(DEVICES, models.Device), _entry(MODELS, models.DeviceModel)
    return {
        "type": "object",
        "properties": {
            DEVICES: _keyed(devices, "Devices by key."),
            MODELS: _keyed(device_models, "Models of devices by key."),
            "Ophys": {"type": "object", "properties": ophys},
        },
    }


# NeuroConv names the class of a device; other classes than these belong to extensions of NWB.
_CLASSES = {DEVICES: "Device", MODELS: "DeviceModel"}


def _entry(category: str, *kinds: type) -> dict[str, Any]:
    schema = model_schema(kinds[0])
    properties = {
        key: own for kind in kinds for key, own in model_schema(kind)["properties"].items()
    }
    if "optical_channel" in properties:  # checked once it is complete
        channel = {**properties["optical_channel"]["items"], "required": []}
        properties["optical_channel"] = {**properties["optical_channel"], "items": channel}
    if link := LINKS.get(category):
        del properties[link.field]
        properties[link.key] = link.schema()
    if category in _CLASSES:
        properties["type"] = {"enum": [_CLASSES[category]]}
    return {**schema, "properties": properties, "required": []}


def _keyed(entry: dict[str, Any], description: str) -> dict[str, Any]:
    return {"type": "object", "description": description, "additionalProperties": entry}
