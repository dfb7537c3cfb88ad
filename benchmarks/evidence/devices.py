"""Every shipped model lowered to every profile, and compiled for every generation of RTX cards.

Nothing of it runs on the devices: ONNX Runtime draws what a lowered graph draws, and TensorRT for
RTX compiles without a card.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import onnx

from stylepress.artifact import Artifact
from stylepress.benchmarks.evidence.row import Row
from stylepress.benchmarks.evidence.setting import Setting, Shipped
from stylepress.errors import StylepressError
from stylepress.export.bundle import GRAPH
from stylepress.export.lowering.bundle import golden_inputs
from stylepress.export.lowering.lower import Lowering, lowered, placed
from stylepress.export.onnx_file import onnx_model
from stylepress.export.rtx import PlanProof, compile_plan
from stylepress.export.stage import frame_graph_of
from stylepress.picture import Pixels
from stylepress.steps import LowerStep
from stylepress.targets.target import Precision, Target, load_target, names

LOWERED, INT8 = "lowered graph against the one before", "convolutions in INT8"
FLOAT = "convolutions in INT8 on a card that computes in float"
ENOUGH_DB, EQUAL_DB = 32.0, 99.0
CARDS = {"7.5": FLOAT, "8.6": INT8, "8.9": INT8, "12.0": INT8, "12.1": INT8}
"""Compute capabilities; TensorRT for RTX has no INT8 on Turing."""
NUMBERED = re.compile(rb"__mye\d+")
"""Names of temporaries: their numbers come from the order in which threads of the compiler run."""


@dataclass(frozen=True, slots=True)
class Model:
    """A graph that ships, the pictures it is checked on, and the least frame it takes."""

    name: str
    artifact: Artifact
    precision: Precision
    model: onnx.ModelProto
    pictures: Sequence[Pixels]
    least: int


def profiles() -> Iterator[Target]:
    """Yield every profile with each of its JetPacks; power modes change no graph."""
    for name in names():
        target = load_target(name)
        for jetpack in target.jetpacks or ("",):
            yield load_target(f"{name}@{jetpack}") if jetpack else target


def lowered_rows(setting: Setting, *, targets: Sequence[Target] | None = None) -> Iterator[Row]:
    """Lower each model to each profile that takes it; equal demands are met once."""
    for style in setting.styles:
        for model in _models(style):
            met: dict[tuple[object, ...], Row] = {}
            for target in targets or list(profiles()):
                wanted = "int8" if "int8" in target.precisions else "fp32"
                if "teacher" in model.name or model.precision == wanted:
                    demand = (
                        target.engines, target.opset, target.tensorrt_version, target.dla_cores,
                        target.precisions,
                    )  # fmt: skip
                    if demand not in met:
                        met[demand] = _lowered(model, target)
                    yield replace(met[demand], engine=target.full_name.partition(":")[0])


def _models(style: Shipped) -> Iterator[Model]:
    """Yield what a style ships: student INT8, student float, and the teacher as it is."""
    graph = style.bundle.graphs[GRAPH]
    pictures = golden_inputs(style.bundle)
    least = graph.picture.least if graph.picture else 1
    int8 = onnx.load_model_from_string(style.bundle.path(graph.file).read_bytes())
    yield Model(f"{style.name} student", style.bundle, "int8", int8, pictures, least)
    for kind, checkpoint in (("student", style.student), ("teacher", style.teacher)):
        network, name = frame_graph_of(checkpoint), f"{style.name} {kind}"
        yield Model(name, checkpoint, "fp32", onnx_model(network), pictures, network.least)


def _lowered(model: Model, target: Target) -> Row:
    """Lower one model in the precision that the profile runs best.

    The value is of the pass that changed the pictures most, against the graph before it.
    """
    half = model.precision == "fp32" and "fp16" in target.precisions
    options = LowerStep(target=target.name, fp16=half, min_psnr_db=ENOUGH_DB)
    lowerings: list[Lowering] = []
    try:
        lowerings.append(lowered(model.model, target, model.pictures, options))
        warnings = len(lowerings[0].findings(model.least))
        if model.precision == "int8" and "onnxruntime" in target.engines[1:]:
            lowerings.append(placed(model.model, target, model.pictures, options))
        passes = [step for lowering in lowerings for step in lowering.passes]
        level = min((step.agreement.psnr_db for step in passes), default=EQUAL_DB)
        note = "; ".join(step.name for step in passes)
        if not any(step.agreement.worst_levels for step in passes):
            level, note = EQUAL_DB, f"equal; {note}"
        note += f"; {warnings} warnings" if warnings else ""
    except StylepressError as error:
        level, note = float("nan"), str(error)
    return Row(
        LOWERED, level, "dB", model.name, precision="fp16" if half else model.precision,
        digest=model.artifact.digest, note=note,
    )  # fmt: skip


def compiled_rows(setting: Setting) -> Iterator[Row]:
    """Compile every bundle for every card, twice.

    Raises:
        BackendError: the compiler is not installed.
        ExportError: it refuses a bundle.
    """
    for style in setting.styles:
        graph = style.bundle.graphs[GRAPH]
        for card, figure in CARDS.items():
            first, second = (
                compile_plan(style.bundle.path(graph.file), graph, compute_capability=card)
                for _ in range(2)
            )
            count, done = len(first.convolutions), len(first.int8_convolutions)
            others = [layer.name for layer in first.convolutions if "Int8" not in layer.inputs]
            said = f"; float: {' '.join(others)}" if 0 < len(others) < count else ""
            note = (
                f"{done} of {count}{said}; {len(first.layers)} kernels, {len(first.reformats)} that "
                f"move; plan {len(first.plan) / 1e3:.0f} kB, weights {first.weight_bytes / 1e3:.0f} kB, "
                f"activations {first.activation_bytes / 1e6:.1f} MB at 1920x1080; "
                f"built twice: {alike(first, second)}"
            )
            yield Row(
                figure, 100 * done / max(1, count), "%", style.name, f"SM {card}",
                digest=style.bundle.digest, note=note,
            )  # fmt: skip


def alike(first: PlanProof, second: PlanProof) -> str:
    """Say how alike two plans of one order are."""
    if first.plan == second.plan:
        return "same bytes"
    if NUMBERED.sub(b"", first.plan) == NUMBERED.sub(b"", second.plan):
        return "same but for names of temporaries"
    memory = [(proof.activation_bytes, proof.weight_bytes) for proof in (first, second)]
    return "same kernels" if first.layers == second.layers and len({*memory}) == 1 else "differ"
