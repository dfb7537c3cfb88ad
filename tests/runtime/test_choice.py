"""The fastest backend: only among those that agree, measured once, remembered by its key."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from stylepress import Artifact
from stylepress.cache import Cache
from stylepress.errors import BackendError, FrameError, VerificationError
from stylepress.runtime import backends, choice
from stylepress.runtime.backends import BACKENDS, Engine, EngineOptions, usual
from stylepress.runtime.bundle import Bundle, read_bundle
from stylepress.runtime.choice import Choice, fastest
from stylepress.runtime.machine import machine, usable_cores
from stylepress.runtime.prepared import ready
from tests.frames import Heard


@pytest.fixture
def toy(toy_bundle: Path) -> Bundle:
    """The tint bundle, loaded."""
    return read_bundle(toy_bundle)


@pytest.fixture
def heard() -> Heard:
    """A Progress to look at afterwards."""
    return Heard()


def choose(bundle: Bundle, heard: Heard, **given: Any) -> Choice:
    """Call ``fastest`` at 64x48 without a cache unless told otherwise."""
    usual: dict[str, Any] = {"size": (48, 64), "options": EngineOptions(), "cache": None}
    choice, engine = fastest(bundle, **{**usual, **given}, progress=heard)
    engine.close()
    return choice


@pytest.mark.parametrize("lanes", [1, 2])
def test_the_winner_has_the_least_median_of_all_that_agree(
    lanes: int, toy: Bundle, heard: Heard
) -> None:
    made = choose(toy, heard, options=EngineOptions(lanes=lanes))
    assert set(made.median_ms) == set(usual())
    assert made.median_ms[made.backend] == min(made.median_ms.values()) > 0
    assert made.refused == {}
    assert heard.begun == heard.finished == 1
    assert 2 <= heard.steps <= choice.MOST_ROUNDS
    assert heard.said[0].startswith(f"{made.backend} is fastest here at 64x48")


@pytest.mark.parametrize(("slow_ms", "rounds"), [(2.0, 2), (1.4, choice.MOST_ROUNDS)])
def test_an_engine_that_is_clearly_slower_is_not_waited_for(
    slow_ms: float, rounds: int, toy: Bundle, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "WARM_UP_S", 0)
    monkeypatch.setattr(choice, "ENOUGH_S", 1e9)
    frame_ms = {"OvEngine": 1.0, "OrtEngine": slow_ms}
    monkeypatch.setattr(choice, "_frame_ms", lambda engine, *_: frame_ms[type(engine).__name__])
    choice_here = choose(toy, heard, candidates=["onnxruntime", "openvino"])
    assert choice_here.backend == "openvino"
    assert choice_here.median_ms == {"onnxruntime": slow_ms, "openvino": 1.0}
    assert heard.steps == rounds


def test_the_second_call_measures_nothing_and_answers_alike(
    toy: Bundle, heard: Heard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = choose(toy, heard, cache=Cache(tmp_path))
    monkeypatch.setattr(choice, "_measure", lambda *_: pytest.fail("it was measured again"))
    assert choose(toy, heard, cache=Cache(tmp_path)) == first
    assert heard.begun == 1


@pytest.mark.parametrize(
    "given", [{"size": (32, 64)}, {"options": EngineOptions(lanes=2)}, {"candidates": ["openvino"]}]
)
def test_another_question_is_measured_anew(
    given: dict[str, Any], toy: Bundle, heard: Heard, tmp_path: Path
) -> None:
    choose(toy, heard, cache=Cache(tmp_path))
    choose(toy, heard, cache=Cache(tmp_path), **given)
    assert heard.begun == len(list(tmp_path.glob("records/*/*.json"))) == 2


def test_another_version_of_a_backend_is_measured_anew(
    toy: Bundle, heard: Heard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(toy, heard, cache=Cache(tmp_path))
    newer = {**backends.versions(), "openvino": "9999.0"}
    monkeypatch.setattr(choice, "versions", lambda names: newer)
    choose(toy, heard, cache=Cache(tmp_path))
    assert heard.begun == 2


def break_off(text: str) -> str:
    """Lose the second half."""
    return text[: len(text) // 2]


def unknown_winner(text: str) -> str:
    """Name a backend without a time."""
    record = json.loads(text)
    record["backend"] = "abacus"
    record["median_ms"]["abacus"] = 0.1
    return json.dumps(record)


def endless_time(text: str) -> str:
    """Let a median be infinite."""
    record = json.loads(text)
    record["median_ms"]["openvino"] = float("inf")
    return json.dumps(record)


def no_times(text: str) -> str:
    """Forget what was measured."""
    record = json.loads(text)
    del record["median_ms"]
    return json.dumps(record)


@pytest.mark.parametrize(
    "damage",
    [break_off, unknown_winner, endless_time, no_times, lambda _: "[]", lambda _: "[" * 10**5],
)
def test_a_damaged_record_is_measured_anew_and_mended(
    damage: Callable[[str], str], toy: Bundle, heard: Heard, tmp_path: Path
) -> None:
    choose(toy, heard, cache=Cache(tmp_path))
    (place,) = tmp_path.glob("records/*/*.json")
    place.write_text(damage(place.read_text()))
    measured = choose(toy, heard, cache=Cache(tmp_path))
    assert heard.begun == 2
    assert json.loads(place.read_text())["backend"] == measured.backend in BACKENDS


def test_a_cache_that_cannot_be_written_is_warned_of_and_the_choice_stands(
    toy: Bundle, heard: Heard, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    made = choose(toy, heard, cache=Cache(tmp_path / "file" / "cache"))
    assert set(made.median_ms) == set(usual())
    assert made.backend in made.median_ms
    assert len(heard.warned) == 1


def test_a_backend_that_disagrees_is_left_out_and_said(toy: Bundle, heard: Heard) -> None:
    made = choose(toy, heard, candidates=["null", "onnxruntime"])
    assert made.backend == "onnxruntime"
    assert list(made.median_ms) == ["onnxruntime"]
    assert "differs from golden frame_out 0" in made.refused["null"]
    assert heard.warned == [f"null is left out. {made.refused['null']}"]


def test_when_none_agrees_the_bundle_is_refused(toy: Bundle, heard: Heard) -> None:
    with pytest.raises(VerificationError, match=r"No backend .* null: It differs .* are allowed"):
        choose(toy, heard, candidates=["null"])


def test_a_backend_that_is_not_installed_is_left_out_with_its_extra(
    toy: Bundle, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = replace(BACKENDS["openvino"], package="no_such_package")
    monkeypatch.setattr(backends, "BACKENDS", {**BACKENDS, "openvino": absent})
    assert choose(toy, heard).backend == "onnxruntime"
    assert "stylepress[openvino]" in heard.warned[0]
    with pytest.raises(BackendError, match=r"stylepress\[openvino\]"):
        choose(toy, heard, candidates=["openvino"])


def test_the_winner_comes_back_open_and_the_others_are_closed(
    toy: Bundle, heard: Heard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: dict[str, Engine] = {}

    def watched(bundle: Bundle, name: str, **given: Any) -> Engine:
        opened[name] = ready(bundle, name, **given)
        return opened[name]

    monkeypatch.setattr(choice, "ready", watched)
    size = (48, 64)
    frame = next(toy.golden()).feeds
    made, engine = fastest(
        toy, size=size, options=EngineOptions(size=size), cache=Cache(tmp_path), progress=heard
    )
    assert engine is opened.pop(made.backend)
    assert engine.run(frame)["frame_out"].shape == (1, *size, 3)
    for other in opened.values():
        with pytest.raises(BackendError, match="closed"):
            other.run(frame)


def test_sizes_of_a_group_share_one_measurement(toy: Bundle, heard: Heard, tmp_path: Path) -> None:
    for size in [(48, 64), (50, 60), (64, 48), (40, 77)]:
        choose(toy, heard, cache=Cache(tmp_path), size=size)
    assert heard.begun == len(list(tmp_path.glob("records/*/*.json"))) == 1


def test_a_large_photo_is_measured_at_two_megapixels_and_the_winner_is_open_for_it(
    toy: Bundle, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[tuple[int, ...]] = []
    monkeypatch.setattr(choice, "ENOUGH_S", 0)
    monkeypatch.setattr(choice, "_run", lambda engine, frame: sizes.append(frame.shape))
    _, engine = fastest(
        toy,
        size=(4000, 6000),
        options=EngineOptions(size=(4000, 6000)),
        cache=None,
        candidates=["onnxruntime"],
        progress=heard,
    )
    assert set(sizes) == {(1, 1180, 1770, 3)}
    assert heard.begun == 1
    assert "at 1770x1180" in heard.said[0]
    assert engine.run(next(toy.golden()).feeds)["frame_out"].shape == (1, 48, 64, 3)


def test_a_misspelt_candidate_is_an_error_with_the_nearest_name(toy: Bundle, heard: Heard) -> None:
    with pytest.raises(BackendError, match="Do you mean 'openvino'"):
        choose(toy, heard, candidates=["onnxruntime", "openvno"])


def test_frames_below_the_least_side_are_not_measured(conv_bundle: Path, heard: Heard) -> None:
    with pytest.raises(FrameError, match="takes sides from 4"):
        choose(read_bundle(conv_bundle), heard, size=(2, 64))


def test_a_bundle_without_golden_pictures_is_measured_with_a_warning(
    tmp_path: Path, tint_model: onnx.ModelProto, make_bundle: Callable[..., Path], heard: Heard
) -> None:
    bundle = read_bundle(make_bundle(tmp_path / "bare", tint_model, golden=False))
    assert choose(bundle, heard).backend in BACKENDS
    assert "no golden pictures" in heard.warned[0]


def test_the_measured_frame_has_the_size_asked_for_and_golden_content(
    toy: Bundle, heard: Heard
) -> None:
    golden = next(toy.golden()).feeds["frame"]
    for size in [(20, 30), (48, 64), (100, 40), (111, 257)]:
        frame = choice._frame(toy, size, heard)
        assert frame.shape == (1, *size, 3)
        assert frame.flags.c_contiguous
        height, width = min(size[0], 48), min(size[1], 64)
        assert np.array_equal(frame[:, :height, :width], golden[:, :height, :width])


def test_a_machine_is_known_by_its_processor_and_cores() -> None:
    facts = machine()
    assert facts["cores"] == usable_cores()
    assert all(facts[name] for name in ("cpu", "architecture", "system"))


def test_the_sealed_folder_is_left_as_it_was(toy_bundle: Path, heard: Heard) -> None:
    choose(read_bundle(toy_bundle), heard)
    Artifact.load(toy_bundle)
