"""A real NVIDIA GPU, read by the sampler's own process: `pytest -m gpu` where there is one."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest

from stylepress.benchmarks.machine.record import Machine, record_machine
from stylepress.benchmarks.machine.timeline import Timeline, Window, energies
from stylepress.benchmarks.machine.watch import Watch, judge
from stylepress.targets.gpus import Gpus, open_gpus

pytestmark = pytest.mark.gpu
WATCHED_S = 8.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What the sampler read of the GPUs in some seconds, and what they say they are."""

    machine: Machine
    timeline: Timeline
    window: Window


@pytest.fixture(scope="module")
def gpus() -> Gpus:
    try:
        return open_gpus()
    except LookupError as error:
        pytest.skip(f"there is no NVIDIA GPU to read: {error}")


@pytest.fixture(scope="module")
def seen(gpus: Gpus) -> Seen:
    machine = record_machine({}, gpus=lambda: gpus)
    with Watch() as watch:
        begin_ns = time.perf_counter_ns()
        time.sleep(WATCHED_S)
        window = Window(begin_ns, time.perf_counter_ns())
        watch.settle()
        return Seen(machine, watch.timeline(), window)


def test_a_real_gpu_is_recorded_by_name_memory_and_driver(seen: Seen) -> None:
    assert seen.machine.gpus
    for gpu in seen.machine.gpus:
        assert gpu["name"]
        assert gpu["driver"]
        assert gpu["memory_mib"] is None or int(gpu["memory_mib"]) > 0
        assert gpu["uuid_sha256"] is None or len(str(gpu["uuid_sha256"])) == 16
    assert Machine.model_validate_json(seen.machine.model_dump_json()) == seen.machine


def test_the_sampler_reads_a_real_gpu_ten_times_a_second(seen: Seen) -> None:
    assert "nvml" not in seen.timeline.missing
    for number, _ in enumerate(seen.machine.gpus or ()):
        read = {
            name.partition(".")[2]: [value for _, value in seen.timeline.series(name, seen.window)]
            for name in seen.timeline.names(f"gpu{number}.")
        }
        assert {"temperature_c", "sm_mhz"} <= set(read)
        read.pop("foreign_load", None)  # told only from when somebody used the GPU
        assert all(len(values) > 0.8 * 10 * WATCHED_S for values in read.values())
        assert all(0 < one < 130 for one in read["temperature_c"])
        assert all(one >= 0 for values in read.values() for one in values)
        assert all(one == int(one) for one in read.get("clock_events", []))


def test_a_real_gpu_at_rest_is_judged_by_what_it_said(seen: Seen) -> None:
    found = judge(seen.timeline, seen.window)
    assert found.samples > 0
    assert not {"nvml", "sampler"} & set(found.missing)


def test_the_energy_of_a_real_gpu_is_told_and_below_its_limit(seen: Seen) -> None:
    told = [one for one in energies(seen.timeline, seen.window, frames=1) if "nvml" in one.metric]
    known = [one.new for one in told if one.metric.startswith("mean power") and one.new is not None]
    assert known, [one.note for one in told]
    limits = [float(gpu["power_limit_w"] or 0) for gpu in seen.machine.gpus or ()]
    most = sum(limit for limit in limits if limit) or float("inf")
    assert all(0 < one < 1.2 * most for one in known)


def test_a_real_counter_is_believed_or_tells_how_seldom_it_is_renewed(seen: Seen) -> None:
    if not seen.timeline.series("gpu0.energy_j"):
        pytest.skip("this GPU counts no energy")
    counter = energies(seen.timeline, seen.window, frames=1)[0]
    assert counter.new is not None or "renewed" in counter.note
