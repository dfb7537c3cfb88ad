"""The gate is tried on modelled machines, and on pools that are really measured."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from stylepress.artifact import Artifact
from stylepress.benchmarks.figures.gate import (
    DESKTOP,
    HARMLESS,
    PAIRS,
    SHARED,
    WORSE,
    Noise,
    Pair,
    blocks,
    control,
    drawn,
    failed_share,
    gate_rows,
    in_turns,
    modelled,
)
from stylepress.benchmarks.figures.shipped import Shipped
from stylepress.benchmarks.verdict.comparison import Run
from stylepress.benchmarks.verdict.session import PairPlan
from stylepress.progress import Silent

IID = Noise("2 % of independent noise", 0.02, 0, 0)


def run(pair: int, arm: str, ms: float) -> Run:
    return Run.model_validate(
        {
            "part": "first", "pair": pair, "place": 0, "backend": "null", "arm": arm,
            "samples_ns": (round(1e6 * ms),), "load_ns": 1, "first_call_ns": 1, "warm_calls": 0,
            "stable": True, "peak_rss_bytes": None,
        }
    )  # fmt: skip


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


def test_a_pool_is_cut_into_blocks_of_two_pairs() -> None:
    runs = [run(pair, arm, pair + 1) for pair in range(5) for arm in ("new", "base")]
    assert blocks(runs) == [((1, 1), (2, 2)), ((3, 3), (4, 4))]


def test_whole_blocks_are_drawn_and_a_harness_that_favours_an_arm_is_seen() -> None:
    block: tuple[Pair, ...] = ((1.0, 2.0), (3.0, 4.0))
    assert drawn([block])(np.random.default_rng(0), 3) == [*block, block[0]]
    favoured: list[tuple[Pair, ...]] = [((1.0, 1.08), (1.01, 1.09)), ((1.02, 1.10), (1.0, 1.08))]
    assert failed_share(drawn(favoured), 20) == 1
    assert PAIRS == 10


def test_the_pools_of_the_rows_are_measured_in_fresh_processes(
    style: Mapping[str, Path], tmp_path: Path
) -> None:
    network, bundle = Artifact.load(style["teacher"]), Artifact.load(style["bundle"])
    shipped = Shipped("dots", network, network, bundle, style["picture"])
    plan = PairPlan(pairs=2, min_s=0, min_count=3, warm_s=0, warm_count=1, rest_s=0)
    rows = gate_rows([shipped], tmp_path, environ=os.environ, progress=Silent(), plan=plan)
    measured = list(islice(rows, 4))
    assert [row.bar for row in measured] == [1, 1, 90, 0]
    assert all(0 <= row.value <= 100 for row in measured)
    pairs = [row.note.partition("drawn from ")[2].partition(" of fresh")[0] for row in measured]
    assert pairs == ["4 pairs", "4 pairs", "2 pairs", "2 pairs"]
