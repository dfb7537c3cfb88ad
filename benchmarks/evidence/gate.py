"""How often `stylepress compare` cries wolf, and how often it sees one.

Each trial runs the whole procedure that ships: looks at the pairs, and a confirmation. Its pairs are

- *measured*, in sessions that are begun anew, in turns with those of other slowdowns, so that a slow
  phase of the host is nobody's own. A trial draws its looks from one session and its confirmation
  from another, blocks of two neighbouring pairs, none twice before all were drawn. So a hundred
  trials are not a hundred comparisons: they tell what the procedure makes of so many pairs, all of
  one machine within minutes, of runs that are far shorter than those that ship. Nobody watches
  them: what a burst of others does to a run stays in.
- *modelled*: as many fresh pairs as a trial wants, of machines that may be like yours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from time import perf_counter_ns

import numpy as np

from stylepress.benchmarks.check import Verdict
from stylepress.benchmarks.evidence.row import Row, promised
from stylepress.benchmarks.evidence.setting import Setting
from stylepress.benchmarks.quality.photos import golden_photos
from stylepress.benchmarks.timing.interval import paired_ratio
from stylepress.benchmarks.timing.systems import Pixels, Run, opened
from stylepress.benchmarks.timing.worker import fresh
from stylepress.benchmarks.verdict.rule import DELTA, Key, Paired, Rule, Source, decide
from stylepress.benchmarks.verdict.runs import LookName, orders, p50_ms
from stylepress.benchmarks.verdict.session import Arms, Ask, PairPlan, Session
from stylepress.benchmarks.verdict.terms import frames_file
from stylepress.runtime.backends import EngineOptions
from stylepress.runtime.bundle import Bundle, read_bundle

SIZE, BACKEND = (128, 128), "onnxruntime"
PAIRS, TRIALS, MODELLED = 10, 100, 400
KEY: Key = ("trial", "p50")
VERDICTS: tuple[Verdict, ...] = ("FAIL", "PASS", "INCONCLUSIVE")
RUN = PairPlan(min_s=0.3, min_count=24, warm_s=0.05, warm_count=6, rest_s=0)
PROBE_BYTES, PROBES = 1 << 20, 300
"""How much is hashed, and how often, to measure out extra work."""

Pair = tuple[float, float]
"""What both arms took: (base, new)."""
Block = tuple[Pair, ...]
Draw = Callable[[LookName, int], list[Pair]]
"""Where one trial gets its pairs from: so many for a look, the extension, the confirmation."""
Machine = Callable[[int], Draw]
"""What is tried: from the number of a trial to its pairs."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What `stylepress compare` is told: pairs, limit as a share, whether it may extend."""

    pairs: int = PAIRS
    delta: float = DELTA
    extend: bool = True

    @property
    def told(self) -> str:
        """The options, as they are written; defaults are left out."""
        words = [f"--pairs {self.pairs}", f"--delta {100 * self.delta:g}"]
        return " ".join([*words, *([] if self.extend else ["--no-extend"])])


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
ADVICE: tuple[tuple[Noise, Settings, tuple[float, ...]], ...] = (
    (LOCKED, Settings(6, 0.03, extend=False), (0, 0.03, 0.04, 0.05)),
    (DESKTOP, Settings(), (0, 0.05, 0.075, 0.10)),
    (SHARED, Settings(20, 0.10), (0, 0.10, 0.15, 0.25)),
)
"""Settings for each kind of machine, and the true slowdowns to try them with."""


@dataclass(frozen=True, slots=True)
class Kind:
    """``pools`` sessions of ``pairs``, the new arm with ``slower``, a share, more work."""

    slower: float
    pools: int
    pairs: int


KINDS: Mapping[str, Kind] = {
    "A/A, real engine: false FAIL": Kind(0, 4, 6),
    "+7.5 % work in a real engine, 10 pairs: FAIL found": Kind(0.075, 3, 8),
    "+3 % work in a real engine, limit 5 %: FAIL": Kind(0.03, 3, 8),
}
"""More sessions of equal arms: their row is about what happens once in a hundred."""
BARS: tuple[Mapping[str, float], ...] = ({"most": 1.0}, {"least": 90.0}, {"most": 0.0})


def verdicts(machine: Machine, settings: Settings, trials: int) -> list[Verdict | None]:
    """Run the whole procedure so many times; return what each trial ended with."""
    rule = Rule.assumed(settings.delta)

    def source(draw: Draw) -> Source:
        def figures(part: LookName, keys: Sequence[Key], pairs: int) -> dict[Key, Paired]:
            base, new = zip(*draw(part, pairs), strict=True)
            return {key: Paired(base, new, rule) for key in keys}

        return figures

    return [
        decide(source(machine(trial)), [KEY], pairs=settings.pairs, extend=settings.extend)[
            KEY
        ].verdict
        for trial in range(trials)
    ]


def failed_share(machine: Machine, trials: int = TRIALS) -> float:
    """Share of trials that end with FAIL, with the settings that ship."""
    return verdicts(machine, Settings(), trials).count("FAIL") / trials


