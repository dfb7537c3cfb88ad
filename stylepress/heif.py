"""HEIF pictures for Pillow, by the optional package pillow-heif."""

from __future__ import annotations

import pillow_heif


def register() -> None:
    """Let Pillow read HEIF, and only that: its AVIF is Pillow's own."""
    pillow_heif.register_heif_opener()
