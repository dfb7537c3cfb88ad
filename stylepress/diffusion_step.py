"""The step that makes a stylizer of somebody's Stable Diffusion: a prompt and one to four steps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from stylepress.section import Section
from stylepress.step_fields import VERIFY_SIZES, FolderName, PhotoFolder, Sizes, StepSeed

LoraName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
LatentSide = Annotated[int, Field(ge=16, le=2048, multiple_of=8)]


class Lora(Section):
    """A low-rank change of the network, and how much of it."""

    file: Path = Field(description=".safetensors, as kohya, diffusers or PEFT write it")
    scale: float = Field(default=1.0, ge=-4, le=4)


class DiffusionStep(Section):
    """Make a bundle that redraws pictures by a prompt, with a folder of Stable Diffusion.

    Made for networks of few steps (Turbo, LCM, Hyper), which want no guidance.
    """

    step: Literal["diffusion"] = "diffusion"
    pipeline: Path = Field(description="diffusers folder with unet, vae, tokenizer, text_encoder")
    prompt: str = Field(min_length=1, max_length=2000, description="read once, and kept as numbers")
    negative: str = Field(
        default="", max_length=2000, description="what it shall not show, where guidance is above 1"
    )
    guidance: float = Field(
        default=1.0,
        ge=1,
        le=20,
        description="above 1 it follows the prompt more, at twice the time",
    )
    sampling: int = Field(default=1, ge=1, le=4, description="steps from noise to picture")
    amount: float = Field(
        default=0.5, gt=0, le=1, description="share of the noise: 0.3 retouches, 1 invents"
    )
    size: tuple[LatentSide, LatentSide] | None = Field(
        default=None, description="[height, width] it draws at; default that of its training"
    )
    vae: Path | None = Field(
        default=None, description="folder of an AutoencoderTiny (TAESD), much faster"
    )
    loras: Mapping[LoraName, Lora] = Field(
        default_factory=dict, max_length=16, description="merged before export, by name"
    )
    controlnet: Path | None = Field(
        default=None, description="folder of a ControlNet: the bundle takes a picture `control`"
    )
    adapter: Path | None = Field(
        default=None, description="folder of a T2I-Adapter: the bundle takes a picture `hint`"
    )
    half: bool = Field(
        default=False, description="keep weights as float16: what else passes 2 GB, a file's most"
    )
    opset: int = Field(default=18, ge=18, le=23)
    verify_sizes: Sizes = VERIFY_SIZES
    photos: PhotoFolder = None
    seed: StepSeed = None
    folder: FolderName = None

    @model_validator(mode="after")
    def _negative_is_heard(self) -> Self:
        if self.negative and self.guidance == 1:
            raise ValueError(
                "negative does nothing without guidance. Add e.g. `guidance: 5`, or leave it out."
            )
        return self
