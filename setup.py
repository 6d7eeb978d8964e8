"""The compiled part of the package; everything else is in setup.cfg."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "nwb_ophys.storage._literal_blocks",
            ["nwb_ophys/storage/_literal_blocks.c"],
            # Without a compiler ISA-L does this work, in more time.
            optional=True,
        )
    ]
)
