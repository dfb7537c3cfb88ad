"""Rows about the gate: how often it cries wolf, and how often it sees one.

Each trial runs the whole procedure that ships (looks at 10 and 20 pairs, then the confirmation),
on pairs that are

- *measured*: for each kind of arms several sessions, begun anew, in turns with those of the other
  kinds, so that a slow phase of the host is nobody's own. A trial draws its looks from one session
  and its confirmation from another. So a hundred trials are not a hundred comparisons: they tell
  what the procedure makes of what so many sessions held, all of one machine within four minutes,
  and of runs that are far shorter than those that ship (0.3 s, not 5 s) and follow each other
  without a rest. What comes once in an hour is not in them. A harness that favours one arm would
  fail equal arms here.
- *modelled* (`noise.py`): as many fresh pairs as a trial wants, of machines that may be like yours.

Rounds of one report have their own trials (`rounds.py`). Nobody watches the pools: what a burst of
others does to a run stays in, where `compare` would measure the pair again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean, median

import numpy as np

from stylepress.benchmarks.figures.noise import DESKTOP, SHARED, control, modelled
from stylepress.benchmarks.figures.pools import (
    BACKEND,
    SIZE,
    Kind,
    Pool,
    Stand,
    drawn,
    looked_in,
)
from stylepress.benchmarks.figures.procedure import (
    PAIRS,
    TRIALS,
    Settings,
    decisions,
    failed_share,
)
from stylepress.benchmarks.figures.rounds import Rounds, Turns
from stylepress.benchmarks.figures.rows import Row
from stylepress.benchmarks.figures.shipped import Shipped
from stylepress.benchmarks.timing.interval import paired_ratio
from stylepress.benchmarks.timing.latency import Plan, speedup
from stylepress.benchmarks.timing.systems import NULL
from stylepress.benchmarks.verdict.comparison import Comparison
from stylepress.benchmarks.verdict.session import Ask, PairPlan, fresh
from stylepress.progress import Progress
from stylepress.runtime.machine import usable_cores

MODELLED = 300
WORSE, HARMLESS = 0.075, 0.03
APART_BAR = 5.0


@dataclass(frozen=True, slots=True)
class Amounts:
    """How much is measured: the runs, pools and pairs by kind, and sessions of one process.

    More pools of equal arms: their rows are about what happens once in a hundred. Turns of one
    process last as long as those that ship: after a shorter one, the next engine still meets the
    threads of the one before.
    """

    run: PairPlan = field(
        default_factory=lambda: PairPlan(
            min_s=0.3, min_count=24, warm_s=0.05, warm_count=6, rest_s=0
        )
    )
    equal: tuple[int, int] = (4, 6)
    unequal: tuple[int, int] = (3, 12)
    disturbed: tuple[int, int] = (3, 6)
    rounds: Plan = field(default_factory=Plan)
    sessions: int = 12

    def kinds(self, loops: int) -> dict[str, Kind]:
        """What pools are measured of; ``loops`` is how many cores the neighbour keeps busy."""
        kinds = {
            "null": Kind(NULL, 0, *self.equal),
            "real": Kind(BACKEND, 0, *self.equal),
            "worse": Kind(BACKEND, WORSE, *self.unequal),
            "harmless": Kind(BACKEND, HARMLESS, *self.unequal),
        }
        if loops:
            kinds["disturbed"] = Kind(BACKEND, 0, *self.disturbed, threads=None, loops=loops)
        return kinds


@dataclass(frozen=True, slots=True)
class Material:
    """Everything that was measured: pools by kind, and sessions of one process."""

    kinds: Mapping[str, Kind]
    pools: Mapping[str, Sequence[Pool]]
    sessions: Sequence[Turns]


def gate_rows(
    styles: Sequence[Shipped],
    work: Path,
    *,
    environ: Mapping[str, str],
    progress: Progress,
    amounts: Amounts | None = None,
    ask: Ask = fresh,
) -> Iterator[Row]:
    """Try the gate on runs measured here, on the cheapest style, and on modelled machines."""
    amounts = amounts or Amounts()
    bundle = min(styles, key=lambda each: each.macs).bundle.folder
    stand = Stand(bundle, work, amounts.run, environ=environ, progress=progress, ask=ask)
    rounds = Rounds(bundle, SIZE, BACKEND, plan=amounts.rounds, environ=environ)
    found = _measured(stand, rounds, amounts, loops=usable_cores() - 1)
    for name, kind in (("null system", "null"), ("real engine", "real")):
        yield _false(f"A/A, {name}: false FAIL", *tried(found.pools[kind]))
    yield _found("+7.5 % work in a real engine, 10 pairs: FAIL found", *tried(found.pools["worse"]))
    share, words = tried(found.pools["harmless"])
    yield _false("+3 % work in a real engine, limit 5 %: FAIL", share, words, bar=0)
    yield rounds_row(rounds.judge, found.sessions)
    yield from model_rows()
    yield neighbour_row(found)


def model_rows(trials: int = MODELLED) -> Iterator[Row]:
    """Try the gate on modelled machines, and on one where the arms do not take turns."""

    def share(slower: float) -> float:
        return failed_share(modelled(DESKTOP, slower), trials)

    words = f"{trials} trials, model of a desktop"
    yield _false("A/A, modelled desktop: false FAIL", share(0), words)
    yield _found("+7.5 %, modelled desktop, 10 pairs: FAIL found", share(WORSE), words)
    yield _false("+3 %, limit 5 %, modelled desktop: FAIL", share(HARMLESS), words, bar=0)
    turns, apart = (control(SHARED, trials, turns=order) for order in (True, False))
    yield _apart(
        "equal arms as AAAA...BBBB: false FAIL more than in turns",
        apart - turns,
        f"{100 * apart:.1f} % against {100 * turns:.1f} %, 20 pairs, one look, {trials} trials, "
        f"model of a shared runner",
    )


def neighbour_row(found: Material) -> Row:
    """Judge the same runs of equal arms in both orders, where a neighbour came half way."""
    name = "equal arms, neighbour half way: false FAIL, AAAA...BBBB more"
    pools, kind = found.pools.get("disturbed"), found.kinds.get("disturbed")
    if not pools or not kind:
        return _apart(name, math.nan, "one core: no neighbour has room here")
    (turns, apart), (quiet_turns, quiet_apart) = (
        (_failed(each), _failed([pool.apart for pool in each]))
        for each in (pools, found.pools["real"])
    )
    slower = median(
        median(pool.times[kind.alone :]) / median(pool.times[: kind.alone]) for pool in pools
    )
    return _apart(
        name,
        apart - turns,
        f"{100 * apart:.0f} % against {100 * turns:.0f} %, the same runs of a real engine read in "
        f"both orders, {TRIALS} trials; {_counted(pools)}, on all cores; after {kind.alone} of "
        f"{2 * kind.pairs} runs {kind.loops} more of our processes kept as many cores busy, and "
        f"runs took {slower:.2f} times as long; without them {100 * quiet_apart:.0f} % against "
        f"{100 * quiet_turns:.0f} %, of the A/A pools on one core",
    )


def rounds_row(judge: Callable[[Turns], Comparison], sessions: Sequence[Turns]) -> Row:
    """Count how often two equal bundles in one process fail, where others disturbed neither."""
    name = "A/A, rounds of one report: false FAIL"
    quiet = [one for one in sessions if one.validity is None or one.validity.ok]
    unwatched = [replace(one, validity=None) for one in sessions]
    every = (
        f"{len(sessions)} sessions, {len(sessions) - len(quiet)} disturbed by others and not judged"
    )
    if not quiet:
        return _false(name, math.nan, every)
    own = [speedup(one.old, one.new).value for one in quiet]
    once = sum(judge(one).verdict == "FAIL" for one in quiet)
    return _false(
        name,
        _rounds_failed(judge, quiet),
        f"{TRIALS} trials, {len(quiet[0].old.rounds_ms)} rounds of a session drawn again; {every}; "
        f"as they were {once} FAIL, ratio {min(own):.3f} to {max(own):.3f}; "
        f"{100 * _rounds_failed(judge, unwatched):.0f} % had nobody watched",
    )


def _rounds_failed(judge: Callable[[Turns], Comparison], sessions: Sequence[Turns]) -> float:
    """Share of trials that FAIL; no number when they were not judged at all."""
    made = [
        judge(sessions[trial % len(sessions)].again(np.random.default_rng((17, trial))))
        for trial in range(TRIALS)
    ]
    if any(one.mode != "rounds" for one in made):
        return math.nan
    return mean(float(one.verdict == "FAIL") for one in made)


def tried(pools: Sequence[Pool]) -> tuple[float, str]:
    """Return the share of trials on some pools that FAIL, and how it came about."""
    made = decisions(drawn([pool.blocks for pool in pools]), Settings(), TRIALS)
    failed = [100 * (one.verdict == "FAIL") for one in made]
    by_pool = [
        mean(failed[looked_in(number, len(pools)) :: len(pools)]) for number in range(len(pools))
    ]
    looked = mean(100 * (one.finding.verdict == "FAIL") for one in made)
    waited = [pool.waited for pool in pools if pool.waited is not None]
    return mean(failed) / 100, (
        f"{TRIALS} trials of {PAIRS} pairs, {_counted(pools)}; a trial looks in one and confirms in "
        f"another: {min(by_pool):.0f} to {max(by_pool):.0f} % by the pool of the looks, "
        f"{looked:.0f} % without confirmation; {_ratios(pools)}"
        + (f"; the thread waited for a core {median(waited):.0%} of the time" if waited else "")
    )


def _ratios(pools: Sequence[Pool]) -> str:
    """Tell what was measured, of all pairs and by pool."""
    every = paired_ratio(*zip(*(pair for pool in pools for pair in pool.pairs), strict=True))
    own = [paired_ratio(*zip(*pool.pairs, strict=True)).value for pool in pools]
    spread = "" if every.low is None else f", 95 % in {every.low:.3f} to {every.high:.3f}"
    return f"ratio {every.value:.3f}{spread}, by pool {min(own):.3f} to {max(own):.3f}"


def _counted(pools: Sequence[Pool]) -> str:
    return f"{len(pools)} pools of {len(pools[0].pairs)} pairs of fresh processes"


def _failed(pools: Sequence[Pool]) -> float:
    return failed_share(drawn([pool.blocks for pool in pools]))


def _measured(stand: Stand, rounds: Rounds, amounts: Amounts, *, loops: int) -> Material:
    """Measure all in turns, the kinds in reverse every other time."""
    kinds = amounts.kinds(loops)
    pools: dict[str, list[Pool]] = {name: [] for name in kinds}
    sessions: list[Turns] = []
    turns = max(kind.pools for kind in kinds.values())
    for turn in range(turns):
        for name in kinds if turn % 2 == 0 else reversed(kinds):
            if turn < kinds[name].pools:
                pools[name].append(stand.measure(kinds[name], seed=turn))
        share = amounts.sessions * (turn + 1) // turns - len(sessions)
        sessions += rounds.measure(share, progress=stand.progress)
    return Material(kinds, pools, sessions)


def _false(name: str, share: float, words: str, bar: float = 1.0) -> Row:
    return Row(name, 100 * share, bar, "%", at_least=False, note=words)


def _found(name: str, share: float, words: str) -> Row:
    return Row(name, 100 * share, 90.0, "%", at_least=True, note=words)


def _apart(name: str, more: float, words: str) -> Row:
    return Row(name, 100 * more, APART_BAR, "%", at_least=True, note=words)
