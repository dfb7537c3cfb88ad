"""The floor is what two equal builds surely differ by, not how well that was measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from stylepress.benchmarks.part import json_text, read_json, write_text
from stylepress.benchmarks.verdict.comparison import rules_of
from stylepress.benchmarks.verdict.floor import (
    Floor,
    SpoiledError,
    check_floor,
    entries_of,
    least_delta,
    selftest,
    spread,
)
from stylepress.benchmarks.verdict.session import PairPlan, Session
from stylepress.errors import ArtifactError, RecipeError
from stylepress.progress import Silent
from tests.benchmarks.duels import TINY, Machine, options, run


def floor(style: Mapping[str, Path], machine: Machine, plan: PairPlan = TINY) -> Floor:
    asked = options(style, plan=plan)
    return selftest([style["bundle"]], Session(asked, Silent(), machine, machine.ask))


def entry(noise: float, pairs: int, shift: float = 0.0):  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(pairs)
    runs = [
        run(n, arm, [10 * float(np.exp(noise * rng.normal() + (shift if arm == "new" else 0)))])
        for n in range(pairs)
        for arm in ("base", "new")
    ]
    return next(one for one in entries_of(runs, "m", "onnxruntime") if one.key == "p50_percent")


def test_chance_is_not_counted_as_a_difference_however_few_pairs_there_are() -> None:
    floors = [entry(0.02, pairs).floor for pairs in (6, 20, 100)]
    assert max(floors) < 0.005
    spreads = [spread(entry(0.02, pairs)) for pairs in (20, 100)]
    assert spreads == pytest.approx([0.028] * 2, rel=0.4)


def test_what_two_builds_surely_differ_by_is_the_floor() -> None:
    made = entry(0.002, 20, shift=0.03)
    assert 0.025 < made.floor < 0.03
    assert least_delta(made) == pytest.approx(2 * made.floor)


def test_the_arms_are_a_bundle_and_another_folder_with_the_same_in_it(
    style: Mapping[str, Path],
) -> None:
    folders: set[Path] = set()

    def times(folder: Path, number: int) -> float:
        folders.add(folder)
        return 10 + 0.001 * number

    made = floor(style, Machine(times=times))
    assert len(folders) == 2
    assert {one.subject for one in made.entries} == {"null", "onnxruntime"}
    assert "a limit below" in made.summary()


def test_a_floor_is_read_back_and_holds_for_its_machine_only(
    style: Mapping[str, Path], tmp_path: Path
) -> None:
    made = floor(style, Machine())
    path = write_text(tmp_path / "floor.json", json_text(made))
    assert read_json(path, Floor) == made
    other = made.machine.model_copy(update={"cpu": "another"})
    with pytest.raises(RecipeError, match=r"cpu .*--selftest"):
        check_floor(made, other, {"height": 64})
    with pytest.raises(RecipeError, match="min_s"):
        check_floor(made.model_copy(update={"min_s": 5.0}), made.machine, {"min_s": 1.0})
    path.write_text("{}")
    with pytest.raises(ArtifactError, match="--selftest"):
        read_json(path, Floor)


def test_a_limit_below_twice_the_floor_is_refused(style: Mapping[str, Path]) -> None:
    made = floor(style, Machine())
    high = tuple(one.model_copy(update={"floor": 0.04}) for one in made.entries)
    asked = options(style, floor=made.model_copy(update={"entries": high}))
    with pytest.raises(RecipeError, match="--delta 8"):
        rules_of({"onnxruntime": "onnxruntime"}, asked, made.machine)


def test_a_self_test_leaves_a_spoiled_backend_out_and_one_of_nothing_writes_no_floor(
    style: Mapping[str, Path],
) -> None:
    made = floor(
        style, Machine(spoils=lambda backend, _: backend == "onnxruntime", kind="throttled")
    )
    assert {one.subject for one in made.entries} == {"null"}
    assert "dots · onnxruntime" in {one.what for one in made.skipped}
    with pytest.raises(SpoiledError, match="Nothing could be measured"):
        floor(style, Machine(spoils=lambda backend, _: True, kind="throttled"))
    with pytest.raises(RecipeError, match="`--pairs 6`"):
        floor(style, Machine(), PairPlan(pairs=5))
