"""Graphs in PyTorch, on the processor and in float32: numbers and seams; speed is for a GPU."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from stylepress.errors import BackendError
from stylepress.runtime.backends import Engine, EngineOptions, open_engine
from stylepress.runtime.bundle import Bundle, read_bundle

torch = pytest.importorskip("torch")

from stylepress.runtime.torch_cuda import TorchEngine
from stylepress.runtime.torch_graph import TorchGraph

Noise = Callable[..., NDArray[np.uint8]]
SHIPPED = sorted((Path(__file__).parents[2] / "recipes").glob("*/bundle"))


def in_torch(bundle: Bundle, dtype: Any = None, **options: Any) -> TorchEngine:
    graph = TorchGraph(bundle.model(), torch.device("cpu"), dtype or torch.float32)
    return TorchEngine(graph, bundle.graph(), EngineOptions(**options))


def out(engine: Engine, frame: NDArray[np.uint8], **more: Any) -> NDArray[np.int16]:
    result: NDArray[np.int16] = engine.run({"frame": frame, **more})["frame_out"].astype(np.int16)
    return result


@pytest.mark.parametrize("size", [(16, 16), (31, 45)])
def test_a_float_graph_gives_what_onnxruntime_gives(
    size: tuple[int, int], conv_bundle: Path, noise: Noise
) -> None:
    bundle, frame = read_bundle(conv_bundle), noise(*size, batch=2)
    other = open_engine(bundle, "onnxruntime", options=EngineOptions())
    assert np.abs(out(in_torch(bundle), frame) - out(other, frame)).max() <= 1


@pytest.mark.parametrize("folder", SHIPPED[:1], ids=lambda folder: str(folder.parent.name))
def test_a_shipped_bundle_stays_within_its_tolerance_without_its_int8(folder: Path) -> None:
    bundle = read_bundle(folder)
    engine = in_torch(bundle)
    for pair in bundle.golden():
        drawn = engine.run(pair.feeds)["frame_out"].astype(np.int16)
        gap = np.abs(drawn - pair.results["frame_out"].astype(np.int16))
        assert gap.max() <= bundle.tolerance
        assert float((gap.astype(float) ** 2).mean()) ** 0.5 <= bundle.tolerance_rms


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: str(folder.parent.name))
def test_nothing_is_read_from_the_device_while_a_graph_is_captured(folder: Path) -> None:
    """On ``meta``, tensors have shapes and no values: reading one of them is an error."""
    bundle, device = read_bundle(folder), torch.device("meta")
    graph = TorchGraph(bundle.model(), device, torch.float16)
    fed = {"frame": torch.empty(2, 70, 90, 3, dtype=torch.uint8, device=device)}
    fed["strength"] = torch.empty(2, device=device)
    (result,) = graph(fed, ["frame_out"]).values()
    assert (result.shape, result.dtype) == (fed["frame"].shape, torch.uint8)


def test_half_precision_keeps_the_frame_at_strength_zero(conv_bundle: Path, noise: Noise) -> None:
    frame = noise(19, 23)
    engine = in_torch(read_bundle(conv_bundle), torch.float16)
    assert np.array_equal(out(engine, frame, strength=0.0), frame)


def test_results_go_where_they_are_wanted_and_shapes_come_and_go(
    conv_bundle: Path, noise: Noise
) -> None:
    engine = in_torch(read_bundle(conv_bundle), lanes=2)
    first = out(engine, noise(16, 16))
    for side in range(17, 24):
        assert out(engine, noise(side, side)).shape == (1, side, side, 3)
    place = np.empty((1, 16, 16, 3), np.uint8)
    assert engine.run({"frame": noise(16, 16)}, {"frame_out": place})["frame_out"] is place
    assert np.array_equal(place, first)
    engine.close()
    engine.close()
    with pytest.raises(BackendError, match="is closed"):
        engine.run({"frame": noise(16, 16)})


def test_an_operator_that_is_not_known_is_named(tint_model: onnx.ModelProto) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(tint_model)
    model.graph.node[0].op_type = "Einsum"
    with pytest.raises(BackendError, match="does not know the operator Einsum"):
        TorchGraph(model.SerializeToString(), torch.device("cpu"), torch.float32)


def test_asking_which_backends_run_here_imports_no_torch() -> None:
    code = (
        "import sys\nfrom stylepress.runtime.backends import missing\nprint(sorted(missing()))\n"
        "from stylepress.runtime.nvidia.driver import present\n"
        "sys.exit('torch' in sys.modules and not present())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
