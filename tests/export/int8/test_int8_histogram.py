"""Histograms of what tensors hold: where each method clips them."""

from __future__ import annotations

import numpy as np

from stylepress.export.int8.histogram import Histogram


def test_entropy_clips_a_far_outlier_and_keeps_what_is_spread_evenly() -> None:
    even = Histogram(np.full(4096, 100.0), 1.0)
    assert even.limit("entropy") > 0.95
    lonely = np.zeros(4096)
    lonely[:1500], lonely[-1] = 100, 1
    assert Histogram(lonely, 1.0).limit("entropy") < 0.5
