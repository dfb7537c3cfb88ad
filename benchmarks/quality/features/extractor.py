"""What turns pictures into points, and the name that a distance over these points may carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from stylepress.benchmarks.part import Part
from stylepress.benchmarks.quality.features.handcrafted import (
    VERSION,
    digest,
    golden_picture,
    handcrafted,
)
from stylepress.benchmarks.quality.features.preprocessing import Preprocessing
from stylepress.errors import ArtifactError, RecipeError, VerificationError

Pixels = NDArray[np.uint8]

HANDCRAFTED_SHA256 = "fcce6e9007d3c8e060f48ecf8e0adf883dd98a3277de6533a1d00092d064f31c"
"""Of what version 1 says of the golden picture."""
INCEPTION_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
"""pt_inception-2015-12-05-6726825d.pth of pytorch-fid, the same file as torch-fidelity's."""
FID_FILES = frozenset({INCEPTION_SHA256})
FID_LAYER, FID_DIMENSION = "pool3", 2048
PUBLISHED = ("effnet-lite0", "vgg19")
"""Names that stand for genuine networks in place of a file."""
CHUNK = 16
"""Pictures described at once: enough to keep the processor busy, few enough for its cache."""
PYTORCH = (b"PK", b"\x80\x02")
"""How a PyTorch file begins: as a zip or, an older one, as a pickle of protocol 2."""


class ExtractorFact(Part):
    """Which points were measured: two reports that differ here are not compared.

    ``sha256`` is that of the weights file; for code, of its features of a fixed picture.
    """

    name: str
    kind: Literal["code", "onnx", "inception", "published"]
    sha256: str
    layer: str
    dimension: int
    preprocessing: Preprocessing

    @property
    def metric(self) -> str:
        """``fid[...]`` for the genuine network, layer and preprocessing, ``fd[...]`` for others that
        are published, ``frechet_distance`` for what a user brings and for our own features.

        >>> HandcraftedExtractor().fact.metric
        'frechet_distance'
        """
        genuine = (
            self.kind == "inception"
            and self.sha256 in FID_FILES
            and self.preprocessing == "clean"
            and (self.layer, self.dimension) == (FID_LAYER, FID_DIMENSION)
        )
        if self.kind == "published":
            return f"fd[{self.name}]"
        return f"fid[{self.preprocessing}]" if genuine else "frechet_distance"

    @property
    def title(self) -> str:
        """What a reader is told: never FID of something that is not."""
        if self.metric.startswith("fid"):
            return f"FID ({self.preprocessing})"
        return f"Frechet distance over {self.name}, not FID"


@dataclass(frozen=True, slots=True)
class Seen:
    """Features (N, d) float64 of N pictures, and their (N, classes) logits where there are some."""

    features: NDArray[np.float64]
    logits: NDArray[np.float64] | None = None


class Extractor(Protocol):
    """A fixed description of pictures; thread safe."""

    @property
    def fact(self) -> ExtractorFact:
        """Which it is."""

    def see(self, pictures: Sequence[Pixels]) -> Seen:
        """Describe (H, W, 3) uint8 RGB pictures."""


Net = Literal["alex", "vgg"]


class LpipsFact(Part):
    """Which LPIPS was measured."""

    net: Net
    version: Literal["0.1"] = "0.1"
    backbone_sha256: str
    heads_sha256: str


class Perceptual(Protocol):
    """LPIPS, or nobody: the only distance of two pictures that needs weights."""

    @property
    def fact(self) -> LpipsFact:
        """Which it is."""

    def distance(self, one: Pixels, two: Pixels) -> float:
        """Return the distance of two (H, W, 3) uint8 pictures of one size."""


class HandcraftedExtractor:
    """The offline extractor: no weights, 89 dimensions, the pictures as they are."""

    def __init__(self) -> None:
        """Check that it is what its version says.

        Raises:
            VerificationError: this machine computes other features.
        """
        features = handcrafted(golden_picture()[np.newaxis])[0]
        seen = digest(features)
        if seen != HANDCRAFTED_SHA256:
            raise VerificationError(
                f"The handcrafted features of the golden picture have digest {seen[:12]}, version "
                f"{VERSION} has {HANDCRAFTED_SHA256[:12]}.",
                "Reinstall stylepress and numpy; whoever changes the features raises the version.",
            )
        self.fact = ExtractorFact(
            name=f"stylepress-handcrafted-{VERSION}",
            kind="code",
            sha256=seen,
            layer="all",
            dimension=len(features),
            preprocessing="native",
        )

    def see(self, pictures: Sequence[Pixels]) -> Seen:
        """Describe pictures with sides of at least 32; many of one size at once are fast."""
        rows = [
            handcrafted(np.stack(alike[start : start + CHUNK]))
            for _, group in groupby(pictures, key=lambda one: one.shape)
            for alike in [list(group)]
            for start in range(0, len(alike), CHUNK)
        ]
        return Seen(np.concatenate(rows))


def open_extractor(
    path: Path | None, *, env: Mapping[str, str] | None = None, home: Path | None = None
) -> Extractor:
    """Load the user's feature network; the handcrafted one when there is none.

    ``effnet-lite0`` and ``vgg19`` are the published networks, where their weights are here.

    A PyTorch file must be the published Inception weights of FID, all else is read as ONNX: one
    (N, 3, H, W) float32 input in [0, 1], features out.

    Raises:
        ArtifactError, CheckpointError, BackendError: no such file, or another network.
    """
    if path is None:
        return HandcraftedExtractor()
    if str(path) in PUBLISHED and not path.exists():
        from stylepress.benchmarks.quality.features.published import PublishedExtractor  # torch

        return PublishedExtractor(str(path), env=env or {}, home=home or Path())
    try:
        with path.open("rb") as file:
            start = file.read(2)
    except OSError as error:
        raise ArtifactError(
            f"{path} cannot be read ({error.strerror}).",
            "Name the Inception weights of FID, or an ONNX feature network.",
        ) from error
    if start in PYTORCH:
        from stylepress.benchmarks.quality.features.inception import InceptionExtractor  # torch

        return InceptionExtractor(path)
    from stylepress.benchmarks.quality.features.onnx_extractor import OnnxExtractor

    return OnnxExtractor(path)


def open_lpips(path: Path | None, *, env: Mapping[str, str], home: Path) -> Perceptual | str:
    """Load LPIPS from the weights that the user has, or say why it cannot be measured.

    ``path`` are the linear heads (``alex.pth`` or ``vgg.pth``); torchvision's network is looked for
    beside them and where standard weights lie. When None the heads are looked for there too.

    Raises:
        RecipeError: heads were named, and they or their network are missing.
        CheckpointError: weights that are not the published ones.
    """
    try:
        from stylepress.benchmarks.quality.features.lpips import find_lpips, heads_of
    except ImportError as error:  # torch
        if path is None:
            return f"{error}; `pip install 'stylepress[train]'`"
        raise RecipeError(
            f"LPIPS needs PyTorch ({error}).", "Run `pip install 'stylepress[train]'`."
        ) from error
    if path is None:
        return find_lpips("alex", env=env, home=home)
    found = find_lpips(heads_of(path), env=env, home=home, heads=path)
    if isinstance(found, str):
        raise RecipeError(f"LPIPS cannot be taken with {path}: {found}.")
    return found
