"""Networks at rest: the checkpoint artifacts written here, and networks from anybody's file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor, nn

from stylepress.artifact import Artifact, file_digest
from stylepress.errors import CheckpointError
from stylepress.ports import PICTURE_DIMS, Graph, Port
from stylepress.train.families.diffusers_folder import is_diffusers_folder, network_of
from stylepress.train.families.halves import joined
from stylepress.train.weights.families import FAMILIES, recognise
from stylepress.train.weights.family import Family
from stylepress.train.weights.state import (
    is_onnx,
    plain,
    read_safetensors,
    read_state,
    refuse_not_finite,
)

WEIGHTS = "weights.safetensors"
NETWORK = "network.json"
NETWORK_LIMIT_BYTES = 1 << 20
GRAPH = "network"
"""The one graph of a checkpoint."""


@dataclass(frozen=True, slots=True)
class LoadedNetwork:
    """A trained network in eval mode, no gradient on its weights, and what it takes.

    ``image`` tells the range of its (N, 3, H, W) float32 RGB input and output (which is not
    clamped to it). ``digest`` is the SHA-256 of the file it came from, or the digest of the
    artifact: what a checkpoint made from it names as its parent.
    """

    module: nn.Module
    family: str
    config: Mapping[str, Any]
    image: Port
    digest: str
    name: str


def load_network(
    path: Path,
    families: Mapping[str, Family] = FAMILIES,
    *,
    choices: Mapping[str, Any] | None = None,
) -> LoadedNetwork:
    """Load a network from a weights file, an ONNX file, a diffusers folder, or an artifact.

    ``choices`` decide what of a config the weights leave open (``statistics``, ``sampling``); those
    that a family does not have are passed over.

    Raises:
        CheckpointError: weights that are unsafe, damaged, not finite, or of no known family.
        ArtifactError: a folder that is no artifact, or was altered.
    """
    weights, config = path, dict(choices or {})
    if os.path.isdir(path):  # unlike Path.is_dir, never raises
        if not is_diffusers_folder(path):
            return _from_artifact(Artifact.load(path), families)
        _, weights, described = network_of(path)
        config = {**described, **config}
    family, config, state = recognise(network_state(weights), path, families, config)
    module = _at_rest(family.network(config, state, path))
    name, digest = path.stem, file_digest(weights)
    return LoadedNetwork(module, family.name, config, family.image, digest, name)


def network_state(path: Path) -> Mapping[str, Tensor]:
    """Read the weights of one network, from one file or, where it is half of one, from two.

    Raises:
        CheckpointError: not weights, or the other half is missing.
    """
    if is_onnx(path):
        from stylepress.train.weights.onnx_weights import onnx_state

        return onnx_state(path)
    state = read_state(path)
    return joined(state, path, read_state)


def _from_artifact(artifact: Artifact, families: Mapping[str, Family]) -> LoadedNetwork:
    name, config, state = read_checkpoint(artifact)
    if name not in families:
        raise CheckpointError(
            f"{artifact.folder} holds a {name[:40]!r} network where one of "
            f"{', '.join(families)} is expected.",
            "Name a checkpoint of such a network.",
        )
    graph = artifact.graphs.get(GRAPH)
    image = image_port(graph) if graph else None
    if image is None:
        raise CheckpointError(
            f"{artifact.folder} does not say what range of image its network takes.",
            "Save it again with this version of stylepress.",
        )
    module = _at_rest(families[name].network(config, state, artifact.folder))
    return LoadedNetwork(module, name, config, image, artifact.digest, artifact.name)


def image_port(graph: Graph) -> Port | None:
    """Return the port that says what a network's pictures are: its input, or what it draws."""
    for port in (*graph.inputs, *graph.outputs):
        if port.low is not None and len(port.shape) == PICTURE_DIMS and port.shape[1] == 3:
            return port
    return None


