"""LoRA files: four dialects say the same, others are named, and what does not fit is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from stylepress.errors import CheckpointError

pytest.importorskip("diffusers")
pytest.importorskip("transformers")

from stylepress.export.diffusion.lora import merge, read_lora
from tests.export.diffusion.pipelines import text_encoder, unet

RANK = 2
ATTENTION = "down_blocks.0.attentions.0.transformer_blocks.0.attn1"
QUERY, OUT, CONV = f"{ATTENTION}.to_q", f"{ATTENTION}.to_out.0", "down_blocks.0.resnets.0.conv1"
TEXT = "text_model.encoder.layers.0.self_attn.q_proj"


def products(*layers: str) -> dict[str, tuple[Tensor, Tensor]]:
    """Down and up of some layers of the UNet, at random."""
    modules, pairs = dict(unet().named_modules()), {}
    draw = torch.Generator().manual_seed(5)
    for layer in layers:
        shape = modules[layer].weight.shape
        tail = shape[2:]
        down = torch.randn((RANK, shape[1], *tail), generator=draw)
        up = torch.randn((shape[0], RANK, *(1 for _ in tail)), generator=draw)
        pairs[layer] = (down, up)
    return pairs


def kohya(pairs: Mapping[str, tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for layer, (down, up) in pairs.items():
        name = f"lora_unet_{layer.replace('.', '_')}"
        state |= {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}
        state[f"{name}.alpha"] = torch.tensor(float(RANK))
    return state


def processors(pairs: Mapping[str, tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for layer, (down, up) in pairs.items():
        block, _, name = layer.removesuffix(".0").rpartition(".")
        state[f"{block}.processor.{name}_lora.down.weight"] = down
        state[f"{block}.processor.{name}_lora.up.weight"] = up
    return state


def diffusers(pairs: Mapping[str, tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for layer, (down, up) in pairs.items():
        state |= {f"unet.{layer}.lora.down.weight": down, f"unet.{layer}.lora.up.weight": up}
    return state


def peft(pairs: Mapping[str, tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for layer, (down, up) in pairs.items():
        state |= {f"unet.{layer}.lora_A.weight": down, f"unet.{layer}.lora_B.weight": up}
    return state


def saved(state: Mapping[str, Tensor], folder: Path) -> Path:
    path = folder / "a.safetensors"
    save_file({key: tensor.contiguous() for key, tensor in state.items()}, path)
    return path


@pytest.mark.parametrize("dialect", [kohya, processors, diffusers, peft])
def test_four_dialects_add_the_same_product(dialect: object, tmp_path: Path) -> None:
    assert callable(dialect)
    layers = (QUERY, OUT) if dialect is processors else (QUERY, OUT, CONV)
    pairs = products(*layers)
    path = saved(dialect(pairs), tmp_path)
    network, before = unet(), dict(unet().named_parameters())
    changes = read_lora(path)
    assert merge(changes.unet, network, 0.5, path) == len(layers)
    for name, weight in network.named_parameters():
        layer = name.removesuffix(".weight")
        change = weight - before[name]
        if layer in pairs:
            down, up = pairs[layer]
            product = torch.einsum("or,r...->o...", up.flatten(1), down)
            torch.testing.assert_close(change, 0.5 * product)
        else:
            assert not change.any()


def test_alpha_scales_and_a_text_encoder_is_changed_too(tmp_path: Path) -> None:
    down, up = torch.randn(RANK, 16), torch.randn(16, RANK)
    name = f"lora_te_{TEXT.replace('.', '_')}"
    state = {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}
    path = saved({**state, f"{name}.alpha": torch.tensor(0.5)}, tmp_path)
    encoder = text_encoder()
    weight = next(w for n, w in encoder.named_parameters() if n.endswith("q_proj.weight"))
    before = weight.detach().clone()
    assert merge(read_lora(path).text, encoder, 1.0, path) == 1
    torch.testing.assert_close(weight.detach() - before, up @ down * 0.5 / RANK)


def test_another_dialect_is_named_and_another_network_shows_by_layer_and_shape(
    tmp_path: Path,
) -> None:
    whole = kohya(products(QUERY))
    foreign = {
        "DoRA": {**whole, "lora_unet_x.dora_scale": torch.ones(1)},
        "LoHa": {"lora_unet_x.hada_w1_a": torch.ones(1)},
        "LoKr": {"lora_unet_x.lokr_w1": torch.ones(1)},
        "Stability": {"lora_unet_input_blocks_1_1_proj_in.lora_down.weight": torch.ones(1)},
        "no known dialect": {"weights.of.something": torch.ones(1)},
    }
    for name, state in foreign.items():
        with pytest.raises(CheckpointError, match=name):
            read_lora(saved(state, tmp_path))
    network = unet()
    path = saved(kohya({QUERY: (torch.ones(RANK, 320), torch.ones(320, RANK))}), tmp_path)
    with pytest.raises(
        CheckpointError, match=r"attn1.*\(320, 2\) x \(2, 320\).*weight is \(8, 8\)"
    ):
        merge(read_lora(path).unet, network, 1.0, path)
    path = saved(peft({"mid.nowhere": products(QUERY)[QUERY]}), tmp_path)
    with pytest.raises(CheckpointError, match=r"1 of 1 layers that the network has not.*nowhere"):
        merge(read_lora(path).unet, network, 1.0, path)
