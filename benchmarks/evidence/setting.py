"""What rows are measured with: styles that ship, photos, a folder to work in, engines, turns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stylepress.artifact import Artifact
from stylepress.benchmarks.quality.photos import read_photos
from stylepress.benchmarks.timing.baselines import Baselines, eager
from stylepress.benchmarks.timing.systems import Run, opened
from stylepress.compress import fidelity
from stylepress.errors import ArtifactError
from stylepress.export.fit.latency import quickest
from stylepress.export.stage import frame_graph_of
from stylepress.picture import PHOTO_SUFFIXES, Pixels
from stylepress.ports import Graph
from stylepress.progress import Progress
from stylepress.runtime.backends import EngineOptions, missing, open_engine
from stylepress.runtime.bundle import Bundle, read_bundle
from stylepress.runtime.feeds import trial_feeds
from stylepress.runtime.machine import usable_cores
from stylepress.runtime.model import Model
from stylepress.train.photos import Photos
from stylepress.work import Work

Size = tuple[int, int]
PHOTOS = 5
SQUARE = (512, 512)
TITLES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
"""Our backends as tables call them."""
ENGINE = "openvino"
"""Where compression is timed."""
RECOVERY = 400
"""Steps of a recovery after pruning; other short trainings are so many times as long."""
ROUNDS = 24


def usual_backend() -> str:
    """Return the backend in which what ships is judged: OpenVINO where it is installed."""
    return "onnxruntime" if "openvino" in missing() else "openvino"


def wxh(size: Size) -> str:
    """Write a size, (height, width), as tables do.

    >>> wxh((720, 1280))
    '1280x720'
    """
    return f"{size[1]}x{size[0]}"


@dataclass(frozen=True, slots=True)
class Shipped:
    """One style: teacher's and student's checkpoints, the INT8 bundle, the style picture."""

    name: str
    teacher: Artifact
    student: Artifact
    bundle: Artifact
    picture: Path

    @property
    def networks(self) -> tuple[str, ...]:
        """What teacher and student are: two styles with the same take the same time."""
        both = (self.teacher, self.student)
        return tuple(one.path("network.json").read_text(encoding="utf-8") for one in both)


def shipped(recipes: Path) -> Sequence[Shipped]:
    """Find the styles below ``recipes``, each checked against its digests.

    Raises:
        ArtifactError: there is none, or one is not whole.
    """
    found = []
    for folder in sorted(path.parent for path in recipes.glob("*/bundle")):
        pictures = [recipes / "styles" / f"{folder.name}.{kind}" for kind in ("png", "jpg")]
        picture = next((path for path in pictures if path.is_file()), None)
        if picture is None:
            raise ArtifactError(
                f"There is no style picture {pictures[0]}.",
                f"Draw it with `stylepress styles draw {folder.name} {pictures[0]}`.",
            )
        teacher, student, bundle = (
            Artifact.load(folder / name) for name in ("teacher", "student", "bundle")
        )
        found.append(Shipped(folder.name, teacher, student, bundle, picture))
    if not found:
        raise ArtifactError(
            f"{recipes} holds no style that ships (NAME/bundle).",
            f"Build one with `stylepress build {recipes}/NAME.yaml --out {recipes}/NAME`.",
        )
    return found


@dataclass(frozen=True, slots=True)
class Drawn:
    """The held-out photos, and what the models of a style make of them: (1, H, W, 3) uint8 each."""

    photos: list[Pixels]
    teacher: list[Pixels]
    student: list[Pixels]
    bundle: list[Pixels]


@dataclass(frozen=True, slots=True)
class Setting:
    """The styles, the folder of recipes with its photos, and a folder to work in.

    ``size`` (height, width) is that of pictures that are judged, ``environ`` the environment of
    processes that are measured, ``home`` where weights are looked for.
    """

    styles: Sequence[Shipped]
    recipes: Path
    work: Path
    progress: Progress
    size: Size = SQUARE
    environ: Mapping[str, str] = field(default_factory=dict)
    home: Path = Path()
    _drawn: dict[str, Drawn] = field(default_factory=dict)

    @property
    def style(self) -> Shipped:
        """The style that stands for all where only time counts: their networks are alike."""
        return self.styles[0]

    @property
    def threads(self) -> int:
        """Every engine gets as many."""
        return usable_cores()

    @property
    def learning(self) -> Path:
        """The photos to learn from: the fetched ones where they are, else those that ship."""
        fetched = self.recipes / "photos" / "debian"
        return fetched if fetched.is_dir() else self.recipes / "photos" / "train"

    def parted(self) -> tuple[Photos, Photos]:
        """Return those photos in two: what trainings learn from, what is held out of them."""
        return fidelity.parted(Photos.below(self.learning, self.progress))

    def paths(self, name: str) -> list[Path]:
        """Return the photos of ``heldout`` (no training saw them) or ``train``."""
        paths = sorted((self.recipes / "photos" / name).iterdir())
        return [path for path in paths if path.suffix.lower() in PHOTO_SUFFIXES]

    def frames(self, name: str, size: Size | None = None, *, most: int = PHOTOS) -> list[Pixels]:
        """Read the photos of ``heldout`` or ``train`` as frames, (1, H, W, 3) uint8."""
        folder = self.recipes / "photos" / name
        photos = read_photos(folder, size or self.size, limit=most, progress=self.progress)
        return [photo.frame for photo in photos]

    def job(self, name: str, **more: Any) -> Work:
        """Return the work of one step, with its state below the folder to work in."""
        return Work(
            name, self.work / f"{name}-state", self.work / "board",
            environ=self.environ, home=self.home, progress=self.progress, **more,
        )  # fmt: skip

    def forms(self, checkpoint: Artifact) -> Baselines:
        """Return the float and INT8 bundles of a checkpoint, made when they are asked for."""
        frames, progress = self.frames("train"), self.progress
        return Baselines(checkpoint.folder, self.work, frames=frames, progress=progress)

    def engine(self, bundle: Bundle, size: Size, stack: ExitStack, *, backend: str = "") -> Model:
        """Open a bundle for frames of ``size``, until the stack closes; return how it runs."""
        options = EngineOptions(size=size, threads=self.threads)
        return stack.enter_context(opened(bundle, backend or usual_backend(), options))

    def network(self, checkpoint: Artifact) -> Run:
        """Return what runs a checkpoint in PyTorch."""
        return eager(frame_graph_of(checkpoint), self.threads)

    def painted(
        self, model: Artifact, frames: Iterable[Pixels], *, backend: str = "",
        controls: Mapping[str, Any] = {},
    ) -> list[Pixels]:  # fmt: skip
        """Draw frames, (1, H, W, 3) uint8: with a checkpoint in PyTorch, a bundle in a backend."""
        with ExitStack() as stack:
            if model.kind == "checkpoint":
                run = self.network(model)
            else:
                bundle = read_bundle(model.folder)
                run = partial(self.engine(bundle, self.size, stack, backend=backend), **controls)
            return [np.array(run(np.ascontiguousarray(frame))) for frame in frames]

    def drawn(self, style: Shipped) -> Drawn:
        """Draw the held-out photos with all models of a style, once."""
        if style.name not in self._drawn:
            frames, models = self.frames("heldout"), (style.teacher, style.student, style.bundle)
            self._drawn[style.name] = Drawn(frames, *(self.painted(m, frames) for m in models))
        return self._drawn[style.name]


def turns(
    calls: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    count: int = 1,
    clock: Callable[[], float] = perf_counter,
) -> dict[str, list[float]]:
    """Return the ms of a call of each in every round, in turns of the order ABBA, first ones apart.

    A turn is of ``count`` calls. What else the machine does falls on all alike.
    """
    for call in calls.values():
        call()
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds):
        for name in list(calls) if number % 2 else list(calls)[::-1]:
            began = clock()
            for _ in range(count):
                calls[name]()
            taken[name].append(1e3 * (clock() - began) / count)
    return taken


def side_by_side(*bundles: Artifact, rounds: int = ROUNDS) -> tuple[float, ...]:
    """Return the time of a call of each bundle in ms, in turns: the mean of the quickest."""
    with ExitStack() as stack:
        calls = {}
        for number, artifact in enumerate(bundles):
            bundle = read_bundle(artifact.folder)
            options = EngineOptions(size=SQUARE if bundle.graph().picture else None)
            engine = stack.enter_context(closing(open_engine(bundle, ENGINE, options=options)))
            calls[str(number)] = partial(engine.run, _feeds(engine.graph))
        return tuple(quickest(iter(taken)) for taken in turns(calls, rounds=rounds).values())


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
    return {**trial_feeds(graph, SQUARE), **noise}
