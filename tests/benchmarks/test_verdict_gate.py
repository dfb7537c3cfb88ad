"""The gate is tried on modelled machines, and on pools and rounds that are really measured."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from stylepress.artifact import Artifact
from stylepress.benchmarks.figures import gate, pools
from stylepress.benchmarks.figures.gate import (
    HARMLESS,
    WORSE,
    Amounts,
    Material,
    gate_rows,
    neighbour_row,
    rounds_row,
    tried,
)
from stylepress.benchmarks.figures.noise import (
    DESKTOP,
    SHARED,
    Noise,
    control,
    in_halves,
    in_turns,
    modelled,
)
from stylepress.benchmarks.figures.pools import BACKEND, Block, Kind, Pool, Stand, blocks, drawn
from stylepress.benchmarks.figures.procedure import PAIRS, failed_share
from stylepress.benchmarks.figures.rounds import Rounds, Turns
from stylepress.benchmarks.figures.shipped import Shipped
from stylepress.benchmarks.machine.watch import Event, Validity
from stylepress.benchmarks.timing.latency import Plan, Timing
from stylepress.benchmarks.verdict.arm import Answer, Request
from stylepress.benchmarks.verdict.comparison import Run
from stylepress.benchmarks.verdict.session import PairPlan
from stylepress.progress import Silent

IID = Noise("2 % of independent noise", 0.02, 0, 0)
SHORT = PairPlan(min_s=0, min_count=3, warm_s=0, warm_count=1, rest_s=0)
EQUAL: Block = ((1.0, 1.01), (1.01, 1.0))
SLOW: Block = ((1.0, 1.10), (1.0, 1.11))

Ask = Callable[[Request, Mapping[str, str]], Answer]


def run(pair: int, arm: str, ms: float, place: int = 0) -> Run:
    return Run.model_validate(
        {
            "part": "first", "pair": pair, "place": place, "backend": "null", "arm": arm,
            "samples_ns": (round(1e6 * ms),), "load_ns": 1, "first_call_ns": 1, "warm_calls": 0,
            "stable": True, "peak_rss_bytes": None,
        }
    )  # fmt: skip


def answer(ns: float) -> Answer:
    return Answer(
        samples_ns=(round(ns),), load_ns=1, first_call_ns=1, warm_calls=0, stable=True,
        peak_rss_bytes=None, waited_share=0.5, engine={},
    )  # fmt: skip


def steady(request: Request, environ: Mapping[str, str]) -> Answer:
    """Take 1 ms in an engine and 1 µs in the null system, and 2 ns for each byte of extra work."""
    own = 1e6 if request.backend == BACKEND else 1e3
    return answer(own + 2 * request.extra_bytes)


@pytest.fixture
def steady_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many bytes as ``steady`` hashes in a call."""
    monkeypatch.setattr(pools, "call_bytes", lambda bundle, frame: 1e6 / 2)


def stand(bundle: Path, work: Path, ask: Ask) -> Stand:
    return Stand(bundle, work, SHORT, environ={}, progress=Silent(), ask=ask)


def turns(slower: float, *, events: Sequence[Event] = ()) -> Turns:
    """Ten rounds in which the new contender takes so many times as long, give or take 1 %."""
    rng = np.random.default_rng(0)
    old, new = (
        Timing(name, tuple((float(ms),) for ms in times * np.exp(0.01 * rng.normal(size=10))))
        for name, times in (("old", 1), ("new", slower))
    )
    return Turns(old, new, Validity(ok=not events, events=tuple(events), samples=1))


@pytest.mark.parametrize("noise", [IID, DESKTOP])
def test_equal_arms_fail_in_less_than_one_of_a_hundred_trials(noise: Noise) -> None:
    assert failed_share(modelled(noise, 0), 100) <= 0.01


def test_seven_and_a_half_percent_are_found_and_three_are_let_pass() -> None:
    assert failed_share(modelled(IID, WORSE), 100) >= 0.97
    assert failed_share(modelled(DESKTOP, HARMLESS), 60) == 0


def test_drift_fails_equal_arms_that_do_not_take_turns() -> None:
    assert control(SHARED, 100, turns=False) > 0.1
    assert control(SHARED, 100, turns=True) <= 0.03


def test_a_drift_that_is_a_line_cancels_within_a_block() -> None:
    for base, new in (zip(*in_turns(np.arange(8.0), seed=seed), strict=True) for seed in range(9)):
        assert sum(base) == sum(new)


