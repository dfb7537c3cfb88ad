"""Bodies of the protocol: JSON with tensors beside it as raw bytes, checked before anything is made."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stylepress.errors import FrameError

Array = NDArray[Any]
DTYPES: Mapping[str, str] = {
    "BOOL": "bool", "UINT8": "uint8", "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64",
    "INT8": "int8", "INT16": "int16", "INT32": "int32", "INT64": "int64", "FP16": "float16",
    "FP32": "float32", "FP64": "float64",
}  # fmt: skip
NAMES: Mapping[str, str] = {dtype: name for name, dtype in DTYPES.items()}
JSON_LIMIT = 4 << 20
MOST_TENSORS = 16
MOST_DIMS = 8
RESERVED = frozenset(
    ("sequence_id", "sequence_start", "sequence_end", "priority", "headers", "binary_data_output")
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it was sent: arrays by name, wanted outputs with whether binary, parameters."""

    id: str | None
    inputs: Mapping[str, Array]
    outputs: tuple[tuple[str, bool], ...]
    all_binary: bool
    parameters: Mapping[str, Any]


def parse(body: bytearray, header_length: int | None) -> Asked:
    """Read a body; ``header_length`` is where its JSON ends, None when it is JSON altogether.

    Raises:
        FrameError: anything about it is wrong; the message repeats no more than names.
    """
    end = len(body) if header_length is None else header_length
    if not 0 < end <= len(body):
        raise FrameError(
            f"The header is said to have {end} bytes, the body has {len(body)}.",
            "Send the JSON first, then the tensors.",
        )
    if end > JSON_LIMIT:
        raise FrameError(
            f"The JSON has {end} bytes, {JSON_LIMIT} are allowed.", "Send tensors as binary data."
        )
    header = _json(bytes(memoryview(body)[:end]))
    parameters = _mapping(header.get("parameters", {}), "parameters")
    inputs = _inputs(_sequence(header.get("inputs"), "inputs"), body, end)
    outputs = _outputs(_sequence(header.get("outputs", []), "outputs"))
    name = header.get("id")
    if name is not None and (not isinstance(name, str) or len(name) > 256):
        raise FrameError("The id is no text of at most 256 letters.", "Shorten it.")
    all_binary = parameters.get("binary_data_output") is True
    return Asked(name or None, inputs, outputs, all_binary, parameters)


def respond(
    model: str, results: Mapping[str, Array], asked: Asked
) -> tuple[bytes, list[memoryview], int | None]:
    """Return the JSON, the tensors behind it, and the JSON's length if there are any.

    Raises:
        FrameError: an output that the model does not have was asked for.
    """
    wanted = asked.outputs or tuple((name, asked.all_binary) for name in results)
    described, tensors = [], []
    for name, binary in wanted:
        if name not in results:
            raise FrameError(f"There is no output {name!r}.", f"Ask for {', '.join(results)}.")
        array = np.ascontiguousarray(results[name])
        entry: dict[str, Any] = {
            "name": name, "datatype": NAMES[str(array.dtype)], "shape": list(array.shape),
        }  # fmt: skip
        if binary:
            entry["parameters"] = {"binary_data_size": array.nbytes}
            tensors.append(array.data.cast("B"))
        else:
            entry["data"] = array.ravel().tolist()
        described.append(entry)
    answer: dict[str, Any] = {"model_name": model, "model_version": "1", "outputs": described}
    if asked.id is not None:
        answer["id"] = asked.id
    text = json.dumps(answer).encode()
    return text, tensors, len(text) if tensors else None


