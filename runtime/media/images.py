"""Pictures that are written: stylized pixels into a file, with their alpha and their tags."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

from PIL import Image

from stylepress.errors import FrameError, OutputError
from stylepress.picture import Picture
from stylepress.replace import replacing_file

# What each suffix is written as; 4:4:4 because stylized colours have hard edges.
WRITABLE: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {"compress_level": 4}),
    ".jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".jpeg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".webp": ("WEBP", {"quality": 95, "method": 4}),
    ".tif": ("TIFF", {"compression": "tiff_lzw"}),
    ".tiff": ("TIFF", {"compression": "tiff_lzw"}),
    ".bmp": ("BMP", {}),
}
WITHOUT_ALPHA = frozenset({"JPEG", "BMP"})
WITH_EXIF = frozenset({"JPEG", "PNG", "WEBP"})


def write_picture(path: Path, picture: Picture) -> tuple[str, ...]:
    """Write a picture in the format that the suffix names; return what was lost by that.

    JPEG and BMP hold no transparency: there the picture is laid on white. EXIF goes into PNG, JPEG
    and WebP. The file is written beside and renamed, so ``path`` is never half-written.

    Raises:
        OutputError: the suffix names no known format, or the place cannot be written to.
        FrameError: the format cannot hold so large a picture.
    """
    kind, options = WRITABLE[writable_suffix(path)]
    noted: list[str] = []
    image = Image.fromarray(picture.pixels)
    if picture.alpha is not None and kind not in WITHOUT_ALPHA:
        image.putalpha(Image.fromarray(picture.alpha))
    elif picture.see_through:
        image = Image.fromarray(picture.on_white())
        noted.append(f"{kind} holds no transparency, so it was laid on white")
    if picture.exif and kind in WITH_EXIF:
        options = {**options, "exif": picture.exif}
    encoded = io.BytesIO()
    try:
        image.save(encoded, format=kind, **options)
    except (OSError, ValueError, OverflowError, struct.error) as error:
        raise FrameError(
            f"{path} cannot hold a picture of {image.width}x{image.height} pixels ({error}).",
            f"Choose another format, e.g. {path.with_suffix('.png')}.",
        ) from error
    with replacing_file(path) as beside:
        beside.write_bytes(encoded.getbuffer())
    return tuple(noted)


def writable_suffix(path: Path) -> str:
    """Return the suffix of ``path`` in lower case.

    Raises:
        OutputError: it names no format that pictures are written in.
    """
    suffix = path.suffix.lower()
    if suffix not in WRITABLE:
        raise OutputError(
            f"{path} does not end in the name of a picture format known here.",
            f"End it in one of {', '.join(WRITABLE)}.",
        )
    return suffix
