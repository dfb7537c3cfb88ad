"""Peak memory: while a model is loaded and while it runs, apart, of a process and its children."""

from __future__ import annotations

from pydantic import Field

from stylepress.benchmarks.machine.timeline import Timeline, Window
from stylepress.benchmarks.part import Part


class Memory(Part):
    """Bytes at the highest point; None with the reason in ``missing``.

    ``main`` is the engine's own process, as the kernel kept its peak (VmHWM). ``tree`` is it and
    its children, the sum of what each has resident, sampled: shared pages count once for each.
    ``gpu`` is by how much what the driver says of our processes rose, or where it does not tell them
    apart, the GPU's memory in use; ``unified`` by how much the memory that was available fell, on
    boards whose GPU shares it. ``load`` ends with the first frame done, ``steady`` is what follows.
    """

    load_main_bytes: int | None
    steady_main_bytes: int | None
    load_tree_bytes: int | None
    steady_tree_bytes: int | None
    gpu_bytes: int | None
    unified_bytes: int | None
    missing: dict[str, str] = Field(default_factory=dict)


def memory_of(
    timeline: Timeline,
    *,
    load: Window,
    steady: Window,
    peaks: tuple[int | None, int | None] = (None, None),
) -> Memory:
    """Put together what the sampler saw and the ``peaks`` that a process read of itself.

    The engine has a process of its own below the one that is watched, which is none of its tree.
    ``load`` begins before that process does: what is in use there counts as not its own.
    """
    missing: dict[str, str] = {}
    whole = Window(load.begin_ns, steady.end_ns)
    sampled = [_tree(timeline, window) for window in (load, steady)]
    if None in sampled:
        missing["tree"] = timeline.missing.get("process tree", "no sample fell into the window")
    if None in peaks:
        missing["main"] = "the process could not read or reset its VmHWM"
    gpu = _gpu(timeline, whole)
    if gpu is None:
        missing["gpu"] = timeline.missing.get("nvml", "the driver does not tell memory in use")
    available = [value for _, value in timeline.series("memory.available_bytes", whole)]
    unified: float | None = None
    if "clock.gpu_mhz" not in timeline.names("clock."):
        missing["unified"] = "this system has no GPU that shares the memory"
    elif available:
        before = timeline.at("memory.available_bytes", whole.begin_ns)
        unified = (available[0] if before is None else before) - min(available)
    return Memory(
        load_main_bytes=peaks[0],
        steady_main_bytes=peaks[1],
        load_tree_bytes=_whole(sampled[0]),
        steady_tree_bytes=_whole(sampled[1]),
        gpu_bytes=_whole(gpu),
        unified_bytes=_whole(unified),
        missing=missing,
    )


def _tree(timeline: Timeline, window: Window) -> float | None:
    """Return the most that the tree had resident at once, without the process that is watched."""
    whole = dict(timeline.series("memory.tree_bytes", window))
    first = dict(timeline.series("memory.main_bytes", window))
    return max((whole[at] - first[at] for at in whole.keys() & first.keys()), default=None)


def _gpu(timeline: Timeline, window: Window) -> float | None:
    """Sum over GPUs by how much our processes' memory rose, or else what is in use.

    Engines that the process above holds open are there before, and are not this one's.
    """
    total: float | None = None
    near = timeline.within(window)
    for name in near.names("gpu"):
        gpu, _, what = name.partition(".")
        if what != "memory_bytes":
            continue
        own = f"{gpu}.own_memory_bytes"
        # A GPU of which we hold nothing says nothing of us, which is 0 bytes before we began.
        told = own in near.names("gpu")
        used = [values.get(own, 0.0) for _, values in near.samples] if told else []
        used = used or [value for _, value in near.series(name)]
        total = (total or 0.0) + max(used) - used[0]
    return total


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
