"""A graph as one ONNX file: closed, checked, and the same bytes for the same network."""

from __future__ import annotations

import inspect
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any, TypeAlias

import onnx
import onnx.inliner
import torch

import stylepress
from stylepress.errors import ExportError
from stylepress.export.code_graphs import EncoderGraph, SamplerGraph
from stylepress.export.frame_graph import FrameGraph
from stylepress.export.shuffle import in_memory_order
from stylepress.ports import Graph
from stylepress.replace import replacing_file

OPSET_LEAST = 18  # what PyTorch delivers when it is asked for less
LEFTOVERS = frozenset({"Identity", "Dropout"})
"""Operators of a training run, or of nothing at all, that a deployed graph has no use for."""


AnyGraph: TypeAlias = FrameGraph | EncoderGraph | SamplerGraph


def export_onnx(graph: AnyGraph, path: Path, *, opset: int = 18) -> onnx.ModelProto:
    """Write ``onnx_model(graph)`` to ``path``, weights included, and return it.

    Raises:
        ExportError: as ``onnx_model``.
        OutputError: ``path`` cannot be written.
    """
    model = onnx_model(graph, opset=opset)
    with replacing_file(path) as beside:
        beside.write_bytes(serialized(model))
    return model


def onnx_model(graph: AnyGraph, *, opset: int = 18) -> onnx.ModelProto:
    """Translate ``graph``: the same network gives the same bytes, on any machine.

    Inputs, outputs and free dimensions (``batch``, ``height``, ``width``) are those of its ports.
    Convolutions are named as in the network's own module tree.

    Raises:
        ExportError: PyTorch or the ONNX checker refuses the network, or what came out is not
            what was asked for.
    """
    if opset < OPSET_LEAST:
        raise ExportError(
            f"PyTorch writes opset {OPSET_LEAST} or later, not {opset}.",
            f"Ask for opset {OPSET_LEAST}.",
        )
    ports = graph.ports
    model = in_memory_order(_closed(_traced(graph, opset), ports))
    check_onnx(model, opset=opset, ports=ports)
    return model


def serialized(model: onnx.ModelProto) -> bytes:
    """Return the bytes of a model: the same for equal models."""
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _traced(graph: AnyGraph, opset: int) -> onnx.ModelProto:
    """Trace and translate. An odd, oblong example of two frames keeps every dimension free."""
    side, ports = max(graph.least, 32), graph.ports
    sizes = {"batch": 2, "height": side + 3, "width": side + 17}
    example, free = [], []
    for port in ports.inputs:
        shape = [size if isinstance(size, int) else sizes.get(size, 7) for size in port.shape]
        whole = port.dtype in ("uint8", "int64")
        kind = getattr(torch, port.dtype)
        example.append(torch.zeros(shape, dtype=kind) if whole else torch.ones(shape))
        # DYNAMIC raises when the network fixes a dimension. It lets pass what named dimensions
        # refuse: that cropping 4 * ceil(H / 4) rows to H assumes what is always true.
        named = [at for at, size in enumerate(port.shape) if isinstance(size, str)]
        free.append(dict.fromkeys(named, torch.export.Dim.DYNAMIC))
    names = [port.name for port in ports.inputs], [port.name for port in ports.outputs]
    try:
        return translated(
            graph, tuple(example), ports=names, shapes=_by_signature(graph, free), opset=opset
        )
    except Exception as error:  # PyTorch raises nearly anything here
        raise ExportError(
            f"PyTorch cannot export {type(graph.network).__name__} ({_reason(error)}).",
            "Its forward must be tensor operations that follow any height and width, "
            "without Python decisions on what the tensors hold.",
        ) from error


def _by_signature(graph: AnyGraph, free: list[dict[int, Any]]) -> tuple[Any, ...]:
    """Group what is said of inputs as the parameters of ``forward`` are: the last may be many."""
    parameters = list(inspect.signature(graph.forward).parameters.values())
    if parameters[-1].kind is not inspect.Parameter.VAR_POSITIONAL:
        return tuple(free)
    single = len(parameters) - 1
    more = tuple(free[single:])
    return (*free[:single], more) if more else tuple(free)


def translated(
    module: torch.nn.Module,
    example: tuple[torch.Tensor, ...],
    *,
    ports: tuple[list[str], list[str]],
    shapes: Any = None,
    opset: int = OPSET_LEAST,
) -> onnx.ModelProto:
    """Trace ``module`` on an example and translate it, as PyTorch does it, quietly.

    ``ports`` names its inputs and outputs, ``shapes`` says which dimensions are free: none when
    None. What PyTorch raises comes through.
    """
    was_training = module.training
    try:
        with _quiet(), torch.no_grad():
            traced = torch.export.export(module.eval(), example, dynamic_shapes=shapes)
            program = torch.onnx.export(
                traced,
                dynamo=True,
                opset_version=opset,
                input_names=ports[0],
                output_names=ports[1],
                verbose=False,
            )
            if program is None:
                raise TypeError("no program came out")
            model: onnx.ModelProto = program.model_proto
            return model
    finally:
        module.train(was_training)


