"""Graphs by their ports in every backend: batches, results in place, state, several in a bundle."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
from numpy.typing import NDArray

from stylepress import Artifact, Graph, Port
from stylepress.errors import BackendError, FrameError, RecipeError, VerificationError
from stylepress.picture import Pixels
from stylepress.runtime.backends import Engine, EngineOptions, missing, open_engine, usual
from stylepress.runtime.bundle import Bundle, read_bundle
from stylepress.runtime.choice import self_test
from stylepress.runtime.feeds import carried
from tests.frames import frame_ports

Noise = Callable[..., Pixels]
REAL = [name for name in usual() if name not in missing()]
EVERY = pytest.mark.parametrize("backend", ["null", *REAL])
EVERY_REAL = pytest.mark.parametrize("backend", REAL)
MEMORY = """
<ir_version: 8, opset_import: ["": 17]>
remember (uint8[batch,height,width,3] frame, float[batch,height,width,3] before)
    => (uint8[batch,height,width,3] frame_out, float[batch,height,width,3] after, int64[4] size)
<float half = {0.5}>
{
    now = Cast <to=1> (frame)
    gap = Sub(now, before)
    part = Mul(gap, half)
    after = Add(before, part)
    whole = Round(after)
    frame_out = Cast <to=2> (whole)
    size = Shape(frame)
}
"""
CODE = """
<ir_version: 8, opset_import: ["": 17]>
encode (uint8[batch,height,width,3] frame) => (float[batch,3] code)
{
    levels = Cast <to=1> (frame)
    code = ReduceMean <axes=[1,2], keepdims=0> (levels)
}
"""


def memory_ports() -> Graph:
    """A filter over time: each result is half way from the one before to the frame."""
    shape = ("batch", "height", "width", 3)
    picture = Port(name="frame", shape=shape, dtype="uint8", low=0, high=255)
    before = Port(name="before", shape=shape, dtype="float32", default=0.0)
    return Graph(
        kind="frame",
        file="memory.onnx",
        inputs=(picture, before),
        outputs=(
            picture.model_copy(update={"name": "frame_out"}),
            before.model_copy(update={"name": "after", "default": None}),
            Port(name="size", shape=(4,), dtype="int64"),
        ),
        state={"after": "before"},
    )


def code_ports() -> Graph:
    """The mean colour of a picture."""
    code = Port(name="code", shape=("batch", 3), dtype="float32", low=0, high=255)
    (frame, _) = frame_ports().inputs
    return Graph(kind="encoder", file="code.onnx", inputs=(frame,), outputs=(code,))


@pytest.fixture
def several(tmp_path: Path, tint_model: onnx.ModelProto) -> Bundle:
    """A bundle of three graphs: an encoder, a frame graph, and one that remembers."""

    def fill(folder: Path) -> None:
        for name, text in (("memory", MEMORY), ("code", CODE)):
            onnx.save(onnx.parser.parse_model(text), folder / f"{name}.onnx")
        onnx.save(tint_model, folder / "model.onnx")

    graphs = {"code": code_ports(), "frame": frame_ports(), "memory": memory_ports()}
    made_by = {"step": "export", "opset": 17}
    Artifact.create(
        tmp_path / "several", fill, kind="bundle", name="several", graphs=graphs, made_by=made_by
    )
    return read_bundle(tmp_path / "several")


@pytest.fixture
def toy(toy_bundle: Path) -> Bundle:
    """The tint bundle, loaded."""
    return read_bundle(toy_bundle)


def engine_of(bundle: Bundle, backend: str, graph: str | None = None, **options: Any) -> Engine:
    return open_engine(bundle, backend, options=EngineOptions(**options), graph=graph)


@EVERY_REAL
@pytest.mark.parametrize("size", [None, (9, 11)])
def test_two_streams_of_one_batch_have_their_own_strength(
    backend: str, size: tuple[int, int] | None, toy: Bundle, noise: Noise
) -> None:
    engine = engine_of(toy, backend, size=size)
    frames = noise(9, 11, batch=2)
    strengths = np.array([0, 1], np.float32)
    mixed = engine.run({"frame": frames, "strength": strengths})["frame_out"]
    whole = engine.run({"frame": frames})["frame_out"]
    assert np.array_equal(mixed[0], frames[0])
    assert np.array_equal(mixed[1], whole[1])
    assert not np.array_equal(whole[0], frames[0])


@EVERY_REAL
def test_a_strength_for_another_number_of_frames_is_refused(
    backend: str, toy: Bundle, noise: Noise
) -> None:
    feeds: dict[str, NDArray[Any]] = {
        "frame": noise(4, 4, batch=2),
        "strength": np.ones(3, np.float32),
    }
    with pytest.raises(FrameError, match=r"strength is \(3,\).*here batch 2"):
        engine_of(toy, backend).run(feeds)


@EVERY
@pytest.mark.parametrize("size", [None, (9, 11), (30, 20)])
def test_results_go_into_the_array_that_is_handed_in(
    backend: str, size: tuple[int, int] | None, toy: Bundle, noise: Noise
) -> None:
    engine = engine_of(toy, backend, size=size)
    for seed in range(3):
        frame = noise(9, 11, seed=seed)
        place = np.full_like(frame, 77)
        results = engine.run({"frame": frame}, {"frame_out": place})
        assert results["frame_out"] is place
        fresh = engine.run({"frame": frame})["frame_out"]
        assert np.array_equal(place, fresh)
        assert not np.shares_memory(place, fresh)


@EVERY
def test_an_array_that_does_not_fit_is_refused_before_native_code_writes(
    backend: str, toy: Bundle, noise: Noise
) -> None:
    engine = engine_of(toy, backend)
    small = np.zeros((1, 2, 2, 3), np.uint8)
    with pytest.raises(
        FrameError, match=r"\(1, 2, 2, 3\), what comes out is uint8 \(1, 9, 11, 3\)"
    ):
        engine.run({"frame": noise(9, 11)}, {"frame_out": small})
    assert not small.any()


@EVERY_REAL
def test_callers_with_arrays_of_their_own_do_not_disturb_each_other(
    backend: str, toy: Bundle, noise: Noise
) -> None:
    engine = engine_of(toy, backend, lanes=2)
    frames = [noise(16, 16, seed=seed) for seed in range(8)]
    alone = [engine.run({"frame": frame})["frame_out"] for frame in frames]
    places = [np.zeros_like(frame) for frame in frames]

    def call(number: int) -> None:
        engine.run({"frame": frames[number]}, {"frame_out": places[number]})

    threads = [threading.Thread(target=call, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(map(np.array_equal, alone, places))


@EVERY_REAL
def test_state_goes_from_call_to_call(backend: str, several: Bundle, noise: Noise) -> None:
    engine = engine_of(several, backend, "memory")
    state: dict[str, NDArray[Any]] = {}
    expected = np.zeros((2, 6, 5, 3), np.float32)
    for seed in range(4):
        frame = noise(6, 5, batch=2, seed=seed)
        feeds: dict[str, NDArray[Any]] = {"frame": frame, **state}
        results = engine.run(feeds)
        expected += (frame - expected) * np.float32(0.5)
        assert np.array_equal(results["after"], expected)
        assert np.array_equal(results["frame_out"], np.rint(expected).astype(np.uint8))
        assert results["size"].tolist() == [2, 6, 5, 3]
        state = carried(engine.graph, results)
        assert state.keys() == {"before"}
    again = engine.run({"frame": frame})["after"]
    assert np.array_equal(again, frame * np.float32(0.5))  # without a state it begins anew


@EVERY_REAL
def test_state_of_another_size_is_refused(backend: str, several: Bundle, noise: Noise) -> None:
    engine = engine_of(several, backend, "memory")
    state = carried(engine.graph, engine.run({"frame": noise(6, 5)}))
    with pytest.raises(FrameError, match=r"before is \(1, 6, 5, 3\).*here batch 1, height 8"):
        engine.run({"frame": noise(8, 5)} | state)


@EVERY_REAL
def test_each_graph_of_a_bundle_has_its_engine(backend: str, several: Bundle, noise: Noise) -> None:
    assert several.main == "frame"
    frame = noise(6, 4, batch=3)
    code = engine_of(several, backend, "code").run({"frame": frame})["code"]
    assert np.allclose(code, frame.mean((1, 2)), atol=1e-3)
    styled = engine_of(several, backend).run({"frame": frame, "strength": 0})["frame_out"]
    assert np.array_equal(styled, frame)


def test_a_graph_that_is_not_there_is_answered_with_those_that_are(several: Bundle) -> None:
    with pytest.raises(RecipeError, match=r"no graph 'mask'\. Name one of code, frame, memory"):
        several.graph("mask")


def test_the_null_backend_refuses_what_it_cannot_copy(several: Bundle) -> None:
    for graph in ("code", "memory"):
        with pytest.raises(BackendError, match=f"graph '{graph}' of .* does not map one to one"):
            engine_of(several, "null", graph)


def test_a_golden_pair_with_another_strength_catches_a_graph_that_ignores_it(
    conv_bundle: Path,
) -> None:
    bundle = read_bundle(conv_bundle)
    assert [pair.feeds.get("strength") for pair in bundle.golden()] == [None, np.float32(0.5)]
    engine = engine_of(bundle, "onnxruntime")
    self_test(bundle, engine)

    class Deaf:
        graph = engine.graph

        def run(self, feeds: Mapping[str, Any], out: Any = None) -> dict[str, Any]:
            return engine.run({"frame": feeds["frame"]})

    with pytest.raises(VerificationError, match="differs from golden frame_out 1 "):
        self_test(bundle, Deaf())  # type: ignore[arg-type]
