"""What to do: the teacher, the photos, the steps in their order, the target."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from typing_extensions import Self

from stylepress.document import Document, Section, load_document

Weight = Annotated[float, Field(ge=0, le=1000)]
Steps = Annotated[int, Field(ge=1, le=10_000_000)]
CropPx = Annotated[int, Field(ge=64, le=2048, multiple_of=4)]
LearningRate = Annotated[float, Field(gt=0, le=1)]
SidePx = Annotated[int, Field(ge=16, le=8192)]
Pattern = Literal["glass", "strokes", "woodcut"]
SectionT = TypeVar("SectionT", bound=Section)

REPORTING = frozenset({"sample_every", "save_every"})
"""Keys of a training that change what is told on the way, and nothing in the result."""


class Style(Section):
    """The style: a picture file, or a pattern drawn by ``stylepress styles draw``."""

    picture: Path | None = Field(default=None, description="picture file")
    pattern: Pattern | None = Field(default=None, description="name of a drawn pattern")
    seed: int = Field(default=0, ge=0, description="seed of the drawn pattern")
    size: int = Field(default=768, ge=64, le=4096, description="side of the drawn pattern, pixels")

    @model_validator(mode="before")
    @classmethod
    def _a_word_is_a_file(cls, value: Any) -> Any:
        return {"picture": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.picture is None) == (self.pattern is None):
            raise ValueError(
                "a style is one picture or one pattern. "
                "Write `style: picture.png`, or `style: {pattern: glass}`."
            )
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        mapping = handler.resolve_ref_schema(handler(schema))
        file = {"type": "string", "format": "path", "description": "picture file"}
        return {"anyOf": [file, mapping]}


class TrainStep(Section):
    """Train a TransformerNet teacher on the style."""

    width: int = Field(default=32, ge=4, le=256, description="channels of the first layer")
    blocks: int = Field(default=5, ge=1, le=32, description="residual blocks")
    steps: Steps = 2000
    crop_px: CropPx = 256
    batch: int = Field(default=1, ge=1, le=1024)
    learning_rate: LearningRate = 1.5e-3
    loss: Literal["swd", "vgg"] = Field(
        default="swd",
        description="sliced Wasserstein, offline; or VGG features, with a weight file",
    )
    vgg: Path | None = Field(default=None, description="VGG-16 weight file, for loss: vgg")
    content_weight: Weight | None = Field(
        default=None, description="default 0.1 for swd, 1 (the published weight) for vgg"
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
    sample_every: int = Field(default=100, ge=1, description="steps between two sample pictures")
    save_every: int = Field(default=200, ge=1, description="steps between two saved states")

    @model_validator(mode="after")
    def _pulled_somewhere(self) -> Self:
        if self.style_weight == 0:
            raise ValueError(
                "style_weight is 0, so the network would learn no style. Give it a weight above 0."
            )
        return self


class Teacher(Section):
    """Where the teacher comes from: a checkpoint, or a training."""

    checkpoint: Path | None = Field(
        default=None, description=".pth, .safetensors, or a folder that stylepress wrote"
    )
    train: TrainStep | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.checkpoint is not None and self.train is not None:
            raise ValueError(
                "a teacher is loaded or trained, not both. Remove `checkpoint` or `train`."
            )
        return self


class DistilStep(Section):
    """Teach the student to draw what the teacher draws."""

    steps: Steps = 3000
    crop_px: CropPx = 256
    batch: int = Field(default=2, ge=1, le=1024)
    learning_rate: LearningRate = 3e-3
    frame_weight: Weight = Field(default=1.0, description="distance to the teacher's frame")
    style_weight: Weight = Field(default=1.0, description="style distance to the teacher's frame")
    content_weight: Weight = Field(default=0.15, description="content distance to the photo")
    grid_weight: Weight = Field(
        default=30.0, description="distance of what is locked to a 4-pixel grid"
    )
    feature_weight: Weight = Field(default=0.0, description="distance between inner features")
    taps: tuple[str, ...] = Field(
        default=(), description="teacher layers to compare features with, e.g. res5"
    )
    to_style: float = Field(
        default=0.6,
        ge=0,
        le=1,
        description="share of the style term that looks at the style picture, not the teacher",
    )
    noise_weight: Weight = Field(
        default=0.15, description="steadiness under noise and small shifts, for video"
    )
    noise_level: float = Field(
        default=0.012, ge=0, le=0.5, description="deviation of that noise, white being 1"
    )
    twin_shift: int = Field(default=3, ge=0, le=16, description="most pixels of those shifts")
    pool: int = Field(default=256, ge=1, le=100_000, description="teacher pictures drawn once")
    pool_px: CropPx = Field(default=384, description="side of those pictures")
    freeze_norm_share: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="last share of the steps, with batch statistics frozen",
    )
    sample_every: int = Field(default=100, ge=1, description="steps between two sample pictures")
    save_every: int = Field(default=200, ge=1, description="steps between two saved states")

    @model_validator(mode="after")
    def _pulled_somewhere(self) -> Self:
        if self.feature_weight > 0 and not self.taps:
            raise ValueError(
                "feature_weight is set but no layer is tapped. "
                "Name teacher layers, e.g. `taps: [res5]`."
            )
        if self.frame_weight == self.style_weight == self.feature_weight == 0:
            raise ValueError(
                "frame_weight, style_weight and feature_weight are all 0, so the student would "
                "learn nothing. Give one of them a weight above 0."
            )
        if self.crop_px > self.pool_px:
            raise ValueError(
                f"crop_px is {self.crop_px}, but crops are cut from pictures of pool_px "
                f"{self.pool_px}. Raise pool_px, or lower crop_px."
            )
        return self


class Student(Section):
    """The network that is shipped, and how it learns."""

    preset: Literal["nano", "small", "base", "texture"] = "base"
    distil: DistilStep = DistilStep()


class QuantizeStep(Section):
    """Which precision the bundle has, and how its ranges are found."""

    precision: Literal["int8", "fp32"] = "int8"
    calibration: Literal["minmax", "percentile", "mse"] = "percentile"
    calibration_photos: int = Field(default=16, ge=1, le=4096)
    keep_float: Literal["ends", "first", "last", "none"] = Field(
        default="ends", description="convolutions at the ends of the network that stay in float"
    )
    min_psnr_db: float = Field(
        default=32.0, ge=0, le=100, description="int8 against float, or it fails"
    )


class ExportStep(Section):
    """The ONNX file, and the sizes at which it is verified against torch."""

    opset: int = Field(default=18, ge=18, le=23)
    verify_sizes: tuple[tuple[SidePx, SidePx], ...] = Field(
        default=((256, 256), (257, 383), (512, 512)),
        min_length=1,
        description="[height, width], pixels",
    )


class Recipe(Section):
    """Everything ``stylepress build`` needs to know. Only ``name`` and ``photos`` must be given."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]{0,63}$", description="small letters, digits and dashes"
    )
    seed: int = Field(default=1, ge=0, le=2**31 - 1)
    photos: Path = Field(description="folder of photos to learn from")
    style: Style | None = Field(default=None, description="picture file, or {pattern: glass}")
    teacher: Teacher = Teacher()
    student: Student = Student()
    quantize: QuantizeStep = QuantizeStep()
    export: ExportStep = ExportStep()
    target: str = Field(default="cpu", description="name of a target, or a target file")

    @model_validator(mode="after")
    def _a_teacher_can_be_had(self) -> Self:
        if self.teacher.checkpoint is None and self.style is None:
            raise ValueError(
                "there is neither a teacher nor a style to train one on. "
                "Add `teacher: {checkpoint: file.pth}`, or `style: picture.png`."
            )
        return self

    @property
    def training(self) -> TrainStep | None:
        """How the teacher is trained; None when it is loaded from a checkpoint."""
        if self.teacher.checkpoint is not None:
            return None
        return self.teacher.train or TrainStep()

    @classmethod
    def for_checkpoint(
        cls,
        checkpoint: Path,
        photos: Path,
        *,
        name: str | None = None,
        style: Path | None = None,
        target: str = "cpu",
        preset: str = "base",
    ) -> Recipe:
        """Return the recipe of ``stylepress build candy.pth --photos DIR``: defaults throughout.

        Raises:
            RecipeError: an option that no recipe may hold.
        """
        values: dict[str, Any] = {
            "name": name or plain_name(checkpoint.stem),
            "photos": str(photos),
            "teacher": {"checkpoint": str(checkpoint)},
            "student": {"preset": preset},
            "target": target,
        }
        if style is not None:
            values["style"] = str(style)
        return Document("the options given", values).parse(cls)


