"""One study of drift from beginning to end: what two models made of pictures in, a ``Drift`` out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from stylepress.benchmarks.gate import USUAL, Limits
from stylepress.benchmarks.part import Skipped
from stylepress.benchmarks.quality.checks import checks
from stylepress.benchmarks.quality.damage import jpeg, tinted
from stylepress.benchmarks.quality.features.extractor import Extractor, Perceptual, Seen
from stylepress.benchmarks.quality.kernel import SPLITS, inception_score, kernel_distance
from stylepress.benchmarks.quality.ladder import Climb, ladder, squares
from stylepress.benchmarks.quality.paired import STRUCTURE_SIDE, PairScores, pair_scores, paired
from stylepress.benchmarks.quality.patches import TAKEN, TAKEN_OF_FEW, Patches
from stylepress.benchmarks.quality.pixels import content_distance, scaled
from stylepress.benchmarks.quality.result import Drift, Ladder, Score
from stylepress.benchmarks.quality.sets import Features, frechet_drift
from stylepress.errors import FrameError
from stylepress.progress import Progress

Pixels = NDArray[np.uint8]
Run = Callable[[Pixels], Pixels]
"""A model: (1, H, W, 3) uint8 to the same shape."""

BENIGN_TINT, BENIGN_QUALITY = 1.0, 95
BENIGN = f"a tint of {BENIGN_TINT:g} level and JPEG {BENIGN_QUALITY}"
"""What nobody minds, of both kinds: a shift of colours, which features of means see, and detail."""
CHUNK = 8
LEAST = 4
"""Features below which there is no distance between two sets."""
SQUARE, NETWORK_SQUARE = 64, 128
"""Sides of the squares: features in code see small ones well, networks enlarge them to 299."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A picture, and what both models made of it; (H, W, 3) uint8 each."""

    name: str
    content: Pixels
    original: Pixels
    compressed: Pixels


def is_network(extractor: Extractor) -> bool:
    """Say whether features are a network's, which takes long and sees large squares."""
    return extractor.fact.kind != "code"


def square_of(extractor: Extractor) -> int:
    """Return the side of the squares that distances over sets are taken over."""
    return NETWORK_SQUARE if is_network(extractor) else SQUARE


def drawn_pairs(inputs: Iterable[Pixels], original: Run, compressed: Run) -> Iterator[Pair]:
    """Run both models on the same (H, W, 3) pictures, one after the other."""
    for number, picture in enumerate(inputs):
        frame = np.ascontiguousarray(picture[np.newaxis])
        yield Pair(str(number), picture, original(frame)[0], compressed(frame)[0])


@dataclass(frozen=True, slots=True)
class StudyOptions:
    """How a study is made.

    Distances over sets are taken over squares of ``square`` pixels (None: the pictures
    themselves), paired figures always over whole pictures. ``ladder`` is one that was climbed
    before, or of how many pictures one is made (0: none). ``lpips`` may be the reason why there is
    none. The pairs are drawn by one thread; ``workers`` describe and compare them.
    """

    seed: int = 0
    square: int | None = None
    ladder: int | Ladder = 64
    workers: int = 2
    limits: Limits = USUAL
    lpips: Perceptual | str = "no weights were given"


@dataclass(frozen=True, slots=True)
class _Described:
    """What is kept of one picture: a row of features for each of its squares."""

    name: str
    size: tuple[int, int]
    original: Seen
    compressed: Seen
    benign: Seen
    scores: PairScores


def drift_study(
    models: tuple[str, str],
    pairs: Iterable[Pair],
    references: Iterable[Pixels],
    *,
    extractor: Extractor,
    options: StudyOptions,
    progress: Progress,
) -> Drift:
    """Hold what a compressed model made of pictures against what its original made of them.

    ``models`` are their names, the original's first. ``references`` are what the original made of
    other pictures, its world; without any there is no drift, only direct distances. Pictures are
    taken one after the other and not kept, only their features are.

    Raises:
        FrameError: too few pictures or references, or models whose pictures differ in size.
    """
    return _Study(models, extractor, options, progress).drift(pairs, references)


