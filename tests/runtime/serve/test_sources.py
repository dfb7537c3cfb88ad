"""Sources that are no camera: files, folders, MJPEG over HTTP; and what an address may be."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stylepress.errors import RecipeError
from stylepress.runtime.serve.address import parse_input, parse_output, redacted
from stylepress.runtime.serve.ledger import balance
from tests.runtime.clips import gray, write_clip
from tests.runtime.serve.running import Daemon, running


def test_files_folders_and_mjpeg_are_read(tmp_path: Path, bundles: Any, daemon: Daemon) -> None:
    write_clip(tmp_path / "once.mp4", [gray(60 + n) for n in range(20)])
    folder = tmp_path / "folder"
    folder.mkdir()
    Image.fromarray(np.full((48, 64, 3), 90, np.uint8)).save(folder / "a.png")
    write_clip(folder / "b.mp4", [gray(60)] * 5)
    streams = {
        "once": {"input": "once.mp4", "loop": False, "timeout_s": 20.0},
        "again": {"input": "once.mp4", "outputs": ["./film"]},
        "folder": {"input": str(folder)},
        "mjpeg": {"input": f"{daemon.url}/streams/test.mjpeg"},
    }
    with running(tmp_path, {"styles": bundles, "streams": streams}) as found:
        once = found.until("once", lambda facts: facts["state"] == "ended")
        assert once["frames"]["captured"] == 20  # published or dropped, as the machine can
        assert balance(once["frames"]) == 0
        assert once["frames"]["reconnects"] == {}
        found.until("again", lambda facts: facts["frames"]["captured"] > 25)
        found.until("folder", lambda facts: facts["frames"]["captured"] > 3)
        mjpeg = found.until("mjpeg", lambda facts: facts["frames"]["published"] > 3)
        assert (mjpeg["size"], mjpeg["codec"]) == ([120, 160], "mjpeg")
        assert (tmp_path / "film").is_dir()  # beside the configuration, not where it was started
        assert str(tmp_path) not in str(found.ask("GET", "/api/v1/state"))


class Redirecting(http.server.BaseHTTPRequestHandler):
    """Sends whoever asks to another place."""

    goal = ""

    def do_GET(self) -> None:
        self.send_response(302)
        self.send_header("Location", self.goal)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def elsewhere(daemon: Daemon) -> Iterator[str]:
    Redirecting.goal = f"{daemon.url}/streams/test.mjpeg"
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Redirecting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/video.mjpg"
        server.shutdown()


def test_a_camera_may_not_send_the_daemon_to_another_host(
    tmp_path: Path, bundles: Any, elsewhere: str
) -> None:
    with running(tmp_path, {"styles": bundles, "streams": {"cam": {"input": elsewhere}}}) as found:
        facts = found.until("cam", lambda now: sum(now["frames"]["reconnects"].values()) >= 1)
        assert facts["frames"]["captured"] == 0


@pytest.mark.parametrize(
    "text",
    ["exec:rm", "concat:a|b", "gopher://x/", "rtsp://", "rtsp://a b/", "rtsp://h:0/", "rtsp://h:99999/",
     "v4l2:///etc/passwd", "csi://x", "test://../x", "rtsp://h/\n! filesink", "ffmpeg:x", "http:///x"],
)  # fmt: skip
def test_an_address_of_no_known_form_is_refused(text: str) -> None:
    with pytest.raises(RecipeError):
        parse_input(text)


def test_addresses_are_read_as_jetson_utils_reads_them_and_passwords_stay_hidden() -> None:
    kinds = {"0": "csi", "csi://1": "csi", "/dev/video2": "v4l2", "v4l2:///dev/video0": "v4l2",
             "a.mp4": "file", "file:///a": "file", "http://h/x": "mjpeg", "test://": "test"}  # fmt: skip
    assert {text: parse_input(text).kind for text in kinds} == kinds
    address = parse_input("rtsp://me:p@ss%2Fw:rd@h/x")
    assert (address.host, address.user) == ("h", "me")
    assert address.password == "p@ss/w:rd"
    assert "p@ss" not in f"{address!r} {address.shown}"
    assert "p@ss" not in redacted(f"cannot open {address.url}")
    assert parse_output("/dev/video9").kind == "v4l2"
    with pytest.raises(RecipeError):
        parse_output("http://h/x")