def test_one_arm_after_the_other_has_the_first_and_the_second_half() -> None:
    assert in_halves([1, 2, 3, 4]) == [(1, 3), (2, 4)]


def test_a_pool_is_cut_into_blocks_of_two_pairs_and_keeps_the_order_of_its_runs() -> None:
    places = count()
    runs = [run(pair, arm, pair + 1, next(places)) for pair in range(5) for arm in ("new", "base")]
    assert blocks(runs) == [((1, 1), (2, 2)), ((3, 3), (4, 4))]
    made = pools.pool(runs[::-1])
    assert made.times == (1, 1, 2, 2, 3, 3, 4, 4, 5, 5)
    assert made.apart.pairs == [(1, 3), (1, 4), (2, 4), (2, 5), (3, 5)]


def test_a_trial_draws_every_block_once_before_any_twice() -> None:
    one: list[Block] = [((n, 1.0), (n, 2.0)) for n in range(5)]
    draw = drawn([one, one])(0)
    pairs = [*draw("first", 10), *draw("extension", 10)]
    for half in (pairs[:10], pairs[10:]):
        assert sorted(half) == [(n, part) for n in range(5) for part in (1.0, 2.0)]


def test_what_confirms_is_never_the_pool_that_was_looked_in() -> None:
    marked: list[list[Block]] = [[((n, n), (n, n))] for n in range(3)]
    parts = ("first", "extension", "confirmation")
    seen = []
    for trial in range(30):
        draw = drawn(marked)(trial)
        first, extension, confirmation = (draw(part, 1)[0][0] for part in parts)  # type: ignore[arg-type]
        assert first == extension == trial % 3 != confirmation
        seen.append((first, confirmation))
    assert len({*seen}) == 6


def test_a_harness_that_favours_an_arm_is_seen_and_one_bad_session_fails_nothing() -> None:
    bad, good = Pool((), [SLOW] * 5), Pool((), [EQUAL] * 5)
    share, words = tried([bad, bad, bad, bad])
    assert share == 1
    share, words = tried([bad, good, good, good])
    assert share == 0
    assert "0 to 0 % by the pool of the looks, 25 % without confirmation" in words
    assert "4 pools of 10 pairs" in words
    assert PAIRS == 10


def test_extra_work_is_a_share_of_what_the_engine_takes(
    style: Mapping[str, Path], tmp_path: Path, steady_call: None
) -> None:
    made = stand(style["bundle"], tmp_path, steady).measure(Kind(BACKEND, 0.075, 1, 4), seed=0)
    assert [new / base for base, new in made.pairs] == pytest.approx([1.075] * 4, rel=1e-3)
    assert made.waited == 0.5


