"""Steps that train the other models: any style, several styles, translators, samplers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

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
        default=64, ge=1, le=128, description="width of the decoder; 64 is the published one"
    )
    steps: Steps = 800
    crop_px: CropPx = 128
    batch: Batch = 2
    learning_rate: LearningRate = 2e-5
    content_weight: Weight = 1.0
    style_weight: Weight = 10.0
    vgg: VggFile = None


class Painting(Trained):
    """What a step that trains one network on several styles may be asked for."""

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


class LibraryStyle(Style):
    """A style of a library: a picture, a pattern, or a network whose pictures are copied."""

    teacher: Path | None = Field(
        default=None, description="checkpoint of a network whose pictures are copied"
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if [self.picture, self.pattern, self.teacher].count(None) != 2:
            raise ValueError(
                "a style of a library is one picture, one pattern or one teacher. "
                "Write `glass: {teacher: glass/teacher}`, or `starry: starry.jpg`."
            )
        return self


class LibraryStep(Painting):
    """Train one network on several styles, mixed live by weights."""

    step: Literal["library"] = "library"
    styles: Mapping[StyleName, LibraryStyle] = Field(
        min_length=2, max_length=64, description="pictures, patterns or teachers by name"
    )
    width: int = Field(default=32, ge=4, le=256, description="channels of the first layer")
    blocks: int = Field(default=5, ge=1, le=32, description="residual blocks")


class RegionsStep(Painting):
    """Train one network on two styles: a mask says where which of them is drawn."""

    step: Literal["regions"] = "regions"
    inside: Style = Field(description="style where the mask is white")
    outside: Style = Field(description="style where the mask is black")
    width: int = Field(default=24, ge=4, le=256, description="channels of the first layer")
    blocks: int = Field(default=4, ge=1, le=32, description="residual blocks")
    border_weight: Weight = Field(
        default=10.0, description="of what lies within a mask against each style alone"
    )


class Generating(Trained):
    """What every step that trains a generator from pictures to pictures may be asked for."""

    width: int = Field(
        default=64, ge=2, le=256, description="channels of the generator's first layer"
    )
    blocks: int = Field(default=9, ge=1, le=32, description="residual blocks of the generator")
    up: Literal["transposed", "resize"] = Field(
        default="transposed", description="resize prints no checkerboard"
    )
    attention: bool = Field(default=False, description="let every place look at every other")
    scales: int = Field(default=1, ge=1, le=3, description="sizes that the generator works at")
    judge_width: int = Field(default=64, ge=2, le=256, description="channels of the discriminators")
    steady_share: float = Field(
        default=0.5, ge=0, le=1, description="first share of the steps, at the full learning rate"
    )
    steps: Steps = 20_000
    crop_px: CropPx = 128
    batch: Batch = 1
    learning_rate: LearningRate = 2e-4
    save_every: Every = 500


class TranslateStep(Generating):
    """Train a CycleGAN between two folders of pictures; what is kept maps photos to the other."""

    step: Literal["translate"] = "translate"
    paintings: Path = Field(description="folder of pictures that photos shall look like")
    cycle_weight: Weight = 10.0
    identity_weight: Weight = 0.5
    pool: int = Field(default=50, ge=0, le=1000, description="drawn pictures that are judged again")


Task = Annotated[
    Literal["cartoon", "edges"],
    Field(description="pairs made of photos: to flat colours and outlines, or back from outlines"),
]
PairFolder = Annotated[
    Path | None,
    Field(default=None, description="folder of pictures, input left and target right; or `task`"),
]
Prediction = Annotated[
    Literal["epsilon", "v_prediction"],
    Field(description="what a diffusion model predicts: the noise, or the velocity"),
]
NoiseSchedule = Annotated[
    Literal["linear", "scaled_linear", "squaredcos_cap_v2"],
    Field(description="of a diffusion model: how noise grows, in the names of diffusers"),
]
Sampling = Annotated[int, Field(ge=1, le=100, description="of a diffusion model: steps of DDIM")]
Average = Annotated[float, Field(ge=0, lt=1, description="decay of the average of the weights")]


class PairsStep(Generating):
    """Train pix2pix on pairs of pictures: a generator, a discriminator of patches, and L1."""

    step: Literal["pairs"] = "pairs"
    pairs: PairFolder = None
    task: Task = "cartoon"
    model: Literal["resnet", "unet"] = "resnet"
    downs: int = Field(default=6, ge=2, le=8, description="of unet: how often it halves")
    pixel_weight: Weight = Field(default=100.0, description="of the mean distance a pixel (L1)")

    @model_validator(mode="after")
    def _options_of_resnet(self) -> Self:
        if self.model == "unet" and (self.up, self.attention, self.scales) != (
            "transposed",
            False,
            1,
        ):
            raise ValueError(
                "up, attention and scales are options of the resnet. "
                "Leave them out, or take `model: resnet`."
            )
        return self


class DiffuseStep(Trained):
    """Train a diffusion model that stylizes: it sees the picture while it takes noise away."""

    step: Literal["diffuse"] = "diffuse"
    pairs: PairFolder = None
    task: Task = "cartoon"
    width: int = Field(default=32, ge=4, le=256, multiple_of=4, description="channels, first level")
    levels: int = Field(default=3, ge=2, le=5, description="sizes it works at, each half the last")
    sampling: Sampling = 4
    schedule: NoiseSchedule = "squaredcos_cap_v2"
    predicts: Prediction = "v_prediction"
    average: Average = 0.995
    steps: Steps = 4000
    crop_px: CropPx = 64
    batch: Batch = 8
    learning_rate: LearningRate = 5e-4
    save_every: Every = 500


class SampleStep(Trained):
    """Train a network that draws small pictures from noise, on crops of photos or of styles."""

    step: Literal["sample"] = "sample"
    model: Literal["dcgan", "ddpm", "cgan", "stylegan", "swin"] = "ddpm"
    classes: Mapping[StyleName, Style] | None = Field(
        default=None, description="of cgan: pictures or patterns by name, drawn by their label"
    )
    side_px: Literal[16, 32, 64] = 32
    width: int = Field(default=32, ge=4, le=256, description="channels of the widest picture")
    noise: int = Field(default=100, ge=1, le=1024, description="of a GAN: numbers a picture")
    penalty: Weight = Field(default=1.0, description="R1, of cgan, stylegan and swin")
    sampling: Sampling = 10
    schedule: NoiseSchedule = "squaredcos_cap_v2"
    predicts: Prediction = "epsilon"
    average: Average = 0.995
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

    @model_validator(mode="after")
    def _classes_of_cgan(self) -> Self:
        if (self.model == "cgan") != bool(self.classes):
            raise ValueError(
                "a cgan, and only that, draws pictures of named classes. "
                "Write `model: cgan` and `classes: {glass: {pattern: glass}, ...}`."
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


ModelStep: TypeAlias = (
    AdainStep
    | LibraryStep
    | RegionsStep
    | TranslateStep
    | PairsStep
    | DiffuseStep
    | SampleStep
    | ShortenStep
)
MODEL_STEPS = ("adain", "library", "regions", "translate", "pairs", "diffuse", "sample")
"""Their names in a recipe."""
