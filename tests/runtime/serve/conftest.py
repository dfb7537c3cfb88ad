"""One daemon for all tests of a file that only ask it things, on a bundle that tints.

It stylizes as long as it lives, so it does not outlive the file: it would take a fifth of a core
from all tests that come after it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest

from tests.runtime.conftest import MakeBundle
from tests.runtime.serve.running import Daemon, running


@pytest.fixture(scope="session")
def bundles(
    tmp_path_factory: pytest.TempPathFactory,
    tint_model: onnx.ModelProto,
    conv_model: onnx.ModelProto,
    make_bundle: MakeBundle,
) -> dict[str, dict[str, str]]:
    """The styles ``tint`` and ``conv`` of a configuration."""
    folder = tmp_path_factory.mktemp("bundles")
    places = {
        "tint": make_bundle(folder / "tint", tint_model),
        "conv": make_bundle(folder / "conv", conv_model, least=4),
    }
    return {name: {"bundle": str(p), "backend": "onnxruntime"} for name, p in places.items()}


@pytest.fixture(scope="module")
def daemon(
    tmp_path_factory: pytest.TempPathFactory, bundles: dict[str, dict[str, str]]
) -> Iterator[Daemon]:
    """A daemon with one stream ``test`` of 160x120, 15 frames a second."""
    folder: Path = tmp_path_factory.mktemp("daemon")
    values = {
        "styles": bundles,
        "streams": {"test": {"input": "test://", "size": "160x120", "fps": 15, "style": "tint"}},
        "limits": {"body_mb": 2},
    }
    with running(folder, values) as found:
        found.until("test", lambda facts: facts["frames"]["published"] > 0)
        yield found
        assert found.stop() == 0
