"""A driver that keeps its memory in this process, and counts: nothing is on a GPU, nothing computed."""

# ruff: noqa: N802, N815  (the driver's own names)

from __future__ import annotations

import ctypes
from collections import Counter
from types import SimpleNamespace
from typing import Any


class Code(int):
    """A result of the driver, with its name."""

    name = "CUDA_SUCCESS"


class Failure(Code):
    """A result that is none."""

    name = "CUDA_ERROR_OUT_OF_MEMORY"


class FakeDriver:
    """The functions of ``cuda.bindings.driver`` that plans use.

    ``held`` is what was made and not let go of; ``counts`` how often a function was called;
    ``failing`` the functions that fail. ``threads`` saw a context made current.
    """

    CU_MEMHOSTALLOC_DEVICEMAP = 2
    CUstream_flags = SimpleNamespace(CU_STREAM_NON_BLOCKING=SimpleNamespace(value=1))
    CUstreamCaptureMode = SimpleNamespace(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL=1)

    def __init__(self, failing: tuple[str, ...] = ()) -> None:
        self.failing, self.counts = set(failing), Counter[str]()
        self.held: dict[int, Any] = {}
        self.recording: list[Any] | None = None
        self.graphs: dict[int, list[Any]] = {}
        self._next = 1000

    def __getattribute__(self, name: str) -> Any:
        function = object.__getattribute__(self, name)
        if not name.startswith("cu"):
            return function

        def counted(*arguments: Any) -> tuple[Any, ...]:
            self.counts[name] += 1
            if name in self.failing:
                if name == "cuStreamEndCapture":
                    self.recording = None
                return (Failure(2), *([None] if name == "cuStreamEndCapture" else []))
            value = function(*arguments)
            return (Code(0),) if value is None else (Code(0), value)

        return counted if callable(function) and name not in ("counts",) else function

    def do(self, work: Any) -> None:
        """Do a piece of work now, or put it into the graph that is recorded."""
        if self.recording is not None:
            self.recording.append(work)
        else:
            work()

    def _memory(self, size: int) -> int:
        block = (ctypes.c_ubyte * size)()
        self.held[ctypes.addressof(block)] = block
        return ctypes.addressof(block)

    def _handle(self, what: Any) -> int:
        self._next += 1
        self.held[self._next] = what
        return self._next

    def _release(self, handle: int) -> None:
        del self.held[handle]

    def cuInit(self, flags: int) -> None:
        """Start."""

    def cuDeviceGet(self, ordinal: int) -> int:
        """Return the first device."""
        return 0

    def cuDevicePrimaryCtxRetain(self, device: int) -> int:
        """Hold the primary context."""
        return self._handle("context")

    def cuDevicePrimaryCtxRelease(self, device: int) -> None:
        """Give it back."""
        self._release(next(key for key, what in self.held.items() if what == "context"))

    def cuCtxSetCurrent(self, context: int) -> None:
        """Make it current."""

    def cuStreamCreate(self, flags: int) -> int:
        """Return a stream."""
        return self._handle("stream")

    cuStreamDestroy = cuGraphDestroy = cuGraphExecDestroy = cuMemFree = cuMemFreeHost = _release

    def cuStreamSynchronize(self, stream: int) -> None:
        """Wait: everything was done at once."""

    def cuMemHostAlloc(self, size: int, flags: int) -> int:
        """Return pinned memory."""
        return self._memory(size)

    cuMemAlloc = _memory

    def cuMemHostGetDevicePointer(self, address: int, flags: int) -> int:
        """Return where the GPU sees it."""
        return address

    def cuMemcpyHtoDAsync(self, to: int, start: int, size: int, stream: int) -> None:
        """Copy."""
        self.do(lambda: ctypes.memmove(to, start, size))

    cuMemcpyDtoHAsync = cuMemcpyHtoDAsync

    def cuStreamBeginCapture(self, stream: int, mode: int) -> None:
        """Record from now on."""
        self.recording = []

    def cuStreamEndCapture(self, stream: int) -> int:
        """Return the recorded graph."""
        graph = self._handle("graph")
        self.graphs[graph], self.recording = self.recording or [], None
        return graph

    def cuGraphInstantiate(self, graph: int, flags: int) -> int:
        """Return what can be launched."""
        ready = self._handle("ready graph")
        self.graphs[ready] = self.graphs[graph]
        return ready

    def cuGraphLaunch(self, ready: int, stream: int) -> None:
        """Do what was recorded."""
        for work in self.graphs[ready]:
            work()
