"""An original that is not the model something was made from is told, and compared all the same."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stylepress.artifact import Artifact
from stylepress.benchmarks.bench import BenchOptions, bench
from stylepress.benchmarks.entries import Entries, check_originals, stranger
from stylepress.benchmarks.report import Role
from stylepress.benchmarks.timing.systems import Contender, opened
from stylepress.errors import RecipeError
from stylepress.progress import Silent
from stylepress.runtime.backends import EngineOptions
from stylepress.runtime.bundle import Bundle, read_bundle
from tests.benchmarks.duels import altered
from tests.benchmarks.models import model

Pixels = NDArray[np.uint8]


class Warnings(Silent):
    """Keeps what is warned of."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def warn(self, message: str) -> None:
        self.told.append(message)


def of_parent(artifact: Artifact, parent: str | None) -> Artifact:
    """The artifact, as if it had been made from another, or nobody knew from what."""
    manifest = artifact.manifest.model_copy(update={"parent": parent})
    return replace(artifact, manifest=manifest)


def orphan(bundle: Bundle) -> Bundle:
    return replace(bundle, artifact=of_parent(bundle.artifact, None))


def inverted(frame: Pixels) -> Pixels:
    return 255 - frame


def test_the_parent_by_its_digest_is_believed(style: Mapping[str, Path]) -> None:
    bundle, student = read_bundle(style["bundle"]), read_bundle(style["student"])
    assert bundle.artifact.parent == student.artifact.digest
    assert stranger(bundle, student, inverted, name="dots fp32") is None


def test_a_student_that_draws_the_golden_pictures_is_the_one_it_was_made_from(
    style: Mapping[str, Path],
) -> None:
    bundle, student = orphan(read_bundle(style["bundle"])), read_bundle(style["student"])
    with opened(student, "onnxruntime", EngineOptions(threads=1)) as run:
        assert stranger(bundle, student, run, name="dots fp32") is None


def test_a_student_that_draws_others_is_not(style: Mapping[str, Path]) -> None:
    bundle, student = orphan(read_bundle(style["bundle"])), read_bundle(style["student"])
    found = stranger(bundle, student, inverted, name="dots fp32")
    assert found is not None
    assert found.new is not None
    assert found.limit == bundle.tolerance + 2 < found.new
    assert found.verdict is None
    assert "dots fp32 is not the model it was made from" in found.note


def test_what_cannot_be_an_original_is_refused(style: Mapping[str, Path]) -> None:
    with pytest.raises(RecipeError, match=r"is INT8 itself.*float bundle"):
        check_originals(style["bundle"], None)
    with pytest.raises(RecipeError, match=r"is a bundle, and a teacher.*checkpoint"):
        check_originals(None, style["bundle"])
    check_originals(style["student"], style["teacher"])


@pytest.fixture
def quick(options: BenchOptions) -> BenchOptions:
    return replace(options, backends=("onnxruntime",), clip_frames=0, starts=0, settings=())


def test_a_student_may_be_a_checkpoint_and_a_bundle_that_was_made_from_another_is_told(
    style: Mapping[str, Path], quick: BenchOptions, tmp_path: Path
) -> None:
    other = altered(style["bundle"], tmp_path / "other", golden=False, parent=None)
    progress = Warnings()
    report = bench(
        [other, style["bundle"]],
        teacher=None,
        student=style["teacher"],
        photos=style["photos"],
        style=None,
        options=quick,
        progress=progress,
    )
    (student,) = report.of_role("student")
    assert (student.precision, student.parent) == ("fp32", Artifact.load(style["teacher"]).digest)
    assert {one.subject.partition(" against ")[2] for one in report.looks} == {"", student.name}
    (told,) = progress.told
    assert told.startswith("dots fp32 is not the model that dots int8 was made from")
    first = {drift.compressed: drift.checks[0].key for drift in report.drifts}
    assert first == {"dots int8": "golden_levels", "dots int8 2": "drift_percent"}


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
    engine = EngineOptions(threads=1, size=(64, 64))
    with Entries(engine, (backend,), work=tmp_path, photos=(), progress=Silent()) as entries:
        for role, kind in zip(roles, (family, "student"), strict=True):
            one = model(role, role).model_copy(update={"family": kind})
            entries.contenders.append(Contender(one, backend, inverted, {}))
        with pytest.raises(RecipeError, match=told) if told else nullcontext():
            entries.check_judged()
