"""What the gate on pictures says of INT8, and of defects whose size is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from stylepress.benchmarks.figures.drift import faded
from stylepress.benchmarks.figures.result import Result
from stylepress.benchmarks.figures.shipped import Shipped, usual_backend
from stylepress.benchmarks.quality.crops import Crops
from stylepress.benchmarks.quality.damage import coarse, jpeg, noisy
from stylepress.benchmarks.quality.features.extractor import HandcraftedExtractor
from stylepress.benchmarks.quality.result import Drift
from stylepress.benchmarks.quality.study import Pair, StudyOptions, drift_study
from stylepress.benchmarks.tables.setting import Setting
from stylepress.benchmarks.timing.systems import Pixels
from stylepress.runtime.backends import EngineOptions, open_engine
from stylepress.runtime.bundle import Bundle, load_bundle

SIZE, SQUARE = (512, 512), 64
INPUTS, REFERENCES = 12, 24
INT8 = "INT8"
DIRECT, MEAN, WORST = "direct P over benign", "psnr_db mean", "psnr_db worst"
CAST, PLACE = "cast_levels mean", "place_levels worst"
TOLD: Mapping[str, str] = {
    MEAN: "PSNR, mean",
    WORST: "PSNR, worst picture",
    CAST: "cast of a whole picture, mean",
    PLACE: "cast of a place of 64 pixels, worst",
}
"""Of INT8, beside the distance: the checks that name a picture, and how a reader calls them."""

Damage = Callable[[Pixels], Pixels]
"""Takes and gives a picture, (H, W, 3) uint8."""


def shifted(picture: Pixels, levels: int, channel: int = 0) -> Pixels:
    """Add ``levels`` to one channel, red if it is 0."""
    made = picture.astype(np.int16)
    made[..., channel] += levels
    return np.clip(made, 0, 255).astype(np.uint8)


def spotted(picture: Pixels, levels: int, side: int) -> Pixels:
    """Add ``levels`` to a square in the middle."""
    made = picture.astype(np.int16)
    top, left = ((extent - side) // 2 for extent in picture.shape[:2])
    made[top : top + side, left : left + side] += levels
    return np.clip(made, 0, 255).astype(np.uint8)


def gridded(picture: Pixels, levels: int, period: int = 4) -> Pixels:
    """Add ``levels`` to every pixel that begins a cell of ``period`` x ``period``."""
    made = picture.astype(np.int16)
    made[::period, ::period] += levels
    return np.clip(made, 0, 255).astype(np.uint8)


DEFECTS: Mapping[str, Damage] = {
    "noise of 1 level": lambda p: noisy(p, 1, int(p.sum())),
    "noise of 2 levels": lambda p: noisy(p, 2, int(p.sum())),
    "JPEG 90": lambda p: jpeg(p, 90),
    "JPEG 70": lambda p: jpeg(p, 70),
    "6 bits a channel": lambda p: coarse(p, 6),
    "5 bits a channel": lambda p: coarse(p, 5),
    "red 3 levels up": lambda p: shifted(p, 3),
    "red 5 levels up": lambda p: shifted(p, 5),
    "95 % of the colour": lambda p: faded(p, 0.95),
    "70 % of the colour": lambda p: faded(p, 0.7),
    "a square of 64 pixels 24 levels up": lambda p: spotted(p, 24, 64),
    "a grid of 4 pixels, 4 levels": lambda p: gridded(p, 4),
}
"""From what nobody sees to what anybody sees, done to the float student's own pictures."""


@dataclass(frozen=True, slots=True)
class _Drawn:
    """What was drawn of the crops, by the float student and by INT8, and of others by float."""

    contents: Sequence[Pixels]
    floats: Sequence[Pixels]
    int8: Sequence[Pixels]
    references: Sequence[Pixels]


def judged_results(
    setting: Setting, *, size: tuple[int, int] = SIZE, defects: Mapping[str, Damage] = DEFECTS
) -> Iterator[Result]:
    """Study INT8 and every defect against the float student, for every style that ships."""
    for style in setting.styles:
        drawn = _drawn(style, setting, size)
        yield from _results(style, INT8, _study(drawn, drawn.int8, setting), every=True)
        for name, damage in defects.items():
            spoilt = [damage(picture) for picture in drawn.floats]
            yield from _results(style, name, _study(drawn, spoilt, setting))


def _results(style: Shipped, change: str, drift: Drift, *, every: bool = False) -> Iterator[Result]:
    subject = f"student {style.name}"
    ratio = drift.frechet.direct_over_benign
    failing = ", ".join(one.name for one in drift.checks if one.verdict == "regression")
    yield Result(
        *(subject, change, "", f"{drift.size[1]}x{drift.size[0]}", DIRECT),
        value=math.nan if ratio is None else ratio.value,
        unit="x",
        low=None if ratio is None else ratio.low,
        high=None if ratio is None else ratio.high,
        digest=style.bundle.digest,
        verdict=drift.verdict,
        note=failing,
    )
    if not every:
        return
    values = {check.name: check.value for check in drift.checks}
    for name in TOLD:
        value = values.get(name)
        yield Result(
            *(subject, change, "", f"{drift.size[1]}x{drift.size[0]}", name),
            value=math.nan if value is None else value,
            unit="dB" if name in (MEAN, WORST) else "levels",
            digest=style.bundle.digest,
        )


def _drawn(style: Shipped, setting: Setting, size: tuple[int, int]) -> _Drawn:
    contents = list(Crops(setting.pictures("heldout"), INPUTS, size))
    others = Crops(setting.pictures("train"), REFERENCES, size, seed=1)
    bundles = setting.float_bundle(style.student), load_bundle(style.bundle.folder)
    floats, int8 = (_run(bundle, contents, size, setting) for bundle in bundles)
    return _Drawn(contents, floats, int8, _run(bundles[0], list(others), size, setting))


def _run(
    bundle: Bundle, pictures: Sequence[Pixels], size: tuple[int, int], setting: Setting
) -> list[Pixels]:
    options = EngineOptions(size=size, threads=setting.threads)
    with closing(open_engine(bundle, usual_backend(), options=options)) as engine:
        return [engine.run(picture[np.newaxis])[0] for picture in pictures]


def _study(drawn: _Drawn, changed: Sequence[Pixels], setting: Setting) -> Drift:
    pairs = [
        Pair(str(number), *three)
        for number, three in enumerate(zip(drawn.contents, drawn.floats, changed, strict=True))
    ]
    return drift_study(
        ("float", "changed"),
        pairs,
        drawn.references,
        extractor=HandcraftedExtractor(),
        options=StudyOptions(square=SQUARE, ladder=0),
        progress=setting.progress,
    )
