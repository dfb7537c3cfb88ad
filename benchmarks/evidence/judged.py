"""What the gate on pictures says of INT8, and of defects whose size is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from stylepress.benchmarks.evidence.row import Row
from stylepress.benchmarks.evidence.setting import Setting, wxh
from stylepress.benchmarks.quality.features.extractor import HandcraftedExtractor
from stylepress.benchmarks.quality.pixels import LUMA, levels
from stylepress.benchmarks.quality.study import Pair, drift_study, jpeg
from stylepress.picture import Pixels

INT8, DIRECT = "INT8", "direct P over benign"
Damage = Callable[[Pixels], Pixels]
"""Takes and gives a picture, (H, W, 3) uint8."""


def noisy(picture: Pixels, spread: float) -> Pixels:
    """Add Gaussian noise of ``spread`` levels, the same for the same picture."""
    noise = np.random.default_rng(int(picture.sum())).normal(0, spread, picture.shape)
    return levels(picture + noise)


def faded(picture: Pixels, kept: float) -> Pixels:
    """Leave a share of the chroma of (..., H, W, 3) uint8, all of the luma."""
    luma = (picture @ np.array(LUMA, np.float32))[..., None]
    return levels(luma + kept * (picture - luma))


def raised(picture: Pixels, by: int, where: tuple[Any, ...]) -> Pixels:
    """Add levels to a part of a picture: a channel, a square, the corners of a grid."""
    changed = picture.astype(np.float32)
    changed[where] += by
    return levels(changed)


def rounded(picture: Pixels, bits: int) -> Pixels:
    """Leave so many bits a channel."""
    step = 255 / (2**bits - 1)
    return levels(np.rint(picture / step) * step)


RED, SQUARE = (..., 0), (slice(224, 288), slice(224, 288))
CELLS = (slice(None, None, 4), slice(None, None, 4))
DEFECTS: Mapping[str, Damage] = {
    "noise of 1 level": lambda p: noisy(p, 1),
    "noise of 2 levels": lambda p: noisy(p, 2),
    "JPEG 90": lambda p: jpeg(p, 90),
    "JPEG 70": lambda p: jpeg(p, 70),
    "6 bits a channel": lambda p: rounded(p, 6),
    "5 bits a channel": lambda p: rounded(p, 5),
    "red 3 levels up": lambda p: raised(p, 3, RED),
    "red 5 levels up": lambda p: raised(p, 5, RED),
    "95 % of the colour": lambda p: faded(p, 0.95),
    "70 % of the colour": lambda p: faded(p, 0.7),
    "a square of 64 pixels 24 levels up": lambda p: raised(p, 24, SQUARE),
    "a grid of 4 pixels, 4 levels": lambda p: raised(p, 4, CELLS),
}
"""From what nobody sees to what anybody sees, done to the float student's own pictures."""


def rows(setting: Setting, *, defects: Mapping[str, Damage] = DEFECTS) -> Iterator[Row]:
    """Study INT8 and every defect against the float student, for every style that ships."""
    contents, others = (
        [picture for frame in setting.frames(name) for picture in (frame, frame[:, :, ::-1])]
        for name in ("heldout", "train")
    )
    for style in setting.styles:
        floats, references, drawn = (
            [picture[0] for picture in setting.painted(model, frames)]
            for model, frames in (
                (style.student, contents), (style.student, others), (style.bundle, contents),
            )
        )  # fmt: skip
        changed = {INT8: drawn}
        changed |= {name: list(map(damage, floats)) for name, damage in defects.items()}
        for name, pictures in changed.items():
            pairs = [Pair("", *two) for two in zip(floats, pictures, strict=True)]
            study = drift_study(
                ("float", "changed"), pairs, references,
                extractor=HandcraftedExtractor(), progress=setting.progress,
            )  # fmt: skip
            direct = next(one for one in study.checks if one.key == "drift_benign_times")
            failed = "; ".join(one.metric for one in study.checks if one.verdict == "FAIL")
            yield Row(
                DIRECT, float("nan") if direct.new is None else direct.new, "x", style.name, name,
                size=wxh(study.size), low=direct.low, high=direct.high,
                digest=style.bundle.digest, verdict=study.verdict or "", note=failed,
            )  # fmt: skip
