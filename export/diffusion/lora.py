"""LoRA files in four dialects, merged into the weights they change (Hu et al. 2021, equation 3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from stylepress.errors import CheckpointError
from stylepress.train.weights.state import read_safetensors

FOREIGN: Mapping[str, str] = {
    r"dora_scale|lora_magnitude_vector": "DoRA",
    r"\.hada_w": "LoHa",
    r"\.lokr_w": "LoKr",
    r"\.(a|b)[12]\.weight$|\.oft_": "OFT",
    r"\.diff(_b)?$": "full differences",
    r"^lora_unet_(input|output|middle)_block": "kohya over the block names of Stability",
}
"""Dialects that are known and not merged."""
KOHYA = re.compile(r"^lora_(?P<part>unet|te1?)_(?P<name>[^.]+)\.(?P<role>lora_down|lora_up|alpha)")
DOTTED = re.compile(
    r"^(?:base_model\.model\.)?(?P<part>unet|text_encoder)?\.?(?P<name>.+?)"
    r"[._](?P<role>lora_A|lora_B|lora(?:_linear_layer)?\.(?:down|up))"
    r"(?:\.default)?\.weight$"
)
ALPHA = re.compile(r"^(?P<part>unet|text_encoder)?\.?(?P<name>.+?)(?:\.lora)?\.(?P<role>alpha)$")
ROLES = {
    "lora_down": "down",
    "lora_up": "up",
    "lora_A": "down",
    "lora_B": "up",
    "alpha": "alpha",
    "lora.down": "down",
    "lora.up": "up",
    "lora_linear_layer.down": "down",
    "lora_linear_layer.up": "up",
}


@dataclass
class Change:
    """What one layer's weight is changed by: alpha / rank x up x down."""

    down: Tensor | None = None
    up: Tensor | None = None
    alpha: float | None = None

    def delta(self, layer: str, weight: Tensor, path: Path) -> Tensor:
        """Return the change in the shape of ``weight``.

        Raises:
            CheckpointError: a half is missing, or the shapes do not fit; the layer is named.
        """
        if self.down is None or self.up is None:
            raise CheckpointError(
                f"{path} changes {layer} by half a product only.", "Download it again."
            )
        down, up = self.down.float().flatten(1), self.up.float().flatten(1)
        rank = down.shape[0]
        if (up.shape[1], up.shape[0]) != (rank, weight.shape[0]) or (
            down.shape[1] != weight[0].numel()
        ):
            shapes = f"{tuple(self.up.shape)} x {tuple(self.down.shape)}"
            raise CheckpointError(
                f"{path} changes {layer} by {shapes}, and its weight is {tuple(weight.shape)}.",
                "It was trained for another network: Stable Diffusion 1, 2 and XL differ.",
            )
        alpha = rank if self.alpha is None else self.alpha
        return (up @ down).view(weight.shape) * (alpha / rank)


@dataclass
class Changes:
    """What a file changes, by layer of the UNet and of the text encoder, and its dialect."""

    dialect: str
    unet: dict[str, Change] = field(default_factory=dict)
    text: dict[str, Change] = field(default_factory=dict)


def read_lora(path: Path) -> Changes:
    """Read a LoRA as kohya, diffusers (with processors, or without) or PEFT write it.

    Raises:
        CheckpointError: no safetensors, or another dialect, which is named.
    """
    tensors = read_safetensors(path)
    for pattern, name in FOREIGN.items():
        if any(re.search(pattern, key) for key in tensors):
            raise CheckpointError(
                f"{path} is written in a dialect that is not merged here: {name}.",
                "Merge it with the tool that wrote it, and name the merged pipeline.",
            )
    changes = Changes(_dialect(tensors))
    for key, tensor in tensors.items():
        match = KOHYA.match(key) or DOTTED.match(key) or ALPHA.match(key)
        if match is None:
            raise CheckpointError(
                f"{path} holds {key[:80]!r}, which no known dialect of LoRA has.",
                "Known are those of kohya, diffusers (both) and PEFT.",
            )
        part = changes.text if (match["part"] or "unet").startswith("te") else changes.unet
        change = part.setdefault(_layer(match["name"]), Change())
        role = ROLES[match["role"]]
        setattr(change, role, float(tensor) if role == "alpha" else tensor)
    return changes


def merge(changes: Mapping[str, Change], module: nn.Module, scale: float, path: Path) -> int:
    """Add ``scale`` times the changes to the weights of ``module``; return how many layers changed.

    Layers go by their dotted names, or by those with ``_`` for each dot, as kohya has them.

    Raises:
        CheckpointError: a layer that the module has not, or a weight of another shape.
    """
    layers = {
        name: layer
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d)
    }
    known = {name.replace(".", "_"): name for name in layers}
    # transformers 5 dropped one level of names.
    known |= {f"text_model_{short}": name for short, name in known.items()}
    known |= {short.removeprefix("text_model_"): name for short, name in known.items()}
    unknown = [name for name in changes if name.replace(".", "_") not in known]
    if unknown:
        raise CheckpointError(
            f"{path} changes {len(unknown)} of {len(changes)} layers that the network has not, "
            f"e.g. {unknown[0][:80]}.",
            "It was trained for another network: Stable Diffusion 1, 2 and XL differ.",
        )
    for name, change in changes.items():
        layer = known[name.replace(".", "_")]
        weight = layers[layer].weight
        with torch.no_grad():
            weight += scale * change.delta(layer, weight, path).to(weight.device)
    return len(changes)


def _dialect(keys: Mapping[str, Tensor]) -> str:
    if any(key.startswith("lora_") for key in keys):
        return "kohya"
    if any("lora_A" in key for key in keys):
        return "PEFT"
    return "diffusers, processors" if any(".processor." in key for key in keys) else "diffusers"


def _layer(name: str) -> str:
    """Return a layer's own name for one of a dialect.

    >>> _layer("mid.attn1.processor.to_out"), _layer("mid.attn1.to_q")
    ('mid.attn1.to_out.0', 'mid.attn1.to_q')
    """
    plain = name.replace(".processor.", ".").replace(".lora_layer.", ".")
    return f"{plain}.0" if plain.endswith(".to_out") else plain
