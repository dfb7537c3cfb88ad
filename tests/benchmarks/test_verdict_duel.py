"""Two bundles are compared: all samples kept, pictures judged too, one verdict and why."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stylepress.benchmarks.machine.record import record_machine
from stylepress.benchmarks.verdict.arm import Answer, Request, run_arm
from stylepress.benchmarks.verdict.comparison import (
    Comparison,
    Judgement,
    Run,
    Side,
    comparison_schema,
    comparison_text,
)
from stylepress.benchmarks.verdict.duel import duel
from stylepress.benchmarks.verdict.floor import (
    Floor,
    FloorEntry,
    check_floor,
    entries_of,
    floor_schema,
    floor_text,
    read_floor,
)
from stylepress.benchmarks.verdict.judgements import sizes, tails
from stylepress.benchmarks.verdict.pictures import Drawn, PictureLimits
from stylepress.benchmarks.verdict.selftest import selftest
from stylepress.benchmarks.verdict.session import PairPlan
from stylepress.benchmarks.verdict.terms import DuelOptions
from stylepress.errors import ArtifactError, BackendError, RecipeError
from stylepress.progress import Silent

TINY = PairPlan(pairs=8, min_s=0, min_count=5, warm_s=0, warm_count=1, rest_s=0)
ENVIRON = {**os.environ, "OMP_NUM_THREADS": "1"}


REAL: dict[tuple[str, str], Answer] = {}
SLOW = "slow"


def told(request: Request, environ: Mapping[str, str]) -> Answer:
    """One real run of each bundle; its times are 10 ms, 12 ms in a folder called slow."""
    key = request.bundle, request.backend
    if key not in REAL:
        REAL[key] = run_arm(request)
    step = 12_000_000 if Path(request.bundle).name == SLOW else 10_000_000
    count = range(len(REAL[key].samples_ns))
    return replace(REAL[key], samples_ns=tuple(step + n for n in count))


def options(made: Mapping[str, Path], **changes: Any) -> DuelOptions:
    return DuelOptions(
        **{
            "size": (64, 80),
            "threads": 1,
            "backends": ("onnxruntime",),
            "plan": TINY,
            "photos": made["photos"],
            "created": "2026-01-02T03:04:05+00:00",
            "environ": ENVIRON,
            **changes,
        }
    )


def compared(made: Mapping[str, Path], new: str = "bundle", **changes: Any) -> Comparison:
    asked = options(made, **changes)
    return duel(made["bundle"], made[new], options=asked, progress=Silent(), ask=told)


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


def test_documents_obey_their_published_schema(same: Comparison, floor: Floor) -> None:
    for schema, text in (
        (comparison_schema(), comparison_text(same)),
        (floor_schema(), floor_text(floor)),
    ):
        assert schema["$schema"].endswith("2020-12/schema")
        assert schema["properties"]["schema_version"]["const"] == 1
        obeys(json.loads(text), schema, schema["$defs"])
        with pytest.raises(AssertionError, match="surprise"):
            obeys({**json.loads(text), "surprise": 1}, schema, schema["$defs"])


def fits(value: Any, schema: Mapping[str, Any], parts: Mapping[str, Any]) -> bool:
    try:
        obeys(value, schema, parts)
    except AssertionError:
        return False
    return True


def obeys(value: Any, schema: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
    """Check a value against the part of JSON Schema that pydantic writes."""
    if "$ref" in schema:
        return obeys(value, parts[schema["$ref"].rpartition("/")[2]], parts)
    if "anyOf" in schema:
        assert any(fits(value, option, parts) for option in schema["anyOf"]), value
        return None
    if "const" in schema:
        assert value == schema["const"]
    if "enum" in schema:
        assert value in schema["enum"]
    kinds: Mapping[str, Any] = {
        "object": dict, "array": list, "string": str, "integer": int, "number": (int, float),
        "boolean": bool, "null": type(None),
    }  # fmt: skip
    if "type" in schema:
        assert isinstance(value, kinds[schema["type"]]), f"{value!r} is no {schema['type']}"
    if isinstance(value, dict):
        named = schema.get("properties", {})
        assert set(schema.get("required", ())) <= set(value)
        for name, item in value.items():
            extra = schema.get("additionalProperties", True)
            assert name in named or extra is not False, name
            known = named.get(name, extra if isinstance(extra, dict) else {})
            obeys(item, known, parts)
    if isinstance(value, list):
        heads = schema.get("prefixItems", [])
        for index, item in enumerate(value):
            obeys(item, heads[index] if index < len(heads) else schema.get("items", {}), parts)
    return None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 2}'])
def test_what_is_no_floor_is_refused_with_the_mend(tmp_path: Path, text: str) -> None:
    path = tmp_path / "some.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ArtifactError, match="--selftest"):
        read_floor(path)


@pytest.fixture(scope="module")
def floor(style: Mapping[str, Path]) -> Floor:
    return selftest([style["bundle"]], options=options(style), progress=Silent(), ask=told)


def test_the_self_test_measures_the_null_system_and_the_bundle(floor: Floor) -> None:
    assert {(one.model, one.backend) for one in floor.entries} == {
        ("harness", "null"), ("dots", "onnxruntime"),
    }  # fmt: skip
    assert floor.of("onnxruntime", "p50") == pytest.approx(0, abs=1e-6)
    assert len(floor.runs) == 2 * 2 * TINY.pairs
    kept = {run.backend: len(run.samples_ns) for run in floor.runs}
    assert kept == {"null": 0, "onnxruntime": 5}
    assert "| harness · null | latency p50 | 8 |" in floor.summary()


def run(pair: int, arm: str, ms: Sequence[float], invalid: Sequence[str] = ()) -> Run:
    return Run.model_validate(
        {
            "part": "first", "pair": pair, "place": 0, "backend": "onnxruntime", "arm": arm,
            "samples_ns": [round(1e6 * one) for one in ms], "load_ns": 1, "first_call_ns": 1,
            "warm_calls": 0, "stable": True, "peak_rss_bytes": None, "invalid": invalid,
        }
    )  # fmt: skip


def entry(ms: Sequence[float], model: str) -> FloorEntry:
    """The floor of p50 of one model whose new arm took these milliseconds, its base one each."""
    runs = [run(n, arm, [taken]) for n, new in enumerate(ms) for arm, taken in pair_of(new)]
    spoiled = run(0, "new", [100], ["it was hot"])
    found = entries_of([*runs, spoiled], model, "onnxruntime")
    return next(one for one in found if one.metric == "p50")


def pair_of(new: float) -> tuple[tuple[str, float], tuple[str, float]]:
    return ("base", 1.0), ("new", new)


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


def test_a_floor_is_what_arms_differ_by_or_what_cannot_be_told_and_the_worst_model_counts(
    floor: Floor,
) -> None:
    apart = entry([1.03] * 6, "one")
    wide = entry([0.9, 0.95, 0.99, 1.01, 1.05, 1.1], "two")
    assert apart.floor == pytest.approx(0.03)
    assert wide.floor == pytest.approx((wide.high - wide.low) / 2)
    assert wide.floor > abs(wide.ratio - 1)
    both = floor.model_copy(update={"entries": (apart, wide)})
    assert both.of("onnxruntime", "p50") == max(apart.floor, wide.floor)
    assert both.of("openvino", "p50") is None


def test_a_measured_floor_is_used_and_a_foreign_one_refused(
    style: Mapping[str, Path], floor: Floor
) -> None:
    found = compared(style, floor=floor)
    assert found.settings is not None
    assert found.settings.floor_source == "measured"
    moved = floor.model_copy(update={"width": 999})
    with pytest.raises(RecipeError, match=r"width \(999 then, 80 now\)"):
        compared(style, floor=moved)
    other = record_machine(ENVIRON).model_copy(update={"cpu": "another"})
    with pytest.raises(RecipeError, match="cpu"):
        check_floor(floor, other, size=(64, 80), threads=1)


def test_a_limit_that_the_floor_swallows_is_refused_before_anything_runs(
    style: Mapping[str, Path], floor: Floor
) -> None:
    loud = floor.model_copy(
        update={"entries": tuple(x.model_copy(update={"floor": 0.04}) for x in floor.entries)}
    )
    with pytest.raises(RecipeError, match="--delta 8"):
        compared(style, floor=loud)


def test_a_backend_that_is_not_there_is_refused(style: Mapping[str, Path]) -> None:
    with pytest.raises(BackendError, match="no backend here"):
        compared(style, backends=("nowhere",))


@pytest.mark.parametrize("gated", [(), ("p50", "speed")])
def test_an_unknown_figure_is_refused_and_the_known_ones_are_named(
    gated: tuple[str, ...],
) -> None:
    with pytest.raises(RecipeError, match="first-call"):
        DuelOptions(gated=gated)
