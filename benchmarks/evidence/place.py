"""Where compression is measured: a checkout, a folder to work in, and bundles timed in turns."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stylepress.artifact import Artifact
from stylepress.benchmarks.timing.baselines import float_bundle
from stylepress.export.fit.latency import quickest
from stylepress.picture import Pixels
from stylepress.ports import Graph
from stylepress.progress import Progress
from stylepress.runtime.backends import Engine, EngineOptions, open_engine
from stylepress.runtime.bundle import read_bundle
from stylepress.runtime.feeds import trial_feeds
from stylepress.train.patterns import draw as draw_pattern
from stylepress.work import Work

ENGINE, STYLE = "openvino", "glass"
SIZE = (512, 512)
ROUNDS = 24


@dataclass(frozen=True, slots=True)
class Place:
    """The checkout that is measured, a folder to work in, and how long trainings are."""

    checkout: Path
    work: Path
    steps: int
    progress: Progress

    @property
    def recipes(self) -> Path:
        return self.checkout / "recipes"

    def photos(self) -> Path:
        """Return photos to learn from: the fetched ones where they are, else those that ship."""
        fetched = self.recipes / "photos" / "debian"
        return fetched if fetched.is_dir() else self.recipes / "photos" / "train"

    def bundle(self, checkpoint: Artifact) -> Artifact:
        """Return the float bundle of a checkpoint."""
        frame = draw_pattern("glass", seed=1, size=512)[None]
        return float_bundle(checkpoint, self.work, frame, progress=self.progress)

    def job(self, name: str) -> Work:
        """Return the work of one step, with its state below the folder to work in."""
        return Work(
            name=name,
            folder=self.work / name,
            board=self.work / "board",
            environ=os.environ,
            home=Path.home(),
            progress=self.progress,
        )


def side_by_side(*bundles: Artifact, rounds: int = ROUNDS) -> tuple[float, ...]:
    """Return the time of a call of each bundle in ms, in turns: load falls on all alike."""
    engines = [_opened(bundle) for bundle in bundles]
    times: list[list[float]] = [[] for _ in engines]
    feeds = [_feeds(engine.graph) for engine in engines]
    for _ in range(rounds):
        for engine, own, taken in zip(engines, feeds, times, strict=True):
            began = perf_counter()
            engine.run(own)
            taken.append(1e3 * (perf_counter() - began))
    for engine in engines:
        engine.close()
    return tuple(quickest(iter(taken)) for taken in times)


def pictures(bundle: Artifact, frames: Iterable[Pixels], backend: str = ENGINE) -> list[Pixels]:
    """Return what an engine makes of frames, (1, H, W, 3) uint8 each; (H, W, 3) uint8 each."""
    read = read_bundle(bundle.folder)
    with closing(open_engine(read, backend, options=EngineOptions())) as engine:
        port = engine.graph.picture
        if port is None:
            raise TypeError("a frame graph takes a picture")
        return [np.array(next(iter(engine.run({port.name: f}).values())))[0] for f in frames]


def _opened(artifact: Artifact) -> Engine:
    bundle = read_bundle(artifact.folder)
    size = SIZE if bundle.graph().picture else None
    return open_engine(bundle, ENGINE, options=EngineOptions(size=size))


def _feeds(graph: Graph) -> dict[str, NDArray[Any]]:
    """Return a noisy frame for a graph that takes one, and normal noise where noise is drawn from."""
    draw = np.random.default_rng(0)
    noise = {
        port.name: draw.standard_normal(
            [size if isinstance(size, int) else 1 for size in port.shape]
        ).astype(np.float32)
        for port in graph.inputs
        if port.default is None and not port.is_picture
    }
    return {**trial_feeds(graph, SIZE), **noise}
