"""Steps that train the other models: any style, several styles, translators, samplers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from stylepress.step_fields import (
    Batch,
    CropPx,
    Every,
    LearningRate,
    Loss,
    Steps,
    Style,
    Trained,
    VggFile,
    Weight,
)

StyleName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]


class AdainStep(Trained):
    """Train the decoder of AdaIN, over genuine VGG-19, on photos and a folder of style pictures."""

    step: Literal["adain"] = "adain"
    styles: Path = Field(
        description="folder of style pictures; the more, the better it generalises"
    )
    decoder: int = Field(
        default=32, ge=1, le=128, description="width of the decoder; 64 is the published one"
    )
    steps: Steps = 1500
    crop_px: CropPx = 128
    batch: Batch = 2
    learning_rate: LearningRate = 1e-3
    content_weight: Weight = 1.0
    style_weight: Weight = 10.0
    vgg: VggFile = None


class LibraryStep(Trained):
    """Train one network on several styles, mixed live by weights."""

    step: Literal["library"] = "library"
    styles: Mapping[StyleName, Style] = Field(
        min_length=2, max_length=64, description="pictures or patterns by name"
    )
    width: int = Field(default=32, ge=4, le=256, description="channels of the first layer")
    blocks: int = Field(default=5, ge=1, le=32, description="residual blocks")
    steps: Steps = 4000
    crop_px: CropPx = 256
    batch: Batch = 1
    learning_rate: LearningRate = 1.5e-3
    loss: Loss = "auto"
    vgg: VggFile = None
    content_weight: Weight | None = Field(
        default=None, description="default 0.15 for vgg, 0.1 for swd"
    )
    style_weight: Weight = 1.0


class TranslateStep(Trained):
    """Train a CycleGAN between two folders of pictures; what is kept maps photos to the other."""

    step: Literal["translate"] = "translate"
    paintings: Path = Field(description="folder of pictures that photos shall look like")
    width: int = Field(
        default=64, ge=2, le=256, description="channels of the generators' first layer"
    )
    blocks: int = Field(default=9, ge=1, le=32, description="residual blocks of the generators")
    judge_width: int = Field(default=64, ge=2, le=256, description="channels of the discriminators")
    cycle_weight: Weight = 10.0
    identity_weight: Weight = 0.5
    pool: int = Field(default=50, ge=0, le=1000, description="drawn pictures that are judged again")
    steady_share: float = Field(
        default=0.5, ge=0, le=1, description="first share of the steps, at the full learning rate"
    )
    steps: Steps = 20_000
    crop_px: CropPx = 128
    batch: Batch = 1
    learning_rate: LearningRate = 2e-4
    save_every: Every = 500


class SampleStep(Trained):
    """Train a network that draws small pictures from noise, on crops of photos."""

    step: Literal["sample"] = "sample"
    model: Literal["dcgan", "ddpm"] = "ddpm"
    side_px: Literal[16, 32, 64] = 32
    width: int = Field(default=32, ge=4, le=256, description="channels of the widest picture")
    noise: int = Field(default=100, ge=1, le=1024, description="of dcgan: numbers a picture")
    sampling: int = Field(default=10, ge=1, le=100, description="of ddpm: steps of DDIM")
    predicts: Literal["epsilon", "v_prediction"] = Field(
        default="epsilon",
        description="of ddpm: what it learns; v_prediction where `shorten` shall follow",
    )
    average: float = Field(default=0.995, ge=0, lt=1, description="of ddpm: decay of the average")
    steps: Steps = 4000
    batch: Batch = 32
    learning_rate: LearningRate = 2e-4
    save_every: Every = 500

    @model_validator(mode="after")
    def _groups_fit(self) -> Self:
        if self.model == "ddpm" and self.width % 4:
            raise ValueError(
                f"width is {self.width}, and channels are normalised in four groups. "
                f"Take a multiple of 4."
            )
        return self


class ShortenStep(Trained):
    """Teach a diffusion model to draw in a few steps what it draws in many."""

    step: Literal["shorten"] = "shorten"
    sampling: int = Field(default=4, ge=1, le=64, description="steps it shall draw in")
    teacher_sampling: int = Field(
        default=32, ge=2, le=100, description="steps of DDIM of the model that it learns from"
    )
    method: Literal["halving", "consistency"] = Field(
        default="halving",
        description="two steps of the teacher in one, again and again; or the picture at once",
    )
    blocks: int | None = Field(
        default=None,
        ge=1,
        le=8,
        description="residual blocks a level that stay; default all",
    )
    feature_weight: Weight = Field(
        default=1.0, description="where blocks go: distance between what the levels hold"
    )
    steps: Steps = Field(default=4000, description="of all trainings together")
    batch: Batch = 32
    learning_rate: LearningRate = 2e-4
    average: float = Field(default=0.99, ge=0, lt=1, description="decay of the average")
    save_every: Every = 500
    judged: int = Field(
        default=128, ge=8, le=10_000, description="pictures of each model that are compared"
    )
    max_ratio: float = Field(
        default=1.3,
        ge=1,
        le=100,
        description="distance to held-out photos, in that of the teacher, beyond which it is undone",
    )

    @model_validator(mode="after")
    def _halves(self) -> Self:
        halvings, rest = divmod(self.teacher_sampling, self.sampling)
        if self.method == "halving" and (rest or halvings < 2 or halvings & (halvings - 1)):
            raise ValueError(
                f"teacher_sampling {self.teacher_sampling} cannot be halved down to sampling "
                f"{self.sampling}. Take {self.sampling} times 2, 4, 8, ..."
            )
        if self.sampling >= self.teacher_sampling:
            raise ValueError(
                f"sampling is {self.sampling}, and the teacher draws in {self.teacher_sampling} "
                f"steps already. Ask for fewer."
            )
        return self
