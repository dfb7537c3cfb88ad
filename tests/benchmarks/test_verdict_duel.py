"""Two bundles are compared: all samples kept, pictures judged too, one verdict and why."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stylepress.benchmarks.timing.worker import Answer, Request
from stylepress.benchmarks.verdict.comparison import (
    Comparison,
    Judgement,
    Side,
    comparison_text,
)
from stylepress.benchmarks.verdict.duel import duel
from stylepress.benchmarks.verdict.judgements import sizes, tails
from stylepress.benchmarks.verdict.pictures import Drawn, PictureLimits
from stylepress.benchmarks.verdict.terms import DuelOptions
from stylepress.errors import BackendError, RecipeError
from stylepress.progress import Silent
from stylepress.runtime.machine import usable_cores
from tests.benchmarks.duels import SLOW, Heard, compared, options, run, told


@pytest.fixture(scope="module")
def same(style: Mapping[str, Path]) -> Comparison:
    return compared(style, style=style["picture"])


@pytest.fixture(scope="module")
def slower(style: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    slow = tmp_path_factory.mktemp("copy") / SLOW
    shutil.copytree(style["bundle"], slow)
    return compared({**style, SLOW: slow}, SLOW, gated=("p50",))


def test_a_bundle_passes_against_itself(same: Comparison) -> None:
    assert (same.verdict, same.exit_code, same.reasons) == ("PASS", 0, ())
    assert {run.part for run in same.runs} == {"first"}
    assert all(len(run.samples_ns) == 5 for run in same.runs)
    assert "style distance" in {one.metric for one in same.judgements}


def test_extra_work_fails_twice_and_the_reason_is_told(slower: Comparison) -> None:
    assert (slower.verdict, slower.exit_code) == ("FAIL", 1)
    assert {run.part for run in slower.runs} == {"first", "confirmation"}
    p50 = next(one for one in slower.judgements if one.metric == "latency p50")
    assert p50.worse == pytest.approx(1.2, rel=1e-3)
    assert p50.confirmation is not None
    assert p50.confirmation.verdict == "FAIL"
    assert any("latency p50 is worse: +20.0 % (failed twice)" in why for why in slower.reasons)


def test_runs_of_both_arms_take_turns(same: Comparison) -> None:
    arms = [run.arm for run in sorted(same.runs, key=lambda run: run.place)]
    couples = {tuple(arms[n : n + 4]) for n in range(0, len(arms), 4)}
    assert couples <= {("base", "new", "new", "base"), ("new", "base", "base", "new")}
    assert [run.place for run in same.runs] == list(range(16))


def test_too_few_calls_leave_a_percentile_empty_with_the_reason(same: Comparison) -> None:
    notes = {one.metric: (one.new, one.note) for one in same.judgements}
    assert notes["latency p90"] == (None, "n/a (need 64 calls)")
    assert notes["latency p99, pooled"] == (None, "n/a (need 662 calls an arm)")


def test_pictures_are_kept_for_the_page_the_worst_first(style: Mapping[str, Path]) -> None:
    made = compared(style, "student", shown=2)
    levels = [one.psnr_db for one in made.gallery]
    assert levels == sorted(levels)
    assert [shown.title for shown in made.gallery[0].shown] == [
        "photo", "base", "new", "8 x |new - base|",
    ]  # fmt: skip
    told = next(one for one in made.judgements if one.metric == "PSNR against base")
    assert told.new == pytest.approx(levels[0])


def test_runs_tell_when_they_were_and_nobody_invents_what_nobody_watched(same: Comparison) -> None:
    spans = [(run.began_s, run.ended_s) for run in same.runs]
    flat = [at for span in spans for at in span if at is not None]
    assert len(flat) == 2 * len(spans)
    assert flat[0] == 0
    assert flat == sorted(flat)
    assert same.curves is None
    assert same.settings is not None
    assert same.settings.foreign_load is None


@pytest.mark.parametrize(("waited", "told"), [(0.04, False), (0.06, True)])
def test_runs_that_waited_for_a_core_longer_than_others_may_use_are_told(
    same: Comparison, waited: float, told: bool
) -> None:
    assert same.settings is not None
    settings = same.settings.model_copy(update={"foreign_load": 0.05})
    runs = tuple(run.model_copy(update={"waited_share": waited}) for run in same.runs)
    made = same.model_copy(update={"settings": settings, "runs": runs})
    wanted = "16 of 16 runs waited for a core for more than 5 % of the time"
    assert (wanted in made.doubts()) == told
    assert (wanted in made.summary()) == told


def test_both_engines_are_recorded_where_they_differ(style: Mapping[str, Path]) -> None:
    def hinted(request: Request, environ: Mapping[str, str]) -> Answer:
        precision = "bf16" if request.bundle == str(style["student"]) else "f32"
        return replace(told(request, environ), engine={"precision": precision})

    asked = options(style)
    made = duel(
        style["bundle"], style["student"], options=asked, progress=Silent(), ask=hinted
    )  # fmt: skip
    assert made.engines == {"onnxruntime": {"precision": "f32"}}
    assert made.new_engines == {"onnxruntime": {"precision": "bf16"}}


def test_equal_engines_are_recorded_once(same: Comparison) -> None:
    assert same.engines["onnxruntime"]["backend"] == "onnxruntime"
    assert same.new_engines == {}


def test_how_long_it_takes_is_told_before_and_so_are_more_threads_than_cores(
    style: Mapping[str, Path],
) -> None:
    heard, cores = Heard(), usable_cores()
    asked = options(style, threads=cores + 1)
    duel(style["bundle"], style["bundle"], options=asked, progress=heard, ask=told)
    assert heard.said[0].startswith("1 backend x 8 pairs x 2 runs: about ")
    (warned,) = heard.warned
    assert warned.startswith(f"{cores + 1} threads share {cores} core")
    assert f"`--threads {cores}`" in warned


def test_the_base_draws_the_references_and_they_are_written_down(
    style: Mapping[str, Path], tmp_path: Path
) -> None:
    seen: list[Drawn] = []

    def looks(drawn: Drawn) -> Iterable[Judgement]:
        seen.append(drawn)
        return ()

    grey = np.random.default_rng(3).integers(0, 256, (64, 80, 3), np.uint8)
    Image.fromarray(grey).save(tmp_path / "other.png")
    found = compared(style, "student", judges=(looks,), references=tmp_path)
    (drawn,) = seen
    assert (len(drawn.base), len(drawn.new), len(drawn.references)) == (2, 2, 1)
    assert drawn.references[0].shape == (1, 64, 80, 3)
    assert found.settings is not None
    assert [one.name for one in found.settings.references] == ["other.png"]


def test_a_gated_figure_that_cannot_be_measured_stays_open(style: Mapping[str, Path]) -> None:
    assert compared(style, gated=("p90",)).verdict == "INCONCLUSIVE"


def test_other_pictures_fail_however_fast_they_are(style: Mapping[str, Path]) -> None:
    strict = PictureLimits(min_psnr_db=90)
    found = compared(style, "student", limits=strict)
    assert found.verdict == "FAIL"
    assert any("PSNR against base fails" in why for why in found.reasons)


def test_a_further_judge_counts_in_the_same_verdict(style: Mapping[str, Path]) -> None:
    def dislikes(drawn: Drawn) -> Iterable[Judgement]:
        assert drawn.base[0].shape == drawn.new[0].shape == (1, 64, 80, 3)
        yield Judgement(
            subject="pictures", metric="drift", unit="", kind="quality", base=1.0, new=2.0,
            gated=True, verdict="FAIL",
        )  # fmt: skip

    assert compared(style, judges=(dislikes,)).verdict == "FAIL"


def test_a_document_holds_the_whole_comparison_and_its_exit_code(slower: Comparison) -> None:
    record = json.loads(comparison_text(slower))
    assert record.pop("exit_code") == 1
    assert Comparison.model_validate(record) == slower.model_copy(update={"gallery": ()})


def test_a_tail_is_of_all_calls_that_count() -> None:
    counted = [run(n, arm, [1.0] * 400) for n in range(2) for arm in ("base", "new")]
    spoiled = run(0, "new", [9.0] * 400, ["it was hot"])
    (found,) = tails([*counted, spoiled], ["onnxruntime"])
    assert (found.base, found.new, found.worse, found.verdict) == (1, 1, 1, None)
    (few,) = tails(counted[:2], ["onnxruntime"])
    assert (few.base, few.new) == (None, None)


@pytest.mark.parametrize(("size", "verdict"), [(90, "PASS"), (105, "PASS"), (106, "FAIL")])
def test_a_bundle_may_grow_by_the_limit(size: int, verdict: str) -> None:
    base = Side(name="a", digest="a", precision="int8", size_bytes=100, weights_bytes=50)
    new = base.model_copy(update={"size_bytes": size})
    files, weights = sizes((base, new), 0.05)
    assert (files.gated, files.verdict, weights.gated) == (True, verdict, False)


def test_a_backend_that_is_not_there_is_refused(style: Mapping[str, Path]) -> None:
    with pytest.raises(BackendError, match="no backend here"):
        compared(style, backends=("nowhere",))


@pytest.mark.parametrize("gated", [(), ("p50", "speed")])
def test_an_unknown_figure_is_refused_and_the_known_ones_are_named(
    gated: tuple[str, ...],
) -> None:
    with pytest.raises(RecipeError, match="first-call"):
        DuelOptions(gated=gated)
