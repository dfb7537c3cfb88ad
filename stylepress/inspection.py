"""Any file or folder that passes through stylepress: what it is, in one screen."""

from __future__ import annotations

import json
import struct
from dataclasses import asdict
from importlib import util
from math import prod
from pathlib import Path
from typing import Any

from stylepress.artifact import MANIFEST, Artifact, file_digest
from stylepress.errors import ArtifactError, CheckpointError, FrameError, InputError
from stylepress.ports import Graph, Port

HEAD_BYTES = 16
HEADER_LIMIT_BYTES = 16 << 20
DIFFUSERS = ("model_index.json", "config.json")
"""What tells a folder of diffusers."""


def inspect(path: Path) -> dict[str, Any]:
    """Return what is known of an artifact, weights, an ONNX file or a plan, in reading order.

    Raises:
        InputError: nothing stylepress knows, or damaged.
    """
    if path.is_dir():
        if (path / MANIFEST).is_file() or not any((path / name).is_file() for name in DIFFUSERS):
            return _artifact(path)
        return {"what": "folder of diffusers"} | _family(path)
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise FrameError(
            f"{path} cannot be read ({error.strerror}).", "Check the path and its permissions."
        ) from error
    if path.name == MANIFEST:
        return _artifact(path.parent)
    from stylepress.runtime.nvidia.plan import is_plan

    if is_plan(head):
        return _plan(path)
    if head.startswith((b"PK\x03\x04", b"\x80")) or head[8:9] == b"{":
        return _weights(path)
    try:
        return _onnx(path)
    except ArtifactError as error:
        raise InputError(
            f"{path} is neither an artifact, nor weights, nor ONNX: it begins with {head!r}.",
            "Name a folder that stylepress wrote, a .pth, a .safetensors or an .onnx file.",
        ) from error


def on_engine(folder: Path, engine: str) -> tuple[dict[str, Any], list[list[str]]]:
    """Compile a bundle's main graph on an engine; return its layers as values, and as rows.

    Raises:
        BackendError: an engine that is not installed, or tells no layers.
        ArtifactError: no bundle.
    """
    from stylepress.runtime.backends import EngineOptions
    from stylepress.runtime.bundle import read_bundle
    from stylepress.runtime.feeds import TRIAL_SIZE
    from stylepress.runtime.layers import layers_of, summary

    layers = layers_of(read_bundle(folder), engine, options=EngineOptions(size=TRIAL_SIZE))
    facts: dict[str, Any] = {
        "engine": engine,
        "size": list(TRIAL_SIZE),
        "summary": summary(layers),
        "layers": [asdict(layer) for layer in layers],
    }
    rows = [
        [layer.kind, layer.precision, f"{layer.time_us:.0f}", ", ".join(layer.nodes)[:80]]
        for layer in layers
        if layer.time_us
    ]
    return facts, rows


def _artifact(folder: Path) -> dict[str, Any]:
    artifact = Artifact.load(folder)
    facts: dict[str, Any] = {
        "what": f"{artifact.kind} {artifact.name!r}, whole",
        "digest": artifact.digest,
        "size": f"{size(artifact.size_bytes)} in {len(artifact.files)} files",
    }
    if artifact.kind == "checkpoint":
        facts.update(_network(artifact))
    for name, graph in artifact.graphs.items():
        facts[f"graph {name}"] = _graph(artifact, graph)
    facts["made by"] = dict(artifact.made_by)
    facts["made from"] = artifact.parent
    facts["numbers"] = dict(artifact.numbers)
    return facts


def _network(artifact: Artifact) -> dict[str, Any]:
    with artifact.path("weights.safetensors").open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(min(length, HEADER_LIMIT_BYTES)))
    shapes = [entry["shape"] for name, entry in header.items() if name != "__metadata__"]
    return {
        "network": json.loads(artifact.path("network.json").read_text(encoding="utf-8")),
        "parameters": sum(prod(shape) for shape in shapes),
    }


