"""A bundle is made ready on its device: compiled, held against its golden pairs, measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from stylepress.cache import Cache
from stylepress.errors import VerificationError
from stylepress.runtime.backends import EngineOptions
from stylepress.runtime.bundle import read_bundle
from stylepress.runtime.install import install
from tests.frames import Heard


def test_install_names_the_fastest_and_run_finds_it(toy_bundle: Path, tmp_path: Path) -> None:
    bundle, cache = read_bundle(toy_bundle), Cache(tmp_path / "cache")
    options = EngineOptions(size=(32, 48), threads=1)
    progress = Heard()
    done = install(
        bundle,
        size=(32, 48),
        options=options,
        cache=cache,
        backends=["onnxruntime"],
        progress=progress,
    )
    assert done.choice.backend == done.engine["backend"] == "onnxruntime"
    assert done.golden_pairs >= 1
    assert done.record()["choice"]["median_ms"].keys() == {"onnxruntime"}
    assert progress.begun == 1
    install(
        bundle,
        size=(32, 48),
        options=options,
        cache=cache,
        backends=["onnxruntime"],
        progress=progress,
    )
    assert progress.begun == 1  # what was measured is remembered


def test_a_bundle_that_does_not_reproduce_its_golden_pairs_is_not_installed(
    toy_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: object) -> None:
        raise VerificationError("It differs from golden frame_out 0.", "Update the backend.")

    monkeypatch.setattr("stylepress.runtime.choice.self_test", fails)
    with pytest.raises(VerificationError, match="differs from golden"):
        install(
            read_bundle(toy_bundle),
            size=(32, 48),
            options=EngineOptions(size=(32, 48), threads=1),
            cache=Cache(tmp_path / "cache"),
            backends=["onnxruntime"],
            progress=Heard(),
        )
