"""RTSP push: H.264 to a server such as MediaMTX or go2rtc, which serves it to many."""

from __future__ import annotations

import av

from stylepress.picture import Pixels
from stylepress.runtime.serve.address import Address
from stylepress.runtime.serve.config import StreamEntry
from stylepress.runtime.serve.outputs.record import Encoding

TIMEOUT_S = 5.0


class Pusher:
    """One connection; a server that is away is tried again by whoever holds it."""

    def __init__(self, address: Address, entry: StreamEntry) -> None:
        """Take the address; it is opened with the first frame."""
        self.address, self.crf = address, entry.crf
        self._encoding: Encoding | None = None

    def write(self, pixels: Pixels, captured_ns: int) -> None:
        """Send a frame; one of another size begins a new connection."""
        if self._encoding is not None and self._encoding.size != pixels.shape[:2]:
            self.close()
        if self._encoding is None:
            container = av.open(
                self.address.url, "w", format="rtsp", timeout=TIMEOUT_S,
                options={"rtsp_transport": "tcp"},
            )  # fmt: skip
            self._encoding = Encoding(container, pixels, self.crf, captured_ns)
        self._encoding.write(pixels, captured_ns)

    def close(self) -> None:
        """End the connection."""
        current, self._encoding = self._encoding, None
        if current is not None:
            current.close()
