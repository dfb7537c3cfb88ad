"""The student folds to plain convolutions without changing what it computes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from stylepress.errors import RecipeError
from stylepress.step_fields import Preset
from stylepress.train.folding import fold, unfold
from stylepress.train.student import PRESETS, FoldedStudent, RepBlock, Student, StudentSize, Upscale


def shaken(student: Student) -> Student:
    """Give every norm statistics of its own, as training would."""
    torch.manual_seed(0)
    for norm in student.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.normal_(norm.running_mean, 0, 0.2)  # type: ignore[arg-type]
            nn.init.uniform_(norm.running_var, 0.5, 2)  # type: ignore[arg-type]
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, 0, 0.2)
    return student.eval()


@pytest.mark.parametrize("preset", PRESETS)
def test_folding_keeps_the_function_to_1e_5(preset: Preset) -> None:
    student = shaken(Student(PRESETS[preset]))
    image = torch.rand(2, 3, 37, 50)
    folded = (fold(student)(image * 255 - 128) + 128) / 255
    assert torch.allclose(folded, student(image), atol=1e-5)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_folded_student_can_learn_again_from_where_it_stood(preset: Preset) -> None:
    folded = fold(shaken(Student(PRESETS[preset])))
    again = unfold(folded)
    image = torch.rand(1, 3, 37, 50)
    expected = (folded(image * 255 - 128) + 128) / 255
    assert torch.allclose(again(image), expected, atol=2e-4)
    assert torch.allclose(fold(again)(image * 255 - 128), folded(image * 255 - 128), atol=0.05)
    again(image).mean().backward()
    assert all(p.grad is not None for p in again.parameters())


@settings(max_examples=20, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    size=st.builds(
        StudentSize,
        width=st.integers(1, 8),
        blocks=st.integers(0, 3),
        half=st.integers(1, 8),
        stride=st.sampled_from([2, 4]),
        deep_width=st.integers(0, 8),
        deep_blocks=st.integers(0, 5),
    ),
)
def test_any_picture_comes_out_rounded_up_to_the_stride(
    height: int, width: int, size: StudentSize
) -> None:
    student = shaken(Student(size))
    output = student(torch.rand(1, 3, height, width))
    stride = size.stride
    assert output.shape == (1, 3, -(-height // stride) * stride, -(-width // stride) * stride)
    folded = fold(student)(torch.zeros(1, 3, height, width))
    assert folded.shape == output.shape


@pytest.mark.parametrize("preset", PRESETS)
def test_folding_leaves_convolutions_relu_shuffles_and_the_norms_of_levels(preset: Preset) -> None:
    size = PRESETS[preset]
    leaves = [part for part in FoldedStudent(size).modules() if not any(part.children())]
    kinds = {type(leaf) for leaf in leaves} - {nn.Sequential, nn.Identity}
    assert kinds - {nn.InstanceNorm2d} == {nn.Conv2d, nn.ReLU, nn.PixelShuffle}
    norms = sum(isinstance(leaf, nn.InstanceNorm2d) for leaf in leaves)
    assert norms == (4 if size.norms else 0)  # stem, into the deep level, out of it, the sum


def test_upscaling_cannot_print_a_grid_on_a_flat_picture() -> None:
    step = Upscale(4, 3)
    output = step(torch.full((1, 4, 8, 8), 0.7))[..., 2:-2, 2:-2]
    assert torch.allclose(output, output[..., :1, :1].expand_as(output), atol=1e-4)


def test_upscaling_is_bilinear_interpolation_and_a_convolution() -> None:
    step = Upscale(4, 3)
    small = torch.rand(2, 4, 7, 9)
    large = functional.interpolate(small, scale_factor=2.0, mode="bilinear")
    expected = step.conv(large)[..., 2:-2, 2:-2]
    assert torch.allclose(step(small)[..., 2:-2, 2:-2], expected, atol=1e-6)


def test_a_rep_block_is_shift_equivariant_away_from_the_border() -> None:
    block = RepBlock(4).eval()
    image = torch.rand(1, 4, 20, 20)
    moved = block(image.roll(3, dims=3))
    assert torch.allclose(moved[..., 4:-1], block(image).roll(3, dims=3)[..., 4:-1], atol=1e-6)


def test_a_shift_by_the_stride_shifts_the_picture() -> None:
    student = shaken(Student(StudentSize(8, 1, 8)))  # sees 11 px around a pixel, so not the rim
    image = torch.rand(1, 3, 64, 64)
    one, two = student(image), student(image.roll(4, dims=3))
    assert torch.allclose(two[..., 24:40, 28:40], one[..., 24:40, 24:36], atol=1e-5)


def test_a_student_without_channels_is_refused() -> None:
    with pytest.raises(RecipeError, match="positive channels"):
        StudentSize(0, 2, 16)
