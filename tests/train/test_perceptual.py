"""Relative Gram and feature losses, on random weights in the layout of Caffe converters."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from stylepress.errors import FrameError
from stylepress.train.features.distances import (
    COPY_LAYERS,
    copy_distance,
    gram,
    out_of_range,
    relative_gap,
    resized,
    total_variation,
)
from stylepress.train.features.vgg import Vgg
from stylepress.train.perceptual import PerceptualLoss
from stylepress.train.style_loss import ImageLoss
from tests.train.small_vgg import small_vgg


@pytest.fixture
def vgg() -> Vgg:
    return small_vgg()


def picture(seed: int, side: int = 48, count: int | None = None) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (3, side, side) if count is None else (count, 3, side, side)
    return torch.rand(shape, generator=generator)


def test_the_gram_of_flat_channels_is_their_product() -> None:
    levels = torch.tensor([1.0, 2.0, 4.0])
    flat = levels.view(1, 3, 1, 1).expand(2, 3, 5, 7)
    torch.testing.assert_close(gram(flat), (levels[:, None] * levels).expand(2, 3, 3))


def test_the_gram_does_not_see_where_things_are() -> None:
    activation = picture(3, 8, 2)
    torch.testing.assert_close(gram(activation), gram(activation.flip(-1).roll(3, -2)))


def test_a_relative_gap_is_0_for_equals_1_for_nothing_and_has_no_unit() -> None:
    aim = picture(1, 8, 2)
    torch.testing.assert_close(relative_gap(aim, aim), torch.zeros(2))
    torch.testing.assert_close(relative_gap(torch.zeros_like(aim), aim), torch.ones(2))
    one, two = relative_gap(picture(2, 8, 2), aim), relative_gap(9 * picture(2, 8, 2), 9 * aim)
    torch.testing.assert_close(one, two)


def test_a_copy_is_0_away_and_more_noise_is_farther(vgg: Vgg) -> None:
    aims = vgg(picture(1)[None], COPY_LAYERS)
    noise = torch.randn(1, 3, 48, 48, generator=torch.Generator().manual_seed(4))
    gaps = [
        float(copy_distance(vgg(picture(1)[None] + level * noise, COPY_LAYERS), aims))
        for level in (0, 0.02, 0.1, 0.3)
    ]
    assert gaps[0] == 0
    assert gaps == sorted(gaps)


def test_the_content_itself_has_no_content_loss_and_the_style_itself_no_style_loss(
    vgg: Vgg,
) -> None:
    style, content = picture(1), picture(2)[None]
    loss = PerceptualLoss(vgg, style)
    of_content, of_style = loss(content, content), loss(style[None], content)
    assert of_content["content"] == 0 < of_content["style"]
    assert of_style["style"] == pytest.approx(0, abs=1e-6)
    assert of_style["content"] > 0
    assert of_content["range"] == 0


def test_only_what_cannot_be_shown_costs_range_and_only_changes_cost_variation() -> None:
    content = picture(2)[None]
    assert out_of_range(content + 2) == pytest.approx(float((content + 1).mean()))
    assert total_variation(torch.full((1, 3, 8, 8), 0.7)) == 0
    ramp = torch.arange(8.0).view(1, 1, 1, 8).expand(1, 3, 8, 8)
    assert total_variation(ramp) == 1


def test_terms_are_linear_in_their_weights(vgg: Vgg) -> None:
    output, content = picture(2)[None] * 1.5, picture(3)[None]
    one = PerceptualLoss(vgg, picture(1), content_weight=1, style_weight=1, range_weight=1)
    two = PerceptualLoss(vgg, picture(1), content_weight=2, style_weight=4, range_weight=8)
    for name, ratio in {"content": 2, "style": 4, "range": 8, "variation": 1}.items():
        torch.testing.assert_close(two(output, content)[name], ratio * one(output, content)[name])


def test_pictures_to_stay_near_cost_nothing_where_they_are_reached(vgg: Vgg) -> None:
    content, aim = picture(3)[None], picture(2)[None]
    loss = PerceptualLoss(vgg, picture(1), near=lambda _: aim, near_weight=2)
    near = [float(loss(share * aim, content)["near"]) for share in (1, 0.8, 0.4)]
    assert near[0] == 0
    assert near == sorted(near)
    assert near[2] < 2  # twice as far as an empty picture is 2


def test_the_loss_of_a_batch_is_the_mean_over_its_images(vgg: Vgg) -> None:
    loss = PerceptualLoss(vgg, picture(1, 40))
    output, content = picture(2, 32, 3) * 1.2, picture(3, 32, 3)
    single = [loss(output[n : n + 1], content[n : n + 1]) for n in range(3)]
    for name, value in loss(output, content).items():
        mean = torch.stack([terms[name] for terms in single]).mean()
        torch.testing.assert_close(value, mean, rtol=1e-4, atol=0)


def test_only_the_output_learns(vgg: Vgg) -> None:
    output, content = picture(2)[None].requires_grad_(), picture(3)[None].requires_grad_()
    terms = PerceptualLoss(vgg, picture(1))(output, content)
    torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
    assert output.grad is not None
    assert output.grad.abs().sum() > 0
    assert content.grad is None
    assert not [weight for weight in vgg.parameters() if weight.requires_grad]


def test_descending_the_loss_brings_the_style_nearer(vgg: Vgg) -> None:
    loss: ImageLoss = PerceptualLoss(vgg, picture(1) * 0.2, content_weight=0)
    image = picture(2)[None].requires_grad_()
    seen = []
    for _ in range(12):
        terms = loss(image, picture(2)[None], torch.Generator())
        (slope,) = torch.autograd.grad(torch.stack(list(terms.values())).sum(), image)
        image = (image - 0.05 * slope.sign()).detach().requires_grad_()
        seen.append(terms["style"].item())
    assert seen[-1] < seen[0] / 4


def test_pictures_are_made_smaller_never_larger() -> None:
    assert resized(picture(1, 48), 24).shape == (3, 24, 24)
    assert resized(torch.zeros(3, 30, 60), 448).shape == (3, 30, 60)
    assert resized(torch.zeros(3, 100, 50), 25).shape == (3, 50, 25)


def test_a_style_picture_too_small_for_the_network_is_refused(vgg: Vgg) -> None:
    with pytest.raises(FrameError, match="40x12 pixels, fewer than 16"):
        PerceptualLoss(vgg, torch.zeros(3, 12, 40))
