"""Comparisons of two small bundles in no time: runs are made once, their times are made up."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import onnx
from onnx import helper, numpy_helper
from PIL import Image

from stylepress.artifact import Artifact
from stylepress.benchmarks.machine.timeline import Window
from stylepress.benchmarks.machine.watch import Event, Validity, Watch
from stylepress.benchmarks.timing.systems import opened
from stylepress.benchmarks.timing.worker import Answer, Request, steps_of
from stylepress.benchmarks.verdict.comparison import Comparison, DuelOptions
from stylepress.benchmarks.verdict.duel import duel
from stylepress.benchmarks.verdict.session import PairPlan, Run, Session
from stylepress.progress import Silent
from stylepress.runtime.backends import EngineOptions
from stylepress.runtime.bundle import read_bundle

if TYPE_CHECKING:
    from typing_extensions import Self

TINY = PairPlan(pairs=8, min_s=0, min_count=5, warm_s=0, rest_s=0, patience_s=0)
ENVIRON = {**os.environ, "OMP_NUM_THREADS": "1"}
BUSY = "others used {} % of the processor, more than 5 %"


@dataclass
class Machine(Watch):
    """A Watch, and the processes that it watches: times by run, and which pairs are spoiled.

    ``times`` gives the milliseconds of a run of a bundle's folder; ``spoils`` is told the backend
    and the number of its pair, from 0. While others use the machine, its rounds disagree.
    """

    times: Callable[[Path, int], float] = lambda folder, number: 10 + 0.001 * number
    spoils: Callable[[str, int], bool] = lambda backend, number: False
    kind: Literal["foreign load", "throttled"] = "foreign load"
    asked: list[str] = field(default_factory=list)

    def ask(self, requests: Sequence[Request], environ: Mapping[str, str]) -> list[Answer]:
        """Answer without running anything."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Request) -> Answer:
        number = self.asked.count(request.backend)
        self.asked.append(request.backend)
        ms = self.times(Path(request.bundle), number)
        shaken = (
            np.linspace(0.5, 2, 10)[:: 1 if number % 2 else -1] if self._spoilt() else np.ones(10)
        )
        return Answer(
            samples_ns=tuple((1e6 * ms * shaken).round().astype(int).tolist()), turns=(1,) * 10,
            opened=10**6, first=2 * 10**6, load_bytes=10**8,
            engine={"backend": request.backend},
        )  # fmt: skip

    def _spoilt(self) -> bool:
        backend = self.asked[-1]
        return self.spoils(backend, (self.asked.count(backend) - 1) // 2)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        """Nothing to do."""

    def judged(self, window: Window) -> Validity:
        """Say whether the pair before was spoiled."""
        spoilt = self._spoilt()
        events = (Event(kind=self.kind, what=BUSY.format(9)),) if spoilt else ()
        return Validity(ok=not spoilt, events=events, samples=1)


def options(made: Mapping[str, Path], **changes: Any) -> DuelOptions:
    return DuelOptions(
        **{
            "size": (64, 80),
            "threads": 1,
            "backends": ("onnxruntime",),
            "plan": TINY,
            "photos": made["photos"],
            "created": "2026-01-02T03:04:05+00:00",
            "environ": ENVIRON,
            **changes,
        }
    )


def compared(
    made: Mapping[str, Path], new: Path, machine: Machine | None = None, **changes: Any
) -> Comparison:
    """Compare the bundle of the fixture with another."""
    tried, asked = machine or Machine(), options(made, **changes)
    base = made["bundle"]
    return duel(base, new, Session(asked, Silent(), tried, tried.ask))


def really(requests: Sequence[Request], environ: Mapping[str, str]) -> list[Answer]:
    """Run both arms in this process."""
    return [alone(request) for request in requests]


def alone(request: Request) -> Answer:
    """Measure once, in this process."""
    steps = steps_of(request, 0)
    while True:
        try:
            next(steps)
        except StopIteration as end:  # noqa: PERF203
            answer: Answer = end.value
            return answer


def altered(
    source: Path,
    folder: Path,
    *,
    add: float = 0.0,
    fade: float = 1.0,
    golden: bool = True,
    parent: str | None = "its own",
) -> Path:
    """Write another version of a bundle: ``add`` levels of red, ``fade`` of its saturation.

    Its golden pictures are those it draws, unless ``golden`` is False: then they are the source's,
    the first one inverted. ``parent`` is what its manifest says it was made from.
    """
    artifact = Artifact.load(source)
    bundle = read_bundle(source)
    outs = [file for file in artifact.files if file.endswith(".frame_out.png")]

    def fill(out: Path) -> None:
        for name in artifact.files:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, out / name)
        model = onnx.load(str(out / "model.onnx"))
        _paint(model, add, fade)
        onnx.save(model, str(out / "model.onnx"))
        if not golden:
            picture = np.asarray(Image.open(out / outs[0]))
            Image.fromarray(np.ascontiguousarray(255 - picture)).save(out / outs[0])

    facts: dict[str, Any] = {
        "kind": "bundle", "name": artifact.name, "graphs": artifact.graphs,
        "made_by": artifact.made_by, "parent": artifact.parent if parent == "its own" else parent, "numbers": artifact.numbers,
    }  # fmt: skip
    Artifact.create(folder, fill, **facts)
    if not golden:
        return folder
    drawn = {}
    with opened(read_bundle(folder), "onnxruntime", EngineOptions(threads=1)) as run:
        for pair, file in zip(bundle.golden(), outs, strict=True):
            drawn[file] = run.engine.run(pair.feeds)["frame_out"][0]

    def again(out: Path) -> None:
        for name in artifact.files:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, out / name)
        for name, pixels in drawn.items():
            Image.fromarray(pixels).save(out / name)

    final = folder.with_name(f"{folder.name}-sealed")
    Artifact.create(final, again, **facts)
    return final


