"""A virtual webcam: frames into a V4L2 loopback device, for meetings."""

from __future__ import annotations

import fcntl
import os
import struct

import numpy as np
from PIL import Image

from stylepress.errors import OutputError
from stylepress.picture import Pixels

# From linux/videodev2.h: VIDIOC_S_FMT on a struct v4l2_format of 208 bytes (64-bit systems).
VIDIOC_S_FMT = 0xC0D05605
V4L2_BUF_TYPE_VIDEO_OUTPUT, V4L2_FIELD_NONE, V4L2_COLORSPACE_SRGB = 2, 1, 8
YUYV = struct.unpack("<I", b"YUYV")[0]
FORMAT_BYTES = 208


def v4l2_format(width: int, height: int) -> bytes:
    """Return the ``struct v4l2_format`` of YUYV frames for VIDIOC_S_FMT."""
    pixel = struct.pack(
        "<IIIIIII", width, height, YUYV, V4L2_FIELD_NONE, 2 * width, 2 * width * height,
        V4L2_COLORSPACE_SRGB,
    )  # fmt: skip
    # The union begins at a multiple of 8.
    return struct.pack("<II", V4L2_BUF_TYPE_VIDEO_OUTPUT, 0) + pixel.ljust(FORMAT_BYTES - 8, b"\0")


def yuyv(pixels: Pixels) -> bytes:
    """Return (H, W, 3) uint8 RGB, W even, as YUYV 4:2:2 in BT.601."""
    full = np.asarray(Image.fromarray(pixels).convert("YCbCr"), np.float32)
    luma = 16 + full[..., 0] * (219 / 255)
    chroma = 128 + (full[:, 0::2, 1:] + full[:, 1::2, 1:] - 256) * (112 / 255)
    packed = np.empty((*pixels.shape[:2], 2), np.uint8)
    packed[..., 0] = np.rint(luma)
    packed[:, 0::2, 1], packed[:, 1::2, 1] = np.rint(chroma[..., 0]), np.rint(chroma[..., 1])
    return packed.tobytes()


class Loopback:
    """An opened loopback device; its size is that of the first frame."""

    def __init__(self, device: str) -> None:
        """Open the device.

        Raises:
            OSError: there is none, or it may not be opened.
        """
        self._file = os.open(device, os.O_WRONLY | os.O_CLOEXEC)
        self._size: tuple[int, int] | None = None

    def write(self, pixels: Pixels, captured_ns: int) -> None:
        """Write a frame.

        Raises:
            OutputError: its size is not that of the first.
        """
        even = pixels[:, : pixels.shape[1] // 2 * 2]
        size = even.shape[0], even.shape[1]
        if self._size is None:
            fcntl.ioctl(self._file, VIDIOC_S_FMT, v4l2_format(size[1], size[0]))
            self._size = size
        if size != self._size:
            raise OutputError(
                f"The frames changed to {size[1]}x{size[0]}, which a webcam cannot.",
                "Set `size` for the stream.",
            )
        os.write(self._file, yuyv(even))

    def close(self) -> None:
        """Close the device."""
        os.close(self._file)
