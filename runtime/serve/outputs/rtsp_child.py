"""The RTSP server itself, a process of its own, run by any Python that has PyGObject.

Standard input holds one line of JSON (address, port, mount, width, height, user, password), then
frames of RGB, height x width x 3 bytes each. It prints ``ready`` or why it cannot; it imports
nothing of stylepress, and ends with its input.
"""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

LAUNCH = (
    "( appsrc name=frames is-live=true do-timestamp=true format=time max-buffers=2 leaky-type=2 ! "
    "videoconvert ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=60 ! "
    "rtph264pay name=pay0 pt=96 config-interval=1 )"
)
ROLE = "viewer"


def main() -> int:
    """Serve until standard input ends."""
    import gi  # type: ignore[import-not-found]

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtspServer  # type: ignore[import-not-found]

    Gst.init(None)
    wish = json.loads(sys.stdin.buffer.readline())
    if missing := [kind for kind in ("x264enc", "rtph264pay") if not Gst.ElementFactory.find(kind)]:
        return _say(f"GStreamer has no element {missing[0]} here")
    server = GstRtspServer.RTSPServer.new()
    server.set_address(wish["address"])
    server.set_service(str(wish["port"]))
    factory = GstRtspServer.RTSPMediaFactory.new()
    factory.set_launch(LAUNCH)
    factory.set_shared(True)
    if wish["user"]:
        _guard(server, factory, wish, GstRtspServer)
    width, height = int(wish["width"]), int(wish["height"])
    caps = Gst.Caps.from_string(
        f"video/x-raw,format=RGB,width={width},height={height},framerate=0/1"
    )
    sources: list[Any] = []

    def configure(_: Any, media: Any) -> None:
        source = media.get_element().get_by_name("frames")
        source.set_property("caps", caps)
        sources[:] = [source]  # the medium is shared: the last is the only

    factory.connect("media-configure", configure)
    server.get_mount_points().add_factory(wish["mount"], factory)
    if not server.attach(None):
        return _say(f"port {wish['port']} is taken")
    loop = GLib.MainLoop()
    size = width * height * 3

    def pump() -> None:
        while len(frame := sys.stdin.buffer.read(size)) == size:
            for source in tuple(sources):
                source.emit("push-buffer", Gst.Buffer.new_wrapped(frame))
        loop.quit()

    _say("ready")
    threading.Thread(target=pump, daemon=True).start()
    loop.run()
    return 0


def _guard(server: Any, factory: Any, wish: dict[str, Any], rtsp: Any) -> None:
    """Let in only who knows user and password."""
    role = rtsp.RTSPToken.new()
    role.set_string("media.factory.role", ROLE)
    auth = rtsp.RTSPAuth.new()
    auth.add_basic(rtsp.RTSPAuth.make_basic(wish["user"], wish["password"]), role)
    server.set_auth(auth)
    factory.add_role_from_structure(_permissions())


def _permissions() -> Any:
    from gi.repository import Gst

    structure = Gst.Structure.new_empty(ROLE)
    for name in ("media.factory.access", "media.factory.construct"):
        structure.set_value(name, True)
    return structure


def _say(text: str) -> int:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
    return int(text != "ready")


if __name__ == "__main__":
    sys.exit(main())
