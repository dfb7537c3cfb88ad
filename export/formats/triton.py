"""A model repository for NVIDIA Triton: the bundle's graph, and the text that says how to serve it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stylepress.ports import Graph, Port
from stylepress.targets.target import Precision, Target

KINDS = {
    "uint8": "TYPE_UINT8",
    "int8": "TYPE_INT8",
    "int32": "TYPE_INT32",
    "int64": "TYPE_INT64",
    "float16": "TYPE_FP16",
    "float32": "TYPE_FP32",
    "bool": "TYPE_BOOL",
}
LARGEST_BATCH = 8
WAIT_US = 2000
"""Microseconds that a frame waits for others to come: a fraction of what one takes to draw."""


def write_repository(
    model: bytes,
    graph: Graph,
    folder: Path,
    *,
    name: str,
    target: Target,
    precision: Precision = "fp32",
) -> Path:
    """Write ``folder/NAME/config.pbtxt`` and ``folder/NAME/1/model.onnx``; return the first.

    The ports keep the names of the bundle. Where the first dimension is free, Triton gathers
    requests of equal size into batches; inputs with a default must be sent, which their
    description in the parameters says.
    """
    place = folder / name
    (place / "1").mkdir(parents=True)
    (place / "1" / "model.onnx").write_bytes(model)
    config = place / "config.pbtxt"
    text = config_text(graph, name=name, target=target, precision=precision)
    config.write_text(text, encoding="utf-8")
    return config


def config_text(graph: Graph, *, name: str, target: Target, precision: Precision = "fp32") -> str:
    """Return the model configuration, in protobuf's text format."""
    batched = all(isinstance(port.shape[0], str) for port in (*graph.inputs, *graph.outputs))
    lines = [
        f'name: "{name}"',
        'platform: "onnxruntime_onnx"',
        f"max_batch_size: {LARGEST_BATCH if batched else 0}",
    ]
    for side, ports in (("input", graph.inputs), ("output", graph.outputs)):
        for port in ports:
            lines += _port(side, port, batched=batched)
    if batched:
        sizes = ", ".join(str(2**power) for power in range(1, LARGEST_BATCH.bit_length()))
        lines += [
            "dynamic_batching {",
            f"  preferred_batch_size: [ {sizes} ]",
            f"  max_queue_delay_microseconds: {WAIT_US}",
            "}",
        ]
    gpu = target.kind != "cpu"
    lines += [
        "instance_group [",
        f"  {{ count: 1 kind: {'KIND_GPU' if gpu else 'KIND_CPU'} }}",
        "]",
    ]
    lines += _acceleration(precision) if gpu else []
    for port in graph.inputs:
        if port.default is not None:
            said = f"{port.meaning or port.name}; send {port.default:g} for the usual"
            lines += [f'parameters {{ key: "{port.name}" value: {{ string_value: "{said}" }} }}']
    return "\n".join(lines) + "\n"


def _port(side: str, port: Port, *, batched: bool) -> Iterator[str]:
    dims = port.shape[1:] if batched else port.shape
    sizes = ", ".join(str(dim) if isinstance(dim, int) else "-1" for dim in dims) or "1"
    yield f"{side} ["
    # One number a frame is (N) in the graph, and (N, 1) outside.
    flat = " reshape: { shape: [ ] }" if batched and not dims else ""
    yield f'  {{ name: "{port.name}" data_type: {KINDS[port.dtype]} dims: [ {sizes} ]{flat} }}'
    yield "]"


def _acceleration(precision: Precision) -> Iterator[str]:
    """Ask ONNX Runtime for its TensorRT provider, allowed the precision that the graph holds."""
    yield "optimization {"
    yield "  execution_accelerators {"
    yield '  gpu_execution_accelerator : [ { name : "tensorrt"'
    yield f'    parameters {{ key: "precision_mode" value: "{precision.upper()}" }}'
    yield '    parameters { key: "max_workspace_size_bytes" value: "1073741824" }'
    yield "  } ]"
    yield "  }"
    yield "}"
