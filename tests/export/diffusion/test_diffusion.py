"""Stable Diffusion folders: what they draw here is what diffusers draws, as one ONNX graph."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from stylepress.artifact import Artifact
from stylepress.cli import run
from stylepress.diffusion_step import DiffusionStep
from stylepress.errors import CheckpointError, RecipeError
from stylepress.runtime.model import open_model
from stylepress.train.patterns import draw
from stylepress.work import Work

pytest.importorskip("diffusers")
pytest.importorskip("transformers")

from stylepress.export.diffusion.stage import stylizer_of
from stylepress.export.diffusion.stylizer import SMALL
from tests.export.diffusion.pipelines import write_controls, write_pipeline

PROMPT = "an oil painting of night"
TARGET = """
name: plain
title: A processor
arch: any
engines: [onnxruntime]
precisions: [fp32]
opset_max: 20
size: [32, 32]
source: a test
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline that jumps to the picture, and what controls it, side by side."""
    root = tmp_path_factory.mktemp("diffusion")
    write_pipeline(root / "pipeline", lcm=True)
    write_controls(root)
    return root


def work(folder: Path) -> Work:
    return Work(name="night", folder=folder, board=folder / "board")


def photo(height: int, width: int) -> NDArray[np.uint8]:
    return np.array(draw("glass", seed=1, size=64)[:height, :width])


def test_a_recipe_makes_one_graph_of_a_pipeline_and_what_controls_it(
    folder: Path, tmp_path: Path
) -> None:
    # One engine: OpenVINO told to do without AVX512 on a processor that has it fails in attention.
    (folder / "plain.yaml").write_text(TARGET)
    recipe = folder / "night.yaml"
    recipe.write_text(
        f"name: night\ntarget: plain.yaml\nsteps:\n  - {{step: diffusion, pipeline: pipeline, prompt: {PROMPT}, "
        "vae: taesd, controlnet: control, adapter: hint, half: true, sampling: 1, "
        "guidance: 2.0, negative: an oil, "
        "verify_sizes: [[32, 32], [33, 47]]}\n"
    )
    out = tmp_path / "built"
    assert run(["build", str(recipe), "--out", str(out), "--no-cache", "--quiet"]) == 0
    bundle = Artifact.load(out / "bundle")
    assert bundle.numbers["worst_levels"] <= 1
    assert [path.name for path in bundle.folder.glob("*.onnx")] == ["frame.onnx"]
    weights = onnx.load(bundle.path("frame.onnx")).graph.initializer
    large = [one.data_type for one in weights if math.prod(one.dims) >= SMALL]
    assert set(large) == {onnx.TensorProto.FLOAT16}
    Image.fromarray(photo(40, 50)).save(tmp_path / "a.png")
    words = ["run", str(bundle.folder), str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    assert run([*words, "--backend", "onnxruntime", "--quiet"]) == 0
    with Image.open(tmp_path / "b.png") as drawn:
        assert drawn.size == (50, 40)
    frame, edges = photo(45, 35), photo(45, 35)[:, ::-1].copy()
    with open_model(bundle.folder, backend="onnxruntime", cache=None) as model:
        plain = model(frame)
        assert plain.shape == frame.shape
        assert np.array_equal(model(frame, strength=0.0), frame)
        for name in ("control", "hint"):
            controlled = model(frame, **{name: edges[np.newaxis]})
            assert not np.array_equal(controlled, plain)
            weak = {name: edges[np.newaxis], f"{name}_strength": 0.0}
            blank = {f"{name}_strength": 0.0}
            assert np.array_equal(model(frame, **weak), model(frame, **blank))


@pytest.mark.parametrize("guidance", [1.0, 5.0])
def test_steps_without_randomness_are_those_of_diffusers(tmp_path: Path, guidance: float) -> None:
    from diffusers import DDIMScheduler

    pipeline = write_pipeline(tmp_path / "plain")
    step = DiffusionStep(
        pipeline=pipeline, prompt=PROMPT, sampling=4, amount=1.0, guidance=guidance,
        negative="an oil" if guidance > 1 else "",
    )  # fmt: skip
    stylizer = stylizer_of(step, work(tmp_path))
    scheduler = DDIMScheduler.from_pretrained(
        pipeline / "scheduler", timestep_spacing="trailing", clip_sample=False
    )
    scheduler.set_timesteps(4)
    assert scheduler.timesteps.tolist() == stylizer.times
    image = torch.from_numpy(photo(16, 16)).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        coded = stylizer.vae.encode(image).latent_dist.mode() * stylizer.scaling
        latent = scheduler.add_noise(coded, stylizer.noise, scheduler.timesteps[:1])
        for time in scheduler.timesteps:
            asked, away = (
                stylizer.unet(latent, time, words).sample
                for words in (stylizer.prompt, stylizer.away)
            )
            predicted = away + guidance * (asked - away)
            latent = scheduler.step(predicted, time, latent).prev_sample
        last = stylizer.vae.decode(latent / stylizer.scaling).sample
        assert float((stylizer(image) - last).abs().max()) < 1e-4


def test_a_negative_prompt_that_nobody_heeds_is_refused() -> None:
    with pytest.raises(ValueError, match="negative does nothing without guidance"):
        DiffusionStep(pipeline=Path("p"), prompt=PROMPT, negative="rain")


def test_what_cannot_be_used_is_named(folder: Path, tmp_path: Path) -> None:
    pipeline = folder / "pipeline"

    def asked(**values: object) -> DiffusionStep:
        return DiffusionStep.model_validate({"pipeline": pipeline, "prompt": PROMPT, **values})

    with pytest.raises(RecipeError, match="multiples of 4 pixels"):
        stylizer_of(
            asked(size=(16, 24), vae=folder / "taesd").model_copy(update={"size": (18, 16)}),
            work(tmp_path),
        )
    with pytest.raises(CheckpointError, match="holds a T2IAdapter, where ControlNetModel"):
        stylizer_of(asked(controlnet=folder / "hint"), work(tmp_path))
    bare = write_pipeline(tmp_path / "bare")
    weights = bare / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(CheckpointError, match=r"unet cannot be loaded .*safe_serialization"):
        stylizer_of(asked(pipeline=bare), work(tmp_path))
    (bare / "text_encoder_2").mkdir()
    weights.with_suffix(".bin").rename(weights)
    with pytest.raises(CheckpointError, match="two text encoders, as SDXL has"):
        stylizer_of(asked(pipeline=bare), work(tmp_path))