def network_graph(family: str, config: Mapping[str, Any], image: Port) -> Graph:
    """Return the ports of a checkpoint's network, in floats of its own range.

    A network that only draws takes what its sampler graph takes; any other takes pictures first.
    """
    after = image.model_copy(update={"name": f"{image.name}_out"})
    graphs = FAMILIES[family].graphs(config) if family in FAMILIES else {}
    kinds = {one.kind: one for one in reversed(list(graphs.values()))}
    main = kinds.get("frame") or kinds.get("sampler")
    more = main.inputs if main else ()
    inputs = more if main and main.kind == "sampler" else (image, *more)
    return Graph(kind="network", file=WEIGHTS, inputs=inputs, outputs=(after,))


def _at_rest(module: nn.Module) -> nn.Module:
    return module.eval().requires_grad_(False)


def save_checkpoint(
    module: nn.Module,
    folder: Path,
    *,
    family: str,
    config: Mapping[str, Any],
    spec: Port,
    made_by: Mapping[str, Any],
    name: str,
    parent: str | None = None,
    numbers: Mapping[str, float] | None = None,
    half: bool = False,
    texts: Mapping[str, str] | None = None,
) -> Artifact:
    """Write the float32 weights of ``module`` and what rebuilds it: same weights, same bytes.

    ``spec`` is the network's image input; its output has the same range and colour order. ``half``
    writes float16, which comes back as float32. ``texts`` are files to write beside, by name.

    Raises:
        CheckpointError: weights that are not finite, or a config its family does not have.
            Nothing is written then.
        OutputError: ``folder`` cannot be written to, or holds something else.
    """
    # Cloned, because safetensors refuses tensors that share memory.
    state = {key: plain(key, one, folder).clone() for key, one in module.state_dict().items()}
    if half:
        state = {key: one.half() if one.is_floating_point() else one for key, one in state.items()}
    refuse_not_finite(state, f"The network for {folder}")
    if family in FAMILIES:
        FAMILIES[family].check(config, folder)
    text = json.dumps({**config, "family": family}, indent=2, sort_keys=True, allow_nan=False)

    def fill(beside: Path) -> None:
        save_file(state, beside / WEIGHTS)
        for file, content in {NETWORK: text + "\n", **(texts or {})}.items():
            (beside / file).write_text(content, encoding="utf-8")

    return Artifact.create(
        folder,
        fill,
        kind="checkpoint",
        name=name,
        graphs={GRAPH: network_graph(family, config, spec)},
        made_by=made_by,
        parent=parent,
        numbers=numbers,
    )


def read_checkpoint(artifact: Artifact) -> tuple[str, dict[str, Any], dict[str, Tensor]]:
    """Return the family, its config and the weights of a checkpoint artifact.

    Raises:
        CheckpointError: not a checkpoint, or its parts cannot be understood.
        ArtifactError: a file is missing.
    """
    if artifact.kind != "checkpoint":
        raise CheckpointError(
            f"{artifact.folder} is a {artifact.kind}, which holds no trainable network.",
            "Name the checkpoint folder it was made from.",
        )
    place = artifact.path(NETWORK)
    try:
        if place.stat().st_size > NETWORK_LIMIT_BYTES:
            raise ValueError(f"larger than {NETWORK_LIMIT_BYTES >> 20} MiB")
        config = json.loads(place.read_text(encoding="utf-8"), parse_constant=_no_constant)
        family = config.pop("family")
        if not isinstance(family, str):
            raise TypeError(f"family {family!r}")
    except (OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            f"{place} does not describe a network ({type(error).__name__}: {error}).",
            "Train or build the checkpoint again.",
        ) from error
    if family not in FAMILIES:
        raise CheckpointError(
            f"{artifact.folder} holds a {family[:40]!r} network, and known are "
            f"{', '.join(FAMILIES)}.",
            "Update stylepress, or name another checkpoint.",
        )
    FAMILIES[family].check(config, place)
    weights = artifact.path(WEIGHTS)
    state = {key: plain(key, one, weights) for key, one in read_safetensors(weights).items()}
    refuse_not_finite(state, weights)
    return family, config, state


def _no_constant(name: str) -> float:
    raise ValueError(f"a number that is {name}")
