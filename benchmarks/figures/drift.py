"""Rows about drift: the distances are right, rank known damages, and cannot be flattered."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import numpy_helper

from stylepress.benchmarks.drift.crops import Crops
from stylepress.benchmarks.drift.damage import jpeg, noisy
from stylepress.benchmarks.drift.distances.frechet import (
    Moments,
    features_distance,
    few_distance,
    frechet_distance,
)
from stylepress.benchmarks.drift.features.extractor import HandcraftedExtractor
from stylepress.benchmarks.drift.ladder import Climb, ladder
from stylepress.benchmarks.drift.result import Drift
from stylepress.benchmarks.drift.rungs import rank_correlation
from stylepress.benchmarks.drift.study import Run, StudyOptions, drawn_pairs, drift_study
from stylepress.benchmarks.figures.rows import Row
from stylepress.benchmarks.figures.shipped import Shipped, usual_backend
from stylepress.benchmarks.pictures.quality import LUMA
from stylepress.errors import FrameError
from stylepress.picture import PHOTO_SUFFIXES, read_picture
from stylepress.progress import Progress
from stylepress.runtime.backends import Engine, EngineOptions, open_engine
from stylepress.runtime.bundle import load_bundle

Pixels = NDArray[np.uint8]
Rows = NDArray[np.float64]

DIGITS_BAR, RANK_BAR, SECONDS_BAR = 6.0, 0.95, 60.0
PICTURES, SIDE = 1000, 256
LADDER_PICTURES, JUDGED, SMALL = 48, 450, (96, 96)
CHROMA_KEPT, NOISE = 0.4, 1.0
WEIGHT_BITS = (8, 7, 6, 5, 4, 3)


@dataclass(frozen=True, slots=True)
class Known:
    """What was recorded from torch-fidelity 0.4.0 of ``fixed_features`` of seeds 0 and 1."""

    frechet: float
    kernel: float


TORCH_FIDELITY: Mapping[tuple[int, int], Known] = {
    (500, 32): Known(0.6008143607706165, 0.025112435755519247),
    (400, 64): Known(1.1932793382113815, 0.03584200207922006),
    (40, 96): Known(2.247603663732823, 0.0404155195242204),
}
"""By (pictures, dimensions), recorded once with torch 2.13 from its own functions:

    one, two = (torch.from_numpy(fixed_features(*key, seed)) for seed in (0, 1))
    fid_statistics_to_metric(fid_features_to_statistics(one), fid_features_to_statistics(two), 0)
    kid_features_to_metric(one, two, kid_subsets=1, kid_subset_size=min(len(one), len(two)), ...)

