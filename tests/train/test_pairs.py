"""Trainings on pairs, regions and styles: what they are shown, what they learn, how they go on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from torch import Tensor

from stylepress.artifact import Artifact
from stylepress.errors import FrameError
from stylepress.model_steps import DiffuseStep, ModelStep, PairsStep, RegionsStep, SampleStep
from stylepress.progress import Silent
from stylepress.step_fields import Style
from stylepress.train.families.cgan import CganGenerator
from stylepress.train.families.stylegan import ModulatedConv, StyleGenerator
from stylepress.train.models.regions import composed, drawn_mask
from stylepress.train.models.stage import train_model
from stylepress.train.pairs import Pairs, to_cartoon, to_photo
from stylepress.train.photos import Photos
from stylepress.train.trainer.feed import generator
from stylepress.train.trainer.state import STATE
from stylepress.train.weights.checkpoint import load_network
from stylepress.work import Work

PHOTOS = Path(__file__).parents[2] / "recipes" / "photos" / "train"
SHORT: dict[str, Any] = {"photos": PHOTOS, "precision": "fp32", "seed": 1}
GLASS, STROKES = Style(pattern="glass", size=64), Style(pattern="strokes", size=64)
STEPS: dict[str, ModelStep] = {
    "unet": PairsStep(model="unet", width=4, downs=4, judge_width=2, crop_px=64, steps=3, **SHORT),
    "translator": PairsStep(
        width=4, blocks=1, judge_width=2, crop_px=64, steps=3, scales=2, attention=True, **SHORT
    ),
    "regions": RegionsStep(
        inside=GLASS, outside=STROKES, width=4, blocks=1, crop_px=64, steps=3, loss="swd", **SHORT
    ),
    "conditioned": DiffuseStep(width=8, levels=2, batch=4, steps=3, sampling=1, **SHORT),
    "cgan": SampleStep(
        model="cgan", classes={"glass": GLASS, "strokes": STROKES},
        side_px=16, width=4, noise=8, batch=4, steps=3, **SHORT,
    ),
    "swin": SampleStep(model="swin", side_px=16, width=4, noise=8, batch=4, steps=3, **SHORT),
}  # fmt: skip


def work(folder: Path) -> Work:
    return Work("any", folder / "training", folder / "board", device="cpu", home=folder)


class Board(Silent):
    """A Progress that stops a training after its first saved state."""

    def __init__(self, state: Path) -> None:
        self.state = state

    def advance(self, steps: int = 1, note: str = "") -> None:
        if self.state.exists():
            raise RuntimeError("killed after a state was saved")


def trained(step: ModelStep, folder: Path) -> Artifact:
    return train_model(None, step, folder / "c", work(folder))


@pytest.mark.parametrize("family", STEPS)
def test_a_step_trains_its_family_and_writes_what_loads_again(tmp_path: Path, family: str) -> None:
    checkpoint = trained(STEPS[family], tmp_path)
    loaded = load_network(checkpoint.folder)
    assert loaded.family == family
    weights_alone = load_network(checkpoint.path("weights.safetensors"))
    assert weights_alone.family == family
    assert checkpoint.numbers["loss"] > 0


def test_a_style_sampler_that_was_killed_ends_where_the_undisturbed_one_ends(
    tmp_path: Path,
) -> None:
    step = SampleStep(
        model="stylegan", side_px=16, width=4, noise=8, batch=4, steps=10, save_every=5, **SHORT
    )
    whole = trained(step, tmp_path / "a")
    place = work(tmp_path / "b")
    with pytest.raises(RuntimeError, match="killed"):
        train_model(
            None, step, tmp_path / "p", replace(place, progress=Board(place.folder / STATE))
        )
    gone_on = replace(place, resume=True, shared={})
    assert train_model(None, step, tmp_path / "p", gone_on).digest == whole.digest


def test_a_modulated_convolution_is_a_convolution_with_modulated_weights() -> None:
    torch.manual_seed(0)
    layer = ModulatedConv(5, 7, 3, style=4)
    x, style = torch.randn(2, 5, 8, 8), torch.randn(2, 4)
    scales = layer.affine(style)
    for row in range(2):
        weight = layer.weight * layer.scale * scales[row][None, :, None, None]
        weight = weight * (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).rsqrt()
        expected = torch.nn.functional.conv2d(x[row : row + 1], weight, padding=1)
        assert torch.allclose(layer(x, style)[row : row + 1], expected, atol=1e-5)


def test_truncation_leads_to_one_picture_and_mixing_changes_fine_layers_only() -> None:
    torch.manual_seed(0)
    net = StyleGenerator(noise=8, width=4, ups=2).eval()
    net.mapping.measure_average(64)
    noise, fine = torch.randn(2, 3, 8).unbind(0)
    zeros, ones = torch.zeros(3), torch.ones(3)

    def drawn(mixing: Tensor, truncation: Tensor) -> Tensor:
        with torch.no_grad():
            pictures: Tensor = net(noise, fine, mixing, truncation)
            return pictures

    average = drawn(zeros, zeros)
    assert torch.allclose(average[0], average[1], atol=1e-5)
    assert not torch.allclose(drawn(zeros, ones)[0], drawn(zeros, ones)[1], atol=1e-2)
    assert not torch.allclose(drawn(zeros, ones), drawn(ones, ones), atol=1e-2)
    coarse = [net.mapping.styles(noise, fine, share, ones)[0] for share in (zeros, ones)]
    assert torch.equal(*coarse)


def test_a_label_changes_what_one_noise_becomes() -> None:
    torch.manual_seed(0)
    net = CganGenerator("glass,strokes", noise=4, width=4, ups=2)
    noise = torch.randn(1, 4).expand(2, -1)
    first, second = net(noise, torch.tensor([0, 1]))
    assert not torch.allclose(first, second, atol=1e-3)


def test_pairs_of_a_folder_are_cropped_alike_and_a_narrow_picture_is_refused(
    tmp_path: Path,
) -> None:
    left = np.random.default_rng(0).integers(0, 255, (80, 90, 3), np.uint8)
    Image.fromarray(np.concatenate([left, 255 - left], 1)).save(tmp_path / "both.png")
    pairs = Pairs(Photos.below(tmp_path, Silent()))
    source, target = pairs.crop(generator(0, 0), 64)
    assert source.shape == target.shape == (3, 64, 64)
    assert torch.allclose(source + target, torch.ones(()), atol=2 / 255)
    Image.fromarray(left.transpose(1, 0, 2)).save(tmp_path / "both.png")
    with pytest.raises(FrameError, match="no two pictures side by side"):
        Pairs(Photos.below(tmp_path, Silent())).crop(generator(0, 0), 64)


def test_a_cartoon_is_flat_between_lines_and_outlines_forget_the_colours() -> None:
    half = torch.zeros(3, 32, 32)
    half[:, :, 16:] = torch.tensor([0.9, 0.5, 0.2]).view(3, 1, 1)
    photo, cartoon = to_cartoon(half)
    assert torch.equal(photo, half)
    assert float(cartoon[:, :, 24:30].std((1, 2)).max()) < 1e-5
    assert float(cartoon[:, :, 15:17].mean()) < float(cartoon[:, :, 24:].mean()) / 2
    lines, target = to_photo(half)
    assert torch.equal(target, half)
    assert torch.equal(lines[0], lines[2])
    assert float(lines[0, :, 15:17].max()) == 0
    assert float(lines[0, :, 20:].min()) == float(lines[0, :, :12].min()) == 1


def test_a_mask_holds_both_styles_and_lays_one_over_the_other() -> None:
    mask = drawn_mask(generator(3, 0), 64)
    assert {0, 255} <= set(torch.unique(mask).tolist())
    outside, inside = torch.zeros(1, 3, 64, 64), torch.ones(1, 3, 64, 64)
    laid = composed(outside, inside, mask[None])
    assert torch.equal(laid[0, 0], mask[..., 0].float() / 255)


@pytest.mark.parametrize(
    ("kind", "values", "said"),
    [
        (PairsStep, {"model": "unet", "scales": 2}, "options of the resnet"),
        (SampleStep, {"model": "cgan"}, "classes"),
        (SampleStep, {"model": "ddpm", "classes": {"a": GLASS}}, "only that"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    kind: Any, values: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        kind(**values)
