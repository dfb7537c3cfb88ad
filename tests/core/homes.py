"""A user's folder with photos, recipes and a checkpoint, small enough to build from in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from stylepress.build import BuildOptions, BuildResult, build
from stylepress.picture import Pixels
from stylepress.progress import Progress
from stylepress.runtime import open_bundle
from stylepress.train.transformer import TransformerNet
from tests.frames import Heard

TARGET = """
name: small
title: A box for small pictures
arch: any
engines: [onnxruntime]
precisions: [int8, fp32]
opset_max: 20
size: [64, 64]
source: a test
"""
SHORT = """
name: tiny
photos: photos
style: {pattern: glass, size: 64}
target: small.yaml
teacher: {train: {width: 4, blocks: 1, steps: 2, crop_px: 64, style_px: 64, loss: swd}}
student: {preset: nano, distil: {steps: 2, batch: 1, crop_px: 64, pool: 2, pool_px: 64, loss: swd}}
quantize: {min_psnr_db: 0, repair: false}
export: {verify_sizes: [[64, 64]]}
"""
LONG = """
name: tiny
photos: photos
style: {pattern: glass, size: 64}
target: small.yaml
steps:
  - {step: train, width: 4, blocks: 1, steps: 2, crop_px: 64, style_px: 64, loss: swd}
  - {step: distil, preset: nano, steps: 2, batch: 1, crop_px: 64, pool: 2, pool_px: 64, loss: swd}
  - {step: export, verify_sizes: [[64, 64]]}
  - {step: quantize, min_psnr_db: 0, repair: false, verify_sizes: [[64, 64]]}
"""
LOADED = """
name: tiny
photos: photos
target: small.yaml
steps:
  - {step: load, checkpoint: candy.pth}
  - {step: distil, preset: nano, steps: 2, batch: 1, crop_px: 64, pool: 2, pool_px: 64}
  - {step: export, verify_sizes: [[64, 64]]}
"""


def furnish(folder: Path) -> Path:
    """Write photos, recipes, a target and somebody's checkpoint, as a user has them side by side."""
    (folder / "photos").mkdir()
    for seed in range(3):
        write_photo(folder / "photos" / f"{seed}.png", seed)
    torch.save(public_net().state_dict(), folder / "candy.pth")
    for name, text in (("short", SHORT), ("long", LONG), ("loaded", LOADED), ("small", TARGET)):
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


def write_photo(path: Path, seed: int) -> None:
    """Write a small picture of soft colours."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    Image.fromarray(coarse).resize((96, 96), Image.Resampling.BICUBIC).save(path)


def public_net() -> TransformerNet:
    """A network of 0..255 pictures that paints something."""
    torch.manual_seed(0)
    net = TransformerNet(2, 0)
    with torch.no_grad():
        net.deconv3.conv2d.weight *= 60
        nn.init.constant_(net.deconv3.conv2d.bias, 128)  # type: ignore[arg-type]
    return net


def steps_of(result: BuildResult) -> list[str]:
    """Name the steps that were done, in order."""
    return [str(artifact.made_by["step"]) for artifact in result.artifacts.values()]


def built(source: Path, out: Path, heard: Progress | None = None, **options: Any) -> BuildResult:
    """Build for the small target into ``out``."""
    target = str(source.parent / "small.yaml") if source.suffix == ".pth" else None
    return build(
        source,
        options=BuildOptions(**{"out": out, "target": target, **options}),
        progress=heard or Heard(),
    )


def painted(bundle: Path, picture: Pixels, **controls: float) -> Pixels:
    """What a bundle makes of a (H, W, 3) picture in ONNX Runtime."""
    with open_bundle(bundle, backend="onnxruntime") as model:
        return model(picture, **controls)


def noise(height: int, width: int) -> Pixels:
    """A (H, W, 3) picture of every colour."""
    return np.random.default_rng(5).integers(0, 256, (height, width, 3), np.uint8)
