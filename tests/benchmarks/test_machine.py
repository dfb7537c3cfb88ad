"""The machine record says what is there, and why something is not."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from stylepress.benchmarks.machine.record import ADVISORY, Machine, differing, record_machine


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


@pytest.fixture
def linux(tmp_path: Path) -> Path:
    return tree(
        tmp_path,
        {
            "proc/cpuinfo": "processor : 0\nmodel name\t: Fast 9000\nflags\t\t: fpu avx2 avx512_vnni\n",
            "proc/self/cgroup": "0::/slice/job\n",
            "sys/fs/cgroup/slice/job/cpu.max": "max 100000\n",
            "sys/fs/cgroup/slice/cpu.max": "150000 100000\n",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance\n",
            "sys/devices/system/cpu/cpufreq/boost": "1\n",
        },
    )


def test_linux_files_become_facts(linux: Path) -> None:
    machine = record_machine({"OMP_NUM_THREADS": "2", "HOME": "/root"}, root=linux)
    assert (machine.cpu, machine.flags) == ("Fast 9000", ("avx2", "avx512_vnni"))
    assert (machine.governor, machine.turbo) == ("performance", True)
    assert machine.thread_variables == {"OMP_NUM_THREADS": "2"}


def test_the_tightest_limit_of_a_group_and_those_above_decides(linux: Path) -> None:
    assert record_machine({}, root=linux).quota_cores == 1.5
    tree(linux, {"sys/fs/cgroup/slice/job/cpu.max": "400000 100000"})
    assert record_machine({}, root=linux).quota_cores == 1.5


def test_what_cannot_be_read_is_none_with_a_reason(tmp_path: Path) -> None:
    machine = record_machine({}, root=tmp_path)
    unknown = ["cpu", "flags", "governor", "turbo", "quota_cores"]
    assert [getattr(machine, name) for name in unknown] == [None] * len(unknown)
    assert set(unknown) <= set(machine.missing)
    assert all(machine.missing.values())


def test_a_board_that_names_itself_is_called_that(tmp_path: Path) -> None:
    root = tree(tmp_path, {"proc/device-tree/model": "NVIDIA Jetson Orin Nano\0"})
    assert record_machine({}, root=root).cpu == "NVIDIA Jetson Orin Nano"


def test_the_old_control_groups_are_read_too(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "4:cpu,cpuacct:/\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
    )
    assert record_machine({}, root=root).quota_cores == 2


def test_this_machine_can_be_recorded_and_read_back() -> None:
    machine = record_machine({})
    assert Machine.model_validate_json(machine.model_dump_json()) == machine
    assert machine.packages["numpy"]
    assert not ADVISORY & set(machine.gating())


def test_what_psutil_tells_of_this_machine_is_recorded() -> None:
    machine = record_machine({})
    assert machine.memory_gib
    assert machine.load_average is not None


@pytest.mark.parametrize("name", ["av", "pillow", "scipy"])
def test_what_only_reads_and_judges_pictures_does_not_gate(linux: Path, name: str) -> None:
    before = record_machine({}, root=linux)
    after = before.model_copy(update={"packages": {**before.packages, name: "0.0"}})
    assert differing(before, after) == {}


def test_another_build_of_a_package_gates_though_its_version_is_the_same(
    linux: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = {"onnxruntime": "1.20.0"}

    def version(name: str) -> str:
        if name not in installed:
            raise metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(metadata, "version", version)
    before = record_machine({}, root=linux)
    installed["onnxruntime-gpu"] = installed.pop("onnxruntime")
    after = record_machine({}, root=linux)
    assert differing(before, after) == {
        "packages.onnxruntime": ("1.20.0", "1.20.0 (onnxruntime-gpu)")
    }


def test_a_package_version_gates(linux: Path) -> None:
    before = record_machine({}, root=linux)
    after = before.model_copy(update={"packages": {**before.packages, "openvino": "0.0"}})
    differing = {k for k, v in before.gating().items() if after.gating()[k] != v}
    assert differing == {"packages.openvino"}
