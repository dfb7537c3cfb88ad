"""VGG-16 features and the perceptual loss, on random weights in the layout of torchvision."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from stylepress.errors import CheckpointError, FrameError
from stylepress.train.perceptual import PerceptualLoss, Vgg16, gram, load_vgg16, vgg16_from
from stylepress.train.style_loss import ImageLoss

NARROW = (4, 6, 8, 10)
PUBLISHED = {0: 64, 2: 64, 5: 128, 7: 128, 10: 256, 12: 256, 14: 256, 17: 512, 19: 512, 21: 512}
"""Index in torchvision's ``features`` and output channels, down to relu4_3."""


@pytest.fixture
def vgg() -> Vgg16:
    torch.manual_seed(0)
    return Vgg16(NARROW)


def picture(seed: int, side: int = 32, count: int | None = None) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (3, side, side) if count is None else (count, 3, side, side)
    return torch.rand(shape, generator=generator)


def torchvision(vgg: Vgg16) -> dict[str, Tensor]:
    """What a torchvision file holds: the deeper features and the classifier too."""
    deeper = {
        f"features.{n}.{part}": torch.ones(1) for n in (24, 26, 28) for part in ("weight", "bias")
    }
    return {**vgg.state_dict(), **deeper, "classifier.0.weight": torch.ones(2, 2)}


def test_keys_and_shapes_are_those_of_torchvision() -> None:
    with torch.device("meta"):
        state = Vgg16().state_dict()
    inputs = 3
    for index, outputs in PUBLISHED.items():
        assert state.pop(f"features.{index}.weight").shape == (outputs, inputs, 3, 3)
        assert state.pop(f"features.{index}.bias").shape == (outputs,)
        inputs = outputs
    assert not state


