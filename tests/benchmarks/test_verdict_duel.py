"""Two bundles are compared by real runs: fresh processes, all samples kept, pictures judged too."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from stylepress.benchmarks.machine.record import record_machine
from stylepress.benchmarks.pictures.photos import Photo
from stylepress.benchmarks.verdict.arm import Answer, Request, peak_rss_bytes, run_arm
from stylepress.benchmarks.verdict.comparison import (
    Comparison,
    Judgement,
    comparison_schema,
    comparison_text,
    read_comparison,
)
from stylepress.benchmarks.verdict.duel import duel
from stylepress.benchmarks.verdict.floor import (
    Floor,
    check_floor,
    floor_schema,
    floor_text,
    read_floor,
)
from stylepress.benchmarks.verdict.pictures import Drawn, PictureLimits
from stylepress.benchmarks.verdict.selftest import selftest
from stylepress.benchmarks.verdict.session import Arms, PairPlan, Session, SpoiledError, fresh
from stylepress.benchmarks.verdict.terms import DuelOptions, frames_file
from stylepress.errors import ArtifactError, BackendError, RecipeError
from stylepress.progress import Silent

TINY = PairPlan(pairs=8, min_s=0, min_count=5, warm_s=0, warm_count=1, rest_s=0)
ENVIRON = {**os.environ, "OMP_NUM_THREADS": "1"}


REAL: dict[tuple[str, str], Answer] = {}


def told(request: Request, environ: Mapping[str, str]) -> Answer:
    """One real run of each bundle; its times are 10 ms, 12 ms where the new arm does more work."""
    key = request.bundle, request.backend
    if key not in REAL:
        REAL[key] = run_arm(replace(request, extra_bytes=0))
    step = 12_000_000 if request.extra_bytes else 10_000_000
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
def slower(style: Mapping[str, Path]) -> Comparison:
    return compared(style, extra_bytes=1, gated=("p50",))


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


def test_a_gated_figure_that_cannot_be_measured_stays_open(style: Mapping[str, Path]) -> None:
    assert compared(style, gated=("p90",)).verdict == "INCONCLUSIVE"


def test_other_pictures_fail_however_fast_they_are(style: Mapping[str, Path]) -> None:
    strict = PictureLimits(min_psnr_db=90)
    found = compared(style, "student", limits=strict)
    assert found.verdict == "FAIL"
    assert any("PSNR between the arms is worse" in why for why in found.reasons)


def test_a_further_judge_counts_in_the_same_verdict(style: Mapping[str, Path]) -> None:
    def dislikes(drawn: Drawn) -> Iterable[Judgement]:
        assert drawn.base[0].shape == drawn.new[0].shape == (1, 64, 80, 3)
        yield Judgement(
            subject="pictures", metric="drift", unit="", kind="quality", base=1.0, new=2.0,
            gated=True, verdict="FAIL",
        )  # fmt: skip

    assert compared(style, judges=(dislikes,)).verdict == "FAIL"


def test_a_document_written_is_the_document_read(slower: Comparison, tmp_path: Path) -> None:
    path = tmp_path / "comparison.json"
    path.write_text(comparison_text(slower), encoding="utf-8")
    assert read_comparison(path) == slower


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
def test_what_is_no_comparison_or_floor_is_refused_with_the_mend(tmp_path: Path, text: str) -> None:
    path = tmp_path / "some.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ArtifactError, match="stylepress compare"):
        read_comparison(path)
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
    assert "| harness · null | latency p50 | 8 |" in floor.summary()


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


def request(
    style: Mapping[str, Path], photos: Sequence[Photo], work: Path, backend: str
) -> Request:
    return Request(
        bundle=str(style["bundle"]), backend=backend, frames=str(frames_file(photos, work)),
        answer="", threads=1, warm_s=0, warm_count=1, warm_cap_s=0, min_s=0, min_count=3,
    )  # fmt: skip


def test_a_fresh_process_measures_loads_and_tells_its_memory(
    style: Mapping[str, Path], photos: Sequence[Photo], tmp_path: Path
) -> None:
    answer = fresh(request(style, photos, tmp_path, "onnxruntime"), ENVIRON)
    assert len(answer.samples_ns) == 3
    assert min(*answer.samples_ns, answer.load_ns, answer.first_call_ns) > 0
    assert answer.engine["backend"] == "onnxruntime"
    here = peak_rss_bytes()[0]
    assert (answer.peak_rss_bytes is None) == (here is None)
    # A process of its own: without torch it needs a fraction of what this one does.
    assert here is None or answer.peak_rss_bytes is None or answer.peak_rss_bytes < here


def test_what_an_arm_refuses_is_told_as_it_said_it(
    style: Mapping[str, Path], photos: Sequence[Photo], tmp_path: Path
) -> None:
    with pytest.raises(BackendError, match="no backend 'nothing'"):
        fresh(request(style, photos, tmp_path, "nothing"), ENVIRON)


def test_an_arm_ends_when_the_one_who_asked_is_gone(
    style: Mapping[str, Path], photos: Sequence[Photo], tmp_path: Path
) -> None:
    endless = replace(
        request(style, photos, tmp_path, "null"), min_s=1e6, answer=str(tmp_path / "a.json")
    )
    command = [sys.executable, "-m", "stylepress.benchmarks.verdict.arm"]
    arm = subprocess.Popen(command, stdin=subprocess.PIPE, env=ENVIRON, start_new_session=True)
    assert arm.stdin is not None
    arm.stdin.write((json.dumps(asdict(endless)) + "\n").encode())
    arm.stdin.close()
    assert arm.wait(timeout=120) != 0


ASKS = """
import os, sys
from pathlib import Path
from stylepress.benchmarks.verdict.arm import Request
from stylepress.benchmarks.verdict.session import fresh
print("asking", flush=True)
try:
    fresh(Request(sys.argv[1], "null", sys.argv[2], "", 1, 0, 1, 0, 1e6, 1), os.environ)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="children are found in /proc")