def test_a_neighbour_comes_between_the_runs_of_a_pair_and_always_leaves(
    style: Mapping[str, Path],
    tmp_path: Path,
    steady_call: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here: list[int] = []

    @contextmanager
    def pretended(loops: int) -> Iterator[Sequence[int]]:
        here.append(loops)
        try:
            yield here
        finally:
            here.clear()

    def slowed(request: Request, environ: Mapping[str, str]) -> Answer:
        if request.threads is None and len(calls) > 9:
            raise KeyboardInterrupt
        calls.append(sum(here))
        return answer(1e6 * (1 + sum(here)))

    calls: list[int] = []
    monkeypatch.setattr(pools, "neighbour", pretended)
    tried_on = stand(style["bundle"], tmp_path, slowed)
    made = tried_on.measure(Kind(BACKEND, 0, 1, 4, loops=3), seed=0)
    assert calls == [0] * 5 + [3] * 3
    assert made.times == (1,) * 5 + (4,) * 3
    assert here == []
    calls.clear()
    with pytest.raises(KeyboardInterrupt):
        tried_on.measure(Kind(BACKEND, 0, 1, 8, threads=None, loops=3), seed=0)
    assert (calls[-1], here) == (3, [])


def test_the_same_runs_fail_one_after_the_other_and_not_in_turns() -> None:
    kind = Kind(BACKEND, 0, 2, 6, threads=None, loops=1)
    rng = np.random.default_rng(0)

    def session(slower: float) -> Pool:
        times = IID(rng, 12) * np.where(np.arange(12) < kind.alone, 1, slower)
        pairs = in_turns(times, seed=0)
        return Pool(tuple(times), [tuple(pairs[at : at + 2]) for at in range(0, 6, 2)])

    measured = {
        "disturbed": [session(1.5), session(1.5)],
        "real": [session(1), session(1)],
    }
    row = neighbour_row(Material({"disturbed": kind}, measured, ()))
    assert (row.value, row.verdict) == (100, "ok")
    assert "after 7 of 12 runs 1 more" in row.note
    assert "without them 0 % against 0 %, of the A/A pools" in row.note
    alone = neighbour_row(Material({}, {"real": []}, ()))
    assert math.isnan(alone.value)
    assert (alone.verdict, "one core" in alone.note) == ("short", True)


@pytest.fixture(scope="module")
def rounds(style: Mapping[str, Path]) -> Rounds:
    plan = Plan(rounds=8, turn_s=0.002, warm_up=1)
    return Rounds(style["bundle"], (96, 128), BACKEND, plan=plan, environ={})


def test_rounds_of_equal_bundles_are_measured_and_judged_as_two_reports_are(rounds: Rounds) -> None:
    one, two = rounds.measure(2, progress=Silent())
    made = rounds.judge(replace(one, validity=None))
    assert made.mode == "rounds"
    (latency,) = (each for each in made.judgements if each.values)
    assert (latency.pairs, latency.gated) == (8, True)
    assert one.old.rounds_ms != two.old.rounds_ms
    assert one.validity is not None


def test_rounds_are_drawn_again_two_neighbours_together() -> None:
    first, again = turns(2), turns(2).again(np.random.default_rng(3))
    pairs = [*zip(first.old.rounds_ms, first.new.rounds_ms, strict=True)]
    drawn_pairs = [*zip(again.old.rounds_ms, again.new.rounds_ms, strict=True)]
    couples = {(pairs[at], pairs[at + 1]) for at in range(0, 10, 2)}
    assert {(drawn_pairs[at], drawn_pairs[at + 1]) for at in range(0, 10, 2)} < couples
    assert (len(drawn_pairs), again.validity) == (10, first.validity)


def test_a_session_that_others_disturbed_is_not_judged(rounds: Rounds) -> None:
    burst = Event(kind="foreign load", what="others used 40 %")
    good, bad, spoiled = turns(1), turns(1.2), turns(1.2, events=[burst])
    ten = copy(rounds)
    ten.scenario = rounds.scenario.model_copy(update={"rounds": 10})
    row = rounds_row(ten.judge, [good, spoiled])
    assert (row.value, row.verdict) == (0, "ok")
    assert "2 sessions, 1 disturbed by others and not judged" in row.note
    assert "50 % had nobody watched" in row.note
    row = rounds_row(ten.judge, [good, bad])
    assert (row.value, row.verdict) == (50, "short")
    assert "as they were 1 FAIL" in row.note
    assert math.isnan(rounds_row(ten.judge, [spoiled]).value)


def test_rounds_too_few_to_judge_are_no_row(rounds: Rounds) -> None:
    few = copy(rounds)
    few.scenario = rounds.scenario.model_copy(update={"rounds": 5})
    assert math.isnan(rounds_row(few.judge, [turns(1)]).value)


def test_the_rows_tell_the_pools_they_are_drawn_from(
    style: Mapping[str, Path],
    tmp_path: Path,
    steady_call: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network, bundle = Artifact.load(style["teacher"]), Artifact.load(style["bundle"])
    shipped = Shipped("dots", network, network, bundle, style["picture"])
    monkeypatch.setattr(gate, "usable_cores", lambda: 1)
    small = Amounts(
        SHORT, (4, 2), (3, 4), (3, 2), Plan(rounds=8, turn_s=0.002, warm_up=1), sessions=5
    )
    rows = gate_rows(
        [shipped], tmp_path, environ=os.environ, progress=Silent(), amounts=small, ask=steady
    )
    found = list(rows)
    assert [row.bar for row in found] == [1, 1, 90, 0, 1, 1, 90, 0, 5, 5]
    assert [row.value for row in found[:4]] == [0, 0, 100, 0]
    assert ["4 pools of 2 pairs" in row.note for row in found[:2]] == [True, True]
    assert ["3 pools of 4 pairs" in row.note for row in found[2:4]] == [True, True]
    assert "ratio 1.075, 95 % in 1.075 to 1.075" in found[2].note
    assert "5 sessions" in found[4].note


def test_a_pool_is_measured_in_fresh_processes(style: Mapping[str, Path], tmp_path: Path) -> None:
    made = Stand(style["bundle"], tmp_path, SHORT, environ=os.environ, progress=Silent())
    pool = made.measure(Kind(BACKEND, 0, 1, 2), seed=0)
    assert [len(block) for block in pool.blocks] == [2]
    assert len(pool.times) == 4
    assert min(pool.times) > 0
    assert made.call_bytes > 0
