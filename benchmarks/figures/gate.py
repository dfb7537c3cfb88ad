"""Rows about the gate: how often it cries wolf, and how often it sees one.

Two kinds of trial, and each runs the whole procedure that ships (looks at 10 and 20 pairs, then
the confirmation):

- *Measured*: a pool of interleaved fresh-process runs is made once on this machine. A trial draws
  blocks of four neighbouring runs (ABBA or BAAB: two pairs) from it, with replacement. A harness
  that favours one arm would fail equal arms here.
- *Modelled*: the noise models of our research notes. Board with locked clocks: 0.5 % independent
  noise. Desktop: 1.5 %, a random walk of 0.4 % a run, and every twentieth run slower by an
  exponential of mean 10 %. Shared runner: 5 % of Student's t with 3 degrees of freedom, a walk of
  2 % a run, every tenth run slower.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np

from stylepress.benchmarks.figures.rows import Row
from stylepress.benchmarks.figures.shipped import Shipped
from stylepress.benchmarks.pictures.photos import golden_photos
from stylepress.benchmarks.timing.interval import paired_ratio
from stylepress.benchmarks.timing.systems import NULL
from stylepress.benchmarks.verdict.arm import Request
from stylepress.benchmarks.verdict.comparison import LookName, Run
from stylepress.benchmarks.verdict.measures import p50_ms
from stylepress.benchmarks.verdict.order import orders
from stylepress.benchmarks.verdict.rule import ALPHA, DELTA, Paired, Rule, Verdict, judge
from stylepress.benchmarks.verdict.session import Arms, PairPlan, Session, fresh
from stylepress.benchmarks.verdict.terms import frames_file
from stylepress.benchmarks.verdict.trial import Key, Source, decide
from stylepress.progress import Progress
from stylepress.runtime.bundle import load_bundle

SIZE = (128, 128)
BACKEND = "onnxruntime"
PAIRS, TRIALS, MODELLED = 10, 100, 300
WORSE, HARMLESS = 0.075, 0.03
POOL = PairPlan(pairs=12, min_s=0.3, min_count=24, warm_s=0.05, warm_count=6, rest_s=0)
PROBE_BYTES = 1 << 20
EQUAL_POOLS = 2
"""Times as many pairs for equal arms: their row is about what happens once in a hundred."""
KEY: Key = ("trial", "p50")

Pair = tuple[float, float]
Block = tuple[Pair, ...]
Draw = Callable[[np.random.Generator, int], list[Pair]]


@dataclass(frozen=True, slots=True)
class Noise:
    """A model of a machine: relative deviations of runs that follow each other."""

    name: str
    spread: float
    walk: float
    spikes: float
    heavy: bool = False

    def __call__(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Draw what so many runs take, 1 for the undisturbed time."""
        own = rng.standard_t(3, count) if self.heavy else rng.normal(size=count)
        walk = np.cumsum(rng.normal(0, self.walk, count))
        spikes = (rng.random(count) < self.spikes) * rng.exponential(0.10, count)
        times: np.ndarray = np.exp(self.spread * own + walk + spikes)
        return times


LOCKED = Noise("board with locked clocks", 0.005, 0.0, 0.0)
DESKTOP = Noise("desktop", 0.015, 0.004, 0.05)
SHARED = Noise("shared runner", 0.05, 0.02, 0.10, heavy=True)


def gate_rows(
    styles: Sequence[Shipped],
    work: Path,
    *,
    environ: Mapping[str, str],
    progress: Progress,
    plan: PairPlan = POOL,
) -> Iterator[Row]:
    """Try the gate on runs measured here, on the cheapest style, and on modelled machines."""
    style = min(styles, key=lambda each: each.macs)
    pools = _Pools(style.bundle.folder, work, environ, progress, plan)
    many = EQUAL_POOLS * plan.pairs
    null, real = (pools.measured(name, 0, pairs=many) for name in (NULL, BACKEND))
    worse, harmless = (
        pools.measured(BACKEND, slower, pairs=plan.pairs) for slower in (WORSE, HARMLESS)
    )
    for name, pool in (("null system", null), ("real engine", real)):
        share = failed_share(drawn(pool.blocks))
        yield _false(f"A/A, {name}: false FAIL", share, note(pool))
    found, wrong = (failed_share(drawn(pool.blocks)) for pool in (worse, harmless))
    yield _found("+7.5 % work in a real engine, 10 pairs: FAIL found", found, note(worse))
    yield _false("+3 % work in a real engine, limit 5 %: FAIL", wrong, note(harmless), bar=0)
    yield from model_rows()


