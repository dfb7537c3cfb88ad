"""A bundle lowered to a target: its graph in the form of each engine that the target lists."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from PIL import Image

import stylepress
from stylepress.artifact import GOLDEN, Artifact
from stylepress.errors import ArtifactError, RecipeError, VerificationError
from stylepress.export.bundle import GOLDEN_LEVELS, GRAPH, bundle_numbers, sealed
from stylepress.export.frame_graph import FRAME, MODEL
from stylepress.export.golden import golden_crops, golden_files
from stylepress.export.lowering.lints import Finding
from stylepress.export.lowering.lower import Lowering, lowered, placed
from stylepress.export.onnx_file import serialized
from stylepress.export.roofline import floor
from stylepress.export.verify import Agreement, compare, fitted
from stylepress.picture import Pixels
from stylepress.ports import Graph
from stylepress.progress import Progress
from stylepress.steps import LowerStep
from stylepress.targets.target import Precision, Target

FOR_ONNXRUNTIME = "frame_onnxruntime"
"""The graph that stands beside the main one where another engine comes first."""
WATCHED_SIZE = (256, 384)


def lower_bundle(
    bundle: Artifact,
    target: Target,
    out: Path,
    *,
    photos: Sequence[Pixels],
    options: LowerStep,
    progress: Progress,
) -> Artifact:
    """Lower a bundle to a target, hold it against itself after each pass, and seal it in ``out``.

    ``photos`` are (1, H, W, 3) uint8; without any, the golden pictures of the bundle are used.

    Raises:
        ArtifactError: it is no bundle, or holds no golden pictures.
        RecipeError: FP16 is asked for what is INT8, or of a target without it.
        ExportError: a node that the target cannot take; it is named, with the mend.
        VerificationError: a pass changed the pictures by more than it may.
        OutputError: ``out`` cannot be written.
    """
    if bundle.kind != "bundle" or GRAPH not in bundle.graphs:
        raise ArtifactError(
            f"{bundle.folder} is no bundle of a frame graph, so it cannot be lowered.",
            "Name a bundle that `stylepress build` wrote.",
        )
    _check_precision(bundle, target, options)
    model = onnx.load_model_from_string(bundle.path(bundle.graphs[GRAPH].file).read_bytes())
    port = bundle.graphs[GRAPH].picture
    least = port.least if port else 1
    shown = [*golden_inputs(bundle), *(fitted(one, WATCHED_SIZE) for one in photos)]
    progress.start(f"{bundle.name}: lowering to {target.full_name}", None)
    main = lowered(model, target, shown, options)
    findings = main.findings(least)
    lowerings = {GRAPH: main}
    quantized = any(node.op_type == "QuantizeLinear" for node in model.graph.node)
    if quantized and "onnxruntime" in target.engines[1:]:
        try:
            lowerings[FOR_ONNXRUNTIME] = placed(model, target, shown, options)
        except VerificationError as error:
            progress.warn(f"INT8 will be slow in ONNX Runtime, of all engines. {error.wrong}")
    for each in lowerings.values():
        for one in each.passes:
            progress.say(f"{one.name}: {_said(one.agreement)}.")
    for warning in _worth_saying(findings, options):
        progress.warn(f"{target.full_name}: {warning}")
    progress.finish()
    return _sealed(
        bundle, target, out, (lowerings, findings, photos or golden_inputs(bundle)), options
    )


def _worth_saying(findings: Sequence[Finding], options: LowerStep) -> list[str]:
    """Return the warnings; of NVDLA one sentence, unless the bundle is meant for it."""
    if options.variant == "dla":
        return [str(one) for one in findings]
    left = [one for one in findings if one.rule == "dla"]
    said = [str(one) for one in findings if one.rule != "dla"]
    if left:
        said.append(
            f"NVDLA is not of use for this network: {len(left)} of its nodes and ports would go "
            f"back to the GPU ({left[0].node} first). It is lowered for the GPU."
        )
    return said


def golden_inputs(bundle: Artifact) -> list[Pixels]:
    """Return the golden frames of a bundle, (1, H, W, 3) uint8 each.

    Raises:
        ArtifactError: it has none.
    """
    start, end = f"{GOLDEN}/{GRAPH}/", f".{FRAME}.png"
    names = sorted(n for n in bundle.files if n.startswith(start) and n.endswith(end))
    if not names:
        raise ArtifactError(
            f"{bundle.folder} holds no golden pictures to check a lowering on.",
            "Build it again with `stylepress build`.",
        )
    frames = []
    for name in names:
        with Image.open(bundle.path(name), formats=("PNG",)) as picture:
            frames.append(np.array(picture.convert("RGB"), np.uint8)[np.newaxis])
    return frames


def _check_precision(bundle: Artifact, target: Target, options: LowerStep) -> None:
    if bundle.made_by.get("precision") == "int8" and "int8" not in target.precisions:
        raise RecipeError(
            f"{bundle.folder} is INT8, and {target.name} runs {', '.join(target.precisions)}.",
            "Lower the float bundle that it was made from.",
        )
    if not options.fp16:
        return
    if "fp16" not in target.precisions:
        raise RecipeError(
            f"{target.name} runs {', '.join(target.precisions)}, not FP16.",
            "Choose with `--precision`.",
        )
    if bundle.made_by.get("precision") != "fp32":
        raise RecipeError(
            f"{bundle.folder} is {bundle.made_by.get('precision')}; FP16 is made of a float bundle.",
            "Leave out `quantize`, or `fp16`.",
        )


def _sealed(
    bundle: Artifact,
    target: Target,
    out: Path,
    result: tuple[dict[str, Lowering], Sequence[Finding], Sequence[Pixels]],
    options: LowerStep,
) -> Artifact:
    lowerings, findings, photos = result
    before = bundle.path(bundle.graphs[GRAPH].file).read_bytes()
    files: dict[str, bytes] = {}
    graphs: dict[str, Graph] = {}
    levels = float(bundle.numbers.get("golden_tolerance", GOLDEN_LEVELS))
    rms = float(bundle.numbers.get("golden_rms", levels))
    for name, lowering in lowerings.items():
        place = MODEL if name == GRAPH else f"{name}.onnx"
        data = serialized(lowering.model)
        update: dict[str, Any] = {"file": place}
        if name != GRAPH:
            update |= {"instead_of": GRAPH, "engines": ("onnxruntime",)}
        graphs[name] = _ports(bundle.graphs[GRAPH], options).model_copy(update=update)
        files |= {place: data, **golden_files(data, photos, graphs[name], name, options.size)}
        crops = [crop for crop, _ in golden_crops(photos, options.size)]
        moved = compare(before, data, crops)
        levels, rms = max(levels, moved.worst_levels), max(rms, moved.rms_levels)
    main = lowerings[GRAPH].model
    precision: Precision = "fp16" if options.fp16 else bundle.made_by.get("precision", "fp32")
    numbers = dict(bundle.numbers)
    numbers |= {
        key: value
        for key, value in bundle_numbers(main, _total(lowerings[GRAPH]), (levels, rms)).items()
        if key not in ("psnr_db", "worst_levels")
    }
    numbers["lowered_psnr_db"] = min(_total(each).psnr_db for each in lowerings.values())
    estimate = floor(main, target, size=target.size, precision=precision)
    if estimate.ms is not None:
        numbers["estimated_floor_ms"] = estimate.ms
    kept = ("family", "image", "int8_layers", "float_layers")
    return sealed(
        out,
        files,
        name=bundle.name,
        graphs=graphs,
        made_by={
            "step": "lower",
            "stylepress": stylepress.__version__,
            **{key: bundle.made_by[key] for key in kept if key in bundle.made_by},
            "target": target.full_name,
            "opset": max(entry.version for entry in main.opset_import),
            "precision": precision,
            "variant": options.variant,
            "passes": {name: [one.name for one in each.passes] for name, each in lowerings.items()},
            "warnings": _worth_saying(findings, options),
        },
        parent=bundle.digest,
        numbers=numbers,
    )


def _ports(graph: Graph, options: LowerStep) -> Graph:
    """Return the graph's ports with the sizes that were fixed."""
    sizes: dict[str, int] = {"batch": options.batch} if options.batch else {}
    if options.size:
        sizes |= dict(zip(("height", "width"), options.size, strict=True))

    def port_shape(shape: tuple[int | str, ...]) -> tuple[int | str, ...]:
        return tuple(sizes.get(dim, dim) if isinstance(dim, str) else dim for dim in shape)

    update = {
        side: tuple(p.model_copy(update={"shape": port_shape(p.shape)}) for p in ports)
        for side, ports in (("inputs", graph.inputs), ("outputs", graph.outputs))
    }
    return graph.model_copy(update=update)


def _total(lowering: Lowering) -> Agreement:
    worst = max((one.agreement.worst_levels for one in lowering.passes), default=0)
    least_db = min((one.agreement.psnr_db for one in lowering.passes), default=100.0)
    return Agreement(worst, least_db, len(lowering.pictures))


def _said(agreement: Agreement) -> str:
    if not agreement.worst_levels:
        return "equal in every pixel"
    return f"{agreement.psnr_db:.1f} dB, at most {agreement.worst_levels} levels"