def _reason(error: BaseException) -> str:
    """Return the first line that says something, of the error that all began with."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[0].partition(" For more information")[0] if lines else "no reason given"
    return f"{type(error).__name__}: {reason[:200]}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep PyTorch's exporter from talking to the user; what matters is raised."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def _closed(model: onnx.ModelProto, ports: Graph) -> onnx.ModelProto:
    """Return the model with its ports named, and without traces of the machine that made it."""
    closed = onnx.ModelProto()
    closed.CopyFrom(model)
    if closed.functions:
        closed = onnx.inliner.inline_local_functions(closed)
    _name_layers(closed)
    closed.ir_version = onnx.helper.find_min_ir_version_for(list(closed.opset_import))
    closed.producer_name, closed.producer_version = "stylepress", stylepress.__version__
    for part in (closed, closed.graph, *closed.graph.node, *closed.graph.initializer):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    del closed.graph.value_info[:]
    closed.graph.name = f"{ports.kind}_graph"
    told = (*ports.inputs, *ports.outputs)
    for port, meant in zip((*closed.graph.input, *closed.graph.output), told, strict=True):
        port.ClearField("doc_string")
        port.ClearField("metadata_props")
        for dim, name in zip(port.type.tensor_type.shape.dim, meant.shape, strict=False):
            if not dim.HasField("dim_value") and isinstance(name, str):
                dim.dim_param = name
            elif not dim.HasField("dim_value"):
                dim.dim_value = name
    return closed


def _name_layers(model: onnx.ModelProto) -> None:
    """Call each convolution what PyTorch calls it, so that messages and options can name it."""
    taken = {node.name for node in model.graph.node}
    for node in model.graph.node:
        if node.op_type in ("Conv", "ConvTranspose"):
            name = node.input[1].removeprefix("network.").removesuffix(".weight")
            if name not in taken:
                node.name = name
                taken.add(name)


def check_onnx(model: onnx.ModelProto, *, opset: int, ports: Graph | None = None) -> None:
    """Check that a model is what its ``ports`` say (a frame graph), in a form every backend takes.

    Raises:
        ExportError: another opset than ``opset``, an operator that is no ONNX, a fixed dimension,
            weights outside the file, training leftovers, or ends that are no Cast.
    """
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    foreign = sorted(
        {node.op_type for node in model.graph.node if node.domain not in ("", "ai.onnx")}
    )
    if opsets.get("") != opset or foreign:
        raise ExportError(
            f"The ONNX file has opset {opsets.get('')} and foreign operators {foreign or 'none'}, "
            f"but opset {opset} without any was asked for.",
            "Ask for the opset it has, or take the foreign operators out of the network.",
        )
    free = {p.name: p.shape for p in (*ports.inputs, *ports.outputs)} if ports else {}
    for port in (*model.graph.input, *model.graph.output):
        dims = list(port.type.tensor_type.shape.dim)[:3]
        meant = free.get(port.name, ("batch", "height", "width"))
        fixed = [
            dim.dim_value
            for dim, name in zip(dims, meant, strict=False)
            if dim.HasField("dim_value") and isinstance(name, str) and not _drawn(port.name, ports)
        ]
        if fixed:
            raise ExportError(
                f"{port.name!r} came out with the fixed dimension {fixed[0]}, so other sizes would "
                f"fail.",
                "Take whatever depends on the size out of the network's forward.",
            )
    if any(tensor.data_location for tensor in model.graph.initializer):
        raise ExportError("The weights came out in a second file.", "Export a network below 2 GB.")
    _check_nodes(model, ports)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(
            f"The ONNX checker refuses the model ({_reason(error)}).",
            "Try another opset, or report the network.",
        ) from error


def _drawn(name: str, ports: Graph | None) -> bool:
    """Say whether a port's size is the network's own: what a sampler draws is as large as it is."""
    return ports is not None and ports.kind == "sampler" and name in {p.name for p in ports.outputs}


def _check_nodes(model: onnx.ModelProto, ports: Graph | None) -> None:
    nodes = model.graph.node
    idle = sorted({node.op_type for node in nodes if node.op_type in LEFTOVERS or _trains(node)})
    taken = {p.name for p in ports.inputs if p.is_picture} if ports else {"frame"}
    given = {p.name for p in ports.outputs if p.is_picture} if ports else {"frame_out"}
    first = {node.op_type for node in nodes if taken & set(node.input)} - {"Shape"}
    last = {node.op_type for node in nodes if given & set(node.output)}
    wrong = (taken and first != {"Cast"}) or (given and last != {"Cast"})
    if idle or wrong:
        raise ExportError(
            f"The graph begins with {'/'.join(sorted(first)) or 'nothing'}, ends with "
            f"{'/'.join(sorted(last)) or 'nothing'} and holds {'/'.join(idle) or 'no'} leftovers of "
            f"training, where it should begin and end with Cast and hold none.",
            "Put the network into eval mode and export it again.",
        )


def _trains(node: onnx.NodeProto) -> bool:
    return any(entry.name == "training_mode" and entry.i for entry in node.attribute)
