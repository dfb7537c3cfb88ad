"""Judges of style and fidelity over published features: pictures in, named figures out.

What a training minimised is no judge of itself: a figure whose features were the loss is marked
by `Judge.trained_on`, and the others judge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stylepress.errors import FrameError
from stylepress.train.features.distances import (
    COPY_LAYERS,
    STYLE_LAYERS,
    copy_distance,
    style_distance,
    style_grams,
)
from stylepress.train.features.effnet import EfficientNetLite0, load_effnet
from stylepress.train.features.gaussians import Gaussian, gaussian, relative_frechet
from stylepress.train.features.vgg import Vgg, load_vgg
from stylepress.train.weights.standard import find_vgg19, find_weights

Name = Literal["vgg", "effnet"]
Frames = NDArray[np.uint8]
STYLE_BLOCKS = (0, 2, 4, 10, 15)
"""Blocks of EfficientNet-Lite0 whose features are compared with the style picture's."""
COPY_BLOCKS = (0, 2, 4, 10)
"""Those compared position by position: the deepest has too few positions."""
LEAST_SIDE = 64
CPU = torch.device("cpu")
"""Judges sit beside the device: a GPU may be busy with what is measured."""


@dataclass(frozen=True)
class Judge:
    """One network's view: how far pictures are from a style, and a copy from its original."""

    name: Name
    network: Vgg | EfficientNetLite0
    _styles: dict[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What the figures are of, with the digest of the weights, e.g. vgg19-caffe@c34748d2."""
        if isinstance(self.network, Vgg):
            return self.network.source.name
        return f"effnet-lite0@{self.network.sha256[:8]}"

    @torch.no_grad()
    def style(self, frames: Frames, style: Frames) -> float:
        """Mean distance of (N, H, W, 3) frames to the style picture (h, w, 3); both uint8 RGB.

        VGG: relative Gram distance (Gatys et al. 2016), relu1_1 to relu5_1. EfficientNet: Frechet
        distance of the features' mean and covariance over positions, relative to the style's, mean
        of five levels. 0 is the style picture itself; a photo scores 0.6 to 0.8.
        """
        return float(np.mean([self._style(image, style) for image in _images(frames)]))

    @torch.no_grad()
    def fidelity(self, photos: Frames, originals: Frames, copies: Frames) -> float:
        """Distance copy to original over distance photo to original, mean over (N, H, W, 3) frames.

        0 is an exact copy, 1 as far as the untouched photo. Position by position in the features,
        squared, mean of the levels: `originals` are the teacher's pictures, `copies` the student's.
        """
        if not photos.shape == originals.shape == copies.shape:
            raise FrameError(
                f"Photos, originals and copies have shapes {photos.shape}, {originals.shape} and "
                f"{copies.shape}.",
                "Give the same pictures in the same order and size.",
            )
        triples = zip(_images(photos), _images(originals), _images(copies), strict=True)
        return float(np.mean([self._fidelity(*triple) for triple in triples]))

    def _style(self, image: Tensor, style: Frames) -> float:
        aims = self._aims(style)
        if isinstance(self.network, Vgg):
            return float(style_distance(self.network(image, STYLE_LAYERS), aims))
        features = self.network(image, STYLE_BLOCKS)
        gaps = [
            relative_frechet(gaussian(features[block][0]), aims[block]) for block in STYLE_BLOCKS
        ]
        return sum(gaps) / len(gaps)

    def _aims(self, style: Frames) -> Any:
        key = f"{style.shape} {hash(style.tobytes())}"
        if key not in self._styles:
            (picture,) = _images(style[None])
            self._styles.clear()
            if isinstance(self.network, Vgg):
                self._styles[key] = style_grams(self.network, picture[0])
            else:
                features = self.network(picture, STYLE_BLOCKS)
                aims: dict[int, Gaussian] = {b: gaussian(features[b][0]) for b in STYLE_BLOCKS}
                self._styles[key] = aims
        return self._styles[key]

    def _fidelity(self, photo: Tensor, original: Tensor, copy: Tensor) -> float:
        if isinstance(self.network, Vgg):
            aims = self.network(original, COPY_LAYERS)
            of_copy = float(copy_distance(self.network(copy, COPY_LAYERS), aims))
            of_photo = float(copy_distance(self.network(photo, COPY_LAYERS), aims))
            return of_copy / max(of_photo, 1e-12)
        zero, one, two = (self.network(image, COPY_BLOCKS) for image in (photo, original, copy))
        ratios = [
            float((two[b] - one[b]).square().sum())
            / max(float((zero[b] - one[b]).square().sum()), 1e-12)
            for b in COPY_BLOCKS
        ]
        return sum(ratios) / len(ratios)


def find_judges(*, env: Mapping[str, str], home: Path) -> dict[Name, Judge]:
    """Load the judges whose weights are on this machine; none is no error.

    Raises:
        CheckpointError: a weight file of a known name with other content.
    """
    judges: dict[Name, Judge] = {}
    vgg = find_vgg19(env=env, home=home)
    if vgg is not None:
        judges["vgg"] = Judge("vgg", load_vgg(vgg.path, vgg.sha256).quick(CPU, bf16=False))
    effnet = find_weights("effnet-lite0", env=env, home=home)
    if effnet is not None:
        judges["effnet"] = Judge("effnet", load_effnet(effnet.path, effnet.sha256))
    return judges


def _images(frames: Frames) -> list[Tensor]:
    """Turn (N, H, W, 3) uint8 into N tensors (1, 3, H, W) float32 in [0, 1]."""
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8:
        raise FrameError(
            f"Judges take (N, H, W, 3) uint8 frames, these are {frames.shape} {frames.dtype}.",
            "Stack RGB pictures of one size.",
        )
    if min(frames.shape[1:3]) < LEAST_SIDE:
        raise FrameError(
            f"Judges need {LEAST_SIDE} pixels a side, these frames are "
            f"{frames.shape[2]}x{frames.shape[1]}.",
            "Measure larger pictures.",
        )
    whole = torch.from_numpy(np.array(frames)).permute(0, 3, 1, 2)
    return [image[None].float() / 255 for image in whole]
