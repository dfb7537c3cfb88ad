"""RTSP served by the daemon itself: players and recorders fetch H.264 from ``rtsp://@:8554/name``.

The server is GStreamer's, in a process of its own: a crash there costs this output only, and is
begun again.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np

from stylepress.errors import BackendError, OutputError
from stylepress.picture import Pixels
from stylepress.runtime.serve.address import Address

CHILD = Path(__file__).with_name("rtsp_child.py")
PYTHONS = (sys.executable, "/usr/bin/python3")
END_S = 2.0


class RtspServer:
    """One mount point; it listens from the first frame on, and anew when their size changes."""

    def __init__(self, address: Address) -> None:
        """Take the address; without a password only this machine is listened to."""
        self.address = address
        self._size: tuple[int, int] | None = None
        self._child: subprocess.Popen[bytes] | None = None

    def write(self, pixels: Pixels, captured_ns: int) -> None:
        """Hand a frame, (H, W, 3) uint8 RGB, to whoever watches; odd sides lose a pixel.

        Raises:
            BackendError: no Python here has GStreamer's RTSP server.
            OutputError: it cannot listen there.
        """
        # H.264 wants even sides; GStreamer pads rows of RGB to 4 bytes, which these need not.
        even = pixels[: pixels.shape[0] // 2 * 2, : pixels.shape[1] // 4 * 4]
        if self._child is None or self._size != even.shape[:2]:
            self.close()
            self._open(even.shape[0], even.shape[1])
        if self._child is None or self._child.stdin is None:
            raise RuntimeError("no server was begun")
        self._child.stdin.write(np.ascontiguousarray(even).tobytes())
        self._child.stdin.flush()

    def _open(self, height: int, width: int) -> None:
        self._size = (height, width)
        child = subprocess.Popen(
            [python_with_rtsp(), str(CHILD)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._child = child
        wish = {
            "address": "0.0.0.0" if self.address.password else "127.0.0.1",
            "port": self.address.port, "mount": self.address.place or "/", "width": width,
            "height": height, "user": self.address.user, "password": self.address.password,
        }  # fmt: skip
        if child.stdin is None or child.stdout is None:
            raise RuntimeError("a child without pipes")
        child.stdin.write(json.dumps(wish).encode() + b"\n")
        child.stdin.flush()
        word = child.stdout.readline().decode("utf-8", "replace").strip()
        if word != "ready":
            raise OutputError(
                f"RTSP cannot be served at port {self.address.port} ({word or 'it broke'}).",
                "Choose another port, or install GStreamer's plugins good, bad and ugly.",
            )

    def close(self) -> None:
        """End the server."""
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.wait(END_S)
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()


@cache
def python_with_rtsp() -> str:
    """Return a Python of this machine that has PyGObject and GStreamer's RTSP server.

    Raises:
        BackendError: there is none.
    """
    probe = "import gi; gi.require_version('GstRtspServer', '1.0')"
    for python in filter(shutil.which, PYTHONS):
        if not subprocess.run([python, "-c", probe], capture_output=True, check=False).returncode:
            return python
    raise BackendError(
        "No Python here has GStreamer's RTSP server.",
        "Install python3-gi and gir1.2-gst-rtsp-server-1.0, or push to a server (rtsp://HOST/...).",
    )
