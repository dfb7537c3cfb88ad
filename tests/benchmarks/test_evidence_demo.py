"""The demonstration goes the whole path: teacher, student, INT8, picture, video, report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import av
import pytest
from PIL import Image

from stylepress.benchmarks.bench import BenchOptions
from stylepress.benchmarks.evidence.demo import Demo, main, show
from stylepress.benchmarks.report import read_report
from stylepress.benchmarks.timing.latency import Plan
from stylepress.progress import Silent
from tests.core.homes import TARGET

RECIPE = """
name: tiny
seed: 1
photos: {photos}
style: {{picture: {picture}}}
teacher: {{checkpoint: {teacher}}}
student:
  preset: nano
  distil: {{loss: swd, steps: 2, crop_px: 64, batch: 1, pool: 2, pool_px: 64}}
quantize: {{precision: int8, min_psnr_db: 0}}
export: {{verify_sizes: [[64, 96]]}}
target: {target}
"""


def test_the_demonstration_leaves_bundle_picture_video_with_sound_and_report(
    style: Mapping[str, Path], tmp_path: Path
) -> None:
    recipe = tmp_path / "tiny.yaml"
    target = tmp_path / "target.yaml"
    target.write_text(TARGET, encoding="utf-8")
    recipe.write_text(RECIPE.format(**style, target=target), encoding="utf-8")
    demo = Demo(
        recipe=recipe,
        photos=style["photos"],
        styles=tmp_path,
        out=tmp_path / "demo",
        seconds=0.3,
        size=(96, 128),
        report=BenchOptions(
            size=(96, 128),
            plan=Plan(rounds=1, turn_s=0, warm_up=1),
            backends=("onnxruntime",),
            most_photos=1,
            shown=1,
            clip_frames=0,
            starts=0,
        ),
    )
    bundle, both, picture, clip, video, report, *_, page = show(demo, Silent())
    assert (bundle / "model.onnx").is_file()
    with Image.open(picture) as image, Image.open(both) as pair:
        assert image.size == (160, 120)
        assert pair.size == (320, 120)
    for path in (clip, video):
        with av.open(str(path)) as container:
            assert (len(container.streams.video), len(container.streams.audio)) == (1, 1)
            assert sum(1 for _ in container.decode(video=0)) == 9
    assert {model.role for model in read_report(report).models} == {"teacher", "student", "bundle"}
    assert page.suffix == ".html"


def test_a_folder_without_recipes_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--recipes", str(tmp_path), "--out", str(tmp_path / "demo")]) == 2
    assert "demo.yaml" in capsys.readouterr().err
