"""The NVIDIA driver as plans use it: primary context, streams, memory, captured graphs.

The only file that imports cuda-bindings, NVIDIA's own package: it has wheels for x86-64 and aarch64,
Python 3.10 on, where pycuda must be compiled on the device. Importing it loads no driver.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from cuda.bindings import driver  # type: ignore[import-untyped]

from stylepress.errors import BackendError
from stylepress.runtime.feeds import Array

OUT_OF_MEMORY = "CUDA_ERROR_OUT_OF_MEMORY"


@dataclass(frozen=True, slots=True)
class Buffer:
    """Memory that both sides reach: pinned bytes here, and their place or their copy on the GPU.

    ``mapped`` is memory that the GPU reads in place, so nothing is copied.
    """

    host: Array
    host_address: int
    device: int
    mapped: bool


class Cuda:
    """The primary context of the first GPU, which all libraries of this process share.

    Each thread calls ``enter`` before anything else. ``api`` is the driver, a fake in tests.
    """

    def __init__(self, api: Any = driver) -> None:
        self._api = api
        self._call("cuInit", 0)
        self._device = self._call("cuDeviceGet", 0)
        self._context = self._call("cuDevicePrimaryCtxRetain", self._device)

    def enter(self) -> None:
        """Make the context that of the calling thread."""
        self._call("cuCtxSetCurrent", self._context)

    def close(self) -> None:
        """Give the context back; it ends with its last user."""
        self._call("cuDevicePrimaryCtxRelease", self._device)

    def stream(self) -> Any:
        """Return a new stream that waits for no other one."""
        return self._call("cuStreamCreate", self._api.CUstream_flags.CU_STREAM_NON_BLOCKING.value)

    def end_stream(self, stream: Any) -> None:
        """Let go of a stream."""
        self._call("cuStreamDestroy", stream)

    def wait(self, stream: Any) -> None:
        """Return when everything on a stream is done."""
        self._call("cuStreamSynchronize", stream)

    def buffer(self, size: int, *, mapped: bool) -> Buffer:
        """Return ``size`` bytes; ``mapped`` where GPU and processor share their memory.

        Raises:
            BackendError: there is not so much memory.
        """
        flag = self._api.CU_MEMHOSTALLOC_DEVICEMAP if mapped else 0
        address = int(self._call("cuMemHostAlloc", size, flag))
        try:
            if mapped:
                device = int(self._call("cuMemHostGetDevicePointer", address, 0))
            else:
                device = int(self._call("cuMemAlloc", size))
        except BackendError:
            self._call("cuMemFreeHost", address)
            raise
        host = np.ctypeslib.as_array((ctypes.c_ubyte * size).from_address(address))
        return Buffer(host, address, device, mapped)

    def free(self, buffer: Buffer) -> None:
        """Let go of a buffer; nothing on any stream uses it any more."""
        if not buffer.mapped:
            self._call("cuMemFree", buffer.device)
        self._call("cuMemFreeHost", buffer.host_address)

    def upload(self, buffer: Buffer, size: int, stream: Any) -> None:
        """Copy the first ``size`` bytes to the GPU, where that is another memory."""
        if not buffer.mapped:
            self._call("cuMemcpyHtoDAsync", buffer.device, buffer.host_address, size, stream)

    def download(self, buffer: Buffer, size: int, stream: Any) -> None:
        """Copy the first ``size`` bytes back, where that is another memory."""
        if not buffer.mapped:
            self._call("cuMemcpyDtoHAsync", buffer.host_address, buffer.device, size, stream)

    def capture(self, work: Callable[[], None], stream: Any) -> Any:
        """Record what ``work`` puts on a stream; return the graph that does it again.

        Raises:
            BackendError: something in it cannot be captured. Nothing of it is left.
        """
        # Other threads may allocate meanwhile: only this one is watched.
        mode = self._api.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        self._call("cuStreamBeginCapture", stream, mode)
        try:
            work()
        except BackendError:
            _, *graphs = self._api.cuStreamEndCapture(stream)  # broken: it may hold a graph or none
            if graphs and int(graphs[0] or 0):
                self._api.cuGraphDestroy(graphs[0])
            raise
        graph = self._call("cuStreamEndCapture", stream)
        try:
            return self._call("cuGraphInstantiate", graph, 0)
        finally:
            self._call("cuGraphDestroy", graph)

    def launch(self, captured: Any, stream: Any) -> None:
        """Put a captured graph on a stream."""
        self._call("cuGraphLaunch", captured, stream)

    def end_capture(self, captured: Any) -> None:
        """Let go of a captured graph."""
        self._call("cuGraphExecDestroy", captured)

    def _call(self, name: str, *arguments: Any) -> Any:
        try:
            result, *values = getattr(self._api, name)(*arguments)
        except RuntimeError as error:  # its loader, where there is no driver
            raise BackendError(
                f"The NVIDIA driver has no {name} ({error}).", "Install a newer driver."
            ) from error
        if int(result):
            said = getattr(result, "name", str(result))
            mend = (
                "Close other programs, or use fewer lanes or smaller frames."
                if said == OUT_OF_MEMORY
                else "Run `stylepress doctor`; close the program and start it again."
            )
            raise BackendError(f"The NVIDIA driver refused {name} ({said}).", mend)
        return values[0] if values else None
