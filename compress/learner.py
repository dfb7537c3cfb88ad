"""A network at rest as it learns: on pictures in [0, 1], and back to what is shipped."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from stylepress.errors import RecipeError
from stylepress.train.folding import fold, unfold
from stylepress.train.student import FoldedStudent, Student
from stylepress.train.teacher import to_public_range, to_unit_range
from stylepress.train.transformer import TransformerNet
from stylepress.train.unit_range import InUnitRange
from stylepress.train.weights.checkpoint import LoadedNetwork, load_network
from stylepress.train.weights.families import FAMILIES


@dataclass(frozen=True)
class Learner:
    """``module`` maps (N, 3, H, W) in [0, 1] to the same, unclamped; ``layers`` holds its layers.

    ``ship`` makes of the layers a network of their family, in the family's range.
    """

    module: nn.Module
    layers: nn.Module
    ship: Callable[[nn.Module], nn.Module]

    def shipped(self) -> nn.Module:
        """Return the network as it is shipped, in eval mode; what learns here stays as it is."""
        network = self.ship(copy.deepcopy(self.layers).cpu().eval())
        return network.eval().requires_grad_(False)


def picture_network(folder: Path) -> LoadedNetwork:
    """Load the network of a checkpoint that maps a picture, and nothing else, to a picture.

    Raises:
        CheckpointError: no checkpoint, or one that cannot be read.
        RecipeError: its family maps something else.
    """
    loaded = load_network(folder)
    frame = FAMILIES[loaded.family].graphs(loaded.config).get("frame")
    if frame is None or frame.inputs:
        raise RecipeError(
            f"{folder} is a network of the family {loaded.family}, which does not map a picture "
            f"alone to a picture, so nothing can learn from its pictures.",
            "Make a bundle of it as it is, with `stylepress export`.",
        )
    return loaded


def learner_of(loaded: LoadedNetwork) -> Learner:
    """Return a copy of a network that can learn.

    A student gets its upscalings back, which cannot print a grid, and one convolution for each
    folded block. A TransformerNet moves to [0, 1]: a kernel that reads 0..255 is so small that
    one step of Adam would overwrite it.
    """
    module = copy.deepcopy(loaded.module).requires_grad_(True)
    if isinstance(module, FoldedStudent):
        student = unfold(module, plain=True)
        return Learner(student, student, _folded)
    if isinstance(module, TransformerNet) and (loaded.image.low, loaded.image.high) == (0, 255):
        net = to_unit_range(module)
        return Learner(net, net, _public)
    return Learner(InUnitRange(module, loaded.image), module, lambda network: network)


def _folded(network: nn.Module) -> nn.Module:
    if not isinstance(network, Student):
        raise TypeError("what folds is a student")
    return fold(network)


def _public(network: nn.Module) -> nn.Module:
    if not isinstance(network, TransformerNet):
        raise TypeError("what moves to 0..255 is a TransformerNet")
    return to_public_range(network)
