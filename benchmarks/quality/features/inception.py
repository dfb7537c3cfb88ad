"""The Inception network of FID, for those who have its weights file.

Szegedy et al. 2015 (arXiv 1512.00567) as TensorFlow's graph of 2015-12-05 has it: 1008 classes,
average pools that leave the padding out, a maximum pool in the very last block. The table below
is in the key layout of the published PyTorch conversion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from stylepress.artifact import file_digest
from stylepress.benchmarks.quality.features.extractor import (
    FID_DIMENSION,
    FID_FILES,
    FID_LAYER,
    ExtractorFact,
    Pixels,
    Seen,
)
from stylepress.benchmarks.quality.features.preprocessing import prepared
from stylepress.errors import CheckpointError
from stylepress.train.weights.families import some
from stylepress.train.weights.state import read_state

SIDE, CLASSES, EPSILON, BATCH = 299, 1008, 1e-3, 8
CLASSIFIER = "fc"


class Conv(NamedTuple):
    """A convolution, its normalisation and ReLU; at stride 1 inside a block it keeps the size."""

    name: str
    channels: int
    kernel: tuple[int, int]
    stride: int = 1


class Branch(NamedTuple):
    """A pool or none, convolutions in turn, and at its end perhaps two beside each other."""

    pool: str
    chain: tuple[Conv, ...] = ()
    fork: tuple[Conv, ...] = ()


STEM: tuple[tuple[Conv, bool, bool], ...] = (
    # convolution, whether it keeps the size, whether a pool follows
    (Conv("Conv2d_1a_3x3", 32, (3, 3), 2), False, False),
    (Conv("Conv2d_2a_3x3", 32, (3, 3)), False, False),
    (Conv("Conv2d_2b_3x3", 64, (3, 3)), True, True),
    (Conv("Conv2d_3b_1x1", 80, (1, 1)), True, False),
    (Conv("Conv2d_4a_3x3", 192, (3, 3)), False, True),
)
MIXED_5 = (
    "1x1 64 1x1 | 5x5_1 48 1x1, 5x5_2 64 5x5 | "
    "3x3dbl_1 64 1x1, 3x3dbl_2 96 3x3, 3x3dbl_3 96 3x3 | average: _pool {pooled} 1x1"
)
MIXED_6 = (
    "1x1 192 1x1 | 7x7_1 {inner} 1x1, 7x7_2 {inner} 1x7, 7x7_3 192 7x1 | "
    "7x7dbl_1 {inner} 1x1, 7x7dbl_2 {inner} 7x1, 7x7dbl_3 {inner} 1x7, 7x7dbl_4 {inner} 7x1, "
    "7x7dbl_5 192 1x7 | average: _pool 192 1x1"
)
MIXED_7 = (
    "1x1 320 1x1 | 3x3_1 384 1x1 + 3x3_2a 384 1x3 + 3x3_2b 384 3x1 | "
    "3x3dbl_1 448 1x1, 3x3dbl_2 384 3x3 + 3x3dbl_3a 384 1x3 + 3x3dbl_3b 384 3x1 | "
    "{pool}: _pool 192 1x1"
)
TABLE: Mapping[str, str] = {
    "Mixed_5b": MIXED_5.format(pooled=32),
    "Mixed_5c": MIXED_5.format(pooled=64),
    "Mixed_5d": MIXED_5.format(pooled=64),
    "Mixed_6a": "3x3 384 3x3/2 | 3x3dbl_1 64 1x1, 3x3dbl_2 96 3x3, 3x3dbl_3 96 3x3/2 | halving:",
    "Mixed_6b": MIXED_6.format(inner=128),
    "Mixed_6c": MIXED_6.format(inner=160),
    "Mixed_6d": MIXED_6.format(inner=160),
    "Mixed_6e": MIXED_6.format(inner=192),
    "Mixed_7a": "3x3_1 192 1x1, 3x3_2 320 3x3/2 | 7x7x3_1 192 1x1, 7x7x3_2 192 1x7, "
    "7x7x3_3 192 7x1, 7x7x3_4 192 3x3/2 | halving:",
    "Mixed_7b": MIXED_7.format(pool="average"),
    "Mixed_7c": MIXED_7.format(pool="maximum"),
}
"""By block its branches: a pool, then name, channels and kernel of convolutions in turn; those
after a + are side by side on what comes before."""


def _branch(text: str) -> Branch:
    pool, _, rest = text.rpartition(":")
    first, *beside = rest.split("+")
    chain, fork = (
        tuple(_conv(one) for one in group if one.strip()) for group in (first.split(","), beside)
    )
    return Branch(pool.strip(), chain, fork)


def _conv(text: str) -> Conv:
    name, channels, shape = text.split()
    kernel, _, stride = shape.partition("/")
    height, width = map(int, kernel.split("x"))
    return Conv(f"branch{name}", int(channels), (height, width), int(stride or 1))


BLOCKS: Mapping[str, tuple[Branch, ...]] = {
    block: tuple(map(_branch, text.split("|"))) for block, text in TABLE.items()
}


class Inception:
    """The network in eval mode, each normalisation folded into its convolution."""

    def __init__(self, state: Mapping[str, Tensor], source: object = "The state") -> None:
        """Take weights in the layout of the table.

        Raises:
            CheckpointError: weights of another network.
        """
        expected = shapes()
        wrong = [key for key, shape in expected.items() if _shape(state.get(key)) != shape]
        if wrong or set(state) - set(expected):
            raise CheckpointError(
                f"{source} is not the Inception network of FID: {some(wrong)} are missing or of "
                f"another shape, {some(sorted(set(state) - set(expected)))} unknown.",
                "Name pt_inception-2015-12-05-6726825d.pth.",
            )
        names = [key.removesuffix(".conv.weight") for key in expected if ".conv.weight" in key]
        self._layers = {name: _folded(state, name) for name in names}
        self._classifier = state[f"{CLASSIFIER}.weight"].float()

    @torch.inference_mode()
    def __call__(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, 3, 299, 299) float32 in [-1, 1] to features (N, 2048) and logits (N, 1008).

        The logits have no bias added, as the Inception Score of TensorFlow's graph has it.
        """
        x = batch
        for conv, keeps, pooled in STEM:
            x = self._convolved(x, conv.name, conv, keeps=keeps)
            x = F.max_pool2d(x, 3, 2) if pooled else x
        for block, branches in BLOCKS.items():
            x = torch.cat([self._branch(x, block, branch) for branch in branches], 1)
        features = x.mean((2, 3))
        return features, features @ self._classifier.T

    def _branch(self, x: Tensor, block: str, branch: Branch) -> Tensor:
        if branch.pool == "average":
            x = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        elif branch.pool:
            halving = branch.pool == "halving"
            x = F.max_pool2d(x, 3, 2 if halving else 1, 0 if halving else 1)
        for conv in branch.chain:
            x = self._convolved(x, f"{block}.{conv.name}", conv, keeps=conv.stride == 1)
        if not branch.fork:
            return x
        ends = [self._convolved(x, f"{block}.{end.name}", end, keeps=True) for end in branch.fork]
        return torch.cat(ends, 1)

    def _convolved(self, x: Tensor, name: str, conv: Conv, *, keeps: bool) -> Tensor:
        weight, bias = self._layers[name]
        padding = (conv.kernel[0] // 2, conv.kernel[1] // 2) if keeps else (0, 0)
        return F.relu(F.conv2d(x, weight, bias, conv.stride, padding))


class InceptionExtractor:
    """Features of the genuine weights file; what the key ``fid`` asks for."""

    def __init__(self, path: Path) -> None:
        """Load it.

        Raises:
            CheckpointError: not the published file, to the last bit.
        """
        sha256 = file_digest(path)
        if sha256 not in FID_FILES:
            raise CheckpointError(
                f"{path} has digest {sha256[:12]}, the Inception network of FID "
                f"{', '.join(one[:12] for one in sorted(FID_FILES))}: a distance over it may not "
                f"be called FID.",
                "Name the published file, or export yours to ONNX.",
            )
        self._network = Inception(read_state(path), path)
        self.fact = ExtractorFact(
            name="inception-2015-12-05",
            kind="inception",
            sha256=sha256,
            layer=FID_LAYER,
            dimension=FID_DIMENSION,
            preprocessing="clean",
        )

    def see(self, pictures: Sequence[Pixels]) -> Seen:
        """Describe pictures of any size."""
        features, logits = [], []
        for start in range(0, len(pictures), BATCH):
            batch = np.stack(
                [
                    prepared(picture, "clean", (SIDE, SIDE))
                    for picture in pictures[start : start + BATCH]
                ]
            )
            pooled, classes = self._network(torch.from_numpy(batch))
            features.append(pooled.double().numpy())
            logits.append(classes.double().numpy())
        return Seen(np.concatenate(features), np.concatenate(logits))


def shapes() -> dict[str, tuple[int, ...]]:
    """Return every key of the weights file and its shape."""
    found: dict[str, tuple[int, ...]] = {}
    inputs = 3

    def add(name: str, conv: Conv, channels: int) -> int:
        found[f"{name}.conv.weight"] = (conv.channels, channels, *conv.kernel)
        for part in ("weight", "bias", "running_mean", "running_var"):
            found[f"{name}.bn.{part}"] = (conv.channels,)
        return conv.channels

    for conv, _, _ in STEM:
        inputs = add(conv.name, conv, inputs)
    for block, branches in BLOCKS.items():
        outputs = 0
        for branch in branches:
            channels = inputs
            for conv in branch.chain:
                channels = add(f"{block}.{conv.name}", conv, channels)
            ends = [add(f"{block}.{end.name}", end, channels) for end in branch.fork]
            outputs += sum(ends) if ends else channels
        inputs = outputs
    found[f"{CLASSIFIER}.weight"] = (CLASSES, inputs)
    found[f"{CLASSIFIER}.bias"] = (CLASSES,)
    return found


def _folded(state: Mapping[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    weight, *norm = (
        state[f"{name}.{part}"].double()
        for part in ("conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")
    )
    scale = norm[0] / torch.sqrt(norm[3] + EPSILON)
    return (weight * scale[:, None, None, None]).float(), (norm[1] - norm[2] * scale).float()


def _shape(tensor: Tensor | None) -> tuple[int, ...] | None:
    return None if tensor is None else tuple(tensor.shape)
