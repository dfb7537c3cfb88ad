"""The table of docs/models.md: every family trained, loaded, exported, run and measured, really.

    python -m stylepress.benchmarks.evidence.families [FAMILY ...] [--write docs/models.md [--missing]]

A row is written as soon as it is measured; rows of families that are not named stay.

Weights are random, in the published layout and size: what is proven is that files of that kind
load, export and run, and what they cost; not what a published file looks like.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from stylepress.artifact import Artifact
from stylepress.benchmarks.evidence.documents import MARKED, fill
from stylepress.benchmarks.evidence.learned import learned
from stylepress.errors import StylepressError
from stylepress.export.stage import export
from stylepress.model_steps import (
    AdainStep,
    DiffuseStep,
    LibraryStep,
    LibraryStyle,
    ModelStep,
    PairsStep,
    RegionsStep,
    SampleStep,
    TranslateStep,
)
from stylepress.runtime.backends import EngineOptions, open_engine
from stylepress.runtime.bundle import Bundle, read_bundle
from stylepress.runtime.choice import self_test
from stylepress.step_fields import Style
from stylepress.steps import ExportStep, LoadStep, TrainStep
from stylepress.train.families.adain import AdaIn
from stylepress.train.families.diffusers_folder import CONFIG, INDEX, WEIGHTS
from stylepress.train.models.stage import train_model
from stylepress.train.patterns import draw
from stylepress.train.stage import load, train
from stylepress.train.weights.checkpoint import load_network
from stylepress.train.weights.families import FAMILIES
from stylepress.usual import with_loss
from stylepress.work import Work

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
PHOTOS, HELD_OUT, STYLES = (
    RECIPES / "photos" / "train", RECIPES / "photos" / "heldout", RECIPES / "styles",
)  # fmt: skip
MARKER = "families"
SIDE = 256
HEAD = (
    *("family", "trains here", "learned (untrained, trivial)", "loads public layout"),
    *("exports", "runs", "params, GMAC at 256²"),
)
SHORT: dict[str, Any] = {"photos": PHOTOS, "seed": 1, "precision": "fp32", "sample_every": 10_000}
EDGES: dict[str, Any] = {"task": "edges", "steps": 200, "learning_rate": 2e-3, "steady_share": 0.3}
SMALL: dict[str, Any] = {"width": 8, "crop_px": 64, **SHORT}
NOISE: dict[str, Any] = {"side_px": 16, "width": 8, "noise": 32, "batch": 16, **SHORT}
GLASS, STROKES = Style(pattern="glass", size=256), Style(pattern="strokes", size=256)
TRAININGS: Mapping[str, TrainStep | ModelStep] = {
    "transformer": with_loss(TrainStep(blocks=1, steps=80, style=GLASS, **SMALL), "swd"),
    "library": with_loss(
        LibraryStep(
            styles={name: LibraryStyle(pattern=name, size=256) for name in ("glass", "strokes")},
            blocks=1, steps=120, **SMALL),
        "swd",
    ),
    "regions": with_loss(
        RegionsStep(inside=GLASS, outside=STROKES, blocks=1, steps=120, **SMALL), "swd"
    ),
    "adain": AdainStep(styles=STYLES, decoder=32, steps=60, crop_px=64, **SHORT),
    "resnet": PairsStep(
        blocks=2, judge_width=4, **EDGES, **SMALL
    ),
    "unet": PairsStep(
        model="unet", downs=4, judge_width=4, **EDGES, **SMALL
    ),
    "translator": PairsStep(
        blocks=2, judge_width=4, up="resize", attention=True, scales=2, **EDGES, **SMALL
    ),
    "conditioned": DiffuseStep(
        width=16, levels=2, batch=4, steps=250, learning_rate=2e-3, average=0.98, crop_px=64,
        task="edges", **SHORT,
    ),
    "dcgan": SampleStep(model="dcgan", steps=200, learning_rate=1e-3, **NOISE),
    "cgan": SampleStep(
        model="cgan", classes={"glass": GLASS, "strokes": STROKES},
        steps=200, learning_rate=2e-3, average=0.95, **NOISE,
    ),
    "stylegan": SampleStep(
        model="stylegan", steps=200, learning_rate=2e-3, average=0.95, **NOISE
    ),
    "swin": SampleStep(model="swin", steps=200, learning_rate=2e-3, average=0.95, **NOISE),
    "unet2d": SampleStep(
        model="ddpm", steps=300, learning_rate=2e-3, average=0.98, predicts="v_prediction",
        **{**NOISE, "width": 16},
    ),
}  # fmt: skip
"""A short training of each family that is trained here; seconds on one core."""
SAMPLING = 2
"""Steps of DDIM of a diffusion model that is exported: ten unrolled take minutes, and show no more."""
OURS = frozenset(
    {"student", "library", "regions", "translator", "cgan", "stylegan", "swin", "conditioned"}
)
"""Families of this project alone: they have no public layout but their own."""
FAULTS = (StylepressError, ArithmeticError, LookupError, OSError, RuntimeError, ValueError)
"""What makes a cell say no; anything else is a mistake in this file."""
Made = TypeVar("Made")


def row(name: str, folder: Path, home: Path) -> list[str]:
    """Try one family; a cell says what came of it."""
    at = Work(name, folder / "state", folder / "board", device="cpu", home=home)
    learnt, trained = _tried(lambda: _trained(name, folder, at))
    loaded, reads = _tried(lambda: _loaded(name, folder, at))
    cells = [f"`{name}`", trained, "; ".join(learnt or ()), reads, "", "", ""]
    if loaded is None:
        return cells
    bundle, cells[4] = _tried(lambda: _exported(loaded, folder, at))
    if bundle is None:
        return cells
    _, cells[5] = _tried(lambda: _ran(bundle))
    cost = bundle.artifact.numbers
    scale = (SIDE / 512) ** 2 if bundle.graph().kind == "frame" else 1.0
    cells[6] = f"{cost['params'] / 1e6:.2f} M, {cost['macs_512'] * scale / 1e9:.2f} G"
    return cells


def _tried(done: Callable[[], tuple[Made, str]]) -> tuple[Made | None, str]:
    try:
        return done()
    except FAULTS as error:
        return None, f"no: {type(error).__name__}"


def _trained(name: str, folder: Path, at: Work) -> tuple[list[str], str]:
    """Train in each way that a family is trained in; return what each learned, and which."""
    steps = [*([TRAININGS[name]] if name in TRAININGS else [])]
    if name == "resnet":  # the generator of a CycleGAN, here between photos and drawn glass
        paintings = folder / "paintings"
        paintings.mkdir()
        Image.fromarray(draw("glass", seed=1, size=256)).save(paintings / "glass.png")
        steps.append(TranslateStep(
            paintings=paintings, blocks=2, judge_width=8, steps=200, learning_rate=2e-3,
            steady_share=0.3, cycle_weight=2.0, identity_weight=0.0, **SMALL,
        ))  # fmt: skip
    learnt = list[str]()
    for step in steps:
        work, out = replace(at, folder=folder / f"{step.step}-state"), folder / step.step
        if isinstance(step, TrainStep):
            made = train(None, step, out, work)
        else:
            made = train_model(None, step, out, work)
        network = load_network(made.folder)
        if network.family != name:
            return learnt, "no: another family"
        torch.manual_seed(0)
        fresh = FAMILIES[name].full(network.config).eval()
        if isinstance(fresh, AdaIn):  # what is trained is its decoder
            fresh.encoder = cast("AdaIn", network.module).encoder
        learnt.append(learned(step, (network.module, fresh), HELD_OUT).line())
    words = "; ".join(f"`{step.step}`, {step.steps} steps" for step in steps)
    return learnt, words or ("distilled" if name == "student" else "no")


def _loaded(name: str, folder: Path, at: Work) -> tuple[Artifact, str]:
    family, public = FAMILIES[name], folder / "public"
    public.mkdir()
    torch.manual_seed(0)
    state = family.build(**family.usual).state_dict()
    path = _published(name, {key: value.clone() for key, value in state.items()}, public)
    made = load(None, LoadStep(checkpoint=path, sampling=SAMPLING), folder / "loaded", at)
    if json.loads(made.path("network.json").read_text(encoding="utf-8"))["family"] != name:
        return made, "no: taken for another"
    return made, "its own" if name in OURS else "yes"


def _published(name: str, state: Mapping[str, Tensor], folder: Path) -> Path:
    """Write weights as their repository does; return what a user would name."""
    if name == "adain":
        for file, part in (("vgg_normalised.pth", "encoder."), ("decoder.pth", "decoder.")):
            half = {k[len(part) :]: v for k, v in state.items() if k.startswith(part)}
            torch.save(half, folder / file)
        return folder / "decoder.pth"
    if name == "unet2d":
        blocks = {"down_block_types": ["Down", "AttnDown", "Down", "Down"],
                  "up_block_types": ["Up", "Up", "AttnUp", "Up"]}  # fmt: skip
        config = {key: [f"{one}Block2D" for one in kinds] for key, kinds in blocks.items()} | {
            "_class_name": "UNet2DModel",
            "block_out_channels": [128, 256, 256, 256],
            "sample_size": 32,
            "norm_eps": 1e-6,
            "flip_sin_to_cos": False,
            "freq_shift": 1,
            "downsample_padding": 0,
            "attention_head_dim": None,
        }
        (folder / "unet").mkdir()
        save_file(dict(state), folder / "unet" / WEIGHTS[0])
        (folder / "unet" / CONFIG).write_text(json.dumps(config), encoding="utf-8")
        (folder / INDEX).write_text('{"_class_name": "DDPMPipeline"}', encoding="utf-8")
        return folder
    torch.save(dict(state), folder / "net.pth")
    return folder / "net.pth"


def _exported(loaded: Artifact, folder: Path, at: Work) -> tuple[Bundle, str]:
    step = ExportStep(verify_sizes=((64, 64), (67, 93), (96, 128)))
    made = export(loaded, step, folder / "bundle", at)
    graphs = ", ".join(f"`{one}`" for one in made.graphs)
    return read_bundle(made.folder), f"{graphs}; {made.numbers['worst_levels']:g} levels from torch"


def _ran(bundle: Bundle) -> tuple[None, str]:
    for name in bundle.artifact.graphs:
        with closing(
            open_engine(bundle, "onnxruntime", options=EngineOptions(), graph=name)
        ) as engine:
            self_test(bundle, engine, name)
    return None, "yes"


def rows_of(path: Path | None) -> dict[str, str]:
    """Return the lines of the table that a document holds, by family; none without a document."""
    text = path.read_text(encoding="utf-8") if path else ""
    inside = "".join(one[0] for one in MARKED.finditer(text) if one["name"] == MARKER)
    return {one[1]: one[0] for one in re.finditer(r"^\| `(\w+)` .*$", inside, re.MULTILINE)}


def main() -> None:
    """Measure the rows, and put each between the marks of a document."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", default=[*FAMILIES], help="default all")
    parser.add_argument("--write", type=Path, help="document that holds the table")
    parser.add_argument("--missing", action="store_true", help="measure what has no row yet")
    options = parser.parse_args()
    for name in options.names:
        if options.missing and name in rows_of(options.write):
            continue
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            line = f"| {' | '.join(row(name, Path(folder), Path.home()))} |"
        print(f"{line}  {time.perf_counter() - began:.0f} s", flush=True)  # noqa: T201
        if options.write:
            lines = {**rows_of(options.write), name: line}  # others may have changed it since
            body = [f"| {' | '.join(HEAD)} |", f"|{'---|' * len(HEAD)}"]
            body += [lines[name] for name in FAMILIES if name in lines]
            fill(options.write, MARKER, "\n".join(body))


if __name__ == "__main__":
    main()
