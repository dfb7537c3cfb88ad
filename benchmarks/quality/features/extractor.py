"""What turns pictures into points, and the name that a distance over these points may carry."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stylepress.benchmarks.part import Part
from stylepress.benchmarks.quality.features.handcrafted import DIMENSION, VERSION, handcrafted
from stylepress.errors import ArtifactError
from stylepress.picture import Pixels

Rows = NDArray[np.float64]
Preprocessing = Literal["native", "clean"]
"""``native``: as it is. ``clean``: each channel resized as float by Pillow's bicubic with
antialiasing, clipped, not rounded, (x - 128) / 128."""

HANDCRAFTED_SHA256 = "fcce6e9007d3c8e060f48ecf8e0adf883dd98a3277de6533a1d00092d064f31c"
"""Of what version 1 says of a fixed picture (a test)."""
INCEPTION_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
"""pt_inception-2015-12-05-6726825d.pth of pytorch-fid, the same file as torch-fidelity's."""
PUBLISHED = ("effnet-lite0", "vgg19")
"""Names that stand for genuine networks in place of a file."""
CHUNK = 16
"""Pictures described at once: enough to keep the processor busy, few enough for its cache."""


class ExtractorFact(Part):
    """Which points were measured: two reports that differ here are not compared.

    ``sha256`` is that of the weights file; for code, of its features of a fixed picture.
    """

    name: str
    kind: Literal["code", "inception", "published"]
    sha256: str
    layer: str
    dimension: int
    preprocessing: Preprocessing

    @property
    def metric(self) -> str:
        """``fid[...]`` over the genuine Inception weights, ``fd[...]`` over others that are published,
        ``frechet_distance`` over our own features.

        >>> HandcraftedExtractor().fact.metric
        'frechet_distance'
        """
        if self.kind == "published":
            return f"fd[{self.name}]"
        genuine = self.kind == "inception" and self.sha256 == INCEPTION_SHA256
        return f"fid[{self.preprocessing}]" if genuine else "frechet_distance"

    @property
    def title(self) -> str:
        """What a reader is told: never FID of something that is not."""
        if self.metric.startswith("fid"):
            return f"FID ({self.preprocessing})"
        return f"Frechet distance over {self.name}, not FID"


class Extractor(Protocol):
    """A fixed description of pictures; thread safe."""

    @property
    def fact(self) -> ExtractorFact:
        """Which it is."""

    def describe(self, pictures: Pixels) -> Rows:
        """Return the features (N, d) float64 of pictures, (N, H, W, 3) uint8 RGB."""


class HandcraftedExtractor:
    """The offline extractor: no weights, 89 dimensions, the pictures as they are."""

    fact = ExtractorFact(
        name=f"stylepress-handcrafted-{VERSION}",
        kind="code",
        sha256=HANDCRAFTED_SHA256,
        layer="all",
        dimension=DIMENSION,
        preprocessing="native",
    )

    def describe(self, pictures: Pixels) -> Rows:
        """Describe pictures with sides of at least 32."""
        starts = range(0, len(pictures), CHUNK)
        return np.concatenate([handcrafted(pictures[start : start + CHUNK]) for start in starts])


def open_extractor(
    path: Path | None, *, env: Mapping[str, str] | None = None, home: Path | None = None
) -> Extractor:
    """Load a feature network; the handcrafted one when none is named.

    ``effnet-lite0`` and ``vgg19`` are the published networks, where their weights are here. A file
    must be the published Inception weights of FID.

    Raises:
        ArtifactError, CheckpointError: no such file, or another network.
    """
    if path is None:
        return HandcraftedExtractor()
    if str(path) in PUBLISHED and not path.exists():
        from stylepress.benchmarks.quality.features.networks import PublishedExtractor  # torch

        return PublishedExtractor(str(path), env=env or {}, home=home or Path())
    if not path.is_file():
        raise ArtifactError(f"There is no file {path}.", "Name the Inception weights of FID.")
    from stylepress.benchmarks.quality.features.networks import InceptionExtractor  # torch

    return InceptionExtractor(path)


def prepared(picture: Pixels, size: tuple[int, int]) -> NDArray[np.float32]:
    """Return the ``clean`` (3, height, width) float32 input that (H, W, 3) uint8 RGB becomes."""
    planes = [
        Image.fromarray(picture[..., channel].astype(np.float32)).resize(
            size[::-1], Image.Resampling.BICUBIC
        )
        for channel in range(3)
    ]
    resized = np.clip(np.stack([np.asarray(plane, np.float64) for plane in planes]), 0, 255)
    return np.ascontiguousarray((resized - 128) / 128, np.float32)
