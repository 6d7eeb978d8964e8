"""The ophys metadata: one shape, its defaults and schema, and the composition of several streams.

Pure data: dictionaries in the shape that users edit, and attrs models of their parts. Nothing here
knows pynwb, a file or a backend.
"""

from nwb_ophys.metadata import models
from nwb_ophys.metadata.agreement import CommonFacts, common_facts
from nwb_ophys.metadata.composition import Composition, compose_metadata
from nwb_ophys.metadata.datetimes import earliest_start, is_unset_clock, parse_datetime
from nwb_ophys.metadata.deepdict import (
    DeepDict,
    FullMetadata,
    fill_metadata,
    merge_description,
    merge_metadata,
    unowned,
)
from nwb_ophys.metadata.defaults import (
    BACKGROUND_PLANE_SEGMENTATION,
    get_default_ophys_metadata,
    get_default_segmentation_metadata,
    get_nwb_imaging_metadata,
    get_nwb_segmentation_metadata,
    image_entry,
    images_entry,
    line_scan_entry,
    trace_entry,
)
from nwb_ophys.metadata.documents import dump_metadata, load_metadata
from nwb_ophys.metadata.fields import (
    JSON_SCHEMA_DIALECT,
    alternatives,
    class_schema,
    field,
    type_hints,
)
from nwb_ophys.metadata.links import check_links
from nwb_ophys.metadata.models import model_schema
from nwb_ophys.metadata.naming import camel_case, with_suffix
from nwb_ophys.metadata.schema import (
    images_schema,
    imaging_schema,
    line_scan_schema,
    parse_model,
    segmentation_schema,
    validate,
)

__all__ = [
    "BACKGROUND_PLANE_SEGMENTATION",
    "JSON_SCHEMA_DIALECT",
    "CommonFacts",
    "Composition",
    "DeepDict",
    "FullMetadata",
    "alternatives",
    "camel_case",
    "check_links",
    "class_schema",
    "common_facts",
    "compose_metadata",
    "dump_metadata",
    "earliest_start",
    "field",
    "fill_metadata",
    "get_default_ophys_metadata",
    "get_default_segmentation_metadata",
    "get_nwb_imaging_metadata",
    "get_nwb_segmentation_metadata",
    "image_entry",
    "images_entry",
    "images_schema",
    "imaging_schema",
    "is_unset_clock",
    "line_scan_entry",
    "line_scan_schema",
    "load_metadata",
    "merge_description",
    "merge_metadata",
    "model_schema",
    "models",
    "parse_datetime",
    "parse_model",
    "segmentation_schema",
    "trace_entry",
    "type_hints",
    "unowned",
    "validate",
    "with_suffix",
]
