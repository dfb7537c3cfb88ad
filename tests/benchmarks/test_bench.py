"""A measurement holds everything that was handed in, beside its baselines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from stylepress.benchmarks.bench import BenchOptions, bench
from stylepress.benchmarks.part import read_json
from stylepress.benchmarks.quality.photos import check_frame, read_photos
from stylepress.benchmarks.quality.trials import DriftOptions, Photos, PictureTrials
from stylepress.benchmarks.report import Report, against
from stylepress.benchmarks.show.files import markdown, write_forms
from stylepress.benchmarks.timing.outcome import Setting
from stylepress.benchmarks.timing.systems import named
from stylepress.errors import BackendError, FrameError, RecipeError
from stylepress.progress import Silent
from stylepress.runtime.backends import missing

SIZE = (96, 128)


def test_every_model_runs_in_its_backends_beside_the_three_baselines(report: Report) -> None:
    names = {latency.name: latency.baseline for latency in report.latencies}
    assert names["dots teacher fp32 · torch eager"]
    assert names["dots teacher fp32 · onnxruntime"]
    assert not names["dots fp32 · onnxruntime"]
    assert not names["dots int8 · onnxruntime"]
    assert sum(names.values()) == 3
    if "openvino" not in missing():
        assert names["dots teacher int8 · openvino"]
        assert not names["dots int8 · openvino"]


def test_the_harness_measures_itself(report: Report) -> None:
    null = next(latency for latency in report.latencies if latency.backend == "null")
    assert null.model is None
    assert null.median_ms < min(each.median_ms for each in report.latencies if each.model)


def test_every_bundle_is_compared_with_every_baseline(report: Report) -> None:
    pairs = {(each.subject.split(" · ")[0], each.metric) for each in report.speedups}
    assert {system for system, _ in pairs} == {"dots fp32", "dots int8"}
    assert len(pairs) == 6
    assert all(each.low is not None and each.low <= (each.new or 0) for each in report.speedups)


def test_the_float_student_equals_the_teacher_it_was_exported_from(report: Report) -> None:
    """The conftest's student is the teacher's own export: one level of rounding at most."""
    subject = against("dots fp32", "dots teacher fp32")
    (psnr,) = (one.new for one in report.looks if (one.subject, one.metric) == (subject, "psnr"))
    assert psnr is None or psnr > 48


def test_int8_is_judged_against_the_float_student(report: Report) -> None:
    subject = against("dots int8", "dots fp32")
    found = {one.metric: one.new for one in report.looks if one.subject == subject}
    assert 10 < (found["psnr"] or 0) < 48
    assert {"ssim", "colour cast", "saturation, change"} <= set(found)
    alone = {one.metric for one in report.looks if one.subject == "dots int8"}
    assert alone == {"style distance", "content distance", "grid energy"}


def test_the_size_of_the_teacher_is_that_of_its_checkpoint(
    report: Report, style: Mapping[str, Path]
) -> None:
    teacher = next(one for one in report.models if one.name == "dots teacher fp32")
    assert teacher.weights_bytes == (style["teacher"] / "weights.safetensors").stat().st_size


def test_consistency_of_a_stylized_clip_is_above_the_floor_of_the_clip(report: Report) -> None:
    assert {one.subject for one in report.steadiness} >= {"dots fp32", "dots int8"}
    floors = [one.new for one in report.steadiness if one.metric == "warping error put in"]
    assert all(floor is not None and floor < 1e-2 for floor in floors)


def test_every_bundle_is_started_in_every_backend_and_its_memory_is_told(report: Report) -> None:
    own = {one.name for one in report.latencies if one.model == "dots int8"}
    told = {(one.subject, one.metric): one.new for one in report.starts}
    absent = {one.what: one.why for one in report.skipped}
    for name in own:
        assert (told[name, "cold start"] or 0) > 0
        assert (told[name, "warm start"] or 0) > 0
        steady = told.get((name, "memory, steady"))
        # Torch alone, which is in this process, is more.
        assert "memory, steady" in absent if steady is None else steady < 600
        assert (name, "GPU memory") in told or absent["GPU memory"]


def test_scenarios_are_played_in_the_fastest_backend_of_each_bundle(report: Report) -> None:
    best = report.best("dots int8")
    (scene,) = report.scenes
    assert best is not None
    assert (scene.system, scene.setting.name) == (best.name, "fixed rate")
    assert any(one.note.endswith("of 8") for one in scene.figures)
    assert all(one.new is not None or one.note for one in scene.energies)


def test_the_machine_was_watched_while_the_rounds_ran(report: Report) -> None:
    assert report.validity is not None
    assert report.validity.samples


def test_a_report_written_is_the_report_read(report: Report, tmp_path: Path) -> None:
    json, markdown, *_, html = write_forms(report, tmp_path / "out")
    assert read_json(json, Report) == report.model_copy(update={"gallery": ()})
    assert "dots int8" in markdown.read_text(encoding="utf-8")
    assert html.stat().st_size > 10_000


def test_a_bundle_alone_is_measured_on_its_golden_pictures(
    style: Mapping[str, Path], options: BenchOptions
) -> None:
    alone = bench(
        [style["bundle"]],
        teacher=None,
        student=None,
        photos=None,
        style=None,
        options=replace(options, backends=("onnxruntime",), starts=0, settings=()),
        progress=Silent(),
    )
    assert [latency.backend for latency in alone.latencies] == ["onnxruntime", "null"]
    assert alone.speedups == ()
    assert {photo.name for photo in alone.scenario.photos} == {"golden 0", "golden 1", "golden 2"}
    assert {each.what for each in alone.skipped} == {
        *("start and memory", "energy", "drift"),
        "consistency of video",
    }
    assert all(each.why for each in alone.skipped)


def test_two_bundles_of_one_name_are_told_apart(style: Mapping[str, Path]) -> None:
    twice = named([style["bundle"], style["bundle"]], set())
    assert [name for _, name in twice] == ["dots int8", "dots int8 2"]


def test_a_folder_without_photos_is_refused(
    style: Mapping[str, Path], options: BenchOptions, tmp_path: Path
) -> None:
    with pytest.raises(FrameError, match="holds no photo"):
        bench(
            [style["bundle"]],
            teacher=None,
            student=None,
            photos=tmp_path,
            style=None,
            options=options,
            progress=Silent(),
        )


def test_what_only_copies_frames_plays_every_scenario_and_what_cannot_be_measured_is_told(
    style: Mapping[str, Path], options: BenchOptions, tmp_path: Path
) -> None:
    made = bench(
        [style["bundle"]],
        teacher=None,
        student=None,
        photos=style["photos"],
        style=None,
        options=replace(
            options,
            clip_frames=0,
            environ={"PYTHONHOME": str(tmp_path)},  # a process dies of it
            backends=("null",),
            settings=(
                Setting(name="single stream"),
                Setting(name="server", rate_hz=500),
                Setting(name="offline", lanes=2),
            ),
        ),
        progress=Silent(),
    )
    assert made.looks == ()
    assert [scene.system for scene in made.scenes] == ["dots int8 · null"] * 3
    why = {one.what: one.why for one in made.skipped}
    assert "pictures" in why
    assert "ended with 1" in why["start and memory of dots int8 · null"]
    for title in ("Service time", "Response time", "Throughput"):
        assert f"## {title}" in markdown(made)


def test_a_bundle_that_runs_nowhere_is_refused_with_the_reason(
    style: Mapping[str, Path], options: BenchOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BackendError("It is too new. Update.")

    monkeypatch.setattr("stylepress.benchmarks.timing.systems.open_engine", refuse)
    with pytest.raises(BackendError, match=r"nothing that runs here.*It is too new"):
        bench(
            [style["bundle"]],
            teacher=None,
            student=None,
            photos=style["photos"],
            style=None,
            options=options,
            progress=Silent(),
        )


@pytest.mark.parametrize("asked", [None, True])
def test_too_few_photos_for_a_distance_are_told_before_anything_is_measured(
    style: Mapping[str, Path], options: BenchOptions, asked: bool | None
) -> None:
    photos = Photos((), read_photos(style["photos"], SIZE, limit=1, progress=Silent()), None)
    plan = replace(options, size=SIZE, drift=DriftOptions(wanted=asked))
    if asked:
        with pytest.raises(FrameError, match="1 photos of 128x96 are 2 squares of 64 pixels"):
            PictureTrials(photos, plan, progress=Silent())
        return
    (skipped,) = PictureTrials(photos, plan, progress=Silent()).skipped
    assert (skipped.what, "takes 4 at least" in skipped.why) == ("drift", True)


@pytest.mark.parametrize(
    ("size", "told"),
    [
        ((32, 512), "512x32 are too small"),
        ((100_000, 100_000), "too large.*100 megapixels at most"),
    ],
)
def test_frames_too_small_to_judge_or_too_large_to_hold_are_refused(
    size: tuple[int, int], told: str
) -> None:
    with pytest.raises(RecipeError, match=told):
        check_frame(size)
