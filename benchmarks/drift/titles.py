"""How a reader calls the figures of a study, in reports and in verdicts alike."""

from __future__ import annotations

from collections.abc import Mapping

TITLES: Mapping[str, str] = {
    "direct": "direct P",
    "drift": "drift D",
    "kernel": "kernel distance",
    "patches": "patch distance",
    "score": "Inception Score",
    "psnr_db": "PSNR, dB",
    "ssim": "SSIM",
    "ms_ssim": "MS-SSIM",
    "lpips": "LPIPS",
    "levels": "difference, levels",
    "cast_levels": "colour cast, levels",
    "place_levels": "cast of a place, levels",
    "golden": "golden pictures, levels",
    "content_drift": "content distance, change",
}


def check_title(name: str) -> str:
    """Return how the check of that name is called.

    >>> check_title("psnr_db mean"), check_title("direct frechet_distance over a benign change")
    ('PSNR, dB, mean', 'direct P over benign')
    """
    measure, _, part = name.partition(" ")
    if measure == "direct":
        return f"{TITLES[measure]} over benign"
    return f"{TITLES[measure]}, {part}" if part in ("mean", "worst", "p95") else TITLES[measure]
