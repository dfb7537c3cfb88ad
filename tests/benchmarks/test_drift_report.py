"""A report says what each bundle lost against its original, and shows where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from stylepress.benchmarks.bench import BenchOptions, bench
from stylepress.benchmarks.quality.bundles import (
    DriftOptions,
    Measures,
    Sample,
    Study,
    other_photos,
    studies,
)
from stylepress.benchmarks.quality.damage import coarse
from stylepress.benchmarks.quality.features.extractor import HandcraftedExtractor
from stylepress.benchmarks.quality.checks import Limits
from stylepress.benchmarks.quality.result import Score
from stylepress.benchmarks.quality.result import Ladder
from stylepress.benchmarks.quality.result import TITLES
from stylepress.benchmarks.lost import KINDS, figures, lost, motion, rungs, verdict
from stylepress.benchmarks.page import page
from stylepress.benchmarks.picture_trials import drift_is_studied
from stylepress.benchmarks.quality.gallery import worst_place
from stylepress.benchmarks.quality.motion.steadiness import Painters, draw
from stylepress.benchmarks.quality.photos import Photo
from stylepress.benchmarks.report import Report
from stylepress.benchmarks.summary import summary
from stylepress.benchmarks.wording import signed
from stylepress.errors import FrameError, RecipeError
from stylepress.progress import Silent
from tests.benchmarks.models import model

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def painters() -> Painters:
    """A teacher that inverts, a student that copies, a bundle that copies, and one in 4 levels."""
    return {
        model("teacher", "teacher"): lambda frame: 255 - frame,
        model("student", "student"): lambda frame: frame,
        model("good", "bundle"): lambda frame: frame.copy(),
        model("bad", "bundle"): lambda frame: coarse(frame[0], 2)[np.newaxis],
    }


@pytest.fixture(scope="module")
def studied(painters: Painters, photos: Sequence[Photo]) -> Mapping[str, Study]:
    drawn = draw(photos, painters, progress=Silent())
    found = studies(
        Sample(drawn, photos),
        painters,
        Measures(HandcraftedExtractor(), "none"),
        limits=Limits(),
        progress=Silent(),
    )
    return {one.drift.compressed: one for one in found}


def test_every_bundle_is_studied_against_its_student(studied: Mapping[str, Study]) -> None:
    assert {name: one.drift.original for name, one in studied.items()} == {
        "good": "student",
        "bad": "student",
    }
    assert studied["bad"].drift.verdict == "regression"
    assert studied["good"].drift.frechet.direct.value == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("family", "verdicts"), [("transformer", ["not judged"]), ("student", ["regression"])]
)
def test_a_student_is_not_judged_against_a_teacher_that_is_another_network(
    photos: Sequence[Photo], family: str, verdicts: list[str]
) -> None:
    teacher = model("teacher", "teacher").model_copy(update={"family": family})
    painters: Painters = {
        teacher: lambda frame: 255 - frame,
        model("good", "bundle"): lambda frame: frame,
    }
    sample = Sample(draw(photos, painters, progress=Silent()))
    measures = Measures(HandcraftedExtractor(), "none")
    found = list(studies(sample, painters, measures, limits=Limits(), progress=Silent()))
    assert [one.drift.verdict for one in found] == verdicts
    (row, *_) = verdict(found[0].drift).rows
    assert ("--student" in row[-1]) == (verdicts == ["not judged"])


def test_the_sample_is_told_squares_for_distances_and_frames_for_pairs(
    studied: Mapping[str, Study],
) -> None:
    drift = studied["bad"].drift
    assert drift.sample == "4 squares of 64 pixels of 2 pictures of 128x96"
    assert drift.names == ("hill.png", "lake.png")
    assert drift.sample in verdict(drift).note
    assert "alike" in verdict(drift).note
    assert {one.count for one in drift.paired} == {2}


def test_the_ladder_of_one_original_is_climbed_once(studied: Mapping[str, Study]) -> None:
    assert isinstance(studied["good"].drift.ladder, Ladder)
    assert studied["good"].drift.ladder is studied["bad"].drift.ladder


def test_the_worst_places_are_shown_worst_first_and_equal_pictures_are_not(
    studied: Mapping[str, Study],
) -> None:
    assert studied["good"].worst == ()
    shown = studied["bad"].worst
    assert [one.column for one in shown] == 2 * ["content", "student", "bundle", "difference"]
    levels = [float(one.photo.split(": ")[1].removesuffix(" dB")) for one in shown[::4]]
    assert levels == sorted(levels)


def test_the_worst_place_is_where_the_pictures_differ() -> None:
    one = np.zeros((90, 120, 3), np.uint8)
    two = one.copy()
    two[60:70, 100:110] = 9
    rows, columns = worst_place(one, two, 32)
    assert (one[rows, columns].shape, two[rows, columns].sum()) == ((32, 32, 3), two.sum())
    assert worst_place(one, two, 500) == (slice(0, 90), slice(0, 120))


def test_every_figure_stands_beside_the_damages_it_is_like(studied: Mapping[str, Study]) -> None:
    table = figures(studied["bad"].drift)
    assert table.heads[-5:] == list(KINDS.values())
    rows = {row[0]: row[1:] for row in table.rows}
    assert {TITLES[name] for name in ("direct", "kernel", "patches", "psnr_db", "ssim")} < set(rows)
    ladder = rungs(studied["bad"].drift)
    assert len(ladder.rows) == 1 + 30
    assert ladder.rows[0][0] == "bad"


def test_the_ladder_marks_the_rung_that_is_nearest_in_each_column(
    studied: Mapping[str, Study],
) -> None:
    """The bad bundle rounds to two bits a channel, which is a rung."""
    ladder = rungs(studied["bad"].drift)
    column = ladder.heads.index("PSNR, dB")
    marked = [row[0] for row in ladder.rows if row[column].startswith("≈ ")]
    assert "2 bits a channel" in marked
    assert len(marked) == len({name.split()[0] for name in marked})
    (exact,) = (row[column] for row in ladder.rows if row[0] == "2 bits a channel")
    assert exact == f"≈ {ladder.rows[0][column]}"


def test_figures_tell_scores_and_how_far_few_squares_can_be_trusted(
    studied: Mapping[str, Study],
) -> None:
    drift = studied["bad"].drift
    assert drift.frechet.policy == "paired only"
    assert "4 squares are fewer than the 89 dimensions" in figures(drift).note
    scored = drift.model_copy(update={"score": Score(original=4.5, compressed=4.25, splits=2)})
    rows = {row[0]: row[1] for row in figures(scored).rows}
    assert rows["Inception Score"] == "4.25, the original 4.5"
    assert "Inception Score" not in {row[0] for row in figures(drift).rows}


def test_checks_are_named_as_the_figures_are(studied: Mapping[str, Study]) -> None:
    names = [row[0] for row in verdict(studied["bad"].drift).rows]
    assert names[:3] == ["drift D", "direct P over benign", "PSNR, dB, mean"]
    assert "colour cast, levels, mean" in names
    assert "cast of a place, levels, worst" in names


def test_without_references_the_drift_is_null_and_says_why(report: Report) -> None:
    (drift,) = report.drifts
    assert (drift.original, drift.compressed) == ("dots fp32", "dots int8")
    assert drift.frechet.drift is None
    rows = {row[0]: row[1] for row in figures(drift).rows}
    assert rows[TITLES["drift"]] == "none: no --references"
    assert "drift to a reference: no references were given" in figures(drift).note


def test_page_and_summary_show_verdict_figures_worst_places_ladder_and_motion(
    report: Report,
) -> None:
    text, html = summary(report), page(report)
    (drift,) = report.drifts
    titles = [one.title for one in lost(report)]
    assert len(titles) == 3
    assert f"dots int8 against dots fp32: {signed(drift.verdict)}" in titles[0]
    for title in titles:
        assert f"## {title}\n" in text
        assert f"<h2>{title}</h2>" in html
    assert "Where it lost most" in html
    assert "<summary>The ladder of damages" in html
    assert f"<b>{signed(drift.verdict)}</b>" in html


def test_motion_is_told_of_every_model_and_against_its_original(report: Report) -> None:
    rows = {one.model: one for one in report.consistencies}
    own = rows["dots int8"]
    assert own.reference == "dots fp32"
    assert own.flicker is not None
    assert own.noise_gain is not None
    assert 0 < own.flicker < 20
    assert {row[0] for row in motion(report).rows} == set(rows)
    assert {"tLP"} <= {each.what for each in report.skipped}


def test_references_are_other_photos_than_those_measured_on(
    photo_folder: Path, photos: Sequence[Photo], tmp_path: Path
) -> None:
    assert other_photos(None, photos, progress=Silent()) == []
    with pytest.raises(FrameError, match="none is left for reference"):
        other_photos(photo_folder, photos, progress=Silent())
    for name in ("hill.png", "lake.png"):
        (tmp_path / name).write_bytes((photo_folder / name).read_bytes())
    Image.new("RGB", (200, 150), (9, 90, 200)).save(tmp_path / "sky.png")
    (other,) = other_photos(tmp_path, photos, progress=Silent())
    assert other.fact.name == "sky.png"
    assert other.frame.shape == photos[0].frame.shape


@pytest.mark.parametrize(
    "asked", [{"wanted": True}, {"references": Path("x")}, {"lpips": Path("x")}]
)
def test_drift_from_nothing_is_refused_when_it_was_asked_for(asked: dict[str, Path | bool]) -> None:
    with pytest.raises(RecipeError, match="--student"):
        drift_is_studied(DriftOptions(**asked), original=None)  # type: ignore[arg-type]


def test_drift_is_studied_where_there_is_an_original_and_nobody_minds() -> None:
    assert drift_is_studied(DriftOptions(), original=Path("student"))
    assert not drift_is_studied(DriftOptions(), original=None)
    assert not drift_is_studied(DriftOptions(wanted=False), original=Path("student"))


def test_without_drift_the_report_says_that_it_was_not_wanted(
    style: Mapping[str, Path], options: BenchOptions
) -> None:
    plain = bench(
        [style["bundle"]],
        teacher=None,
        student=style["student"],
        photos=style["photos"],
        style=None,
        options=replace(
            options,
            backends=("onnxruntime",),
            drift=DriftOptions(wanted=False),
            starts=0,
            settings=(),
            split=False,
        ),
        progress=Silent(),
    )
    assert plain.drifts == ()
    assert {each.what: each.why for each in plain.skipped}["drift"] == "it was not wanted"
    assert all(one.noise_gain for one in plain.consistencies)
