"""Plane segmentations without masks, in a form that pynwb can read again.

pynwb writes a table of ROIs without a mask column and then cannot construct it on reading. An
empty list of pixels per ROI says the same and is read back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pynwb.ophys import PlaneSegmentation

if TYPE_CHECKING:
    from pynwb import NWBFile

MASK_NAMES = frozenset({"image_mask", "pixel_mask", "voxel_mask"})


class TableWithoutMasks(PlaneSegmentation):  # type: ignore[misc]
    """A plane segmentation without masks, which completes itself when it is written.

    Files can therefore be read again even if plain pynwb writes them. A file holds the table as a
    ``PlaneSegmentation``.
    """

    @property
    def container_source(self) -> Any:
        """The file that the table is in; hdmf sets it before it builds the table for writing."""
        return super().container_source

    @container_source.setter
    def container_source(self, source: Any) -> None:
        _complete(self)
        PlaneSegmentation.container_source.fset(self, source)


def complete_tables_without_masks(nwbfile: NWBFile) -> None:
    """Give all plane segmentations without masks a form that can be read again."""
    for table in nwbfile.all_children():
        if isinstance(table, PlaneSegmentation):
            _complete(table)
    # Writing goes by nwbfile.objects, which is cached; this call renews it.
    nwbfile.all_children()


def _complete(table: PlaneSegmentation) -> None:
    if not MASK_NAMES.intersection(table.colnames):
        table.add_column(
            name="pixel_mask",
            description="No masks were written: the list of pixels of every ROI is empty.",
            data=[[] for _ in range(len(table.id))],
            index=True,
        )
