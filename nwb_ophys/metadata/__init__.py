"""The ophys metadata: one shape, its defaults and schema, and the composition of several streams.

Pure data: dictionaries in the shape that users edit, and attrs models of their parts. Nothing here
knows pynwb, a file or a backend.
"""

from nwb_ophys.metadata import models
from nwb_ophys.metadata.agreement import CommonFacts, common_facts, common_header
from nwb_ophys.metadata.archive import archive_findings
from nwb_ophys.metadata.archive_subjects import refused_by_upload
from nwb_ophys.metadata.checks import (
    NO_SESSION_START,
    check_metadata,
    faults_of_session,
    start_reported,
)
from nwb_ophys.metadata.composition import Composition, compose_metadata
from nwb_ophys.metadata.datetimes import earliest_start, is_unset_clock, parse_datetime, with_zone
from nwb_ophys.metadata.deepdict import DeepDict, FullMetadata, unowned
from nwb_ophys.metadata.defaults import (
    BACKGROUND_PLANE_SEGMENTATION,
    background_entry,
    calibration_fields,
    get_default_ophys_metadata,
    get_default_segmentation_metadata,
    get_default_session_metadata,
    get_nwb_imaging_metadata,
    get_nwb_segmentation_metadata,
    image_container_entry,
    image_entry,
    images_entry,
    line_scan_entry,
    trace_entry,
)
from nwb_ophys.metadata.dictionary_form import (
    OPHYS_KEYS,
    TOP_KEYS,
    dictionary_schema,
    has_dictionary_form,
)
from nwb_ophys.metadata.documents import dump_metadata, load_metadata
from nwb_ophys.metadata.duplicates import check_channels, check_duplicates
from nwb_ophys.metadata.fields import (
    JSON_SCHEMA_DIALECT,
    alternatives,
    class_schema,
    field,
    type_hints,
)
from nwb_ophys.metadata.findings import Finding
from nwb_ophys.metadata.from_dictionaries import to_lists, without_dictionaries
from nwb_ophys.metadata.joining import Contents, join_contents
from nwb_ophys.metadata.kinds import adapt_lists, as_kind, check_kind, faults_of_kinds, fits
from nwb_ophys.metadata.links import check_links
from nwb_ophys.metadata.merging import (
    fill_metadata,
    merge_description,
    merge_lists,
    merge_metadata,
)
from nwb_ophys.metadata.models import model_schema
from nwb_ophys.metadata.naming import camel_case, with_suffix
from nwb_ophys.metadata.plausible import possible_number, possible_wavelength, without_impossible
from nwb_ophys.metadata.schema import (
    faults_of,
    file_schema,
    images_schema,
    imaging_schema,
    line_scan_schema,
    parse_model,
    segmentation_schema,
    session_schemas,
    validate,
)
from nwb_ophys.metadata.subjects import ArchiveSubject, archive_subject
from nwb_ophys.metadata.to_dictionaries import to_dictionaries

__all__ = [
    "BACKGROUND_PLANE_SEGMENTATION",
    "JSON_SCHEMA_DIALECT",
    "NO_SESSION_START",
    "OPHYS_KEYS",
    "TOP_KEYS",
    "ArchiveSubject",
    "CommonFacts",
    "Composition",
    "Contents",
    "DeepDict",
    "Finding",
    "FullMetadata",
    "adapt_lists",
    "alternatives",
    "archive_findings",
    "archive_subject",
    "as_kind",
    "background_entry",
    "calibration_fields",
    "camel_case",
    "check_channels",
    "check_duplicates",
    "check_kind",
    "check_links",
    "check_metadata",
    "class_schema",
    "common_facts",
    "common_header",
    "compose_metadata",
    "dictionary_schema",
    "dump_metadata",
    "earliest_start",
    "faults_of",
    "faults_of_kinds",
    "faults_of_session",
    "field",
    "file_schema",
    "fill_metadata",
    "fits",
    "get_default_ophys_metadata",
    "get_default_segmentation_metadata",
    "get_default_session_metadata",
    "get_nwb_imaging_metadata",
    "get_nwb_segmentation_metadata",
    "has_dictionary_form",
    "image_container_entry",
    "image_entry",
    "images_entry",
    "images_schema",
    "imaging_schema",
    "is_unset_clock",
    "join_contents",
    "line_scan_entry",
    "line_scan_schema",
    "load_metadata",
    "merge_description",
    "merge_lists",
    "merge_metadata",
    "model_schema",
    "models",
    "parse_datetime",
    "parse_model",
    "possible_number",
    "possible_wavelength",
    "refused_by_upload",
    "segmentation_schema",
    "session_schemas",
    "start_reported",
    "to_dictionaries",
    "to_lists",
    "trace_entry",
    "type_hints",
    "unowned",
    "validate",
    "with_suffix",
    "with_zone",
    "without_dictionaries",
    "without_impossible",
]
