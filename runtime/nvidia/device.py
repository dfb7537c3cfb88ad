"""A plan for the GPU of this machine: built once, kept with the record of what it belongs to."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stylepress.artifact import Artifact
from stylepress.cache import Cache, build_key, code_version
from stylepress.errors import ArtifactError, BackendError
from stylepress.progress import Progress
from stylepress.runtime.bundle import Bundle
from stylepress.runtime.nvidia.build import build_plan
from stylepress.runtime.nvidia.driver import Gpu, first_load, probe
from stylepress.runtime.nvidia.layers import CONVOLUTIONS, read_layers, read_memory
from stylepress.runtime.nvidia.order import BuildOrder, Size, Weights, shapes_of
from stylepress.runtime.nvidia.package import CPU_BUILDERS, require
from stylepress.runtime.nvidia.plan import check_version
from stylepress.runtime.nvidia.timing import TimingCache
from stylepress.targets.detect import detect

PLAN = "engine.plan"
JETSON_LEVEL, JETSON_WORKSPACE = 2, 512 << 20
"""Optimisation level and workspace where GPU and processor share the memory."""


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What may be asked of a plan.

    ``mode`` is the power mode by name, where there are some; ``graph`` None for the main one.
    """

    package: str
    size: Size = (512, 512)
    batch: int = 1
    dla_core: int | None = None
    mode: str | None = None
    graph: str | None = None
    weights: Weights = "fixed"


def plan_here(
    bundle: Bundle,
    options: PlanOptions,
    *,
    cache: Cache,
    progress: Progress,
    probe_gpu: Callable[[], Gpu] = probe,
    prove: Callable[[bytes], Mapping[str, float]] | None = None,
) -> Artifact:
    """Return the plan of a graph for this GPU, from the cache where it is kept.

    ``prove`` runs a new plan and returns numbers for its manifest; None where it is not run here.

    A kept plan of another compiler, or one that is damaged, is built again. The first load of the
    compiler's library is in a child process, after the driver was asked.

    Raises:
        BackendError: the compiler is not installed, there is no driver, its library crashes, or it
            refuses the bundle, is killed, or runs out of memory.
        OutputError: the cache cannot be written.
    """
    require(options.package)
    gpu = probe_gpu()
    version = first_load(options.package)
    order = order_of(bundle, options, gpu)
    record = _record(bundle, order, options, gpu, version)
    key = build_key(
        [bundle.artifact.digest], record, code_version("runtime"), {options.package: version}
    )

    def wait() -> None:
        progress.say("Another process is building the same plan; waiting for it.")

    with cache.locked(key, on_wait=wait):
        if kept := _kept(cache, key, options.package, version):
            return kept
        timing = TimingCache.of(
            cache.folder / "timing",
            package=options.package,
            version=version,
            sm=gpu.compute_capability,
            device=gpu.name,
            mode=options.mode,
        )
        built = _Built(bundle, order, record, prove)
        artifact = built.into(cache.entry(key), timing, progress)
    cache.trim(keep=key)
    return artifact


def power_mode(root: Path = Path("/")) -> str | None:
    """Return the name of the power mode of the Jetson whose files lie below ``root``.

    None where that is no Jetson, or its mode is none that is known of its module.
    """
    here = detect(root, machine=platform.machine())
    mode = here.target.mode
    return mode.name if here.target.kind == "jetson" and mode and not here.notes else None


def order_of(bundle: Bundle, options: PlanOptions, gpu: Gpu) -> BuildOrder:
    """Return what is built of a graph for a GPU."""
    foreign = options.package in CPU_BUILDERS
    return BuildOrder(
        package=options.package,
        onnx=str(bundle.onnx_path(options.graph).absolute()),
        shapes=shapes_of(bundle.graph(options.graph), options.size, batch=options.batch),
        precisions=("fp32", str(bundle.artifact.made_by.get("precision", "fp32"))),
        compute_capability=gpu.compute_capability if foreign else None,
        workspace_bytes=JETSON_WORKSPACE if gpu.integrated else None,
        level=JETSON_LEVEL if gpu.integrated else None,
        aux_streams=0 if gpu.integrated else None,
        dla_core=options.dla_core,
        weights=options.weights,
    )


def _record(
    bundle: Bundle, order: BuildOrder, options: PlanOptions, gpu: Gpu, version: str
) -> dict[str, Any]:
    """Return everything that decides a plan: of the driver only that there is one."""
    asked = json.loads(json.dumps(asdict(order)))
    asked.pop("onnx")  # by its digest, not by where it lies
    device = {key: value for key, value in asdict(gpu).items() if key != "driver"}
    return {
        "step": "engine",
        "backend": options.package,
        "graph": options.graph or bundle.main,
        "onnx": bundle.artifact.files[bundle.graph(options.graph).file].sha256,
        "options": asked,
        "compiler": version,
        "device": {**device, "mode": options.mode},
    }


def _kept(cache: Cache, key: str, package: str, version: str) -> Artifact | None:
    try:
        kept = cache.lookup(key, "engine")
        if kept is not None:
            check_version(kept.path(PLAN).read_bytes()[:64], package, version, "The kept plan")
    except (ArtifactError, BackendError, OSError):  # damaged or of another compiler: built again
        cache.drop(key)
        return None
    return kept


@dataclass(frozen=True, slots=True)
class _Built:
    """A plan that is built: of what, by which order, under which record, and how it is proven."""

    bundle: Bundle
    order: BuildOrder
    record: Mapping[str, Any]
    prove: Callable[[bytes], Mapping[str, float]] | None

    def into(self, out: Path, timing: TimingCache, progress: Progress) -> Artifact:
        """Build it, and seal it with everything that is known of it."""
        # The digest once more: what is compiled is what was sealed.
        self.bundle.model(str(self.record["graph"]))
        plan = build_plan(self.order, timing=timing, progress=progress)
        layers = read_layers(plan.report.log)
        convolutions = [layer for layer in layers if layer.kind in CONVOLUTIONS]
        numbers = {
            f"{name}_bytes": float(size) for name, size in read_memory(plan.report.log).items()
        }
        if layers:  # where the compiler lists its kernels
            int8 = [layer for layer in convolutions if "Int8" in layer.inputs]
            numbers |= {
                "convolutions": float(len(convolutions)),
                "int8_convolutions": float(len(int8)),
                "reformats": float(sum(layer.reformats for layer in layers)),
            }
        if self.prove is not None:
            numbers |= self.prove(plan.data)

        def fill(folder: Path) -> None:
            (folder / PLAN).write_bytes(plan.data)

        return Artifact.create(
            out,
            fill,
            kind="engine",
            name=self.bundle.artifact.name,
            made_by={
                **self.record,
                "applied": dict(plan.report.applied),
                "skipped": list(plan.report.skipped),
                "float_convolutions": [x.name for x in convolutions if "Int8" not in x.inputs],
            },
            parent=self.bundle.artifact.digest,
            numbers=numbers,
        )
