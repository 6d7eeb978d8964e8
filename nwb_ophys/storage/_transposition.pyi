from typing import Any

from numpy.typing import NDArray

def transpose_into(frame: NDArray[Any], planes: NDArray[Any], /) -> None: ...
