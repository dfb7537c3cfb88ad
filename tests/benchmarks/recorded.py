"""Features that are the same everywhere, and what torch-fidelity 0.4.0 says of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]


TORCH_FIDELITY: Mapping[tuple[int, int], float] = {
    (500, 32): 0.6008143607706165,
    (400, 64): 1.1932793382113815,
    (40, 96): 2.247603663732823,
}
"""Its Frechet distance of ``fixed_features`` of seeds 0 and 1, by (pictures, dimensions), recorded once
with torch 2.13 from ``fid_statistics_to_metric``; it needs torchvision, of which there was no build
for the torch without CUDA that this was made with.
"""


def fixed_uniform(count: int, seed: int) -> Rows:
    """Return numbers in [0, 1) that are the same with every numpy: its raw bit stream."""
    bits = np.asarray(np.random.PCG64(seed).random_raw(count), np.uint64)
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def fixed_features(count: int, dimension: int, seed: int) -> Rows:
    """Return (count, dimension) features: falling variances, one common factor, a shift by seed."""
    flat = fixed_uniform(count * (dimension + 1), seed) - 0.5
    noise = flat[: count * dimension].reshape(count, dimension)
    common = flat[count * dimension :, None]
    scale = (1 + seed) / np.sqrt(np.arange(1, dimension + 1))
    return np.asarray(noise * scale + 0.3 * common + 0.1 * seed, np.float64)
