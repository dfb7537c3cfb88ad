"""Networks at rest: the checkpoint artifacts made here, and teachers from anybody's file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor, nn

from stylepress.artifact import Artifact, TensorSpec, file_digest
from stylepress.errors import CheckpointError
from stylepress.train.weights.families import FAMILIES, Family, recognise
from stylepress.train.weights.state import plain, read_safetensors, read_state, refuse_not_finite

WEIGHTS = "weights.safetensors"
NETWORK = "network.json"
NETWORK_LIMIT_BYTES = 1 << 20


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
    image: TensorSpec
    digest: str
    name: str


def load_teacher(path: Path, families: Mapping[str, Family] = FAMILIES) -> LoadedNetwork:
    """Load a network from a weights file of a known family, or from a checkpoint artifact.

    Raises:
        CheckpointError: weights that are unsafe, damaged, not finite, or of no known family.
        ArtifactError: a folder that is no artifact, or was altered.
    """
    if os.path.isdir(path):  # unlike Path.is_dir, never raises
        return _from_artifact(Artifact.load(path), families)
    family, config, state = recognise(read_state(path), path, families)
    module = _at_rest(family.network(config, state, path))
    return LoadedNetwork(module, family.name, config, family.image, file_digest(path), path.stem)


def _from_artifact(artifact: Artifact, families: Mapping[str, Family]) -> LoadedNetwork:
    name, config, state = read_checkpoint(artifact)
    if name not in families:
        raise CheckpointError(
            f"{artifact.folder} holds a {name[:40]!r} network where one of "
            f"{', '.join(families)} is expected. Name a checkpoint of such a network."
        )
    if not artifact.inputs or artifact.inputs[0].name != "image":
        raise CheckpointError(
            f"{artifact.folder} does not say what range of image its network takes. "
            f"Save it again with this version of stylepress."
        )
    module = _at_rest(families[name].network(config, state, artifact.folder))
    return LoadedNetwork(module, name, config, artifact.inputs[0], artifact.digest, artifact.name)


def _at_rest(module: nn.Module) -> nn.Module:
    return module.eval().requires_grad_(False)


def save_checkpoint(
    module: nn.Module,
    folder: Path,
    *,
    family: str,
    config: Mapping[str, Any],
    spec: TensorSpec,
    made_by: Mapping[str, Any],
    name: str,
    parent: str | None = None,
    numbers: Mapping[str, float] | None = None,
) -> Artifact:
    """Write the float32 weights of ``module`` and what rebuilds it: same weights, same bytes.

    ``spec`` is the network's image input, named ``image``; its output has the same range.

    Raises:
        CheckpointError: weights that are not finite, or a config its family does not have.
            Nothing is written then.
        OutputError: ``folder`` cannot be written to, or holds something else.
    """
    # Cloned, because safetensors refuses tensors that share memory.
    state = {key: plain(key, one, folder).clone() for key, one in module.state_dict().items()}
    refuse_not_finite(state, f"The network for {folder}")
    if family in FAMILIES:
        FAMILIES[family].check(config, folder)
    text = json.dumps({**config, "family": family}, indent=2, sort_keys=True, allow_nan=False)

    def fill(beside: Path) -> None:
        save_file(state, beside / WEIGHTS)
        (beside / NETWORK).write_text(text + "\n", encoding="utf-8")

    return Artifact.create(
        folder,
        fill,
        kind="checkpoint",
        name=name,
        inputs=(spec,),
        outputs=(replace(spec, name="image_out"),),
        made_by=made_by,
        parent=parent,
        numbers=numbers,
    )


def read_checkpoint(artifact: Artifact) -> tuple[str, dict[str, Any], dict[str, Tensor]]:
    """Return the family, its config and the weights of a checkpoint artifact.

    The config of a family that train/ knows is checked; any other is for its own room to check.

    Raises:
        CheckpointError: not a checkpoint, or its parts cannot be understood.
        ArtifactError: a file is missing.
    """
    if artifact.kind != "checkpoint":
        raise CheckpointError(
            f"{artifact.folder} is a {artifact.kind}, which holds no trainable network. "
            f"Name the checkpoint folder it was made from."
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
            f"{place} does not describe a network ({type(error).__name__}: {error}). "
            f"Train or build the checkpoint again."
        ) from error
    if family in FAMILIES:
        FAMILIES[family].check(config, place)
    weights = artifact.path(WEIGHTS)
    state = {key: plain(key, one, weights) for key, one in read_safetensors(weights).items()}
    refuse_not_finite(state, weights)
    return family, config, state


def _no_constant(name: str) -> float:
    raise ValueError(f"a number that is {name}")
