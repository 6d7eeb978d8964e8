"""Changes of the metadata of existing NWB files, in their place."""

from nwb_ophys.editing.edit import EditedField, EditReport, edit_metadata

__all__ = ["EditReport", "EditedField", "edit_metadata"]
