"""An original that is not the model something was made from is told, and compared all the same."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from stylepress.artifact import Artifact
from stylepress.benchmarks.bench import BenchOptions, bench
from stylepress.benchmarks.entries import Entries
from stylepress.benchmarks.lineage import check_originals, other_teacher, stranger
from stylepress.benchmarks.report import Role
from stylepress.benchmarks.timing.systems import Contender, Field
from stylepress.errors import RecipeError
from stylepress.progress import Silent
from stylepress.runtime.backends import EngineOptions, open_engine
from stylepress.runtime.bundle import Bundle, load_bundle
from tests.benchmarks.models import model

Pixels = NDArray[np.uint8]


class Warnings(Silent):
    """Keeps what is warned of."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def warn(self, message: str) -> None:
        self.told.append(message)


def orphan(bundle: Bundle) -> Bundle:
    """The bundle, as if nobody knew what it was made from."""
    return replace(bundle, artifact=replace(bundle.artifact, parent=None))


def inverted(frame: Pixels) -> Pixels:
    return 255 - frame


def test_the_parent_by_its_digest_is_believed(style: Mapping[str, Path]) -> None:
    bundle, student = load_bundle(style["bundle"]), load_bundle(style["student"])
    assert bundle.artifact.parent == student.artifact.digest
    assert stranger(bundle, student, inverted, name="dots fp32") is None


def test_a_student_that_draws_the_golden_pictures_is_the_one_it_was_made_from(
    style: Mapping[str, Path],
) -> None:
    bundle, student = orphan(load_bundle(style["bundle"])), load_bundle(style["student"])
    engine = open_engine(student, "onnxruntime", options=EngineOptions(threads=1))
    assert stranger(bundle, student, engine.run, name="dots fp32") is None


def test_a_student_that_draws_others_is_not(style: Mapping[str, Path]) -> None:
    bundle, student = orphan(load_bundle(style["bundle"])), load_bundle(style["student"])
    found = stranger(bundle, student, inverted, name="dots fp32")
    assert found is not None
    assert found.value is not None
    assert found.limit == bundle.tolerance + 2 < found.value
    assert (found.verdict, found.why) == (
        "not judged",
        "dots fp32 is not the model it was made from",
    )


def test_a_student_names_its_teacher_or_the_file_that_one_was_in(style: Mapping[str, Path]) -> None:
    teacher = Artifact.load(style["teacher"])
    student = replace(teacher, parent=teacher.digest)
    assert not other_teacher(student, teacher)
    assert not other_teacher(student, replace(teacher, files={}, parent=teacher.digest))
    assert not other_teacher(replace(student, parent=None), teacher)
    assert other_teacher(replace(student, parent="another"), teacher)


def test_what_cannot_be_an_original_is_refused(style: Mapping[str, Path]) -> None:
    with pytest.raises(RecipeError, match=r"is INT8 itself.*float bundle"):
        check_originals(style["bundle"], None)
    with pytest.raises(RecipeError, match=r"is a bundle, and a teacher.*checkpoint"):
        check_originals(None, style["bundle"])
    check_originals(style["student"], style["teacher"])


@pytest.fixture
def quick(options: BenchOptions) -> BenchOptions:
    return replace(
        options, backends=("onnxruntime",), clip_frames=0, starts=0, settings=(), split=False
    )


def test_the_report_and_a_warning_say_that_a_bundle_was_made_from_another_student(
    style: Mapping[str, Path], quick: BenchOptions, tmp_path: Path
) -> None:
    source = load_bundle(style["bundle"])

    def fill(beside: Path) -> None:
        (beside / "model.onnx").write_bytes(source.model())
        (beside / "golden").mkdir()
        for number, before, after in source.golden():
            Image.fromarray(before[0]).save(beside / "golden" / f"{number}.in.png")
            Image.fromarray(255 - after[0]).save(beside / "golden" / f"{number}.out.png")

    known = source.artifact
    Artifact.create(
        tmp_path / "other",
        fill,
        kind="bundle",
        name="other",
        inputs=known.inputs,
        outputs=known.outputs,
        made_by=known.made_by,
    )
    progress = Warnings()
    report = bench(
        [tmp_path / "other", style["bundle"]],
        teacher=None,
        student=style["student"],
        photos=style["photos"],
        style=None,
        options=quick,
        progress=progress,
    )
    (told,) = progress.told
    assert told.startswith("dots fp32 is not the model that other int8 was made from")
    first = {drift.compressed: drift.checks[0].name for drift in report.drifts}
    assert first["other int8"] == "golden"
    assert first["dots int8"] != "golden"


@pytest.mark.parametrize(
    ("roles", "family", "backend", "told"),
    [
        (("teacher", "bundle"), "transformer", "onnxruntime", "--student"),
        (("student", "bundle"), "student", "null", "Name another `--backend`"),
        (("student", "bundle"), "student", "onnxruntime", None),
        (("teacher", "bundle"), "student", "onnxruntime", None),
    ],
)
def test_a_gate_needs_an_original_that_judges(
    roles: tuple[Role, Role], family: str, backend: str, told: str | None, tmp_path: Path
) -> None:
    with Field(EngineOptions(threads=1), (backend,)) as systems:
        for role, kind in zip(roles, (family, "student"), strict=True):
            one = model(role, role).model_copy(update={"family": kind})
            systems.add(Contender(one, backend, inverted, {}))
        entries = Entries(systems, (64, 64), work=tmp_path, photos=(), progress=Silent())
        with pytest.raises(RecipeError, match=told) if told else nullcontext():
            entries.check_judged()