def power_rows(setting: Setting | None = None, *, trials: int = MODELLED) -> Iterator[Row]:
    """Return the share of trials that end with each verdict, for each machine and slowdown."""
    for noise, settings, slowdowns in ADVICE:
        for slower in slowdowns:
            found = verdicts(modelled(noise, slower), settings, trials)
            for verdict in VERDICTS:
                share, subject = 100 * found.count(verdict) / trials, f"+{100 * slower:g} %"
                of = subject, noise.name, settings.told, "", verdict
                yield Row(*of, share, "%", note=f"{trials} trials")


def modelled(noise: Noise, slower: float) -> Machine:
    """Return the model of a machine, in the order that ships; the new arm takes longer by a share."""

    def machine(trial: int) -> Draw:
        rng = np.random.default_rng((11, trial))

        def draw(part: LookName, count: int) -> list[Pair]:
            pairs = in_turns(noise(rng, 2 * count), seed=int(rng.integers(1 << 30)))
            return [(base, new * (1 + slower)) for base, new in pairs]

        return draw

    return machine


def in_turns(times: Sequence[float] | np.ndarray, *, seed: int) -> list[Pair]:
    """Give runs that follow each other to two arms by turns (ABBA, BAAB): (base, new) pairs."""
    found = []
    for number, order in enumerate(orders(len(times) // 2, seed=seed)):
        one, two = float(times[2 * number]), float(times[2 * number + 1])
        found.append((one, two) if order[0] == "base" else (two, one))
    return found


def gate_figures(
    setting: Setting, *, kinds: Mapping[str, Kind] = KINDS, plan: PairPlan = RUN, ask: Ask = fresh
) -> Iterator[Row]:
    """Try the gate on runs of the cheapest style, measured here."""
    style = min(setting.styles, key=lambda each: each.macs)
    stand = Stand(read_bundle(style.bundle.folder), plan, setting, ask)
    found: dict[str, list[list[Block]]] = {name: [] for name in kinds}
    for turn in range(max(kind.pools for kind in kinds.values())):
        for name in list(kinds)[:: 1 if turn % 2 == 0 else -1]:
            if turn < kinds[name].pools:
                found[name].append(stand.pool(kinds[name], seed=turn))
    for (name, pools), bar in zip(found.items(), BARS, strict=True):
        share, pairs = (
            100 * failed_share(drawn(pools)),
            [p for pool in pools for p in sum(pool, ())],
        )
        ratio = paired_ratio(*zip(*pairs, strict=True))
        spread = "" if ratio.low is None else f", 95 % in {ratio.low:.3f} to {ratio.high:.3f}"
        note = (
            f"{TRIALS} trials of {PAIRS} pairs, drawn again from {len(pairs)} measured pairs of "
            f"{len(pools)} sessions; ratio {ratio.value:.3f}{spread}"
        )
        yield promised(name, share, "%", **bar, note=note, digest=style.bundle.digest)


class Stand:
    """Where sessions are measured: one bundle against itself, in fresh processes."""

    def __init__(self, bundle: Bundle, plan: PairPlan, setting: Setting, ask: Ask) -> None:
        self.bundle, self.plan, self.setting, self.ask = bundle, plan, setting, ask
        photos = golden_photos(bundle, SIZE, limit=2)
        self.frames = frames_file(photos, setting.folder("gate"))
        # One thread, as the arms have: two wait for each other on a busy machine.
        with opened(bundle, BACKEND, EngineOptions(size=SIZE, threads=1)) as run:
            self.call_bytes = call_bytes(run, photos[0].frame)

    def pool(self, kind: Kind, *, seed: int) -> list[Block]:
        """Measure one session, its order drawn with ``seed``: blocks of milliseconds."""
        folder, extra = self.bundle.artifact.folder, round(kind.slower * self.call_bytes)
        arms = Arms({"base": folder, "new": folder}, self.frames, 1, {"base": 0, "new": extra})
        session = Session(
            arms,
            replace(self.plan, seed=seed, pairs=kind.pairs),
            environ=self.setting.environ,
            progress=self.setting.progress,
            ask=self.ask,
        )
        pairs: dict[int, dict[str, float]] = {}
        for run in session.measure("first", [BACKEND], kind.pairs):
            pairs.setdefault(run.pair, {})[run.arm] = p50_ms(run)
        values = [(one["base"], one["new"]) for _, one in sorted(pairs.items())]
        return [tuple(values[start : start + 2]) for start in range(0, len(values) - 1, 2)]


def call_bytes(run: Run, frame: Pixels) -> float:
    """Return how many bytes are hashed in the time of one call of an engine, both by turns."""
    probe, ratios = bytes(PROBE_BYTES), []
    for _ in range(PROBES):
        began = perf_counter_ns()
        run(frame)
        between = perf_counter_ns()
        hashlib.sha256(probe).digest()
        ratios.append((between - began) / (perf_counter_ns() - between))
    return PROBE_BYTES * median(ratios)


def drawn(pools: Sequence[Sequence[Block]]) -> Machine:
    """Return what draws pairs from measured pools; what confirms is never the pool of the looks."""

    def machine(trial: int) -> Draw:
        rng = np.random.default_rng((13, trial))
        looked = trial % len(pools)
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
