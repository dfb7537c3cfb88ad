"""Where the ruler opens bundles and runs them: the only file of comparisons that meets a runtime."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from stylepress.benchmarks.check import Check
from stylepress.benchmarks.gate import figure
from stylepress.benchmarks.part import Skipped
from stylepress.benchmarks.timing.systems import NULL, Pixels, opened
from stylepress.errors import ArtifactError, BackendError, RecipeError, VerificationError
from stylepress.runtime.backends import EngineOptions, missing, usual
from stylepress.runtime.bundle import Bundle, read_bundle
from stylepress.runtime.choice import self_test


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
        why = absent.get(name) or _refusal(bundles, name, options)
        skipped += [Skipped(what=name, why=why)] if why else []
        able += [] if why else [name]
        if len(able) == most:
            break
    if not able:
        raise BackendError(
            f"Both bundles run in no backend here: {'; '.join(one.why for one in skipped)} "
            f"See `stylepress doctor`."
        )
    return tuple(able), tuple(skipped)


def _refusal(bundles: Sequence[Bundle], backend: str, options: EngineOptions) -> str:
    try:
        for bundle in bundles:
            with opened(bundle, backend, options):
                pass
    except BackendError as error:
        return str(error)
    return ""


def golden_check(bundle: Bundle, backend: str, *, threads: int | None, subject: str) -> Check:
    """Run a bundle's own golden pairs, and FAIL where `run` would refuse it.

    A bundle that brings none is not judged, nor is the backend that only copies frames.
    """
    judged: dict[str, object] = {"kind": "pictures", "limit": bundle.tolerance}
    if backend == NULL:
        judged = {"note": "copies of frames are not what a network draws"}
    else:
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
