"""The roofline: closed form on one convolution, and silence where a profile knows nothing."""

from __future__ import annotations

from itertools import pairwise

import onnx
import pytest

from stylepress.export.macs import cost
from stylepress.export.roofline import floor, moved_bytes
from stylepress.targets.target import load_target


def test_the_floor_is_operations_by_peak_and_bytes_by_bandwidth(model: onnx.ModelProto) -> None:
    target = load_target("rtx-4090")
    found = floor(model, target, size=(512, 512), precision="int8")
    assert found.compute_ms == pytest.approx(2 * cost(model, 512, 512).macs / 660e12 * 1e3)
    bytes_moved = moved_bytes(model, (512, 512), "int8")
    assert found.memory_ms == pytest.approx(bytes_moved / 1008e9 * 1e3)
    assert found.ms in (found.compute_ms, found.memory_ms)
    assert str(found).startswith("estimated floor")


def test_wider_numbers_move_more_and_count_slower(model: onnx.ModelProto) -> None:
    target = load_target("a100-80gb")
    by_precision = [
        floor(model, target, size=(256, 256), precision=p) for p in ("int8", "fp16", "fp32")
    ]
    for one, two in pairwise(by_precision):
        assert (one.memory_ms or 0) < (two.memory_ms or 0)
        assert (one.compute_ms or 0) < (two.compute_ms or 0)


def test_what_a_profile_does_not_know_is_unknown(model: onnx.ModelProto) -> None:
    thor, cpu = (
        floor(model, load_target(name), size=(256, 256), precision="int8")
        for name in ("jetson-thor-t5000", "x86-cpu")
    )
    assert (thor.compute_ms, thor.ms) == (None, thor.memory_ms)
    assert cpu.ms is None
    assert "unknown" in str(cpu)
