"""A folder of photos, and the crops that training draws from it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from stylepress.errors import FrameError
from stylepress.folder import files_below
from stylepress.picture import LIMIT_PIXELS, PHOTO_SUFFIXES, read_picture
from stylepress.progress import Progress

KEPT_BYTES = 256 << 20
ZOOM = (1.1, 2.8)
"""The short side of a photo, in crops: a crop has the scale of the frames that will be shown."""
NEGATIVE, DISCS, SWAPPED = 0.15, 0.5, 0.3
"""Shares of crops that are turned into negatives, that get a flat disc, and whose channels are
swapped. A few photos hold few large white, black or saturated areas, and a network paints what it
has not seen in odd colours."""


@dataclass
class Photos:
    """The readable photos below a folder, decoded when they are asked for.

    A file that cannot be read is warned about once, counted in ``bad`` and passed over. Transparent
    parts are white. What a reader has to remark (transparency, a profile that was ignored) is told
    for the first photo that it holds for. One object serves every step of a build, so that nothing
    is listed, told or, within ``KEPT_BYTES``, decoded twice.
    """

    paths: list[Path]
    progress: Progress
    bad: set[Path] = field(default_factory=set)
    _remarks: set[str] = field(default_factory=set)
    _kept: OrderedDict[Path, Image.Image] = field(default_factory=OrderedDict)
    _kept_bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def below(cls, folder: Path, progress: Progress) -> Photos:
        """List the photos below ``folder``, in name order.

        Raises:
            FrameError: no such folder, or no file in it that looks like a photo.
        """
        if not folder.is_dir():
            raise FrameError(
                f"{folder} is no folder of photos.",
                "Name a folder that holds pictures, e.g. jpg, png, webp, avif or heic files.",
            )
        files = files_below(folder)
        paths = sorted(p for p in files if p.suffix.lower() in PHOTO_SUFFIXES and p.is_file())
        if not paths:
            raise FrameError(
                f"{folder} holds no photos.",
                "Put jpg, png, webp, avif, heic or tiff files into it; "
                "a dozen varied ones are enough to begin.",
            )
        return cls(paths, progress)

    def __len__(self) -> int:
        return len(self.paths)

    def at(self, index: int) -> Image.Image:
        """Return photo ``index`` (modulo the count) as RGB, or the next one that can be read.

        Raises:
            FrameError: not one of the files can be read.
        """
        for offset in range(len(self.paths)):
            path = self.paths[(index + offset) % len(self.paths)]
            if path in self.bad:
                continue
            image = self._read(path)
            if image is not None:
                return image
        raise FrameError(
            f"None of the {len(self.paths)} photos in {self.paths[0].parent} can be read.",
            "Open one in an image viewer; copy the folder again if that fails.",
        )

    def frames(self, limit: int, *, most_side: int = 640) -> Iterator[NDArray[np.uint8]]:
        """Yield up to ``limit`` photos as (1, H, W, 3) uint8 frames, none larger than a side."""
        for index in range(min(limit, len(self.paths))):
            image = self.at(index).copy()
            image.thumbnail((most_side, most_side), Image.Resampling.LANCZOS)
            yield np.asarray(image, np.uint8)[None]

    def crop(
        self,
        draw: torch.Generator,
        side: int,
        *,
        zoom: tuple[float, float] = ZOOM,
        strange: bool = True,
    ) -> Tensor:
        """Draw one augmented square crop: (3, side, side) float32 in [0, 1].

        Photo, scale, place, mirroring, colours and the discs laid on it all come from ``draw``,
        so a seed is a crop. Without ``strange`` ones, half of the crops have the photo's own
        colours, and none is a negative, has its channels swapped or a disc on it.
        """
        photo = self.at(int(torch.randint(len(self.paths), (1,), generator=draw)))
        random = torch.rand(13, generator=draw).tolist()
        short = side * (zoom[0] + (zoom[1] - zoom[0]) * random[0])
        window = min(photo.size) * side / short
        left, top = (photo.width - window) * random[1], (photo.height - window) * random[2]
        box = (left, top, left + window, top + window)
        square = photo.resize((side, side), Image.Resampling.BICUBIC, box=box)
        pixels = torch.from_numpy(np.asarray(square, np.float32) / 255).permute(2, 0, 1)
        if random[3] < 0.5:
            pixels = pixels.flip(2)
        if not strange:
            return (_jitter(pixels, random[4:]) if random[12] < 0.5 else pixels).contiguous()
        if random[12] < SWAPPED:
            pixels = pixels[torch.randperm(3, generator=draw)]
        pixels = _jitter(pixels, random[4:])
        if random[10] < NEGATIVE:
            pixels = 1 - pixels
        if random[11] < DISCS:
            pixels = _with_disc(pixels, draw)
        return pixels.contiguous()

    def _read(self, path: Path) -> Image.Image | None:
        """Decode a photo; several threads that prepare batches do so at once."""
        with self._lock:
            if path in self._kept:
                self._kept.move_to_end(path)
                return self._kept[path]
        try:
            picture = read_picture(path, limit_pixels=LIMIT_PIXELS)
        except FrameError as error:
            with self._lock:
                if path not in self.bad:
                    self.bad.add(path)
                    self.progress.warn(f"{path.name} is left out. {error}")
            return None
        remarks = picture.warnings
        if picture.see_through:
            remarks = (*remarks, "its transparent parts are taken as white")
        self._remark(path, remarks)
        image = Image.fromarray(picture.on_white())
        self._keep(path, image)
        return image

    def _remark(self, path: Path, remarks: Sequence[str]) -> None:
        for remark in remarks:
            with self._lock:
                new = remark not in self._remarks
                self._remarks.add(remark)
            if new:
                self.progress.warn(f"{path.name}: {remark} (said once for all photos).")

    def _keep(self, path: Path, image: Image.Image) -> None:
        with self._lock:
            if path in self._kept:  # by another thread
                return
            self._kept[path] = image
            self._kept_bytes += 3 * image.width * image.height
            while self._kept_bytes > KEPT_BYTES and len(self._kept) > 1:
                _, old = self._kept.popitem(last=False)
                self._kept_bytes -= 3 * old.width * old.height


def _jitter(pixels: Tensor, random: list[float]) -> Tensor:
    """Vary exposure, contrast, saturation and white balance of one crop in [0, 1]."""
    grey = pixels.mean(0, keepdim=True)
    pixels = grey + (pixels - grey) * (0.3 + 2 * random[0])
    balance = torch.tensor([0.75 + 0.5 * r for r in random[1:4]]).view(3, 1, 1)
    pixels = (pixels * balance).clamp(1e-4, 1) ** (0.7 + 0.7 * random[4])
    return ((pixels - 0.5) * (0.75 + 0.45 * random[5]) + 0.5).clamp(0, 1)


def _with_disc(pixels: Tensor, draw: torch.Generator) -> Tensor:
    """Lay a disc of one colour, often white or black, on a (3, side, side) crop."""
    side = pixels.shape[-1]
    x, y, radius, kind = torch.rand(4, generator=draw).tolist()
    colour = torch.rand(3, 1, 1, generator=draw)
    if kind < 0.5:
        colour = torch.full((3, 1, 1), float(kind < 0.3))
    across = torch.arange(side) - x * side
    down = (torch.arange(side) - y * side)[:, None]
    inside = across**2 + down**2 < (side * (0.08 + 0.25 * radius)) ** 2
    return torch.where(inside, colour, pixels)


def read_style(path: Path) -> Tensor:
    """Read a style picture: (3, H, W) float32 in [0, 1]; white behind what is transparent.

    Raises:
        FrameError: it cannot be read, or is smaller than 64 px on a side.
    """
    try:
        pixels = read_picture(path).on_white()
    except FrameError as error:
        raise FrameError(f"The style picture cannot be read: {error}") from error
    if min(pixels.shape[:2]) < 64:
        raise FrameError(
            f"The style picture {path} is {pixels.shape[1]}x{pixels.shape[0]} px.",
            "Take one of at least 64 px a side; 512 or more shows the strokes.",
        )
    return torch.from_numpy(pixels.astype(np.float32) / 255).permute(2, 0, 1).contiguous()
