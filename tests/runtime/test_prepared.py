"""Engines compiled once and kept: opened without compiling, mended when damaged, never lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stylepress.artifact import Artifact
from stylepress.cache import Cache
from stylepress.progress import Progress
from stylepress.runtime import ov, prepared
from stylepress.runtime.backends import Engine, EngineOptions, versions
from stylepress.runtime.bundle import Bundle, read_bundle
from stylepress.runtime.prepared import prepare, ready
from tests.frames import Heard

OPTIONS = EngineOptions(size=(8, 8), threads=1)
FRAME = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), np.uint8)


@pytest.fixture
def toy(toy_bundle: Path) -> Bundle:
    """The tint bundle, loaded."""
    return read_bundle(toy_bundle)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[ov.Sizes]:
    """The sizes that OpenVINO was asked to compile for, as they come."""
    calls: list[ov.Sizes] = []
    compile_really = ov.Compiler.compile

    def watched(self: ov.Compiler, sizes: ov.Sizes) -> Any:
        calls.append(sizes)
        return compile_really(self, sizes)

    monkeypatch.setattr(ov.Compiler, "compile", watched)
    return calls


def opened(bundle: Bundle, cache: Cache | None, progress: Progress | None = None) -> Engine:
    return ready(bundle, "openvino", options=OPTIONS, cache=cache, progress=progress or Heard())


def result(engine: Engine) -> list[int]:
    levels: list[int] = engine.run({"frame": FRAME})["frame_out"].ravel().tolist()
    return levels


def test_what_was_compiled_once_is_opened_without_compiling(
    toy: Bundle, tmp_path: Path, compiled: list[ov.Sizes]
) -> None:
    first = result(opened(toy, Cache(tmp_path)))
    assert compiled == [(1, 8, 8, 1)]
    assert result(opened(toy, Cache(tmp_path))) == first
    assert len(compiled) == 1
    assert len(list(tmp_path.glob("artifacts/*/*"))) == 1


def test_an_engine_says_what_it_was_compiled_of_and_for(toy: Bundle, tmp_path: Path) -> None:
    artifact = prepare(toy, "openvino", options=OPTIONS, cache=Cache(tmp_path))
    assert Artifact.load(artifact.folder).manifest == artifact.manifest
    assert (artifact.kind, artifact.parent) == ("engine", toy.artifact.digest)
    assert set(artifact.files) == {ov.BLOB, prepared.OPTIONS}
    assert artifact.made_by["options"] == {"lanes": 1, "threads": 1, "size": [8, 8]}
    assert artifact.made_by["tools"] == {"openvino": versions()["openvino"]}


@pytest.mark.parametrize("damage", [b"", b"no blob at all"])
def test_a_damaged_engine_is_compiled_again_and_mended(
    damage: bytes, toy: Bundle, tmp_path: Path, compiled: list[ov.Sizes]
) -> None:
    first = result(opened(toy, Cache(tmp_path)))
    (blob,) = tmp_path.glob(f"artifacts/*/*/{ov.BLOB}")
    whole = blob.stat().st_size
    blob.write_bytes(damage)
    assert result(opened(toy, Cache(tmp_path))) == first
    assert (len(compiled), blob.stat().st_size) == (2, whole)
    opened(toy, Cache(tmp_path))
    assert len(compiled) == 2


def test_a_blob_that_this_openvino_cannot_open_costs_only_the_compiling(
    toy: Bundle, tmp_path: Path, compiled: list[ov.Sizes]
) -> None:
    (tmp_path / ov.BLOB).write_bytes(b"of another version")
    engine = ov.open_engine(toy, "frame", OPTIONS, tmp_path)
    assert compiled == [(1, 8, 8, 1)]
    assert result(engine) == result(opened(toy, None))


@pytest.mark.parametrize(
    "options", [EngineOptions(size=(8, 9), threads=1), EngineOptions(lanes=2, size=(8, 8))]
)
def test_other_options_have_an_engine_of_their_own(
    options: EngineOptions, toy: Bundle, tmp_path: Path
) -> None:
    first = prepare(toy, "openvino", options=OPTIONS, cache=Cache(tmp_path))
    second = prepare(toy, "openvino", options=options, cache=Cache(tmp_path))
    assert first.folder != second.folder


def test_another_version_of_the_backend_has_an_engine_of_its_own(
    toy: Bundle, tmp_path: Path, compiled: list[ov.Sizes], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(toy, Cache(tmp_path))
    monkeypatch.setattr(prepared, "version_of", lambda engine: "9999")
    opened(toy, Cache(tmp_path))
    assert len(compiled) == 2


@pytest.mark.parametrize("where", ["", "locks", "artifacts"])
def test_a_cache_that_cannot_be_written_costs_one_warning_and_no_engine(
    where: str, toy: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "cache" / where).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "cache" / where).write_text("in the way")
    heard = Heard()
    engine = opened(toy, Cache(tmp_path / "cache"), heard)
    assert result(engine) == result(opened(toy, None))
    (warning,) = heard.warned
    assert "The engine is compiled each time." in warning


def test_a_backend_with_nothing_to_prepare_leaves_the_cache_alone(
    toy: Bundle, tmp_path: Path
) -> None:
    engine = ready(
        toy, "onnxruntime", options=OPTIONS, cache=Cache(tmp_path / "cache"), progress=Heard()
    )
    assert engine.describe()["backend"] == "onnxruntime"
    assert not (tmp_path / "cache").exists()


def test_engines_that_were_not_used_for_longest_give_way(toy: Bundle, tmp_path: Path) -> None:
    cache = Cache(tmp_path, limit_bytes=1)
    first = prepare(toy, "openvino", options=OPTIONS, cache=cache)
    second = prepare(toy, "openvino", options=EngineOptions(threads=1), cache=cache)
    assert not first.folder.exists()
    assert second.folder.exists()
