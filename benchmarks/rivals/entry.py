"""All that can run one network here: PyTorch, our backends, and the engines of others."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stylepress.artifact import Artifact
from stylepress.benchmarks.part import Skipped
from stylepress.benchmarks.rivals.rival import Rival
from stylepress.benchmarks.timing.systems import Pixels
from stylepress.errors import StylepressError
from stylepress.export.stage import frame_graph_of
from stylepress.runtime.bundle import Bundle

OPENVINO = "OpenVINO"
NNCF, NNCF_TUNED = "OpenVINO, NNCF", "OpenVINO, NNCF tuned"
INSTALL = "It is not installed: pip install --group results"
Make = Callable[[], Rival]


@dataclass(frozen=True, slots=True)
class Entry:
    """One network: its checkpoint, its float bundle, frames to calibrate on, a working folder.

    ``size`` is (height, width) of the frames.
    """

    checkpoint: Artifact
    bundle: Bundle
    size: tuple[int, int]
    threads: int
    frames: Sequence[Pixels]
    folder: Path


def rivals(entry: Entry) -> Iterator[Rival | Skipped]:
    """Yield the network in every engine of others that works here, and why each other does not."""
    makers: tuple[tuple[str, Make], ...] = (
        (OPENVINO, lambda: _half(entry)),
        ("torch.compile", lambda: _compiled(entry)),
        ("MNN", lambda: _mnn(entry)),
        ("ncnn", lambda: _ncnn(entry)),
    )
    yield from _made(makers)
    yield from quantized(entry)


def quantized(entry: Entry) -> Iterator[Rival | Skipped]:
    """Yield the network as others quantize it to INT8."""
    return _made(
        (
            (NNCF, lambda: _nncf(entry, tuned=False)),
            (NNCF_TUNED, lambda: _nncf(entry, tuned=True)),
        )
    )


def _made(makers: Sequence[tuple[str, Make]]) -> Iterator[Rival | Skipped]:
    return (_one(name, make) for name, make in makers)


def _one(name: str, make: Make) -> Rival | Skipped:
    try:
        return make()
    except ImportError as error:
        return Skipped(what=name, why=f"{INSTALL} ({error})")
    except (StylepressError, RuntimeError, OSError) as error:
        return Skipped(what=name, why=f"{type(error).__name__}: {error}"[:300])


def _half(entry: Entry) -> Rival:
    from stylepress.benchmarks.rivals.half import half

    return half(OPENVINO, entry.bundle, entry.size, threads=entry.threads)


def _compiled(entry: Entry) -> Rival:
    from stylepress.benchmarks.rivals.compiled import compiled

    return compiled(frame_graph_of(entry.checkpoint), entry.threads, entry.frames[0])


def _mnn(entry: Entry) -> Rival:
    from stylepress.benchmarks.rivals.mnn import mnn

    graph = frame_graph_of(entry.checkpoint)
    return mnn(graph, entry.size, entry.threads, _below(entry.folder, "mnn"))


def _ncnn(entry: Entry) -> Rival:
    from stylepress.benchmarks.rivals.ncnn import ncnn

    graph = frame_graph_of(entry.checkpoint)
    return ncnn(graph, entry.size, entry.threads, _below(entry.folder, "ncnn"))


def _nncf(entry: Entry, *, tuned: bool) -> Rival:
    from stylepress.benchmarks.rivals.nncf import nncf

    return nncf(
        NNCF_TUNED if tuned else NNCF,
        entry.bundle,
        entry.size,
        tuned=tuned,
        threads=entry.threads,
        frames=entry.frames,
    )


def _below(folder: Path, name: str) -> Path:
    made = folder / name
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    return made
