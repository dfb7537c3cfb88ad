"""What an ONNX file asks for, read from its bytes without the onnx package and before any engine.

An ONNX file may name other files to be read: a tensor with ``external_data``, or an ``EPContext``
node. Here the protobuf wire format (protobuf.dev/programming-guides/encoding) is walked over the
few messages of onnx.proto that can hold such a name. Nothing is executed, nothing recurses, and
the work is bounded by the size of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from stylepress.errors import ArtifactError

DEPTH_LIMIT = 100  # of nested messages; the limit of protobuf itself
FIELDS_LIMIT = 1_000_000
SIZE_LIMIT_BYTES = (1 << 31) - 1  # of protobuf itself
OUTSIDE_OPERATORS = frozenset({"EPContext"})

Message = Literal[
    "model", "training", "function", "opset", "graph", "node", "attribute", "tensor", "sparse"
]

# Field numbers of onnx.proto, for the messages that lead to a TensorProto.
INNER: Mapping[Message, Mapping[int, Message]] = {
    "model": {7: "graph", 8: "opset", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 9: "opset", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
    "opset": {},
}
DTYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    8: "string",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
    16: "bfloat16",
}

Value = int | memoryview
"""A varint, or the bytes of a length-delimited field; fixed-width fields are skipped."""
Fields = list[tuple[int, Value]]


@dataclass(frozen=True, slots=True)
class OnnxPort:
    """An input or output of the graph; a string is a free dimension, None one of any rank."""

    name: str
    dtype: str
    shape: tuple[int | str, ...] | None


@dataclass(frozen=True, slots=True)
class OnnxFacts:
    """Opsets by domain ("" is ONNX itself), ports of the main graph, and names of outside data."""

    opsets: Mapping[str, int]
    inputs: tuple[OnnxPort, ...]
    outputs: tuple[OnnxPort, ...]
    outside: tuple[str, ...]


def scan(data: bytes) -> OnnxFacts:
    """Read the opsets, the ports and every reference to outside data of a serialized model.

    Raises:
        ArtifactError: the bytes are no ONNX model, are cut short, or nest without end.
    """
    if len(data) > SIZE_LIMIT_BYTES:
        raise _broken(f"{len(data)} bytes, more than a protobuf can hold")
    walk = _Walk()
    stack: list[tuple[Message, memoryview, int]] = [("model", memoryview(data), 0)]
    while stack:
        kind, message, depth = stack.pop()
        if depth > DEPTH_LIMIT:
            raise _broken(f"more than {DEPTH_LIMIT} messages inside each other")
        fields = walk.fields(message)
        walk.note(kind, fields, main=depth == 1)
        inner = INNER[kind]
        stack.extend(
            (inner[number], value, depth + 1)
            for number, value in fields
            if number in inner and isinstance(value, memoryview)
        )
    return walk.facts()


class _Walk:
    """What was found so far, and how many fields may still be read."""

    def __init__(self) -> None:
        self.budget = FIELDS_LIMIT
        self.opsets: dict[str, int] = {}
        self.initialized: set[str] = set()
        self.inputs: list[OnnxPort] = []
        self.outputs: list[OnnxPort] = []
        self.outside: list[str] = []
        self.graphs = 0

    def facts(self) -> OnnxFacts:
        if not self.graphs:
            raise _broken("no graph in it")
        if not self.opsets:
            raise _broken("no opset in it")
        # Up to IR version 3 every initializer is listed among the inputs too.
        inputs = tuple(port for port in self.inputs if port.name not in self.initialized)
        return OnnxFacts(self.opsets, inputs, tuple(self.outputs), tuple(self.outside))

    def fields(self, message: memoryview) -> Fields:
        """Return (field number, value) for each field of one message, in order."""
        fields: Fields = []
        at, end = 0, len(message)
        while at < end:
            self.budget -= 1
            if self.budget < 0:
                raise _broken(f"more than {FIELDS_LIMIT} fields")
            tag, at = _varint(message, at)
            number, wire = tag >> 3, tag & 7
            if not 0 < number < 1 << 29:
                raise _broken(f"field number {number}")
            if wire == 0:
                value, at = _varint(message, at)
                fields.append((number, value))
            elif wire == 2:
                length, at = _varint(message, at)
                if length > end - at:
                    raise _broken(f"a field of {length} bytes where {end - at} are left")
                fields.append((number, message[at : at + length]))
                at += length
            elif wire in (1, 5):
                at += 8 if wire == 1 else 4
                if at > end:
                    raise _broken("a number is cut short")
            else:
                raise _broken(f"wire type {wire}, which ONNX does not use")
        return fields

    def note(self, kind: Message, fields: Fields, *, main: bool) -> None:
        """Keep what one message says itself, apart from the messages inside it."""
        if kind == "opset":
            domain, version = _text(fields, 1), _number(fields, 2)
            self.opsets[domain] = max(version, self.opsets.get(domain, 0))
        elif kind == "tensor":
            entries = [value for number, value in fields if number == 13]
            if entries or any(number == 14 and value != 0 for number, value in fields):
                self.outside.append(self._place(entries) or f"tensor {_text(fields, 8)!r}")
        elif kind == "node" and _text(fields, 4) in OUTSIDE_OPERATORS:
            self.outside.append(f"operator {_text(fields, 4)}")
        elif kind == "graph" and main:
            self.graphs += 1
            self.inputs += [self._port(message) for message in _messages(fields, 11)]
            self.outputs += [self._port(message) for message in _messages(fields, 12)]
            tensors = _messages(fields, 5)
            self.initialized |= {_text(self.fields(tensor), 8) for tensor in tensors}

    def _place(self, entries: list[Value]) -> str:
        # TensorProto.external_data is a list of StringStringEntryProto: key 1, value 2.
        pairs = [self.fields(entry) for entry in entries if isinstance(entry, memoryview)]
        places = (_text(pair, 2) for pair in pairs if _text(pair, 1) == "location")
        return next(places, "")

    def _port(self, message: memoryview) -> OnnxPort:
        # ValueInfoProto: name 1, type 2. TypeProto: tensor_type 1. Tensor: elem_type 1, shape 2.
        # TensorShapeProto: dim 1.
        value_info = self.fields(message)
        tensor = self._inside(self._inside(value_info, 2), 1)
        code = _number(tensor, 1)
        shape = None
        if _messages(tensor, 2):
            dims = _messages(self._inside(tensor, 2), 1)
            shape = tuple(_dimension(self.fields(dim)) for dim in dims)
        return OnnxPort(_text(value_info, 1), DTYPES.get(code, f"type {code}"), shape)

    def _inside(self, fields: Fields, number: int) -> Fields:
        # Protobuf merges a message that is given in several pieces.
        return [item for piece in _messages(fields, number) for item in self.fields(piece)]


def _dimension(fields: Fields) -> int | str:
    # TensorShapeProto.Dimension: dim_value 1 or dim_param 2.
    if any(number == 1 for number, _ in fields):
        return _number(fields, 1)
    return _text(fields, 2) or "?"


def _messages(fields: Fields, number: int) -> list[memoryview]:
    return [v for n, v in fields if n == number and isinstance(v, memoryview)]


def _text(fields: Fields, number: int) -> str:
    # The last one given counts.
    for key, value in reversed(fields):
        if key == number and isinstance(value, memoryview):
            return bytes(value).decode("utf-8", errors="replace")
    return ""


def _number(fields: Fields, number: int) -> int:
    for key, value in reversed(fields):
        if key == number and isinstance(value, int):
            return value
    return 0


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    # Seven bits a byte, least first, at most ten bytes; returns the number and where it ends.
    value = 0
    for place, byte in enumerate(message[at : at + 10]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at + place + 1
    raise _broken("a number is cut short or too long")


def _broken(reason: str) -> ArtifactError:
    return ArtifactError(
        f"This is no whole ONNX model: {reason}.",
        "Copy the file again, or export the model again with `stylepress build`.",
    )
