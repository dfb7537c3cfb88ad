"""The colours of a frame: any matrix, range, gamut and transfer curve to 8-bit RGB of BT.709.

BT.2020 and P3 are converted by their primaries, HDR (PQ, HLG of BT.2100) is tone-mapped by the
EETF of BT.2390 to white at 203 cd/m2 (BT.2408). SDR curves are read as BT.1886, as displays do.
"""

from __future__ import annotations

import struct
import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, VideoReformatter
from numpy.typing import NDArray

from stylepress.picture import Pixels

Light = NDArray[np.float32]

# libswscale's flags, as numbers because PyAV 17 does not name them all: POINT or BICUBIC, with
# FULL_CHR_H_INT and ACCURATE_RND. Without the last two it darkens 8-bit video by one level; a
# repeated chroma sample is the exact inverse of the mean that the encoder takes.
TO_RGB = 0x10 | 0x2000 | 0x40000
TO_RGB_RESIZED = 0x4 | 0x2000 | 0x40000
# ITU-T H.273 matrix numbers to libswscale's: BT.709, FCC, BT.601 (twice), SMPTE 240M, BT.2020.
MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
BT709, BT601 = 1, 5
# Up to a PAL frame an unnamed matrix is BT.601, beyond it BT.709: the rule of mpv and libplacebo.
SD_WIDTH, SD_HEIGHT = 1279, 576
# H.273 primaries: chromaticities (x, y) of red, green and blue; white is D65.
BT709_PRIMARIES = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
BT2020 = 9
PRIMARIES = {
    BT2020: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
D65 = (0.3127, 0.3290)
PQ, HLG = 16, 18
HDR_CURVES = {PQ: "PQ", HLG: "HLG"}
WHITE_CD_M2, PEAK_CD_M2, PQ_CD_M2 = 203.0, 1000.0, 10_000.0
HLG_GAMMA = 1.2  # of the display of 1000 cd/m2 that BT.2100 refers to
GAMMA = 2.4  # BT.1886
DEEP = 65_535


def to_rgb(frame: VideoFrame, *, width: int, height: int, peak: float = PEAK_CD_M2) -> Pixels:
    """Convert a frame of any format to (height, width, 3) uint8 RGB of BT.709; safe from threads.

    Matrix and range are the frame's own. Where it names none: BT.601 up to 1279x576, else BT.709;
    16..235 for YUV, unless its format says full range. ``peak`` is the brightest light of a PQ
    frame in cd/m2.
    """
    mapping = mapping_of(frame, peak)
    if mapping is None:
        return np.asarray(_reformatted(frame, width, height, "rgb24"), np.uint8)
    return mapping(np.asarray(_reformatted(frame, width, height, "rgb48le"), np.uint16))


def alpha_of(frame: VideoFrame, *, width: int, height: int) -> Pixels | None:
    """Return how opaque the pixels of a frame are, (height, width) uint8; None when all are."""
    if not any(part.is_alpha for part in frame.format.components):
        return None
    alpha = _reformatted(frame, width, height, "rgba")[..., 3]
    return None if (alpha == 255).all() else np.asarray(alpha, np.uint8)


def _reformatted(frame: VideoFrame, width: int, height: int, kind: str) -> NDArray[Any]:
    small = frame.width <= SD_WIDTH and frame.height <= SD_HEIGHT
    full = frame.format.is_rgb or frame.format.name.startswith(
        ("yuvj", "gray", "ya", "pal", "mono")
    )
    if frame.colorspace == 2 and frame.color_primaries == BT2020:
        usual = BT2020
    else:
        usual = BT601 if small else BT709
    same = (frame.width, frame.height) == (width, height)
    converted = CONVERTERS.reformatter.reformat(
        frame,
        width=width,
        height=height,
        format=kind,
        src_colorspace=MATRICES.get(frame.colorspace, usual),
        src_color_range=frame.color_range or (ColorRange.JPEG if full else ColorRange.MPEG),
        dst_color_range=ColorRange.JPEG,
        interpolation=TO_RGB if same else TO_RGB_RESIZED,
        threads=1,
    )
    return converted.to_ndarray()


class _Converters(threading.local):
    """One libswscale context for each thread: they are not safe to share."""

    def __init__(self) -> None:
        self.reformatter = VideoReformatter()


CONVERTERS = _Converters()


@dataclass(frozen=True, slots=True, eq=False)
class Mapping:
    """From 16-bit R'G'B' codes of one colour space to 8-bit codes of BT.709, by tables.

    ``light`` gives the linear light of a code, 1.0 is white; ``matrix`` turns it into BT.709.
    ``luminance``, for HLG only, are the weights of its OOTF. ``dimming`` is what the light is
    multiplied by, looked up at the root of its brightest channel over ``most``.
    """

    light: Light
    matrix: Light
    dimming: Light | None = None
    most: float = 1.0
    luminance: Light | None = None

    def __call__(self, codes: NDArray[np.uint16]) -> Pixels:
        """Map (H, W, 3) uint16 to (H, W, 3) uint8."""
        light = self.light[codes]
        if self.luminance is not None:
            # BT.2100, table 5: the display's light is the scene's times its luminance to gamma - 1.
            light *= np.power(light @ self.luminance, HLG_GAMMA - 1)[..., None]
        if self.dimming is not None:
            # Channel by channel: numpy's maximum along a short last axis is four times as slow.
            top = np.maximum(np.maximum(light[..., 0], light[..., 1]), light[..., 2])
            brightest = np.sqrt(np.minimum(top / self.most, 1))
            light *= self.dimming[(brightest * DEEP + 0.5).astype(np.uint16)][..., None]
        light = light @ self.matrix.T
        np.clip(light, 0, 1, out=light)
        # Codes are looked up by the root of the light, so that dark ones are as fine as bright.
        return _codes()[(np.sqrt(light) * DEEP + 0.5).astype(np.uint16)]


@lru_cache(1)
def _codes() -> Pixels:
    roots = np.linspace(0, 1, DEEP + 1)
    return np.floor(255 * roots ** (2 / GAMMA) + 0.5).astype(np.uint8)


def mapping_of(frame: VideoFrame, peak: float = PEAK_CD_M2) -> Mapping | None:
    """Return the mapping that the tags of a frame ask for; None when it is BT.709 or alike."""
    curve, primaries = frame.color_trc, frame.color_primaries
    if curve in HDR_CURVES:
        return _hdr(int(curve), int(primaries) if primaries in PRIMARIES else BT2020, peak)
    return _sdr(int(primaries)) if primaries in PRIMARIES else None


@lru_cache(4)
def _sdr(primaries: int) -> Mapping:
    codes = np.linspace(0, 1, DEEP + 1)
    return Mapping((codes**GAMMA).astype(np.float32), gamut_matrix(primaries))


@lru_cache(8)
def _hdr(curve: int, primaries: int, peak: float) -> Mapping:
    codes = np.linspace(0, 1, DEEP + 1)
    luminance = None
    if curve == PQ:
        light = np.minimum(pq_light(codes), peak) / WHITE_CD_M2
    else:
        peak = PEAK_CD_M2
        luminance = _rgb_to_xyz(PRIMARIES[primaries])[1].astype(np.float32)
        # With the factor of the display inside: (k E) ((k E) . w)^0.2 is k^1.2 E (E . w)^0.2.
        light = hlg_light(codes) * (peak / WHITE_CD_M2) ** (1 / HLG_GAMMA)
    most = peak / WHITE_CD_M2
    roots = np.linspace(0, 1, DEEP + 1)
    before = np.maximum(roots**2 * peak, 1e-6)
    dimming = eetf(before, peak, WHITE_CD_M2) / before
    return Mapping(
        light.astype(np.float32),
        gamut_matrix(primaries),
        dimming.astype(np.float32),
        most,
        luminance,
    )


def pq_light(codes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the light of PQ codes 0..1 in cd/m2 (BT.2100 table 4, EOTF)."""
    root = codes ** (1 / PQ_M2)
    ratio = np.maximum(root - PQ_C1, 0) / (PQ_C2 - PQ_C3 * root)
    return np.asarray(PQ_CD_M2 * ratio ** (1 / PQ_M1), np.float64)


def pq_codes(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the PQ codes 0..1 of light in cd/m2, the inverse of ``pq_light``."""
    power = (light / PQ_CD_M2) ** PQ_M1
    return np.asarray(((PQ_C1 + PQ_C2 * power) / (1 + PQ_C3 * power)) ** PQ_M2, np.float64)


PQ_M1, PQ_M2 = 2610 / 16384, 2523 / 4096 * 128
PQ_C1, PQ_C2, PQ_C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
HLG_A, HLG_B, HLG_C = 0.17883277, 0.28466892, 0.55991073


def hlg_light(codes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the light of the scene, 0..1, of HLG codes 0..1 (BT.2100 table 5, inverse OETF)."""
    low, high = codes**2 / 3, (np.exp((codes - HLG_C) / HLG_A) + HLG_B) / 12
    return np.where(codes <= 0.5, low, high)


def eetf(light: NDArray[np.float64], peak: float, target: float) -> NDArray[np.float64]:
    """Compress light of 0..``peak`` cd/m2 into 0..``target``, only near the top (BT.2390, 5.4.1)."""
    scale = float(pq_codes(np.array(peak)))
    most = float(pq_codes(np.array(target))) / scale
    if most >= 1:
        return light
    knee = 1.5 * most - 0.5
    codes = pq_codes(np.minimum(light, peak)) / scale
    t = (codes - knee) / (1 - knee)
    curve = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (-2 * t**3 + 3 * t**2) * most
    )
    return pq_light(np.where(codes > knee, curve, codes) * scale)


def gamut_matrix(primaries: int) -> Light:
    """Return the 3x3 matrix from linear RGB of these primaries to linear RGB of BT.709."""
    matrix = np.linalg.inv(_rgb_to_xyz(BT709_PRIMARIES)) @ _rgb_to_xyz(PRIMARIES[primaries])
    return np.asarray(matrix, np.float32)


def _rgb_to_xyz(primaries: tuple[tuple[float, float], ...]) -> NDArray[np.float64]:
    """Derive the matrix from chromaticities and white (SMPTE RP 177)."""
    columns = np.array([_xyz(x, y) for x, y in primaries]).T
    return np.asarray(columns * np.linalg.solve(columns, _xyz(*D65)), np.float64)


def _xyz(x: float, y: float) -> NDArray[np.float64]:
    return np.array([x / y, 1, (1 - x - y) / y])


def peak_of(frame: VideoFrame) -> float:
    """Return the brightest light that a PQ frame says it was mastered for, in cd/m2.

    Ask it of one frame only: PyAV ties a frame whose side data was read into a cycle.
    """
    try:
        mastering = bytes(frame.side_data["MASTERING_DISPLAY_METADATA"])  # type: ignore[typeddict-item]
        top, bottom = struct.unpack_from("ii", mastering, 72)  # AVMasteringDisplayMetadata
        peak = top / bottom
    except (KeyError, ValueError, ZeroDivisionError, struct.error):
        return PEAK_CD_M2
    return float(peak) if WHITE_CD_M2 <= peak <= PQ_CD_M2 else PEAK_CD_M2
