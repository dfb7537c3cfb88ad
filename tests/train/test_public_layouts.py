"""Checkpoints of public repositories: recognised by keys and shapes, drawn as they were saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stylepress.errors import CheckpointError
from stylepress.train.families.norms import PictureBatchNorm
from stylepress.train.weights.checkpoint import load_network
from stylepress.train.weights.families import FAMILIES
from tests.train.layouts import SMALL, config_of, network, saved, under

ENTRIES: dict[str, Callable[[nn.Module], Any]] = {
    "adain": lambda net: net(torch.ones(1, 3, 20, 24) / 3, torch.linspace(0.1, 1, 64)[None]),
    "dcgan": lambda net: net(torch.linspace(-1, 1, 20).view(2, 10)),
    "regions": lambda net: net(
        torch.linspace(0, 1, 1680).view(1, 3, 20, 28), torch.arange(560).view(1, 20, 28, 1).byte()
    ),
    "cgan": lambda net: net(torch.linspace(-1, 1, 20).view(2, 10), torch.tensor([0, 2])),
    "stylegan": lambda net: net(*styles()),
    "swin": lambda net: net(*styles()),
    "unet2d": lambda net: net(torch.linspace(-2, 2, 192).view(1, 3, 8, 8)),
}


def styles() -> tuple[Tensor, ...]:
    noise = torch.linspace(-1, 1, 16).view(2, 8)
    return noise, noise.flip(0), torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.5])


def drawn(family: str, net: nn.Module) -> Tensor:
    picture = torch.linspace(-1, 1, 3 * 20 * 28).view(1, 3, 20, 28)
    entry = ENTRIES.get(family)
    with torch.no_grad():
        result: Tensor = entry(net) if entry else net(picture)
    return result


@pytest.mark.parametrize("family", SMALL)
def test_a_public_checkpoint_is_recognised_and_draws_as_it_was_saved(
    tmp_path: Path, family: str
) -> None:
    source = network(family)
    loaded = load_network(saved(tmp_path / "f", family, source), choices={"sampling": 2})
    assert (loaded.family, dict(loaded.config)) == (family, config_of(family))
    assert torch.equal(drawn(family, loaded.module), drawn(family, source))


@pytest.mark.parametrize(
    ("family", "parameters"),
    [
        *[("transformer", 1_679_235), ("rrmina", 1_679_235), ("resnet", 11_378_179)],
        *[("unet", 54_413_955), ("animegan", 2_143_552), ("dcgan", 3_576_704)],
        *[("taesd", 2_445_063), ("unet2d", 35_746_307)],
    ],
)
def test_the_published_sizes_come_out(family: str, parameters: int) -> None:
    with torch.device("meta"):
        net = FAMILIES[family].build(**FAMILIES[family].usual)
    assert sum(weight.numel() for weight in net.parameters()) == parameters


@pytest.mark.parametrize("dropout", [0, 1])
@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize("blocks", [6, 9])
def test_blocks_dropout_and_norm_of_a_translator_are_read_from_its_keys(
    tmp_path: Path, blocks: int, norm: str, dropout: int
) -> None:
    source = network("resnet", blocks=blocks, norm=norm, dropout=dropout)
    keys = source.state_dict().keys()
    assert {
        f"model.10.conv_block.{6 if dropout else 5}.weight",
        f"model.{17 + blocks}.weight",
    } <= keys
    loaded = load_network(saved(tmp_path, "resnet", source))
    assert loaded.config == config_of("resnet", blocks=blocks, norm=norm, dropout=dropout)


def test_batch_norm_of_pix2pix_goes_by_the_picture_or_by_the_training_and_says_so(
    tmp_path: Path,
) -> None:
    path = saved(tmp_path, "unet", network("unet"))
    by_picture = load_network(path)
    by_training = load_network(path, choices={"statistics": "training"})
    assert any(isinstance(layer, PictureBatchNorm) for layer in by_picture.module.modules())
    assert not torch.allclose(drawn("unet", by_picture.module), drawn("unet", by_training.module))
    for loaded, word in ((by_picture, "each picture"), (by_training, "its training")):
        assert word in FAMILIES["unet"].remark(loaded.config)
    # Of one picture, batch statistics are those of the picture: what pix2pix's test program does.
    trained = FAMILIES["unet"].build(**config_of("unet", statistics="training"))
    trained.load_state_dict(by_training.module.state_dict())
    assert torch.allclose(
        drawn("unet", trained.train()), drawn("unet", by_picture.module), atol=1e-5
    )


def test_the_wrong_half_of_adain_asks_for_the_other(tmp_path: Path) -> None:
    state = network("adain").state_dict()
    torch.save(under(state, "decoder."), tmp_path / "decoder.pth")
    with pytest.raises(CheckpointError, match=r"alone, and beside it lies no file.*vgg_normalised"):
        load_network(tmp_path / "decoder.pth")


def test_the_authors_own_files_of_taesd_are_the_network_of_diffusers(tmp_path: Path) -> None:
    source = network("taesd")
    state = source.state_dict()
    torch.save(under(state, "encoder.layers."), tmp_path / "taesd_encoder.pth")
    decoder = {
        f"{int(key.partition('.')[0]) + 1}.{key.partition('.')[2]}": value
        for key, value in under(state, "decoder.layers.").items()
    }
    torch.save(decoder, tmp_path / "taesd_decoder.pth")
    for name in ("taesd_encoder.pth", "taesd_decoder.pth"):
        loaded = load_network(tmp_path / name)
        assert torch.equal(drawn("taesd", loaded.module), drawn("taesd", source))


def test_weights_out_of_their_diffusers_folder_ask_for_it(tmp_path: Path) -> None:
    folder = saved(tmp_path / "ddpm", "unet2d", network("unet2d"))
    lone = (folder / "unet" / "diffusion_pytorch_model.safetensors").rename(tmp_path / "u.st")
    with pytest.raises(CheckpointError, match=r"UNet2DModel\)\. Name its folder"):
        load_network(lone)


def test_a_pipeline_that_draws_by_a_text_is_told_from_one_that_does_not(tmp_path: Path) -> None:
    folder = saved(tmp_path / "sd", "unet2d", network("unet2d"))
    (folder / "text_encoder").mkdir()
    with pytest.raises(CheckpointError, match="draws by a text"):
        load_network(folder)


@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize("head", [8, None])
def test_a_unet_and_its_sampler_do_what_diffusers_does(
    tmp_path: Path, flip: bool, head: int | None
) -> None:
    diffusers: Any = pytest.importorskip("diffusers")
    torch.manual_seed(1)
    theirs = diffusers.UNet2DModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=2,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=4,
        attention_head_dim=head,
        flip_sin_to_cos=flip,
        freq_shift=int(not flip),
        downsample_padding=int(flip),
    ).eval()
    theirs.save_pretrained(tmp_path / "u" / "unet")
    scheduler = diffusers.DDIMScheduler(timestep_spacing="trailing")
    scheduler.save_pretrained(tmp_path / "u" / "scheduler")
    (tmp_path / "u" / "model_index.json").write_text('{"_class_name": "DDIMPipeline"}')
    loaded = load_network(tmp_path / "u", choices={"sampling": 5})
    noise = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    scheduler.set_timesteps(5)
    x = noise
    with torch.no_grad():
        for time in scheduler.timesteps:
            x = scheduler.step(theirs(x, time).sample, time, x).prev_sample
        assert torch.allclose(loaded.module(noise), x, atol=1e-4)


def test_a_tiny_autoencoder_does_what_diffusers_does(tmp_path: Path) -> None:
    diffusers: Any = pytest.importorskip("diffusers")
    theirs = diffusers.AutoencoderTiny().eval()
    theirs.save_pretrained(tmp_path / "vae")
    loaded = load_network(tmp_path / "vae")
    picture = torch.rand(1, 3, 16, 24) * 2 - 1
    with torch.no_grad():
        # Its own forward rounds the latent to bytes; encode and decode do not.
        expected = theirs.decode(theirs.encode(picture).latents).sample
        assert torch.allclose(loaded.module(picture), expected, atol=1e-5)
