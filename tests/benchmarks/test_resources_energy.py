"""Energy is integrated, net of idle, and null with the reason where it cannot be told."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stylepress.benchmarks.check import Check
from stylepress.benchmarks.machine.sensors import ina3221_probe, rapl_probe, total_rails
from stylepress.benchmarks.machine.timeline import GROSS, LONG_S, NET, Timeline, Window, energies
from stylepress.benchmarks.machine.watch import Watch
from stylepress.benchmarks.timing import scenarios
from stylepress.benchmarks.timing.loop import WarmRule
from stylepress.benchmarks.timing.outcome import Length
from stylepress.benchmarks.timing.scenarios import camera
from stylepress.targets.files import Tree
from tests.benchmarks.systems_on_disk import DESKTOP, JETSON, VIRTUAL, write

TENTH = 100_000_000
SECOND = 10 * TENTH
RUN, BEFORE, AFTER = (Window(a * SECOND, b * SECOND) for a, b in ((10, 20), (0, 5), (25, 30)))


Sensor = Callable[[float], float]


def timeline(sensors: Mapping[str, Sensor], *, every_ns: int = TENTH) -> Timeline:
    """Half a minute of sensors that are functions of the time in seconds."""
    times = range(0, 30 * SECOND + 1, every_ns)
    return Timeline(tuple((at, {n: f(at / SECOND) for n, f in sensors.items()}) for at in times))


class Told(NamedTuple):
    """What one source told of a run; ``gross_j`` and ``net_j`` are of all its frames."""

    gross_j: float | None
    net_j: float | None
    idle_w: float | None
    mean_w: float | None
    rails: str
    why: str


def told(found: Sequence[Check], source: str, *, frames: int = 1) -> Told:
    own = {one.metric: one for one in found if one.metric.endswith(f", {source}")}
    values = {name.removesuffix(f", {source}"): one.new for name, one in own.items()}
    gross, net = (None if one is None else frames * one for one in map(values.get, (GROSS, NET)))
    first = own[f"{GROSS}, {source}"]
    power = values.get("idle power"), values.get("mean power")
    return Told(gross, net, *power, first.of, first.note)


def of(line: Timeline, source: str, *, idle: Sequence[Window] = ()) -> Told:
    return told(energies(line, RUN, frames=100, idle=idle), source, frames=100)


def burning(second: float) -> float:
    """Joules until then: 20 W while the run lasts, 5 W before and after."""
    return 5 * second + 15 * min(max(second - 10, 0), 10)


@pytest.mark.parametrize(
    ("source", "sensor"), [("nvml counter", "gpu0.energy_j"), ("rapl", "energy.rapl.package-0_j")]
)
def test_a_counter_gives_gross_and_net_joules(source: str, sensor: str) -> None:
    found = of(timeline({sensor: burning}), source, idle=(BEFORE, AFTER))
    assert [found.gross_j, found.idle_w, found.net_j] == pytest.approx([200, 5, 150])
    assert found.mean_w == pytest.approx(20)
    assert not found.why


@pytest.mark.parametrize("second", [22.0, 2.0])
def test_idle_is_the_quieter_of_before_and_after(second: float) -> None:
    """Where the clocks are still high it draws 40 W, else 5 W."""

    def draws(at: float) -> float:
        return 60 if 10 <= at < 20 else 40 if abs(at - second) < 5 else 5

    around = Window(0, 4 * SECOND), Window(21 * SECOND, 25 * SECOND)
    found = of(timeline({"gpu0.power_w": draws}), "nvml power", idle=around)
    assert found.idle_w == pytest.approx(5)
    assert found.net_j == pytest.approx(10 * (60 - 5), rel=0.02)


def test_idle_that_was_read_on_one_side_only_is_that() -> None:
    line = timeline({"gpu0.energy_j": burning})
    unread = Window(-SECOND, SECOND)
    assert of(line, "nvml counter", idle=(unread, AFTER)).idle_w == pytest.approx(5)
    assert of(line, "nvml counter", idle=(unread,)).idle_w is None


def test_power_is_integrated_by_trapezoids() -> None:
    found = of(timeline({"power.ina3221.VDD_IN_w": lambda second: second}), "ina3221")
    assert found.gross_j == pytest.approx((20**2 - 10**2) / 2)
    assert found.rails == "VDD_IN"
    assert (found.idle_w, found.net_j) == (None, None)


def test_rails_are_summed_only_where_none_feeds_the_whole_board() -> None:
    parts: dict[str, Sensor] = {
        f"power.ina3221.{name}_w": lambda _: 2.0 for name in ("VDD_GPU_SOC", "VDD_CPU_CV")
    }
    assert of(timeline(parts), "ina3221").gross_j == pytest.approx(40)
    whole: dict[str, Sensor] = {"power.ina3221.VDD_IN_w": lambda _: 7.0}
    assert of(timeline({**parts, **whole}), "ina3221").gross_j == pytest.approx(70)
    assert total_rails(["POM_5V_GPU", "POM_5V_IN"]) == ("POM_5V_IN",)


def test_two_gpus_are_summed() -> None:
    found = of(timeline({f"gpu{n}.energy_j": burning for n in (0, 1)}), "nvml counter")
    assert found.rails == "gpu0, gpu1"
    assert found.gross_j == pytest.approx(400)


def test_a_short_window_is_not_believed() -> None:
    short = Window(10 * SECOND, 14 * SECOND)
    line = timeline({"gpu0.energy_j": burning})
    found = told(energies(line, short, frames=1), "nvml counter")
    assert found.gross_j is None
    assert found.why == "the window of 4.0 s is shorter than 5 s"


def test_a_counter_that_is_seldom_renewed_is_not_believed() -> None:
    steps = timeline({"gpu0.energy_j": lambda second: burning(second // 1)})
    found = of(steps, "nvml counter")
    assert (found.gross_j, found.net_j) == (None, None)
    assert found.why == "the counter was renewed 11 times in the window, it needs 50"


@pytest.mark.parametrize("sensor", ["gpu0.energy_j", "energy.rapl.package-0_j"])
def test_a_counter_of_ten_updates_a_second_is_believed_after_as_long_as_a_scenario_lasts(
    sensor: str,
) -> None:
    # Now and then a step is read twice.
    line = timeline({sensor: lambda second: 3 * (second * 10 // 1)}, every_ns=97_000_000)
    run = Window(SECOND, round((1 + LONG_S) * SECOND))
    assert any(one.new for one in energies(line, run, frames=1))


def test_a_scenario_is_made_long_enough_for_its_energy_and_tells_it_net_of_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stylepress.benchmarks.machine.timeline.LEAST_S", 0.1)
    monkeypatch.setattr(
        "stylepress.benchmarks.machine.timeline.LEAST_HZ", 0.0
    )  # a busy machine reads late
    monkeypatch.setattr(scenarios, "LEAST_S", 0.1)
    monkeypatch.setattr(scenarios, "LONG_S", 0.12)
    monkeypatch.setattr(scenarios, "IDLE_S", 0.1)
    rests: list[Window] = []

    def counted(*args: Any, idle: tuple[Window, ...], **others: Any) -> tuple[Check, ...]:
        rests.extend(idle)
        return energies(*args, idle=idle, **others)

    monkeypatch.setattr(scenarios, "energies", counted)
    asked = Length(min_s=0.1, min_count=1)
    rule = WarmRule(min_s=0, min_count=1, window_s=1e-9, within=1e9, most_s=1)
    with Watch(root=write(tmp_path, JETSON), period_s=0.02) as watch:
        made = scenarios.play(
            lambda frame: time.sleep(0.01),
            lambda: None,
            camera(50),
            length=asked,
            rule=rule,
            watch=watch,
        )
    assert made.length.min_s == 0.12
    before, after = rests
    samples = made.samples
    assert before.end_ns < samples.start_ns < after.begin_ns
    found = told(made.energies, "ina3221")
    assert [found.mean_w, found.idle_w] == pytest.approx([10, 10])
    assert found.net_j == pytest.approx(0, abs=1e-6)


def test_power_that_is_read_too_seldom_is_not_believed() -> None:
    found = of(timeline({"power.ina3221.VDD_IN_w": lambda _: 7.0}, every_ns=5 * TENTH), "ina3221")
    assert found.gross_j is None
    assert "2.1 times a second, it needs 10" in str(found.why)


def test_a_counter_that_ends_inside_the_window_is_not_believed() -> None:
    line = timeline({"gpu0.energy_j": burning})
    cut = Timeline(line.samples[:190])
    assert "before and after" in str(of(cut, "nvml counter").why)


def test_every_source_that_is_missing_says_why() -> None:
    line = Timeline((), {"rapl": "/sys/x: Permission denied", "nvml": "no driver", "ina3221": "no"})
    found = energies(line, RUN, frames=1)
    assert [one.new for one in found] == [None] * 4
    assert {one.metric: one.note for one in found} == {
        f"{GROSS}, nvml counter": "no driver",
        f"{GROSS}, nvml power": "no driver",
        f"{GROSS}, ina3221": "no",
        f"{GROSS}, rapl": "/sys/x: Permission denied",
    }


def test_rapl_takes_packages_and_memory_and_survives_a_wrap(tmp_path: Path) -> None:
    probe = rapl_probe(Tree(write(tmp_path, DESKTOP)))
    assert probe() == {"energy.rapl.package-0_j": 0, "energy.rapl.package-0 dram_j": 0}
    write(tmp_path, {"sys/class/powercap/intel-rapl:0/energy_uj": "1000000"})
    assert probe()["energy.rapl.package-0_j"] == pytest.approx(1.328850)
    write(tmp_path, {"sys/class/powercap/intel-rapl:0/energy_uj": "3000000"})
    assert probe()["energy.rapl.package-0_j"] == pytest.approx(3.328850)


@settings(max_examples=25)
@given(st.lists(st.integers(0, 99), min_size=1, max_size=12))
def test_a_counter_that_wraps_adds_up_to_what_was_spent(
    tmp_path_factory: pytest.TempPathFactory, spent: list[int]
) -> None:
    root = tmp_path_factory.mktemp("rapl")
    zone = "sys/class/powercap/intel-rapl:0"
    write(root, {f"{zone}/name": "package-0", f"{zone}/max_energy_range_uj": "100"})
    write(root, {f"{zone}/energy_uj": "0"})
    probe, total = rapl_probe(Tree(root)), 0
    for joules in spent:
        total += joules
        write(root, {f"{zone}/energy_uj": str(total % 100)})
        value = probe()["energy.rapl.package-0_j"]
    assert value == pytest.approx(1e-6 * total)


def test_counters_that_may_not_be_read_are_an_error_with_the_file(tmp_path: Path) -> None:
    root = write(tmp_path, DESKTOP)
    (root / "sys/class/powercap/intel-rapl:0/energy_uj").unlink()
    with pytest.raises(OSError, match="energy_uj"):
        rapl_probe(Tree(root))
    with pytest.raises(LookupError, match="no intel-rapl package"):
        rapl_probe(Tree(write(tmp_path / "other", VIRTUAL)))


def test_the_power_monitor_multiplies_volts_and_amperes_of_rails_in_use(tmp_path: Path) -> None:
    assert ina3221_probe(Tree(write(tmp_path, JETSON)))() == {
        "power.ina3221.VDD_IN_w": pytest.approx(10),
        "power.ina3221.VDD_CPU_GPU_CV_w": pytest.approx(4),
    }
