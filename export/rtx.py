"""TensorRT for RTX: compiles a bundle's ONNX file for a GPU on a machine that has none.

It is a target of its own (desktop RTX), and a real compiler to hold files against; it is not
TensorRT, and what it accepts proves nothing for Jetson. The parser can crash on a file, so it
runs in a process of its own: ``python -m stylepress.export.rtx``.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import stylepress
from stylepress.errors import BackendError, ExportError
from stylepress.ports import Graph

PACKAGE = "tensorrt_rtx"
CAPABILITIES: Mapping[str, str] = {
    "7.5": "SM75",
    "8.0": "SM80",
    "8.6": "SM86",
    "8.9": "SM89",
    "12.0": "SM120",
    "12.1": "SM121",
}
CONVOLUTIONS = frozenset({"correlation", "deconv"})
TIMEOUT_S = 900.0
MOST = (1080, 1920)
"""The largest picture of a plan whose target asks for no larger one."""
Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class PlanLayer:
    """One kernel of the finished plan, and the data types that it reads and writes."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlanProof:
    """A compiled plan, and what the compiler made of every layer."""

    plan: bytes
    capability: str
    version: str
    layers: tuple[PlanLayer, ...]
    activation_bytes: int
    log: tuple[str, ...]

    @property
    def convolutions(self) -> tuple[PlanLayer, ...]:
        """The kernels that convolve."""
        return tuple(layer for layer in self.layers if layer.kind in CONVOLUTIONS)

    @property
    def int8_convolutions(self) -> tuple[PlanLayer, ...]:
        """Those that read int8."""
        return tuple(layer for layer in self.convolutions if "Int8" in layer.inputs)


def compile_plan(
    onnx_path: Path,
    graph: Graph,
    *,
    compute_capability: str = "8.9",
    size: Size = (512, 512),
) -> PlanProof:
    """Compile a graph for one picture of any (height, width) from its least to Full HD or ``size``.

    ``size`` is the one the kernels are chosen for. No GPU and no driver is needed.

    Raises:
        BackendError: the compiler is not installed, or knows no such GPU.
        ExportError: it refuses the file, crashes on it, or takes longer than 15 minutes.
    """
    if importlib.util.find_spec(PACKAGE) is None:
        raise BackendError(
            "The TensorRT for RTX compiler is not installed.",
            'Install it with `pip install "stylepress[rtx]"`; it needs no GPU.',
        )
    if compute_capability not in CAPABILITIES:
        raise BackendError(
            f"TensorRT for RTX makes no plans for compute capability {compute_capability}.",
            f"It knows {', '.join(CAPABILITIES)}.",
        )
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder)
        order = {
            "onnx": str(onnx_path.absolute()),
            "capability": CAPABILITIES[compute_capability],
            "shapes": _shapes(graph, size),
        }
        (made / "order.json").write_text(json.dumps(order), encoding="utf-8")
        _run_apart(made, onnx_path)
        report = json.loads((made / "report.json").read_text(encoding="utf-8"))
        if report["error"]:
            raise ExportError(
                f"TensorRT for RTX refuses {onnx_path.name}: {report['error']}.",
                "Leave that operation out of the network, or use another backend.",
            )
        return PlanProof(
            plan=(made / "plan").read_bytes(),
            capability=compute_capability,
            version=report["version"],
            layers=read_layers(report["log"]),
            activation_bytes=_activation_bytes(report["log"]),
            log=tuple(line for _, line in report["log"]),
        )


def _shapes(graph: Graph, size: Size) -> dict[str, list[list[int]]]:
    """Return the least, usual and largest shape of every input, for one picture at a time."""
    least = max((port.least for port in graph.inputs), default=1)
    usual = (max(size[0], least), max(size[1], least))
    largest = (max(usual[0], MOST[0]), max(usual[1], MOST[1]))
    shapes: dict[str, list[list[int]]] = {}
    for port in graph.inputs:
        shapes[port.name] = []
        for sides in ((least, least), usual, largest):
            sizes = {"batch": 1, "height": sides[0], "width": sides[1]}
            shapes[port.name].append(
                [dim if isinstance(dim, int) else sizes.get(dim, 1) for dim in port.shape]
            )
    return shapes