def test_features_are_the_activations_before_each_pool(vgg: Vgg16) -> None:
    image = picture(1, 24, 2)
    state = vgg.state_dict()
    x = (image - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor(
        [0.229, 0.224, 0.225]
    ).view(3, 1, 1)
    seen = vgg(image)
    for stage, expected in zip(((0, 2), (5, 7), (10, 12, 14), (17, 19, 21)), seen, strict=True):
        for index in stage:
            weight, bias = state[f"features.{index}.weight"], state[f"features.{index}.bias"]
            x = F.conv2d(x, weight, bias, padding=1).relu()
        torch.testing.assert_close(expected, x)
        x = F.max_pool2d(x, 2)
    assert seen.relu4_3.shape == (2, 10, 3, 3)


def test_a_torchvision_file_is_loaded_without_its_classifier(tmp_path: Path, vgg: Vgg16) -> None:
    torch.save(torchvision(vgg), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    save_file(vgg.state_dict(), tmp_path / "features.safetensors")
    for name in ("old.pth", "features.safetensors"):
        loaded = load_vgg16(tmp_path / name)
        assert torch.equal(loaded(picture(1)[None]).relu4_3, vgg(picture(1)[None]).relu4_3)
        assert not loaded.training
        assert not any(weight.requires_grad for weight in loaded.parameters())


def test_loading_leaves_the_random_numbers_of_a_run_alone(vgg: Vgg16) -> None:
    before = torch.get_rng_state()
    vgg16_from(vgg.state_dict())
    assert torch.equal(torch.get_rng_state(), before)


def test_other_networks_are_refused_by_name(vgg: Vgg16) -> None:
    nineteen = torchvision(vgg)
    nineteen["features.16.weight"] = nineteen.pop("features.17.weight")
    with pytest.raises(
        CheckpointError, match=r"lacks features\.17\.weight .* features\.16\.weight"
    ):
        vgg16_from(nineteen)
    normed = {**torchvision(vgg), "features.1.running_mean": torch.zeros(4)}
    with pytest.raises(CheckpointError, match="nor one with batch norm"):
        vgg16_from(normed)
    with pytest.raises(CheckpointError, match=r"lacks features\.0\.bias"):
        vgg16_from({"conv1.weight": torch.ones(1)})
    odd = {**torchvision(vgg), "features.2.weight": torch.ones(4, 4, 5, 5)}
    with pytest.raises(CheckpointError, match=r"features\.2\.weight has shape \(4, 4, 5, 5\)"):
        vgg16_from(odd)


def test_the_gram_of_flat_channels_is_their_product_over_their_number() -> None:
    levels = torch.tensor([1.0, 2.0, 4.0])
    flat = levels.view(1, 3, 1, 1).expand(2, 3, 5, 7)
    torch.testing.assert_close(gram(flat), (levels[:, None] * levels / 3).expand(2, 3, 3))


def test_the_gram_does_not_see_where_things_are() -> None:
    activation = picture(3, 8, 2)
    torch.testing.assert_close(gram(activation), gram(activation.flip(-1).roll(3, -2)))


def test_the_content_itself_has_no_content_loss_and_the_style_itself_no_style_loss(
    vgg: Vgg16,
) -> None:
    style, content = picture(1), picture(2)[None]
    loss = PerceptualLoss(vgg, style)
    of_content, of_style = loss(content, content), loss(style[None], content)
    assert of_content["content"] == 0 < of_content["style"]
    assert of_style["style"] == pytest.approx(0, abs=1e-6 * float(of_content["style"]))
    assert of_style["content"] > 0
    assert of_content["range"] == 0


def test_only_what_cannot_be_shown_costs_range(vgg: Vgg16) -> None:
    loss = PerceptualLoss(vgg, picture(1), range_weight=2.0)
    content = picture(2)[None]
    assert loss(content + 2, content)["range"] == pytest.approx(2 * float((content + 1).mean()))


def test_terms_are_linear_in_their_weights(vgg: Vgg16) -> None:
    output, content = picture(2)[None] * 1.5, picture(3)[None]
    one = PerceptualLoss(vgg, picture(1), content_weight=1, style_weight=1, range_weight=1)
    two = PerceptualLoss(vgg, picture(1), content_weight=2, style_weight=4, range_weight=8)
    for name, ratio in {"content": 2, "style": 4, "range": 8}.items():
        torch.testing.assert_close(two(output, content)[name], ratio * one(output, content)[name])


def test_the_loss_of_a_batch_is_the_mean_over_its_images(vgg: Vgg16) -> None:
    loss = PerceptualLoss(vgg, picture(1, 40))
    output, content = picture(2, 32, 3) * 1.2, picture(3, 32, 3)
    single = [loss(output[n : n + 1], content[n : n + 1]) for n in range(3)]
    for name, value in loss(output, content).items():
        mean = torch.stack([terms[name] for terms in single]).mean()
        torch.testing.assert_close(value, mean, rtol=1e-4, atol=0)


def test_nothing_is_changed_in_place_and_only_the_output_learns(vgg: Vgg16) -> None:
    output, content = picture(2)[None].requires_grad_(), picture(3)[None].requires_grad_()
    loss = PerceptualLoss(vgg, picture(1))
    sum(loss(output, content).values()).backward()
    assert output.grad is not None
    assert output.grad.abs().sum() > 0
    assert content.grad is None
    assert torch.equal(output, picture(2)[None])
    assert not list(filter(lambda p: p.requires_grad, loss.parameters()))


def test_descending_the_loss_brings_the_style_nearer(vgg: Vgg16) -> None:
    loss: ImageLoss = PerceptualLoss(vgg, picture(1) * 0.2, content_weight=0)
    image = picture(2)[None].requires_grad_()
    seen = []
    for _ in range(12):
        terms = loss(image, picture(2)[None], torch.Generator())
        (slope,) = torch.autograd.grad(torch.stack(list(terms.values())).sum(), image)
        image = (image - 0.05 * slope.sign()).detach().requires_grad_()
        seen.append(terms["style"].item())
    assert seen[-1] < seen[0] / 4


def test_a_style_picture_too_small_for_the_network_is_refused(vgg: Vgg16) -> None:
    with pytest.raises(FrameError, match="40x12 pixels, fewer than 16"):
        PerceptualLoss(vgg, torch.zeros(3, 12, 40))