def model_rows(trials: int = MODELLED) -> Iterator[Row]:
    """Try the gate on modelled machines, and on one where the arms do not take turns."""

    def share(slower: float) -> float:
        return failed_share(modelled(DESKTOP, slower), trials)

    words = f"{trials} trials, model of a desktop"
    yield _false("A/A, modelled desktop: false FAIL", share(0), words)
    yield _found("+7.5 %, modelled desktop, 10 pairs: FAIL found", share(WORSE), words)
    yield _false("+3 %, limit 5 %, modelled desktop: FAIL", share(HARMLESS), words, bar=0)
    turns, apart = (control(SHARED, trials, turns=order) for order in (True, False))
    yield Row(
        "equal arms as AAAA...BBBB: false FAIL more than in turns",
        100 * (apart - turns),
        5.0,
        "%",
        at_least=True,
        note=f"{100 * apart:.1f} % against {100 * turns:.1f} %, 20 pairs, one look, {trials} "
        f"trials, model of a shared runner",
    )


def control(noise: Noise, trials: int, *, turns: bool, pairs: int = 20) -> float:
    """Share of equal arms that FAIL a single look at the bare rule, in turns or one by one."""
    failed = 0
    for trial in range(trials):
        rng = np.random.default_rng((7, trial))
        times = noise(rng, 2 * pairs)
        apart = list(zip(times[:pairs].tolist(), times[pairs:].tolist(), strict=True))
        base, new = zip(*(in_turns(times, seed=trial) if turns else apart), strict=True)
        figure = Paired(base, new, Rule())
        failed += judge({KEY: figure}, ALPHA)[KEY].verdict == "FAIL"
    return failed / trials


@dataclass(frozen=True, slots=True)
class Pool:
    """Really measured pairs; ``waited`` is the share of time that a thread waited for a core."""

    blocks: Sequence[Block]
    waited: float | None


def note(pool: Pool) -> str:
    """Tell how a pool was made, and what it holds."""
    pairs = [pair for block in pool.blocks for pair in block]
    ratio = paired_ratio(*zip(*pairs, strict=True))
    spread = "" if ratio.low is None else f", 95 % in {ratio.low:.3f} to {ratio.high:.3f}"
    busy = (
        ""
        if pool.waited is None
        else f"; the thread waited for a core {pool.waited:.0%} of the time"
    )
    return (
        f"{TRIALS} trials of {PAIRS} pairs, drawn from {len(pairs)} pairs of fresh processes "
        f"measured here: ratio {ratio.value:.3f}{spread}{busy}"
    )


class _Pools:
    """Really measured pairs of one bundle against itself, the new arm with extra work."""

    def __init__(
        self,
        bundle: Path,
        work: Path,
        environ: Mapping[str, str],
        progress: Progress,
        plan: PairPlan,
    ) -> None:
        self.bundle, self.environ, self.progress, self.plan = bundle, environ, progress, plan
        photos = golden_photos(load_bundle(bundle), SIZE, limit=2)
        self.frames = frames_file(photos, work)
        self.ns_per_byte = self._fastest(NULL, PROBE_BYTES) / PROBE_BYTES
        self.engine_ns = self._fastest(BACKEND, 0)

    def measured(self, backend: str, slower: float, *, pairs: int) -> Pool:
        """Measure a pool: equal arms, or a new one that hashes for a share of the engine's time."""
        extra = round(slower * self.engine_ns / self.ns_per_byte)
        arms = Arms(
            {"base": self.bundle, "new": self.bundle}, self.frames, 1, {"base": 0, "new": extra}
        )
        plan = replace(self.plan, seed=round(1000 * slower), pairs=pairs)
        session = Session(arms, plan, environ=self.environ, progress=self.progress)
        runs = session.measure("first", [backend], plan.pairs)
        known = [run.waited_share for run in runs if run.waited_share is not None]
        return Pool(blocks(runs), median(known) if known else None)

    def _fastest(self, backend: str, extra: int) -> float:
        """Nanoseconds of the fastest of all calls: what no other load has touched."""
        request = Request(
            bundle=str(self.bundle),
            backend=backend,
            frames=str(self.frames),
            answer="",
            threads=1,
            warm_s=0,
            warm_count=5,
            warm_cap_s=0,
            min_s=0.2,
            min_count=50,
            extra_bytes=extra,
        )
        return min(fresh(request, self.environ).samples_ns)


