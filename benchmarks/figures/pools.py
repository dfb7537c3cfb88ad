"""Pools of really measured pairs: equal arms, or one with extra work, each pool begun anew.

A trial takes its looks from one pool and its confirmation from another, which is what makes that
fresh: what one session got wrong, the next need not. From a pool it draws blocks of four
neighbouring runs (ABBA or BAAB: two pairs), none twice before all were drawn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter_ns

import numpy as np

from stylepress.benchmarks.figures.neighbour import neighbour
from stylepress.benchmarks.figures.noise import in_halves
from stylepress.benchmarks.figures.procedure import Draw, Machine, Pair
from stylepress.benchmarks.quality.photos import Pixels, golden_photos
from stylepress.benchmarks.verdict.arm import Answer, Request
from stylepress.benchmarks.verdict.comparison import LookName, Run
from stylepress.benchmarks.verdict.measures import p50_ms
from stylepress.benchmarks.verdict.session import Arms, Ask, PairPlan, Session, fresh
from stylepress.benchmarks.verdict.terms import frames_file
from stylepress.progress import Progress
from stylepress.runtime.backends import EngineOptions, open_engine
from stylepress.runtime.bundle import Bundle, load_bundle

SIZE = (128, 128)
BACKEND = "onnxruntime"
PROBE_BYTES = 1 << 20
PROBES = 300
"""How much is hashed, and how often, to measure out extra work."""

Block = tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """What pools are of: a backend, the extra work of the new arm as a share of the engine's time.

    ``pools`` sessions of ``pairs`` are measured. ``threads`` None: as many as there are cores.
    With ``loops`` a neighbour comes half way and keeps so many cores busy.
    """

    backend: str
    slower: float
    pools: int
    pairs: int
    threads: int | None = 1
    loops: int = 0

    @property
    def alone(self) -> int:
        """Runs before the neighbour comes, all where none does.

        It comes between the two runs of a pair: taking turns must not get it for nothing.
        """
        half = self.pairs + (self.pairs + 1) % 2
        return half if self.loops else 2 * self.pairs


@dataclass(frozen=True, slots=True)
class Pool:
    """One session: milliseconds of every run in the order it was made, and its blocks of pairs.

    ``waited`` is the share of time that a thread waited for a core.
    """

    times: tuple[float, ...]
    blocks: Sequence[Block]
    waited: float | None = None

    @property
    def pairs(self) -> list[Pair]:
        """All pairs, (base, new) milliseconds."""
        return [pair for block in self.blocks for pair in block]

    @property
    def apart(self) -> Pool:
        """Return the runs as one arm after the other would have had them.

        Equal arms run the same thing, so who is given which run is free.
        """
        return replace(self, blocks=[(pair,) for pair in in_halves(self.times)])


class Stand:
    """Where pools are measured: one bundle against itself, in fresh processes."""

    def __init__(
        self,
        bundle: Path,
        work: Path,
        plan: PairPlan,
        *,
        environ: Mapping[str, str],
        progress: Progress,
        ask: Ask = fresh,
    ) -> None:
        self.bundle, self.plan, self.environ = bundle, plan, environ
        self.progress, self.ask = progress, ask
        loaded = load_bundle(bundle)
        photos = golden_photos(loaded, SIZE, limit=2)
        self.frames = frames_file(photos, work)
        self.call_bytes = call_bytes(loaded, photos[0].frame)

    def measure(self, kind: Kind, *, seed: int) -> Pool:
        """Measure one pool: its order is drawn with ``seed``."""
        extra = round(kind.slower * self.call_bytes)
        arms = Arms(
            {"base": self.bundle, "new": self.bundle},
            self.frames,
            kind.threads,
            {"base": 0, "new": extra},
        )
        plan = replace(self.plan, seed=seed, pairs=kind.pairs)
        made = 0
        with ExitStack() as stack:

            def ask(request: Request, environ: Mapping[str, str]) -> Answer:
                nonlocal made
                if made == kind.alone:
                    stack.enter_context(neighbour(kind.loops))
                made += 1
                return self.ask(request, environ)

            session = Session(arms, plan, environ=self.environ, progress=self.progress, ask=ask)
            return pool(session.measure("first", [kind.backend], plan.pairs))


def call_bytes(bundle: Bundle, frame: Pixels) -> float:
    """Return how many bytes are hashed in the time of one call of the engine.

    Both by turns, in this process: a slow phase meets both.
    """
    probe, ratios = bytes(PROBE_BYTES), []
    options = EngineOptions(threads=1, size=SIZE)
    with closing(open_engine(bundle, BACKEND, options=options)) as engine:
        for _ in range(PROBES):
            began = perf_counter_ns()
            engine.run(frame)
            between = perf_counter_ns()
            hashlib.sha256(probe).digest()
            ratios.append((between - began) / (perf_counter_ns() - between))
    return PROBE_BYTES * median(ratios)


def pool(runs: Sequence[Run]) -> Pool:
    """Make a pool of the runs of a session."""
    ordered = sorted(runs, key=lambda run: run.place)
    waited = [run.waited_share for run in runs if run.waited_share is not None]
    return Pool(
        tuple(p50_ms(run) for run in ordered), blocks(runs), median(waited) if waited else None
    )


def blocks(runs: Sequence[Run]) -> list[Block]:
    """Group runs into blocks of two pairs, (base, new) milliseconds each."""
    pairs: dict[int, dict[str, float]] = {}
    for run in runs:
        pairs.setdefault(run.pair, {})[run.arm] = p50_ms(run)
    values = [(one["base"], one["new"]) for _, one in sorted(pairs.items())]
    return [tuple(values[start : start + 2]) for start in range(0, len(values) - 1, 2)]


def looked_in(trial: int, pools: int) -> int:
    """Return in which pool a trial looks: in each as often."""
    return trial % pools


def drawn(pools: Sequence[Sequence[Block]]) -> Machine:
    """Return what draws pairs from measured pools; what confirms is never the pool of the looks."""

    def machine(trial: int) -> Draw:
        rng = np.random.default_rng((13, trial))
        looked = looked_in(trial, len(pools))
        other = (looked + 1 + int(rng.integers(len(pools) - 1))) % len(pools)

        waiting: dict[int, list[Block]] = {looked: [], other: []}

        def draw(part: LookName, count: int) -> list[Pair]:
            number = other if part == "confirmation" else looked
            found: list[Pair] = []
            while len(found) < count:
                if not waiting[number]:
                    places = rng.permutation(len(pools[number]))
                    waiting[number] = [pools[number][place] for place in places]
                found += waiting[number].pop()
            return found[:count]

        return draw

    return machine
