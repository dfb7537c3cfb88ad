"""The third part of the path: a checkpoint becomes a bundle, float or INT8, or a compiled plan."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from stylepress.artifact import Artifact
from stylepress.errors import CheckpointError, RecipeError
from stylepress.export.bundle import GRAPH, exported, write_bundle
from stylepress.export.code_graphs import EncoderGraph, SamplerGraph
from stylepress.export.frame_graph import FrameGraph, ImageRange
from stylepress.export.int8.bundle import quantize_bundle
from stylepress.export.lowering.bundle import lower_bundle
from stylepress.export.onnx_file import AnyGraph
from stylepress.export.rtx import compile_plan
from stylepress.export.several import Lineage, main_graph, write_graphs
from stylepress.picture import Pixels
from stylepress.steps import EngineStep, ExportStep, LowerStep, QuantizeStep
from stylepress.targets.target import load_target
from stylepress.train.patterns import draw
from stylepress.train.stage import album
from stylepress.train.weights.checkpoint import load_network
from stylepress.train.weights.families import FAMILIES
from stylepress.work import Work

WATCHED = 4
"""Pictures that a file is verified on."""
DRAWN_PX = 256


def graphs_of(checkpoint: Artifact) -> dict[str, AnyGraph]:
    """Wrap the network of any checkpoint artifact as the graphs of its family.

    Raises:
        CheckpointError: its weights do not fit what it says it is.
    """
    loaded = load_network(checkpoint.folder)
    image, least = ImageRange.of(loaded.image), loaded.image.least
    graphs: dict[str, AnyGraph] = {}
    for name, one in FAMILIES[loaded.family].graphs(loaded.config).items():
        if one.kind == "frame":
            graphs[name] = FrameGraph(loaded.module, image, least=least, inputs=one.inputs)
        elif one.kind == "encoder":
            graphs[name] = EncoderGraph(
                loaded.module, image, entry=one.entry, outputs=one.outputs, least=least
            )
        else:
            graphs[name] = SamplerGraph(loaded.module, image, entry=one.entry, inputs=one.inputs)
    return graphs


def frame_graph_of(checkpoint: Artifact) -> FrameGraph:
    """Wrap the network of a checkpoint artifact that maps pictures to pictures, and only that.

    Raises:
        CheckpointError: its weights do not fit what it says it is, or it is of another kind.
    """
    graphs = graphs_of(checkpoint)
    graph = graphs.get(GRAPH)
    if len(graphs) > 1 or not isinstance(graph, FrameGraph):
        raise CheckpointError(
            f"{checkpoint.folder} has the graphs {', '.join(graphs)}, where one that maps pictures "
            f"to pictures is expected.",
            "Make a bundle of it with `stylepress export`.",
        )
    return graph


def export(source: Artifact, step: ExportStep, out: Path, work: Work) -> Artifact:
    """Write and verify the float bundle of a checkpoint, on photos or, without any, on patterns."""
    graphs = graphs_of(source)
    photos = list(itertools.islice(watched_pictures(step.photos, work), WATCHED))
    only = graphs.get(GRAPH)
    if len(graphs) > 1 or not isinstance(only, FrameGraph) or only.inputs:
        image = graphs[main_graph(graphs)].image
        return write_graphs(
            Lineage(exported(source, image, step), source.digest),
            graphs,
            out,
            name=work.name,
            photos=photos,
            options=step,
            progress=work.progress,
        )
    return write_bundle(
        source,
        only,
        out,
        name=work.name,
        photos=photos,
        options=step,
        progress=work.progress,
    )


def watched_pictures(folder: Path | None, work: Work) -> Iterator[Pixels]:
    """Yield a few photos of a folder to compare on, or a drawn pattern where there is none."""
    if folder is not None:
        return album(folder, work).frames(WATCHED)
    # One is enough to compare torch with ONNX on: the drawn pictures hold edges and flats alike.
    return iter([draw("glass", seed=1, size=DRAWN_PX)[None]])


def plain_frames(bundle: Artifact) -> None:
    """Refuse a bundle whose graphs take more than pictures: nothing is quantized or lowered of it.

    Raises:
        RecipeError: it has other graphs, or its frame graph must be fed a style.
    """
    graph = bundle.graphs.get(GRAPH)
    fed = [
        port.name
        for port in (graph.inputs if graph else ())
        if not port.is_picture and (port.default is None or len(port.shape) > 1)
    ]
    others = [name for name, one in bundle.graphs.items() if one.kind in ("encoder", "sampler")]
    if graph is None or fed or others:
        raise RecipeError(
            f"{bundle.folder} has the graphs {', '.join(bundle.graphs)}; INT8, FP16 and lowering "
            f"are there for graphs that map pictures to pictures and need nothing else.",
            "Take the float bundle: leave out `quantize`, `lower` and `--precision`.",
        )


def quantize(source: Artifact, step: QuantizeStep, out: Path, work: Work) -> Artifact:
    """Write the INT8 bundle of a float bundle, calibrated on photos."""
    plain_frames(source)
    if step.photos is None:
        raise RecipeError(
            "INT8 is calibrated on photos.", "Add `photos: FOLDER`, or `--photos DIR`."
        )
    return quantize_bundle(
        source,
        out,
        frames=album(step.photos, work).frames(
            step.calibration_photos, most_side=step.calibration_px
        ),
        options=step,
        progress=work.progress,
    )


def lower(source: Artifact, step: LowerStep, out: Path, work: Work) -> Artifact:
    """Write the bundle of a target: the same pictures, in the form that its engines take."""
    plain_frames(source)
    photos: list[Pixels] = []
    if step.photos is not None:
        photos = list(itertools.islice(album(step.photos, work).frames(WATCHED), WATCHED))
    return lower_bundle(
        source,
        load_target(step.target),
        out,
        photos=photos,
        options=step,
        progress=work.progress,
    )


def engine(source: Artifact, step: EngineStep, out: Path, work: Work) -> Artifact:
    """Compile a bundle for a desktop RTX target with TensorRT for RTX; no GPU is needed.

    The plan was parsed and compiled, not run: the numbers say what the compiler made of it.

    Raises:
        BackendError: the compiler is not installed, or refuses the bundle.
    """
    target = load_target(step.target)
    graph = source.graphs[GRAPH]
    work.progress.say(f"Compiling for {target.title}; nothing is run on the card.")
    proof = compile_plan(
        source.path(graph.file),
        graph,
        compute_capability=target.compute_capability or "8.9",
        size=target.size,
        progress=work.progress,
    )
    if target.memory_gb is not None and proof.memory_bytes > target.memory_gb * 1e9:
        work.progress.warn(
            f"The plan needs {proof.memory_bytes / 1e9:.1f} GB for its largest frame, and "
            f"{target.title} has {target.memory_gb:g} GB. Build for a smaller `size`."
        )

    def fill(beside: Path) -> None:
        (beside / "engine.plan").write_bytes(proof.plan)

    return Artifact.create(
        out,
        fill,
        kind="engine",
        name=source.name,
        made_by={
            "step": "engine",
            "target": target.name,
            "compiler": f"TensorRT for RTX {proof.version}",
            "compute_capability": proof.capability,
            "onnx": source.files[graph.file].sha256,
            "options": dict(proof.applied),
            "profile": {name: list(map(list, three)) for name, three in proof.shapes.items()},
            "float_convolutions": [
                layer.name for layer in proof.convolutions if "Int8" not in layer.inputs
            ],
            "ran_on_hardware": False,
        },
        parent=source.digest,
        numbers={
            "convolutions": float(len(proof.convolutions)),
            "int8_convolutions": float(len(proof.int8_convolutions)),
            "reformats": float(len(proof.reformats)),
            "activation_bytes": float(proof.activation_bytes),
            "weight_bytes": float(proof.weight_bytes),
            **({"memory_gb": target.memory_gb} if target.memory_gb is not None else {}),
        },
    )
