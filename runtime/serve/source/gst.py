"""CSI cameras, and hardware decoders, through the system's GStreamer: a chain of elements.

The chain is built from elements whose properties are set one by one; no text that a user wrote is
ever parsed as a pipeline. Needs PyGObject of the system (``python3-gi``), so an environment made
with ``--system-site-packages``.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from stylepress.errors import BackendError, FrameError
from stylepress.runtime.serve.slots import SlotWriter
from stylepress.runtime.serve.source.process import Pace

USUAL_SIZE, USUAL_FPS = (720, 1280), 30
RTSP_LATENCY_MS = 100
SECOND_NS = 1_000_000_000
Properties = Mapping[str, Any]


@cache
def gst() -> Any:
    """Return GStreamer's module, started.

    Raises:
        BackendError: this Python has none.
    """
    try:
        import gi  # type: ignore[import-not-found]

        gi.require_version("Gst", "1.0")
        from gi.repository import Gst  # type: ignore[import-not-found]
    except (ImportError, ValueError) as error:
        raise BackendError(
            f"GStreamer cannot be used from here ({error}).",
            "Install python3-gi and make the environment with --system-site-packages.",
        ) from error
    Gst.init(None)
    return Gst


def read(wish: Mapping[str, Any], writer: SlotWriter) -> None:
    """Read the wish's camera until it is lost."""
    chain = Chain()
    size = wish["size"] or (USUAL_SIZE if wish["kind"] == "csi" else None)
    height, width = size or (None, None)
    if wish["kind"] == "csi":
        _csi(chain, wish, *USUAL_SIZE if size is None else size)
    elif wish["kind"] == "rtsp":
        _rtsp(chain, wish)
    else:
        chain.add("filesrc", {"location": wish["place"]})
        chain.add_when_known("decodebin", {})
    chain.add("videoconvert", {})
    chain.add("videoscale", {})
    chain.caps("video/x-raw", format="RGB", width=width, height=height)
    sink = chain.add("appsink", {"max-buffers": 1, "drop": True, "sync": wish["kind"] == "file"})
    chain.play()
    try:
        _pull(chain, sink, wish, writer)
    finally:
        chain.stop()


class Chain:
    """Elements one behind the other; those whose pads come late are linked when they come."""

    def __init__(self) -> None:
        self.pipeline = gst().Pipeline.new(None)
        self._last: Any = None
        self._late = False

    def add(self, kind: str, properties: Properties) -> Any:
        """Append an element.

        Raises:
            BackendError: this system has no element of that kind.
        """
        element = gst().ElementFactory.make(kind, None)
        if element is None:
            raise BackendError(
                f"GStreamer has no element {kind} here.", "Install the plugin that holds it."
            )
        for name, value in properties.items():
            element.set_property(name, value)
        self.pipeline.add(element)
        if self._last is not None and not self._late:
            self._last.link(element)
        elif self._last is not None:
            self._last.connect("pad-added", _link_video, element)
        self._last, self._late = element, False
        return element

    def add_when_known(self, kind: str, properties: Properties) -> Any:
        """Append an element whose source pads come when its data is known."""
        element = self.add(kind, properties)
        self._late = True
        return element

    def caps(self, kind: str, **fields: Any) -> None:
        """Append a filter for a format; fields that are None are left open."""
        caps = gst().Caps.new_empty_simple(kind)
        for name, value in fields.items():
            if value is not None:
                caps.set_value(name, value)
        self.add("capsfilter", {"caps": caps})

    def play(self) -> None:
        """Start it.

        Raises:
            FrameError: it refuses.
        """
        if self.pipeline.set_state(gst().State.PLAYING) == gst().StateChangeReturn.FAILURE:
            raise FrameError(
                f"The camera cannot be opened ({self.trouble()}).", "It is tried again."
            )

    def trouble(self) -> str:
        """Return the first error on the bus, an end of its data among them, or nothing."""
        kinds = gst().MessageType.ERROR | gst().MessageType.EOS
        message = self.pipeline.get_bus().pop_filtered(kinds)
        if message is None:
            return ""
        if message.type == gst().MessageType.EOS:
            return "its stream ended"
        error, _ = message.parse_error()
        return str(error.message)

    def stop(self) -> None:
        """Stop it and free what it holds."""
        self.pipeline.set_state(gst().State.NULL)


def _csi(chain: Chain, wish: Mapping[str, Any], height: int, width: int) -> None:
    chain.add("nvarguscamerasrc", {"sensor-id": int(wish["place"])})
    # The camera's own memory; the converter brings it to the processor's.
    rate = int(wish["fps"] or USUAL_FPS)
    form = f"format=NV12,width={int(width)},height={int(height)},framerate={rate}/1"
    caps = gst().Caps.from_string(f"video/x-raw(memory:NVMM),{form}")
    chain.add("capsfilter", {"caps": caps})
    chain.add("nvvidconv", {})
    chain.caps("video/x-raw", format="BGRx")


def _rtsp(chain: Chain, wish: Mapping[str, Any]) -> None:
    source = chain.add_when_known(
        "rtspsrc",
        {"location": wish["url"], "latency": RTSP_LATENCY_MS, "drop-on-latency": True},
    )
    gst().util_set_object_arg(source, "protocols", wish["transport"])
    source.set_property("tcp-timeout", int(1e6 * wish["timeout_s"]))
    # It takes the decoder of the highest rank: the hardware's where there is one.
    chain.add_when_known("decodebin", {})


def _link_video(source: Any, pad: Any, target: Any) -> None:
    caps = pad.get_current_caps() or pad.query_caps(None)
    media = caps.get_structure(0)
    if media.get_name().startswith("video/") or media.get_string("media") == "video":
        sink = target.get_static_pad("sink")
        if not sink.is_linked():
            pad.link(sink)


def _pull(chain: Chain, sink: Any, wish: Mapping[str, Any], writer: SlotWriter) -> None:
    pace, opened = Pace(wish["fps"]), False
    deadline = time.monotonic() + float(wish["timeout_s"])
    while True:
        sample = sink.emit("try-pull-sample", SECOND_NS // 5)
        if sample is None:
            if reason := chain.trouble():
                if wish["kind"] == "file" and reason == "its stream ended":
                    return
                raise FrameError(f"The camera is lost ({reason}).", "It is tried again.")
            if time.monotonic() > deadline:
                raise FrameError("No picture came in time.", "It is tried again.")
            continue
        captured_ns = time.monotonic_ns()
        deadline = time.monotonic() + float(wish["timeout_s"])
        form = sample.get_caps().get_structure(0)
        height, width = form.get_value("height"), form.get_value("width")
        if not opened:
            opened = True
            writer.tell("opened", width=width, height=height, fps=0, codec="gstreamer")
        if pace.admits():
            _hand_over(sample.get_buffer(), height, width, writer, captured_ns)


def _hand_over(buffer: Any, height: int, width: int, writer: SlotWriter, captured_ns: int) -> None:
    slot = writer.slot()
    if slot is None:
        return
    fine, mapped = buffer.map(gst().MapFlags.READ)
    if not fine:
        writer.corrupt += 1
        return
    try:
        stride = -(-3 * width // 4) * 4  # GStreamer pads rows of RGB to 4 bytes
        rows = np.frombuffer(mapped.data, np.uint8, stride * height).reshape(height, stride)
        view = writer.memory.frame(slot, height, width)
        np.copyto(view, rows[:, : 3 * width].reshape(height, width, 3))
    finally:
        buffer.unmap(mapped)
    writer.send(slot, height, width, captured_ns)
