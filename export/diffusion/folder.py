"""The parts of a Stable Diffusion folder, loaded by diffusers from disk alone."""

from __future__ import annotations

import io
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    ControlNetModel,
    T2IAdapter,
    UNet2DConditionModel,
)
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from stylepress.errors import CheckpointError
from stylepress.train.families.diffusers_folder import read_config
from stylepress.train.families.diffusion import Noise

VAES: Mapping[str, Any] = {"AutoencoderKL": AutoencoderKL, "AutoencoderTiny": AutoencoderTiny}
SCHEDULES = ("linear", "scaled_linear", "squaredcos_cap_v2")
PREDICTIONS = ("epsilon", "v_prediction", "sample")
CONSISTENCY = ("LCMScheduler", "TCDScheduler")
"""Schedulers of networks that jump to the picture and are given new noise, not their own."""


@dataclass(frozen=True)
class Pipeline:
    """What draws: all in eval mode, float32, on the CPU.

    ``embedding`` is the prompt, (1, tokens, width), ``away`` the one that guidance leads away from.
    ``side`` is the side of the pictures it was
    trained on, ``shrink`` pixels a latent; ``scaling`` what latents are multiplied by.
    """

    unet: nn.Module
    vae: nn.Module
    embedding: Tensor
    noise: Noise
    predicts: str
    consistency: bool
    latent: int
    side: int
    shrink: int
    scaling: float
    away: Tensor | None = None


@dataclass(frozen=True)
class Prompting:
    """What turns a prompt into numbers, needed once."""

    tokenizer: Any
    encoder: nn.Module

    def embedding(self, prompt: str) -> tuple[Tensor, bool]:
        """Return the prompt as (1, tokens, width), and whether all of it was read."""
        config: Any = self.encoder.config
        length = min(self.tokenizer.model_max_length, config.max_position_embeddings)
        asked = {"padding": "max_length", "max_length": length, "return_tensors": "pt"}
        tokens = self.tokenizer(prompt, truncation=True, **asked).input_ids
        whole = len(self.tokenizer(prompt).input_ids) <= length
        with torch.no_grad():
            hidden: Tensor = self.encoder(tokens)[0]
        return hidden, whole


def prompting(folder: Path) -> Prompting:
    """Load the tokenizer and the text encoder of a pipeline.

    Raises:
        CheckpointError: a part is missing, damaged, or of another class.
    """
    if (folder / "text_encoder_2").exists():
        raise CheckpointError(
            f"{folder} has two text encoders, as SDXL has.",
            "Name a folder of the Stable Diffusion 1 or 2 kind, e.g. SD-Turbo.",
        )
    _class(folder / "text_encoder", "architectures", ("CLIPTextModel",))
    tokenizer = _loaded(CLIPTokenizer.from_pretrained, folder / "tokenizer")
    encoder = _loaded(CLIPTextModel.from_pretrained, folder / "text_encoder", use_safetensors=True)
    return Prompting(tokenizer, encoder.eval().float())


def network(folder: Path) -> nn.Module:
    """Load the UNet of a pipeline.

    Raises:
        CheckpointError: missing, damaged, or of a kind that takes more than a prompt.
    """
    config = _class(folder / "unet", "_class_name", ("UNet2DConditionModel",))
    extra = config.get("addition_embed_type") or config.get("class_embed_type")
    if extra or config.get("in_channels") != config.get("out_channels"):
        raise CheckpointError(
            f"The UNet of {folder} takes more than a picture and a prompt ({extra or 'inpainting'}).",
            "Name a folder of the Stable Diffusion 1 or 2 kind, e.g. SD-Turbo.",
        )
    return _model(UNet2DConditionModel, folder / "unet")


