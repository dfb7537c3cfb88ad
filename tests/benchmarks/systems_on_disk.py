"""Folders that look like /proc and /sys of a Jetson, a desktop, and a virtual machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def write(root: Path, files: Mapping[str, str]) -> Path:
    """Write files below a root; a value is a file's whole text."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def debian(*packages: tuple[str, str], status: str = "install ok installed") -> str:
    """Return paragraphs as /var/lib/dpkg/status has them, of names and versions."""
    told = "Package: {}\nStatus: {}\nVersion: {}\nDescription: x\n Version: none\n\n"
    return "".join(told.format(name, status, version) for name, version in packages)


COMMON = {
    "proc/meminfo": "MemTotal:       16777216 kB\nMemAvailable:    8388608 kB\n",
    "proc/loadavg": "0.25 0.5 0.75 1/100 1\n",
    "proc/uptime": "100.5 150.0\n",
    "proc/vmstat": "pgfault 9\npswpin 0\npswpout 0\n",
    "proc/pressure/cpu": "some avg10=12.50 avg60=0 avg300=0 total=2000000\nfull avg10=0 total=0\n",
    "proc/sys/kernel/random/boot_id": "0000-1\n",
    "proc/self/status": "Name:\tx\nVmHWM:\t  2048 kB\nCpus_allowed_list:\t0-1\n",
    "proc/stat": "cpu  9 9 9 9 9 9 9 9 9 9\n"
    "cpu0 100 10 20 500 5 1 2 3 0 0\ncpu1 200 0 0 500 0 0 0 0 0 0\nintr 1\n",
}

JETSON = {
    **COMMON,
    "proc/cpuinfo": "processor : 0\nmodel name : ARMv8 Processor rev 1\nFeatures : fp asimd asimddp\n",
    "proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit\0",
    "proc/device-tree/compatible": "nvidia,p3768-0000+p3767-0005\0nvidia,p3767-0005\0nvidia,tegra234\0",
    "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 1, BOARD: generic\n",
    "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=15W >\nCPU 1\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n",
    "var/lib/nvpmodel/status": "pmode:0002",
    "etc/os-release": 'NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 22.04.5 LTS"\nVERSION_ID="22.04"\n',
    "var/lib/dpkg/status": debian(
        ("nvidia-jetpack", "6.2+b77"),
        ("libnvinfer10", "10.3.0.30-1+cuda12.5"),
        ("libnvinfer-dev", "10.3.0.30-1+cuda12.5"),
        ("libcudnn9-cuda-12", "9.3.0.75-1"),
        ("cuda-cudart-12-6", "12.6.68-1"),
    )
    + debian(("libnvinfer8", "8.5.2-1+cuda11.4"), status="deinstall ok config-files"),
    "usr/local/cuda/version.json": '{"cuda": {"name": "CUDA SDK", "version": "12.6.11"}}',
    "sys/devices/system/cpu/cpufreq/policy0/scaling_min_freq": "1728000",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq": "1728000",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq": "1728000",
    "sys/class/devfreq/17000000.gpu/min_freq": "1020000000",
    "sys/class/devfreq/17000000.gpu/max_freq": "1020000000",
    "sys/class/devfreq/17000000.gpu/cur_freq": "1020000000",
    "sys/class/devfreq/15340000.vic/cur_freq": "1",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal",
    "sys/class/thermal/thermal_zone0/temp": "48500",
    "sys/class/thermal/thermal_zone10/type": "tj-thermal",
    "sys/class/thermal/thermal_zone10/temp": "50250",
    "sys/class/thermal/cooling_device0/type": "pwm-fan",
    "sys/class/thermal/cooling_device0/cur_state": "2",
    "sys/class/thermal/cooling_device1/type": "cpufreq-cpu0",
    "sys/class/thermal/cooling_device1/cur_state": "0",
    "sys/class/hwmon/hwmon1/name": "ina3221",
    "sys/class/hwmon/hwmon1/in1_label": "VDD_IN",
    "sys/class/hwmon/hwmon1/in1_input": "5000",
    "sys/class/hwmon/hwmon1/curr1_input": "2000",
    "sys/class/hwmon/hwmon1/curr1_crit_alarm": "0",
    "sys/class/hwmon/hwmon1/curr1_max_alarm": "0",
    "sys/class/hwmon/hwmon1/in2_label": "VDD_CPU_GPU_CV",
    "sys/class/hwmon/hwmon1/in2_input": "5000",
    "sys/class/hwmon/hwmon1/curr2_input": "800",
    "sys/class/hwmon/hwmon1/in3_label": "NC",
    "sys/class/hwmon/hwmon1/in3_input": "5000",
    "sys/class/hwmon/hwmon1/curr3_input": "1",
    "sys/class/hwmon/hwmon1/in7_label": "sum of shunt voltages",
    "sys/class/hwmon/hwmon1/in7_input": "3",
    "sys/class/hwmon/hwmon0/name": "pwmfan",
    "sys/class/hwmon/hwmon0/pwm1": "102",
    "sys/class/hwmon/hwmon0/pwm1_enable": "1",
    "sys/class/hwmon/hwmon2/name": "soctherm_oc",
    "sys/class/hwmon/hwmon2/oc1_event_cnt": "0",
}

