"""Squares cut from pictures: a distance between sets needs many, and there are few photos."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def squares(picture: Pixels, side: int | None) -> Iterator[Pixels]:
    """Cut (H, W, 3) into squares, row by row; what is left at the right and below is left out.

    The picture itself when ``side`` is None.

    >>> [int(cut[0, 0, 0]) for cut in squares(np.arange(24, dtype=np.uint8).reshape(2, 4, 3), 2)]
    [0, 6]
    """
    if side is None:
        yield picture
        return
    for top in range(0, picture.shape[0] - side + 1, side):
        for left in range(0, picture.shape[1] - side + 1, side):
            yield np.ascontiguousarray(picture[top : top + side, left : left + side])
