"""What the machine does while something runs decides whether it counts."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from stylepress.benchmarks.machine.sensors import (
    ProcessTree,
    find_sensors,
    processor_probe,
    slowly,
)
from stylepress.benchmarks.machine.timeline import Follower, Timeline, Window
from stylepress.benchmarks.machine.watch import (
    Validity,
    Watch,
    judge,
    load_of_others,
)
from stylepress.errors import VerificationError
from stylepress.targets.files import Tree
from tests.benchmarks.systems_on_disk import DESKTOP, JETSON, write

SECOND = 1_000_000_000
QUIET: Mapping[str, float] = {
    "cpu.busy_s": 0, "cpu.own_s": 0, "cpu.steal_s": 0, "cpu.count": 2, "swap.in_bytes": 5,
    "cooling.cpufreq-cpu0": 0, "throttle.cpu": 7, "alarm.VDD_IN crit_alarm": 0, "overcurrent.oc1": 2,
    "temperature.cpu_c": 40, "gpu0.clock_events": 0x1, "gpu0.sm_mhz": 2000,
    "gpu0.foreign_processes": 0, "gpu0.own_processes": 1,
    "gpu0.foreign_load": 0,
}  # fmt: skip
MINUTE = Window(0, 60 * SECOND)


def judged(**slopes: tuple[str, float]) -> Validity:
    """Judge a minute in which one sensor rises steadily by so much a second."""
    samples = []
    for second in range(61):
        values = dict(QUIET)
        for name, rise in slopes.values():
            values[name] += rise * second
        samples.append((second * SECOND, values))
    return judge(Timeline(tuple(samples)), MINUTE)


def test_a_quiet_machine_lets_a_run_count() -> None:
    found = judged()
    assert found.ok
    assert (found.events, found.foreign_load, found.samples) == ((), 0, 61)


@pytest.mark.parametrize(
    ("sensor", "rise", "kind"),
    [
        ("cooling.cpufreq-cpu0", 0.1, "throttled"),
        ("throttle.cpu", 1, "throttled"),
        ("overcurrent.oc1", 1, "throttled"),
        ("alarm.VDD_IN crit_alarm", 1, "power alarm"),
        ("swap.in_bytes", 1, "swapped in"),
        ("cpu.busy_s", 0.11, "foreign load"),
        ("cpu.steal_s", 0.11, "foreign load"),
        ("gpu0.foreign_processes", 1, "foreign GPU process"),
        ("gpu0.foreign_load", 0.11 / 60, "foreign GPU process"),
    ],
)
def test_what_disturbs_makes_a_run_worthless(sensor: str, rise: float, kind: str) -> None:
    found = judged(x=(sensor, rise))
    assert not found.ok
    assert [event.kind for event in found.events] == [kind]
    assert len(found.reasons) == 1


@pytest.mark.parametrize(
    ("sensor", "rise"),
    [
        ("cpu.busy_s", 0.09),
        ("gpu0.foreign_load", 0.09 / 60),
    ],
)
def test_what_disturbs_less_than_its_limit_does_not(sensor: str, rise: float) -> None:
    assert judged(x=(sensor, rise)).ok


def warming(*, clock_falls: float | None, minutes: float = 1, degrees: float = 3) -> Validity:
    """Judge a run in which the chip gets warmer by so much a minute, and its clock perhaps falls."""
    samples = []
    for second in range(round(60 * minutes) + 1):
        values = {**QUIET, "temperature.cpu_c": 40 + degrees * second / 60}
        del values["gpu0.sm_mhz"]
        if clock_falls is not None:
            values["clock.cpu_mhz"] = 2000 * (1 - clock_falls * second / (60 * minutes))
        samples.append((second * SECOND, values))
    return judge(Timeline(tuple(samples)), Window(0, round(60 * minutes * SECOND)))


def test_a_run_on_a_board_that_gets_warm_counts_while_its_clocks_hold() -> None:
    found = warming(clock_falls=0)
    assert found.ok
    assert [event.what for event in found.events] == [
        "cpu rose by 3.0 °C a minute, and no clock fell"
    ]


def test_heat_that_slows_a_clock_makes_a_run_worthless() -> None:
    found = warming(clock_falls=0.2)
    assert [event.kind for event in found.events] == ["heating"]
    assert "a clock fell by 10%" in found.reasons[0]


def test_where_no_clock_can_be_read_heat_alone_decides() -> None:
    assert not warming(clock_falls=None).ok
    assert warming(clock_falls=None, degrees=0.9).ok
    assert warming(clock_falls=None, degrees=-3).ok


def test_every_run_gets_warm_at_first_and_is_not_judged_by_that() -> None:
    assert warming(clock_falls=0.2, minutes=0.4, degrees=30).events == ()


def test_our_own_load_is_not_foreign() -> None:
    assert judged(x=("cpu.busy_s", 1.9), y=("cpu.own_s", 1.9)).ok


@pytest.mark.parametrize(("bit", "ok"), [(0x8, False), (0x20, False), (0x40, False), (0x80, False), (0x4, True), (0x2, True)])  # fmt: skip
def test_bits_of_clock_events_decide(bit: int, ok: bool) -> None:
    samples = tuple((at * SECOND, {**QUIET, "gpu0.clock_events": float(bit)}) for at in range(61))
    found = judge(Timeline(samples), MINUTE)
    assert found.ok == ok
    assert [event.kind for event in found.events if not event.invalidates] == (
        ["power capped"] if bit == 0x4 else []
    )


def test_processes_that_a_container_cannot_tell_apart_only_warn() -> None:
    unknown = {"gpu0.own_processes": 0.0, "gpu0.foreign_processes": 1.0, "gpu0.foreign_load": 1.0}
    samples = tuple((at * SECOND, {**QUIET, **unknown}) for at in range(61))
    found = judge(Timeline(samples), MINUTE)
    assert found.ok
    assert [event.kind for event in found.events] == 2 * ["foreign GPU process"]


def test_without_sensors_nothing_is_claimed() -> None:
    found = judge(Timeline(((0, {}), (SECOND, {})), {"processor": "/proc/stat: gone"}), MINUTE)
    assert (found.foreign_load, found.missing) == (None, {"processor": "/proc/stat: gone"})


def test_a_run_is_judged_by_what_was_read_around_it_and_nothing_else() -> None:
    samples = [(at * SECOND, {**QUIET, "swap.in_bytes": 5.0 * (at > 90)}) for at in range(200)]
    assert judge(Timeline(tuple(samples)), MINUTE) == judge(Timeline(tuple(samples[:62])), MINUTE)
    assert judge(Timeline(tuple(samples)), MINUTE).ok
    assert not judge(Timeline(tuple(samples)), Window(60 * SECOND, 95 * SECOND)).ok


def test_a_sampler_that_fell_silent_is_named() -> None:
    samples = tuple((at * SECOND, QUIET) for at in range(10))
    found = judge(Timeline(samples), Window(20 * SECOND, 30 * SECOND))
    assert (found.foreign_load, found.samples) == (None, 0)
    assert "sampler" in found.missing


def test_counters_and_powers_are_interpolated_at_the_ends_of_a_window() -> None:
    line = Timeline(
        tuple((at * SECOND, {"power": 10.0 * at, "count": 3.0 * at}) for at in range(5))
    )
    window = Window(SECOND // 2, 7 * SECOND // 2)
    assert line.growth("count", window) == pytest.approx(9)
    assert line.integral("power", window) == pytest.approx(10 * (3.5**2 - 0.5**2) / 2)
    assert line.growth("count", Window(0, 9 * SECOND)) is None
    assert line.integral("power", Window(-1, SECOND)) is None
    assert line.growth("other", window) is None


def test_processor_time_is_that_of_the_cores_we_may_run_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def core(user: float, steal: float) -> SimpleNamespace:
        return SimpleNamespace(user=user, nice=1, system=2, irq=3, softirq=4, steal=steal, idle=9)

    monkeypatch.setattr(psutil, "cpu_times", lambda percpu: [core(10, 3), core(200, 0)])
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0}, raising=False)
    assert processor_probe() == {"cpu.busy_s": 20, "cpu.steal_s": 3, "cpu.count": 1}


def test_what_costs_much_is_read_every_tenth_time() -> None:
    numbers = count()
    read = slowly(lambda: {"a": next(numbers)})
    assert [read()["a"] for _ in range(21)] == [0] * 10 + [1] * 10 + [2]


def test_the_sensors_of_a_jetson_are_found_and_a_fan_is_none_that_throttles(
    tmp_path: Path,
) -> None:
    sensors = find_sensors(Tree(write(tmp_path, JETSON)), os.getpid())
    values = sensors.read()
    assert values["power.ina3221.VDD_IN_w"] == pytest.approx(10)
    assert values["power.ina3221.VDD_CPU_GPU_CV_w"] == pytest.approx(4)
    assert {name for name in values if name.startswith("power.")} == {
        "power.ina3221.VDD_IN_w",
        "power.ina3221.VDD_CPU_GPU_CV_w",
    }
    assert values["clock.gpu_mhz"] == 1020
    assert values["cooling.cpufreq-cpu0 1"] == 0
    assert not [name for name in values if name.startswith("cooling") and "fan" in name]
    assert values["alarm.VDD_IN crit_alarm"] == 0
    assert values["overcurrent.oc1"] == 0
    assert set(sensors.missing) >= {"rapl", "processor throttling"}


def test_the_sensors_of_a_desktop_are_found(tmp_path: Path) -> None:
    values = find_sensors(Tree(write(tmp_path, DESKTOP)), os.getpid()).read()
    assert values["throttle.cpu"] == 7
    assert values["memory.available_bytes"] > 0


def test_a_sensor_that_fails_later_is_left_out_then(tmp_path: Path) -> None:
    sensors = find_sensors(Tree(write(tmp_path, JETSON)), os.getpid())
    (tmp_path / "sys/class/hwmon/hwmon1/in1_input").unlink()
    values = sensors.read()
    assert "power.ina3221.VDD_IN_w" not in values
    assert "power.ina3221.VDD_CPU_GPU_CV_w" in values


def test_a_process_counts_with_its_children_and_their_children_and_nobody_else() -> None:
    nap = "import time; time.sleep(60)"
    grow = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {nap!r}])"
    with subprocess.Popen([sys.executable, "-c", grow]) as child:
        try:
            tree = ProcessTree(os.getpid())
            while len(tree.members()) < 3:
                time.sleep(0.01)
            assert tree.members()[:2] == [os.getpid(), child.pid]
            assert os.getppid() not in tree.members()
            assert tree.read()["cpu.own_s"] > 0
        finally:
            for process in psutil.Process(child.pid).children():
                process.kill()
            child.kill()
    assert child.pid not in tree.members()


def test_the_real_sampler_sees_this_process_and_its_child_and_ends_with_us() -> None:
    with Watch(period_s=0.02) as watch:
        begin = time.perf_counter_ns()
        child = subprocess.run(
            [sys.executable, "-c", "import time; time.sleep(0.3)"],
            check=True,
        )
        window = Window(begin, time.perf_counter_ns())
        watch.settle()
        line = watch.timeline()
        sampler = watch._process
    assert child.returncode == 0
    if "process tree" in line.missing:
        pytest.skip("this system has no /proc")
    assert load_of_others(line, window) is not None
    assert line.samples[0][0] < begin
    assert sampler is not None
    with pytest.raises(ProcessLookupError):
        os.kill(sampler.pid, 0)


def test_a_watch_tells_why_a_run_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stylepress.benchmarks.machine.watch.LEAST_LOAD_S", 0)
    with Watch(period_s=0.02, foreign_load=-1) as watch:
        began = time.perf_counter_ns()
        time.sleep(0.1)
        ran = Window(began, time.perf_counter_ns())
        events = watch.judged(ran).events
        load = load_of_others(watch.timeline(), ran)
    if load is None:
        pytest.skip("this system does not tell its load")
    assert [event.kind for event in events] == ["foreign load"]
    assert "others used" in events[0].what


def test_a_sampler_that_cannot_start_is_told(tmp_path: Path) -> None:
    watch = Watch(period_s=float("nan"))
    with pytest.raises(VerificationError, match="did not start"):
        watch.__enter__()


def test_a_last_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text('{"missing": {"a": "b"}}\n[5, {"x": 1.0}]\n[6, {"x"')
    assert Follower(path).timeline() == Timeline(((5, {"x": 1.0}),), {"a": "b"})
    path.write_text("")
    assert Follower(path).timeline().samples == ()


def test_a_window_too_short_for_the_systems_ticks_is_not_judged_by_load() -> None:
    samples = [(n * SECOND // 10, {**QUIET, "cpu.busy_s": 0.02 * n}) for n in range(30)]
    watched = Timeline(tuple(samples))
    assert judge(watched, Window(0, SECOND // 2)).ok
    assert not judge(watched, Window(0, 2 * SECOND)).ok


def test_a_file_that_grows_is_read_once_and_never_in_the_middle_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    text = '{"missing": {"nvml": "no"}}\n[1, {"a": 1.0}]\n[2, {"a": 2.0}]\n'
    follower = Follower(path)
    for end in range(len(text) + 1):
        path.write_text(text[:end], encoding="utf-8")
        seen = follower.timeline()
    assert seen == Follower(path).timeline()
    assert seen.series("a") == [(1, 1.0), (2, 2.0)]
    assert seen.missing == {"nvml": "no"}
