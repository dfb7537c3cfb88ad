"""How well pictures show what words say, by a CLIP that the user has (arXiv 2103.00020)."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import warnings
from collections.abc import Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import CLIPModel, CLIPTokenizer

from stylepress.artifact import file_digest
from stylepress.errors import CheckpointError
from stylepress.picture import Pixels
from stylepress.train.weights.standard import places

WEIGHTS = "model.safetensors"
SNAPSHOTS = "models--*--*clip-vit-*/snapshots/*"
"""CLIP in the cache of Hugging Face, whose files are links to blobs named by their SHA-256."""
MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Likeness:
    """A CLIP and what is looked for: ``words`` are (D,), of length one."""

    model: Any
    words: Tensor

    @torch.no_grad()
    def __call__(self, pixels: Pixels) -> float:
        """Return the cosine of an (H, W, 3) picture and the words, -1 to 1; 0.3 is a good fit."""
        side = int(self.model.config.vision_config.image_size)
        seen = self.model.vision_model(pixel_values=_prepared(pixels, side)).pooler_output
        return float(_unit(self.model.visual_projection(seen)[0]) @ self.words)


def find_clip(*, env: Mapping[str, str], home: Path) -> Path | None:
    """Return the folder of a CLIP in one of the places where weights lie, or None."""
    for place in places(env=env, home=home):
        for folder in sorted(place.glob(SNAPSHOTS)):
            if (folder / WEIGHTS).is_file():
                return folder
    return None


def open_likeness(folder: Path, words: str) -> Likeness:
    """Load a CLIP that transformers wrote, from its folder and nowhere else, and read ``words``.

    Raises:
        CheckpointError: no such folder, no CLIP, damaged, or no safetensors.
    """
    _check(folder)
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            model: Any = CLIPModel.from_pretrained(
                str(folder), local_files_only=True, use_safetensors=True
            )
            tokenizer: Any = CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # transformers raises nearly anything here
        reason = str(error).strip().splitlines() or ["no reason given"]
        raise CheckpointError(
            f"{folder} cannot be loaded ({type(error).__name__}: {reason[0][:200]}).",
            "Copy the whole folder of a CLIP again, with its tokenizer.",
        ) from error
    finally:
        logging.disable(disabled)
    model = model.eval().float()
    length = model.config.text_config.max_position_embeddings
    tokens = tokenizer(words, truncation=True, max_length=length, return_tensors="pt")
    with torch.no_grad():
        told = model.text_model(input_ids=tokens.input_ids).pooler_output
        return Likeness(model, _unit(model.text_projection(told)[0]))


def _check(folder: Path) -> None:
    """Refuse what is no CLIP; a blob of Hugging Face's cache must have the digest of its name."""
    weights = folder / WEIGHTS
    try:
        kind = json.loads((folder / "config.json").read_text("utf-8")).get("model_type")
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"{folder} holds no CLIP ({type(error).__name__}: {error}).",
            "Name a folder with config.json, model.safetensors and the tokenizer.",
        ) from error
    if kind != "clip" or not weights.is_file():
        raise CheckpointError(
            f"{folder} holds {kind!s:.40}, with{'' if weights.is_file() else 'out'} {WEIGHTS}.",
            "Name a folder of a CLIP, saved as safetensors.",
        )
    blob = Path(os.path.realpath(weights)).name
    if re.fullmatch(r"[0-9a-f]{64}", blob) and file_digest(weights) != blob:
        raise CheckpointError(
            f"{weights} has not the SHA-256 {blob[:12]}... that its name says.",
            "It is damaged: remove it, or copy it again.",
        )


def _prepared(pixels: Pixels, side: int) -> Tensor:
    """Bring the shorter side to ``side``, cut the middle, and normalise: (1, 3, side, side)."""
    image = Image.fromarray(pixels)
    scale = side / min(image.size)
    size = (max(side, round(image.width * scale)), max(side, round(image.height * scale)))
    image = image.resize(size, Image.Resampling.BICUBIC)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = np.asarray(image.crop((left, top, left + side, top + side)), np.float32) / 255
    centred = (torch.from_numpy(square) - torch.tensor(MEAN)) / torch.tensor(DEVIATION)
    return centred.permute(2, 0, 1)[None].contiguous()


def _unit(vector: Tensor) -> Tensor:
    unit: Tensor = vector / vector.norm().clamp_min(1e-12)
    return unit