def pipeline(folder: Path, unet: nn.Module, embedding: Tensor, vae: Path | None) -> Pipeline:
    """Put a pipeline together of its UNet, a prompt and an autoencoder, its own or ``vae``.

    Raises:
        CheckpointError: missing, damaged, of another class, or parts that do not fit each other.
    """
    place = vae or folder / "vae"
    config = _class(place, "_class_name", tuple(VAES))
    coder = _model(VAES[config["_class_name"]], place)
    own: Any = unet.config
    if own.cross_attention_dim != embedding.shape[-1]:
        raise CheckpointError(
            f"The text encoder of {folder} writes {embedding.shape[-1]} numbers a word and its UNet "
            f"reads {own.cross_attention_dim}.",
            "Take both from one folder.",
        )
    if config.get("latent_channels", 4) != own.in_channels:
        raise CheckpointError(
            f"{place} codes pictures in {config.get('latent_channels', 4)} channels, the UNet "
            f"of {folder} draws in {own.in_channels}.",
            "Take an autoencoder of the same kind: TAESD for Stable Diffusion 1 and 2.",
        )
    scheduler = read_config(folder / "scheduler" / "scheduler_config.json")
    tiny = isinstance(coder, AutoencoderTiny)
    blocks = len(config.get("encoder_block_out_channels" if tiny else "block_out_channels", ()))
    shrink = 2 ** (blocks - 1)
    return Pipeline(
        unet=unet,
        vae=coder,
        embedding=embedding,
        noise=_noise(scheduler, folder),
        predicts=_one_of(scheduler, "prediction_type", PREDICTIONS, folder),
        consistency=scheduler.get("_class_name") in CONSISTENCY,
        latent=own.in_channels,
        side=int(own.sample_size or 64) * shrink,
        shrink=shrink,
        scaling=float(config.get("scaling_factor", 1.0 if tiny else 0.18215)),
    )


def controlnet(folder: Path) -> nn.Module:
    """Load a ControlNet.

    Raises:
        CheckpointError: missing, damaged, or of another class.
    """
    _class(folder, "_class_name", ("ControlNetModel",))
    return _model(ControlNetModel, folder)


def adapter(folder: Path) -> nn.Module:
    """Load a T2I-Adapter.

    Raises:
        CheckpointError: missing, damaged, or of another class.
    """
    _class(folder, "_class_name", ("T2IAdapter",))
    return _model(T2IAdapter, folder)


def _class(folder: Path, key: str, known: tuple[str, ...]) -> dict[str, Any]:
    config = read_config(folder / "config.json")
    named = config.get(key)
    name = named[0] if isinstance(named, list) and named else named
    if name not in known:
        raise CheckpointError(
            f"{folder} holds a {str(name)[:60]}, where {' or '.join(known)} is expected.",
            "Name a folder of that kind.",
        )
    return config


def _model(kind: Any, folder: Path) -> nn.Module:
    name = "diffusion_pytorch_model"
    whole, half = (folder / f"{name}{end}.safetensors" for end in ("", ".fp16"))
    only_half = half.is_file() and not whole.is_file()
    options = {"variant": "fp16"} if only_half else {}
    model: nn.Module = _loaded(
        kind.from_pretrained,
        folder,
        use_safetensors=True,
        low_cpu_mem_usage=False,
        **options,
    )
    return model.eval().float().requires_grad_(False)


def _loaded(load: Callable[..., Any], folder: Path, **options: Any) -> Any:
    """Load a part from its folder and nowhere else; no code of the folder is run.

    Only safetensors: a pickle beside them is never opened.
    """
    if not os.path.isdir(folder):  # else the name would be looked for on a hub
        raise CheckpointError(f"There is no folder {folder}.", "Copy the whole pipeline.")
    try:
        with redirect_stderr(io.StringIO()), _unheard():
            return load(str(folder), local_files_only=True, **options)
    except Exception as error:  # both libraries raise nearly anything here
        reason = str(error).strip().splitlines() or ["no reason given"]
        raise CheckpointError(
            f"{folder} cannot be loaded ({type(error).__name__}: {reason[0][:200]}).",
            "Save it again with `save_pretrained(..., safe_serialization=True)`.",
        ) from error


@contextmanager
def _unheard() -> Iterator[None]:
    """Keep both libraries' remarks from the user; what matters is raised."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def _noise(scheduler: Mapping[str, Any], folder: Path) -> Noise:
    if scheduler.get("trained_betas") is not None:
        raise CheckpointError(f"{folder} brings betas of its own.", "Name a plain pipeline.")
    return Noise(
        int(scheduler.get("num_train_timesteps", 1000)),
        _one_of(scheduler, "beta_schedule", SCHEDULES, folder),
        float(scheduler.get("beta_start", 0.0001)),
        float(scheduler.get("beta_end", 0.02)),
    )


def _one_of(values: Mapping[str, Any], key: str, known: tuple[str, ...], folder: Path) -> str:
    value = str(values.get(key, known[0]))
    if value not in known:
        raise CheckpointError(
            f"The scheduler of {folder} has {key} {value[:40]!r}; known are {', '.join(known)}.",
            "Name a plain pipeline.",
        )
    return value
