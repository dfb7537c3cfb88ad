"""What trainings of translators share: a generator by its options, the discriminator of patches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from stylepress.model_steps import Generating
from stylepress.train.families.norms import drawn_weights
from stylepress.train.families.resnet import ResnetGenerator
from stylepress.train.families.translator import Translator
from stylepress.train.trainer.part import Part, Schedule

BETAS = (0.5, 0.999)
Config = Mapping[str, Any]


def generator_of(step: Generating) -> tuple[nn.Module, str, Config]:
    """Return a ResNet generator, its family and its config: the public one where it will do."""
    if (step.up, step.attention, step.scales) == ("transposed", False, 1):
        config: dict[str, Any] = {
            "width": step.width,
            "blocks": step.blocks,
            "norm": "instance",
            "statistics": "picture",
            "dropout": 0,
            "antialias": 0,
        }
        return ResnetGenerator(step.width, step.blocks), "resnet", config
    config = {
        "width": step.width,
        "blocks": step.blocks,
        "up": step.up,
        "attention": int(step.attention),
        "scales": step.scales,
    }
    net = Translator(step.width, step.blocks, step.up, step.attention, step.scales)
    return net, "translator", config


def fresh_parts(nets: Mapping[str, nn.Module], step: Generating) -> list[Part]:
    """Draw the weights that GANs of this kind begin with; return a part for each network."""
    schedule, parts = steady_then_linear(step.steps, step.steady_share), []
    for name, net in nets.items():
        drawn_weights(net)
        descent = torch.optim.Adam(net.parameters(), lr=step.learning_rate, betas=BETAS)
        parts.append(Part(name, net, descent, schedule, clip_norm=None))
    return parts


class PatchJudge(nn.Module):
    """Map (N, C, H, W) in [-1, 1] to (N, 1, h, w): how real each patch of 70 pixels looks."""

    def __init__(self, width: int = 64, inputs: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(inputs, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for times, stride in ((1, 2), (2, 2), (4, 1)):
            inputs = times * width
            layers += [nn.Conv2d(inputs, 2 * inputs, 4, stride, 1)]
            layers += [nn.InstanceNorm2d(2 * inputs), nn.LeakyReLU(0.2)]
        self.model = nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        judged: Tensor = self.model(image)
        return judged


def steady_then_linear(steps: int, steady_share: float) -> Schedule:
    """Return the schedule that keeps its rate for a share of the steps and falls to zero in a line.

    >>> [steady_then_linear(10, 0.5)(number) for number in (0, 5, 9)]
    [1.0, 1.0, 0.2]
    """
    falling = max(1, steps - int(steps * steady_share))
    return lambda number: min(1.0, (steps - number) / falling)
