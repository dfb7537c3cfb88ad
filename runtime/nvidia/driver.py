"""The NVIDIA driver and its first GPU, asked in a process of its own through libcuda alone.

Native libraries of NVIDIA may end the process where there is no driver (measured: the lean runtime
of TensorRT 11.4). So the driver is asked first, and each library is loaded first in a child.
"""

from __future__ import annotations

import ctypes
import functools
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import stylepress
from stylepress.errors import BackendError

LIBRARY = "libcuda.so.1"
PROBE_S = 60.0
MULTIPROCESSORS, MAJOR, MINOR, INTEGRATED = 16, 75, 76, 18
"""Numbers of CUdevice_attribute (cuda.h)."""
NAME_BYTES = 128
MEND = "Install the NVIDIA driver, or run on a machine with a GPU."


@dataclass(frozen=True, slots=True)
class Gpu:
    """The first GPU: what plans and timing caches belong to."""

    name: str
    compute_capability: str
    multiprocessors: int
    memory_bytes: int
    integrated: bool
    driver: int


def present(library: str = LIBRARY) -> bool:
    """Say whether there is a driver at all: nothing of it is called."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


@functools.cache  # an answer stays; what is raised is asked again
def probe(library: str = LIBRARY) -> Gpu:
    """Ask the driver for its first GPU, in a child process; where there is no driver, in none.

    Raises:
        BackendError: no driver, no GPU, or the driver crashed.
    """
    if not present(library):
        raise BackendError(f"There is no NVIDIA driver here ({library} cannot be loaded).", MEND)
    done = run_apart(["stylepress.runtime.nvidia.driver", library], PROBE_S)
    if done is None or done.returncode:
        how = "took too long" if done is None else f"ended with {ending(done.returncode)}"
        raise BackendError(f"Asking the NVIDIA driver {how}.", MEND)
    answer = json.loads(done.stdout.splitlines()[-1])
    if "error" in answer:
        raise BackendError(answer["error"], MEND)
    return Gpu(**answer)


@functools.cache
def first_load(package: str) -> str:
    """Import a package and make its runtime object in a child; return its version.

    Call ``probe`` before: this only contains the crash, it does not avert it.

    Raises:
        BackendError: the child crashed or could not import it.
    """
    code = "stylepress.runtime.nvidia.first_load"
    done = run_apart([code, package], PROBE_S)
    if done is not None and not done.returncode:
        return done.stdout.splitlines()[-1]
    how = "took too long" if done is None else f"ended with {ending(done.returncode)}"
    last = [] if done is None else [line for line in done.stderr.splitlines() if line.strip()][-1:]
    said = f": {last[0][:200]}" if last else ""
    raise BackendError(
        f"Loading {package} {how}{said}.", "Install the version that belongs to this driver."
    )


def run_apart(module: list[str], timeout_s: float) -> subprocess.CompletedProcess[str] | None:
    """Run ``python -m MODULE ARGUMENTS``; None when it did not end in time."""
    root = Path(stylepress.__file__).parent.parent  # where an uninstalled checkout is found
    try:
        return subprocess.run(
            [sys.executable, "-m", *module],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None


def ending(code: int) -> str:
    """Say how a process ended.

    >>> ending(-11), ending(1)
    ('signal 11', 'code 1')
    """
    return f"signal {-code}" if code < 0 else f"code {code}"


def _ask(library: str) -> dict[str, object]:
    try:
        cuda = ctypes.CDLL(library)
        ready = cuda.cuInit(0)
    except (OSError, AttributeError):
        return {"error": f"There is no NVIDIA driver here ({library} cannot be loaded)."}
    if ready:
        return {"error": f"The NVIDIA driver does not start (CUDA error {ready})."}
    count = ctypes.c_int()
    if cuda.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        return {"error": "The NVIDIA driver sees no GPU."}
    device, name = ctypes.c_int(), ctypes.create_string_buffer(NAME_BYTES)
    memory, driver = ctypes.c_size_t(), ctypes.c_int()
    codes = [
        cuda.cuDeviceGet(ctypes.byref(device), 0),
        cuda.cuDeviceGetName(name, NAME_BYTES, device),
        cuda.cuDeviceTotalMem_v2(ctypes.byref(memory), device),
        cuda.cuDriverGetVersion(ctypes.byref(driver)),
    ]
    facts = {}
    for key in (MULTIPROCESSORS, MAJOR, MINOR, INTEGRATED):
        value = ctypes.c_int()
        codes.append(cuda.cuDeviceGetAttribute(ctypes.byref(value), key, device))
        facts[key] = value.value
    if any(codes):
        return {"error": f"The NVIDIA driver does not describe its GPU (CUDA error {max(codes)})."}
    gpu = Gpu(
        name=name.value.decode("utf-8", "replace"),
        compute_capability=f"{facts[MAJOR]}.{facts[MINOR]}",
        multiprocessors=facts[MULTIPROCESSORS],
        memory_bytes=memory.value,
        integrated=bool(facts[INTEGRATED]),
        driver=driver.value,
    )
    return asdict(gpu)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_ask(sys.argv[1])) + "\n")
