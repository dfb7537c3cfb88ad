"""Which output an address names."""

from __future__ import annotations

from pathlib import Path

from stylepress.runtime.serve.address import Address
from stylepress.runtime.serve.config import StreamEntry
from stylepress.runtime.serve.outputs.line import Line, Writer


def open_output(stream: str, address: Address, entry: StreamEntry) -> Line:
    """Return the output for an address; it opens its place in a thread of its own."""

    def opener() -> Writer:
        if address.kind == "file":
            from stylepress.runtime.serve.outputs.record import Recorder

            return Recorder(stream, address.place, entry)
        if address.kind == "rtsp":
            from stylepress.runtime.serve.outputs.push import Pusher

            return Pusher(address, entry)
        if address.kind == "rtsp_server":
            from stylepress.runtime.serve.outputs.rtsp_server import RtspServer

            return RtspServer(address)
        if address.kind == "v4l2":
            from stylepress.runtime.serve.outputs.loopback import Loopback

            return Loopback(address.place)
        return _Nowhere()

    # A viewer is shown no path of this machine.
    name = Path(address.place).name if address.kind == "file" else address.shown
    return Line(f"file:{name}" if address.kind == "file" else name, opener, stream)


class _Nowhere:
    """Takes everything."""

    def write(self, pixels: object, captured_ns: int) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""
