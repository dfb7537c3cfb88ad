"""The perceptual loss that teachers are trained with where VGG weights are found."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from stylepress.errors import FrameError
from stylepress.train.features.distances import (
    CONTENT_LAYER,
    COPY_LAYERS,
    STYLE_LAYERS,
    copy_distance,
    out_of_range,
    relative_gap,
    style_distance,
    style_grams,
    total_variation,
)
from stylepress.train.features.vgg import LEAST_SIDE, Vgg

CONTENT_WEIGHT = 0.15
"""0.05 puts style first; at 0.15 the subject stays recognisable."""


class PerceptualLoss:
    """Relative Gram distance to the style picture, relative feature distance to the content.

    Johnson et al. 2016 (arXiv 1603.08155) over published VGG weights, each term divided by the
    squared length of what it aims at, so that weights mean the same for every style. Total
    variation smooths, ``range_weight`` pulls back values that a frame could not show.
    """

    def __init__(
        self,
        vgg: Vgg,
        style: Tensor,
        *,
        content_weight: float = CONTENT_WEIGHT,
        style_weight: float = 1.0,
        variation_weight: float = 0.02,
        range_weight: float = 0.5,
        near: Callable[[Tensor], Tensor] | None = None,
        near_weight: float = 0.5,
    ) -> None:
        """Keep the Gram matrices of ``style``, (3, H, W) float32 RGB in [0, 1], vgg's device.

        A picture with a shorter side above 448 pixels is looked at in that size. ``near`` draws
        (N, 3, H, W) in [0, 1]: pictures to stay near, as networks that learn from each other do
        (Zhang et al. 2018, arXiv 1706.00384). A student's, so that what it cannot draw is given up.

        Raises:
            FrameError: the style picture is smaller than 16 pixels.
        """
        if min(style.shape[-2:]) < LEAST_SIDE:
            raise FrameError(
                f"The style picture is {style.shape[-1]}x{style.shape[-2]} pixels, fewer than "
                f"{LEAST_SIDE} on a side.",
                "Take a larger picture.",
            )
        self.vgg = vgg
        self.content_weight, self.style_weight = content_weight, style_weight
        self.variation_weight, self.range_weight = variation_weight, range_weight
        self.near, self.near_weight = near, near_weight
        self.grams = style_grams(vgg, style)

    def __call__(
        self, output: Tensor, content: Tensor, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """Return {"style", "content", "variation", "range"}, and "near", each a weighted scalar.

        ``output`` and ``content`` are (N, 3, H, W) float32 RGB in [0, 1]; ``output`` may exceed
        it. Nothing here is random: ``generator`` is what the trainer hands to any loss.
        """
        with torch.no_grad():
            aim = self.vgg(content, (CONTENT_LAYER,))[CONTENT_LAYER]
        drawn = self.vgg(output, STYLE_LAYERS)
        terms = {
            "style": self.style_weight * style_distance(drawn, self.grams).mean(),
            "content": self.content_weight * relative_gap(drawn[CONTENT_LAYER], aim).mean(),
            "variation": self.variation_weight * total_variation(output),
            "range": self.range_weight * out_of_range(output),
        }
        if self.near is not None and self.near_weight:
            with torch.no_grad():
                aims = self.vgg(self.near(content), COPY_LAYERS)
            terms["near"] = self.near_weight * copy_distance(drawn, aims).mean()
        return terms
