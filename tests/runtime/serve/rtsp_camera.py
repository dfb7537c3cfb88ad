"""An IP camera for tests: GStreamer's RTSP server with a moving picture; run by the system's Python.

usage: python3 rtsp_camera.py PORT [WIDTH HEIGHT FPS]; prints ``ready``; stops with its stdin.
A client may also push to rtsp://HOST:PORT/push, and what it pushed can be counted: each frame
prints ``pushed``.
"""

from __future__ import annotations

import sys
from typing import Any


def main(port: str, width: str = "320", height: str = "240", fps: str = "10") -> None:
    """Serve until stdin ends."""
    import gi  # type: ignore[import-not-found]

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtspServer  # type: ignore[import-not-found]

    Gst.init(None)
    server = GstRtspServer.RTSPServer.new()
    server.set_address("127.0.0.1")
    server.set_service(port)
    camera = GstRtspServer.RTSPMediaFactory.new()
    camera.set_launch(
        f"( videotestsrc is-live=true pattern=ball ! video/x-raw,width={width},height={height},"
        f"framerate={fps}/1 ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max={fps} ! "
        "rtph264pay name=pay0 pt=96 config-interval=1 )"
    )
    camera.set_shared(True)
    sink = GstRtspServer.RTSPMediaFactory.new()
    sink.set_launch("( rtph264depay name=depay0 ! h264parse ! fakesink name=last sync=false )")
    sink.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)

    def count(*_: Any) -> Any:
        say("pushed")
        return Gst.PadProbeReturn.OK

    def watch(factory: Any, media: Any) -> None:
        pad = media.get_element().get_by_name("last").get_static_pad("sink")
        pad.add_probe(Gst.PadProbeType.BUFFER, count)

    sink.connect("media-configure", watch)
    mounts = server.get_mount_points()
    mounts.add_factory("/cam", camera)
    mounts.add_factory("/push", sink)
    server.attach(None)
    say("ready")
    loop = GLib.MainLoop()
    GLib.io_add_watch(sys.stdin, GLib.IO_HUP, loop.quit)
    loop.run()


def say(word: str) -> None:
    """Write a line at once."""
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
