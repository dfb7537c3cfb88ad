"""Files, folders, RTSP, MJPEG over HTTP and V4L2 by PyAV: decoded, turned to RGB, handed over."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from stylepress.errors import FrameError
from stylepress.runtime.media.colour import to_rgb
from stylepress.runtime.media.streams import CONTAINERS
from stylepress.runtime.media.upright import Upright
from stylepress.runtime.serve.slots import SlotWriter
from stylepress.runtime.serve.source.process import Pace

Options = dict[str, str]
SUFFIXES = frozenset((".mp4", ".mov", ".mkv", ".webm", ".avi", ".ts", ".m4v", ".mpg", ".jpg", ".jpeg", ".png", ".webp"))  # fmt: skip
PICTURES = frozenset((".jpg", ".jpeg", ".png", ".webp"))
PICTURE_S = 2.0
"""How long a still picture of a folder is shown."""
ERRORS_IN_A_ROW = 50
LIVE_OPTIONS: Mapping[str, Options] = {
    "rtsp": {
        "protocol_whitelist": "rtsp,rtp,udp,tcp,tls,crypto",
        "format_whitelist": "rtsp,sdp",
        "analyzeduration": "300000",
        "fflags": "nobuffer",
        "max_delay": "100000",
    },
    "mjpeg": {
        "protocol_whitelist": "http,https,tcp,tls,crypto",
        "format_whitelist": "mjpeg,mpjpeg",
        "analyzeduration": "300000",
        "fflags": "nobuffer",
        "max_redirects": "0",
    },
    "v4l2": {"protocol_whitelist": "file", "format_whitelist": "video4linux2,v4l2"},
}


def read(wish: Mapping[str, Any], writer: SlotWriter) -> None:
    """Read the input of the wish until it is lost, or a file that does not loop ends."""
    av.logging.set_level(None)
    if wish["kind"] == "file":
        _read_files(wish, writer)
    else:
        _read_live(wish, writer)
        raise FrameError("The camera ended its stream.", "It is asked again.")


def _read_live(wish: Mapping[str, Any], writer: SlotWriter) -> None:
    timeout_s = float(wish["timeout_s"])
    options = dict(LIVE_OPTIONS[wish["kind"]])
    form = {"rtsp": "rtsp", "v4l2": "v4l2", "mjpeg": None}[wish["kind"]]
    if wish["kind"] == "rtsp":
        options["rtsp_transport"] = wish["transport"]
    if wish["kind"] == "v4l2":
        options |= _v4l2_options(wish)
    timeout = (timeout_s, min(timeout_s, 10.0))
    with av.open(wish["url"], format=form, options=options, timeout=timeout) as container:
        stream = _pictures(container)
        stream.thread_type = "SLICE"  # threads by frame would hold frames back
        stream.codec_context.thread_count = 1
        _tell_opened(writer, stream)
        pace = Pace(wish["fps"])
        for frame, captured_ns in _decoded(container, stream, writer):
            if frame.is_corrupt:
                writer.corrupt += 1
            _hand_over(frame, wish, writer, pace, captured_ns)


def _v4l2_options(wish: Mapping[str, Any]) -> Options:
    options = {"framerate": str(wish["fps"])} if wish["fps"] else {}
    if wish["size"]:
        options["video_size"] = "{1}x{0}".format(*wish["size"])
    return options


def _read_files(wish: Mapping[str, Any], writer: SlotWriter) -> None:
    place = Path(wish["place"])
    while True:
        paths = [place]
        if place.is_dir():
            paths = sorted(p for p in place.iterdir() if p.suffix.lower() in SUFFIXES)
        if not paths:
            raise FrameError(f"{place} holds no video and no picture.", "Name another folder.")
        for path in paths:
            _read_file(path, wish, writer)
        if not wish["loop"]:
            return


def _read_file(path: Path, wish: Mapping[str, Any], writer: SlotWriter) -> None:
    pace, limit = Pace(None), Pace(wish["fps"])
    still = path.suffix.lower() in PICTURES
    options = {"protocol_whitelist": "file"}
    if not still:
        options["format_whitelist"] = CONTAINERS
    with av.open(f"file:{path}", container_options=options) as container:
        stream = _pictures(container)
        stream.codec_context.thread_count = 1
        _tell_opened(writer, stream)
        begin: float | None = None
        for number, (frame, _) in enumerate(_decoded(container, stream, writer)):
            shown = frame.time if frame.time is not None else number / 25
            begin = shown if begin is None else begin
            pace.wait(shown - begin)
            _hand_over(frame, wish, writer, limit, time.monotonic_ns())
            until = time.monotonic() + PICTURE_S
            while still and time.monotonic() < until:
                time.sleep(0.04)
                _hand_over(frame, wish, writer, limit, time.monotonic_ns())


def _decoded(
    container: InputContainer, stream: VideoStream, writer: SlotWriter
) -> Iterator[tuple[VideoFrame, int]]:
    """Yield upright frames, each with the time at which its data was there; pass over what is damaged."""
    wrong, upright = 0, Upright()
    for packet in container.demux(stream):
        captured_ns = time.monotonic_ns()
        try:
            frames = stream.decode(packet)
            wrong = 0
        except (FFmpegError, IndexError) as error:
            writer.corrupt += 1
            wrong += 1
            if wrong > ERRORS_IN_A_ROW:
                raise FrameError(
                    f"{wrong} pieces in a row cannot be decoded ({error}).", "It is opened again."
                ) from error
            continue
        for frame in frames:
            for picture in upright(frame):
                yield picture, captured_ns


def _hand_over(
    frame: VideoFrame, wish: Mapping[str, Any], writer: SlotWriter, pace: Pace, captured_ns: int
) -> None:
    if not pace.admits():
        return
    height, width = wish["size"] or (frame.height, frame.width)
    if height * width > writer.memory.limit_pixels:
        raise FrameError(
            f"Its frames are {width}x{height}, {writer.memory.limit_pixels} pixels are allowed.",
            "Set `size` for the stream, or raise `limits.pixels`.",
        )
    slot = writer.slot()
    if slot is not None:
        view = writer.memory.frame(slot, height, width)
        view[:] = to_rgb(frame, width=width, height=height)
        writer.send(slot, height, width, captured_ns)


def _pictures(container: InputContainer) -> VideoStream:
    if not container.streams.video:
        raise FrameError("It holds no pictures.", "Name an input with video in it.")
    return container.streams.video[0]


def _tell_opened(writer: SlotWriter, stream: VideoStream) -> None:
    writer.tell(
        "opened",
        width=stream.width,
        height=stream.height,
        fps=float(stream.average_rate or 0),
        codec=stream.codec_context.name,
    )
