"""The picture that is shown while there is none: the last one, dark, with the reason written on it."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stylepress.picture import Pixels


def slate(name: str, reason: str, size: tuple[int, int], *, behind: Pixels | None = None) -> Pixels:
    """Draw a (height, width, 3) uint8 picture with the name of a stream and why it is not live."""
    height, width = size
    if behind is not None:
        image = Image.fromarray(behind // 4)
    else:
        image = Image.new("RGB", (width, height), (24, 26, 30))
    draw = ImageDraw.Draw(image)
    large, small = (ImageFont.load_default(max(8, height // part)) for part in (12, 22))
    draw.text((width / 2, height * 0.44), name, (235, 235, 235), large, anchor="mm")
    for row, line in enumerate(_wrapped(reason or "Waiting for the first picture.", width, small)):
        place = (width / 2, height * 0.56 + row * height / 16)
        draw.text(place, line, (190, 195, 200), small, anchor="mm")
    return np.asarray(image, np.uint8)


def _wrapped(
    text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> list[str]:
    lines, line = [], ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if font.getlength(longer) > 0.9 * width and line:
            lines.append(line)
            line = word
        else:
            line = longer
    return [*lines, line][:4]
