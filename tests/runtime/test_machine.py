"""What the machine lends this process, and what the engines may leave on it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stylepress.runtime.machine import usable_cores

ROOT = Path(__file__).parents[2]
AFFINE = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def write(root: Path, files: dict[str, str]) -> Path:
    """Write the files of a system below a folder."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


V2 = {"proc/self/cgroup": "0::/job/step\n"}
V1 = {"proc/self/cgroup": "4:memory:/job\n3:cpuacct,cpu:/job\n0::/\n"}
GROUPS = [
    (V2 | {"sys/fs/cgroup/job/step/cpu.max": "100000 100000\n"}, 1),
    (V2 | {"sys/fs/cgroup/job/cpu.max": "50000 100000\n"}, 1),
    (V2 | {"sys/fs/cgroup/cpu.max": "100000 100000\n"}, 1),
    (V2 | {"sys/fs/cgroup/job/step/cpu.max": "max 100000\n"}, AFFINE),
    (V2 | {"sys/fs/cgroup/job/step/cpu.max": "99900000 100000\n"}, AFFINE),
    (V2 | {"sys/fs/cgroup/job/step/cpu.max": "110000 100000\n"}, min(2, AFFINE)),
    (
        V1
        | {
            "sys/fs/cgroup/cpuacct,cpu/job/cpu.cfs_quota_us": "100000\n",
            "sys/fs/cgroup/cpuacct,cpu/job/cpu.cfs_period_us": "100000\n",
        },
        1,
    ),
    (
        V1
        | {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "9"},
        AFFINE,
    ),
    ({}, AFFINE),
    ({"proc/self/cgroup": "nonsense\n"}, AFFINE),
]


@pytest.mark.parametrize(("files", "cores"), GROUPS, ids=range(len(GROUPS)))
def test_the_quota_of_a_container_counts_as_its_set_of_cores_does(
    files: dict[str, str], cores: int, tmp_path: Path
) -> None:
    assert usable_cores(write(tmp_path, files)) == cores


@pytest.mark.parametrize("engine", ["ort", "ov"])
def test_an_engine_leaves_nothing_in_the_home(engine: str, tmp_path: Path) -> None:
    pytest.importorskip({"ort": "onnxruntime", "ov": "openvino"}[engine])
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import stylepress.runtime.{engine}"
    home = {"HOME": str(tmp_path), "PATH": os.environ.get("PATH", "")}
    subprocess.run([sys.executable, "-c", code], check=True, env=home)
    assert [path.name for path in tmp_path.rglob("*")] == []