def _paint(model: onnx.ModelProto, add: float, fade: float) -> None:
    """Insert colours between the last rounding and the cast to uint8; pixels are (N, H, W, 3)."""
    graph = model.graph
    last = next(node for node in graph.node if "frame_out" in node.output)
    luma = np.outer([0.299, 0.587, 0.114], np.ones(3))
    values = {
        "mix": (fade * np.eye(3) + (1 - fade) * luma).astype(np.float32),
        "cast": np.array([add, 0, 0], np.float32),
        "black": np.array(0, np.float32),
        "white": np.array(255, np.float32),
    }
    graph.initializer.extend(numpy_helper.from_array(v, n) for n, v in values.items())
    steps = [
        helper.make_node("MatMul", [last.input[0], "mix"], ["mixed"]),
        helper.make_node("Add", ["mixed", "cast"], ["tinted"]),
        helper.make_node("Clip", ["tinted", "black", "white"], ["clipped"]),
        helper.make_node("Round", ["clipped"], ["rounded"]),
    ]
    at = list(graph.node).index(last)
    last.input[0] = "rounded"
    for number, node in enumerate(steps):
        graph.node.insert(at + number, node)


def slower(name: str, factor: float) -> Callable[[Path, int], float]:
    """Make runs of the folder of that name take ``factor`` times as long."""
    return lambda folder, number: (10 + 0.001 * number) * (factor if folder.name == name else 1)


class Heard(Silent):
    """A Progress that remembers what it was told."""

    def __init__(self) -> None:
        self.said, self.warned = list[str](), list[str]()

    def say(self, message: str) -> None:
        self.said.append(message)

    def warn(self, message: str) -> None:
        self.warned.append(message)


def run(
    pair: int,
    arm: str,
    ms: Sequence[float],
    invalid: Sequence[str] = (),
    *,
    turns: Sequence[int] | None = None,
) -> Run:
    return Run.model_validate(
        {
            "part": "first", "pair": pair, "place": 0, "backend": "onnxruntime", "arm": arm,
            "samples_ns": [round(1e6 * one) for one in ms], "turns": turns or [len(ms), 0],
            "load_ns": 1, "first_call_ns": 1, "peak_rss_bytes": None,
            "invalid": invalid,
        }
    )  # fmt: skip
