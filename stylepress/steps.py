"""The steps of a recipe: what each may be asked for, once, as one model a step.

A step is a function ``(source, step, out, work) -> Artifact`` in its room; ``stylepress/build.py``
says which. What a step needs of the data stands in it: ``photos``, ``style`` and ``seed`` are the
recipe's where a step gives none of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, model_validator
from typing_extensions import Self

from stylepress.diffusion_step import DiffusionStep
from stylepress.model_steps import ModelStep
from stylepress.ports import ColourOrder
from stylepress.qat_step import QatStep
from stylepress.section import Section
from stylepress.step_fields import (
    LEAST_COMPARED_PX,
    VERIFY_SIZES,
    CropPx,
    FolderName,
    LearningRate,
    PhotoFolder,
    Preset,
    SidePx,
    Size,
    Sizes,
    Steps,
    StylingStep,
    TemporalWeight,
    Weight,
)

REPORTING = frozenset({"sample_every", "save_every", "folder"})
"""Keys that change what is reported on the way or where it is kept, and nothing in the result."""
INHERITED = ("photos", "style", "seed")
"""Keys that a step takes from its recipe when it gives none."""


class LoadStep(Section):
    """Take somebody's trained network: nothing is learnt, it is checked and written as ours."""

    step: Literal["load"] = "load"
    checkpoint: Path = Field(
        description=".pth, .safetensors, .onnx, a diffusers folder, or one that stylepress wrote"
    )
    low: float | None = Field(default=None, description="its value of black; default its family's")
    high: float | None = Field(default=None, description="its value of white")
    order: ColourOrder | None = Field(default=None, description="its colour order")
    statistics: Literal["picture", "training"] | None = Field(
        default=None, description="what a BatchNorm of pix2pix goes by; default picture"
    )
    sampling: int | None = Field(
        default=None, ge=1, le=100, description="steps of DDIM of a diffusion model; default 10"
    )
    half: bool = Field(default=False, description="keep its weights as float16, in half the bytes")
    photos: PhotoFolder = None
    folder: FolderName = None

    @model_validator(mode="after")
    def _a_range(self) -> Self:
        if (self.low is None) != (self.high is None) or (
            self.low is not None and self.high is not None and not self.low < self.high
        ):
            raise ValueError(
                f"the range of its images is {self.low} to {self.high}. "
                f"Give `low` (black) and the larger `high` (white) together, e.g. -1 and 1."
            )
        return self


class TrainStep(StylingStep):
    """Train a TransformerNet teacher on the style."""

    step: Literal["train"] = "train"
    width: int = Field(default=32, ge=4, le=256, description="channels of the first layer")
    blocks: int = Field(default=5, ge=1, le=32, description="residual blocks")
    steps: Steps = 2000
    batch: int = Field(default=1, ge=1, le=1024)
    learning_rate: LearningRate = 1.5e-3
    content_weight: Weight | None = Field(
        default=None, description="default 0.15 for vgg (0.05 puts style first), 0.1 for swd"
    )
    style_weight: Weight = 1.0
    palette_weight: Weight = Field(
        default=0.0,
        description="distance to the nearest colour of the style, for swd: cures droplets, costs hues",
    )
    style_px: CropPx = Field(
        default=768,
        description="side of the random square of the style picture that a swd step looks at",
    )
    temporal_weight: TemporalWeight = 0.0
    start: Path | None = Field(
        default=None, description="a teacher of the same width and blocks to go on from"
    )
    near: Path | None = Field(
        default=None,
        description="for vgg: a student whose pictures to stay near, so that students can follow",
    )
    near_weight: Weight = Field(default=0.5, description="for `near`: distance in VGG's features")

    @model_validator(mode="after")
    def _pulled_somewhere(self) -> Self:
        if self.style_weight == 0:
            raise ValueError(
                "style_weight is 0, so the network would learn no style. Give it a weight above 0."
            )
        return self


