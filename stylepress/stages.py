"""One dict from step to function, and what decides that a step was done before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from stylepress.artifact import Artifact, Kind
from stylepress.cache import build_key, code_version, content_digest
from stylepress.errors import RecipeError
from stylepress.model_steps import LibraryStep
from stylepress.progress import Progress
from stylepress.section import Section
from stylepress.steps import PruneStep, Step, StylingStep, identity
from stylepress.usual import with_loss
from stylepress.work import Work

StepFunction = Callable[[Artifact | None, Any, Path, Work], Artifact]
"""``(source, step, out, work)``: write an artifact made of ``source`` into the folder ``out``."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a step is done, and what its result depends on besides its options.

    ``rooms`` are those whose code runs, ``tools`` the distributions that make the bytes.
    ``together`` says that several processes of torchrun do it together.
    """

    run: StepFunction
    kind: Kind
    rooms: tuple[str, ...]
    tools: tuple[str, ...]
    together: bool = False


def _in(file: str, name: str, *, first: bool = False) -> StepFunction:
    """Return a step's function in a file of a room, which is imported when the step is done.

    One that is not the ``first`` is given the artifact that it works on, or refuses.
    """

    def run(source: Artifact | None, step: Any, out: Path, work: Work) -> Artifact:
        function: StepFunction = getattr(import_module(f"stylepress.{file}"), name)
        return function(source if first else _needed(source, step), step, out, work)

    return run


def _prune(source: Artifact | None, step: Any, out: Path, work: Work) -> Artifact:
    from stylepress.compress.pruning.prune import prune

    engine = step.engine
    if engine is None:
        return prune(_needed(source, step), step, out, work)
    from stylepress.export.layer_times import network_times

    # Handed over, because what is compressed knows of no engine.
    clock = partial(network_times, engine=engine)
    return prune(_needed(source, step), step, out, work, clock=clock)


STAGES: Mapping[str, Stage] = {
    "load": Stage(_in("train.stage", "load", first=True), "checkpoint", ("train",), ("torch",)),
    "train": Stage(
        _in("train.stage", "train", first=True), "checkpoint", ("train",), ("torch",), together=True
    ),
    **{
        name: Stage(
            _in("train.models.stage", "train_model", first=True),
            "checkpoint",
            ("train",),
            ("torch",),
            together=True,
        )
        for name in ("adain", "library", "translate", "sample")
    },
    "distil": Stage(
        _in("compress.stage", "distil"),
        "checkpoint",
        ("train", "compress"),
        ("torch",),
        together=True,
    ),
    "prune": Stage(
        _prune, "checkpoint", ("train", "compress"), ("torch", "torch-pruning"), together=True
    ),
    "export": Stage(
        _in("export.stage", "export"),
        "bundle",
        ("train", "export"),
        ("torch", "onnx", "onnxscript", "onnxruntime"),
    ),
    "quantize": Stage(
        _in("export.stage", "quantize"), "bundle", ("export",), ("onnx", "onnxruntime", "numpy")
    ),
    "lower": Stage(
        _in("export.stage", "lower"),
        "bundle",
        ("export", "targets"),
        ("onnx", "onnxruntime", "numpy"),
    ),
    "engine": Stage(
        _in("export.stage", "engine"), "engine", ("export", "targets", "runtime"), ("tensorrt-rtx",)
    ),
}


def settled(step: Step, *, env: Mapping[str, str], home: Path, progress: Progress) -> Step:
    """Return the step with its loss decided: VGG where its weights are found, patches elsewhere.

    Raises:
        CheckpointError: a weight file of a known name with other content.
    """
    if not isinstance(step, StylingStep | LibraryStep):
        return step
    loss = step.loss
    if loss == "auto":
        from stylepress.train.weights.standard import find_vgg19

        has_vgg = step.vgg is not None or find_vgg19(env=env, home=home) is not None
        loss = "vgg" if has_vgg else "swd"
        if not has_vgg:
            progress.warn(
                f"{step.step}: no VGG-19 is on this machine, so pictures are compared by patches, "
                f"which convinces far less. Run `pip install 'stylepress[vgg]'` for VGG-19."
            )
    if isinstance(step, PruneStep):  # its weights are those of the distillation it recovers by
        return step.model_copy(update={"loss": loss})
    return with_loss(step, loss)


def step_identity(step: Step, parents: list[str], digests: dict[Path, str]) -> dict[str, Any]:
    """Return what decides a step's result: parents, all its values, its code, its tools.

    A path counts by what is in it, not by where it is; ``digests`` keeps what was read already.

    Raises:
        RecipeError: a file or folder that the step names cannot be read.
    """
    stage = STAGES[step.step]
    values = identity(step) | _contents(step, digests)
    tools = {name: _version(name) for name in stage.tools}
    code = code_version(*stage.rooms)
    return {"source": parents, "step": values, "code": code, "tools": tools}


def step_key(identity: Mapping[str, Any]) -> str:
    """Return the build key of a step that ``step_identity`` describes."""
    return build_key(identity["source"], identity["step"], identity["code"], identity["tools"])


def _contents(section: Section, digests: dict[Path, str]) -> dict[str, Any]:
    """Return the keys of a section that are paths, or hold some, with digests in their place."""
    contents: dict[str, Any] = {}
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Path):
            if value not in digests:
                digests[value] = content_digest(value)
            contents[name] = digests[value]
        elif isinstance(value, Section) and (inner := _contents(value, digests)):
            contents[name] = value.model_dump(mode="json") | inner
        elif isinstance(value, Mapping):
            contents[name] = {
                key: each.model_dump(mode="json") | _contents(each, digests)
                if isinstance(each, Section)
                else each
                for key, each in value.items()
            }
    return contents


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "missing"


def _needed(source: Artifact | None, step: Step) -> Artifact:
    if source is None:
        raise RecipeError(f"`{step.step}` has nothing to work on.", "Begin with `load` or `train`.")
    return source
