"""Pictures are written whole, in the format that the suffix names, or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stylepress.errors import FrameError, OutputError
from stylepress.picture import Picture, read_picture
from stylepress.runtime.media.images import write_picture


def loaded(path: Path) -> Image.Image:
    """A picture, decoded, with its file closed."""
    with Image.open(path) as image:
        image.load()
        return image


@pytest.mark.parametrize("suffix", [".jpg", ".bmp"])
def test_transparency_is_laid_on_white_where_the_format_has_none(
    suffix: str, tmp_path: Path
) -> None:
    half = Picture(np.zeros((8, 8, 3), np.uint8), np.full((8, 8), 128, np.uint8))
    (warning,) = write_picture(tmp_path / f"out{suffix}", half)
    assert "white" in warning
    assert np.abs(np.asarray(loaded(tmp_path / f"out{suffix}")).astype(int) - 127).max() <= 2


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG", ".webp", ".tiff", ".bmp"])
def test_the_suffix_names_the_format(suffix: str, tmp_path: Path) -> None:
    ramp = np.repeat(np.arange(0, 256, 4, dtype=np.uint8)[None, :, None], 64, 0).repeat(3, 2)
    write_picture(tmp_path / f"out{suffix}", Picture(ramp))
    seen = read_picture(tmp_path / f"out{suffix}").pixels
    assert np.abs(seen.astype(int) - ramp).max() <= 4
    assert [path.name for path in tmp_path.iterdir()] == [f"out{suffix}"]


def test_an_unknown_suffix_or_a_place_that_cannot_be_is_refused(tmp_path: Path) -> None:
    picture = Picture(np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(OutputError, match=r"\.png, \.jpg"):
        write_picture(tmp_path / "out.xyz", picture)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_picture(tmp_path / "file" / "out.png", picture)


def test_a_picture_too_large_for_its_format_names_another(tmp_path: Path) -> None:
    wide = Picture(np.zeros((1, 70_000, 3), np.uint8))
    with pytest.raises(FrameError, match=r"70000x1 .*out\.png"):
        write_picture(tmp_path / "out.jpg", wide)
    assert not list(tmp_path.iterdir())
