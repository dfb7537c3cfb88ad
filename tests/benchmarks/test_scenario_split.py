"""A frame's way from file to file is split into stages, of which the engine is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path

import av
import pytest

from stylepress.benchmarks.quality.motion.clip import make_clip
from stylepress.benchmarks.quality.photos import Photo
from stylepress.benchmarks.timing.film import film_pipeline
from stylepress.benchmarks.timing.outcome import Length, SingleStream
from stylepress.benchmarks.timing.scenarios import run_scenario
from stylepress.benchmarks.timing.split import STAGES, Pipeline, Split
from stylepress.benchmarks.timing.systems import opened
from stylepress.errors import RecipeError
from stylepress.runtime.backends import EngineOptions
from stylepress.runtime.bundle import read_bundle
from tests.benchmarks.clockwork import Clockwork


def pipeline(clock: Clockwork, **stages_ms: float) -> Pipeline:
    def stage(name: str, taken_ms: float) -> Callable[[list[str]], list[str]]:
        def run(sample: list[str]) -> list[str]:
            clock.now += round(1e6 * taken_ms)
            return [*sample, name]

        return run

    return Pipeline({name: stage(name, ms) for name, ms in stages_ms.items()}, clock=clock)


def test_stages_run_in_the_order_a_frame_meets_them_and_are_timed_apart() -> None:
    clock = Clockwork()
    line = pipeline(clock, encode=2, infer=5, decode=3)
    assert line.run([]) == ["decode", "infer", "encode"]
    line.run([])
    split = line.split()
    assert [stage.name for stage in split.stages] == ["decode", "infer", "encode"]
    assert [stage.median_ms for stage in split.stages] == [3, 5, 2]
    assert [stage.share for stage in split.stages] == pytest.approx([0.3, 0.5, 0.2])
    assert (split.engine_ms, split.end_to_end_ms, split.frames) == (5, 10, 2)
    assert Split.model_validate_json(split.model_dump_json()) == split


def test_a_scenario_measures_end_to_end_what_the_pipeline_splits() -> None:
    clock = Clockwork()
    line = pipeline(clock, decode=1, infer=4)
    made = run_scenario(
        line.run, list, SingleStream(), length=Length(min_s=0, min_count=9), clock=clock
    )
    assert made.at(0.5).value_ms == line.split(last=9).end_to_end_ms == 5


@pytest.mark.parametrize("stages", [{}, {"decode": 1}, {"infer": 1, "paint": 1}])
def test_a_pipeline_that_is_none_is_refused(stages: dict[str, float]) -> None:
    with pytest.raises(RecipeError, match="Name its stages"):
        pipeline(Clockwork(), **stages)


def test_a_split_of_nothing_is_refused() -> None:
    with pytest.raises(RecipeError, match="Run it before"):
        pipeline(Clockwork(), infer=1).split()


def test_a_real_clip_goes_through_every_stage(
    style: Mapping[str, Path], photos: Sequence[Photo], tmp_path: Path
) -> None:
    paths = [photo.path for photo in photos if photo.path]
    clip = make_clip(paths, tmp_path / "clip.mp4", seconds=0.2, size=(96, 128)).path
    options = EngineOptions(threads=1, size=(96, 128))
    out = tmp_path / "out.mp4"
    bundle = read_bundle(style["bundle"])
    with opened(bundle, "onnxruntime", options) as run:
        frames = 12  # more than the clip has: it begins anew
        with film_pipeline(run, clip, out) as line:
            length = Length(min_s=0, min_count=frames)
            run_scenario(line.run, count().__next__, SingleStream(), length=length)
            split = line.split()
    assert tuple(stage.name for stage in split.stages) == STAGES
    assert all(stage.median_ms > 0 for stage in split.stages)
    assert sum(stage.share for stage in split.stages) == pytest.approx(1)
    with av.open(str(out)) as film:
        assert sum(1 for _ in film.decode(video=0)) == frames == split.frames
