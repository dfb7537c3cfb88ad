"""Networks that repositories keep in two files: the half at hand, and the other beside it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from stylepress.errors import CheckpointError
from stylepress.train.families.taesd import own_decoder, own_encoder

State = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Half:
    """One of two files: ``keys`` are all it holds, ``brought`` gives them their place in the whole.

    ``other`` is a pattern of the name of the other file, in the same folder.
    """

    title: str
    keys: re.Pattern[str]
    marks: tuple[str, ...]
    brought: Callable[[State], dict[str, Tensor]]
    other: str
    usual: str

    def fits(self, state: State) -> bool:
        """Say whether some weights are this half, and nothing else."""
        return all(mark in state for mark in self.marks) and all(map(self.keys.fullmatch, state))


def _under(prefix: str) -> Callable[[State], dict[str, Tensor]]:
    return lambda state: {f"{prefix}{key}": tensor for key, tensor in state.items()}


_NUMBERS = re.compile(r"\d+\.(weight|bias)")
_BLOCKS = re.compile(r"\d+\.(conv\.\d\.)?(weight|bias)")
PAIRS: tuple[tuple[Half, Half], ...] = (
    (
        Half(
            "the encoder of TAESD", _BLOCKS, ("0.weight", "1.conv.4.weight", "14.weight"),
            own_encoder, r"(?i).*decoder.*\.(pth|safetensors)", "taesd_decoder.pth",
        ),
        Half(
            "the decoder of TAESD", _BLOCKS, ("1.weight", "3.conv.4.weight", "19.weight"),
            own_decoder, r"(?i).*encoder.*\.(pth|safetensors)", "taesd_encoder.pth",
        ),
    ),
    (
        Half(
            "the VGG of AdaIN", _NUMBERS, ("0.weight", "2.weight", "29.weight"),
            _under("encoder."), r"(?i)decoder.*\.(pth|pth\.tar|safetensors)", "decoder.pth",
        ),
        Half(
            "the decoder of AdaIN", _NUMBERS, ("1.weight", "5.weight", "28.weight"),
            _under("decoder."), r"(?i)vgg.*\.(pth|safetensors)", "vgg_normalised.pth",
        ),
    ),
)  # fmt: skip


def joined(state: State, path: Path, read: Callable[[Path], State]) -> State:
    """Return the whole network when ``state`` is half of one; anything else as it is.

    ``read`` reads the other file, which lies beside ``path``.

    Raises:
        CheckpointError: the other half is not there, or two files could be it.
    """
    for pair in PAIRS:
        for half, other in (pair, pair[::-1]):
            if half.fits(state):
                beside = [
                    p for p in sorted(path.parent.iterdir()) if re.fullmatch(half.other, p.name)
                ]
                fitting = [found for p in beside if p != path and other.fits(found := read(p))]
                if len(fitting) != 1:
                    there = f"{len(fitting)} files that hold" if fitting else "no file that holds"
                    raise CheckpointError(
                        f"{path} holds {half.title} alone, and beside it lies {there} "
                        f"{other.title}.",
                        f"Put that one file ({half.usual}) into the same folder.",
                    )
                return half.brought(state) | other.brought(fitting[0])
    return state