DESKTOP = {
    **COMMON,
    "proc/cpuinfo": "model name\t: Fast 9000\nflags\t\t: fpu avx2 avx512_vnni\n",
    "sys/devices/system/cpu/smt/active": "1\n",
    "sys/devices/system/cpu/cpu0/topology/thread_siblings_list": "0,8\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_min_freq": "800000\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq": "5000000\n",
    "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor": "powersave\n",
    "sys/devices/system/cpu/cpu1/cpufreq/scaling_min_freq": "800000\n",
    "sys/devices/system/cpu/cpu1/cpufreq/scaling_max_freq": "3500000\n",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq": "4500000\n",
    "sys/devices/system/cpu/cpufreq/boost": "1\n",
    "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": "3\n",
    "sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count": "4\n",
    "sys/devices/system/cpu/vulnerabilities/meltdown": "Not affected\n",
    "sys/devices/system/cpu/vulnerabilities/spectre_v2": "Mitigation: Retpolines\n",
    "proc/self/cgroup": "0::/slice/job\n",
    "sys/fs/cgroup/slice/job/cpu.max": "max 100000\n",
    "sys/fs/cgroup/slice/cpu.max": "150000 100000\n",
    "sys/fs/cgroup/slice/job/memory.max": "4294967296\n",
    "sys/class/hwmon/hwmon0/name": "coretemp\n",
    "sys/class/hwmon/hwmon0/temp1_label": "Package id 0\n",
    "sys/class/hwmon/hwmon0/temp1_input": "61000\n",
    "sys/class/powercap/intel-rapl:0/name": "package-0\n",
    "sys/class/powercap/intel-rapl:0/energy_uj": "262143000000\n",
    "sys/class/powercap/intel-rapl:0/max_energy_range_uj": "262143328850\n",
    "sys/class/powercap/intel-rapl:0:0/name": "core\n",
    "sys/class/powercap/intel-rapl:0:0/energy_uj": "7\n",
    "sys/class/powercap/intel-rapl:0:1/name": "dram\n",
    "sys/class/powercap/intel-rapl:0:1/energy_uj": "1000000\n",
    "sys/class/powercap/intel-rapl:0:1/max_energy_range_uj": "65712999613\n",
}

VIRTUAL = {
    **COMMON,
    "proc/cpuinfo": "model name : AMD EPYC\nflags : fpu avx2 avx512_vnni hypervisor\n",
    "sys/devices/system/cpu/smt/active": "0\n",
    "proc/self/cgroup": "4:memory:/job\n0::/\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
}
