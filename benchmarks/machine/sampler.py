"""``python -m stylepress.benchmarks.machine.sampler JSON``: read all sensors at a steady rate.

A process of its own, so that it neither waits for the interpreter of what is measured nor makes it
wait. It writes one JSON object a line into the file named, first what it watches, then the values,
and ends when its standard input does: it cannot outlive the process that started it.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from pathlib import Path

from stylepress.benchmarks.machine.sensors import find_sensors
from stylepress.targets.files import Tree

READY = "ready\n"


def main(asked: str) -> int:
    """Sample until standard input ends; ``asked`` is JSON with pid, out, period_s and root."""
    options = json.loads(asked)
    period_ns = round(1e9 * options["period_s"])
    sensors = find_sensors(Tree(Path(options["root"])), options["pid"])
    with Path(options["out"]).open("w", encoding="utf-8", buffering=1) as out:
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
    while (left := when_ns - time.perf_counter_ns()) > 0:
        ready, _, _ = select.select([sys.stdin], [], [], left / 1e9)
        if ready and not os.read(sys.stdin.fileno(), 1):
            return True
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
