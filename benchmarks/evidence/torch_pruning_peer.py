"""torch-pruning used as its own documentation uses it: magnitudes of kernels, one ratio everywhere."""

from __future__ import annotations

import warnings

import torch
import torch_pruning  # type: ignore[import-untyped]
from torch import Tensor, nn


def magnitude_pruned(
    network: nn.Module, picture: Tensor, *, keep: float, multiple_of: int
) -> nn.Module:
    """Make a network narrower in place, ``keep`` of the channels of each layer; return it.

    The layer that makes the picture stays. What is shared between calls of the library by default
    is handed over afresh.
    """
    last = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)][-1]
    network.requires_grad_(True)
    with warnings.catch_warnings(), torch.enable_grad():
        warnings.simplefilter("ignore")
        pruner = torch_pruning.pruner.BasePruner(
            network, picture, torch_pruning.importance.GroupMagnitudeImportance(p=2),
            pruning_ratio=1 - keep, round_to=multiple_of, ignored_layers=[last],
            in_channel_groups={}, out_channel_groups={}, num_heads={}, channel_groups={},
        )  # fmt: skip
        pruner.step()
    return network
