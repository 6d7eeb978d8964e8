from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]

def summarise(
    tile: Array, maximum: Array, sums: Array, frame_sums: Array, /
) -> tuple[int, int]: ...
def moments(tile: Array, sums: Array, squares: Array, /) -> None: ...