def blocks(runs: Sequence[Run]) -> list[Block]:
    """Group the runs of a pool into its blocks of two pairs, (base, new) milliseconds each."""
    pairs: dict[int, dict[str, float]] = {}
    for run in runs:
        pairs.setdefault(run.pair, {})[run.arm] = p50_ms(run)
    values = [(one["base"], one["new"]) for _, one in sorted(pairs.items())]
    return [tuple(values[start : start + 2]) for start in range(0, len(values) - 1, 2)]


def drawn(pool: Sequence[Block]) -> Draw:
    """Return what draws pairs from a pool, block by block."""

    def draw(rng: np.random.Generator, count: int) -> list[Pair]:
        found: list[Pair] = []
        while len(found) < count:
            found += pool[int(rng.integers(len(pool)))]
        return found[:count]

    return draw


def modelled(noise: Noise, slower: float) -> Draw:
    """Return what draws pairs from a model of a machine, in the order that ships."""

    def draw(rng: np.random.Generator, count: int) -> list[Pair]:
        pairs = in_turns(noise(rng, 2 * count), seed=int(rng.integers(1 << 30)))
        return [(base, new * (1 + slower)) for base, new in pairs]

    return draw


def in_turns(times: Sequence[float] | np.ndarray, *, seed: int) -> list[Pair]:
    """Give runs that follow each other to two arms by turns (ABBA, BAAB): (base, new) pairs."""
    found = []
    for number, order in enumerate(orders(len(times) // 2, seed=seed)):
        one, two = float(times[2 * number]), float(times[2 * number + 1])
        found.append((one, two) if order[0] == "base" else (two, one))
    return found


def failed_share(draw: Draw, trials: int = TRIALS) -> float:
    """Share of trials that end with FAIL, the whole procedure each."""
    return verdicts(draw, Settings(), trials).count("FAIL") / trials


@dataclass(frozen=True, slots=True)
class Settings:
    """What `stylepress compare` is told: pairs, limit as a share, whether it may extend."""

    pairs: int = PAIRS
    delta: float = DELTA
    extend: bool = True


def verdicts(draw: Draw, settings: Settings, trials: int) -> list[Verdict | None]:
    """Run the whole procedure on one figure, so many times; return what each ended with."""
    rule = Rule.assumed(settings.delta)
    return [
        decide(
            _source(draw, np.random.default_rng((11, trial)), rule),
            [KEY],
            pairs=settings.pairs,
            extend=settings.extend,
        )[KEY].verdict
        for trial in range(trials)
    ]


def _source(draw: Draw, rng: np.random.Generator, rule: Rule) -> Source:
    def source(part: LookName, keys: Sequence[Key], pairs: int) -> dict[Key, Paired]:
        base, new = zip(*draw(rng, pairs), strict=True)
        return {key: Paired(base, new, rule) for key in keys}

    return source


def _false(name: str, share: float, words: str, bar: float = 1.0) -> Row:
    return Row(name, 100 * share, bar, "%", at_least=False, note=words)


def _found(name: str, share: float, words: str) -> Row:
    return Row(name, 100 * share, 90.0, "%", at_least=True, note=words)
