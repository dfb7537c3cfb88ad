"""One function that writes a bundle or a checkpoint in the format of another program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from stylepress.artifact import Artifact
from stylepress.errors import ArtifactError, OutputError
from stylepress.replace import replacing_folder
from stylepress.targets.target import Target

Format = Literal["openvino", "torchscript", "torch-export", "triton"]


def convert(source: Artifact, form: Format, out: Path, *, target: Target) -> str:
    """Write ``source`` as ``form`` into the new folder ``out``, check it, and say what it is.

    OpenVINO IR and Triton take a bundle; the archives of PyTorch take a checkpoint.

    Raises:
        ArtifactError: it is the other kind of artifact.
        OutputError: ``out`` exists, or cannot be written.
        BackendError, ExportError, VerificationError: as the format's own function.
    """
    wanted = "checkpoint" if form in ("torchscript", "torch-export") else "bundle"
    if source.kind != wanted:
        raise ArtifactError(
            f"{source.folder} is a {source.kind}, and {form} is made of a {wanted}.",
            f"Name the folder of the {wanted} instead.",
        )
    if out.exists():
        raise OutputError(f"{out} exists already.", "Name a new folder, or move it away.")
    with replacing_folder(out) as beside:
        return _WRITERS[form](source, beside, target)


def _openvino(source: Artifact, folder: Path, target: Target) -> str:
    from stylepress.export.bundle import GOLDEN_LEVELS
    from stylepress.export.formats.openvino_ir import write_ir
    from stylepress.export.lowering.bundle import golden_inputs

    graph = _frame_graph(source)
    proof = write_ir(
        source.path(source.graphs[graph].file).read_bytes(),
        folder,
        golden_inputs(source),
        levels=int(source.numbers.get("golden_tolerance", GOLDEN_LEVELS)),
    )
    return (
        f"OpenVINO IR: {proof.int8_convolutions} of {proof.convolutions} convolutions run in INT8, "
        f"at most {proof.worst_levels} levels from ONNX Runtime."
    )


def _torchscript(source: Artifact, folder: Path, target: Target) -> str:
    from stylepress.export.formats.torch_archive import write_archive
    from stylepress.export.stage import frame_graph_of

    place = write_archive(frame_graph_of(source), folder, "torchscript")
    return f"TorchScript: {place.name}, frames as uint8 (N, H, W, 3) in and out."


def _torch_export(source: Artifact, folder: Path, target: Target) -> str:
    from stylepress.export.formats.torch_archive import write_archive
    from stylepress.export.stage import frame_graph_of

    place = write_archive(frame_graph_of(source), folder, "torch-export")
    return (
        f"torch.export: {place.name}, frames as uint8 (N, H, W, 3) in and out; open it with "
        f"`torch.export.load(...).module(check_guards=False)`."
    )


def _triton(source: Artifact, folder: Path, target: Target) -> str:
    from stylepress.export.formats.triton import write_repository

    graph = source.graphs[_frame_graph(source)]
    model = source.path(graph.file).read_bytes()
    write_repository(
        model,
        graph,
        folder,
        name=source.name,
        target=target,
        precision=source.made_by.get("precision", "fp32"),
    )
    return f"A model repository of Triton with the model {source.name}."


def _frame_graph(source: Artifact) -> str:
    names = [name for name, graph in source.graphs.items() if graph.kind == "frame"]
    if not names:
        raise ArtifactError(f"{source.folder} holds no frame graph.", "Name another bundle.")
    return names[0]


_WRITERS: Mapping[Format, Callable[[Artifact, Path, Target], str]] = {
    "openvino": _openvino,
    "torchscript": _torchscript,
    "torch-export": _torch_export,
    "triton": _triton,
}
