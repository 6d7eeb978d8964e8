"""The base classes of roiextractors, without an import of its readers.

``import roiextractors`` imports every reader of that package, and with them pynwb, SciPy, pandas
and Zarr, which takes longer than most commands. The modules of its base classes need NumPy only.
"""

from __future__ import annotations

import importlib.util
import sys
import threading
from types import ModuleType
from typing import Any

_PACKAGE = "roiextractors"
# Several threads may be the first to ask for a name; the same thread may ask while it imports.
_RUNNING = threading.RLock()


class DeferredPackage(ModuleType):
    """Package whose own file is executed when a name in it is first requested.

    Its modules can be imported before that, one by one. Any other use, such as
    ``from roiextractors import NumpyImagingExtractor``, finds what it finds without this class.
    """

    def __getattr__(self, name: str) -> Any:
        self._execute()
        if name in vars(self):
            return vars(self)[name]
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        self._execute()
        return list(vars(self))

    def _execute(self) -> None:
        state = vars(self)
        with _RUNNING:
            if not state.pop("_is_deferred", False):
                return
            try:
                self.__spec__.loader.exec_module(self)  # type: ignore[union-attr]
            except BaseException:
                state["_is_deferred"] = True  # the next one who asks sees the same error
                raise


def defer(name: str) -> None:
    """Put a package into ``sys.modules`` without executing it; one that is there stays.

    Parameters
    ----------
    name : str
        Name of an installed package.
    """
    spec = None if name in sys.modules else importlib.util.find_spec(name)
    if spec is None or spec.loader is None:  # the import that follows says what is missing
        return
    module = importlib.util.module_from_spec(spec)
    module.__class__ = DeferredPackage
    vars(module)["_is_deferred"] = True
    sys.modules[name] = module


defer(_PACKAGE)

from roiextractors.imagingextractor import ImagingExtractor  # noqa: E402
from roiextractors.segmentationextractor import (  # noqa: E402
    SampleSlicedSegmentationExtractor,
    SegmentationExtractor,
    _PropertyInfo,
    _ROIMasks,
)

RoiMasks = _ROIMasks
PropertyInfo = _PropertyInfo


def is_known(extractor: Any) -> bool:
    """Return whether an extractor is of this package or of roiextractors, not of an author's."""
    return type(extractor).__module__.partition(".")[0] in ("nwb_ophys", _PACKAGE)


__all__ = [
    "ImagingExtractor",
    "PropertyInfo",
    "RoiMasks",
    "SampleSlicedSegmentationExtractor",
    "SegmentationExtractor",
    "is_known",
]
