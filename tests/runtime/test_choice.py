"""The fastest backend: only among those that agree, measured once, remembered by its key."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from stylepress import Artifact
from stylepress.errors import BackendError, FrameError, VerificationError
from stylepress.progress import Silent
from stylepress.runtime import backends, choice
from stylepress.runtime.backends import BACKENDS, EngineOptions
from stylepress.runtime.bundle import Bundle, read_bundle
from stylepress.runtime.choice import Choice, fastest


class Heard(Silent):
    """A Progress that keeps what it was told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.warned: list[str] = []
        self.begun = self.steps = self.finished = 0

    def start(self, title: str, total: int | None) -> None:
        """Count it."""
        self.begun += 1

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Count them."""
        self.steps += steps

    def finish(self) -> None:
        """Count it."""
        self.finished += 1

    def say(self, message: str) -> None:
        """Keep it."""
        self.said.append(message)

    def warn(self, message: str) -> None:
        """Keep it."""
        self.warned.append(message)


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
    return fastest(bundle, **{**usual, **given}, progress=heard)


@pytest.mark.parametrize("lanes", [1, 2])
def test_the_winner_has_the_least_median_of_all_that_agree(
    lanes: int, toy: Bundle, heard: Heard
) -> None:
    made = choose(toy, heard, options=EngineOptions(lanes=lanes))
    assert set(made.median_ms) == set(BACKENDS) - {"null"}
    assert made.median_ms[made.backend] == min(made.median_ms.values()) > 0
    assert made.refused == {}
    assert heard.begun == heard.finished == 1
    assert choice.LEAST_ROUNDS <= heard.steps <= choice.MOST_ROUNDS
    assert heard.said[0].startswith(f"{made.backend} is fastest here at 64x48")


def test_the_second_call_measures_nothing_and_answers_alike(
    toy: Bundle, heard: Heard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = choose(toy, heard, cache=tmp_path / "cache")
    monkeypatch.setattr(choice, "open_engine", lambda *_: pytest.fail("an engine was opened"))
    assert choose(toy, heard, cache=tmp_path / "cache") == first
    assert heard.begun == 1


@pytest.mark.parametrize(
    "given", [{"size": (32, 64)}, {"options": EngineOptions(lanes=2)}, {"candidates": ["openvino"]}]
)
def test_another_question_is_measured_anew(
    given: dict[str, Any], toy: Bundle, heard: Heard, tmp_path: Path
) -> None:
    choose(toy, heard, cache=tmp_path)
    choose(toy, heard, cache=tmp_path, **given)
    assert heard.begun == len(list(tmp_path.glob("choice-*.json"))) == 2


def test_another_version_of_a_backend_is_measured_anew(
    toy: Bundle, heard: Heard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(toy, heard, cache=tmp_path)
    newer = {**backends.versions(), "openvino": "9999.0"}
    monkeypatch.setattr(choice, "versions", lambda: newer)
    choose(toy, heard, cache=tmp_path)
    assert heard.begun == 2


def break_off(text: str) -> str:
    """Lose the second half."""
    return text[: len(text) // 2]


def unknown_winner(text: str) -> str:
    """Name a backend without a time."""
    record = json.loads(text)
    record["choice"]["backend"] = "abacus"
    return json.dumps(record)


def endless_time(text: str) -> str:
    """Let a median be infinite."""
    record = json.loads(text)
    record["choice"]["median_ms"]["openvino"] = float("inf")
    return json.dumps(record)


def other_key(text: str) -> str:
    """Let the record be of another bundle."""
    record = json.loads(text)
    record["key"]["bundle"] = "0" * 64
    return json.dumps(record)


@pytest.mark.parametrize(
    "damage",
    [break_off, unknown_winner, endless_time, other_key, lambda _: "[]", lambda _: "[" * 10**5],
)
def test_a_damaged_record_is_measured_anew_and_mended(
    damage: Callable[[str], str], toy: Bundle, heard: Heard, tmp_path: Path
) -> None:
    choose(toy, heard, cache=tmp_path)
    (place,) = tmp_path.glob("choice-*.json")
    whole = place.read_text()
    place.write_text(damage(whole))
    choose(toy, heard, cache=tmp_path)
    assert heard.begun == 2
    assert json.loads(place.read_text())["key"] == json.loads(whole)["key"]


def test_a_cache_that_cannot_be_written_is_warned_of_and_the_choice_stands(
    toy: Bundle, heard: Heard, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    made = choose(toy, heard, cache=tmp_path / "file" / "cache")
    assert made.backend in made.median_ms
    assert "not remembered" in heard.warned[0]


def test_a_backend_that_disagrees_is_left_out_and_said(toy: Bundle, heard: Heard) -> None:
    made = choose(toy, heard, candidates=["null", "onnxruntime"])
    assert made.backend == "onnxruntime"
    assert list(made.median_ms) == ["onnxruntime"]
    assert "differs from golden picture 0" in made.refused["null"]
    assert heard.warned == [f"null is left out. {made.refused['null']}"]


def test_when_none_agrees_the_bundle_is_refused(toy: Bundle, heard: Heard) -> None:
    with pytest.raises(VerificationError, match=r"No backend .* null: It differs .* 1 are allowed"):
        choose(toy, heard, candidates=["null"])


def test_a_backend_that_is_not_installed_is_left_out_with_its_extra(
    toy: Bundle, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = backends.Backend(
        "stylepress.runtime.ov", "no_such_package", (), "stylepress[openvino]"
    )
    monkeypatch.setattr(backends, "BACKENDS", {**BACKENDS, "openvino": absent})
    assert choose(toy, heard).backend == "onnxruntime"
    assert "stylepress[openvino]" in heard.warned[0]
    with pytest.raises(BackendError, match=r"stylepress\[openvino\]"):
        choose(toy, heard, candidates=["openvino"])


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
    (_, golden, _), *_ = toy.golden()
    for size in [(20, 30), (48, 64), (100, 40), (111, 257)]:
        frame = choice._frame(toy, size, heard)
        assert frame.shape == (1, *size, 3)
        assert frame.flags.c_contiguous
        height, width = min(size[0], 48), min(size[1], 64)
        assert np.array_equal(frame[:, :height, :width], golden[:, :height, :width])


def test_a_machine_is_known_by_its_processor_and_cores() -> None:
    facts = choice.machine()
    assert facts["cores"] == backends.usable_cores()
    assert all(facts[name] for name in ("cpu", "architecture", "system"))


def test_the_sealed_folder_is_left_as_it_was(toy_bundle: Path, heard: Heard) -> None:
    choose(read_bundle(toy_bundle), heard)
    Artifact.load(toy_bundle)
