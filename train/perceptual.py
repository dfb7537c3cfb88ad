"""The perceptual losses of Johnson et al. 2016, over VGG-16 weights that the user has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stylepress.errors import CheckpointError, FrameError
from stylepress.train.weights.families import some
from stylepress.train.weights.state import read_state

CHANNELS = (64, 128, 256, 512)
CONVOLUTIONS = (2, 2, 3, 3)
STAGES = (0, 5, 10, 17)
"""Where in torchvision's ``features`` each stage begins."""
DEPTH = 23
LEAST_SIDE = 16
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)


class Features(NamedTuple):
    """Activations of four depths: (N, 64, H, W), (N, 128, H/2, W/2), ... float32."""

    relu1_2: Tensor
    relu2_2: Tensor
    relu3_3: Tensor
    relu4_3: Tensor


class Vgg16(nn.Module):
    """The first ten convolutions of VGG-16 (arXiv 1409.1556), in the key layout of torchvision.

    Frozen and in eval mode. ``channels`` of the four stages are 64, 128, 256, 512 in the
    published network.
    """

    def __init__(self, channels: tuple[int, int, int, int] = CHANNELS) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for (inputs, outputs), count in zip(pairwise((3, *channels)), CONVOLUTIONS, strict=True):
            layers += [nn.MaxPool2d(2)] if layers else []
            for number in range(count):
                layers += [nn.Conv2d(outputs if number else inputs, outputs, 3, padding=1)]
                layers += [nn.ReLU()]
        self.features = nn.ModuleList(layers)
        self.eval().requires_grad_(False)

    def forward(self, image: Tensor) -> Features:
        """Take (N, 3, H, W) float32 RGB in [0, 1], H and W at least 16; leave it as it is."""
        mean, deviation = image.new_tensor(MEAN), image.new_tensor(DEVIATION)
        x = (image - mean.view(1, 3, 1, 1)) / deviation.view(1, 3, 1, 1)
        taken: list[Tensor] = []
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                taken.append(x)
            x = layer(x)
        return Features._make([*taken, x])


def load_vgg16(path: Path) -> Vgg16:
    """Load torchvision's VGG-16 from its file, or from one that holds only its features.

    Raises:
        CheckpointError: damaged, unsafe or other weights.
    """
    return vgg16_from(read_state(path), path)


def vgg16_from(state: Mapping[str, Tensor], source: object = "The state") -> Vgg16:
    """Build a Vgg16 from a torchvision state dict of any width; what lies deeper is left out.

    Raises:
        CheckpointError: keys or shapes of another network (VGG-19, batch normalisation).
    """
    firsts = [state.get(f"features.{index}.weight", torch.empty(0)) for index in STAGES]
    one, two, three, four = (max(1, first.shape[:1].numel()) for first in firsts)
    with torch.device("meta"):
        expected = Vgg16((one, two, three, four)).state_dict()
    own = {key for key in state if _within(key)}
    if own != set(expected):
        raise CheckpointError(
            f"{source} is no VGG-16 of torchvision: of its first {DEPTH} layers it lacks "
            f"{some(sorted(set(expected) - own))} and has {some(sorted(own - set(expected)))} "
            f"beyond them. Name vgg16-397923af.pth, not a VGG-19 nor one with batch norm."
        )
    for key, tensor in expected.items():
        if state[key].shape != tensor.shape:
            raise CheckpointError(
                f"{source} is no VGG-16 of torchvision: layer {key} has shape "
                f"{tuple(state[key].shape)} where {tuple(tensor.shape)} is expected. "
                f"Name vgg16-397923af.pth."
            )
    with torch.random.fork_rng(devices=[]):
        vgg = Vgg16((one, two, three, four))
    vgg.load_state_dict({key: state[key] for key in expected})
    return vgg


def _within(key: str) -> bool:
    """Say whether a key of torchvision lies in the layers up to relu4_3."""
    match = re.match(r"features\.(\d+)\.", key)
    return match is not None and int(match.group(1)) < DEPTH


class PerceptualLoss(nn.Module):
    """Squared feature distance to the content, squared Gram distance to the style picture.

    The weights are those of pytorch/examples for the published VGG-16. ``range_weight``, which the
    paper has not, pulls values back that a frame could not show. Follows the output's device.
    """

    def __init__(
        self,
        vgg: Vgg16,
        style: Tensor,
        *,
        content_weight: float = 1e5,
        style_weight: float = 1e10,
        range_weight: float = 1e5,
    ) -> None:
        """Keep the Gram matrices of ``style``, (3, H, W) float32 RGB in [0, 1].

        The picture is taken whole: hand it over at the size whose brush strokes are wanted.

        Raises:
            FrameError: the style picture is smaller than 16 pixels.
        """
        super().__init__()
        if min(style.shape[-2:]) < LEAST_SIDE:
            raise FrameError(
                f"The style picture is {style.shape[-1]}x{style.shape[-2]} pixels, fewer than "
                f"{LEAST_SIDE} on a side. Take a larger picture."
            )
        self.vgg = vgg
        self.content_weight, self.style_weight = content_weight, style_weight
        self.range_weight = range_weight
        with torch.no_grad():
            for name, activation in vgg(style[None])._asdict().items():
                self.register_buffer(name, gram(activation))

    def forward(
        self, output: Tensor, content: Tensor, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """Return {"style", "content", "range"}, each a weighted scalar.

        ``output`` and ``content`` are (N, 3, H, W) float32 RGB in [0, 1]; ``output`` may exceed
        it. Nothing here is random: ``generator`` is what the trainer hands to any loss.
        """
        self.to(output.device)
        with torch.no_grad():
            wanted = self.vgg(content).relu2_2
        seen = self.vgg(output)
        style = output.new_zeros(())
        for name, activation in seen._asdict().items():
            target = self.get_buffer(name).expand(len(output), -1, -1)
            style = style + F.mse_loss(gram(activation), target)
        outside = F.relu(-output) + F.relu(output - 1)
        return {
            "style": self.style_weight * style,
            "content": self.content_weight * F.mse_loss(seen.relu2_2, wanted),
            "range": self.range_weight * outside.mean(),
        }


def gram(activation: Tensor) -> Tensor:
    """Channel products over all pixels: (N, C, H, W) to (N, C, C), divided by C*H*W."""
    flat = activation.flatten(2)
    return flat @ flat.transpose(1, 2) / flat[0].numel()
