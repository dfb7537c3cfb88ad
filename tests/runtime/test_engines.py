"""All backends behind one contract: same frames, same refusals, several callers at once."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

import stylepress
from stylepress.errors import BackendError, FrameError, RecipeError
from stylepress.runtime import backends
from stylepress.runtime.backends import (
    BACKENDS,
    Engine,
    EngineOptions,
    missing,
    open_engine,
    usual,
)
from stylepress.runtime.bundle import Bundle, read_bundle
from stylepress.runtime.machine import usable_cores

Noise = Callable[..., NDArray[np.uint8]]
REAL = [name for name in usual() if name not in missing()]
EVERY = pytest.mark.parametrize("backend", ["null", *REAL])
EVERY_REAL = pytest.mark.parametrize("backend", REAL)
PLAIN = EngineOptions()


@pytest.fixture
def toy(toy_bundle: Path) -> Bundle:
    """The tint bundle, loaded."""
    return read_bundle(toy_bundle)


@pytest.fixture(params=["conv_bundle", "int8_bundle"])
def conv(request: pytest.FixtureRequest) -> Bundle:
    """A bundle with convolutions: float, then INT8."""
    return read_bundle(request.getfixturevalue(request.param))


def tinted(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The colour matrix of the toy bundle in plain numpy; its coefficients are exact in binary."""
    matrix = np.array([[1, 0.125, 0], [0.0625, 0.875, 0], [0, 0.125, 0.75]])
    levels = frame @ matrix.T + [4, 0, -3]
    result: NDArray[np.uint8] = np.rint(levels.clip(0, 255)).astype(np.uint8)
    return result


def styled(engine: Engine, frame: NDArray[np.uint8], **controls: Any) -> NDArray[np.uint8]:
    """Run an engine on frames and return the frames that come out."""
    result: NDArray[np.uint8] = engine.run({"frame": frame, **controls})["frame_out"]
    return result


@EVERY_REAL
@pytest.mark.parametrize("size", [(1, 1), (1, 33), (17, 1), (31, 47), (64, 96)])
def test_frames_of_any_size_are_those_of_the_closed_form(
    backend: str, size: tuple[int, int], toy: Bundle, noise: Noise
) -> None:
    engine = open_engine(toy, backend, options=PLAIN)
    frame = noise(*size, batch=2)
    assert np.array_equal(styled(engine, frame), tinted(frame))


@EVERY
def test_strength_zero_returns_the_frame_itself_in_new_memory(
    backend: str, conv: Bundle, noise: Noise
) -> None:
    frame = noise(19, 23)
    result = styled(open_engine(conv, backend, options=PLAIN), frame, strength=0.0)
    assert np.array_equal(result, frame)
    assert not np.shares_memory(result, frame)


@EVERY_REAL
@pytest.mark.parametrize("size", [None, (37, 51)])
def test_backends_agree_with_the_golden_pairs(
    backend: str, size: tuple[int, int] | None, conv: Bundle
) -> None:
    engine = open_engine(conv, backend, options=EngineOptions(size=size))
    for pair in conv.golden():
        gap = engine.run(pair.feeds)["frame_out"].astype(int) - pair.results["frame_out"]
        assert np.abs(gap).max() <= conv.tolerance


@EVERY_REAL
@pytest.mark.parametrize("size", [(4, 4), (5, 64), (37, 4), (33, 35)])
def test_backends_agree_with_each_other_down_to_the_least_size(
    backend: str, size: tuple[int, int], conv: Bundle, noise: Noise
) -> None:
    frame = noise(*size, batch=2, seed=3)
    engines = [open_engine(conv, name, options=PLAIN) for name in (backend, REAL[0])]
    runs = [styled(engine, frame, strength=0.5) for engine in engines]
    assert np.abs(runs[0].astype(int) - runs[1]).max() <= conv.tolerance


