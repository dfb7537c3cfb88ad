"""Every shipped model lowered to every profile, and what ONNX Runtime draws of it then.

Nothing of it runs on the devices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import onnx

from stylepress.benchmarks.evidence.documents import EQUAL_DB
from stylepress.benchmarks.evidence.row import Row
from stylepress.benchmarks.evidence.setting import Setting, Shipped
from stylepress.errors import StylepressError
from stylepress.export.bundle import GRAPH
from stylepress.export.lowering.bundle import golden_inputs
from stylepress.export.lowering.lower import lowered, placed
from stylepress.export.onnx_file import onnx_model
from stylepress.export.stage import frame_graph_of
from stylepress.steps import LowerStep
from stylepress.targets.target import Target, load_target, names

LOWERED = "lowered graph against the one before"
ENOUGH_DB = 32.0


def profiles() -> Iterator[Target]:
    """Yield every profile with each of its JetPacks; power modes change no graph."""
    for name in names():
        target = load_target(name)
        for jetpack in target.jetpacks or ("",):
            yield load_target(f"{name}@{jetpack}") if jetpack else target


def rows(setting: Setting, *, targets: Sequence[Target] | None = None) -> Iterator[Row]:
    """Lower each model to each profile that takes it; equal demands are met once.

    A student ships as INT8 and as float, a teacher as float.
    """
    targets = targets or list(profiles())
    for style in setting.styles:
        int8 = onnx.load(str(style.bundle.path(style.bundle.graphs[GRAPH].file)))
        floats = [onnx_model(frame_graph_of(one)) for one in (style.student, style.teacher)]
        for name, of, model, precision in (
            ("student", style.bundle, int8, "int8"),
            ("student", style.student, floats[0], "fp32"),
            ("teacher", style.teacher, floats[1], "fp32"),
        ):
            met: dict[object, Row] = {}
            for target in targets:
                best = "int8" if "int8" in target.precisions else "fp32"
                if name == "student" and precision != best:
                    continue
                demand = (
                    target.engines, target.opset, target.tensorrt_version, target.dla_cores,
                    target.precisions,
                )  # fmt: skip
                if demand not in met:
                    row = _lowered(model, style, target, precision=precision)
                    met[demand] = replace(row, subject=f"{style.name} {name}", digest=of.digest)
                yield replace(met[demand], engine=target.full_name.partition(":")[0])


def _lowered(model: onnx.ModelProto, style: Shipped, target: Target, *, precision: str) -> Row:
    """Lower one model in the precision that the profile runs best.

    The value is of the pass that changed the pictures most, against the graph before it.
    """
    half = precision == "fp32" and "fp16" in target.precisions
    options = LowerStep(target=target.name, fp16=half, min_psnr_db=ENOUGH_DB)
    pictures = golden_inputs(style.bundle)
    try:
        passes = list(lowered(model, target, pictures, options).passes)
        if precision == "int8" and "onnxruntime" in target.engines[1:]:
            passes += placed(model, target, pictures, options).passes
        changing = [one.agreement.psnr_db for one in passes if one.agreement.worst_levels]
        level, note = min(changing, default=EQUAL_DB), "; ".join(one.name for one in passes)
    except StylepressError as error:
        level, note = float("nan"), str(error)
    return Row(LOWERED, level, "dB", precision="fp16" if half else precision, note=note)
