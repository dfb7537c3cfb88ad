"""One dict from step to function, and what decides that a step was done before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from stylepress.artifact import Artifact, Kind
from stylepress.cache import build_key, code_version, content_digest
from stylepress.errors import RecipeError
from stylepress.model_steps import LibraryStep
from stylepress.progress import Progress
from stylepress.qat_step import QatStep
from stylepress.section import Section
from stylepress.step_fields import Training
from stylepress.steps import PruneStep, Step, identity
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


def _load(source: Artifact | None, step: Any, out: Path, work: Work) -> Artifact:
    from stylepress.train.stage import load

    return load(source, step, out, work)


def _train(source: Artifact | None, step: Any, out: Path, work: Work) -> Artifact:
    from stylepress.train.stage import train

    return train(source, step, out, work)


def _model(source: Artifact | None, step: Any, out: Path, work: Work) -> Artifact:
    from stylepress.train.models.stage import train_model

    return train_model(source, step, out, work)


def _distil(source: Artifact | None, step: Any, out: Path, work: Work) -> Artifact:
    from stylepress.compress.stage import distil

    return distil(_needed(source, step), step, out, work)


def _prune(source: Artifact | None, step: Any, out: Path, work: Work) -> Artifact:
    from stylepress.compress.pruning.prune import prune

    engine = step.engine
    if engine is None:
        return prune(_needed(source, step), step, out, work)
    from stylepress.export.layer_times import network_times

    # Handed over, because what is compressed knows of no engine.
    clock = partial(network_times, engine=engine)
    return prune(_needed(source, step), step, out, work, clock=clock)


def _qat(source: Artifact | None, step: Any, out: Path, work: Work) -> Artifact:
    from stylepress.compress.qat.stage import qat

    return qat(_needed(source, step), step, out, work)


def _shorten(source: Artifact | None, step: Any, out: Path, work: Work) -> Artifact:
    from stylepress.compress.sampler.stage import shorten

    return shorten(_needed(source, step), step, out, work)


def _export(source: Artifact | None, step: Any, out: Path, work: Work) -> Artifact:
    from stylepress.export.stage import export

    return export(_needed(source, step), step, out, work)


def _quantize(source: Artifact | None, step: Any, out: Path, work: Work) -> Artifact:
    from stylepress.export.stage import quantize

    return quantize(_needed(source, step), step, out, work)


def _lower(source: Artifact | None, step: Any, out: Path, work: Work) -> Artifact:
    from stylepress.export.stage import lower

    return lower(_needed(source, step), step, out, work)


def _engine(source: Artifact | None, step: Any, out: Path, work: Work) -> Artifact:
    from stylepress.export.stage import engine

    return engine(_needed(source, step), step, out, work)


STAGES: Mapping[str, Stage] = {
    "load": Stage(_load, "checkpoint", ("train",), ("torch",)),
    "train": Stage(_train, "checkpoint", ("train",), ("torch",), together=True),
    **{
        name: Stage(_model, "checkpoint", ("train",), ("torch",), together=True)
        for name in ("adain", "library", "translate", "sample")
    },
    "distil": Stage(_distil, "checkpoint", ("train", "compress"), ("torch",), together=True),
    "prune": Stage(
        _prune, "checkpoint", ("train", "compress"), ("torch", "torch-pruning"), together=True
    ),
    "qat": Stage(_qat, "checkpoint", ("train", "compress"), ("torch",), together=True),
    "shorten": Stage(_shorten, "checkpoint", ("train", "compress"), ("torch",), together=True),
    "export": Stage(
        _export, "bundle", ("train", "export"), ("torch", "onnx", "onnxscript", "onnxruntime")
    ),
    "quantize": Stage(_quantize, "bundle", ("export",), ("onnx", "onnxruntime", "numpy")),
    "lower": Stage(_lower, "bundle", ("export", "targets"), ("onnx", "onnxruntime", "numpy")),
    "engine": Stage(_engine, "engine", ("export", "targets", "runtime"), ("tensorrt-rtx",)),
}


def settled(step: Step, *, env: Mapping[str, str], home: Path, progress: Progress) -> Step:
    """Return the step with its loss decided: VGG where its weights are found, patches elsewhere.

    Raises:
        CheckpointError: a weight file of a known name with other content.
    """
    if not isinstance(step, Training | LibraryStep):
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
    # Their weights are those of the distillation that they train by.
    if isinstance(step, PruneStep | QatStep):
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
