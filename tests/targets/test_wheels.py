"""What a device would install: every package of the runtime has wheels for its Python and processor.

Asks the package index, so it runs where ``STYLEPRESS_NETWORK`` is set: on the build server.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

tomllib = pytest.importorskip("tomllib")  # from Python 3.11 on
ROOT = Path(__file__).parents[2]
GLIBC = ("manylinux2014", "manylinux_2_27", "manylinux_2_28")
"""What Ubuntu 22.04 (JetPack 6) and 24.04 (JetPack 7) take."""


@pytest.mark.skipif("STYLEPRESS_NETWORK" not in os.environ, reason="asks the package index")
@pytest.mark.parametrize("python", ["3.10", "3.12"])
def test_the_runtime_installs_on_arm64_from_wheels_alone(python: str, tmp_path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = list(project["dependencies"])
    for extra in ("video", "serve"):
        named = project["optional-dependencies"][extra]
        wanted += [one for one in named if not one.startswith("stylepress[")]
    wanted += ["cuda-bindings<13"] if python == "3.10" else ["cuda-bindings"]
    report = tmp_path / "report.json"
    platforms = [word for tag in GLIBC for word in ("--platform", f"{tag}_aarch64")]
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
    command += ["--only-binary=:all:", "--python-version", python, *platforms, *wanted]
    command += ["--target", str(tmp_path / "none"), "--report", str(report)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if any(
        word in done.stderr for word in ("NewConnectionError", "timed out", "Temporary failure")
    ):
        pytest.skip("the package index does not answer")
    assert done.returncode == 0, done.stderr[-2000:]
    chosen = {
        one["metadata"]["name"]: one["metadata"]["version"]
        for one in json.loads(report.read_text())["install"]
    }
    if python == "3.10":  # the last one with wheels for it
        assert chosen["onnxruntime"] == "1.23.2"
    assert "numpy" in chosen