class _Study:
    """A study under way: the patches and pictures that are gathered as pictures pass."""

    def __init__(
        self,
        models: tuple[str, str],
        extractor: Extractor,
        options: StudyOptions,
        progress: Progress,
    ) -> None:
        self.models, self.extractor = models, extractor
        self.options, self.progress = options, progress
        taken = TAKEN if options.square is None else TAKEN_OF_FEW
        self.patches = {
            name: Patches(taken=taken, seed=options.seed)
            for name in ("original", "compressed", "benign")
        }
        self.kept: list[Pixels] = []
        self.contents: list[Pixels] = []
        self.lpips = None if isinstance(options.lpips, str) else options.lpips

    def drift(self, pairs: Iterable[Pair], references: Iterable[Pixels]) -> Drift:
        reference = self._reference(references)
        described = self._described(pairs)
        features = self._features(described, reference)
        names, seed = [one.name for one in described], self.options.seed
        frechet = frechet_drift(features, self.extractor.fact, seed=seed, benign_change=BENIGN)
        summed = paired([one.scores for one in described])
        patches = self.patches
        return Drift(
            original=self.models[0],
            compressed=self.models[1],
            names=tuple(names),
            size=described[0].size,
            square=self.options.square,
            seed=seed,
            frechet=frechet,
            kernel=kernel_distance(features.original, features.compressed, seed=seed),
            patches=patches["original"].distance(patches["compressed"]),
            benign_patches=patches["original"].distance(patches["benign"]),
            score=self._score(described),
            lpips=None if self.lpips is None else self.lpips.fact,
            paired=summed,
            checks=checks(frechet, summed, self.options.limits, names=names),
            ladder=self._ladder(reference),
            skipped=tuple(self._skipped(described, reference)),
        )

    def _features(
        self, described: Sequence[_Described], reference: NDArray[np.float64] | None
    ) -> Features:
        counts = [len(one.original.features) for one in described]
        others = LEAST if reference is None else len(reference)
        if min(sum(counts), others) < LEAST:
            raise FrameError(
                f"{sum(counts)} pictures against {others} of reference are too few for a study.",
                "Give four of each at least, better five a dimension.",
            )
        grouped = None if self.options.square is None else np.repeat(np.arange(len(counts)), counts)

        def gathered(arm: str) -> NDArray[np.float64]:
            return np.concatenate([getattr(one, arm).features for one in described])

        return Features(
            reference,
            original=gathered("original"),
            compressed=gathered("compressed"),
            benign=gathered("benign"),
            groups=grouped,
        )

    def _reference(self, references: Iterable[Pixels]) -> NDArray[np.float64] | None:
        rows = []
        self.progress.start("Describing the reference", None)
        cut = (one for picture in references for one in squares(picture, self.options.square))
        for chunk in _chunks(cut):
            rows.append(self.extractor.see(chunk).features)
            self.progress.advance(len(chunk))
        self.progress.finish()
        return np.concatenate(rows) if rows else None

    def _described(self, pairs: Iterable[Pair]) -> list[_Described]:
        """Take the pairs here; describe and compare in the workers, a bounded way ahead."""
        found: list[_Described] = []
        total = len(pairs) if isinstance(pairs, Sized) else None
        self.progress.start("Comparing pictures", total)
        with ThreadPoolExecutor(self.options.workers) as pool:
            waiting = (
                pool.submit(self._compare, number, pair) for number, pair in self._kept(pairs)
            )
            ahead = list(islice(waiting, 2 * self.options.workers))
            while ahead:
                found.append(ahead.pop(0).result())
                ahead += islice(waiting, 1)
                self.progress.advance()
        self.progress.finish()
        return found

    def _kept(self, pairs: Iterable[Pair]) -> Iterator[tuple[int, Pair]]:
        most = self.options.ladder if isinstance(self.options.ladder, int) else 0
        for number, pair in enumerate(pairs):
            if number < most:
                self.kept.append(pair.original)
                self.contents.append(pair.content)
            yield number, pair

    def _compare(self, number: int, pair: Pair) -> _Described:
        one, two = pair.original, pair.compressed
        content, first, second = (scaled(each) for each in (pair.content, one, two))
        extra = {
            "content_drift": content_distance(second, content) - content_distance(first, content)
        }
        if self.lpips is not None:
            extra["lpips"] = self.lpips.distance(one, two)
        scores = pair_scores(number, one, two, extra=extra)
        arms = {"original": one, "compressed": two, "benign": _benign(one)}
        for name, made in arms.items():
            self.patches[name].add(made, number)
        mine, theirs, benign = (
            self.extractor.see(list(squares(made, self.options.square))) for made in arms.values()
        )
        return _Described(
            pair.name,
            (one.shape[0], one.shape[1]),
            original=mine,
            compressed=theirs,
            benign=benign,
            scores=scores,
        )

    def _score(self, described: Sequence[_Described]) -> Score | None:
        arms = [(one.original.logits, one.compressed.logits) for one in described]
        if any(one is None or two is None for one, two in arms):
            return None
        mine, theirs = (np.concatenate(rows) for rows in zip(*arms, strict=True))
        splits, seed = min(SPLITS, len(mine)), self.options.seed
        values = [inception_score(rows, splits=splits, seed=seed) for rows in (mine, theirs)]
        return Score(original=values[0], compressed=values[1], splits=splits)

    def _ladder(self, reference: NDArray[np.float64] | None) -> Ladder | None:
        if isinstance(self.options.ladder, Ladder):
            return self.options.ladder
        if not self.kept:
            return None
        climb = Climb(
            self.extractor,
            lpips=self.lpips,
            reference=reference,
            contents=self.contents,
            square=self.options.square,
        )
        return ladder(self.kept, climb, progress=self.progress)

    def _skipped(
        self, described: Sequence[_Described], reference: NDArray[np.float64] | None
    ) -> Iterator[Skipped]:
        if reference is None:
            yield Skipped(what="drift to a reference", why="no references were given")
        if isinstance(self.options.lpips, str):
            yield Skipped(what="LPIPS", why=self.options.lpips)
        if described[0].original.logits is None:
            name = self.extractor.fact.name
            yield Skipped(what="Inception Score", why=f"{name} has no classes; it needs Inception")
        if not self.extractor.fact.metric.startswith("fid["):
            yield Skipped(what="FID", why="the Inception weights file was not given")
        if "ms_ssim" not in described[0].scores.values:
            why = f"the pictures are smaller than {STRUCTURE_SIDE} pixels"
            yield Skipped(what="MS-SSIM", why=why)


def _benign(picture: Pixels) -> Pixels:
    return jpeg(tinted(picture, BENIGN_TINT), BENIGN_QUALITY)


def _chunks(pictures: Iterable[Pixels]) -> Iterator[list[Pixels]]:
    each = iter(pictures)
    while chunk := list(islice(each, CHUNK)):
        yield chunk
