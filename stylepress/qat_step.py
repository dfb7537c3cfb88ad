"""The step that trains a network on in the rounding of INT8: `qat`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from stylepress.step_fields import LearningRate, Steps, StylingStep


class QatStep(StylingStep):
    """Train a network on with its values rounded as INT8 will round them.

    For networks that calibration alone leaves too far from float; one that is near enough stays
    as it is.
    """

    step: Literal["qat"] = "qat"
    steps: Steps = Field(default=300, description="of training; a twelfth of a distillation's")
    batch: int = Field(default=2, ge=1, le=1024)
    learning_rate: LearningRate = Field(default=1e-4, description="a thirtieth of a distillation's")
    teacher: Path | None = Field(
        default=None,
        description="checkpoint whose pictures are learnt; default those of the network in float",
    )
    min_psnr_db: float = Field(
        default=32.0,
        ge=0,
        le=100,
        description="rounded against the teacher's pictures: where it is met, nothing is trained",
    )
    keep_float: Literal["ends", "first", "last", "none"] = Field(
        default="ends", description="convolutions that are not rounded; as in `quantize`"
    )
    percentile: float = Field(
        default=99.99, ge=50, le=100, description="of a photo's values, what is not clipped"
    )
    pictures: int = Field(default=8, ge=1, le=1024, description="photos that ranges come from")
