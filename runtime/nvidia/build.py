"""Building a plan in a process of its own: a crash, a kill or too little memory is a sentence here."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

import stylepress
from stylepress.errors import BackendError, OutputError
from stylepress.progress import Progress, Silent
from stylepress.runtime.nvidia.adapter import build
from stylepress.runtime.nvidia.driver import ending
from stylepress.runtime.nvidia.order import BuildOrder, BuildReport
from stylepress.runtime.nvidia.package import load, require, title
from stylepress.runtime.nvidia.timing import TimingCache

TIMEOUT_S = 3600.0
KILLED = -9
ORDER, REPORT, PLAN, TIMING, REFUSED = "order.json", "report.json", "plan", "timing", "refused"
PHASE = "phase: "
OUT_OF_MEMORY = re.compile(
    r"out of memory|OutOfMemory|Could not find any implementation for node|"
    r"Requested amount of GPU memory|insufficient (?:workspace|memory)|bad_alloc",
    re.IGNORECASE,
)
"""What TensorRT says when memory ran out: the second of these names a node instead."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The bytes of a plan, and what its compiler said while it was built."""

    data: bytes
    report: BuildReport


def build_plan(
    order: BuildOrder,
    *,
    timing: TimingCache | None = None,
    timeout_s: float = TIMEOUT_S,
    progress: Progress | None = None,
) -> Plan:
    """Build a plan in a child process.

    ``timing`` is read before the build and replaced after it, whole or not at all.

    Raises:
        BackendError: the compiler is not installed, cannot build what is asked for, refuses the file,
            crashes, is killed, or runs out of memory or time.
    """
    require(order.package)
    name, progress = Path(order.onnx).name, progress or Silent()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        order.write(folder / ORDER)
        (folder / TIMING).write_bytes(timing.read() if timing else b"")
        code, last = _run(folder, timeout_s, progress)
        if code is None:
            raise BackendError(
                f"{title(order.package)} did not finish {name} within {timeout_s:.0f} s.",
                "Compile it on a faster machine, or with a smaller largest size.",
            )
        if (folder / REFUSED).exists():
            wrong, _, mend = (folder / REFUSED).read_text(encoding="utf-8").partition("\n")
            raise BackendError(wrong, mend)
        if code:
            raise _broken(order, code, last)
        report = BuildReport.read(folder / REPORT)
        if report.error:
            raise _refused(order, report)
        if timing is not None and (folder / f"{TIMING}.new").exists():
            try:
                timing.write((folder / f"{TIMING}.new").read_bytes())
            except OutputError as error:
                progress.warn(f"{error} The next build measures every kernel again.")
        return Plan((folder / PLAN).read_bytes(), report)


def _run(folder: Path, timeout_s: float, progress: Progress) -> tuple[int | None, str]:
    """Run the child; return its exit code (None when it was stopped) and its last line."""
    root = Path(stylepress.__file__).parent.parent  # where an uninstalled checkout is found
    command = [sys.executable, "-m", "stylepress.runtime.nvidia.build", str(folder)]
    stopped: list[bool] = []
    tail: deque[str] = deque(maxlen=1)
    with ExitStack() as stack:
        child = stack.enter_context(
            subprocess.Popen(
                command,
                cwd=root,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
        )
        stack.callback(child.kill)  # also when this process is interrupted

        def stop() -> None:
            stopped.append(True)
            child.kill()

        timer = Timer(timeout_s, stop)
        timer.start()
        stack.callback(timer.cancel)
        progress.start("Compiling", None)
        for line in child.stdout or ():
            if line.startswith(PHASE):
                progress.advance(note=line[len(PHASE) :].strip())
            elif line.strip():
                tail.append(line.strip())
        code = child.wait()
        progress.finish()
    return None if stopped else code, tail[0] if tail else ""


def _broken(order: BuildOrder, code: int, last: str) -> BackendError:
    name = Path(order.onnx).name
    if code == KILLED or OUT_OF_MEMORY.search(last):
        return _memory(order, f"it was ended by {ending(code)}")
    return BackendError(
        f"{title(order.package)} broke on {name} ({ending(code)}{': ' if last else ''}{last[:200]}).",
        "Another opset may get around it; report the file to NVIDIA.",
    )


def _refused(order: BuildOrder, report: BuildReport) -> BackendError:
    said = "\n".join([report.error, *(line for kind, line in report.log if "ERROR" in kind)])
    if excess := OUT_OF_MEMORY.search(said):
        return _memory(order, f"it said {excess[0]!r}")
    return BackendError(
        f"{title(order.package)} refuses {Path(order.onnx).name}: {report.error}.",
        "Leave that operation out of the network, or use another backend.",
    )


def _memory(order: BuildOrder, sign: str) -> BackendError:
    return BackendError(
        f"{title(order.package)} ran out of memory on {Path(order.onnx).name} ({sign}).",
        "Close other programs, add swap, or build for a smaller size.",
    )


def _build_here(folder: Path) -> None:
    """Do what ``order.json`` asks for; leave ``report.json`` and the plan beside it."""
    order = BuildOrder.read(folder / ORDER)
    trt = load(order.package)

    def notice(phase: str) -> None:
        sys.stdout.write(f"{PHASE}{phase}\n")
        sys.stdout.flush()

    try:
        plan, timing, report = build(trt, order, notice, (folder / TIMING).read_bytes())
    except BackendError as error:
        (folder / REFUSED).write_text(f"{error.wrong}\n{error.mend}", encoding="utf-8")
        return
    if plan is not None:
        (folder / PLAN).write_bytes(plan)
    if timing is not None:
        (folder / f"{TIMING}.new").write_bytes(timing)
    report.write(folder / REPORT)


if __name__ == "__main__":
    _build_here(Path(sys.argv[1]))