class DistilStep(StylingStep):
    """Teach the student to draw what the teacher draws."""

    step: Literal["distil"] = "distil"
    preset: Preset = Field(default="base", description="size of the student")
    size: Size | None = Field(default=None, description="another size than a preset's")
    steps: Steps = 3800
    batch: int = Field(default=2, ge=1, le=1024)
    learning_rate: LearningRate = 3e-3
    start: Path | None = Field(
        default=None, description="folder of a student of the same preset to go on from"
    )
    pixel_share: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="first share of the steps, in which pictures are compared in pixels alone: such "
        "a step costs a fraction of the others; default 0.5 for vgg without `start`, else 0",
    )
    margin_px: int | None = Field(
        default=None,
        ge=0,
        le=256,
        multiple_of=4,
        description="rim of a crop that features leave out, for want of what is around it; "
        "default 48 for vgg",
    )
    copy_weight: Weight = Field(
        default=1.0, description="for vgg: distance to the teacher's frame in its features"
    )
    gram_weight: Weight = Field(
        default=0.6, description="for vgg: distance in Gram matrices, to frame and style picture"
    )
    frame_weight: Weight | None = Field(
        default=None,
        description="distance to the teacher's frame in pixels; default 1",
    )
    style_weight: Weight | None = Field(
        default=None,
        description="patch distance to the teacher's frame; default 0 for vgg, 1 for swd",
    )
    content_weight: Weight | None = Field(
        default=None, description="content distance to the photo; default 0 for vgg, 0.15 for swd"
    )
    edge_weight: Weight = Field(
        default=1.0, description="distance of the differences of neighbours, in those first steps"
    )
    grid_weight: Weight = Field(
        default=30.0, description="distance of what is locked to a 4-pixel grid"
    )
    feature_weight: Weight = Field(default=0.0, description="distance between inner features")
    patchgan_weight: Weight = Field(
        default=0.0,
        description="likeness by a discriminator of 70-pixel patches that learns beside; what it gains "
        "here was not measured",
    )
    taps: tuple[str, ...] = Field(
        default=(), description="teacher layers to compare features with, e.g. res5"
    )
    to_style: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="share of the style term that looks at the style picture, not the teacher; "
        "default 0 for vgg, 0.6 for swd",
    )
    noise_weight: Weight = Field(
        default=0.15, description="steadiness under noise and small shifts, for video"
    )
    temporal_weight: TemporalWeight = 0.0
    noise_level: float = Field(
        default=0.012, ge=0, le=0.5, description="deviation of that noise, white being 1"
    )
    twin_shift: int = Field(default=3, ge=0, le=16, description="most pixels of those shifts")
    pool: int = Field(default=160, ge=1, le=100_000, description="teacher pictures drawn once")
    pool_px: CropPx = Field(default=512, description="side of those pictures")
    freeze_norm_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="last share of the steps, with batch statistics frozen",
    )

    @model_validator(mode="after")
    def _pulled_somewhere(self) -> Self:
        if self.feature_weight > 0 and not self.taps:
            raise ValueError(
                "feature_weight is set but no layer is tapped. "
                "Name teacher layers, e.g. `taps: [res5]`."
            )
        copied = self.copy_weight if self.loss != "swd" else 0
        if self.frame_weight == self.style_weight == self.feature_weight == copied == 0:
            raise ValueError(
                "frame_weight, style_weight, copy_weight and feature_weight are all 0, so the "
                "student would learn nothing. Give one of them a weight above 0."
            )
        if self.crop_px - 2 * (self.margin_px or 0) < LEAST_COMPARED_PX:
            raise ValueError(
                f"crop_px {self.crop_px} less twice margin_px {self.margin_px} leaves fewer than "
                f"{LEAST_COMPARED_PX} pixels to compare. Raise crop_px, or lower margin_px."
            )
        if self.crop_px > self.pool_px:
            raise ValueError(
                f"crop_px is {self.crop_px}, but crops are cut from pictures of pool_px "
                f"{self.pool_px}. Raise pool_px, or lower crop_px."
            )
        return self


class PruneStep(StylingStep):
    """Make layers narrower, and let the network learn again what it drew before.

    Channels go together where the network ties them (the trunk of residual blocks is one width).
    """

    step: Literal["prune"] = "prune"
    keep: float = Field(default=0.7, gt=0, le=1, description="share of all channels that stays")
    multiple_of: int = Field(
        default=16, ge=1, le=256, description="of what a narrowed width is a multiple; 32 for INT8"
    )
    layers: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field(
        default_factory=dict, description="shares that stay of single groups, by their first layer"
    )
    plan: Path | None = Field(
        default=None,
        description="pruning.json of another network of this family: cut the same, choose nothing",
    )
    teacher: Path | None = Field(
        default=None,
        description="checkpoint whose pictures are learnt; default those of the network itself",
    )
    engine: Literal["openvino", "onnxruntime"] | None = Field(
        default=None,
        description="choose by the time a layer takes there; default its multiply-accumulates",
    )
    weights: Literal["kept", "fresh"] = Field(
        default="kept", description="fresh: the same architecture, narrower, learns from nothing"
    )
    rounds: int = Field(default=2, ge=1, le=16, description="cuts, with a recovery after each")
    steps: Steps = Field(default=900, description="of recovery, over all rounds")
    batch: int = Field(default=2, ge=1, le=1024)
    learning_rate: LearningRate = Field(
        default=3e-4, description="a tenth of a distillation's: more overwrites what stayed"
    )
    max_drift: float = Field(
        default=0.5, gt=0, le=10, description="fidelity, 0 a copy, beyond which a cut is undone"
    )
    pictures: int = Field(default=8, ge=1, le=1024, description="crops to compare channels on")

    def recovery(self, steps: int) -> DistilStep:
        """Return the distillation of one recovery, over so many steps."""
        shared = {
            key: getattr(self, key)
            for key in StylingStep.model_fields
            if key not in ("steps", "folder")
        }
        pool_px = max(self.crop_px, min(512, 2 * self.crop_px))
        return DistilStep(
            steps=steps, pool=min(160, 4 * steps * self.batch), pool_px=pool_px, **shared
        )


