"""What the keys of a step mean that were left open, once its loss is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeVar, cast

from stylepress.model_steps import LibraryStep
from stylepress.step_fields import LEAST_COMPARED_PX
from stylepress.steps import DistilStep, TrainStep

StepT = TypeVar("StepT", bound=TrainStep | DistilStep | LibraryStep)

USUAL: Mapping[str, Mapping[str, Mapping[str, float]]] = {
    "train": {"vgg": {"content_weight": 0.15}, "swd": {"content_weight": 0.1}},
    "library": {"vgg": {"content_weight": 0.15}, "swd": {"content_weight": 0.1}},
    "distil": {
        "vgg": {
            "pixel_share": 0.5,
            "margin_px": 48,
            "frame_weight": 1,
            "style_weight": 0,
            "content_weight": 0,
        },
        "swd": {
            "pixel_share": 0,
            "margin_px": 0,
            "frame_weight": 1,
            "style_weight": 1,
            "content_weight": 0.15,
        },
    },
}
"""What the keys mean that were left open, by step and loss."""


def with_loss(step: StepT, loss: Literal["vgg", "swd"]) -> StepT:
    """Return a step that trains with ``loss``, with the weights filled in that are usual for it.

    >>> with_loss(DistilStep(frame_weight=2), "vgg").frame_weight
    2.0
    """
    usual = USUAL[step.step][loss]
    filled = {key: value for key, value in usual.items() if getattr(step, key) is None}
    if isinstance(step, DistilStep) and "margin_px" in filled:
        room = (step.crop_px - LEAST_COMPARED_PX) // 8 * 4  # on both sides, in fours
        filled["margin_px"] = min(filled["margin_px"], room)
    if isinstance(step, DistilStep) and step.start is not None and "pixel_share" in filled:
        filled["pixel_share"] = 0  # what goes on learning has the large shapes already
    return cast("StepT", step.model_copy(update={"loss": loss, **filled}))
