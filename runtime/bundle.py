"""A bundle: the one folder that is copied to a device, checked before anything runs it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from stylepress.artifact import GOLDEN, Artifact
from stylepress.errors import ArtifactError, RecipeError
from stylepress.ports import Graph, Port
from stylepress.runtime.feeds import Array
from stylepress.runtime.onnx_scan import SIZE_LIMIT_BYTES, OnnxFacts, OnnxPort, scan

TOLERANCE = 2.0
"""Levels of 255 by which backends may differ when the manifest names no ``golden_tolerance``."""
GOLDEN_LIMIT_PIXELS = 1 << 24
GOLDEN_LIMIT_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class GoldenPair:
    """What one call of a graph was fed, and what it must give: arrays by port name."""

    name: str
    feeds: Mapping[str, Array]
    results: Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Bundle:
    """Sealed graphs, and what a runtime must know of them."""

    artifact: Artifact
    facts: Mapping[str, OnnxFacts]

    @property
    def main(self) -> str:
        """The graph that works on frames, the first by name; in a bundle without one, the first."""
        own = {n: g for n, g in self.artifact.graphs.items() if g.instead_of is None}
        return next((name for name in own if own[name].kind == "frame"), next(iter(own)))

    @property
    def tolerance(self) -> float:
        """The largest difference from the golden outputs with which a backend still agrees, levels."""
        return self.artifact.numbers.get("golden_tolerance", TOLERANCE)

    @property
    def tolerance_rms(self) -> float:
        """The same as root mean square over a picture, levels; no bound where none is given."""
        return self.artifact.numbers.get("golden_rms", self.tolerance)

    @property
    def least(self) -> int:
        """The smallest height and width of a picture that the main graph takes."""
        picture = self.graph().picture
        return picture.least if picture else 1

    def graph(self, name: str | None = None) -> Graph:
        """Return a graph by name, or the main one.

        Raises:
            RecipeError: there is none of that name.
        """
        wanted = name or self.main
        if wanted not in self.artifact.graphs:
            raise RecipeError(
                f"{self.artifact.folder} holds no graph {wanted!r}.",
                f"Name one of {', '.join(self.artifact.graphs)}.",
            )
        return self.artifact.graphs[wanted]

    def placed_for(self, backend: str, name: str | None = None) -> str:
        """Return the graph that a backend takes for the one of that name, or for the main one.

        Raises:
            RecipeError: there is none of that name.
        """
        self.graph(name)
        wanted = name or self.main
        for other, graph in self.artifact.graphs.items():
            if graph.instead_of == wanted and backend in graph.engines:
                return other
        return wanted

    def onnx_path(self, name: str | None = None) -> Path:
        """Return the place of a graph's file."""
        return self.artifact.path(self.graph(name).file)

    def model(self, name: str | None = None) -> bytes:
        """Read a graph once more; engines load these bytes, never the path.

        Raises:
            ArtifactError: the file changed since the bundle was opened.
        """
        return _sealed(self.artifact, self.graph(name).file)

    def golden(self, name: str | None = None) -> Iterator[GoldenPair]:
        """Yield the pairs of a graph's self-test.

        Raises:
            ArtifactError: a pair lacks a port, or a file is not what its port says.
        """
        graph, number = self.graph(name), 0
        while stored := self._stored(name, number):
            feeds, results = (
                {p.name: self._values(stored[p.name], p) for p in ports if p.name in stored}
                for ports in (graph.inputs, graph.outputs)
            )
            lacking = [p.name for p in graph.inputs if p.default is None and p.name not in feeds]
            lacking += [p.name for p in graph.outputs if p.name not in results]
            _check_sizes(graph, feeds, results, lacking)
            if lacking:
                raise ArtifactError(
                    f"Golden pair {number} of {self.artifact.folder} lacks {', '.join(lacking)}.",
                    "Build the bundle again with `stylepress build`.",
                )
            yield GoldenPair(str(number), feeds, results)
            number += 1

    def _stored(self, name: str | None, number: int) -> dict[str, str]:
        start = f"{GOLDEN}/{name or self.main}/{number}."
        files = [file for file in self.artifact.files if file.startswith(start)]
        return {file[len(start) :].rpartition(".")[0]: file for file in files}

    def _values(self, file: str, port: Port) -> Array:
        path = self.artifact.path(file)
        return _picture(path, port) if file.endswith(".png") else _tensor(path, port)


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle and check it: digests, closed ONNX files, the ports that its manifest says.

    Raises:
        ArtifactError: it is another kind of artifact, was altered, reads other files, or its
            graphs are not what its manifest says.
    """
    artifact = Artifact.load(folder)
    if artifact.kind != "bundle":
        raise ArtifactError(
            f"{folder} is {_kind_with_article(artifact)} ({artifact.name}), not a bundle.",
            _mend(artifact),
        )
    if not artifact.graphs:
        raise ArtifactError(f"{folder} holds no graph.", "Build it again with `stylepress build`.")
    facts = {}
    for name, graph in artifact.graphs.items():
        try:
            facts[name] = scan(_sealed(artifact, graph.file))
        except ArtifactError as error:
            raise ArtifactError(f"{folder / graph.file}: {error}") from error
        _check_closed(folder / graph.file, facts[name])
        _check_ports(folder / graph.file, graph, facts[name])
    bundle = Bundle(artifact, facts)
    if bundle.tolerance < 0:
        raise ArtifactError(
            f"{folder} allows a tolerance of {bundle.tolerance}.",
            "Build it again with `stylepress build`.",
        )
    return bundle


def _kind_with_article(artifact: Artifact) -> str:
    return f"an {artifact.kind}" if artifact.kind == "engine" else f"a {artifact.kind}"


def _mend(artifact: Artifact) -> str:
    if artifact.kind == "engine":
        return "Name the bundle it was compiled from; its engine is opened with it."
    return f"Make a bundle of it with `stylepress export {artifact.folder}`."


def _check_closed(path: Path, facts: OnnxFacts) -> None:
    if facts.outside:
        shown = ", ".join(facts.outside[:3])
        raise ArtifactError(
            f"{path} reads data from outside itself ({shown}).",
            "A bundle is one closed file: export the model again with its weights inside.",
        )


def _check_ports(path: Path, graph: Graph, facts: OnnxFacts) -> None:
    for ports, actual in ((graph.inputs, facts.inputs), (graph.outputs, facts.outputs)):
        by_name = {port.name: port for port in actual}
        if by_name.keys() != {p.name for p in ports} or not all(
            _fits(port, by_name[port.name]) for port in ports
        ):
            raise ArtifactError(
                f"{path} has the ports {_listed(actual)} where its manifest says {_listed(ports)}.",
                "Make a bundle of your model with `stylepress export`.",
            )


def _fits(port: Port, actual: OnnxPort) -> bool:
    if port.dtype != actual.dtype or len(port.shape) != len(actual.shape or ()):
        return False
    pairs = zip(port.shape, actual.shape or (), strict=True)
    return all(one == two for one, two in pairs if isinstance(one, int) and isinstance(two, int))


def _listed(ports: Iterable[Port] | Iterable[OnnxPort]) -> str:
    texts = [f"{p.name} ({p.dtype} {', '.join(map(str, p.shape or ('?',)))})" for p in ports]
    return " and ".join(texts) or "none"


def _sealed(artifact: Artifact, name: str) -> bytes:
    # The digest is taken of the very bytes that are used, so nothing can be swapped in between.
    path, expected = artifact.path(name), artifact.files[name]
    if expected.size_bytes > SIZE_LIMIT_BYTES:
        raise ArtifactError(
            f"{path} has {expected.size_bytes} bytes, more than one ONNX file can hold.",
            "Build it again with `stylepress build`.",
        )
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ArtifactError(
            f"{path} cannot be read ({error.strerror}).", "Copy the whole folder again."
        ) from error
    if hashlib.sha256(data).hexdigest() != expected.sha256:
        raise ArtifactError(
            f"{path} is not the file that its manifest was written for any more.",
            "Copy the whole folder again, or rebuild it with `stylepress build`.",
        )
    return data


def _check_sizes(
    graph: Graph, feeds: Mapping[str, Array], results: Mapping[str, Array], lacking: list[str]
) -> None:
    """Add to ``lacking`` every port whose free dimensions are not those of the ports before it."""
    sizes: dict[str, int] = {}
    for port in (*graph.inputs, *graph.outputs):
        array = feeds.get(port.name, results.get(port.name))
        for size, name in zip(() if array is None else array.shape, port.shape, strict=False):
            if isinstance(name, str) and sizes.setdefault(name, size) != size:
                lacking.append(f"a {port.name} of {name} {sizes[name]}")


def _picture(path: Path, port: Port) -> Array:
    modes = {3: "RGB", 1: "L"}
    channels = port.shape[-1] if isinstance(port.shape[-1], int) else 0
    try:
        with Image.open(path, formats=("PNG",)) as image:
            if (
                image.mode != modes.get(channels)
                or image.width * image.height > GOLDEN_LIMIT_PIXELS
            ):
                raise ValueError(f"{image.width}x{image.height} {image.mode}")
            return np.array(image).reshape(1, image.height, image.width, channels)
    except (OSError, SyntaxError, ValueError, Warning, Image.DecompressionBombError) as error:
        raise ArtifactError(
            f"{path} is no golden picture, an 8-bit PNG of {channels} channels and at most "
            f"{GOLDEN_LIMIT_PIXELS >> 20} megapixels ({error}).",
            "Build the bundle again with `stylepress build`.",
        ) from error


def _tensor(path: Path, port: Port) -> Array:
    from safetensors import SafetensorError
    from safetensors.numpy import load as load_tensors

    try:
        if path.stat().st_size > GOLDEN_LIMIT_BYTES:
            raise ValueError(f"larger than {GOLDEN_LIMIT_BYTES >> 20} MiB")
        array = load_tensors(path.read_bytes())[port.name]
        if array.dtype != port.dtype or array.ndim != len(port.shape):
            raise ValueError(f"{array.dtype} {array.shape}")
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise ArtifactError(
            f"{path} does not hold the golden values of {port.name} ({error}).",
            "Build the bundle again with `stylepress build`.",
        ) from error
    return array
