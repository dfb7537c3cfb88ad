"""The kinds of values that the keys of steps take, with their bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from typing_extensions import Self

from stylepress.section import Section

LEAST_COMPARED_PX = 64
VERIFY_SIZES = ((256, 256), (257, 383), (512, 512))
"""The middle one is odd, so that cropping is proven too."""

Weight = Annotated[float, Field(ge=0, le=1000)]
TemporalWeight = Annotated[
    Weight, Field(description="steadiness in motion and under changes of light, for video")
]
Steps = Annotated[int, Field(ge=1, le=10_000_000)]
CropPx = Annotated[int, Field(ge=64, le=2048, multiple_of=4)]
LearningRate = Annotated[float, Field(gt=0, le=1)]
SidePx = Annotated[int, Field(ge=16, le=8192)]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
Sizes = Annotated[
    tuple[tuple[SidePx, SidePx], ...],
    Field(min_length=1, description="[height, width], pixels"),
]
Pattern = Literal["glass", "strokes", "woodcut"]
Preset = Literal["nano", "small", "base", "wide", "texture"]

Loss = Annotated[
    Literal["auto", "vgg", "swd"],
    Field(description="VGG features, where a weight file is found; swd, patches, needs none"),
]
VggFile = Annotated[
    Path | None,
    Field(default=None, description="VGG-19 or VGG-16 file, instead of the one found here"),
]
Precision = Annotated[
    Literal["auto", "fp32", "bf16", "fp16"],
    Field(description="of the networks; auto is what the device is fast in"),
]
Every = Annotated[int, Field(ge=1)]
Batch = Annotated[int, Field(ge=1, le=1024)]
FolderName = Annotated[
    str | None,
    Field(
        default=None,
        pattern=r"^[a-z0-9][a-z0-9-]{0,63}$",
        description="name of the folder it writes; default by step",
    ),
]
PhotoFolder = Annotated[
    Path | None, Field(default=None, description="folder of photos; default the recipe's")
]
StepSeed = Annotated[Seed | None, Field(default=None, description="default the recipe's")]


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


class Size(Section):
    """A student's own size, instead of a preset's."""

    width: int = Field(ge=1, le=1024, description="channels at a quarter of the size")
    blocks: int = Field(ge=0, le=64, description="layers there")
    half: int = Field(ge=1, le=1024, description="channels at half of the size")
    stride: Literal[2, 4] = 4
    deep_width: int = Field(default=0, ge=0, le=1024, description="channels at an eighth; 0: none")
    deep_blocks: int = Field(default=0, ge=0, le=64, description="layers there")
    norms: bool = Field(default=False, description="instance norms where a level begins and ends")


class Trained(Section):
    """What every step that trains anything may be asked for."""

    precision: Precision = "auto"
    sample_every: Every = Field(default=100, description="steps between two sample pictures")
    save_every: Every = Field(default=200, description="steps between two saved states")
    photos: PhotoFolder = None
    seed: StepSeed = None
    folder: FolderName = None


class StylingStep(Trained):
    """What every step that trains a network from pictures to pictures may be asked for."""

    steps: Steps
    crop_px: CropPx = 256
    batch: int = Field(ge=1, le=1024)
    learning_rate: LearningRate
    loss: Loss = "auto"
    vgg: VggFile = None
    style: Style | None = Field(default=None, description="default the recipe's")
