"""What turns pictures into points, and the name that a distance over these points may carry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from stylepress.benchmarks.drift.features.handcrafted import (
    VERSION,
    digest,
    golden_picture,
    handcrafted,
)
from stylepress.benchmarks.drift.features.preprocessing import Preprocessing
from stylepress.benchmarks.part import Part
from stylepress.errors import VerificationError

Pixels = NDArray[np.uint8]

HANDCRAFTED_SHA256 = "fcce6e9007d3c8e060f48ecf8e0adf883dd98a3277de6533a1d00092d064f31c"
"""Of what version 1 says of the golden picture."""
INCEPTION_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
"""pt_inception-2015-12-05-6726825d.pth of pytorch-fid, the same file as torch-fidelity's."""
FID_FILES = frozenset({INCEPTION_SHA256})
FID_PREPROCESSINGS: frozenset[Preprocessing] = frozenset({"clean", "pytorch-fid-0.3", "tf1"})
FID_LAYER, FID_DIMENSION = "pool3", 2048


class ExtractorFact(Part):
    """Which points were measured: two reports that differ here are not compared.

    ``sha256`` is that of the weights file; for code, of its features of a fixed picture.
    """

    name: str
    kind: Literal["code", "onnx", "inception"]
    sha256: str
    layer: str
    dimension: int
    preprocessing: Preprocessing

    @property
    def metric(self) -> str:
        """``fid[...]`` for the genuine network, layer and preprocessing, ``frechet_distance`` else.

        >>> HandcraftedExtractor().fact.metric
        'frechet_distance'
        """
        genuine = (
            self.kind == "inception"
            and self.sha256 in FID_FILES
            and self.preprocessing in FID_PREPROCESSINGS
            and (self.layer, self.dimension) == (FID_LAYER, FID_DIMENSION)
        )
        return f"fid[{self.preprocessing}]" if genuine else "frechet_distance"

    @property
    def title(self) -> str:
        """What a reader is told: never FID of something that is not."""
        if self.metric != "frechet_distance":
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
        features = handcrafted(golden_picture())
        seen = digest(features)
        if seen != HANDCRAFTED_SHA256:
            raise VerificationError(
                f"The handcrafted features of the golden picture have digest {seen[:12]}, version "
                f"{VERSION} has {HANDCRAFTED_SHA256[:12]}. Reinstall stylepress and numpy; "
                f"whoever changes the features raises the version."
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
        """Describe pictures with sides of at least 32."""
        return Seen(np.stack([handcrafted(picture) for picture in pictures]))


def onnx_extractor(
    path: Path, *, preprocessing: Preprocessing = "clean-unit", output: str | None = None
) -> Extractor:
    """Load a feature network that the user has as an ONNX file; see ``OnnxExtractor``."""
    from stylepress.benchmarks.drift.features.onnx_extractor import OnnxExtractor

    return OnnxExtractor(path, preprocessing=preprocessing, output=output)


def inception_extractor(path: Path, *, preprocessing: Preprocessing = "clean") -> Extractor:
    """Load the genuine FID network from its file; see ``InceptionExtractor``."""
    from stylepress.benchmarks.drift.features.inception import InceptionExtractor

    return InceptionExtractor(path, preprocessing=preprocessing)
