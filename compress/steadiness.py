"""The term of a distillation that holds a student steady in motion, for video."""

from __future__ import annotations

from torch import Tensor

from stylepress.compress.terms import Comparison, Term
from stylepress.train.temporal import inconsistency, movement


def unrest(comparison: Comparison) -> Tensor:
    """How far the student's picture of a moved photo is from its moved picture of the photo."""
    if comparison.redraw is None:
        return comparison.output.new_zeros(())
    content = comparison.content
    height, width = content.shape[-2:]
    move = movement((height, width), comparison.draw, content.device)
    second = comparison.redraw(move.seen(content))[..., :height, :width].float()
    return inconsistency(comparison.output, second, content, move)


TEMPORAL = Term("temporal", lambda step, _: step.temporal_weight, unrest)
"""Costs one more forward pass of the student; left out where its weight is 0."""
