"""What a set of pictures holds: sizes, sharpness, near-duplicates, and files that are bad."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stylepress.errors import FrameError
from stylepress.picture import Pixels, read_picture
from stylepress.progress import Progress
from stylepress.train.data.layouts import Item, Layout

LOOK_PX = 512
"""The longer side at which sharpness is measured, so that it means the same for any size."""
HASH_SIDE, BANDS, NEAR = 8, 4, 3
"""A hash of 64 bits in four bands: two that differ in at most three bits share a band."""
FEW = 12
"""Fewer pictures than that show a network too little of the world."""
Fits = Callable[[Pixels], float]
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen of one picture.

    ``sharpness`` is the deviation of its Laplacian in levels, looked at 512 pixels large: a photo in
    focus has 10 and more, a blurred one 1 or 2. ``entropy`` is that of its grey levels, in bits; a
    drawing of three flat colours has less than 2. ``likeness`` is how well it shows what was asked
    for, None where nothing was. ``fault`` says why it cannot be read.
    """

    item: Item
    width: int = 0
    height: int = 0
    sharpness: float = 0.0
    entropy: float = 0.0
    mark: int = 0
    sha256: str = ""
    likeness: float | None = None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Survey:
    """The sights of a set, and of each near-duplicate the first picture that it is like."""

    layout: Layout
    sights: tuple[Sight, ...]
    like: dict[str, str]

    @property
    def good(self) -> list[Sight]:
        """Those that can be read."""
        return [sight for sight in self.sights if not sight.fault]

    def record(self) -> dict[str, Any]:
        """Return it for people and programs."""
        good, layout = self.good, self.layout
        likenesses = [one.likeness for one in good if one.likeness is not None]
        return {
            "layout": f"{layout.name}: {layout.title}",
            "pictures": len(self.sights),
            "parts": dict(layout.parts),
            "texts": layout.texts,
            "bad": [f"{one.item.name}: {one.fault}" for one in self.sights if one.fault],
            "shorter side, pixels": _spread([min(one.width, one.height) for one in good]),
            "sharpness": _spread([one.sharpness for one in good]),
            "entropy, bits": _spread([one.entropy for one in good]),
            **({"likeness": _spread(likenesses)} if likenesses else {}),
            "near-duplicates": [f"{name} is like {first}" for name, first in self.like.items()],
            "doubts": self.doubts(),
            "to train on it": layout.hint,
        }

    def doubts(self) -> list[str]:
        """Say what of the set may spoil a training."""
        good, doubts = self.good, []
        if len(good) < FEW:
            doubts.append(
                f"{len(good)} pictures are few: a network learns these by heart; "
                f"{FEW} varied ones are a beginning"
            )
        wide = [one for one in good if one.width == 2 * one.height]
        if self.layout.name == "pairs" and len(wide) < len(good):
            doubts.append(
                f"{len(good) - len(wide)} of {len(good)} are not twice as wide as high, "
                f"as a pair side by side is"
            )
        if len(self.like) > len(good) // 2:
            doubts.append("more than half are near-duplicates of others")
        return doubts


def survey(layout: Layout, progress: Progress, likeness: Fits | None = None) -> Survey:
    """Look at every picture of a layout, one at a time; one that cannot be read is counted.

    ``likeness`` says how well each shows what is looked for.

    Raises:
        FrameError: not one can be read.
    """
    progress.start("Looking at pictures", len(layout.items))
    sights = []
    for item in layout.items:
        sights.append(sight_of(item, likeness))
        progress.advance()
    progress.finish()
    if all(one.fault for one in sights):
        raise FrameError(
            f"None of the {len(sights)} pictures in {layout.folder} can be read; the first: "
            f"{sights[0].fault}",
            "Copy the folder again.",
        )
    return Survey(layout, tuple(sights), near_duplicates(sights))


def sight_of(item: Item, likeness: Fits | None = None) -> Sight:
    """Look at one picture."""
    try:
        with item.file() as path:
            pixels = read_picture(path).on_white()
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    except (FrameError, OSError) as error:
        return Sight(item, fault=getattr(error, "wrong", str(error)))
    grey = _grey(pixels, LOOK_PX)
    height, width = pixels.shape[:2]
    return Sight(
        item,
        width,
        height,
        sharpness(grey),
        entropy(grey),
        difference_hash(pixels),
        sha256,
        None if likeness is None else likeness(pixels),
    )


def sharpness(grey: NDArray[np.float32]) -> float:
    """Standard deviation of the Laplacian of (H, W) grey levels in [0, 255]."""
    if min(grey.shape) < 3:
        return 0.0
    middle = grey[1:-1, 1:-1]
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float((around - 4 * middle).std())


def entropy(grey: NDArray[np.float32]) -> float:
    """Entropy of the histogram of (H, W) grey levels in [0, 255], in bits: 0 to 8."""
    counts = np.bincount(grey.astype(np.uint8).ravel(), minlength=256)
    shares = counts[counts > 0] / counts.sum()
    return float(max(0.0, -(shares * np.log2(shares)).sum()))


def difference_hash(pixels: Pixels) -> int:
    """Return 64 bits that say where an (H, W, 3) picture grows lighter from left to right.

    Scaling, compression and changes of light leave nearly all of them as they are.
    """
    small = Image.fromarray(pixels).convert("L")
    small = small.resize((HASH_SIDE + 1, HASH_SIDE), Image.Resampling.BOX)
    levels = np.asarray(small, np.int16)
    return int.from_bytes(np.packbits(levels[:, 1:] > levels[:, :-1]).tobytes(), "big")


def near_duplicates(sights: Sequence[Sight]) -> dict[str, str]:
    """Return of each picture that is like an earlier one which: hashes at most three bits apart.

    Found through bands of 16 bits, one of which such hashes share, so not every pair is looked at.
    """
    seen: dict[tuple[int, int], list[Sight]] = {}
    like: dict[str, str] = {}
    for sight in sights:
        if sight.fault:
            continue
        bands = [(band, sight.mark >> 16 * band & 0xFFFF) for band in range(BANDS)]
        earlier = (one for band in bands for one in seen.get(band, ()))
        first = next((one for one in earlier if (one.mark ^ sight.mark).bit_count() <= NEAR), None)
        if first is not None:
            like[sight.item.name] = first.item.name
            continue
        for band in bands:
            seen.setdefault(band, []).append(sight)
    return like


def _grey(pixels: Pixels, side: int) -> NDArray[np.float32]:
    image = Image.fromarray(pixels)
    image.thumbnail((side, side), Image.Resampling.BOX)
    grey: NDArray[np.float32] = np.asarray(image, np.float32) @ LUMA
    return grey


def _spread(values: Iterable[float]) -> str:
    """Write least, median and most."""
    ordered = sorted(values)
    ends = ordered[0], ordered[len(ordered) // 2], ordered[-1]
    return f"{ends[0]:.4g} to {ends[2]:.4g}, median {ends[1]:.4g}"