def _json(data: bytes) -> Mapping[str, Any]:
    try:
        values = json.loads(data, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise FrameError("The header is no JSON.", "Send what the protocol describes.") from error
    return _mapping(values, "the header")


def _refuse(name: str) -> None:
    raise ValueError(name)


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise FrameError(f"The JSON's {what} is no object.", "Send what the protocol describes.")
    return value


def _sequence(value: Any, what: str) -> Sequence[Any]:
    if not isinstance(value, list) or len(value) > MOST_TENSORS:
        raise FrameError(
            f"The JSON's {what} is no list of at most {MOST_TENSORS}.",
            "Send what the protocol describes.",
        )
    return value


def _inputs(described: Sequence[Any], body: bytearray, begin: int) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    place = begin
    for value in described:
        entry = _mapping(value, "input")
        name, dtype, shape = _described(entry)
        if name in arrays:
            raise FrameError(f"The input {name!r} is given twice.", "Send it once.")
        size = _mapping(entry.get("parameters", {}), "parameters").get("binary_data_size")
        count = math.prod(shape)
        if size is None:
            arrays[name] = _from_json(entry.get("data"), dtype, shape, count)
            continue
        needed = count * np.dtype(dtype).itemsize
        if not isinstance(size, int) or isinstance(size, bool) or size != needed:
            raise FrameError(
                f"The input {name!r} is said to have {size} bytes, its shape needs {needed}.",
                "Send as many.",
            )
        if place + size > len(body):
            raise FrameError(
                f"The body ends within the input {name!r}.", f"Send {size} bytes for it."
            )
        arrays[name] = np.frombuffer(body, dtype, count, place).reshape(shape)
        place += size
    if place != len(body):
        raise FrameError(
            f"{len(body) - place} bytes follow behind the last input.",
            "Send none that nobody needs.",
        )
    return arrays


def _described(entry: Mapping[str, Any]) -> tuple[str, str, tuple[int, ...]]:
    name, shape = entry.get("name"), entry.get("shape")
    if not isinstance(name, str) or not 0 < len(name) <= 64:
        raise FrameError(
            "An input has no name of at most 64 letters.", "Name it as the model does."
        )
    kind = entry.get("datatype")
    if not isinstance(kind, str) or kind not in DTYPES:
        raise FrameError(
            f"The input {name!r} has no type that is known.", f"Send one of {', '.join(DTYPES)}."
        )
    if (
        not isinstance(shape, list)
        or not 0 < len(shape) <= MOST_DIMS
        or not all(
            isinstance(size, int) and not isinstance(size, bool) and 0 < size < 1 << 31
            for size in shape
        )
    ):
        raise FrameError(
            f"The input {name!r} has no shape of 1 to {MOST_DIMS} sizes.",
            "Send whole numbers from 1.",
        )
    return name, DTYPES[kind], tuple(shape)


def _from_json(data: Any, dtype: str, shape: tuple[int, ...], count: int) -> Array:
    if count > JSON_LIMIT or not isinstance(data, list):
        raise FrameError(
            "An input has neither binary data nor a list of at most 4 Mi values.",
            "Send it as binary data.",
        )
    try:
        values = np.array(data)
        if values.size != count or values.dtype == object:
            raise ValueError("size")
        cast = values.astype(dtype)
        whole = np.issubdtype(np.dtype(dtype), np.integer)
        if whole and not np.array_equal(cast, values):
            raise ValueError("range")
    except (ValueError, TypeError, OverflowError) as error:
        raise FrameError(
            f"The data of an input does not fit its shape {shape} and type.",
            f"Send {count} numbers within the type's range.",
        ) from error
    return np.ascontiguousarray(cast.reshape(shape))


def _outputs(described: Sequence[Any]) -> tuple[tuple[str, bool], ...]:
    wanted: list[tuple[str, bool]] = []
    for value in described:
        entry = _mapping(value, "output")
        name = entry.get("name")
        if not isinstance(name, str) or len(name) > 64 or name in {known for known, _ in wanted}:
            raise FrameError(
                "An output has no name, or one that is asked for twice.", "Name each once."
            )
        binary = _mapping(entry.get("parameters", {}), "parameters").get("binary_data", False)
        wanted.append((name, binary is True))
    return tuple(wanted)