@EVERY
@pytest.mark.parametrize("size", [None, (40, 56)])
def test_callers_in_many_threads_get_what_each_would_get_alone(
    backend: str, size: tuple[int, int] | None, conv: Bundle, noise: Noise
) -> None:
    engine = open_engine(conv, backend, options=EngineOptions(lanes=2, size=size))
    frames = [noise(40, 56, seed=seed) for seed in range(12)]
    frames[5] = noise(24, 36)
    alone = [styled(engine, frame) for frame in frames]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(partial(styled, engine), frames))
    assert all(map(np.array_equal, alone, together))


@EVERY_REAL
def test_results_stay_as_they_were_when_more_frames_follow(
    backend: str, toy: Bundle, noise: Noise
) -> None:
    engine = open_engine(toy, backend, options=EngineOptions(size=(16, 16)))
    first = styled(engine, noise(16, 16))
    kept = first.copy()
    for seed in range(1, 4):
        styled(engine, noise(16, 16, seed=seed))
    assert np.array_equal(first, kept)


@EVERY_REAL
def test_a_view_and_a_read_only_frame_are_taken_as_they_are(
    backend: str, toy: Bundle, noise: Noise
) -> None:
    engine = open_engine(toy, backend, options=PLAIN)
    whole = noise(20, 30)
    view = whole[:, ::2, ::-3]
    whole.flags.writeable = False
    assert np.array_equal(styled(engine, view), tinted(view))
    assert np.array_equal(styled(engine, whole), tinted(whole))


def test_openvino_keeps_the_usual_size_and_only_a_few_others(toy: Bundle, noise: Noise) -> None:
    from stylepress.runtime import ov

    engine = ov.open_engine(toy, "frame", EngineOptions(size=(8, 8)))
    for side in (9, 10, 11, 8, 12, 13, 9):
        frame = noise(side, 8)
        assert np.array_equal(styled(engine, frame), tinted(frame))
    assert len(engine._by_size) == 1 + ov.KEPT_SIZES
    assert (1, 8, 8, 1) in engine._by_size


def test_openvino_computes_in_f32_and_runs_int8_where_the_graph_says_so(
    conv_bundle: Path, int8_bundle: Path
) -> None:
    options = EngineOptions(threads=2, size=(32, 32))
    plain, small = (
        open_engine(read_bundle(folder), "openvino", options=options).describe()
        for folder in (conv_bundle, int8_bundle)
    )
    assert plain["precision"] == small["precision"] == "f32"
    assert (plain["convolutions"], plain["int8_convolutions"]) == (2, 0)
    if platform.machine() == "x86_64":
        assert small["int8_convolutions"] == 2


@EVERY
def test_an_engine_tells_what_it_is(backend: str, toy: Bundle) -> None:
    told = open_engine(toy, backend, options=EngineOptions(lanes=2, threads=2)).describe()
    assert (told["backend"], told["lanes"]) == (backend, 2)
    assert {"version", "precision", "threads"} <= told.keys()


@EVERY
def test_a_closed_engine_refuses_frames_and_closes_again_in_peace(
    backend: str, toy: Bundle, noise: Noise
) -> None:
    engine = open_engine(toy, backend, options=PLAIN)
    engine.close()
    engine.close()
    with pytest.raises(BackendError, match=r"closed\. Open another"):
        styled(engine, noise(8, 8))


@EVERY
@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (np.zeros((1, 8, 8, 3), np.float32), "frame is float32, the graph takes uint8"),
        ([[0]], "frame is a list, the graph takes uint8"),
        (np.zeros((8, 8, 3), np.uint8), r"\(8, 8, 3\).*put N = 1 in front"),
        (np.zeros((1, 8, 8, 4), np.uint8), "Drop an alpha channel"),
        (np.zeros((0, 8, 8, 3), np.uint8), r"\(0, 8, 8, 3\)"),
        (np.zeros((1, 8, 3, 3), np.uint8), "3x8 pixels, this bundle takes sides from 4"),
    ],
)
def test_what_is_no_frame_is_refused(
    backend: str, frame: NDArray[np.uint8], reason: str, conv_bundle: Path
) -> None:
    engine = open_engine(read_bundle(conv_bundle), backend, options=PLAIN)
    with pytest.raises(FrameError, match=reason):
        styled(engine, frame)


