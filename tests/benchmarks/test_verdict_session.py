"""Pairs are run in fresh processes that end when they should; a spoiled pair is run again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

import pytest

from stylepress.benchmarks.quality.photos import Photo
from stylepress.benchmarks.timing.worker import (
    Request,
    RunError,
    fresh,
    peak_bytes,
)
from stylepress.benchmarks.verdict.comparison import DuelOptions
from stylepress.benchmarks.verdict.session import Arms, Session, frames_file
from stylepress.errors import BackendError
from stylepress.progress import Silent
from tests.benchmarks.duels import BUSY, TINY, Machine, alone

ENVIRON = {**os.environ, "OMP_NUM_THREADS": "1"}


def request(
    style: Mapping[str, Path], photos: Sequence[Photo], work: Path, backend: str
) -> Request:
    return Request(
        bundle=str(style["bundle"]), backend=backend, frames=str(frames_file(photos, work)),
        threads=1, warm_s=0, min_s=0, min_count=3,
    )  # fmt: skip


def test_a_fresh_process_measures_loads_and_tells_its_memory(
    style: Mapping[str, Path], photos: Sequence[Photo], tmp_path: Path
) -> None:
    asked = replace(request(style, photos, tmp_path, "onnxruntime"), turns=2)
    answer, other = fresh([asked, replace(asked, min_count=5)], ENVIRON)
    assert (len(answer.samples_ns), answer.turns, other.turns) == (4, (2, 2), (3, 3))
    assert other.opened > answer.first, "one works at a time"
    assert answer.ended > other.ended, "A, B, then B, A"
    assert min(*answer.samples_ns, answer.load_ns, answer.first_call_ns) > 0
    assert answer.engine["backend"] == "onnxruntime"
    # A process of its own: without torch it needs a fraction of what this one does.
    if answer.peak_rss_bytes is not None:
        assert answer.peak_rss_bytes < (peak_bytes() or 0)


def test_what_an_arm_refuses_is_told_as_it_said_it(
    style: Mapping[str, Path], photos: Sequence[Photo], tmp_path: Path
) -> None:
    with pytest.raises(BackendError, match="no backend 'nothing'"):
        fresh([request(style, photos, tmp_path, "nothing")], ENVIRON)


def test_an_arm_warms_up_as_asked(
    style: Mapping[str, Path], photos: Sequence[Photo], tmp_path: Path
) -> None:
    asked = replace(request(style, photos, tmp_path, "null"), warm_s=0.05, turns=3)
    answer = alone(asked)
    assert answer.ended - answer.first > 5e7
    assert answer.turns == (1, 1, 1)


def test_an_arm_that_dies_is_no_regression(
    style: Mapping[str, Path], photos: Sequence[Photo], tmp_path: Path
) -> None:
    asked = replace(request(style, photos, tmp_path, "null"), frames=str(tmp_path / "gone.npy"))
    with pytest.raises(RunError, match=r"FileNotFoundError|gone\.npy") as died:
        fresh([asked], ENVIRON)
    assert died.value.exit_code == 2


def test_an_arm_ends_when_the_one_who_asked_is_gone(
    style: Mapping[str, Path], photos: Sequence[Photo], tmp_path: Path
) -> None:
    endless = replace(request(style, photos, tmp_path, "null"), min_s=1e6)
    worker = "stylepress.benchmarks.timing.worker"
    command = [sys.executable, "-m", worker, str(tmp_path / "answer.json")]
    arm = subprocess.Popen(command, stdin=subprocess.PIPE, env=ENVIRON, start_new_session=True)
    assert arm.stdin is not None
    arm.stdin.write((json.dumps(asdict(endless)) + 9 * "\n").encode())
    arm.stdin.close()
    assert arm.wait(timeout=120) != 0


ASKS = """
import os, signal, sys
from pathlib import Path
from stylepress.benchmarks.timing.worker import Request, fresh
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background has none
print("asking", flush=True)
try:
    fresh([Request(sys.argv[1], "null", frames=sys.argv[2], threads=1, min_s=1e6)], os.environ)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="children are found in /proc")
def test_an_interrupt_ends_the_arm_and_leaves_nothing_behind(
    style: Mapping[str, Path], photos: Sequence[Photo], tmp_path: Path
) -> None:
    frames = str(frames_file(photos, tmp_path))
    parent = subprocess.Popen(
        [sys.executable, "-c", ASKS, str(style["bundle"]), frames],
        stdout=subprocess.PIPE, text=True, env=ENVIRON,
    )  # fmt: skip
    assert parent.stdout is not None
    try:
        assert parent.stdout.readline() == "asking\n"
        children: list[int] = []
        while not children:
            children = arms_of(parent.pid)
            time.sleep(0.02)
        parent.send_signal(signal.SIGINT)
        assert parent.communicate(timeout=120)[0] == "interrupted\n"
    finally:
        parent.kill()
    while any(Path(f"/proc/{child}").exists() for child in children):
        time.sleep(0.02)  # interrupted at its birth, an arm ends by itself when its stdin does


def arms_of(parent: int) -> list[int]:
    found = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii")
    return [int(child) for child in found.split()]


def session(spoils: int, kind: Literal["foreign load", "throttled"] = "throttled") -> Session:
    """A session on a machine that spoils its first pairs."""
    machine = Machine(spoils=lambda _, number: number < spoils, kind=kind)
    asked = DuelOptions(plan=TINY, threads=1, environ=ENVIRON)
    return Session(asked, progress=Silent(), watch=machine, ask=machine.ask)


def arms(style: Mapping[str, Path], work: Path, photos: Sequence[Photo]) -> Arms:
    return Arms(style["bundle"], style["bundle"], "null", frames_file(photos, work))


def test_a_spoiled_pair_is_kept_does_not_count_and_is_measured_again(
    style: Mapping[str, Path], photos: Sequence[Photo], tmp_path: Path
) -> None:
    made = session(spoils=1)
    counted = made.measure("first", arms(style, tmp_path, photos), 2)
    assert (len(counted), len(made.runs)) == (4, 6)
    assert [run.invalid for run in made.runs if run.invalid] == [(BUSY.format(9),)] * 2


def test_a_backend_that_the_machine_spoils_each_time_is_given_up(
    style: Mapping[str, Path], photos: Sequence[Photo], tmp_path: Path
) -> None:
    made = session(spoils=99)
    assert made.measure("first", arms(style, tmp_path, photos), 2) == []
    assert made.given_up == {"null": f"one pair was spoiled 3 times ({BUSY.format(9)})"}
    assert made.measure("confirmation", arms(style, tmp_path, photos), 2) == []
    assert len(made.runs) == 10


def test_others_who_never_leave_spoil_nothing_once_nobody_waits_for_them(
    style: Mapping[str, Path], photos: Sequence[Photo], tmp_path: Path
) -> None:
    made = session(spoils=99, kind="foreign load")
    assert len(made.measure("first", arms(style, tmp_path, photos), 2)) == 4
    assert [run.disturbed for run in made.runs] == [(BUSY.format(9),)] * 4
