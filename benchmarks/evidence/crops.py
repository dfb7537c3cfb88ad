"""Many pictures from a few photos: random crops, the same for the same seed, made when asked for.

Crops of one photo are not independent, so intervals over them tell about these photos only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stylepress.errors import FrameError

Pixels = NDArray[np.uint8]
SMALLEST = 0.3
"""Side of the smallest crop, as a share of the largest that fits."""


@dataclass(frozen=True, slots=True)
class Crops:
    """``count`` crops of (H, W, 3) photos at ``size`` (height, width), photo by photo in turn.

    Half of them are mirrored. A photo may be smaller than ``size``: its crops are enlarged.

    Raises:
        FrameError: no photo, no crop, or a size of nothing.
    """

    photos: Sequence[Pixels]
    count: int
    size: tuple[int, int] = (256, 256)
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.photos or self.count < 1 or min(self.size) < 1:
            raise FrameError(
                f"{self.count} crops of {self.size[1]}x{self.size[0]} cannot be made of "
                f"{len(self.photos)} photos.",
                "Give at least one photo, one crop and one pixel.",
            )

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Pixels]:
        return (self[number] for number in range(self.count))

    def __getitem__(self, number: int) -> Pixels:
        if not 0 <= number < self.count:
            raise IndexError(number)
        photo = self.photos[number % len(self.photos)]
        draw = np.random.default_rng((self.seed, number))
        height, width = self.size
        scale = min(photo.shape[0] / height, photo.shape[1] / width) * draw.uniform(SMALLEST, 1)
        tall, wide = scale * height, scale * width
        top = draw.uniform(0, photo.shape[0] - tall)
        left = draw.uniform(0, photo.shape[1] - wide)
        box = (left, top, left + wide, top + tall)
        image = Image.fromarray(photo).resize((width, height), Image.Resampling.LANCZOS, box=box)
        crop = np.asarray(image)
        return np.ascontiguousarray(crop[:, ::-1] if draw.random() < 0.5 else crop)
