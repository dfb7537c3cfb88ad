"""``python -m stylepress.benchmarks.machine.sampler``: read all sensors at a steady rate.

A process of its own, so that it neither waits for the interpreter of what is measured nor makes it
wait. It writes one JSON object a line into the file named, first what it watches, then the values,
and ends when its standard input does: it cannot outlive the process that started it.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from stylepress.benchmarks.machine.files import Tree
from stylepress.benchmarks.machine.sensors import find_sensors

READY = "ready\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Sample until standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m stylepress.benchmarks.machine.sampler")
    parser.add_argument("--pid", type=int, required=True, help="whose processes are our own")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--period", type=float, default=0.1, help="seconds")
    parser.add_argument("--root", type=Path, default=Path("/"))
    options = parser.parse_args(arguments)
    period_ns = round(1e9 * options.period)
    sensors = find_sensors(Tree(options.root), options.pid, apart=os.getpid())
    with options.out.open("w", encoding="utf-8", buffering=1) as out:
        watched = {"watched": sorted(sensors.probes), "missing": sensors.missing}
        out.write(json.dumps(watched) + "\n")
        due, ready = time.perf_counter_ns(), False
        while True:
            began = time.perf_counter_ns()
            values = {**sensors.read(), "sampler.cpu_s": time.process_time()}
            ended = time.perf_counter_ns()
            # Values are of the middle of the reading, which a busy machine may stretch.
            out.write(json.dumps([(began + ended) // 2, values]) + "\n")
            if not ready:
                sys.stdout.write(READY)
                sys.stdout.flush()
                ready = True
            due = max(due + period_ns, ended)
            if _ended_until(due):
                return 0


def _ended_until(when_ns: int) -> bool:
    """Wait, and say whether standard input ended meanwhile."""
    while (left := when_ns - time.perf_counter_ns()) > 0:
        ready, _, _ = select.select([sys.stdin], [], [], left / 1e9)
        if ready and not os.read(sys.stdin.fileno(), 1):
            return True
    return False


if __name__ == "__main__":
    sys.exit(main())
