"""Processor, memory and limits, as Linux tells them in files."""

from __future__ import annotations

from contextlib import suppress

from stylepress.benchmarks.machine.files import Tree, cpu_list
from stylepress.benchmarks.machine.sensors import temperature_probe

FLAGS = (
    *("avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16"),
    *("asimd", "asimddp", "i8mm", "bf16", "sve"),
)
"""Processor features that decide which kernels a backend takes."""
CPUS = "sys/devices/system/cpu"
GIBIBYTE = 1 << 30
FULL_PWM = 255
NO_LIMIT = 1 << 60
"""What an old control group without a limit says is more than this many bytes."""


class Linux:
    """Each method reads one fact; OSError, LookupError or ValueError where it is not told."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree

    def cpu(self) -> str:
        """Return the processor's name; a board's own name where it has one, as ARM boards do."""
        with suppress(OSError):
            return self.tree.text("proc/device-tree/model")
        return self._cpu_field("model name", "Hardware", "Processor")

    def distribution(self) -> str:
        """Return the distribution's name and version; of a container its own."""
        for name in ("etc/os-release", "usr/lib/os-release"):
            with suppress(OSError):
                for line in self.tree.text(name).splitlines():
                    key, _, value = line.partition("=")
                    if key == "PRETTY_NAME":
                        return value.strip("\"'")
        raise LookupError("/etc/os-release does not name the distribution")

    def flags(self) -> tuple[str, ...]:
        """Return the features that matter here."""
        known = set(self._cpu_field("flags", "Features").split())
        return tuple(flag for flag in FLAGS if flag in known)

    def virtual(self) -> bool:
        """Say whether a hypervisor shows itself; only x86 processors tell."""
        return "hypervisor" in self._cpu_field("flags").split()

    def threads_per_core(self) -> int:
        """Return how many logical processors share a core."""
        return len(cpu_list(self.tree.text(f"{CPUS}/cpu0/topology/thread_siblings_list")))

    def smt(self) -> bool:
        """Say whether cores run two threads at once."""
        return self.tree.text(f"{CPUS}/smt/active") == "1"

    def cpuset(self) -> str:
        """Return the list of processors this process may run on."""
        return self.tree.fields("proc/self/status")["Cpus_allowed_list"]

    def governor(self) -> str:
        """Return who sets the clocks; several where groups of cores differ."""
        found = {self.tree.text(name) for name in self._of_cpus("cpufreq/scaling_governor")}
        return ",".join(sorted(found))

    def clocks_mhz(self) -> tuple[tuple[float, float], ...]:
        """Return the least and most clocks that are allowed, one pair for each kind of core."""
        ranges = {
            (
                1e-3 * self.tree.number(name),
                1e-3 * self.tree.number(name.replace("min_freq", "max_freq")),
            )
            for name in self._of_cpus("cpufreq/scaling_min_freq")
        }
        return tuple(sorted(ranges))

    def turbo(self) -> bool:
        """Say whether cores may run above their nominal clock."""
        with suppress(OSError):
            return self.tree.text(f"{CPUS}/intel_pstate/no_turbo") == "0"
        return self.tree.text(f"{CPUS}/cpufreq/boost") == "1"

    def quota_cores(self) -> float:
        """Return the cores that the control groups grant: the least of a group and those above."""
        granted = []
        for folder in self.tree.groups():
            with suppress(OSError):
                quota, period = self.tree.text(f"{folder}/cpu.max").split()
                if quota != "max":
                    granted.append(int(quota) / int(period))
        if granted:
            return min(granted)
        old = "sys/fs/cgroup/cpu"
        with suppress(OSError):
            quota = self.tree.text(f"{old}/cpu.cfs_quota_us")
            if int(quota) > 0:
                return int(quota) / self.tree.number(f"{old}/cpu.cfs_period_us")
        raise LookupError("no control group limits the processor")

    def memory_limit_gib(self) -> float:
        """Return the memory that the control groups grant: the least of a group and those above."""
        granted = []
        for folder in self.tree.groups():
            with suppress(OSError):
                limit = self.tree.text(f"{folder}/memory.max")
                if limit != "max":
                    granted.append(int(limit))
        if granted:
            return round(min(granted) / GIBIBYTE, 1)
        with suppress(OSError):
            old = int(self.tree.text("sys/fs/cgroup/memory/memory.limit_in_bytes"))
            if old < NO_LIMIT:
                return round(old / GIBIBYTE, 1)
        raise LookupError("no control group limits the memory")

    def memory_gib(self, name: str) -> float:
        """Return a line of /proc/meminfo."""
        return round(self.tree.memory_bytes(name) / GIBIBYTE, 1)

    def load_average(self) -> float:
        """Return how many tasks ran or wanted to, over the last minute."""
        return float(self.tree.text("proc/loadavg").split()[0])

    def cpu_pressure(self) -> float:
        """Return the share of the last ten seconds in which some task waited, 0..1."""
        some = self.tree.text("proc/pressure/cpu").splitlines()[0]
        return float(some.partition("avg10=")[2].split()[0]) / 100

    def uptime_s(self) -> float:
        """Return the time since boot."""
        return float(self.tree.text("proc/uptime").split()[0])

    def mitigations(self) -> str:
        """Name the processor's faults that the kernel works around: it costs time."""
        folder = f"{CPUS}/vulnerabilities"
        names = self.tree.names(f"{folder}/*")
        if not names:
            raise LookupError(f"/{folder} is empty")
        found = [n.rpartition("/")[2] for n in names if self.tree.text(n).startswith("Mitigation")]
        return ",".join(sorted(found)) or "none"

    def temperatures_c(self) -> dict[str, float]:
        """Return every temperature, by zone."""
        read = temperature_probe(self.tree)()
        return {
            name.removeprefix("temperature.").removesuffix("_c"): round(value, 1)
            for name, value in read.items()
        }

    def fans(self) -> dict[str, float]:
        """Return how fast each fan is told to turn, 0..1 of the most, by monitor and number."""
        found = {}
        for chip in self.tree.chips():
            for file in self.tree.names(f"{chip}/pwm[0-9]"):
                with suppress(OSError, ValueError):
                    name = f"{self.tree.text(f'{chip}/name')} {file.rpartition('pwm')[2]}"
                    found[name] = round(self.tree.number(file) / FULL_PWM, 2)
        if not found:
            raise LookupError("this system tells the speed of no fan")
        return found

    def _of_cpus(self, name: str) -> list[str]:
        found = self.tree.names(f"{CPUS}/cpu[0-9]*/{name}")
        if not found:
            raise FileNotFoundError(2, "No such file or directory", f"/{CPUS}/cpu0/{name}")
        return found

    def _cpu_field(self, *names: str) -> str:
        for line in self.tree.text("proc/cpuinfo").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in names and value.strip():
                return value.strip()
        raise LookupError(f"/proc/cpuinfo has no {' or '.join(names)}")
