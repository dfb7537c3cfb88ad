"""Every shipped bundle compiled by TensorRT for RTX for every generation of cards, and its proof.

``python -m stylepress.benchmarks.evidence.rtx [--out FOLDER]`` writes ``rtx.md``, and ends
with 1 when a bundle is refused or too few convolutions of a card that has INT8 are INT8. The
compiler is real and needs no GPU. **Nothing of it ran on a card.**
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from stylepress.artifact import Artifact
from stylepress.errors import StylepressError
from stylepress.export.bundle import GRAPH
from stylepress.export.rtx import PlanProof, compile_plan
from stylepress.replace import replacing_file

CARDS = ("7.5", "8.6", "8.9", "12.0", "12.1")
NO_INT8 = frozenset({"7.5"})
"""TensorRT for RTX computes in float on Turing."""
ENOUGH_SHARE = 0.9
TABLE = "rtx.md"
NUMBERED = re.compile(rb"__mye\d+")
"""Names of temporaries: their numbers come from the order in which threads of the compiler run."""
TITLES = {
    "bundle": "bundle",
    "capability": "SM",
    "convolutions": "convolutions",
    "int8": "of them INT8",
    "in_float": "the others",
    "reformats": "kernels that move",
    "kernels": "kernels",
    "plan_kb": "plan, kB",
    "activation_mb": "activations, MB",
    "weights_kb": "weights, kB",
    "repeated": "built twice",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One bundle for one card: what the compiler says of it, and how alike two builds are.

    Memory is for the largest frame of the profile, 1920x1080.
    """

    bundle: str
    capability: str
    convolutions: int
    int8: int
    in_float: str
    reformats: int
    kernels: int
    plan_kb: float
    activation_mb: float
    weights_kb: float
    repeated: str

    @property
    def green(self) -> bool:
        """Say whether enough convolutions are INT8 where the card has it."""
        return self.capability in NO_INT8 or self.int8 >= ENOUGH_SHARE * self.convolutions


def cells(folders: Sequence[Path], cards: Sequence[str], *, twice: bool) -> Iterator[Cell]:
    """Compile every bundle for every card, a second time where it is asked for.

    Raises:
        BackendError: the compiler is not installed.
        ExportError: it refuses a bundle.
    """
    for folder in folders:
        bundle = Artifact.load(folder)
        graph = bundle.graphs[GRAPH]
        for card in cards:
            proofs = [
                compile_plan(bundle.path(graph.file), graph, compute_capability=card)
                for _ in range(2 if twice else 1)
            ]
            yield _cell(bundle.name, card, proofs)


def alike(first: PlanProof, second: PlanProof) -> str:
    """Say how alike two plans of one order are."""
    if first.plan == second.plan:
        return "same bytes"
    if NUMBERED.sub(b"", first.plan) == NUMBERED.sub(b"", second.plan):
        return "same but for names of temporaries"
    memory = [(proof.activation_bytes, proof.weight_bytes) for proof in (first, second)]
    return "same kernels" if first.layers == second.layers and len({*memory}) == 1 else "differ"


def _cell(name: str, card: str, proofs: Sequence[PlanProof]) -> Cell:
    proof = proofs[0]
    others = [layer.name for layer in proof.convolutions if "Int8" not in layer.inputs]
    return Cell(
        bundle=name,
        capability=card,
        convolutions=len(proof.convolutions),
        int8=len(proof.int8_convolutions),
        in_float="all" if len(others) == len(proof.convolutions) else " ".join(others),
        reformats=len(proof.reformats),
        kernels=len(proof.layers),
        plan_kb=round(len(proof.plan) / 1e3, 1),
        activation_mb=round(proof.activation_bytes / 1e6, 1),
        weights_kb=round(proof.weight_bytes / 1e3, 1),
        repeated=alike(*proofs) if len(proofs) > 1 else "not tried",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table; return 1 when a cell is not green, 2 when nothing could be compiled."""
    parser = argparse.ArgumentParser(description="Compile every shipped bundle for RTX cards.")
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--bundles", type=Path, default=Path("recipes"))
    options = parser.parse_args(arguments)
    try:
        rows = list(cells(sorted(options.bundles.glob("*/bundle")), CARDS, twice=True))
    except StylepressError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    lines = [" | ".join(TITLES.values()), " | ".join("---" for _ in TITLES)]
    lines += [" | ".join(str(value) for value in asdict(row).values()) for row in rows]
    head = (
        "Compiled by TensorRT for RTX on a machine without a GPU, by `python -m "
        "stylepress.benchmarks.evidence.rtx`. **Nothing of it ran on a card.**\n\n"
    )
    with replacing_file(options.out / TABLE) as beside:
        beside.write_text(head + "".join(f"| {line} |\n" for line in lines), encoding="utf-8")
    return 0 if rows and all(row.green for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
