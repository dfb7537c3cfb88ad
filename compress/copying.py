"""Distances of a student's pictures to the teacher's in the features of VGG, as terms."""

from __future__ import annotations

import torch
from torch import Tensor

from stylepress.compress.terms import Comparison, Term, to_style_share
from stylepress.train.features.distances import COPY_LAYERS, DEEP, gram, relative_gap, style_grams
from stylepress.train.features.vgg import Vgg

CORNERS = 0.3
"""Share of the steps that look at a corner of the crop, and so at the edges of pictures."""


class Copying:
    """Features of both pictures of a comparison, computed once for the terms that look at them.

    They are of a square in the middle, ``margin_px`` from each side of the crop, because a student
    lacks what is around a crop; at some steps of one in a corner, because pictures have edges.
    """

    def __init__(self, vgg: Vgg, margin_px: int = 0, style: Tensor | None = None) -> None:
        """Keep the Gram matrices of ``style``, (3, H, W) float32 in [0, 1], where there is one."""
        self._vgg, self._margin = vgg, margin_px
        self._style = None if style is None else style_grams(vgg, style)
        self._last: tuple[Comparison, dict[str, Tensor], dict[str, Tensor]] | None = None

    @property
    def terms(self) -> tuple[Term, ...]:
        """The distance of the features, place by place, and those of their Gram matrices.

        The latter are held against the teacher's and, for the share ``to_style``, the style's.
        """
        styled = self._style is not None
        return (
            Term("copy", lambda step, _: step.copy_weight, self.distance),
            Term(
                "grams",
                lambda step, _: step.gram_weight * (1 - to_style_share(step) * styled),
                self.gram_distance,
            ),
            Term(
                "style_grams",
                lambda step, _: step.gram_weight * to_style_share(step) * styled,
                self.style_distance,
            ),
        )

    def distance(self, comparison: Comparison) -> Tensor:
        """Mean over relu1_1 to relu4_1 of the squared distance over the target's square.

        The deepest counts for more at the steps that look at it, so that nothing changes in the mean.
        """
        drawn, aims = self._features(comparison)
        gaps = [
            relative_gap(drawn[name], aims[name]).mean() / (DEEP if name == COPY_LAYERS[-1] else 1)
            for name in drawn
        ]
        return torch.stack(gaps).sum() / len(COPY_LAYERS)

    def gram_distance(self, comparison: Comparison) -> Tensor:
        """The same of the Gram matrices: the texture is right even where its place is not."""
        drawn, aims = self._features(comparison)
        gaps = [relative_gap(gram(drawn[name]), gram(aims[name])) for name in drawn]
        return torch.stack(gaps).mean()

    def style_distance(self, comparison: Comparison) -> Tensor:
        """Distance of the Gram matrices to the style picture's: what a teacher strews about."""
        drawn, _ = self._features(comparison)
        if self._style is None:
            return comparison.output.new_zeros(())
        gaps = [relative_gap(gram(drawn[name]), self._style[name]) for name in drawn]
        return torch.stack(gaps).mean()

    def _features(self, comparison: Comparison) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        if self._last is None or self._last[0] is not comparison:
            down, right = self._place(comparison.draw)
            height, width = (side - 2 * self._margin for side in comparison.output.shape[-2:])
            square = (..., slice(down, down + height), slice(right, right + width))
            deep = float(torch.rand(1, generator=comparison.draw)) < DEEP
            layers = COPY_LAYERS if deep else COPY_LAYERS[:-1]
            with torch.no_grad():
                aims = self._vgg(comparison.target[square], layers)
            self._last = (comparison, self._vgg(comparison.output[square], layers), aims)
        return self._last[1], self._last[2]

    def _place(self, draw: torch.Generator) -> tuple[int, int]:
        """Return how far down and right the square begins, in pixels."""
        if not self._margin:
            return 0, 0
        chance, down, right = torch.rand(3, generator=draw).tolist()
        if chance >= CORNERS:
            return self._margin, self._margin
        return 2 * self._margin * round(down), 2 * self._margin * round(right)
