"""Tiny Stable Diffusion folders with random weights, as diffusers and transformers write them."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    ControlNetModel,
    DDIMScheduler,
    LCMScheduler,
    T2IAdapter,
    UNet2DConditionModel,
)
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

WIDTH = 16
WORDS = ("an", "oil", "painting", "of", "night")
LIMITS = ("<|startoftext|>", "<|endoftext|>")


def unet() -> UNet2DConditionModel:
    """A UNet of two levels that draws 8 x 8 latents of four channels."""
    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 32),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=4,
        cross_attention_dim=WIDTH,
    ).eval()


def text_encoder() -> CLIPTextModel:
    """A text encoder of one layer for five words."""
    config = CLIPTextConfig(
        vocab_size=len(WORDS) + len(LIMITS),
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=8,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    return CLIPTextModel(config).eval()


def write_pipeline(folder: Path, *, lcm: bool = False, predicts: str = "epsilon") -> Path:
    """Write a whole pipeline with a KL autoencoder; return its folder."""
    unet().save_pretrained(folder / "unet")
    vae = AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
    )
    vae.save_pretrained(folder / "vae")
    kind = LCMScheduler if lcm else DDIMScheduler
    kind(beta_schedule="scaled_linear", prediction_type=predicts).save_pretrained(
        folder / "scheduler"
    )
    text_encoder().save_pretrained(folder / "text_encoder")
    write_tokenizer(folder / "tokenizer")
    return folder


def write_tokenizer(folder: Path) -> None:
    """Write a vocabulary of whole words."""
    folder.mkdir(parents=True)
    merges, vocabulary = [], [*LIMITS]
    for word in WORDS:
        parts = [*word[:-1], f"{word[-1]}</w>"]
        vocabulary += parts
        while len(parts) > 1:
            merges.append(f"{parts[0]} {parts[1]}")
            parts = [parts[0] + parts[1], *parts[2:]]
            vocabulary.append(parts[0])
    # The encoder knows the words alone: they come first.
    whole = [f"{word}</w>" for word in WORDS]
    ordered = list(dict.fromkeys([*LIMITS, *whole, *vocabulary]))
    numbers = {token: number for number, token in enumerate(ordered)}
    (folder / "vocab.json").write_text(json.dumps(numbers))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(dict.fromkeys(merges)) + "\n")
    about = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 8}
    (folder / "tokenizer_config.json").write_text(json.dumps(about))


def write_controls(folder: Path) -> tuple[Path, Path, Path]:
    """Write a tiny autoencoder, a ControlNet and a T2I-Adapter for it; return their folders."""
    torch.manual_seed(1)
    tiny = AutoencoderTiny(
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1),
    )
    control = ControlNetModel.from_unet(unet(), conditioning_embedding_out_channels=(4, 8))
    for layer in control.controlnet_down_blocks:
        nn.init.normal_(layer.weight, std=0.3)  # zero, as they are before a training
    nn.init.normal_(control.controlnet_cond_embedding.conv_out.weight, std=0.3)
    hint = T2IAdapter(channels=[8, 32], num_res_blocks=1, downscale_factor=2)
    names = ("taesd", "control", "hint")
    for name, model in zip(names, (tiny, control, hint), strict=True):
        model.save_pretrained(folder / name)
    return folder / "taesd", folder / "control", folder / "hint"
