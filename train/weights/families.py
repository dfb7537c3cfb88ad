"""The network families that are known, and which of them some weights are of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from stylepress.errors import CheckpointError
from stylepress.train.families.adain import ADAIN
from stylepress.train.families.animegan import ANIMEGAN
from stylepress.train.families.dcgan import DCGAN
from stylepress.train.families.library import LIBRARY
from stylepress.train.families.resnet import CUT, RESNET
from stylepress.train.families.rrmina import RRMINA
from stylepress.train.families.taesd import TAESD
from stylepress.train.families.unet import UNET
from stylepress.train.families.unet2d import UNET2D
from stylepress.train.student import IMAGE as STUDENT_IMAGE
from stylepress.train.student import PRESETS, FoldedStudent, StudentSize
from stylepress.train.transformer import LEAST_SIDE, TransformerNet
from stylepress.train.weights.family import Config, Family, State, picture, some


def _measure_transformer(state: State) -> Config:
    blocks = 0
    while f"res{blocks + 1}.conv1.conv2d.weight" in state:
        blocks += 1
    return {"width": int(state["conv1.conv2d.weight"].shape[:1].numel()), "blocks": blocks}


TRANSFORMER = Family(
    name="transformer",
    title="fast style transfer of pytorch/examples",
    marks=("conv1.conv2d.weight", "deconv3.conv2d.weight"),
    measure=_measure_transformer,
    allowed={"width": range(1, 1025), "blocks": range(65)},
    usual={"width": 32, "blocks": 5},
    build=TransformerNet,
    image=picture(0.0, 255.0, least=LEAST_SIDE),
    # InstanceNorm kept statistics before PyTorch 0.4, and nobody used them.
    junk=re.compile(r"(^|\.)(n_averaged|in\d+\.running_(mean|var))$"),
    # The layout of 2017, before nn.InstanceNorm2d had learnt scales.
    renamed={r"(^|\.)(in\d+)\.scale$": r"\1\2.weight", r"(^|\.)(in\d+)\.shift$": r"\1\2.bias"},
    variant=(
        r"(^|\.)in\d+\.num_batches_tracked$",
        "normalises by statistics of its training (BatchNorm), not by those of each picture",
    ),
)


def _measure_student(state: State) -> Config:
    def count(place: str, first: int = 0) -> int:
        number = first
        while f"{place}.{number}.0.weight" in state:
            number += 1
        return number - first

    def width(key: str) -> int:
        return int(state[key].shape[:1].numel()) if key in state else 0

    four = "stem.2.weight" in state
    size = StudentSize(
        width=max(1, width("stem.2.weight") if four else width("stem.0.weight")),
        blocks=count("trunk.before") + count("trunk.after"),
        half=max(1, width("stem.0.weight")),
        stride=4 if four else 2,
        deep_width=width("trunk.deep.0.weight"),
        deep_blocks=max(0, count("trunk.deep", 2) - 1),
        norms=f"stem.{3 if four else 1}.0.weight" in state,
    )
    return asdict(size)


def _student(**config: Any) -> FoldedStudent:
    return FoldedStudent(StudentSize(**config))


STUDENT = Family(
    name="student",
    title="a student of stylepress, folded",
    marks=("stem.0.weight", "decoder.0.weight"),
    measure=_measure_student,
    allowed={
        "width": range(1, 1025),
        "blocks": range(65),
        "half": range(1, 1025),
        "stride": (2, 4),
        "deep_width": range(1025),
        "deep_blocks": range(65),
        "norms": (False, True),
    },
    usual=asdict(PRESETS["base"]),
    build=_student,
    image=STUDENT_IMAGE,
)

FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        *(TRANSFORMER, STUDENT, RRMINA, RESNET, CUT, UNET, ANIMEGAN),
        *(LIBRARY, ADAIN, TAESD, DCGAN, UNET2D),
    )
}
"""Every family that ``load_network`` recognises."""


def recognise(
    state: State,
    source: object,
    families: Mapping[str, Family] = FAMILIES,
    config: Mapping[str, Any] | None = None,
) -> tuple[Family, Config, dict[str, Tensor]]:
    """Tell the family and the config of some weights from their keys and shapes alone.

    ``config`` adds what shapes do not say: the choices of a load step, the file of a folder. Weights kept under one more prefix (``generator.``, ``net.``, beside a discriminator or a loss
    network) are found too. Returns the family, its config, and its own weights.

    Raises:
        CheckpointError: no family, naming the keys seen, the families known and the nearest one.
    """
    for family in families.values():
        first, today = family.marks[0], family.today(state)
        prefixes = {key[: -len(first)] for key in today if f".{key}".endswith(f".{first}")}
        whole = {
            prefix for prefix in prefixes if all(prefix + mark in today for mark in family.marks)
        }
        if len(whole) > 1:
            raise CheckpointError(
                f"{source} holds {len(whole)} networks of the family {family.name}, under "
                f"{some(sorted(whole))}.",
                "Save the one that is wanted into a file of its own.",
            )
        for prefix in whole:
            own = family.own(today, prefix)
            family.refuse_variant(own, source)
            whole_config = family.measure(own)
            whole_config |= {k: v for k, v in (config or {}).items() if k in family.allowed}
            if family.needs and set(whole_config) != set(family.allowed):
                raise CheckpointError(f"{source} looks like {family.title}.", family.needs)
            family.check(whole_config, source)
            return family, whole_config, own
    raise CheckpointError(*_unknown(state, source, families))


def _unknown(state: State, source: object, families: Mapping[str, Family]) -> tuple[str, str]:
    layouts = {}
    for family in families.values():
        with torch.device("meta"):
            layouts[family.name] = family.build(**family.usual).state_dict().keys()
    shares = {
        name: len(state.keys() & keys) / len(keys | state.keys()) for name, keys in layouts.items()
    }
    nearest = max(shares, key=lambda name: shares[name])
    known = ", ".join(f"{family.name} ({family.title})" for family in families.values())
    lacking = [key for key in layouts[nearest] if key not in state]
    beyond = [key for key in state if key not in layouts[nearest]]
    return (
        (
            f"{source} holds the weights of no known family: its keys are {some(state)}; known are "
            f"{known}; the nearest, {nearest}, has {some(lacking)} that are not there, and knows "
            f"nothing of {some(beyond)}."
        ),
        "Convert the weights to a known layout, or train a style with `stylepress train`.",
    )
