"""The gate is tried on modelled machines, and on pairs that are really measured."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stylepress.benchmarks.evidence import gate
from stylepress.benchmarks.evidence.gate import (
    DESKTOP,
    KINDS,
    Block,
    Kind,
    Noise,
    Stand,
    drawn,
    failed_share,
    gate_figures,
    in_turns,
    modelled,
)
from stylepress.benchmarks.evidence.setting import Setting, shipped
from stylepress.benchmarks.timing.worker import Answer, Request, fresh
from stylepress.benchmarks.verdict.session import PairPlan
from stylepress.progress import Silent
from stylepress.runtime.bundle import read_bundle

IID = Noise("2 % of independent noise", 0.02, 0, 0)
SHORT = PairPlan(min_s=0, min_count=3, warm_s=0, warm_count=1, rest_s=0)
EQUAL: Block = ((1.0, 1.01), (1.01, 1.0))
SLOW: Block = ((1.0, 1.08), (1.0, 1.085))
"""Beyond the limit, but not so far that one look is enough."""


@pytest.fixture
def setting(recipes: Path, tmp_path: Path) -> Setting:
    return Setting(shipped(recipes), recipes, tmp_path, Silent(), environ=os.environ)


def steady(request: Request, environ: Mapping[str, str]) -> Answer:
    """Take 1 ms in an engine, and 2 ns for each byte of extra work."""
    return Answer(
        samples_ns=(round(1e6 + 2 * request.extra_bytes),), load_ns=1, first_call_ns=1,
        warm_calls=0, stable=True, peak_rss_bytes=None, waited_share=0.5, engine={},
    )  # fmt: skip


@pytest.mark.parametrize("noise", [IID, DESKTOP])
def test_equal_arms_fail_in_less_than_one_of_a_hundred_trials(noise: Noise) -> None:
    assert failed_share(modelled(noise, 0), 100) <= 0.01


def test_seven_and_a_half_percent_are_found_and_three_are_let_pass() -> None:
    assert failed_share(modelled(IID, 0.075), 100) >= 0.97
    assert failed_share(modelled(DESKTOP, 0.03), 60) == 0


def test_a_drift_that_is_a_line_cancels_within_a_block() -> None:
    for base, new in (zip(*in_turns(np.arange(8.0), seed=seed), strict=True) for seed in range(9)):
        assert sum(base) == sum(new)


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
    assert failed_share(drawn([[SLOW] * 5] * 4)) == 1
    assert failed_share(drawn([[SLOW] * 5, *[[EQUAL] * 5] * 3])) == 0


def test_rows_tell_the_pairs_they_are_drawn_from_and_find_the_extra_work(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "call_bytes", lambda run, frame: 1e6 / 2)
    kinds = {name: replace(kind, pools=3, pairs=4) for name, kind in KINDS.items()}
    rows = list(gate_figures(setting, kinds=kinds, plan=SHORT, ask=steady))
    assert [(row.value, row.verdict) for row in rows] == [(0, "ok"), (100, "ok"), (0, "ok")]
    assert all("drawn again from 12 measured pairs of 3 sessions" in row.note for row in rows)
    assert "ratio 1.075, 95 % in 1.075 to 1.075" in rows[1].note


def test_a_session_is_measured_in_fresh_processes(setting: Setting) -> None:
    bundle = read_bundle(setting.style.bundle.folder)
    stand = Stand(bundle, SHORT, setting, fresh)
    (block,) = stand.pool(Kind(0, 1, 2), seed=0)
    assert all(min(pair) > 0 for pair in block)
    assert len(block) == 2
    assert stand.call_bytes > 0
