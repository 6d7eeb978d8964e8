"""Image file stacks and separate image files of Micro-Manager."""

from __future__ import annotations

from nwb_ophys.formats import Format

FORMAT = Format(
    name="micromanager",
    kind="imaging",
    interface="interface:MicroManagerImagingInterface",
    recognised="a folder of .ome.tif files with Micro-Manager's tags, or one of them; or a folder "
    "of separate image files with metadata.txt",
    suffixes=(".tif",),
    requires=("tifffile", "imagecodecs"),
    sample="sample:write_sample",
)
