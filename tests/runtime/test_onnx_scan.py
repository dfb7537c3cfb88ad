"""The wire-format walk against onnx's own parser: it may refuse more, and never misses anything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import onnx
import pytest
from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from stylepress.errors import ArtifactError
from stylepress.runtime.onnx_scan import INNER, scan

careful = settings(deadline=None, max_examples=100)
PROTOS: dict[str, Any] = {
    "model": onnx.ModelProto,
    "training": onnx.TrainingInfoProto,
    "function": onnx.FunctionProto,
    "graph": onnx.GraphProto,
    "node": onnx.NodeProto,
    "attribute": onnx.AttributeProto,
    "sparse": onnx.SparseTensorProto,
    "tensor": onnx.TensorProto,
    "opset": onnx.OperatorSetIdProto,
}


def messages(message: Message) -> Iterator[Message]:
    """Yield a message and every message inside it."""
    yield message
    for descriptor, value in message.ListFields():
        if descriptor.message_type is not None:
            for inner in value if descriptor.is_repeated else [value]:
                yield from messages(inner)


def outside(model: onnx.ModelProto) -> int:
    """Count the tensors that onnx's own parser finds to live elsewhere."""
    tensors = [message for message in messages(model) if isinstance(message, TensorProto)]
    return sum(bool(tensor.external_data) or tensor.data_location != 0 for tensor in tensors)


def reaches_tensor(kind: Any, seen: frozenset[str] = frozenset()) -> bool:
    """Say whether a message can hold a TensorProto, at any depth."""
    if kind.name == "TensorProto":
        return True
    inner = [field.message_type for field in kind.fields if field.message_type is not None]
    deeper = seen | {kind.name}
    return any(reaches_tensor(one, deeper) for one in inner if one.name not in seen)


tensors = st.builds(
    lambda name, outer, location: TensorProto(
        name=name,
        dims=[1],
        data_type=1,
        external_data=[onnx.StringStringEntryProto(key="location", value="w.bin")] * outer,
        data_location=location,
    ),
    st.text("ab", max_size=3),
    st.sampled_from([0, 0, 0, 1]),
    st.sampled_from([0, 0, 0, 1]),
)
sparse_tensors = st.builds(
    lambda values, indices: onnx.SparseTensorProto(values=values, indices=indices), tensors, tensors
)


def graphs_of(graphs: st.SearchStrategy[onnx.GraphProto]) -> st.SearchStrategy[onnx.GraphProto]:
    """Graphs whose nodes may hold the given graphs in their attributes."""
    attributes = st.builds(
        lambda t, ts, g, gs, s, ss: onnx.AttributeProto(
            name="a", t=t, tensors=ts, g=g, graphs=gs, sparse_tensor=s, sparse_tensors=ss
        ),
        st.none() | tensors,
        st.lists(tensors, max_size=2),
        st.none() | graphs,
        st.lists(graphs, max_size=1),
        st.none() | sparse_tensors,
        st.lists(sparse_tensors, max_size=1),
    )
    nodes = st.builds(
        lambda a: onnx.NodeProto(op_type="If", attribute=a), st.lists(attributes, max_size=2)
    )
    return st.builds(
        lambda n, t, s: onnx.GraphProto(node=n, initializer=t, sparse_initializer=s),
        st.lists(nodes, max_size=2),
        st.lists(tensors, max_size=2),
        st.lists(sparse_tensors, max_size=1),
    )


graphs = graphs_of(graphs_of(st.builds(onnx.GraphProto)))
models = st.builds(
    lambda g, inner, version: onnx.ModelProto(
        graph=g,
        opset_import=[helper.make_opsetid("", version)],
        functions=[onnx.FunctionProto(name="f", node=inner.node)],
        training_info=[onnx.TrainingInfoProto(algorithm=inner)],
    ),
    graphs,
    graphs,
    st.integers(1, 1 << 40),
)


def test_the_walk_knows_every_way_from_a_model_to_a_tensor() -> None:
    names = {proto.DESCRIPTOR.name: kind for kind, proto in PROTOS.items()}
    for kind, proto in PROTOS.items():
        fields = [field for field in proto.DESCRIPTOR.fields if field.message_type is not None]
        ways = {
            field.number: names[field.message_type.name]
            for field in fields
            if reaches_tensor(field.message_type) or field.message_type.name == "OperatorSetIdProto"
        }
        assert ways == INNER[kind]  # type: ignore[index]


@given(models)
@careful
def test_outside_data_is_found_wherever_it_hides(model: onnx.ModelProto) -> None:
    facts = scan(model.SerializeToString())
    assert len(facts.outside) == outside(model)
    assert facts.opsets == {"": model.opset_import[0].version}


