"""Folding a student to what ships, and back to what can learn: equal to float error.

Batch norms with fixed statistics and the branches of a rep-block become one kernel (RepVGG,
arXiv 2101.03697, section 3.3), a resize-convolution a convolution and a pixel shuffle.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stylepress.train.student import FoldedStudent, Kernel, RepBlock, Student, Upscale, phases_of
from stylepress.train.weights.narrow import resize


@torch.no_grad()
def fold(student: Student) -> FoldedStudent:
    """Return the plain network that computes what ``student`` computes with fixed statistics.

    Equal to float error: no step approximates. The range changes from [0, 1] to [-128, 127].
    """
    folded = FoldedStudent(student.size).eval()
    kernels = [kernel for layer in student.children() for kernel in _kernels(layer)]
    kernels[0] = (kernels[0][0] / 255, kernels[0][1])
    kernels[-1] = (kernels[-1][0] * 255, kernels[-1][1] * 255)
    plain = [layer for layer in folded.modules() if isinstance(layer, nn.Conv2d)]
    for layer, (weight, bias) in zip(plain, kernels, strict=True):
        _copy_kernel(layer, weight, bias)
    _copy_norms(student, folded)
    return folded


@torch.no_grad()
def unfold(folded: FoldedStudent, *, plain: bool = False) -> Student:
    """Return a student that can learn again and computes what ``folded`` computes.

    A narrowed one must be ``plain``: the three branches of a rep-block have one width.

    The inverse of `fold` within float error: norms begin as the identity with statistics that
    stand still, so keep them in eval mode until they have seen data. The branches of a rep-block
    share its kernel; a kernel of an upscaling is solved for.
    """
    student = Student(folded.size, plain=plain).eval()
    kernels = [_kernel(layer) for layer in folded.modules() if isinstance(layer, nn.Conv2d)]
    kernels[0] = (kernels[0][0] * 255, kernels[0][1])
    kernels[-1] = (kernels[-1][0] / 255, kernels[-1][1] / 255)
    for layer, (weight, bias) in zip(_folding(student), kernels, strict=True):
        if isinstance(layer, RepBlock):
            _unfold_block(layer, weight, bias)
            continue
        if isinstance(layer, Upscale):
            _copy_kernel(layer.conv, _unphased(weight), bias[::4])
        else:
            _copy_kernel(layer, weight, bias)
    _copy_norms(folded, student)
    return student


def _copy_kernel(layer: nn.Conv2d, weight: Tensor, bias: Tensor) -> None:
    if layer.weight.shape != weight.shape:
        resize(layer, weight.shape[:2])
    layer.weight.copy_(weight)
    if layer.bias is not None:
        layer.bias.copy_(bias)


def _copy_norms(source: nn.Module, target: nn.Module) -> None:
    sources, targets = (
        [layer for layer in net.modules() if isinstance(layer, nn.InstanceNorm2d)]
        for net in (source, target)
    )
    for norm, copied in zip(sources, targets, strict=True):
        copied.num_features = norm.num_features
        copied.weight = nn.Parameter(norm.weight.detach().clone())
        copied.bias = nn.Parameter(norm.bias.detach().clone())


def _folding(module: nn.Module) -> Iterator[RepBlock | Upscale | nn.Conv2d]:
    """Yield the parts that fold to one convolution each, in the order they stand."""
    if isinstance(module, RepBlock | Upscale | nn.Conv2d):
        yield module
        return
    for part in module.children():
        yield from _folding(part)


def _unfold_block(block: RepBlock, weight: Tensor, bias: Tensor) -> None:
    """Give the wide branch what the other two do not draw yet."""
    for norm in (block.wide_norm, block.point_norm, block.skip_norm):
        nn.init.ones_(norm.weight)
        nn.init.zeros_(norm.bias)
        if norm.running_mean is not None and norm.running_var is not None:
            norm.running_mean.zero_()
            norm.running_var.fill_(1 - norm.eps)
    block.point.weight.mul_(0.1)
    block.wide.weight.zero_()
    others, _ = _fold_block(block)
    block.wide.weight.copy_(weight - others)
    block.wide_norm.bias.copy_(bias)


def _unphased(phases: Tensor) -> Tensor:
    """Return the 3x3 kernel whose phases these are; `phases_of` is linear and loses nothing."""
    outputs, inputs = phases.shape[0] // 4, phases.shape[1]
    basis = torch.eye(9, dtype=phases.dtype).view(9, 1, 3, 3)
    images = phases_of(basis).reshape(9, 36)  # one row a basis kernel
    wanted = phases.reshape(outputs, 4, inputs, 9).permute(0, 2, 1, 3).reshape(-1, 36)
    solved: Tensor = torch.linalg.lstsq(images.T, wanted.T).solution
    return solved.T.reshape(outputs, inputs, 3, 3)


def _kernels(module: nn.Module) -> Iterator[Kernel]:
    """Yield the plain kernel of each convolution-like part, in the order the parts stand."""
    if isinstance(module, RepBlock):
        yield _fold_block(module)
    elif isinstance(module, Upscale):
        weight, bias = module.kernel(torch.float64)
        yield weight.detach(), bias.detach()
    elif isinstance(module, nn.Conv2d):
        yield _kernel(module)
    else:
        for part in module.children():
            yield from _kernels(part)


def _kernel(layer: nn.Conv2d) -> Kernel:
    bias = layer.bias if layer.bias is not None else torch.zeros(layer.out_channels)
    return layer.weight.detach().double(), bias.detach().double()


def _fold_block(block: RepBlock) -> Kernel:
    """Sum the three branches of a rep-block into one 3x3 kernel (RepVGG, section 3.3)."""
    channels = block.wide.out_channels
    point = F.pad(block.point.weight, (1, 1, 1, 1))
    identity = torch.zeros_like(block.wide.weight)
    identity[range(channels), range(channels), 1, 1] = 1
    branches = [
        _fold_norm(block.wide.weight, block.wide_norm),
        _fold_norm(point, block.point_norm),
        _fold_norm(identity, block.skip_norm),
    ]
    return (
        torch.stack([weight for weight, _ in branches]).sum(0),
        torch.stack([bias for _, bias in branches]).sum(0),
    )


def _fold_norm(weight: Tensor, norm: nn.BatchNorm2d) -> Kernel:
    """Put the gain and offset of a batch norm with fixed statistics into the kernel before it."""
    if norm.running_var is None or norm.running_mean is None:
        raise TypeError("a rep-block keeps running statistics")
    gain = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    return weight.double() * gain.view(-1, 1, 1, 1), norm.bias - norm.running_mean * gain
