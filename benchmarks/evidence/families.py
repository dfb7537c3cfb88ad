"""The table of docs/models.md: every family trained, loaded, exported, run and measured, really.

    python -m stylepress.benchmarks.evidence.families [--write docs/models.md [--missing]] [FAMILY ...]

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
from pathlib import Path
from typing import Any, cast

import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from stylepress.artifact import Artifact
from stylepress.benchmarks.evidence.documents import fill
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


def row(name: str, folder: Path, home: Path) -> list[str]:
    """Try one family; a cell says what came of it."""
    at = Work(name=name, folder=folder / "t", board=folder / "b", device="cpu", home=home)
    learnt: list[str] = []
    trained = _said(lambda: _trained(name, folder, learnt))
    numbers = "; ".join(learnt)
    public = folder / "public"
    public.mkdir()
    loaded: dict[str, Artifact] = {}
    reads = _said(lambda: _loaded(name, public, folder, at, loaded))
    if name not in loaded:
        return [f"`{name}`", trained, numbers, reads, "", "", ""]
    bundles: dict[str, Bundle] = {}
    exports = _said(lambda: _exported(name, loaded[name], folder, at, bundles))
    if name not in bundles:
        return [f"`{name}`", trained, numbers, reads, exports, "", ""]
    runs = _said(lambda: _ran(bundles[name]))
    cost = bundles[name].artifact.numbers
    scale = (SIDE / 512) ** 2 if bundles[name].graph().kind == "frame" else 1.0
    measured = f"{cost['params'] / 1e6:.2f} M, {cost['macs_512'] * scale / 1e9:.2f} G"
    return [f"`{name}`", trained, numbers, reads, exports, runs, measured]


def _said(done: Callable[[], str]) -> str:
    try:
        return done()
    except (
        StylepressError,
        ArithmeticError,
        LookupError,
        OSError,
        RuntimeError,
        ValueError,
    ) as error:
        return f"no: {type(error).__name__}"


def _trained(name: str, folder: Path, numbers: list[str]) -> str:
    """Train in each way that a family is trained in; write to ``numbers`` what each learned."""
    steps = [*([TRAININGS[name]] if name in TRAININGS else []), *_translations(name, folder)]
    for step in steps:
        at = Work(
            name=name,
            folder=folder / f"{step.step}-state",
            board=folder / "board",
            device="cpu",
            home=Path.home(),
        )
        out = folder / step.step
        if isinstance(step, TrainStep):
            network = load_network(train(None, step, out, at).folder)
        else:
            network = load_network(train_model(None, step, out, at).folder)
        if network.family != name:
            return "no: another family"
        torch.manual_seed(0)
        fresh = FAMILIES[name].full(network.config).eval()
        if isinstance(fresh, AdaIn):  # what is trained is its decoder
            fresh.encoder = cast("AdaIn", network.module).encoder
        numbers.append(learned(step, (network.module, fresh), HELD_OUT).line())
    if not steps:
        return "distilled" if name == "student" else "no"
    return "; ".join(f"`{step.step}`, {step.steps} steps" for step in steps)


def _translations(name: str, folder: Path) -> list[TranslateStep]:
    """Return a short CycleGAN for the family of its generator, between photos and drawn glass."""
    if name != "resnet":
        return []
    paintings = folder / "paintings"
    paintings.mkdir()
    Image.fromarray(draw("glass", seed=1, size=256)).save(paintings / "glass.png")
    return [
        TranslateStep(
            paintings=paintings, blocks=2, judge_width=8, steps=200, learning_rate=2e-3,
            steady_share=0.3, cycle_weight=2.0, identity_weight=0.0, **SMALL,
        )
    ]  # fmt: skip


def _loaded(name: str, public: Path, folder: Path, at: Work, kept: dict[str, Artifact]) -> str:
    family = FAMILIES[name]
    torch.manual_seed(0)
    state = family.build(**family.usual).state_dict()
    path = _published(name, {key: value.clone() for key, value in state.items()}, public)
    kept[name] = load(None, LoadStep(checkpoint=path, sampling=SAMPLING), folder / "loaded", at)
    record = json.loads(kept[name].path("network.json").read_text(encoding="utf-8"))
    if record.pop("family") != name:
        return "no: taken for another"
    return "its own" if name in OURS else "yes"


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


def _exported(name: str, loaded: Artifact, folder: Path, at: Work, kept: dict[str, Bundle]) -> str:
    step = ExportStep(verify_sizes=((64, 64), (67, 93), (96, 128)))
    kept[name] = read_bundle(export(loaded, step, folder / "bundle", at).folder)
    graphs = ", ".join(f"`{one}`" for one in kept[name].artifact.graphs)
    worst = kept[name].artifact.numbers["worst_levels"]
    return f"{graphs}; {worst:g} levels from torch"


def _ran(bundle: Bundle) -> str:
    for name in bundle.artifact.graphs:
        engine = open_engine(bundle, "onnxruntime", options=EngineOptions(), graph=name)
        with closing(engine):
            self_test(bundle, engine, name)
    return "yes"


def rows_of(text: str) -> dict[str, str]:
    """Return the lines of the table that a document holds, by family."""
    inside = re.search(rf"<!-- {MARKER} -->\n(.*?)<!-- /{MARKER} -->", text, re.DOTALL)
    found = re.finditer(r"^\| `(\w+)` .*$", inside[1] if inside else "", re.MULTILINE)
    return {match[1]: match[0] for match in found}


def table(lines: Mapping[str, str]) -> str:
    """Return the table as Markdown, families in the order in which they are known."""
    body = [lines[name] for name in FAMILIES if name in lines]
    return "\n".join([f"| {' | '.join(HEAD)} |", f"|{'---|' * len(HEAD)}", *body])


def main() -> None:
    """Measure the rows, and put each between the marks of a document."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", default=[*FAMILIES], help="default all")
    parser.add_argument("--write", type=Path, help="document that holds the table")
    parser.add_argument("--missing", action="store_true", help="measure what has no row yet")
    options = parser.parse_args()
    for name in options.names:
        text = options.write.read_text(encoding="utf-8") if options.write else ""
        if options.missing and name in rows_of(text):
            continue
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            line = f"| {' | '.join(row(name, Path(folder), Path.home()))} |"
        print(f"{line}  {time.perf_counter() - began:.0f} s", flush=True)  # noqa: T201
        if options.write:
            text = options.write.read_text(encoding="utf-8")  # others may have changed it since
            made = table({**rows_of(text), name: line})
            fill(options.write, MARKER, made)


if __name__ == "__main__":
    main()
