"""One study of drift from beginning to end: two models and pictures in, a ``Drift`` out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from stylepress.benchmarks.drift.damage import jpeg
from stylepress.benchmarks.drift.distances.inception_score import SPLITS, inception_score
from stylepress.benchmarks.drift.distances.kernel_distance import kernel_distance
from stylepress.benchmarks.drift.distances.patch_distance import Patches
from stylepress.benchmarks.drift.features.extractor import Extractor, Perceptual, Seen
from stylepress.benchmarks.drift.frechet_drift import Features, frechet_drift
from stylepress.benchmarks.drift.gate import Limits, checks
from stylepress.benchmarks.drift.ladder import Ladder, ladder
from stylepress.benchmarks.drift.paired import PairScores, pair_scores, paired
from stylepress.benchmarks.drift.result import Drift, Kernel, Score
from stylepress.benchmarks.part import Skipped
from stylepress.benchmarks.pictures.quality import content_distance, style_distance
from stylepress.errors import FrameError
from stylepress.progress import Progress

Pixels = NDArray[np.uint8]
Run = Callable[[Pixels], Pixels]
"""A model: (1, H, W, 3) uint8 to the same shape."""

BENIGN_QUALITY = 95
BENIGN = f"JPEG {BENIGN_QUALITY}"
CHUNK = 8


@dataclass(frozen=True, slots=True)
class Arms:
    """Two models by name, and what a reference picture is made with (None: taken as it is)."""

    original: tuple[str, Run]
    compressed: tuple[str, Run]
    reference: Run | None = None


@dataclass(frozen=True, slots=True)
class StudyOptions:
    """How a study is made: ``ladder`` pictures for the ladder (0: none), ``workers`` threads.

    ``lpips`` may be the reason why there is none. With an (H, W, 3) uint8 ``style`` picture the
    first ``styled`` pictures are also held against it.

    The models are run by one thread at a time; the others describe and compare pictures.
    """

    seed: int = 0
    ladder: int = 64
    workers: int = 2
    limits: Limits = field(default_factory=Limits)
    lpips: Perceptual | str = "no weights were given"
    style: Pixels | None = None
    styled: int = 6


@dataclass(frozen=True, slots=True)
class _Described:
    """What is kept of one picture."""

    original: Seen
    compressed: Seen
    benign: Seen
    scores: PairScores
    size: tuple[int, int]


def drift_study(
    arms: Arms,
    inputs: Iterable[Pixels],
    references: Iterable[Pixels],
    *,
    extractor: Extractor,
    options: StudyOptions,
    progress: Progress,
) -> Drift:
    """Run both models on the same (H, W, 3) ``inputs``, and hold them against each other.

    ``references`` are other pictures, disjoint from the inputs: the original's world. Pictures
    are taken one after the other and not kept, only their features are.

    Raises:
        FrameError: fewer than four inputs or references, or models whose pictures differ in size.
    """
    return _Study(arms, extractor, options, progress).drift(inputs, references)


@dataclass(frozen=True, slots=True)
class Suffered:
    """A picture that suffered: its number, what went in, what both models made of it."""

    number: int
    value: float
    content: Pixels
    original: Pixels
    compressed: Pixels


def suffered(
    drift: Drift, arms: Arms, inputs: Sequence[Pixels], *, measure: str = "psnr_db", count: int = 4
) -> Iterator[Suffered]:
    """Draw the worst pictures of a study by one measure again, worst first.

    Raises:
        FrameError: the study has no such measure.
    """
    known = drift.measure(measure)
    if known is None:
        names = ", ".join(one.measure for one in drift.paired)
        raise FrameError(f"The study did not take {measure!r}. Choose one of {names}.")
    for worst in known.worst[:count]:
        content = inputs[worst.picture]
        frame = content[np.newaxis]
        made, other = (run(frame)[0] for _, run in (arms.original, arms.compressed))
        yield Suffered(worst.picture, worst.value, content, made, other)


class _Study:
    """A study under way: the patches and pictures that are gathered as pictures pass."""

    def __init__(
        self, arms: Arms, extractor: Extractor, options: StudyOptions, progress: Progress
    ) -> None:
        self.arms, self.extractor = arms, extractor
        self.options, self.progress = options, progress
        self.patches = {
            name: Patches(seed=options.seed) for name in ("original", "compressed", "benign")
        }
        self.kept: list[Pixels] = []
        self.lpips = None if isinstance(options.lpips, str) else options.lpips

    def drift(self, inputs: Iterable[Pixels], references: Iterable[Pixels]) -> Drift:
        reference = self._reference(references)
        described = self._described(inputs)
        if min(len(described), len(reference)) < 4:
            raise FrameError(
                f"{len(described)} pictures against {len(reference)} of reference are too few for "
                f"a study. Give four of each at least, better five a dimension."
            )
        features = [
            np.concatenate([getattr(one, arm).features for one in described])
            for arm in ("original", "compressed", "benign")
        ]
        frechet = frechet_drift(
            Features(reference, *features),
            self.extractor.fact,
            seed=self.options.seed,
            benign_change=BENIGN,
        )
        kernel = kernel_distance(features[0], features[1], seed=self.options.seed)
        summed = paired([one.scores for one in described], seed=self.options.seed)
        patches = self.patches
        return Drift(
            original=self.arms.original[0],
            compressed=self.arms.compressed[0],
            pictures=len(described),
            size=described[0].size,
            seed=self.options.seed,
            frechet=frechet,
            kernel=Kernel(
                value=kernel.value,
                deviation=kernel.deviation,
                subsets=kernel.subsets,
                subset=kernel.subset,
                seed=kernel.seed,
            ),
            patches=patches["original"].distance(patches["compressed"]),
            benign_patches=patches["original"].distance(patches["benign"]),
            score=self._score(described),
            lpips=None if self.lpips is None else self.lpips.fact,
            paired=summed,
            checks=checks(frechet, summed, self.options.limits),
            ladder=self._ladder(reference),
            skipped=tuple(self._skipped(described)),
        )

    def _reference(self, references: Iterable[Pixels]) -> NDArray[np.float64]:
        run = self.arms.reference
        rows = []
        self.progress.start("Describing the reference", None)
        pictures = (one if run is None else run(one[np.newaxis])[0] for one in references)
        for chunk in _chunks(pictures):
            rows.append(self.extractor.see(chunk).features)
            self.progress.advance(len(chunk))
        self.progress.finish()
        if not rows:
            raise FrameError("There is no picture of reference. Give at least four.")
        return np.concatenate(rows)

    def _described(self, inputs: Iterable[Pixels]) -> list[_Described]:
        """Run the models here; describe and compare in the workers, a bounded way ahead."""
        found: list[_Described] = []
        total = len(inputs) if isinstance(inputs, Sized) else None
        self.progress.start("Comparing pictures", total)
        with ThreadPoolExecutor(self.options.workers) as pool:
            waiting = (
                pool.submit(self._compare, number, picture, made, other)
                for number, picture, made, other in self._made(inputs)
            )
            ahead = list(islice(waiting, 2 * self.options.workers))
            while ahead:
                found.append(ahead.pop(0).result())
                ahead += islice(waiting, 1)
                self.progress.advance()
        self.progress.finish()
        return found

    def _made(self, inputs: Iterable[Pixels]) -> Iterator[tuple[int, Pixels, Pixels, Pixels]]:
        for number, picture in enumerate(inputs):
            frame = np.ascontiguousarray(picture[np.newaxis])
            original, compressed = (
                run(frame)[0] for _, run in (self.arms.original, self.arms.compressed)
            )
            if len(self.kept) < self.options.ladder:
                self.kept.append(original)
            yield number, picture, original, compressed

    def _compare(self, number: int, picture: Pixels, one: Pixels, two: Pixels) -> _Described:
        extra = {"content_drift": _content(two, picture) - _content(one, picture)}
        style = self.options.style
        if style is not None and number < self.options.styled:
            extra["style_drift"] = _style(two, style) - _style(one, style)
        if self.lpips is not None:
            extra["lpips"] = self.lpips.distance(one, two)
        scores = pair_scores(number, one, two, extra=extra)
        arms = {"original": one, "compressed": two, "benign": jpeg(one, BENIGN_QUALITY)}
        for name, made in arms.items():
            self.patches[name].add(made, number)
        first, second, benign = (self.extractor.see([made]) for made in arms.values())
        return _Described(first, second, benign, scores, (one.shape[0], one.shape[1]))

    def _score(self, described: Sequence[_Described]) -> Score | None:
        logits = [(one.original.logits, one.compressed.logits) for one in described]
        if any(one is None or two is None for one, two in logits):
            return None
        splits = min(SPLITS, len(logits))
        values = [
            inception_score(np.concatenate(rows), splits=splits, seed=self.options.seed).value
            for rows in zip(*logits, strict=True)
        ]
        return Score(original=values[0], compressed=values[1], splits=splits)

    def _ladder(self, reference: NDArray[np.float64]) -> Ladder | None:
        if not self.kept:
            return None
        return ladder(
            self.kept,
            self.extractor,
            progress=self.progress,
            lpips=self.lpips,
            reference=reference,
        )

    def _skipped(self, described: Sequence[_Described]) -> Iterator[Skipped]:
        if isinstance(self.options.lpips, str):
            yield Skipped(what="LPIPS", why=self.options.lpips)
        if described[0].original.logits is None:
            name = self.extractor.fact.name
            yield Skipped(what="Inception Score", why=f"{name} has no classes; it needs Inception")
        if not self.extractor.fact.metric.startswith("fid["):
            yield Skipped(what="FID", why="the Inception weights file was not given")
        if "ms_ssim" not in described[0].scores.values:
            yield Skipped(what="MS-SSIM", why="the pictures are smaller than 176 pixels")


def _content(made: Pixels, picture: Pixels) -> float:
    return content_distance(made.astype(np.float32) / 255, picture.astype(np.float32) / 255)


def _style(made: Pixels, style: Pixels) -> float:
    return style_distance(made.astype(np.float32) / 255, style.astype(np.float32) / 255)


def _chunks(pictures: Iterable[Pixels]) -> Iterator[list[Pixels]]:
    each = iter(pictures)
    while chunk := list(islice(each, CHUNK)):
        yield chunk
