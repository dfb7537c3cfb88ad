"""Detection: eight machines by the files they were recorded with, below a root of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from stylepress.targets.detect import detect, fits
from stylepress.targets.target import load_target

ORIN_MODES = """
< PARAM TYPE=FILE NAME=CPU_ONLINE >
CORE_0 /sys/devices/system/cpu/cpu0/online
< POWER_MODEL ID=0 NAME=15W >
CPU_ONLINE CORE_0 1
< POWER_MODEL ID=1 NAME=25W >
< POWER_MODEL ID=2 NAME=MAXN_SUPER >
< POWER_MODEL ID=3 NAME=7W >
< PM_CONFIG DEFAULT=1 >
"""
VNNI = "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu sse4_2 avx2 avx512f avx512_vnni\n"

Root = Callable[[Mapping[str, str]], Path]


def jetson(model: str, soc: str, release: str, memory_kb: int, mode: int = 0) -> dict[str, str]:
    """The files of a Jetson: device tree (ends in NUL), L4T release, memory, power mode."""
    major, _, minor = release.partition(".")
    return {
        "proc/device-tree/model": f"{model}\0",
        "proc/device-tree/compatible": f"nvidia,p3768-0000+p3767-0005\0nvidia,{soc}\0",
        "etc/nv_tegra_release": f"# R{major} (release), REVISION: {minor}, GCID: 1, BOARD: generic\n",
        "proc/meminfo": f"MemTotal:       {memory_kb} kB\nMemFree:  1 kB\n",
        "etc/nvpmodel.conf": ORIN_MODES,
        "var/lib/nvpmodel/status": f"pmode:{mode:04}\n",
    }


DEVICES: Mapping[str, tuple[str, Mapping[str, str], str]] = {
    "orin nano super": (
        "aarch64",
        jetson(
            "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
            "tegra234", "36.4.3", 7_802_412, mode=2,
        ),
        "jetson-orin-nano-8gb@6.2:MAXN_SUPER",
    ),
    "orin nano 4 GB": (
        "aarch64",
        jetson("NVIDIA Jetson Orin Nano Developer Kit", "tegra234", "39.2", 3_900_000, mode=1),
        "jetson-orin-nano-4gb@7.2:25W",
    ),
    "agx orin": (
        "aarch64",
        jetson("NVIDIA Jetson AGX Orin Developer Kit", "tegra234", "35.4.1", 64_349_000, mode=9),
        "jetson-agx-orin-64gb@5.1:MAXN",
    ),
    "nano": (
        "aarch64",
        jetson("NVIDIA Jetson Nano Developer Kit", "tegra210", "32.7.4", 4_051_000, mode=9),
        "jetson-nano-4gb@4.6:MAXN",
    ),
    "thor": (
        "aarch64",
        jetson("NVIDIA Jetson AGX Thor Developer Kit", "tegra264", "38.2", 128_800_000, mode=9),
        "jetson-thor-t5000@7.1:120W",
    ),
    "desktop with a card": (
        "x86_64",
        {
            "proc/cpuinfo": VNNI,
            "proc/driver/nvidia/gpus/0000:01:00.0/information": (
                "Model: \t\t NVIDIA GeForce RTX 4090\nIRQ:   \t\t 123\n"
            ),
        },
        "rtx-4090",
    ),
    "x86 server": ("x86_64", {"proc/cpuinfo": VNNI + "bugs : amx_tile amx_int8\n"}, "x86-vnni"),
    "raspberry pi": (
        "aarch64",
        {"proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0", "proc/cpuinfo": "Features : asimd\n"},
        "raspberry-pi-5",
    ),
}  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Root:
    def write(files: Mapping[str, str]) -> Path:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path

    return write


@pytest.mark.parametrize("device", DEVICES)
def test_a_machine_is_known_by_its_own_files(device: str, root: Root) -> None:
    machine, files, expected = DEVICES[device]
    assert detect(root(files), machine=machine).target.full_name == expected


def test_a_mode_that_no_profile_knows_is_said_and_not_guessed(root: Root) -> None:
    files = jetson("NVIDIA Jetson AGX Orin Developer Kit", "tegra234", "36.4.3", 64_000_000, mode=1)
    found = detect(root(files), machine="aarch64")
    assert found.target.full_name == "jetson-agx-orin-64gb@6.2:MAXN"
    assert "no power mode '25W'" in found.notes[0]


def test_a_jetson_that_no_profile_is_called_like_gets_the_nearest_and_a_note(root: Root) -> None:
    files = jetson("Some Board With An Orin Inside", "tegra234", "99.1", 16_000_000, mode=2)
    found = detect(root(files), machine="aarch64")
    assert found.target.name == "jetson-orin-nx-16gb"
    assert "nearest" in found.notes[0]
    assert "JetPack is not known" in found.notes[1]


@pytest.mark.parametrize(
    "name", ["NVIDIA GeForce RTX 4090 Laptop GPU", "NVIDIA GeForce RTX 3060 Ti"]
)
def test_another_chip_under_the_same_number_is_no_target(name: str, root: Root) -> None:
    found = detect(root({"proc/cpuinfo": VNNI}), machine="x86_64", gpus=[name])
    assert found.target.name == "x86-vnni"
    assert name in found.notes[0]


def test_a_card_that_only_nvml_shows_is_found_by_its_name(root: Root) -> None:
    found = detect(root({}), machine="x86_64", gpus=["NVIDIA H100 80GB HBM3"])
    assert found.target.name == "h100"


@pytest.mark.parametrize("machine", ["x86_64", "AMD64", "aarch64", "arm64", "riscv64", ""])
def test_every_processor_has_a_target(machine: str, root: Root) -> None:
    assert detect(root({}), machine=machine).target.kind == "cpu"


def test_what_is_measured_here_counts_for_this_device_and_for_any_of_its_kind() -> None:
    vnni, pi = load_target("x86-vnni"), load_target("raspberry-pi-5")
    assert fits(load_target("x86-cpu"), vnni)
    assert fits(load_target("cpu"), pi)
    assert not fits(load_target("x86-amx"), vnni)
    assert not fits(load_target("arm64-cpu"), vnni)
    assert not fits(load_target("jetson-orin-nano-8gb"), vnni)
