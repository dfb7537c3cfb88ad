"""What the judges of pictures say of INT8 and of defects whose size is known, and how long it takes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
from onnx import numpy_helper
from scipy.stats import spearmanr  # type: ignore[import-untyped]

from stylepress.benchmarks.evidence.crops import Crops
from stylepress.benchmarks.evidence.row import Row, promised
from stylepress.benchmarks.evidence.setting import Setting, Shipped, Size, wxh
from stylepress.benchmarks.quality.features.extractor import HandcraftedExtractor
from stylepress.benchmarks.quality.frechet import features_distance
from stylepress.benchmarks.quality.pixels import LUMA
from stylepress.benchmarks.quality.study import Drift, Pair, drift_study, jpeg
from stylepress.benchmarks.timing.systems import Pixels
from stylepress.runtime.bundle import read_bundle

RANK_BAR, SECONDS_BAR = 0.95, 60.0
PICTURES, SIDE = 1000, 256
FEW, SMALL = 48, (96, 96)
WEIGHT_BITS = (8, 7, 6, 5, 4, 3)
SIZE = (512, 512)
INPUTS, REFERENCES = 12, 24
INT8 = "INT8"
DIRECT, MEAN, WORST = "direct P over benign", "psnr_db mean", "psnr_db worst"
CAST, PLACE = "cast_levels mean", "place_levels worst"
CHECKS: Mapping[str, str] = {
    "drift_psnr_mean_db": MEAN,
    "drift_psnr_worst_db": WORST,
    "drift_cast_levels": CAST,
    "drift_place_levels": PLACE,
}
"""How the checks of a gate are called in the rows."""
TOLD: Mapping[str, str] = {
    MEAN: "PSNR, mean",
    WORST: "PSNR, worst picture",
    CAST: "cast of a whole picture, mean",
    PLACE: "cast of a place of 64 pixels, worst",
}
"""Of INT8, beside the distance: the checks that name a picture, and how a reader calls them."""
Damage = Callable[[Pixels], Pixels]
"""Takes and gives a picture, (H, W, 3) uint8."""


def faded(picture: Pixels, kept: float) -> Pixels:
    """Leave a share of the chroma of (..., H, W, 3) uint8, all of the luma."""
    image = picture.astype(np.float32)
    luma = (image @ np.array(LUMA, np.float32))[..., None]
    return _levels(np.rint(luma + kept * (image - luma)))


def raised(picture: Pixels, levels: int, where: tuple[Any, ...]) -> Pixels:
    """Add ``levels`` to a part of a picture: a channel, a square, the corners of a grid."""
    made = picture.astype(np.int16)
    made[where] += levels
    return _levels(made)


def noisy(picture: Pixels, levels: float, number: int) -> Pixels:
    """Add white noise of deviation ``levels`` (of 255), one draw for each number."""
    noise = np.random.default_rng((7, number)).standard_normal(picture.shape, np.float32)
    return _levels(np.rint(picture + np.float32(levels) * noise))


def coarse(picture: Pixels, bits: int) -> Pixels:
    """Round to ``bits`` bits a channel, evenly from 0 to 255."""
    steps = (1 << bits) - 1
    return _levels(np.rint(np.rint(picture * (steps / 255)) * 255 / steps))


def _levels(values: np.ndarray) -> Pixels:
    levels: Pixels = np.clip(values, 0, 255).astype(np.uint8)
    return levels


def _middle(picture: Pixels, side: int) -> tuple[slice, ...]:
    corner = ((extent - side) // 2 for extent in picture.shape[:2])
    return tuple(slice(begin, begin + side) for begin in corner)


RED, CELLS = (..., 0), (slice(None, None, 4), slice(None, None, 4))
DEFECTS: Mapping[str, Damage] = {
    "noise of 1 level": lambda p: noisy(p, 1, int(p.sum())),
    "noise of 2 levels": lambda p: noisy(p, 2, int(p.sum())),
    "JPEG 90": lambda p: jpeg(p, 90),
    "JPEG 70": lambda p: jpeg(p, 70),
    "6 bits a channel": lambda p: coarse(p, 6),
    "5 bits a channel": lambda p: coarse(p, 5),
    "red 3 levels up": lambda p: raised(p, 3, RED),
    "red 5 levels up": lambda p: raised(p, 5, RED),
    "95 % of the colour": lambda p: faded(p, 0.95),
    "70 % of the colour": lambda p: faded(p, 0.7),
    "a square of 64 pixels 24 levels up": lambda p: raised(p, 24, _middle(p, 64)),
    "a grid of 4 pixels, 4 levels": lambda p: raised(p, 4, CELLS),
}
"""From what nobody sees to what anybody sees, done to the float student's own pictures."""


