"""`open_bundle`: pictures in, pictures out, in the few lines that README shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import stylepress.runtime
from stylepress.cache import Cache
from stylepress.errors import ArtifactError, BackendError, FrameError
from stylepress.runtime import open_bundle

README = Path(__file__).parents[2] / "README.md"


def noise(*shape: int) -> Any:
    return np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)


def test_the_example_of_the_readme_runs(
    toy_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    (code,) = [block for block in blocks if "open_bundle" in block]
    (place,) = set(re.findall(r'open_bundle\("([^"]+)"\)', code))
    (tmp_path / place).parent.mkdir(parents=True)
    toy_bundle.rename(tmp_path / place)
    for name in re.findall(r'read\("([^"]+)"\)', code):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(24, 32)).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    exec(code, {})  # noqa: S102  (what README says is what is run)
    (written,) = re.findall(r'write\([^"]*"([^"]+)"\)', code)
    with Image.open(tmp_path / written) as picture:
        assert picture.size == (32, 24)


def test_one_picture_and_several_of_one_size_are_taken(toy_bundle: Path) -> None:
    with open_bundle(toy_bundle, backend="onnxruntime") as model:
        several = noise(2, 9, 11)
        styled = model(several)
        assert styled.shape == several.shape
        assert np.array_equal(model(several[1]), styled[1])
        assert np.array_equal(model(several[0], strength=0), several[0])
        mixed = model(several, strength=np.array([0, 1], np.float32))
        assert np.array_equal(mixed, np.stack([several[0], styled[1]]))


def test_without_a_name_the_fastest_backend_is_measured_and_remembered_for_the_user(
    toy_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STYLEPRESS_CACHE", str(tmp_path))
    for _ in range(2):
        with open_bundle(toy_bundle, size=(32, 32)) as model:
            assert model.engine.describe()["backend"] in ("onnxruntime", "openvino")
    assert len(list(tmp_path.glob("records/*/*.json"))) == 1


def test_no_cache_keeps_nothing_and_one_that_cannot_be_written_is_done_without(
    toy_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STYLEPRESS_CACHE", str(tmp_path / "users"))
    taken = tmp_path / "a-file"
    taken.touch()
    for cache in (None, Cache(taken)):
        with open_bundle(toy_bundle, size=(32, 32), cache=cache) as model:
            assert model(noise(5, 6)).shape == (5, 6, 3)
    with open_bundle(toy_bundle, backend="openvino", cache=Cache(taken)) as model:
        assert model(noise(5, 6)).shape == (5, 6, 3)
    assert not (tmp_path / "users").exists()


def test_a_picture_is_read_and_written_by_its_suffix(toy_bundle: Path, tmp_path: Path) -> None:
    with open_bundle(toy_bundle, backend="null") as model:
        pixels = noise(5, 6)
        model.write(pixels, tmp_path / "a.png")
        assert np.array_equal(model.read(tmp_path / "a.png"), pixels)
        with pytest.raises(FrameError, match="Write the pictures of a batch one by one"):
            model.write(noise(2, 5, 6), tmp_path / "b.png")


def test_what_is_not_taken_is_refused(toy_bundle: Path, tmp_path: Path) -> None:
    with open_bundle(toy_bundle, backend="onnxruntime") as model:
        with pytest.raises(FrameError, match="no input 'style'"):
            model(noise(5, 6), style=1)
        with pytest.raises(FrameError, match=r"outside 0\.\.1"):
            model(noise(5, 6), strength=2)
    with pytest.raises(BackendError, match="closed"):
        model(noise(5, 6))
    with pytest.raises(ArtifactError, match="no stylepress artifact"):
        open_bundle(tmp_path / "nothing")


def test_the_door_offers_what_it_lists() -> None:
    assert all(hasattr(stylepress.runtime, name) for name in stylepress.runtime.__all__)
