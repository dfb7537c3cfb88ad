"""What can be an original, and what a gate needs of it."""

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
from stylepress.benchmarks.entries import Entries, check_originals
from stylepress.benchmarks.report import Role
from stylepress.benchmarks.timing.systems import Contender
from stylepress.errors import RecipeError
from stylepress.progress import Silent
from stylepress.runtime.backends import EngineOptions
from tests.benchmarks.models import model

Pixels = NDArray[np.uint8]


def test_what_cannot_be_an_original_is_refused(style: Mapping[str, Path]) -> None:
    with pytest.raises(RecipeError, match=r"is INT8 itself.*float bundle"):
        check_originals(style["bundle"], None)
    with pytest.raises(RecipeError, match=r"is a bundle, and a teacher.*checkpoint"):
        check_originals(None, style["bundle"])
    check_originals(style["student"], style["teacher"])


@pytest.fixture
def quick(options: BenchOptions) -> BenchOptions:
    return replace(options, backends=("onnxruntime",), clip_frames=0, starts=0, settings=())


def test_a_student_may_be_a_checkpoint(style: Mapping[str, Path], quick: BenchOptions) -> None:
    report = bench(
        [style["bundle"]],
        teacher=None,
        student=style["teacher"],
        photos=style["photos"],
        style=None,
        options=quick,
        progress=Silent(),
    )
    (student,) = report.of_role("student")
    assert (student.precision, student.parent) == ("fp32", Artifact.load(style["teacher"]).digest)
    assert {one.subject.partition(" against ")[2] for one in report.looks} == {"", student.name}


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
            entries.contenders.append(Contender(one, backend, lambda frame: frame, {}))
        with pytest.raises(RecipeError, match=told) if told else nullcontext():
            entries.check_judged()
