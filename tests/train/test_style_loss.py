"""The offline losses, against what they must be in closed form."""

import pytest
import torch

from stylepress.train.style_loss import (
    StyleContentLoss,
    content_distance,
    palette_distance,
    random_crop,
    sliced_wasserstein,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_picture_is_at_distance_zero_from_itself() -> None:
    image = torch.rand(1, 3, 64, 64)
    assert sliced_wasserstein(image, image, seeded()) == 0


def test_the_place_of_the_patches_does_not_matter() -> None:
    image = torch.rand(1, 3, 64, 64)
    turned = image.flip(3).flip(2)
    other = torch.rand(1, 3, 64, 64) * 0.5
    near = sliced_wasserstein(image, turned, seeded())
    assert near < 0.3 * sliced_wasserstein(image, other, seeded())


def test_a_shift_of_brightness_costs_a_line_and_a_parabola() -> None:
    flat = torch.full((1, 3, 64, 64), 0.25)
    one, two, three = (
        float(sliced_wasserstein(flat + shift, flat, seeded())) for shift in (0.1, 0.2, 0.3)
    )
    square = (two - 2 * one) / 2  # a * s + b * s^2 at s, 2s, 3s
    assert square > 0
    assert three == pytest.approx(3 * (one - square) + 9 * square, rel=1e-4)


def test_distance_is_symmetric() -> None:
    one, two = torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64) ** 2
    there, back = sliced_wasserstein(one, two, seeded()), sliced_wasserstein(two, one, seeded())
    assert there == pytest.approx(float(back), rel=1e-5)


def test_pictures_of_different_sizes_are_compared_by_their_quantiles() -> None:
    coarse = torch.full((1, 3, 48, 48), 0.5)
    fine = torch.full((1, 3, 96, 96), 0.5)
    assert sliced_wasserstein(coarse, fine, seeded()) == pytest.approx(0, abs=1e-6)


def scene(seed: int) -> torch.Tensor:
    """Blobs of 16 px: a picture that still has contrast when it is made smaller."""
    coarse = torch.rand(1, 3, 24, 24, generator=seeded(seed))
    return torch.nn.functional.interpolate(coarse, scale_factor=16, mode="bilinear")


def test_content_ignores_exposure_and_contrast() -> None:
    assert content_distance(0.2 + 0.5 * scene(1), scene(1)) < 0.1
    assert content_distance(scene(2), scene(1)) > 1


def test_content_ignores_what_is_finer_than_a_quarter_of_the_size() -> None:
    image = scene(1)
    grain = torch.full((1, 1, 384, 384), 0.1)
    grain[..., ::2] = -0.1
    assert content_distance(image + grain, image) == pytest.approx(0, abs=1e-6)


def test_a_negative_is_twice_as_far_as_a_flat_picture_squared() -> None:
    image = scene(1)
    flat = content_distance(torch.full_like(image, 0.5), image)
    assert content_distance(1 - image, image) == pytest.approx(4 * float(flat), rel=1e-3)


def test_only_values_outside_the_range_cost_range_loss() -> None:
    loss = StyleContentLoss(torch.rand(3, 96, 96))
    inside, content = torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64)
    assert loss(inside, content, seeded())["range"] == 0
    assert loss(inside + 1, content, seeded())["range"] > 0


def test_a_colour_that_the_style_lacks_costs_its_squared_distance() -> None:
    style = torch.full((1, 3, 64, 64), 0.5)
    output = style.clone()
    output[:, 0, :32] = 0.9  # half of the picture, 0.4 off in one channel
    assert palette_distance(style, style, seeded()) == pytest.approx(0, abs=1e-6)
    assert palette_distance(output, style, seeded()) == pytest.approx(0.5 * 0.4**2, rel=1e-3)


def test_the_same_generator_gives_the_same_loss() -> None:
    loss = StyleContentLoss(torch.rand(3, 96, 96))
    output, content = torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64)
    one, two = loss(output, content, seeded(3)), loss(output, content, seeded(3))
    assert one == two


def test_the_gradient_reaches_every_pixel_at_some_step() -> None:
    output = torch.rand(1, 3, 160, 160, requires_grad=True)
    style = torch.rand(1, 3, 160, 160)
    for seed in range(4):
        sliced_wasserstein(output, style, seeded(seed)).backward()  # type: ignore[no-untyped-call]
    assert output.grad is not None
    assert (output.grad != 0).float().mean() > 0.95


def test_a_crop_never_leaves_the_picture() -> None:
    picture = torch.rand(3, 70, 90)
    assert random_crop(picture, 64, seeded()).shape == (3, 64, 64)
    assert random_crop(picture, 500, seeded()).shape == (3, 70, 70)
