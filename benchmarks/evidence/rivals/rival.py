"""One network in one engine, ours or another's, and all the others that work here."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import torch

from stylepress.artifact import Artifact
from stylepress.benchmarks.part import Skipped
from stylepress.benchmarks.timing.baselines import framed
from stylepress.benchmarks.timing.systems import Pixels, Run
from stylepress.errors import BackendError, StylepressError
from stylepress.export.frame_graph import FrameGraph
from stylepress.export.onnx_file import serialized, translated
from stylepress.export.stage import frame_graph_of
from stylepress.runtime.bundle import Bundle

LONGEST_S = 600
IMAGE, DRAWN = "image", "drawn"
OPENVINO, NNCF, NNCF_TUNED = "OpenVINO", "OpenVINO, NNCF", "OpenVINO, NNCF tuned"
INSTALL = "It is not installed: pip install --group results"


@dataclass(frozen=True, slots=True)
class Rival:
    """An engine by name and version, and how it runs a frame: (1, H, W, 3) uint8 to the same."""

    engine: str
    version: str
    precision: str
    run: Run


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

    def graph(self) -> FrameGraph:
        """Rebuild the network."""
        return frame_graph_of(self.checkpoint)


def rivals(entry: Entry) -> Iterator[Rival | Skipped]:
    """Yield the network in every engine of others that works here, and why each other does not."""
    makers = {OPENVINO: _half, "torch.compile": compiled, "MNN": _mnn, "ncnn": _ncnn}
    for name, make in makers.items():
        yield _made(name, make, entry)
    yield from quantized(entry)


def quantized(entry: Entry) -> Iterator[Rival | Skipped]:
    """Yield the network as others quantize it to INT8."""
    for name in (NNCF, NNCF_TUNED):
        yield _made(name, partial(_nncf, name), entry)


def compiled(entry: Entry) -> Rival:
    """Compile the network with TorchInductor; needs a C++ compiler, as PyTorch does."""
    torch.set_num_threads(entry.threads)
    graph = entry.graph()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns of its own parts
        run = framed(graph, torch.compile(graph.network.eval(), dynamic=False))
        run(entry.frames[0])
    return Rival("torch.compile", f"torch {version('torch')}", "fp32", run)


def network_file(entry: Entry, engine: str) -> Path:
    """Write the network alone for an engine's converter, in an empty folder; return the file.

    Input ``image``, (1, 3, H, W) float32 in the network's own range; output ``drawn``, the same,
    up to 3 pixels larger. uint8, cropping and mixing stay outside: not every converter knows them.
    """
    folder = entry.folder / engine
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    example = torch.zeros(1, 3, *entry.size)
    model = translated(entry.graph().network, (example,), ports=([IMAGE], [DRAWN]))
    path = folder / "network.onnx"
    path.write_bytes(serialized(model))
    return path


def converted(command: Sequence[str | Path], made: Path, *, engine: str) -> Path:
    """Run an engine's converter in a process, where its product belongs; return what it made.

    Raises:
        BackendError: it failed, or did not make the file.
    """
    done = subprocess.run(
        [str(word) for word in command],
        cwd=made.parent,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=LONGEST_S,
        check=False,
    )
    if done.returncode or not made.is_file():
        said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise BackendError(
            f"{engine} cannot convert this network ({said[:200]}).",
            "Leave it out, or try another version.",
        )
    return made


def _made(name: str, make: Callable[[Entry], Rival], entry: Entry) -> Rival | Skipped:
    try:
        return make(entry)
    except ImportError as error:
        return Skipped(what=name, why=f"{INSTALL} ({error})")
    except (StylepressError, RuntimeError, OSError) as error:
        return Skipped(what=name, why=f"{type(error).__name__}: {error}"[:300])


def _half(entry: Entry) -> Rival:
    from stylepress.benchmarks.evidence.rivals.half import half

    return half(OPENVINO, entry)


def _mnn(entry: Entry) -> Rival:
    from stylepress.benchmarks.evidence.rivals.mnn import mnn

    return mnn(entry)


def _ncnn(entry: Entry) -> Rival:
    from stylepress.benchmarks.evidence.rivals.ncnn import ncnn

    return ncnn(entry)


def _nncf(name: str, entry: Entry) -> Rival:
    from stylepress.benchmarks.evidence.rivals.nncf import nncf

    return nncf(name, entry, tuned=name == NNCF_TUNED)
