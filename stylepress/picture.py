"""The one reader of pictures: any still image in, upright 8-bit sRGB pixels out."""

from __future__ import annotations

import io
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from stylepress.errors import FrameError

Pixels = NDArray[np.uint8]

LIMIT_PIXELS = 100_000_000
DEEPEST = 65535
# Not EPS (runs Ghostscript), and nothing without a magic number.
READABLE = (
    *("AVIF", "BMP", "DIB", "GIF", "HEIF", "ICO", "JPEG", "JPEG2000", "MPO", "PCX", "PNG", "PPM"),
    *("QOI", "SGI", "TIFF", "WEBP"),
)
PHOTO_SUFFIXES = frozenset(
    (
        *(".avif", ".bmp", ".dib", ".gif", ".heic", ".heif", ".hif", ".ico", ".jfif", ".jp2"),
        *(".jpe", ".jpeg", ".jpg", ".pbm", ".pcx", ".pgm", ".png", ".pnm", ".ppm", ".qoi"),
        *(".sgi", ".tif", ".tiff", ".webp"),
    )
)
ANIMATED = frozenset({"AVIF", "GIF", "PNG", "WEBP"})
"""Formats whose several pictures are shown one after the other; pages and burst shots are not."""
HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
COMMON = (b"\x89PNG", b"\xff\xd8\xff")
"""How PNG and JPEG begin: for them Pillow need not import its fifty other plugins."""
AVIF_BRANDS = frozenset({b"avif", b"avis"})
UNTIMED_MS = 100
"""How long browsers show a frame of an animation that names no time, or less than 11 ms."""

EXIF_IFD, GPS_IFD = 0x8769, 0x8825
# Who made it, when, with what: the tags that stay true of a stylized picture of another size.
KEPT_TAGS = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)
SIZE_TAGS = (0xA002, 0xA003)
EXIF_FAULTS = (
    *(OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, SyntaxError),
    *(OverflowError, ZeroDivisionError, struct.error),
)

_pillow = threading.Lock()


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One picture, upright.

    ``pixels`` is (H, W, 3) uint8 sRGB, ``alpha`` (H, W) uint8 or None, ``exif`` the kept EXIF tags
    (orientation is not among them), ``warnings`` what was lost or guessed while it was read.
    """

    pixels: Pixels
    alpha: Pixels | None = None
    exif: bytes = b""
    warnings: tuple[str, ...] = ()

    def on_white(self) -> Pixels:
        """Return the pixels, (H, W, 3) uint8, with white behind what is transparent."""
        return self.pixels if self.alpha is None else laid_on_white(self.pixels, self.alpha)

    @property
    def see_through(self) -> bool:
        """Whether anything shows through it."""
        return self.alpha is not None and bool((self.alpha < 255).any())


@dataclass(frozen=True, slots=True)
class PictureKind:
    """What a file is, by its header: Pillow's name of the format, and whether pictures move."""

    format: str
    animated: bool