def _run_apart(folder: Path, onnx_path: Path) -> None:
    root = Path(stylepress.__file__).parent.parent  # where an uninstalled checkout is found
    command = [sys.executable, "-m", "stylepress.export.rtx", str(folder)]
    try:
        done = subprocess.run(
            command, cwd=root, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ExportError(
            f"TensorRT for RTX did not finish {onnx_path.name} within {TIMEOUT_S:.0f} s.",
            "Compile it on a faster machine, or with a smaller largest size.",
        ) from error
    if done.returncode:
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"code {done.returncode}"
        last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
        raise ExportError(
            f"TensorRT for RTX broke on {onnx_path.name} ({how}{': ' if last else ''}"
            f"{''.join(last)[:200]}).",
            "Another opset may get around it; report the file to NVIDIA.",
        )


def read_layers(log: Sequence[Sequence[str]]) -> tuple[PlanLayer, ...]:
    """Read the list of fused layers that the compiler tells at the end of a build.

    >>> text = "Layers:\\nName: a, LayerType: kgen, Inputs: [{ Datatype: UInt8, Format: x }], "
    >>> read_layers([["VERBOSE", text + "Outputs: [{ Datatype: Int8 }], TacticName: "]])
    (PlanLayer(name='a', kind='kgen', inputs=('UInt8',), outputs=('Int8',)),)
    """
    text = next((line for _, line in reversed(log) if line.startswith("Layers:")), "")
    layers: list[PlanLayer] = []
    for line in text.splitlines():
        head = re.match(r"Name: (.*?), LayerType: (\w+), Inputs: (.*)", line)
        if head:
            name, kind, ports = head.groups()
            taken, _, given = ports.partition("Outputs: ")
            taken, _, _ = taken.partition("Constants: ")
            layers.append(PlanLayer(name, kind, _datatypes(taken), _datatypes(given)))
    return tuple(layers)


def _datatypes(ports: str) -> tuple[str, ...]:
    return tuple(re.findall(r"Datatype: (\w+)", ports))


def _activation_bytes(log: Sequence[Sequence[str]]) -> int:
    found = [re.match(r"Total Activation Memory: (\d+) bytes", line) for _, line in log]
    return max((int(match[1]) for match in found if match), default=0)


def _compile(folder: Path) -> None:
    """Do what ``order.json`` in ``folder`` asks for; leave ``report.json`` and ``plan`` there."""
    trt: Any = importlib.import_module(PACKAGE)
    order = json.loads((folder / "order.json").read_text(encoding="utf-8"))
    log: list[tuple[str, str]] = []

    class Log(trt.ILogger):  # type: ignore[misc]
        def log(self, severity: Any, message: str) -> None:
            log.append((severity.name, message))

    logger = Log()
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    error, plan = "", None
    if parser.parse(Path(order["onnx"]).read_bytes()):
        config = builder.create_builder_config()
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, order["capability"]), 0)
        profile = builder.create_optimization_profile()
        for name, shapes in order["shapes"].items():
            profile.set_shape(name, *(tuple(shape) for shape in shapes))
        config.add_optimization_profile(profile)
        plan = builder.build_serialized_network(network, config)
    else:
        faults = [parser.get_error(index) for index in range(parser.num_errors)]
        error = "; ".join(f"{fault.desc()} (node {fault.node_name()})" for fault in faults)
    if plan is None and not error:
        error = next((line for kind, line in log if kind == "ERROR"), "no plan came out")
    if plan is not None:
        (folder / "plan").write_bytes(bytes(plan))
    report = {"error": error, "log": log, "version": str(trt.__version__)}
    (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")


if __name__ == "__main__":
    _compile(Path(sys.argv[1]))
