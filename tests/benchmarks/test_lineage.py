"""What can be an original, and what a gate needs of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stylepress.artifact import Artifact
from stylepress.benchmarks.bench import BenchOptions, bench
from stylepress.benchmarks.timing.systems import check_originals
from stylepress.errors import RecipeError
from stylepress.progress import Silent

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
