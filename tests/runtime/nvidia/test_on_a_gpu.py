"""What only a machine with an NVIDIA GPU can show; skipped elsewhere, and never run there yet.

``pytest -m gpu tests/runtime/nvidia`` runs it; ``STYLEPRESS_GPU_RECORD=FILE`` keeps what it saw as
JSON, with the device, the compiler and a digest over all of it.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from stylepress.cache import Cache
from stylepress.errors import BackendError
from stylepress.runtime.bundle import read_bundle
from stylepress.runtime.nvidia import device
from stylepress.runtime.nvidia.device import PLAN, PlanOptions, plan_here
from stylepress.runtime.nvidia.driver import Gpu, probe
from stylepress.runtime.nvidia.plan import check_version
from tests.frames import Heard

pytestmark = pytest.mark.gpu
BUNDLE = min((Path(__file__).parents[3] / "recipes").glob("*/bundle"))


@pytest.fixture
def gpu() -> Gpu:
    try:
        return probe()
    except BackendError as error:
        pytest.skip(str(error))


def keep(record: dict[str, Any]) -> None:
    """Write a record beside those of earlier tests, signed with a digest over its values."""
    place = os.environ.get("STYLEPRESS_GPU_RECORD")
    if place is None:
        return
    text = json.dumps(record, sort_keys=True)
    signed = {**record, "sha256": hashlib.sha256(text.encode()).hexdigest()}
    path = Path(place)
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    path.write_text(json.dumps([*before, signed], indent=1) + "\n", encoding="utf-8")


@pytest.mark.parametrize("compiler", ["tensorrt", "tensorrt_rtx"])
def test_a_plan_is_built_for_this_gpu_and_the_second_time_kept(
    compiler: str, gpu: Gpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if find_spec(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    cache, bundle, options = Cache(tmp_path / "cache"), read_bundle(BUNDLE), PlanOptions(compiler)
    built = plan_here(bundle, options, cache=cache, progress=Heard())
    version = str(built.made_by["compiler"])
    header = check_version(built.path(PLAN).read_bytes(), compiler, version)
    monkeypatch.setattr(device, "build_plan", lambda *a, **k: pytest.fail("compiled again"))
    assert plan_here(bundle, options, cache=cache, progress=Heard()) == built
    keep(
        {
            "test": "plan built and kept",
            "gpu": asdict(gpu),
            "compiler": f"{compiler} {version}",
            "header": header.release,
            "bundle": bundle.artifact.digest,
            "numbers": dict(built.numbers),
            "applied": built.made_by["applied"],
            "skipped": built.made_by["skipped"],
        }
    )
