"""A machine that spoils one backend again and again costs that backend, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from stylepress.benchmarks.machine.timeline import Timeline
from stylepress.benchmarks.timing.worker import Answer, Request
from stylepress.benchmarks.verdict.comparison import Comparison
from stylepress.benchmarks.verdict.duel import duel
from stylepress.benchmarks.verdict.floor import Floor
from stylepress.benchmarks.verdict.pictures import PictureLimits
from stylepress.benchmarks.verdict.selftest import SpoiledError, selftest
from stylepress.benchmarks.verdict.session import PairPlan
from stylepress.benchmarks.verdict.terms import DuelOptions
from stylepress.errors import RecipeError
from stylepress.progress import Silent

PAIRS = 10
BOTH = ("null", "onnxruntime")
FIRST_LOOK = 2 * PAIRS
COPY = "copy"
BUSY = "others used {} % of the processor, more than 5 %"

Spoils = Callable[[str, int], bool]
"""Whether the machine spoils the run of that backend with that number, from 0."""
Times = Callable[[bool, int], float]
"""Milliseconds of a run of the new arm or not, with that number."""


def steady(new: bool, run: int) -> float:
    return 10 + 0.001 * run


def slower(new: bool, run: int) -> float:
    return steady(new, run) * (1.2 if new else 1)


def wild(new: bool, run: int) -> float:
    return 10 * (1 + 0.05 * (run * 7 % 13))


class Machine:
    """A Watch, and the processes that it watches."""

    def __init__(self, spoils: Spoils, times: Times = steady) -> None:
        self.spoils, self.times = spoils, times
        self.asked: list[str] = []

    def ask(self, request: Request, environ: Mapping[str, str]) -> Answer:
        number = self.asked.count(request.backend)
        self.asked.append(request.backend)
        ms = self.times(Path(request.bundle).name == COPY, number)
        return Answer(
            samples_ns=(round(1e6 * ms),) * 5, load_ns=10**6, first_call_ns=10**6, warm_calls=1,
            stable=True, peak_rss_bytes=10**8, waited_share=0.0, engine={"backend": request.backend},
        )  # fmt: skip

    def begin(self) -> None:
        """Nothing to do."""

    def end(self) -> Sequence[str]:
        backend, number = self.asked[-1], self.asked.count(self.asked[-1]) - 1
        return [BUSY.format(len(self.asked))] if self.spoils(backend, number) else ()

    def timeline(self) -> Timeline:
        return Timeline(())


def options(style: Mapping[str, Path], **changes: Any) -> DuelOptions:
    plan = PairPlan(pairs=PAIRS, min_s=0, min_count=5, warm_s=0, warm_count=1, rest_s=0)
    return DuelOptions(
        **{
            "size": (64, 80), "threads": 1, "backends": BOTH, "plan": plan, "gated": ("p50",),
            "photos": style["photos"], **changes,
        }
    )  # fmt: skip


def compared(style: Mapping[str, Path], machine: Machine, **changes: Any) -> Comparison:
    asked = options(style, limits=PictureLimits(min_psnr_db=0, delta=9), delta=0.15, **changes)
    return duel(
        style["bundle"], style["student"], options=asked, progress=Silent(), watch=machine,
        ask=machine.ask,
    )  # fmt: skip


def p50s(found: Comparison) -> dict[str, tuple[str | None, str]]:
    """Verdict and note of the latency in each backend."""
    return {
        one.subject: (one.verdict, one.note)
        for one in found.judgements
        if one.metric == "latency p50"
    }


def failing_sizes(found: Comparison) -> bool:
    return any(one.subject == "size" and one.verdict == "FAIL" for one in found.judgements)


@pytest.fixture
def same(style: Mapping[str, Path]) -> Mapping[str, Path]:
    """Both arms of one size, so that times alone make the verdict."""
    return {**style, "student": style["bundle"]}


@pytest.mark.parametrize("good", [0, 6])
def test_a_backend_that_is_spoiled_three_times_is_given_up_and_the_others_are_judged(
    same: Mapping[str, Path], good: int
) -> None:
    machine = Machine(lambda backend, run: backend == "null" and run >= good)
    found = compared(same, machine)
    assert (found.verdict, found.exit_code) == ("INCONCLUSIVE", 3)
    assert p50s(found) == {
        "null": ("INCONCLUSIVE", "the machine disturbed every try"),
        "onnxruntime": ("PASS", ""),
    }
    assert machine.asked.count("null") == good + 6
    assert machine.asked.count("onnxruntime") == FIRST_LOOK
    kept = [run for run in found.runs if run.backend == "null"]
    assert [bool(run.invalid) for run in kept] == [False] * good + [True] * 6


def test_the_reason_is_told_exactly_and_the_mend_once(same: Mapping[str, Path]) -> None:
    found = compared(same, Machine(lambda backend, run: backend == "null"))
    (skipped,) = found.skipped
    assert skipped.what == "null"
    assert skipped.why.startswith("one pair was spoiled 3 times (others used ")
    assert f"null was given up: {skipped.why}" in found.reasons
    assert found.summary().count("--foreign-load") == 1


def test_a_machine_that_is_always_busy_leaves_every_time_open_after_three_pairs_a_backend(
    same: Mapping[str, Path],
) -> None:
    machine = Machine(lambda backend, run: True)
    found = compared(same, machine)
    assert (found.verdict, found.exit_code) == ("INCONCLUSIVE", 3)
    assert {verdict for verdict, _ in p50s(found).values()} == {"INCONCLUSIVE"}
    assert len(machine.asked) == len(BOTH) * 6


def test_what_needs_no_quiet_machine_is_judged_on_a_busy_one(style: Mapping[str, Path]) -> None:
    found = compared(style, Machine(lambda backend, run: True))
    assert failing_sizes(found)
    assert (found.verdict, found.exit_code) == ("FAIL", 1)
    assert any(reason.startswith("null was given up") for reason in found.reasons)


@pytest.fixture
def copied(style: Mapping[str, Path], tmp_path: Path) -> Mapping[str, Path]:
    """The same bundle as another folder, so that the new arm can be told from the base."""
    (tmp_path / COPY).symlink_to(style["bundle"])
    return {**style, "student": tmp_path / COPY}


def test_a_failure_elsewhere_stays_a_failure(copied: Mapping[str, Path]) -> None:
    found = compared(copied, Machine(lambda backend, run: backend == "null", slower))
    assert found.verdict == "FAIL"
    assert p50s(found)["onnxruntime"] == ("FAIL", "failed twice")
    assert p50s(found)["null"][0] == "INCONCLUSIVE"


def test_a_failure_that_cannot_be_measured_again_is_open_and_says_so(
    copied: Mapping[str, Path],
) -> None:
    found = compared(copied, Machine(lambda backend, run: run >= FIRST_LOOK, slower))
    told = "failed once, and could not be measured a second time"
    assert found.verdict == "INCONCLUSIVE"
    assert p50s(found) == dict.fromkeys(BOTH, ("INCONCLUSIVE", told))
    assert {run.part for run in found.runs} == {"first", "confirmation"}


def test_an_open_look_that_cannot_be_extended_stays_open_and_says_so(
    same: Mapping[str, Path],
) -> None:
    found = compared(
        same, Machine(lambda backend, run: run >= FIRST_LOOK, wild), backends=("null",)
    )
    assert found.verdict == "INCONCLUSIVE"
    assert p50s(found) == {"null": ("INCONCLUSIVE", "more pairs could not be measured")}
    (p50,) = (one for one in found.judgements if one.metric == "latency p50")
    assert p50.pairs == PAIRS


def floor(style: Mapping[str, Path], machine: Machine, **changes: Any) -> Floor:
    asked = options(style, backends=("onnxruntime",), **changes)
    bundles = [style["bundle"]]
    return selftest(bundles, options=asked, progress=Silent(), watch=machine, ask=machine.ask)


def test_a_self_test_leaves_a_spoiled_backend_out_and_writes_the_others(
    style: Mapping[str, Path],
) -> None:
    found = floor(style, Machine(lambda backend, run: backend == "onnxruntime"))
    assert {one.backend for one in found.entries} == {"null"}
    (skipped,) = found.skipped
    assert skipped.what == "dots · onnxruntime"
    assert f"- Not measured: dots · onnxruntime: {skipped.why}" in found.summary()
    assert sum(bool(run.invalid) for run in found.runs) == 6


def test_a_self_test_of_which_nothing_is_left_writes_no_floor(style: Mapping[str, Path]) -> None:
    with pytest.raises(SpoiledError, match=r"Nothing could be measured: harness · null: one pair"):
        floor(style, Machine(lambda backend, run: True))
    assert SpoiledError.exit_code == 2


@pytest.mark.parametrize("pairs", [1, 5])
def test_too_few_pairs_give_no_floor_and_the_fewest_are_named(
    style: Mapping[str, Path], pairs: int
) -> None:
    with pytest.raises(RecipeError, match=rf"^{pairs} pairs? give.*`--pairs 6`"):
        floor(style, Machine(lambda backend, run: False), plan=PairPlan(pairs=pairs))
