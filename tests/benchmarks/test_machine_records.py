"""What a Jetson, a desktop and a virtual machine tell, and which fields keep reports apart."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from stylepress.benchmarks.machine.record import Machine, differing, record_machine
from stylepress.benchmarks.machine.sensors import temperature_probe
from stylepress.targets.files import Tree
from stylepress.targets.gpus import Gpus, slowed_by
from stylepress.targets.jetson import clocks_locked
from tests.benchmarks.systems_on_disk import DESKTOP, JETSON, VIRTUAL, write


class NvmlError(Exception):
    """What the library raises."""


def nvml(**answers: Any) -> Any:
    """The functions of nvidia-ml-py that a GPU of a desktop answers; others are not supported."""

    def refuses(*arguments: object) -> None:
        raise NvmlError("Not Supported")

    known: dict[str, Any] = {
        "nvmlInit": None,
        "nvmlDeviceGetCount": 1,
        "nvmlDeviceGetHandleByIndex": "handle",
        "nvmlDeviceGetName": "NVIDIA GeForce RTX 4090",
        "nvmlDeviceGetUUID": b"GPU-1234",
        "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=24 << 30, used=1 << 30),
        "nvmlDeviceGetCudaComputeCapability": (8, 9),
        "nvmlSystemGetDriverVersion": "570.10",
        "nvmlSystemGetCudaDriverVersion": 12080,
        "nvmlDeviceGetEnforcedPowerLimit": 450_000,
        "nvmlDeviceGetTemperature": 41,
        "nvmlDeviceGetMaxClockInfo": 3105,
        "nvmlDeviceGetClockInfo": 2520,
        "nvmlDeviceGetTotalEnergyConsumption": 5_000_000,
        "nvmlDeviceGetPowerUsage": 250_000,
        "nvmlDeviceGetCurrentClocksEventReasons": 0x44,
        "nvmlDeviceGetComputeRunningProcesses": [
            SimpleNamespace(pid=7, usedGpuMemory=1 << 20),
            SimpleNamespace(pid=8, usedGpuMemory=None),
        ],
        "nvmlDeviceGetProcessUtilization": [
            SimpleNamespace(pid=pid, timeStamp=when, smUtil=share)
            for pid, when, share in ((9, 20, 12), (9, 10, 99), (8, 20, 3), (7, 20, 80))
        ],
        **answers,
    }
    names = ("nvmlDeviceGetMigMode", "nvmlDeviceGetApplicationsClock")
    functions = dict.fromkeys(names, refuses)
    functions |= {name: (lambda *_, v=value: v) for name, value in known.items()}
    return SimpleNamespace(
        NVMLError=NvmlError, NVML_CLOCK_SM=1, NVML_CLOCK_MEM=2, NVML_TEMPERATURE_GPU=0, **functions
    )


def test_a_jetson_tells_module_software_power_mode_by_name_and_locked_clocks(
    tmp_path: Path,
) -> None:
    machine = record_machine({}, root=write(tmp_path, JETSON))
    board = machine.board
    assert board is not None
    assert (board["chip"], board["l4t"], board["jetpack"]) == ("tegra234", "36.4.3", "6.2+b77")
    assert (board["power_mode"], board["power_mode_name"]) == (2, "MAXN_SUPER")
    assert board["clocks_locked"] is True
    assert machine.cpu == "NVIDIA Jetson Orin Nano Developer Kit"


def test_a_jetson_tells_its_distribution_and_the_libraries_that_are_no_python_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", none)
    root = write(tmp_path, JETSON)
    machine = record_machine({}, root=root)
    assert machine.distribution == "Ubuntu 22.04.5 LTS"
    assert {name: version for name, version in machine.packages.items() if version} == {
        "tensorrt": "10.3.0.30-1+cuda12.5 (libnvinfer10)",
        "cudnn": "9.3.0.75-1 (libcudnn9-cuda-12)",
        "cuda": "12.6.68-1 (cuda-cudart-12-6)",
    }
    monkeypatch.setattr(metadata, "version", lambda name: "9.9")
    assert record_machine({}, root=root).packages["tensorrt"] == "9.9"


def test_one_free_clock_is_enough_to_be_unlocked(tmp_path: Path) -> None:
    tree = Tree(write(tmp_path, JETSON))
    assert clocks_locked(tree) is True
    write(tmp_path, {"sys/class/devfreq/17000000.gpu/min_freq": "306000000"})
    assert clocks_locked(tree) is False
    assert clocks_locked(Tree(tmp_path / "nowhere")) is None


def test_another_power_mode_keeps_two_reports_apart_and_is_named(tmp_path: Path) -> None:
    before = record_machine({}, root=write(tmp_path, JETSON))
    write(tmp_path, {"var/lib/nvpmodel/status": "pmode:0000"})
    after = record_machine({}, root=tmp_path)
    assert differing(before, after) == {
        "board.power_mode": (2, 0),
        "board.power_mode_name": ("MAXN_SUPER", "15W"),
    }
    assert differing(before, after, vary=["board"]) == {}
    assert differing(before, after, vary=["board.power_mode_name"]) == {"board.power_mode": (2, 0)}
    assert list(differing(before, after, vary=["board.power_mode"])) == ["board.power_mode_name"]
    assert differing(before, before) == {}


def test_a_desktop_tells_governors_and_limits(tmp_path: Path) -> None:
    machine = record_machine({}, root=write(tmp_path, DESKTOP))
    assert machine.governor == "performance,powersave"
    assert machine.turbo is True
    assert machine.quota_cores == 1.5
    assert machine.board is None
    assert machine.missing["board"] == "this is no Jetson"


def test_temperatures_and_clocks_are_those_that_psutil_tells(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def heat(label: str, current: float) -> SimpleNamespace:
        return SimpleNamespace(label=label, current=current)

    told = {"coretemp": [heat("Package id 0", 61.04)], "nvme": [heat("", 40), heat("", 41)]}
    monkeypatch.setattr(psutil, "sensors_temperatures", lambda: told, raising=False)
    clocks = [SimpleNamespace(current=900, min=800, max=most) for most in (3500, 5000, 5000)]
    monkeypatch.setattr(psutil, "cpu_freq", lambda percpu=False: clocks)
    heats = {"Package id 0": 61.04, "nvme 1": 40, "nvme 2": 41}
    assert temperature_probe() == {f"temperature.{name}_c": heat for name, heat in heats.items()}
    assert record_machine({}).clocks_mhz == ((800, 3500), (800, 5000))


def test_a_virtual_machine_says_so_and_what_it_hides(tmp_path: Path) -> None:
    machine = record_machine({}, root=write(tmp_path, VIRTUAL))
    hidden = {"governor", "turbo", "gpus"}
    assert hidden <= set(machine.missing)
    assert machine.missing["governor"].startswith("/sys/devices/system/cpu/cpu0/cpufreq")


def test_a_gpu_tells_what_it_is_and_none_where_it_does_not_support_it() -> None:
    (facts,) = Gpus(nvml()).facts()
    assert (facts["name"], facts["memory_mib"]) == ("NVIDIA GeForce RTX 4090", 24 * 1024)
    assert (facts["cuda"], facts["capability"], facts["power_limit_w"]) == ("12.8", "8.9", 450)
    assert (facts["mig"], facts["set_sm_mhz"]) == (None, None)
    assert "GPU-1234" not in str(facts)
    assert len(facts["uuid_sha256"]) == 16


def test_what_one_could_not_read_or_did_not_set_keeps_two_reports_apart(tmp_path: Path) -> None:
    root = write(tmp_path, JETSON)
    machine = record_machine({}, root=root, gpus=lambda: Gpus(nvml()))
    unread = machine.model_copy(update={"distribution": None})
    assert differing(unread, machine) == {"distribution": (None, "Ubuntu 22.04.5 LTS")}
    bound = record_machine({"OMP_PLACES": "cores"}, root=root, gpus=lambda: Gpus(nvml()))
    assert list(differing(machine, bound)) == ["thread_variables.OMP_PLACES"]
    assert "gpus.0.name" in differing(machine, machine.model_copy(update={"gpus": None}))


def test_another_gpu_of_the_same_name_keeps_two_reports_apart(tmp_path: Path) -> None:
    def machine(uuid: bytes) -> Machine:
        library = nvml(nvmlDeviceGetUUID=uuid)
        return record_machine({}, root=tmp_path, gpus=lambda: Gpus(library))

    assert list(differing(machine(b"a"), machine(b"b"))) == ["gpus.0.uuid_sha256"]
    known = machine(b"a")
    assert Machine.model_validate_json(known.model_dump_json()) == known


def test_a_gpu_is_read_with_its_own_processes_apart_from_others() -> None:
    values = Gpus(nvml()).read([7])
    assert values["gpu0.energy_j"] == 5000
    assert values["gpu0.power_w"] == 250
    assert (values["gpu0.own_processes"], values["gpu0.foreign_processes"]) == (1, 1)
    assert values["gpu0.own_memory_bytes"] == 1 << 20
    assert slowed_by(int(values["gpu0.clock_events"])) == ("hardware thermal slowdown",)


def test_what_others_use_of_a_gpu_is_told_from_the_second_look_on() -> None:
    gpus = Gpus(nvml())
    first, second = gpus.read([7]), gpus.read([7])
    assert "gpu0.foreign_load" not in first
    assert second["gpu0.foreign_load"] == 0.15


def test_a_gpu_that_nobody_used_since_or_that_does_not_tell_is_no_load() -> None:
    library = nvml()
    gpus, silent = Gpus(library), Gpus(nvml(nvmlDeviceGetProcessUtilization=[]))
    gpus.read([])
    library.nvmlDeviceGetProcessUtilization = lambda handle, since: []
    assert gpus.read([])["gpu0.foreign_load"] == 0
    assert [one for _ in range(2) for one in silent.read([]) if "foreign_load" in one] == []


def test_a_gpu_of_an_old_driver_is_asked_by_the_old_name() -> None:
    library = nvml(nvmlDeviceGetCurrentClocksThrottleReasons=0x8)
    del library.nvmlDeviceGetCurrentClocksEventReasons
    assert slowed_by(int(Gpus(library).read([])["gpu0.clock_events"])) == ("hardware slowdown",)


def test_without_a_driver_the_reason_is_told(tmp_path: Path) -> None:
    def no_driver() -> None:
        raise NvmlError("Driver Not Loaded")

    library = nvml()
    library.nvmlInit = no_driver
    machine = record_machine({}, root=tmp_path, gpus=lambda: Gpus(library))
    assert machine.gpus is None
    assert machine.missing["gpus"] == "NVML: Driver Not Loaded"


def test_the_names_asked_of_the_library_are_its_own() -> None:
    pynvml = pytest.importorskip("pynvml")
    own = [name for name in vars(nvml()) if name.startswith(("nvml", "NVML"))]
    assert [name for name in own if not hasattr(pynvml, name)] == []
    assert pynvml.nvmlClocksEventReasonHwSlowdown == 0x8
    assert pynvml.nvmlClocksEventReasonSwThermalSlowdown == 0x20
    assert pynvml.nvmlClocksEventReasonHwThermalSlowdown == 0x40
    assert pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown == 0x80
    assert pynvml.nvmlClocksEventReasonSwPowerCap == 0x4
