"""The compiled parts of the package; everything else is in setup.cfg."""

from setuptools import Extension, setup


def _compiled(name: str) -> Extension:
    """Return a module that is left out where there is no compiler; NumPy or ISA-L replace it."""
    source = f"{name.replace('.', '/')}.c"
    return Extension(name, [source], depends=["nwb_ophys/_stateless.h"], optional=True)


setup(
    ext_modules=[
        _compiled("nwb_ophys.storage._literal_blocks"),
        _compiled("nwb_ophys.storage._transposition"),
        _compiled("nwb_ophys.reports._tile_sums"),
    ]
)
