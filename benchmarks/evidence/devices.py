"""The table of devices: every shipped model lowered to every profile, linted, and held against itself.

``python -m stylepress.benchmarks.evidence.devices [--out FOLDER]`` writes ``devices.csv`` and
``devices.md``, and ends with 1 if a cell is not green. Nothing of it ran on the devices.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import onnx

from stylepress.artifact import Artifact
from stylepress.errors import StylepressError
from stylepress.export.bundle import GRAPH
from stylepress.export.lowering.bundle import golden_inputs
from stylepress.export.lowering.lower import Lowering, lowered, placed
from stylepress.export.onnx_file import onnx_model
from stylepress.export.stage import frame_graph_of
from stylepress.picture import Pixels
from stylepress.replace import replacing_file
from stylepress.steps import LowerStep
from stylepress.targets.target import Precision, Target, load_target, names

ENOUGH_DB = 32.0
CSV, TABLE = "devices.csv", "devices.md"


@dataclass(frozen=True, slots=True)
class Model:
    """A graph that ships, the pictures it is checked on, and the least frame it takes."""

    name: str
    precision: Precision
    model: onnx.ModelProto
    pictures: Sequence[Pixels]
    least: int


@dataclass(frozen=True, slots=True)
class Cell:
    """One model on one profile: the passes it went through, and what is left to say.

    ``worst_levels`` and ``psnr_db`` are of the pass that changed the pictures most, against the
    graph before it; ``bit_exact`` counts the passes that changed no pixel.
    """

    profile: str
    model: str
    precision: str
    passes: str
    bit_exact: int
    worst_levels: int
    psnr_db: float
    warnings: int
    problem: str

    @property
    def green(self) -> bool:
        """Whether it was lowered, is free of fatal findings, and draws the same pictures."""
        return not self.problem


def profiles() -> Iterator[Target]:
    """Yield every profile with each of its JetPacks; power modes change no graph."""
    for name in names():
        target = load_target(name)
        for jetpack in target.jetpacks or ("",):
            yield load_target(f"{name}@{jetpack}") if jetpack else target


def models(recipes: Path, style: str) -> Iterator[Model]:
    """Yield what a style ships: student INT8, student float, and the teacher as it is."""
    bundle = Artifact.load(recipes / style / "bundle")
    graph = bundle.graphs[GRAPH]
    pictures = golden_inputs(bundle)
    least = graph.picture.least if graph.picture else 1
    int8 = onnx.load_model_from_string(bundle.path(graph.file).read_bytes())
    yield Model(f"{style} student", "int8", int8, pictures, least)
    for kind in ("student", "teacher"):
        network = frame_graph_of(Artifact.load(recipes / style / kind))
        yield Model(f"{style} {kind}", "fp32", onnx_model(network), pictures, network.least)


def cell(model: Model, target: Target) -> Cell:
    """Lower one model to one profile, in the precision that the profile runs best."""
    half = model.precision == "fp32" and "fp16" in target.precisions
    options = LowerStep(target=target.name, fp16=half, min_psnr_db=ENOUGH_DB)
    problem, warnings = "", 0
    made: list[Lowering] = []
    try:
        made.append(lowered(model.model, target, model.pictures, options))
        warnings = len(made[0].findings(model.least))
        if model.precision == "int8" and "onnxruntime" in target.engines[1:]:
            made.append(placed(model.model, target, model.pictures, options))
    except StylepressError as error:
        problem = str(error)
    passes = [one for lowering in made for one in lowering.passes]
    return Cell(
        profile=target.full_name.partition(":")[0],
        model=model.name,
        precision="fp16" if half else model.precision,
        passes="; ".join(one.name for one in passes),
        bit_exact=sum(not one.agreement.worst_levels for one in passes),
        worst_levels=max((one.agreement.worst_levels for one in passes), default=0),
        psnr_db=round(min((one.agreement.psnr_db for one in passes), default=100.0), 2),
        warnings=warnings,
        problem=problem,
    )


def cells(recipes: Path, targets: Sequence[Target]) -> Iterator[Cell]:
    """Yield a cell for each model that a profile takes; equal demands are met once."""
    for style in sorted(place.parent.name for place in recipes.glob("*/bundle")):
        for model in models(recipes, style):
            met: dict[tuple[object, ...], Cell] = {}
            for target in targets:
                if _takes(target, model):
                    demand = _demand(target)
                    if demand not in met:
                        met[demand] = cell(model, target)
                    values = asdict(met[demand]) | {"profile": target.full_name.partition(":")[0]}
                    yield Cell(**values)


def _takes(target: Target, model: Model) -> bool:
    """A profile with INT8 gets the INT8 student; one without gets it in float."""
    wanted = "int8" if "int8" in target.precisions else "fp32"
    return "teacher" in model.name or model.precision == wanted


def _demand(target: Target) -> tuple[object, ...]:
    """What of a profile decides how a graph is lowered and linted."""
    return (
        target.engines, target.opset, target.tensorrt_version, target.dla_cores, target.precisions
    )  # fmt: skip


def table(made: Sequence[Cell]) -> str:
    """Return the cells as a Markdown table, a profile a row and a model a column."""
    columns = list(dict.fromkeys(one.model for one in made))
    rows = list(dict.fromkeys(one.profile for one in made))
    by_place = {(one.profile, one.model): one for one in made}
    lines = ["| profile | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for row in rows:
        shown = [_shown(by_place.get((row, column))) for column in columns]
        lines.append(f"| {row} | " + " | ".join(shown) + " |")
    green = sum(one.green for one in made)
    devices = len({row.partition("@")[0] for row in rows})
    head = (
        f"{green} of {len(made)} cells are green: {devices} devices, {len(rows)} with their "
        f"JetPacks. A cell says the precision, and how far the pictures of the lowered graph are "
        f"from those before, in ONNX Runtime: `=` is equal in every pixel. Nothing of it ran on "
        f"the devices.\n"
    )
    return head + "\n" + "\n".join(lines) + "\n"


def _shown(one: Cell | None) -> str:
    if one is None:
        return ""
    if not one.green:
        return f"**{one.problem}**"
    return f"{one.precision} {'=' if not one.worst_levels else f'{one.psnr_db:.1f} dB'}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the table; return 1 if a cell is not green."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipes", type=Path, default=Path("recipes"))
    parser.add_argument("--out", type=Path, default=Path("docs/devices"))
    options = parser.parse_args(arguments)
    made = list(cells(options.recipes, list(profiles())))
    with replacing_file(options.out / CSV) as beside, beside.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Cell)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(one) for one in made)
    with replacing_file(options.out / TABLE) as beside:
        beside.write_text(table(made), encoding="utf-8")
    wrong = [one for one in made if not one.green]
    sys.stdout.write(f"{len(made) - len(wrong)} of {len(made)} cells are green.\n")
    for one in wrong:
        sys.stdout.write(f"{one.profile}, {one.model}: {one.problem}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