@EVERY
@pytest.mark.parametrize("strength", [-0.01, 1.01, float("nan"), float("inf")])
def test_a_strength_outside_its_range_is_refused(
    backend: str, strength: float, toy: Bundle, noise: Noise
) -> None:
    with pytest.raises(FrameError, match=r"outside 0\.\.1"):
        styled(open_engine(toy, backend, options=PLAIN), noise(8, 8), strength=strength)


@EVERY
def test_a_size_below_the_least_is_refused_before_anything_is_compiled(
    backend: str, conv_bundle: Path
) -> None:
    with pytest.raises(FrameError, match="3x9 pixels"):
        open_engine(read_bundle(conv_bundle), backend, options=EngineOptions(size=(9, 3)))


@EVERY_REAL
def test_a_graph_that_a_backend_cannot_load_is_told_with_the_mend(
    backend: str, tmp_path: Path, tint_model: onnx.ModelProto, make_bundle: Callable[..., Path]
) -> None:
    model = onnx.ModelProto.FromString(tint_model.SerializeToString())
    model.graph.node[2].op_type = "Convolute"
    bundle = read_bundle(make_bundle(tmp_path / "odd", model, golden=False))
    with pytest.raises(BackendError, match=r"cannot (load|read|compile) .*model\.onnx.* Update "):
        open_engine(bundle, backend, options=PLAIN)


def test_a_misspelt_backend_is_answered_with_the_nearest_name(toy: Bundle) -> None:
    with pytest.raises(BackendError, match=r"no backend 'openvno'\. Do you mean 'openvino'"):
        open_engine(toy, "openvno", options=PLAIN)


def test_a_backend_that_is_not_installed_names_the_extra(
    toy: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = replace(BACKENDS["openvino"], package="no_such_package")
    monkeypatch.setattr(backends, "BACKENDS", {**BACKENDS, "openvino": absent})
    with pytest.raises(BackendError, match=r"pip install 'stylepress\[openvino\]'"):
        open_engine(toy, "openvino", options=PLAIN)
    assert [name for name in missing() if name in usual()] == ["openvino"]


def test_a_backend_that_is_installed_but_broken_says_so(
    toy: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = replace(BACKENDS["openvino"], package="numpy", module="stylepress.runtime.no_such")
    monkeypatch.setattr(backends, "BACKENDS", {**BACKENDS, "openvino": broken})
    with pytest.raises(BackendError, match="installed but cannot be loaded"):
        open_engine(toy, "openvino", options=PLAIN)


@pytest.mark.parametrize(
    "options", [{"lanes": 0}, {"threads": 0}, {"size": (0, 5)}, {"size": (-1, -1)}]
)
def test_options_that_cannot_be_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(RecipeError, match="at least one"):
        EngineOptions(**options)  # type: ignore[arg-type]


def test_lanes_share_the_threads_and_none_goes_without() -> None:
    shares = [EngineOptions(lanes=lanes, threads=4).lane_threads for lanes in (1, 2, 3, 8)]
    assert shares == [4, 2, 1, 1]
    assert EngineOptions().all_threads == usable_cores() >= 1


def test_importing_the_runtime_pulls_in_no_engine_and_no_torch() -> None:
    modules = "stylepress.runtime, stylepress.runtime.model, stylepress.runtime.choice"
    heavy = {"torch", "onnx", "onnxruntime", "openvino", "av"}
    code = f"import sys, {modules}; sys.exit(' '.join({heavy} & sys.modules.keys()) or 0)"
    root = Path(stylepress.__file__).parents[1]
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=root)
    assert (done.returncode, done.stderr) == (0, "")
