"""One lane of a plan: an execution context with its stream, its memory, and the thread that owns them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from math import prod
from typing import Any, Protocol, TypeVar

import numpy as np

from stylepress.errors import BackendError
from stylepress.runtime.feeds import Array, Results
from stylepress.runtime.nvidia.order import Shape
from stylepress.runtime.nvidia.tensors import PlanTensor, Tensors

Result = TypeVar("Result")


class Driver(Protocol):
    """What a lane asks of the driver; ``cuda.Cuda`` is one."""

    def enter(self) -> None: ...
    def stream(self) -> Any: ...
    def end_stream(self, stream: Any) -> None: ...
    def wait(self, stream: Any) -> None: ...
    def buffer(self, size: int, *, mapped: bool) -> Any: ...
    def free(self, buffer: Any) -> None: ...
    def upload(self, buffer: Any, size: int, stream: Any) -> None: ...
    def download(self, buffer: Any, size: int, stream: Any) -> None: ...
    def capture(self, work: Callable[[], None], stream: Any) -> Any: ...
    def launch(self, captured: Any, stream: Any) -> None: ...
    def end_capture(self, captured: Any) -> None: ...


class Owner:
    """A thread in which everything of one lane happens: contexts are not safe in two."""

    def __init__(self, driver: Driver) -> None:
        self._pool = ThreadPoolExecutor(1, "plan")
        try:
            self.do(driver.enter)
        except BaseException:
            self.end()
            raise

    def do(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """Run ``work`` in the thread and return what it returns."""
        return self._pool.submit(work, *arguments).result()

    def end(self) -> None:
        """End the thread."""
        self._pool.shutdown()


class Lane:
    """A context that runs one call at a time, in the thread that made this lane.

    The first call at a shape runs plainly; the second is captured as a CUDA graph with its copies,
    and the following ones replay that. Where capturing fails, calls stay plain.
    """

    def __init__(
        self, driver: Driver, tensors: Tensors, *, mapped: bool, captures: bool = True
    ) -> None:
        self._driver, self._tensors, self._mapped = driver, tensors, mapped
        self._listed = {tensor.name: tensor for tensor in tensors.every()}
        self.captures = captures
        self._stream = driver.stream()
        self._buffers: dict[str, Any] = {}
        self._shapes: dict[str, Shape] = {}
        self._runs = 0
        self._captured: Any = None

    def run(self, arrays: Mapping[str, Array], out: Mapping[str, Array]) -> Results:
        """Run the plan on arrays by input name; write into ``out`` where it names an output.

        Raises:
            BackendError: a shape is outside the profile of the plan, or TensorRT or the driver failed.
        """
        shapes = {name: array.shape for name, array in arrays.items()}
        if any(self._shapes.get(name) != shape for name, shape in shapes.items()):
            self._reshape(shapes)
        for name, array in arrays.items():
            np.copyto(self._view(self._listed[name]), array)
        try:
            self._work()
            self._driver.wait(self._stream)
        except BackendError:
            self._forget()
            raise
        self._runs += 1
        results: Results = {}
        for tensor in self._listed.values():
            if not tensor.is_input:
                view = self._view(tensor)
                results[tensor.name] = out.get(tensor.name, np.empty(0))
                if tensor.name in out:
                    np.copyto(out[tensor.name], view)
                else:
                    results[tensor.name] = view.copy()
        return results

    def largest(self, name: str) -> Shape:
        """Return the largest shape that the plan takes of an input."""
        return self._listed[name].largest

    def close(self) -> None:
        """Let go of graph, memory and stream."""
        self._forget()
        for buffer in self._buffers.values():
            self._driver.free(buffer)
        self._buffers.clear()
        self._driver.end_stream(self._stream)
        del self._tensors  # and with it the execution context, in its own thread

    def _work(self) -> None:
        if self._captured is None and self._runs == 1 and self.captures:
            try:
                self._captured = self._driver.capture(self._plain, self._stream)
            except BackendError:  # a plan with loops, or one that allocates: it runs without
                self.captures = False
        if self._captured is not None:
            self._driver.launch(self._captured, self._stream)
        else:
            self._plain()

    def _plain(self) -> None:
        """Put the copies and the run on the stream."""
        for tensor in self._inputs():
            self._driver.upload(self._buffers[tensor.name], self._size(tensor), self._stream)
        if not self._tensors.enqueue(int(self._stream)):
            raise BackendError(
                "TensorRT did not take a frame.", "Build the plan again: `stylepress install`."
            )
        for tensor in self._listed.values():
            if not tensor.is_input:
                self._driver.download(self._buffers[tensor.name], self._size(tensor), self._stream)

    def _reshape(self, shapes: Mapping[str, Shape]) -> None:
        """Take other shapes: memory grows where it must, and a captured graph is dropped."""
        self._forget()
        self._shapes.clear()
        for tensor in self._inputs():
            if not self._tensors.set_shape(tensor.name, shapes[tensor.name]):
                raise BackendError(
                    f"The plan takes {tensor.name} up to {tensor.largest}, and this one is "
                    f"{shapes[tensor.name]}.",
                    "Build it for that size: `stylepress install BUNDLE --size WIDTHxHEIGHT`.",
                )
        if lacking := self._tensors.lacking():
            raise BackendError(
                f"The plan wants shapes that nobody gave ({', '.join(lacking)}).",
                "Build it again with `stylepress install`.",
            )
        known = dict(shapes)
        for tensor in self._listed.values():
            known.setdefault(tensor.name, self._tensors.shape(tensor.name))
            self._keep_place(tensor, known[tensor.name])
        self._shapes = known

    def _keep_place(self, tensor: PlanTensor, shape: Shape) -> None:
        size = max(1, prod(shape) * np.dtype(tensor.dtype).itemsize)
        buffer = self._buffers.get(tensor.name)
        if buffer is None or buffer.host.size < size:
            if buffer is not None:
                self._driver.free(self._buffers.pop(tensor.name))
            buffer = self._buffers[tensor.name] = self._driver.buffer(size, mapped=self._mapped)
        if not self._tensors.place(tensor.name, buffer.device):
            raise BackendError(
                f"TensorRT refuses the memory of {tensor.name}.",
                "Build the plan again: `stylepress install`.",
            )

    def _forget(self) -> None:
        if self._captured is not None:
            self._driver.end_capture(self._captured)
        self._captured, self._runs = None, 0

    def _inputs(self) -> list[PlanTensor]:
        return [tensor for tensor in self._listed.values() if tensor.is_input]

    def _size(self, tensor: PlanTensor) -> int:
        return prod(self._shapes[tensor.name]) * np.dtype(tensor.dtype).itemsize

    def _view(self, tensor: PlanTensor) -> Array:
        data = self._buffers[tensor.name].host[: self._size(tensor)]
        view: Array = data.view(tensor.dtype).reshape(self._shapes[tensor.name])
        return view