@given(models, st.data())
@careful
def test_no_damage_hides_outside_data_from_the_walk(
    model: onnx.ModelProto, data: st.DataObject
) -> None:
    damaged = bytearray(model.SerializeToString())
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        facts = scan(bytes(damaged))
    except ArtifactError:
        return
    try:
        seen = onnx.ModelProto.FromString(bytes(damaged))
    except (DecodeError, ValueError):
        return
    assert bool(facts.outside) >= bool(outside(seen))


@given(st.binary(max_size=300))
@careful
def test_random_bytes_are_refused_in_one_way_only(data: bytes) -> None:
    with pytest.raises(ArtifactError, match="no whole ONNX model"):
        scan(b"\x3b" + data)


@given(data=st.data())
@careful
def test_a_cut_model_is_refused_or_still_has_all_that_was_read(
    data: st.DataObject, int8_model: onnx.ModelProto
) -> None:
    whole = int8_model.SerializeToString()
    cut = data.draw(st.integers(0, len(whole) - 1))
    try:
        facts = scan(whole[:cut])
    except ArtifactError:
        return
    assert facts == scan(whole)


def test_ports_and_opset_are_those_of_the_graph(tint_model: onnx.ModelProto) -> None:
    facts = scan(tint_model.SerializeToString())
    ports = {port.name: (port.dtype, port.shape) for port in facts.inputs + facts.outputs}
    frame = ("uint8", ("batch", "height", "width", 3))
    assert ports == {"frame": frame, "strength": ("float32", ("batch",)), "frame_out": frame}
    assert facts.opsets == {"": 17}


def test_a_weight_that_is_also_listed_as_an_input_is_no_port(tint_model: onnx.ModelProto) -> None:
    model = onnx.ModelProto.FromString(tint_model.SerializeToString())
    model.graph.input.append(
        helper.make_tensor_value_info("matrix", TensorProto.FLOAT, [3, 3, 1, 1])
    )
    assert {port.name for port in scan(model.SerializeToString()).inputs} == {"frame", "strength"}


def test_a_value_of_unknown_rank_and_a_free_dimension_without_a_name() -> None:
    free = helper.make_tensor_value_info("x", TensorProto.FLOAT16, [None, 3])
    unknown = helper.make_tensor_value_info("y", TensorProto.INT64, None)
    graph = helper.make_graph([], "g", [free], [unknown])
    facts = scan(helper.make_model(graph).SerializeToString())
    assert (facts.inputs[0].dtype, facts.inputs[0].shape) == ("float16", ("?", 3))
    assert (facts.outputs[0].dtype, facts.outputs[0].shape) == ("int64", None)


def test_the_place_of_outside_data_is_named() -> None:
    entry = onnx.StringStringEntryProto(key="location", value="../../etc/passwd")
    tensor = TensorProto(name="w", external_data=[entry], data_location=TensorProto.EXTERNAL)
    graph = onnx.GraphProto(initializer=[tensor])
    model = onnx.ModelProto(graph=graph, opset_import=[helper.make_opsetid("", 17)])
    assert scan(model.SerializeToString()).outside == ("../../etc/passwd",)


def test_a_node_that_loads_a_compiled_file_counts_as_outside_data() -> None:
    node = helper.make_node("EPContext", ["x"], ["y"], domain="com.microsoft", embed_mode=0)
    model = helper.make_model(helper.make_graph([node], "g", [], []))
    assert scan(model.SerializeToString()).outside == ("operator EPContext",)


def test_messages_without_end_inside_each_other_are_refused() -> None:
    data = b""
    for number in (6, 5, 1) * 1000:  # attribute.g, node.attribute, graph.node
        data = bytes([number << 3 | 2]) + varint(len(data)) + data
    with pytest.raises(ArtifactError, match="inside each other"):
        scan(b"\x3a" + varint(len(data)) + data)


def test_a_file_of_nothing_but_tiny_fields_is_refused_before_it_takes_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stylepress.runtime.onnx_scan.FIELDS_LIMIT", 1000)
    with pytest.raises(ArtifactError, match="more than 1000 fields"):
        scan(b"\x08\x01" * 1001)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no graph"),
        (b"\x3a\x00", "no opset"),
        (b"\x3a\x05ab", "5 bytes where 2 are left"),
        (b"\x08" + b"\xff" * 11, "too long"),
        (b"\x08", "cut short"),
        (b"\x0d\x00", "cut short"),
        (b"\x00\x00", "field number 0"),
        (b"\x0b", "wire type 3"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, reason: str) -> None:
    with pytest.raises(ArtifactError, match=reason):
        scan(data)


def varint(number: int) -> bytes:
    """Encode seven bits a byte, least first."""
    head, rest = number & 0x7F, number >> 7
    return bytes([head | 0x80]) + varint(rest) if rest else bytes([head])