class ExportStep(Section):
    """Write a network as a verified float bundle."""

    step: Literal["export"] = "export"
    opset: int = Field(default=18, ge=18, le=23)
    verify_sizes: Sizes = VERIFY_SIZES
    photos: PhotoFolder = None
    folder: FolderName = None


class QuantizeStep(Section):
    """Make a float bundle INT8, with ranges from photos, as near to float as is asked."""

    step: Literal["quantize"] = "quantize"
    calibration: Literal["minmax", "percentile", "entropy", "mse"] = "percentile"
    percentile: float = Field(
        default=99.99, ge=50, le=100, description="for that calibration: what is not clipped"
    )
    calibration_photos: int = Field(default=16, ge=1, le=4096)
    calibration_px: int = Field(
        default=640,
        ge=64,
        le=8192,
        description="longer side of those photos; beyond 640 they are taken in tiles",
    )
    keep_float: Literal["ends", "first", "last", "none"] | tuple[str, ...] = Field(
        default="ends", description="convolutions that stay in float: by place, or by name"
    )
    equalize: bool = Field(
        default=True, description="bring channels to one range; free at run time"
    )
    correct_bias: bool = Field(default=True, description="take the mean error out of the biases")
    min_psnr_db: float = Field(
        default=32.0, ge=0, le=100, description="int8 against float, or it fails"
    )
    repair: bool = Field(
        default=True, description="give convolutions back to float where that is missed"
    )
    engine: Literal["openvino", "onnxruntime"] | None = Field(
        default=None,
        description="repair by the time a layer takes there; default its multiply-accumulates",
    )
    verify_sizes: Sizes = VERIFY_SIZES
    photos: PhotoFolder = None
    folder: FolderName = None


class LowerStep(Section):
    """Bring a bundle into the form that a target's engines take, each change held against it.

    ``size`` and ``batch`` fix what is free otherwise; ``variant: dla`` changes the network itself.
    """

    step: Literal["lower"] = "lower"
    target: str = Field(description="name of a target, or a target file")
    fp16: bool = Field(
        default=False, description="of a float bundle: halve what is between its ends"
    )
    size: tuple[SidePx, SidePx] | None = Field(
        default=None, description="[height, width], pixels: the only frames it takes then"
    )
    batch: int | None = Field(default=None, ge=1, le=64, description="the only batch it takes then")
    variant: Literal["equal", "dla"] = Field(
        default="equal",
        description="dla: zero padding and folded norms, for NVDLA; train on with it",
    )
    min_psnr_db: float = Field(
        default=32.0, ge=0, le=100, description="where values are rounded on purpose, or it fails"
    )
    photos: PhotoFolder = None
    folder: FolderName = None


class EngineStep(Section):
    """Compile a bundle for a target whose compiler runs on any machine."""

    step: Literal["engine"] = "engine"
    target: str = Field(description="name of a target, or a target file")
    folder: FolderName = None


Step: TypeAlias = (
    LoadStep
    | TrainStep
    | ModelStep
    | DiffusionStep
    | DistilStep
    | PruneStep
    | QatStep
    | ExportStep
    | QuantizeStep
    | LowerStep
    | EngineStep
)
AnyStep = Annotated[Step, Field(discriminator="step")]
"""A step as a recipe holds it, known by its key ``step``."""


def identity(step: Section) -> dict[str, Any]:
    """Return what of a step decides its result, for a build key.

    >>> identity(TrainStep(save_every=5)) == identity(TrainStep())
    True
    """
    return step.model_dump(mode="json", exclude=set(REPORTING))


def recorded(step: Section) -> dict[str, Any]:
    """Return what of a step stands in a manifest: its values, and no path of this machine."""
    return step.model_dump(
        mode="json",
        exclude={
            *REPORTING,
            *("photos", "style", "styles", "paintings", "vgg", "start", "near", "plan", "teacher"),
            *("pipeline", "vae", "loras", "controlnet", "adapter"),
        },
    )