def load_recipe(path: Path) -> Recipe:
    """Read a recipe; relative paths in it start at its own folder.

    Raises:
        RecipeError: the file cannot be read or does not fit; line, key, value and mend are named.
    """
    folder = path.absolute().parent
    recipe = anchored(load_document(path, Recipe), folder)
    if Path(recipe.target).suffix in (".yaml", ".yml"):
        return recipe.model_copy(update={"target": str(folder / recipe.target)})
    return recipe


def anchored(section: SectionT, folder: Path) -> SectionT:
    """Return the section with every relative path inside it made absolute from ``folder``."""
    update: dict[str, Any] = {}
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Section):
            update[name] = anchored(value, folder)
        elif isinstance(value, Path):
            update[name] = folder / value
    return section.model_copy(update=update)


def changed(recipe: Recipe, **values: Any) -> Recipe:
    """Return the recipe with some of its top-level keys changed, checked again.

    Raises:
        RecipeError: a key or a value that no recipe may hold.
    """
    merged = {**recipe.model_dump(mode="json", exclude_none=True), **values}
    return Document("the options given", merged).parse(Recipe)


def identity(step: Section) -> dict[str, Any]:
    """Return what of a step decides its result, for a build key.

    >>> identity(TrainStep(save_every=5)) == identity(TrainStep())
    True
    """
    return step.model_dump(mode="json", exclude=set(REPORTING))


def plain_name(text: str) -> str:
    """Turn any text into a name for a recipe.

    >>> plain_name("Candy (v2)"), plain_name("___")
    ('candy-v2', 'model')
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:64].strip("-") or "model"
