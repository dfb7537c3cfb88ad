"""The smallest whole path: a recipe in, frames out, in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stylepress.build import BuildOptions, build
from stylepress.progress import Silent
from stylepress.runtime import open_bundle
from tests.core.homes import furnish, noise


def test_a_recipe_becomes_a_bundle_that_paints_frames(tmp_path: Path) -> None:
    recipe = furnish(tmp_path) / "long.yaml"
    built = build(recipe, options=BuildOptions(out=tmp_path / "out"), progress=Silent())
    assert list(built.artifacts) == ["teacher", "student", "float", "int8", "bundle"]
    frames = np.stack([noise(45, 60), noise(45, 60)[::-1]])
    with open_bundle(tmp_path / "out" / "bundle", backend="onnxruntime") as model:
        styled = model(frames, strength=np.array([0, 1], np.float32))
    assert styled.shape == frames.shape
    assert np.array_equal(styled[0], frames[0])
    assert not np.array_equal(styled[1], frames[1])