def laid_on_white(pixels: Pixels, alpha: Pixels) -> Pixels:
    """Lay (H, W, 3) uint8 of an opacity of (H, W) uint8 on white, rounded.

    >>> laid_on_white(np.array([[[0, 100, 255]]], np.uint8), np.array([[51]], np.uint8)).tolist()
    [[[204, 224, 255]]]
    """
    share = alpha[..., None].astype(np.uint16)
    mixed = pixels * share + 255 * (255 - share) + 127
    return np.asarray(mixed // 255, np.uint8)


def read_picture(path: Path, *, limit_pixels: int = LIMIT_PIXELS) -> Picture:
    """Read a still image of any kind that Pillow decodes.

    EXIF orientation is applied, an ICC profile converted to sRGB, 16 bits scaled to 8, gray,
    palette and CMYK turned to RGB, alpha kept. Of an animation only the first frame is read.

    Raises:
        FrameError: it is missing, empty, no image, damaged, or has more than ``limit_pixels``
            (known from its header, before anything is decoded).
    """
    check_file(path)
    with _opened(path) as (image, heard):
        check_size(path, image.width, image.height, limit_pixels)
        noted: list[str] = []
        if getattr(image, "is_animated", False) and image.format != "MPO":
            noted.append("it holds several pictures; only the first one is used")
        with _damage_named(path, image):
            image.load()
            exif = _kept_exif(image, noted)
            pixels, alpha = _decoded(ImageOps.exif_transpose(image), noted)
        noted += [f"Pillow says: {_first_line(warning.message)}" for warning in heard]
    return Picture(pixels, alpha, exif, tuple(noted))


def picture_kind(path: Path) -> PictureKind | None:
    """Say what kind of picture a file holds, whatever its name; None when it is no picture.

    A HEIF file is one also where the package that reads it is missing.
    """
    try:
        with _opened(path) as (image, _):
            several = bool(getattr(image, "is_animated", False))
            return PictureKind(str(image.format), several and image.format in ANIMATED)
    except FrameError:
        return PictureKind("HEIF", animated=False) if is_heif(path) else None


@contextmanager
def animation(path: Path, *, limit_pixels: int = LIMIT_PIXELS) -> Iterator[Animation]:
    """Open a moving picture, to be decoded frame by frame.

    Raises:
        FrameError: as ``read_picture``.
    """
    check_file(path)
    with _opened(path) as (image, _):
        check_size(path, image.width, image.height, limit_pixels)
        count = int(getattr(image, "n_frames", 1))
        handle = open(path, "rb")  # noqa: SIM115 - closed below; Pillow closes only what it opened
        opened = Image.open(handle, formats=[str(image.format)])
    with handle, opened:
        yield Animation(path, opened, count)


@dataclass(frozen=True, slots=True, eq=False)
class Animation:
    """A moving picture that is open: ``count`` frames of one size."""

    path: Path
    image: Image.Image
    count: int

    def frames(self) -> Iterator[tuple[Picture, int]]:
        """Yield every frame, whole, and how long it is shown, in ms.

        Raises:
            FrameError: a frame is damaged.
        """
        # A PNG may begin with a picture for viewers that show no animation.
        apart = int(bool(getattr(self.image, "default_image", False)))
        for number in range(apart, self.count):
            with _undisturbed(), _damage_named(self.path, self.image):
                self.image.seek(number)
                self.image.load()
                lasts = round(float(self.image.info.get("duration") or 0))
                pixels, alpha = _decoded(ImageOps.exif_transpose(self.image), [])
            yield Picture(pixels, alpha), lasts if lasts > 10 else UNTIMED_MS


def check_file(path: Path) -> None:
    """Raise a FrameError unless ``path`` is a file with something in it."""
    if path.is_dir():
        raise FrameError(f"{path} is a folder, a file is needed.", "Name one file in it.")
    if not path.exists():
        raise FrameError(f"There is no file {path}.", "Check the name for a slip.")
    if not path.is_file():
        raise FrameError(f"{path} is no regular file.", "Copy its content into a file first.")
    if not path.stat().st_size:
        raise FrameError(f"{path} is empty (0 bytes).", "Copy or download it again.")


def check_size(path: Path, width: int, height: int, limit_pixels: int) -> None:
    """Raise a FrameError when a picture or video is larger than allowed, or has no pixels."""
    if width * height > limit_pixels:
        megapixels = -(-width * height // 1_000_000)
        raise FrameError(
            f"{path} has {width}x{height} pixels ({megapixels} megapixels), the limit is "
            f"{limit_pixels / 1e6:g}.",
            f"Make it smaller; `stylepress run` takes it with `--limit-megapixels {megapixels}`.",
        )
    if width < 1 or height < 1:
        raise FrameError(f"{path} has {width}x{height} pixels.", "Choose a picture with some.")


def is_heif(path: Path) -> bool:
    """Say by its brands (ISO 14496-12, ``ftyp``) whether a file is HEIF, as phones write it."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError:
        return False
    if head[4:8] != b"ftyp":
        return False
    length = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[8:12], *(head[at : at + 4] for at in range(16, length - 3, 4))}
    return bool(brands & HEIF_BRANDS) and not brands & AVIF_BRANDS


@contextmanager
def _undisturbed() -> Iterator[list[warnings.WarningMessage]]:
    """Keep Pillow's globals to ourselves.

    The limit is ours (``check_size``), so Pillow's own, a global with a warning at one size and an
    error at twice that, is off meanwhile. Warnings are collected, for a reader prints nothing.
    """
    with _pillow, warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        theirs, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield heard
        finally:
            Image.MAX_IMAGE_PIXELS = theirs


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Image.Image, list[warnings.WarningMessage]]]:
    """Open an image by its content; nothing but its header is read yet."""
    with _undisturbed() as heard:
        heif = is_heif(path)
        if heif:
            _read_heif_too(path)
        try:
            _learn_kind(path)
            with Image.open(path, formats=[kind for kind in READABLE if kind in Image.OPEN]) as it:
                yield it, heard
        except UnidentifiedImageError as error:
            raise FrameError(
                f"{path} is no picture of a kind known here.",
                f"Use one of {', '.join(sorted(kind for kind in READABLE if kind in Image.OPEN))}.",
            ) from error
        except OSError as error:
            raise FrameError(
                f"{path} cannot be read ({error.strerror or _first_line(error)}).",
                "Check the file and the right to read it.",
            ) from error
        except (ValueError, SyntaxError) as error:
            raise FrameError(
                f"{path} has a damaged header ({_first_line(error)}).", "Copy or download it again."
            ) from error


def _learn_kind(path: Path) -> None:
    """Let Pillow import what reads this file: all of it, but for the two that are met most."""
    with path.open("rb") as file:
        common = file.read(4).startswith(COMMON)
    if common:
        Image.preinit()
    else:
        Image.init()


def _read_heif_too(path: Path) -> None:
    try:
        from stylepress import heif
    except ImportError as error:
        raise FrameError(
            f"{path} is a HEIF picture (HEIC, as phones take them), and those need the package "
            f"pillow-heif.",
            "Install it with `pip install 'stylepress[heif]'`.",
        ) from error
    heif.register()


@contextmanager
def _damage_named(path: Path, image: Image.Image) -> Iterator[None]:
    """Turn whatever Pillow's readers raise while they decode into a FrameError."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # They raise whatever their parsers meet.
        raise FrameError(
            f"{path} is a damaged {image.format} picture ({_first_line(error)}).",
            "Save it again with a picture editor, or leave it out.",
        ) from error


def _decoded(image: Image.Image, noted: list[str]) -> tuple[Pixels, Pixels | None]:
    """Split a decoded image of any mode into sRGB pixels and alpha."""
    alpha: Pixels | None = None
    profile = image.info.get("icc_profile")
    if image.mode in ("LA", "La"):
        alpha, image = np.array(image.getchannel(1)), image.getchannel(0)
    elif image.mode[0] in "IF":
        image = Image.fromarray(_eight_bits(np.asarray(image), noted))
    elif image.mode == "LAB":
        profile = profile or ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    elif image.has_transparency_data or image.mode in ("RGBa", "PA"):
        image = image.convert("RGBA")
        alpha, image = np.array(image.getchannel("A")), image.convert("RGB")
    elif image.mode not in ("RGB", "CMYK", "L"):
        image = image.convert("RGB")
    return np.array(_srgb(image, profile, noted).convert("RGB")), alpha


def _eight_bits(values: NDArray[Any], noted: list[str]) -> Pixels:
    """Scale deep gray to 8 bits: 0..65535 by 1/257, anything else from its own least to most.

    >>> _eight_bits(np.array([[0, 128, 129, 65535]], np.uint16), []).tolist()
    [[0, 0, 1, 255]]
    """
    whole = np.issubdtype(values.dtype, np.integer)
    if whole and values.min() >= 0 and values.max() <= DEEPEST:
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    finite = np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = float(finite.min()), float(finite.max())
    if not whole and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    else:
        noted.append(f"its values {low:g}..{high:g} were spread over 0..255")
    scaled = (finite - low) * (255.0 / (high - low or 1.0))
    return np.floor(scaled + 0.5).astype(np.uint8)


def _srgb(image: Image.Image, profile: bytes | None, noted: list[str]) -> Image.Image:
    """Convert from the embedded ICC profile to sRGB; a profile that fits not is ignored."""
    if not profile:
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(
            image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        noted.append(f"its colour profile was ignored ({_first_line(error)})")
        return image
    return image if converted is None else converted


def _kept_exif(image: Image.Image, noted: list[str]) -> bytes:
    """Collect the EXIF tags that stay true; the orientation, which is applied, is not one."""
    try:
        source = image.getexif()
        kept = Image.Exif()
        for tag in KEPT_TAGS:
            if tag in source:
                kept[tag] = source[tag]
        for ifd in (EXIF_IFD, GPS_IFD):
            if inner := dict(source.get_ifd(ifd)):
                kept[ifd] = {tag: value for tag, value in inner.items() if tag not in SIZE_TAGS}
        return kept.tobytes() if len(kept) else b""
    except EXIF_FAULTS as error:  # Cameras write what they like; a tag never costs the picture.
        noted.append(f"its EXIF data was dropped ({_first_line(error)})")
        return b""


def _first_line(error: object) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
