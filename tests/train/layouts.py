"""Files as public repositories save them: real key layouts, small widths, random weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from stylepress.train.weights.families import FAMILIES

UNET: Mapping[str, Any] = {
    **FAMILIES["unet2d"].usual,
    "channels": "8,16",
    "attends_down": "01",
    "attends_up": "10",
    "layers": 1,
    "size": 8,
    "head": 8,
    "groups": 4,
    "sampling": 2,
}
SMALL: Mapping[str, Mapping[str, Any]] = {
    "transformer": {"width": 4, "blocks": 2},
    "rrmina": {"width": 4, "blocks": 2},
    "resnet": {"width": 4, "blocks": 3},
    "cut": {"width": 4, "blocks": 2},
    "unet": {"width": 4, "downs": 3},
    "animegan": {"width": 4},
    "adain": {"width": 4, "decoder": 2},
    "taesd": {"width": 8},
    "translator": {"width": 4, "blocks": 1, "up": "resize", "attention": 1, "scales": 2},
    "regions": {"width": 4, "blocks": 1},
    "cgan": {"classes": "class-1,class-2,class-3", "noise": 10, "width": 4, "ups": 2},
    "stylegan": {"noise": 8, "width": 4, "ups": 2},
    "swin": {"noise": 8, "width": 4, "ups": 2},
    "conditioned": {"width": 8, "levels": 2, "sampling": 2},
    "dcgan": {"noise": 10, "width": 4, "ups": 3},
    "unet2d": UNET,
}


def config_of(family: str, **change: Any) -> dict[str, Any]:
    """Return a small config of a family."""
    return {**FAMILIES[family].usual, **SMALL[family], **change}


def network(family: str, **change: Any) -> nn.Module:
    """Build a small network whose random weights keep the contrast of what comes in."""
    torch.manual_seed(0)
    module = FAMILIES[family].build(**config_of(family, **change)).eval()
    for name, weight in module.named_parameters():
        if weight.ndim > 1:
            nn.init.kaiming_normal_(weight)
        elif name.endswith("bias"):
            nn.init.normal_(weight, 0.0, 0.1)
    for name, buffer in module.named_buffers():
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 2.0)
        elif name.endswith("running_mean"):
            buffer.normal_(0.0, 0.5)
    with torch.no_grad():
        if family == "rrmina":  # tanh times 150 shows nothing of values below 0
            module.get_parameter("DeconvBlock.4.conv_layer.bias").fill_(0.8)
        if family == "transformer":
            module.get_parameter("deconv3.conv2d.weight").mul_(60)
            module.get_parameter("deconv3.conv2d.bias").fill_(128)
        for name, weight in module.named_parameters():
            if name.endswith("gain") and family == "translator":  # attention begins at nothing
                weight.fill_(1.0)
            if family == "taesd" and name.endswith("conv.4.weight"):  # twenty sums without a norm
                weight.mul_(0.1)
    return module


def saved(folder: Path, family: str, module: nn.Module) -> Path:
    """Write a network as its repository does; return what a user would name."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {key: value.clone() for key, value in module.state_dict().items()}
    if family == "unet2d":
        return diffusers_folder(folder, state)
    if family == "adain":
        torch.save(under(state, "encoder."), folder / "vgg_normalised.pth")
        torch.save(under(state, "decoder."), folder / "decoder.pth")
        return folder / "decoder.pth"
    if family in ("resnet", "cut") and "model.2.weight" not in state:
        state["model.2.running_mean"] = torch.ones(4)  # of older PyTorch, used by nobody
        state["model.2.num_batches_tracked"] = torch.tensor(3)
    if family == "transformer":
        state = {f"module.{key}": value for key, value in state.items()}
        state["module.in1.running_mean"] = torch.ones(4)
    whole: Any = {"params_ema": state} if family == "animegan" else state
    torch.save(whole, folder / "latest_net_G.pth")
    return folder / "latest_net_G.pth"


def under(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the weights under a prefix, without it."""
    return {key[len(prefix) :]: v for key, v in state.items() if key.startswith(prefix)}


OLD = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def diffusers_folder(folder: Path, state: dict[str, Tensor]) -> Path:
    """Write a DDPM pipeline of diffusers, its attention named as in the first versions."""
    for today, old in OLD.items():
        state = {key.replace(f".{today}.", f".{old}."): value for key, value in state.items()}
    (folder / "unet").mkdir()
    (folder / "scheduler").mkdir()
    save_file(state, folder / "unet" / "diffusion_pytorch_model.safetensors")
    config = {
        "_class_name": "UNet2DModel",
        "block_out_channels": [8, 16],
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
        "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
        "layers_per_block": 1,
        "sample_size": 8,
        "norm_num_groups": 4,
        "norm_eps": 1e-6,
        "flip_sin_to_cos": False,
        "freq_shift": 1,
        "downsample_padding": 0,
        "attention_head_dim": 8,
    }
    scheduler = {"_class_name": "DDPMScheduler", "beta_schedule": "linear"}
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "DDPMPipeline"}))
    (folder / "unet" / "config.json").write_text(json.dumps(config))
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    return folder
