"""One way to build a plan with TensorRT 8.4 to 11.4 and with TensorRT for RTX.

What every one of them has is called directly; what only some have is asked for by name, through
``_flag``, ``_set`` and ``_has``. Numbers of enumerations are never written: they move between
versions. tests/runtime/nvidia holds this file against the recorded interfaces of eight versions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stylepress.errors import BackendError
from stylepress.runtime.nvidia.order import BuildOrder, BuildReport

Notice = Callable[[str], None]
"""Called with the title of each phase of a build as it begins."""
LEAST_LOGGED = 5
"""A log that ends a failed build is searched so many lines back for its reason."""


@dataclass
class _Build:
    """A build under way: the module, the order, and what was applied of it or could not be."""

    trt: Any
    order: BuildOrder
    applied: dict[str, Any] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    log: list[tuple[str, str]] = field(default_factory=list)

    def note(self, name: str, value: Any, *, able: bool) -> None:
        if able:
            self.applied[name] = value
        else:
            self.skipped.append(name)

    def report(self, error: str = "") -> BuildReport:
        return BuildReport(
            version=str(self.trt.__version__),
            error=error,
            applied=self.applied,
            skipped=tuple(self.skipped),
            log=tuple(self.log),
        )


def build(
    trt: Any, order: BuildOrder, notice: Notice, timing: bytes = b""
) -> tuple[bytes | None, bytes | None, BuildReport]:
    """Build one plan with the module ``trt``; return plan, timing cache and report.

    The plan is None where ``report.error`` says why there is none. ``timing`` is what an earlier
    build left; one that this GPU or version does not take is replaced by an empty one.

    Raises:
        BackendError: the order asks for a GPU or an NVDLA core that this compiler does not know.
    """
    state = _Build(trt, order)
    logger = collecting_logger(trt, state.log)
    builder = trt.Builder(logger)
    network = builder.create_network(_network_flags(state))
    parser = trt.OnnxParser(network, logger)
    native = _has(trt, "OnnxParserFlag", "NATIVE_INSTANCENORM")
    if native is not None:
        parser.set_flag(native) if hasattr(parser, "set_flag") else None
    if not parser.parse(Path(order.onnx).read_bytes()):
        return None, None, state.report(_parse_error(parser, state.log))
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    _limit(state, config)
    _precisions(state, config)
    _portability(state, config)
    _dla(state, config, builder)
    _monitor(state, config, notice)
    profile = builder.create_optimization_profile()
    for name, (least, usual, largest) in order.shapes.items():
        profile.set_shape(name, least, usual, largest)
    config.add_optimization_profile(profile)
    cache = _timing(state, config, timing)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        return None, None, state.report(_reason(state.log))
    kept = bytes(cache.serialize()) if cache is not None else None
    return bytes(plan), kept, state.report()


def refit(trt: Any, engine: Any, onnx: bytes, log: list[tuple[str, str]]) -> None:
    """Fill the weights of a loaded plan from an ONNX file: those that were left out, or others.

    Raises:
        BackendError: this version cannot, or the file has other weights than the plan wants.
    """
    if not hasattr(trt, "OnnxParserRefitter"):
        raise BackendError(
            f"This version ({trt.__version__}) cannot fill a plan with weights from an ONNX file.",
            "Build the plan with its weights in it.",
        )
    logger = collecting_logger(trt, log)
    refitter = trt.Refitter(engine, logger)
    reader = trt.OnnxParserRefitter(refitter, logger)
    if not reader.refit_from_bytes(onnx) or not refitter.refit_cuda_engine():
        missing = ", ".join(refitter.get_missing_weights()) or _reason(log)
        raise BackendError(
            f"The weights of this file do not fill the plan ({missing}).",
            "Build the plan from this very file.",
        )


def _has(trt: Any, group: str, name: str) -> Any:
    """Return a member of an enumeration by name, None where this version has none."""
    return getattr(getattr(trt, group, None), name, None)


def _flag(state: _Build, config: Any, name: str) -> bool:
    """Set a flag of the builder where this version has it."""
    flag = _has(state.trt, "BuilderFlag", name)
    if flag is not None:
        config.set_flag(flag)
    state.note(name, True, able=flag is not None)
    return flag is not None


def _set(state: _Build, target: Any, name: str, value: Any) -> None:
    """Set an attribute where this version has it."""
    able = hasattr(target, name)
    if able:
        setattr(target, name, value)
    state.note(name, value, able=able)


def _network_flags(state: _Build) -> int:
    """Return the bits of the flags that a network is created with, by name."""
    bits = 0
    for name in ("EXPLICIT_BATCH", "STRONGLY_TYPED"):
        flag = _has(state.trt, "NetworkDefinitionCreationFlag", name)
        if flag is not None:
            bits |= 1 << int(flag)
            state.applied[name] = True
    return bits


def _limit(state: _Build, config: Any) -> None:
    """Bound memory and effort of the build."""
    order = state.order
    pools = {"WORKSPACE": order.workspace_bytes, "TACTIC_DRAM": order.tactic_bytes}
    for name, size in pools.items():
        if size is not None:
            pool = _has(state.trt, "MemoryPoolType", name)
            if pool is not None:
                config.set_memory_pool_limit(pool, size)
            state.note(name, size, able=pool is not None)
    if order.level is not None:
        _set(state, config, "builder_optimization_level", order.level)
    if order.aux_streams is not None:
        _set(state, config, "max_aux_streams", order.aux_streams)


def _precisions(state: _Build, config: Any) -> None:
    """Allow what the graph holds where the compiler does not take its types from the graph."""
    if not state.order.tf32:
        config.clear_flag(state.trt.BuilderFlag.TF32)
        state.applied["TF32"] = False
    if "STRONGLY_TYPED" in state.applied:
        return
    reduced = [name.upper() for name in state.order.precisions if name in ("fp16", "int8")]
    for name in reduced:
        _flag(state, config, name)
    if reduced:
        _flag(state, config, "OBEY_PRECISION_CONSTRAINTS")


def _portability(state: _Build, config: Any) -> None:
    """Say which GPU the plan is for, and on which others it should run too."""
    order, trt = state.order, state.trt
    if order.compute_capability is not None:
        name = f"SM{order.compute_capability.replace('.', '')}"
        sm = _has(trt, "ComputeCapability", name)
        if sm is None:
            raise BackendError(
                f"This compiler cannot build for compute capability {order.compute_capability} "
                f"from another machine.",
                "Build on the device itself.",
            )
        _set(state, config, "num_compute_capabilities", 1)
        config.set_compute_capability(sm, 0) if hasattr(config, "set_compute_capability") else None
        state.applied["compute_capability"] = name
    if order.version_compatible:
        _flag(state, config, "VERSION_COMPATIBLE")
    if order.weights != "fixed":
        # A stripped plan can be filled again with the very weights that it was built from.
        for name in (
            ("STRIP_PLAN", "REFIT_IDENTICAL") if order.weights == "left out" else ("REFIT",)
        ):
            _flag(state, config, name)
    if order.hardware != "none":
        level = _has(trt, "HardwareCompatibilityLevel", order.hardware.upper())
        if level is None:
            state.skipped.append("hardware_compatibility_level")
        else:
            _set(state, config, "hardware_compatibility_level", level)
            state.applied["hardware_compatibility_level"] = order.hardware


def _dla(state: _Build, config: Any, builder: Any) -> None:
    """Put the network on an NVDLA core; the GPU does what that cannot."""
    core = state.order.dla_core
    if core is None:
        return
    cores = int(builder.num_DLA_cores)
    if core >= cores:
        raise BackendError(
            f"The NVDLA core {core} was asked for, and this device has {cores}.",
            "Build for the GPU, without a core.",
        )
    config.default_device_type = state.trt.DeviceType.DLA
    config.DLA_core = core
    state.applied["DLA_core"] = core
    _flag(state, config, "GPU_FALLBACK")


def _timing(state: _Build, config: Any, known: bytes) -> Any:
    """Give the build what earlier ones measured; a cache of another machine is not taken."""
    if state.order.compute_capability is not None:  # nothing is timed without the GPU
        return None
    cache = config.create_timing_cache(known)
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, ignore_mismatch=False)
        state.applied["timing_cache"] = "new" if not known else "refused, new"
    else:
        state.applied["timing_cache"] = "reused" if known else "new"
    return cache


def collecting_logger(trt: Any, log: list[tuple[str, str]]) -> Any:
    """Return a logger of ``trt`` that adds (severity, line) to ``log``."""

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, msg: str) -> None:
            log.append((severity.name, msg))

    return Log()


def _monitor(state: _Build, config: Any, notice: Notice) -> None:
    """Tell the phases of a build as they begin, where this version tells them."""
    base: Any = getattr(state.trt, "IProgressMonitor", None)
    if base is None:
        state.skipped.append("progress_monitor")
        return

    class Monitor(base):  # type: ignore[misc]
        def __init__(self) -> None:
            base.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            notice(phase_name)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return True

        def phase_finish(self, phase_name: str) -> None:
            pass

    config.progress_monitor = Monitor()


def _parse_error(parser: Any, log: list[tuple[str, str]]) -> str:
    faults = [parser.get_error(index) for index in range(parser.num_errors)]
    texts = []
    for fault in faults:
        node = fault.node_name() if hasattr(fault, "node_name") else f"number {fault.node()}"
        texts.append(f"{fault.desc()} (node {node})")
    return "; ".join(texts) or _reason(log)


def _reason(log: list[tuple[str, str]]) -> str:
    errors = [line for kind, line in log if kind in ("ERROR", "INTERNAL_ERROR")]
    return "; ".join(errors[-LEAST_LOGGED:]) or "no plan came out"
