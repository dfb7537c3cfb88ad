"""A VGG-19 of a sixteenth of the width: the layers of the real one, in a moment."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from stylepress.train.features.vgg import Source, Vgg

WIDTHS = (3, 4, 4, 8, 8, 16, 16, 16, 16, 32, 32, 32, 32, 32)


def small_vgg() -> Vgg:
    """Random weights of one seed, up to relu5_1, in the public order."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(one, two, 3) for one, two in pairwise(WIDTHS)]
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight)
    pairs = [(layer.weight.detach(), torch.zeros(layer.out_channels)) for layer in layers]
    return Vgg(pairs, Source("vgg19", "caffe"))