def test_an_interrupt_ends_the_arm_and_leaves_nothing_behind(
    style: Mapping[str, Path], photos: Sequence[Photo], tmp_path: Path
) -> None:
    frames = str(frames_file(photos, tmp_path))
    parent = subprocess.Popen(
        [sys.executable, "-c", ASKS, str(style["bundle"]), frames],
        stdout=subprocess.PIPE, text=True, env=ENVIRON,
    )  # fmt: skip
    assert parent.stdout is not None
    assert parent.stdout.readline() == "asking\n"
    children: list[int] = []
    while not children:
        children = arms_of(parent.pid)
        time.sleep(0.02)
    parent.send_signal(signal.SIGINT)
    assert parent.communicate(timeout=120)[0] == "interrupted\n"
    while any(Path(f"/proc/{child}").exists() for child in children):
        time.sleep(0.02)  # interrupted at its birth, an arm ends by itself when its stdin does


def arms_of(parent: int) -> list[int]:
    found = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii")
    return [int(child) for child in found.split()]


class Spoiler:
    """A Watch that spoils the first runs it sees."""

    def __init__(self, times: int) -> None:
        self.left = times

    def begin(self) -> None:
        self.left -= 1

    def end(self) -> Sequence[str]:
        return ["the clock was throttled"] if self.left >= 0 else ()


def session(style: Mapping[str, Path], work: Path, photos: Sequence[Photo], spoils: int) -> Session:
    arms = Arms({"base": style["bundle"], "new": style["bundle"]}, frames_file(photos, work), 1, {})
    return Session(arms, TINY, environ=ENVIRON, progress=Silent(), watch=Spoiler(spoils), ask=told)


def test_a_spoiled_pair_is_kept_does_not_count_and_is_measured_again(
    style: Mapping[str, Path], photos: Sequence[Photo], tmp_path: Path
) -> None:
    made = session(style, tmp_path, photos, spoils=1)
    counted = made.measure("first", ["null"], 2)
    assert (len(counted), len(made.runs)) == (4, 6)
    spoiled = [run.invalid for run in made.runs if run.invalid]
    assert spoiled == [("the clock was throttled",)] * 2


def test_a_machine_that_spoils_every_run_is_given_up(
    style: Mapping[str, Path], photos: Sequence[Photo], tmp_path: Path
) -> None:
    with pytest.raises(SpoiledError, match=r"spoiled 3 times.*--foreign-load"):
        session(style, tmp_path, photos, spoils=99).measure("first", ["null"], 2)


def test_a_machine_that_spoils_every_run_decides_nothing_of_the_bundles(
    style: Mapping[str, Path],
) -> None:
    made = duel(
        style["bundle"],
        style["bundle"],
        options=options(style),
        progress=Silent(),
        watch=Spoiler(99),
        ask=told,
    )
    assert (made.verdict, made.exit_code) == ("INCONCLUSIVE", 3)
    assert all(run.invalid for run in made.runs)
    assert any("the clock was throttled" in reason for reason in made.reasons)
    assert "6 of 6 runs were discarded" in made.doubts()[0]
