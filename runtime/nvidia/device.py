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
from stylepress.runtime.nvidia.order import BuildOrder, Size, shapes_of
from stylepress.runtime.nvidia.package import CPU_BUILDERS, require
from stylepress.runtime.nvidia.plan import check_version
from stylepress.runtime.nvidia.timing import TimingCache
from stylepress.targets.detect import detect

PLAN = "engine.plan"
JETSON_LEVEL, JETSON_WORKSPACE = 2, 512 << 20
"""Optimisation level and workspace where GPU and processor share the memory."""


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What may be asked of a plan; ``mode`` is the power mode by name, where there are some."""

    package: str
    size: Size = (512, 512)
    batch: int = 1
    dla_core: int | None = None
    mode: str | None = None


def plan_here(
    bundle: Bundle,
    options: PlanOptions,
    *,
    cache: Cache,
    progress: Progress,
    probe_gpu: Callable[[], Gpu] = probe,
) -> Artifact:
    """Return the plan of a bundle's main graph for this GPU, from the cache where it is kept.

    A kept plan of another compiler, or one that is damaged, is built again. The first load of the
    compiler's library is in a child process, after the driver was asked.

    Raises:
        BackendError: the compiler is not installed, there is no driver, or its library crashes.
        ExportError: the compiler refuses the bundle, crashes, or runs out of memory.
        OutputError: the cache cannot be written.
    """
    require(options.package)
    gpu = probe_gpu()
    version = first_load(options.package)
    order = _order(bundle, options, gpu)
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
        return _built(bundle, order, timing, record, cache.entry(key), progress)


def power_mode(root: Path = Path("/")) -> str | None:
    """Return the name of the power mode of the Jetson whose files lie below ``root``.

    None where that is no Jetson, or its mode is none that is known of its module.
    """
    here = detect(root, machine=platform.machine())
    mode = here.target.mode
    return mode.name if here.target.kind == "jetson" and mode and not here.notes else None


def _order(bundle: Bundle, options: PlanOptions, gpu: Gpu) -> BuildOrder:
    foreign = options.package in CPU_BUILDERS
    return BuildOrder(
        package=options.package,
        onnx=str(bundle.onnx_path().absolute()),
        shapes=shapes_of(bundle.graph(), options.size, batch=options.batch),
        precisions=("fp32", str(bundle.artifact.made_by.get("precision", "fp32"))),
        compute_capability=gpu.compute_capability if foreign else None,
        workspace_bytes=JETSON_WORKSPACE if gpu.integrated else None,
        level=JETSON_LEVEL if gpu.integrated else None,
        aux_streams=0 if gpu.integrated else None,
        dla_core=options.dla_core,
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
        "graph": bundle.main,
        "onnx": bundle.artifact.files[bundle.graph().file].sha256,
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


def _built(
    bundle: Bundle,
    order: BuildOrder,
    timing: TimingCache,
    record: Mapping[str, Any],
    out: Path,
    progress: Progress,
) -> Artifact:
    bundle.model()  # the digest once more: what is compiled is what was sealed
    plan = build_plan(order, timing=timing, progress=progress)
    layers = read_layers(plan.report.log)
    convolutions = [layer for layer in layers if layer.kind in CONVOLUTIONS]
    memory = read_memory(plan.report.log)

    def fill(folder: Path) -> None:
        (folder / PLAN).write_bytes(plan.data)

    numbers = {f"{name}_bytes": float(size) for name, size in memory.items()}
    if layers:  # where the compiler lists its kernels
        int8 = [layer for layer in convolutions if "Int8" in layer.inputs]
        numbers |= {
            "convolutions": float(len(convolutions)),
            "int8_convolutions": float(len(int8)),
            "reformats": float(sum(layer.reformats for layer in layers)),
        }
    made_by = {
        **record,
        "applied": dict(plan.report.applied),
        "skipped": list(plan.report.skipped),
        "float_convolutions": [x.name for x in convolutions if "Int8" not in x.inputs],
    }
    return Artifact.create(
        out,
        fill,
        kind="engine",
        name=bundle.artifact.name,
        made_by=made_by,
        parent=bundle.artifact.digest,
        numbers=numbers,
    )