def _weights(path: Path) -> dict[str, Any]:
    from stylepress.train.weights.family import some
    from stylepress.train.weights.state import read_state

    state = read_state(path)
    facts: dict[str, Any] = {
        "what": "weights, no code in them, all finite",
        "digest": file_digest(path),
        "size": size(path.stat().st_size),
        "parameters": sum(value.numel() for value in state.values()),
        "tensors": len(state),
        "keys": some(state, most=6),
    }
    return facts | _family(path)


def _family(path: Path) -> dict[str, Any]:
    """Say which family a file or folder is of, by the very rule of `build`."""
    from stylepress.train.weights.checkpoint import load_network
    from stylepress.train.weights.families import FAMILIES

    try:
        loaded = load_network(path)
    except CheckpointError as error:
        return {"family": "none that can be built", "note": str(error)}
    family = FAMILIES[loaded.family]
    graphs = {name: one.kind for name, one in family.graphs(loaded.config).items()}
    facts = {
        "family": f"{loaded.family}: {family.title}",
        "network": dict(loaded.config),
        "pictures": tensor(loaded.image),
        "graphs": graphs,
        "can be built": f"stylepress export {path}",
    }
    remark = family.remark(loaded.config)
    return facts | ({"note": remark} if remark else {})


def _plan(path: Path) -> dict[str, Any]:
    from stylepress.runtime.nvidia.package import TITLES, installed
    from stylepress.runtime.nvidia.plan import plan_facts

    return plan_facts(path, {package: installed(package) for package in TITLES}) | {
        "digest": file_digest(path),
        "size": size(path.stat().st_size),
    }


def _onnx(path: Path) -> dict[str, Any]:
    from stylepress.runtime.onnx_scan import SIZE_LIMIT_BYTES, OnnxPort, scan

    if path.stat().st_size > SIZE_LIMIT_BYTES:
        raise ArtifactError(f"{path} is too large for ONNX.", "Name another file.")

    def port(one: OnnxPort) -> str:
        shape = "any shape" if one.shape is None else f"[{', '.join(map(str, one.shape))}]"
        return f"{one.name}: {one.dtype} {shape}"

    facts = scan(path.read_bytes())
    return {
        "what": "ONNX model, not a bundle",
        "digest": file_digest(path),
        "size": size(path.stat().st_size),
        "opset": dict(facts.opsets),
        "inputs": [port(one) for one in facts.inputs],
        "outputs": [port(one) for one in facts.outputs],
        "outside data": list(facts.outside) or "none",
        **(_family(path) if util.find_spec("torch") and util.find_spec("onnx") else {}),
    }


def _graph(artifact: Artifact, graph: Graph) -> dict[str, Any]:
    facts: dict[str, Any] = {"kind": graph.kind, "file": graph.file}
    if artifact.kind == "bundle":
        from stylepress.runtime.onnx_scan import scan

        facts["opset"] = dict(scan(artifact.path(graph.file).read_bytes()).opsets)
    facts["inputs"] = [tensor(port) for port in graph.inputs]
    facts["outputs"] = [tensor(port) for port in graph.outputs]
    if graph.state:
        facts["state"] = dict(graph.state)
    return facts


def tensor(port: Port) -> str:
    """Describe an input or output in one line."""
    shape = ", ".join(map(str, port.shape))
    low, high = ("open" if end is None else f"{end:g}" for end in (port.low, port.high))
    text = f"{port.name}: {port.dtype} [{shape}], {low} to {high}"
    text += f", sides from {port.least}" if port.least > 1 else ""
    text += ", BGR" if port.order == "bgr" else ""
    return text + (f", default {port.default:g}" if port.default is not None else "")


def size(count: int) -> str:
    """Write a number of bytes as people say it.

    >>> size(900), size(352_000), size(6_730_000)
    ('900 bytes', '352 kB', '6.73 MB')
    """
    if count < 1000:
        return f"{count} bytes"
    if count < 1_000_000:
        return f"{count / 1000:.3g} kB"
    return f"{count / 1_000_000:.3g} MB" if count < 10**9 else f"{count / 10**9:.3g} GB"
