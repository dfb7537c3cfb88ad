"""The tensors of a plan in an execution context: by name since TensorRT 8.5, by number before.

Two classes with the same verbs; what both need is called directly, and nothing here is guessed by
version: ``tensors_of`` looks for ``execute_async_v3``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from stylepress.runtime.nvidia.order import Shape

DTYPES: Mapping[str, str] = {
    "FLOAT": "float32",
    "HALF": "float16",
    "INT8": "int8",
    "INT32": "int32",
    "INT64": "int64",
    "UINT8": "uint8",
    "BOOL": "bool",
}
"""numpy's names of the types of tensors, by TensorRT's names."""


@dataclass(frozen=True, slots=True)
class PlanTensor:
    """An input or output of a plan; ``largest`` is the largest shape that an input may have."""

    name: str
    is_input: bool
    dtype: str
    largest: Shape = ()


class Tensors(Protocol):
    """What a context is told before it runs, and what it tells."""

    def every(self) -> tuple[PlanTensor, ...]:
        """Return the inputs and outputs of the plan."""

    def set_shape(self, name: str, shape: Shape) -> bool:
        """Give an input its shape; false where the profile does not hold it."""

    def lacking(self) -> list[str]:
        """Return the inputs whose shape is still needed."""

    def shape(self, name: str) -> Shape:
        """Return the shape of an output, once all inputs have theirs."""

    def place(self, name: str, address: int) -> bool:
        """Say where on the GPU a tensor lies."""

    def enqueue(self, stream: int) -> bool:
        """Put one run on a stream."""


def tensors_of(engine: Any, context: Any) -> Tensors:
    """Return the way to the tensors that this version has."""
    if hasattr(context, "execute_async_v3"):
        return NamedTensors(engine, context)
    return NumberedTensors(engine, context)


class NamedTensors:
    """TensorRT 8.5 and later, and TensorRT for RTX."""

    def __init__(self, engine: Any, context: Any) -> None:
        self._engine, self._context = engine, context

    def every(self) -> tuple[PlanTensor, ...]:
        """Return the inputs and outputs of the plan."""
        engine, tensors = self._engine, []
        for index in range(engine.num_io_tensors):
            name = engine.get_tensor_name(index)
            is_input = engine.get_tensor_mode(name).name == "INPUT"
            dtype = _dtype(engine.get_tensor_dtype(name))
            largest = tuple(engine.get_tensor_profile_shape(name, 0)[2]) if is_input else ()
            tensors.append(PlanTensor(name, is_input, dtype, largest))
        return tuple(tensors)

    def set_shape(self, name: str, shape: Shape) -> bool:
        """Give an input its shape."""
        return bool(self._context.set_input_shape(name, shape))

    def lacking(self) -> list[str]:
        """Return the inputs whose shape or address is still needed."""
        return [str(name) for name in self._context.infer_shapes()]

    def shape(self, name: str) -> Shape:
        """Return the shape of an output."""
        return tuple(self._context.get_tensor_shape(name))

    def place(self, name: str, address: int) -> bool:
        """Say where on the GPU a tensor lies."""
        return bool(self._context.set_tensor_address(name, address))

    def enqueue(self, stream: int) -> bool:
        """Put one run on a stream."""
        return bool(self._context.execute_async_v3(stream))


class NumberedTensors:
    """TensorRT 8.4: bindings in the order of their numbers."""

    def __init__(self, engine: Any, context: Any) -> None:
        self._engine, self._context = engine, context
        self._numbers = {
            str(engine.get_binding_name(index)): index for index in range(engine.num_bindings)
        }
        self._addresses = [0] * len(self._numbers)

    def every(self) -> tuple[PlanTensor, ...]:
        """Return the inputs and outputs of the plan."""
        engine, tensors = self._engine, []
        for name, index in self._numbers.items():
            is_input = bool(engine.binding_is_input(index))
            dtype = _dtype(engine.get_binding_dtype(index))
            largest = tuple(engine.get_profile_shape(0, index)[2]) if is_input else ()
            tensors.append(PlanTensor(name, is_input, dtype, largest))
        return tuple(tensors)

    def set_shape(self, name: str, shape: Shape) -> bool:
        """Give an input its shape."""
        return bool(self._context.set_binding_shape(self._numbers[name], shape))

    def lacking(self) -> list[str]:
        """Return a text where a shape is still needed: it does not say which."""
        return [] if self._context.all_binding_shapes_specified else ["an input"]

    def shape(self, name: str) -> Shape:
        """Return the shape of an output."""
        return tuple(self._context.get_binding_shape(self._numbers[name]))

    def place(self, name: str, address: int) -> bool:
        """Say where on the GPU a tensor lies."""
        self._addresses[self._numbers[name]] = address
        return True

    def enqueue(self, stream: int) -> bool:
        """Put one run on a stream."""
        return bool(self._context.execute_async_v2(self._addresses, stream))


def _dtype(dtype: Any) -> str:
    return DTYPES.get(dtype.name, dtype.name)