def judged_rows(
    setting: Setting, *, size: Size = SIZE, defects: Mapping[str, Damage] = DEFECTS
) -> Iterator[Row]:
    """Study INT8 and every defect against the float student, for every style that ships."""
    for style in setting.styles:
        contents = list(Crops(setting.pictures("heldout"), INPUTS, size))
        others = list(Crops(setting.pictures("train"), REFERENCES, size, seed=1))
        with ExitStack() as stack:
            plain, int8 = (
                setting.engine(bundle, size, stack)
                for bundle in (
                    setting.float_bundle(style.student),
                    read_bundle(style.bundle.folder),
                )
            )
            floats, references = ([plain(p[None])[0] for p in each] for each in (contents, others))
            changed = {INT8: [int8(picture[None])[0] for picture in contents]}
        changed |= {name: list(map(damage, floats)) for name, damage in defects.items()}
        for name, drawn in changed.items():
            pairs = zip(floats, drawn, strict=True)
            study = drift_study(
                ("float", "changed"),
                [Pair(str(number), *both) for number, both in enumerate(pairs)],
                references,
                extractor=HandcraftedExtractor(),
                progress=setting.progress,
            )
            yield from _judged(style, name, study)


def _judged(style: Shipped, change: str, drift: Drift) -> Iterator[Row]:
    ratio = next(one for one in drift.checks if one.key == "drift_benign_times")
    of = f"student {style.name}", change, "", wxh(drift.size)
    yield Row(
        *(*of, DIRECT, math.nan if ratio.new is None else ratio.new, "x"),
        low=ratio.low,
        high=ratio.high,
        digest=style.bundle.digest,
        verdict=drift.verdict or "",
        note="; ".join(one.metric for one in drift.checks if one.verdict == "FAIL"),
    )
    values = {CHECKS.get(check.key, ""): check.new for check in drift.checks}
    for name in TOLD if change == INT8 else ():
        value, unit = values.get(name), "dB" if name in (MEAN, WORST) else "levels"
        known = math.nan if value is None else value
        yield Row(*of, name, known, unit, digest=style.bundle.digest)


def drift_figures(setting: Setting) -> Iterator[Row]:
    """Rank the shipped network with its weights rounded, and time the judges."""
    yield weights_figure(setting)
    inputs, references = (setting.pictures(name) for name in ("heldout", "train"))
    start = time.perf_counter()
    made = drift_study(
        ("as it is", "JPEG 85"),
        (
            Pair(str(number), one, jpeg(one, 85))
            for number, one in enumerate(Crops(inputs, PICTURES, (SIDE, SIDE)))
        ),
        Crops(references, PICTURES, (SIDE, SIDE), seed=1),
        extractor=HandcraftedExtractor(),
        progress=setting.progress,
    )
    yield promised(
        f"quality of {PICTURES} pictures of {SIDE}x{SIDE}, without Inception",
        time.perf_counter() - start,
        "s",
        most=SECONDS_BAR,
        note="PSNR, SSIM, casts, Frechet distances with intervals over squares; "
        f"{made.references} squares of reference too",
    )


def weights_figure(setting: Setting) -> Row:
    """Round the weights of a shipped network to ever fewer bits; rank the results."""
    style = setting.style
    pictures = list(Crops(setting.pictures("heldout"), FEW, SMALL))
    extractor, model = HandcraftedExtractor(), read_bundle(style.bundle.folder).model()
    seen = {
        bits: extractor.describe(_drawn(with_weight_bits(model, bits), pictures))
        for bits in WEIGHT_BITS
    }
    gaps = {bits: features_distance(seen[8], features) for bits, features in seen.items()}
    return promised(
        f"direct Frechet distance against weight bits, Spearman, {style.name}",
        float(spearmanr(range(len(gaps)), list(gaps.values())).statistic),
        "",
        least=RANK_BAR,
        note=", ".join(f"{bits}: {gap:.2g}" for bits, gap in gaps.items()),
        digest=style.bundle.digest,
    )


def with_weight_bits(model: bytes, bits: int) -> bytes:
    """Round the INT8 weights of every convolution of a frame graph to ``bits`` bits."""
    graph = onnx.load_from_string(model)
    step = 1 << (8 - bits)
    for tensor in graph.graph.initializer:
        codes = numpy_helper.to_array(tensor)
        if codes.dtype == np.int8 and codes.ndim == 4:
            most = 127 // step * step
            rounded = np.clip(np.rint(codes / step) * step, -most, most).astype(np.int8)
            tensor.CopyFrom(numpy_helper.from_array(rounded, tensor.name))
    data: bytes = graph.SerializeToString()
    return data


def _drawn(model: bytes, pictures: Sequence[Pixels]) -> list[Pixels]:
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
    feeds = ({"frame": one[None], "strength": np.ones(1, np.float32)} for one in pictures)
    return [session.run(["frame_out"], feed)[0][0] for feed in feeds]
