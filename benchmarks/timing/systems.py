"""What can be put side by side: a model in a backend, from uint8 frames to uint8 frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stylepress.artifact import Artifact
from stylepress.benchmarks.check import Check
from stylepress.benchmarks.gate import figure
from stylepress.benchmarks.part import Skipped
from stylepress.benchmarks.report import Model, Role
from stylepress.errors import ArtifactError, BackendError, RecipeError, VerificationError
from stylepress.picture import Pixels
from stylepress.progress import Progress
from stylepress.runtime.backends import EngineOptions, missing, open_engine, usual
from stylepress.runtime.bundle import Bundle, read_bundle
from stylepress.runtime.choice import self_test
from stylepress.runtime.machine import usable_cores
from stylepress.runtime.model import Model as Drawing

Run = Callable[[Pixels], Pixels]
"""A model: (1, H, W, 3) uint8 to the same shape."""

NULL = "null"
COUNTED_AT = 512 * 512
CONVENTION = (
    "One multiply with its addition is one MAC (two operations). Convolutions only, a transposed "
    "one at its input's size; no bias, norm, activation or resize. Counted at 512x512, scaled by "
    "the area. Parameters are the weights that are learned, zero points and scales left out."
)


@dataclass(frozen=True, slots=True)
class Contender:
    """One model in one backend; ``bundle`` is at hand where it can be opened again."""

    model: Model | None
    backend: str
    run: Run
    facts: Mapping[str, str | int]
    baseline: bool = False
    bundle: Bundle | None = None

    @property
    def name(self) -> str:
        return f"{self.model.name} · {self.backend}" if self.model else f"harness · {self.backend}"


def opened(bundle: Bundle, backend: str, options: EngineOptions) -> Drawing:
    """Open a bundle in a backend: a context manager, called with (N, H, W, 3) uint8 frames.

    Raises:
        BackendError: no such backend, not installed, or it cannot load the bundle.
        FrameError: ``options.size`` is smaller than the bundle takes.
    """
    return Drawing(bundle, open_engine(bundle, backend, options=options))


def check_threads(options: EngineOptions, progress: Progress) -> None:
    """Warn of more threads than there are cores for them."""
    threads, cores = options.all_threads, usable_cores()
    if threads > cores:
        progress.warn(
            f"{threads} threads share {cores} {'core' if cores == 1 else 'cores'} here, and wait for "
            f"each other. Give `--threads {cores}`, or leave it out."
        )


def bundle_model(bundle: Bundle, role: Role, size: tuple[int, int], name: str) -> Model:
    """Describe a bundle for the report, for frames of ``size``: (height, width)."""
    artifact = bundle.artifact
    macs, parameters = artifact.numbers.get("macs_512"), artifact.numbers.get("params")
    return Model(
        name=name,
        role=role,
        family=str(artifact.made_by.get("family", "unknown")),
        precision=precision(artifact),
        digest=artifact.digest,
        parent=artifact.parent,
        weights_bytes=bundle.onnx_path().stat().st_size,
        parameters=None if parameters is None else round(parameters),
        macs=None if macs is None else round(macs * size[0] * size[1] / COUNTED_AT),
    )


def precision(artifact: Artifact) -> str:
    """Return what the manifest says of the precision: fp32, int8, ..."""
    return str(artifact.made_by.get("precision", "unknown"))


def named(folders: Sequence[Path], names: set[str]) -> Iterator[tuple[Bundle, str]]:
    """Load bundles, and give each a name that no other has: ``glass int8``, ``glass int8 2``."""
    for folder in folders:
        bundle = read_bundle(folder)
        first = f"{bundle.artifact.name} {precision(bundle.artifact)}"
        name, number = first, 1
        while name in names:
            number += 1
            name = f"{first} {number}"
        names.add(name)
        yield bundle, name


def common_backends(
    bundles: Sequence[Bundle],
    wanted: Sequence[str] | None,
    options: EngineOptions,
    *,
    most: int | None = None,
) -> tuple[tuple[str, ...], tuple[Skipped, ...]]:
    """Return the backends in which all bundles can be opened, and why not in the others.

    The first ``most`` of them where that is told; those after them are not tried.

    Raises:
        BackendError: there is none.
    """
    absent, able, skipped = missing(), list[str](), list[Skipped]()
    for name in wanted or usual():
        try:
            if name in absent:
                raise BackendError(absent[name])
            for bundle in bundles:
                with opened(bundle, name, options):
                    pass
            able.append(name)
        except BackendError as error:
            skipped.append(Skipped(what=name, why=str(error)))
        if len(able) == most:
            break
    if not able:
        raise BackendError(
            f"Both bundles run in no backend here: {'; '.join(one.why for one in skipped)} "
            f"See `stylepress doctor`."
        )
    return tuple(able), tuple(skipped)


def golden_check(bundle: Bundle, backend: str, *, threads: int | None, subject: str) -> Check:
    """Run a bundle's own golden pairs, and FAIL where `run` would refuse it.

    A bundle that brings none is not judged, nor is the backend that only copies frames.
    """
    if backend == NULL:
        note = "copies of frames are not what a network draws"
        return figure("golden_levels", subject, note=note)
    judged: dict[str, object] = {"kind": "pictures", "limit": bundle.tolerance}
    with opened(bundle, backend, EngineOptions(threads=threads)) as model:
        try:
            judged |= {"new": self_test(bundle, model.engine), "verdict": "PASS"}
        except VerificationError as error:
            judged |= {"verdict": "FAIL", "note": f"`stylepress run` would refuse it. {error}"}
    if judged["verdict"] == "PASS" and judged["new"] is None:
        judged = {"note": "it brings no golden pictures"}
    return figure("golden_levels", subject, **judged)


def golden_pictures(bundle: Bundle) -> Iterator[tuple[str, Pixels]]:
    """Yield the pictures of a bundle's self-test with their names, (1, H, W, 3) uint8.

    Raises:
        ArtifactError: a pair lacks a port, or its main graph maps no picture to a picture.
    """
    graph = bundle.graph()
    if graph.picture is None:
        raise ArtifactError(
            f"The main graph of {bundle.artifact.folder} maps no picture to a picture, so there is "
            f"nothing to compare.",
            "Name the bundle of a frame graph.",
        )
    for pair in bundle.golden():
        yield pair.name, pair.feeds[graph.picture.name]


def weights_bytes(bundle: Bundle) -> int:
    """Return the size of all its graphs: what it weighs without the pictures that it brings."""
    return sum(bundle.onnx_path(name).stat().st_size for name in bundle.artifact.graphs)


def bundle_pairs(base: Path, new: Path) -> dict[str, tuple[Bundle, Bundle]]:
    """Load two bundles, or all that two folders hold below the same names.

    The name of two single bundles is empty; else it is the way to the bundle within its folder.

    Raises:
        RecipeError: the folders hold no bundle of one name, or one holds some that the other lacks.
        ArtifactError: a bundle cannot be loaded.
    """
    if (base / "manifest.json").is_file() or (new / "manifest.json").is_file():
        return {"": (read_bundle(base), read_bundle(new))}
    old, made = (_bundles(folder) for folder in (base, new))
    if not old and not made:
        raise ArtifactError(
            f"{base} and {new} hold no bundle.",
            "Make one with `stylepress build`, and name its folder, or one of folders of bundles.",
        )
    alone = sorted(set(old) ^ set(made))
    if alone:
        raise RecipeError(
            f"Only one of {base} and {new} holds {', '.join(alone)}.",
            "Give two folders with the same bundles, or two bundles.",
        )
    return {name: (read_bundle(old[name]), read_bundle(made[name])) for name in old}


def _bundles(folder: Path) -> dict[str, Path]:
    found = (path.parent for path in sorted(folder.rglob("manifest.json")))
    bundles = (path for path in found if any(path.glob("*.onnx")))
    return {one.relative_to(folder).as_posix().removesuffix("/bundle"): one for one in bundles}
