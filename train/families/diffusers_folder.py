"""Folders of diffusers: which network they hold, and the config that its numbers depend on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stylepress.errors import CheckpointError
from stylepress.train.families.unet2d import USUAL

CONFIG, INDEX = "config.json", "model_index.json"
CONFIG_LIMIT_BYTES = 1 << 20
WEIGHTS = (
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.fp16.safetensors",
    "diffusion_pytorch_model.bin",
)
CLASSES = {"UNet2DModel": "unet2d", "AutoencoderTiny": "taesd"}
"""The classes of diffusers whose folders are read, and the families they are."""
FIXED: Mapping[str, tuple[Any, ...]] = {
    "in_channels": (3,),
    "out_channels": (3,),
    "center_input_sample": (False,),
    "time_embedding_type": ("positional",),
    "mid_block_scale_factor": (1,),
    "downsample_type": ("conv",),
    "upsample_type": ("conv",),
    "act_fn": ("silu",),
    "resnet_time_scale_shift": ("default",),
    "class_embed_type": (None,),
    "num_class_embeds": (None,),
    "attn_norm_num_groups": (None,),
    "time_embedding_dim": (None,),
}
"""Fields of a UNet2DModel that are read with these values only; left out, they have the first."""
BLOCKS = {"DownBlock2D": "0", "AttnDownBlock2D": "1", "UpBlock2D": "0", "AttnUpBlock2D": "1"}


def is_diffusers_folder(folder: Path) -> bool:
    """Say whether a folder was written by diffusers: a pipeline's, or that of one network."""
    if (folder / INDEX).is_file():
        return True
    return (folder / CONFIG).is_file() and "_class_name" in read_config(folder / CONFIG)


def network_of(folder: Path) -> tuple[str, Path, Mapping[str, Any]]:
    """Return the family, the weights file and the config that a folder holds.

    Raises:
        CheckpointError: a pipeline or a network of another class, or a file that is missing.
    """
    place = folder
    if (folder / INDEX).is_file():
        kind = str(read_config(folder / INDEX).get("_class_name"))
        parts = [p for p in ("unet", "vae") if (folder / p / CONFIG).is_file()]
        if not parts or (folder / "text_encoder").exists():
            raise CheckpointError(
                f"{folder} is a pipeline {kind[:60]}, which draws by a text.",
                "Name it as `pipeline` of a step `diffusion` in a recipe, with a `prompt`.",
            )
        place = folder / parts[0]
    config = read_config(place / CONFIG)
    name = str(config.get("_class_name"))
    if name not in CLASSES:
        raise CheckpointError(
            f"{place} holds a {name[:60]} of diffusers; read are {', '.join(CLASSES)}.",
            "Name a folder of one of those.",
        )
    weights = next((place / file for file in WEIGHTS if (place / file).is_file()), None)
    if weights is None:
        raise CheckpointError(
            f"{place} holds no weights: none of {', '.join(WEIGHTS)}.", "Copy the whole folder."
        )
    if CLASSES[name] != "unet2d":
        return CLASSES[name], weights, {}
    beside = (place.parent / "scheduler", place.parent, place)
    file = "scheduler_config.json"
    schedulers = [read_config(at / file) for at in beside if (at / file).is_file()]
    return CLASSES[name], weights, unet_config(config, schedulers[0] if schedulers else {}, place)


def unet_config(
    config: Mapping[str, Any], scheduler: Mapping[str, Any], source: object
) -> Mapping[str, Any]:
    """Turn the config of a UNet2DModel and of its scheduler into that of the family ``unet2d``.

    Raises:
        CheckpointError: a field has a value that is not read.
    """
    for key, values in FIXED.items():
        if config.get(key, values[0]) not in values:
            raise CheckpointError(
                f"{source} has {key} {str(config[key])[:40]!r}; read is {values[0]!r}.",
                "Name a folder of a plain DDPM.",
            )
    if scheduler.get("trained_betas") is not None:
        raise CheckpointError(f"{source} brings betas of its own.", "Name a plain DDPM.")
    head = config.get("attention_head_dim", 8)
    return {
        "channels": ",".join(map(str, config.get("block_out_channels", (224, 448, 672, 896)))),
        "attends_down": _attends(config, "down_block_types", source),
        "attends_up": _attends(config, "up_block_types", source),
        "attends_mid": int(bool(config.get("add_attention", True))),
        "layers": config.get("layers_per_block", 2),
        "size": config.get("sample_size") or USUAL["size"],
        "head": head or 0,
        "groups": config.get("norm_num_groups", 32),
        "eps": str(config.get("norm_eps", 1e-5)),
        "flip": int(bool(config.get("flip_sin_to_cos", True))),
        "freq_shift": config.get("freq_shift", 0),
        "padding": config.get("downsample_padding", 1),
        "predicts": scheduler.get("prediction_type", "epsilon"),
        "times": scheduler.get("num_train_timesteps", 1000),
        "schedule": scheduler.get("beta_schedule", "linear"),
        "beta_0": str(scheduler.get("beta_start", 0.0001)),
        "beta_1": str(scheduler.get("beta_end", 0.02)),
        "sampling": USUAL["sampling"],
    }


def _attends(config: Mapping[str, Any], key: str, source: object) -> str:
    names = config.get(key)
    if not isinstance(names, list) or not all(name in BLOCKS for name in names):
        raise CheckpointError(
            f"{source} has {key} {str(names)[:80]}; read are {', '.join(BLOCKS)}.",
            "Name a folder of a plain DDPM.",
        )
    return "".join(BLOCKS[name] for name in names)


def read_config(path: Path) -> dict[str, Any]:
    """Read a JSON file of a folder that diffusers wrote.

    Raises:
        CheckpointError: missing, too large, or no mapping.
    """
    try:
        if path.stat().st_size > CONFIG_LIMIT_BYTES:
            raise ValueError(f"larger than {CONFIG_LIMIT_BYTES >> 20} MiB")
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise TypeError("no mapping")
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"{path} cannot be understood ({type(error).__name__}: {error}).",
            "Name the whole folder that diffusers wrote (`save_pretrained`), or copy it again.",
        ) from error
    return values