It cannot be asked each time: it needs torchvision, of which there was no build for the torch
without CUDA that this was made with.
"""


def fixed_uniform(count: int, seed: int) -> Rows:
    """Return numbers in [0, 1) that are the same with every numpy: its raw bit stream."""
    bits = np.asarray(np.random.PCG64(seed).random_raw(count), np.uint64)
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def fixed_features(count: int, dimension: int, seed: int) -> Rows:
    """Return (count, dimension) features: falling variances, one common factor, a shift by seed."""
    flat = fixed_uniform(count * (dimension + 1), seed) - 0.5
    noise = flat[: count * dimension].reshape(count, dimension)
    common = flat[count * dimension :, None]
    scale = (1 + seed) / np.sqrt(np.arange(1, dimension + 1))
    return np.asarray(noise * scale + 0.3 * common + 0.1 * seed, np.float64)


def drift_rows(
    styles: Sequence[Shipped], photos: Sequence[Path], *, progress: Progress
) -> Iterator[Row]:
    """Measure on the held-out ``photos`` and, as reference, the training photos beside them."""
    inputs = [read_picture(path).pixels for path in photos]
    beside = sorted(
        path
        for path in photos[0].parent.with_name("train").glob("*")
        if path.suffix.lower() in PHOTO_SUFFIXES
    )
    if not beside:
        raise FrameError(
            f"{photos[0].parent.with_name('train')} holds no photos of reference. "
            f"Measure with the photos that stand in recipes/photos."
        )
    references = [read_picture(path).pixels for path in beside]
    yield from distance_rows()
    yield ladder_row(inputs, progress)
    yield weights_row(styles[0], inputs, progress)
    yield from broken_rows(styles[0], inputs, references, progress)
    yield speed_row(inputs, references, progress)


def distance_rows() -> Iterator[Row]:
    """Hold the Frechet distance against what is known, in digits that agree."""

    def row(name: str, seen: Sequence[float], known: Sequence[float], note: str) -> Row:
        worst = max(abs(one - two) / two for one, two in zip(seen, known, strict=True))
        digits = -math.log10(max(worst, 1e-16))
        return Row(name, digits, DIGITS_BAR, "digits", at_least=True, note=note)

    pairs = {key: (fixed_features(*key, 0), fixed_features(*key, 1)) for key in TORCH_FIDELITY}
    yield row(
        "Frechet distance against values recorded from torch-fidelity 0.4.0",
        [features_distance(*pair) for pair in pairs.values()],
        [known.frechet for known in TORCH_FIDELITY.values()],
        "same features, 500x32, 400x64, 40x96",
    )
    deviations = 0.05 + fixed_uniform(400, 2).reshape(2, 200)
    means = fixed_uniform(400, 3).reshape(2, 200)
    closed = float(np.square(means[0] - means[1]).sum())
    closed += float(np.square(deviations[0] - deviations[1]).sum())
    one, two = (
        Moments(2001, mean, 2000 * np.diag(np.square(deviation)))
        for mean, deviation in zip(means, deviations, strict=True)
    )
    yield row(
        "Frechet distance of diagonal Gaussians, closed form",
        [frechet_distance(one, two)],
        [closed],
        "200 dimensions",
    )
    few = fixed_features(40, 96, 0), fixed_features(30, 96, 1)
    many = pairs[400, 64]
    yield row(
        "Frechet distance, form for few pictures against the other",
        [few_distance(*few), few_distance(*many)],
        [frechet_distance(*map(Moments.of, few)), frechet_distance(*map(Moments.of, many))],
        "40 and 30 pictures of 96 dimensions, 400 of 64",
    )


def ladder_row(photos: Sequence[Pixels], progress: Progress) -> Row:
    """Damage pictures in five known ways, six strengths each; rank them by every metric.

    Each picture is its own content. Casts are ranked by tints only, the drift of content by all but
    tints: neither is made to see the rest (``rungs.AIMED``).
    """
    pictures = list(Crops(photos, LADDER_PICTURES, SMALL))
    extractor = HandcraftedExtractor()
    others = extractor.see(list(Crops(photos, LADDER_PICTURES, SMALL, seed=1))).features
    climb = Climb(extractor, reference=others, contents=pictures)
    ranks = ladder(pictures, climb, progress=progress).correlations()
    # A metric that does not vary has no rank, which is worse than any.
    (metric, kind), worst = min(
        ranks.items(), key=lambda each: -math.inf if math.isnan(each[1]) else each[1]
    )
    return Row(
        "metrics against the ladder of damages, worst Spearman",
        worst,
        RANK_BAR,
        "",
        at_least=True,
        note=f"{len(ranks)} pairs of metric and damage, worst {metric} of {kind}",
    )


def weights_row(style: Shipped, photos: Sequence[Pixels], progress: Progress) -> Row:
    """Round the weights of the shipped network to ever fewer bits; rank the results."""
    pictures = list(Crops(photos, LADDER_PICTURES, SMALL))
    extractor, model = HandcraftedExtractor(), load_bundle(style.bundle.folder).model()
    drawn = {}
    progress.start("Rounding weights", len(WEIGHT_BITS))
    for bits in WEIGHT_BITS:
        drawn[bits] = _drawn(with_weight_bits(model, bits), pictures)
        progress.advance(note=f"{bits} bits")
    progress.finish()
    whole = extractor.see(drawn[8]).features
    gaps = [features_distance(whole, extractor.see(made).features) for made in drawn.values()]
    return Row(
        f"direct Frechet distance against weight bits, Spearman, {style.name}",
        rank_correlation(range(len(gaps)), gaps),
        RANK_BAR,
        "",
        at_least=True,
        note=", ".join(f"{bits}: {gap:.2g}" for bits, gap in zip(WEIGHT_BITS, gaps, strict=True)),
    )


def broken_rows(
    style: Shipped, inputs: Sequence[Pixels], references: Sequence[Pixels], progress: Progress
) -> Iterator[Row]:
    """Let a compressed model lose most of its colour: it gets nearer to photos, and must fail.

    The reference are photos, as for FID everywhere. What chroma a style has above a photo's is
    drift away from them, so a chroma scale that is wrong after quantization improves the number.
    """
    count, size = JUDGED, SMALL
    with closing(_engine(style, size)) as engine:

        def judged(name: str, run: Run) -> Drift:
            return drift_study(
                (style.name, name),
                drawn_pairs(Crops(inputs, count, size), engine.run, run),
                Crops(references, count, size, seed=1),
                extractor=HandcraftedExtractor(),
                options=StudyOptions(ladder=0),
                progress=progress,
            )

        broken_one = judged("broken", lambda f: faded(engine.run(f), CHROMA_KEPT))
        harmless = judged("harmless", lambda f: _noisy(engine.run(f)))
    before, after = (
        broken_one.frechet.reference_original or math.nan,
        broken_one.frechet.reference_compressed or math.nan,
    )
    yield Row(
        "broken colours: Frechet distance to photos over the original's",
        after / before,
        1.0,
        "x",
        at_least=False,
        note=f"{before:.3g} to {after:.3g}: better, though chroma is {CHROMA_KEPT:g} of what it was",
    )
    yield Row(
        "broken colours: checks of the gate that fail",
        float(_failed(broken_one)) if broken_one.verdict == "regression" else math.nan,
        1.0,
        "checks",
        at_least=True,
        note=f"of {len(broken_one.checks)}; "
        + ", ".join(c.name for c in broken_one.checks if c.verdict == "regression"),
    )
    yield Row(
        f"the same pictures with noise of {NOISE:g} level: checks that fail",
        float(_failed(harmless)),
        0.0,
        "checks",
        at_least=False,
        note=f"of {len(harmless.checks)}, the control; {harmless.verdict}",
    )


def speed_row(inputs: Sequence[Pixels], references: Sequence[Pixels], progress: Progress) -> Row:
    """Judge 1000 pictures against 1000 of reference: all that needs no network, on all cores."""
    start = time.perf_counter()
    made = drift_study(
        ("as it is", "JPEG 85"),
        drawn_pairs(
            Crops(inputs, PICTURES, (SIDE, SIDE)),
            lambda f: f,
            lambda f: jpeg(f[0], 85)[np.newaxis],
        ),
        Crops(references, PICTURES, (SIDE, SIDE), seed=1),
        extractor=HandcraftedExtractor(),
        options=StudyOptions(ladder=0),
        progress=progress,
    )
    return Row(
        f"quality of {PICTURES} pictures of {SIDE}x{SIDE}, without Inception",
        time.perf_counter() - start,
        SECONDS_BAR,
        "s",
        at_least=False,
        note="PSNR, SSIM, MS-SSIM, content, Frechet with intervals, KID, patches; "
        f"{made.frechet.n_reference} references too, no ladder",
    )


def faded(frames: Pixels, kept: float) -> Pixels:
    """Leave a share of the chroma of (N, H, W, 3) uint8, all of the luma."""
    image = frames.astype(np.float32)
    luma = (image @ np.array(LUMA, np.float32))[..., None]
    mixed: Pixels = np.clip(np.rint(luma + kept * (image - luma)), 0, 255).astype(np.uint8)
    return mixed


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
    strength = np.ones(1, np.float32)
    return [
        session.run(["frame_out"], {"frame": one[np.newaxis], "strength": strength})[0][0]
        for one in pictures
    ]


def _engine(style: Shipped, size: tuple[int, int]) -> Engine:
    bundle = load_bundle(style.bundle.folder)
    return open_engine(bundle, usual_backend(), options=EngineOptions(size=size))


def _noisy(frame: Pixels) -> Pixels:
    return noisy(frame[0], NOISE, int(frame.sum()))[np.newaxis]


def _failed(drift: Drift) -> int:
    return sum(check.verdict == "regression" for check in drift.checks)
