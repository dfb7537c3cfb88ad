"""The daemon's life: settings, reloads, recordings that survive, signals, and the metrics of it."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import yaml
from PIL import Image

from stylepress.runtime.serve.ledger import balance
from tests.runtime.serve.running import PATIENCE_S, ROOT, Daemon, running

STREAM = {"input": "test://", "size": "160x120", "fps": 15, "style": "tint"}


STILL = slice(113, 118)
"""Rows of the test picture in which nothing moves."""


def picture(daemon: Daemon, name: str = "test") -> Any:
    daemon.ask("GET", f"/streams/{name}.jpg")  # may have been on its way before the last change
    return np.asarray(Image.open(io.BytesIO(daemon.ask("GET", f"/streams/{name}.jpg"))), np.int16)


def change(daemon: Daemon, **wish: Any) -> None:
    daemon.ask("PATCH", "/api/v1/streams/test", wish)


def test_every_frame_is_accounted_for_and_each_setting_shows(daemon: Daemon) -> None:
    try:
        styled = picture(daemon)
        change(daemon, enabled=False)
        plain = picture(daemon)
        assert abs(styled - plain).mean() > 2
        mask = np.zeros((120, 160), np.uint8)
        mask[:, :80] = 255
        png = io.BytesIO()
        Image.fromarray(mask).save(png, "PNG")
        change(daemon, enabled=True)
        daemon.ask("PUT", "/api/v1/streams/test/mask", png.getvalue())
        half = picture(daemon)
        assert abs(half[STILL, 100:] - plain[STILL, 100:]).mean() < 1.5
        assert abs(half[STILL, :60] - styled[STILL, :60]).mean() < 1.5
        daemon.ask("DELETE", "/api/v1/streams/test/mask")
        change(daemon, style={"tint": 1, "conv": 1}, fade_s=0.2, smoothing=0.5)
        facts = daemon.until("test", lambda now: now["mix"] == {"tint": 0.5, "conv": 0.5})
        assert balance(facts["frames"]) == 0
        assert not facts["frames"]["dropped"].get("loading")
    finally:
        change(daemon, style="tint", smoothing=0.0, enabled=True)


@pytest.mark.parametrize("wish", [{"style": "none"}, {"strength": 2}, {"controls": {"strength": 9}}, {"no": 1}, []])  # fmt: skip
def test_a_wish_that_cannot_be_granted_changes_nothing(daemon: Daemon, wish: Any) -> None:
    before = daemon.stream("test")["settings"]
    with pytest.raises(urllib.error.HTTPError) as caught:
        daemon.ask("PATCH", "/api/v1/streams/test", wish)
    caught.value.close()
    assert caught.value.code == 400
    assert daemon.stream("test")["settings"] == before


def test_mjpeg_carries_both_pictures_side_by_side(daemon: Daemon) -> None:
    with urllib.request.urlopen(f"{daemon.url}/streams/test.mjpeg?view=both") as answer:
        assert answer.headers["Content-Type"].startswith("multipart/x-mixed-replace")
        data = answer.read(60_000)
    begin = data.index(b"\r\n\r\n") + 4
    assert Image.open(io.BytesIO(data[begin:])).size == (320, 120)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool")
def test_promtool_finds_nothing_wrong_with_the_metrics(daemon: Daemon) -> None:
    text = daemon.ask("GET", "/metrics")
    made = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, check=False
    )
    assert (made.returncode, made.stdout + made.stderr) == (0, b"")
    assert b"stylepress_frames_total" in text
    assert b"nv_inference_count" in daemon.ask("GET", "/metrics/triton")


def test_a_bad_configuration_keeps_the_old_one_and_a_good_one_is_taken(
    tmp_path: Path, bundles: Any
) -> None:
    values: dict[str, Any] = {"styles": bundles, "streams": {"test": STREAM, "more": STREAM}}
    with running(tmp_path, values) as daemon:
        path = tmp_path / "serve.yaml"
        before = daemon.until("test", lambda facts: facts["state"] == "live")
        path.write_text("streams: [", encoding="utf-8")
        daemon.process.send_signal(signal.SIGHUP)
        _until(lambda: daemon.ask("GET", "/api/v1/state")["reload_error"])
        assert daemon.stream("more")["state"]
        values["streams"] = {"test": STREAM, "new": STREAM}
        path.write_text(yaml.safe_dump({"listen": "127.0.0.1:0", **values}), encoding="utf-8")
        daemon.process.send_signal(signal.SIGHUP)
        _until(lambda: not daemon.ask("GET", "/api/v1/state")["reload_error"])
        names = {stream["name"] for stream in daemon.ask("GET", "/api/v1/state")["streams"]}
        assert names == {"test", "new"}
        # The stream that stayed the same was never interrupted.
        assert daemon.stream("test")["frames"]["captured"] > before["frames"]["captured"]
        assert daemon.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_recording_plays_whatever_ends_it(
    tmp_path: Path, bundles: Any, number: signal.Signals
) -> None:
    film = tmp_path / "film"
    stream = STREAM | {"outputs": [str(film)]}
    with running(tmp_path, {"styles": bundles, "streams": {"test": stream}}) as daemon:
        enough = 50  # more than the second after which a fragment is on disk
        facts = daemon.until("test", lambda now: now["frames"]["published"] > enough)
        daemon.process.send_signal(number)
        code = daemon.process.wait(PATIENCE_S)
    assert code == (0 if number == signal.SIGTERM else -number)
    (segment,) = film.glob("test-*.mp4")
    with av.open(str(segment)) as container:
        frames = sum(1 for _ in container.decode(video=0))
    assert frames >= (facts["frames"]["published"] if code == 0 else 15)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to mount")
def test_a_full_disk_stops_the_recording_and_nothing_else(tmp_path: Path, bundles: Any) -> None:
    film = tmp_path / "film"
    film.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(film)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("tmpfs cannot be mounted here")
    try:
        stream = STREAM | {"outputs": [str(film)], "fps": 30}
        with running(tmp_path, {"styles": bundles, "streams": {"test": stream}}) as daemon:
            daemon.until("test", lambda now: "No space" in now["outputs"][1]["trouble"])
            facts = daemon.until("test", lambda now: now["outputs"][1]["dropped"])
            more = facts["frames"]["published"] + 20
            daemon.until("test", lambda now: now["frames"]["published"] > more)
            assert daemon.stop() == 0
    finally:
        subprocess.run(["umount", str(film)], check=True)


def test_systemd_hears_when_it_is_ready_that_it_lives_and_that_it_stops(
    tmp_path: Path, bundles: Any
) -> None:
    place = tmp_path / "notify"
    environ = {"NOTIFY_SOCKET": str(place), "WATCHDOG_USEC": "1000000"}
    line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    line.bind(str(place))
    line.settimeout(PATIENCE_S)
    values = {"styles": bundles, "streams": {"test": STREAM}}
    with line, running(tmp_path, values, **environ) as daemon:
        heard = {line.recv(200).split(b"\n")[0] for _ in range(4)}
        assert heard == {b"READY=1", b"WATCHDOG=1"}
        daemon.process.send_signal(signal.SIGTERM)
        while line.recv(200) != b"STOPPING=1":
            pass
        assert daemon.process.wait(PATIENCE_S) == 0


def test_streams_of_one_size_and_style_run_in_batches(tmp_path: Path, bundles: Any) -> None:
    values = {
        "styles": bundles,
        "batching": {"most": 2},
        "streams": {"test": STREAM, "more": STREAM | {"strength": 0.5}},
    }
    with running(tmp_path, values) as daemon:
        daemon.until("more", lambda facts: facts["frames"]["published"] > 3)
        pairs = 'stylepress_inference_batches_total{frames="2"}'

        def batches() -> float:
            lines = daemon.ask("GET", "/metrics").decode().splitlines()
            return sum(float(line.split()[1]) for line in lines if line.startswith(pairs))

        _until(lambda: batches() > 5)
        assert abs(picture(daemon) - picture(daemon, "more"))[STILL].mean() > 1


def test_a_remote_daemon_runs_the_engine(tmp_path: Path, daemon: Daemon, bundles: Any) -> None:
    place = daemon.url.removeprefix("http://") + "/tint"
    styles = {"far": {"bundle": bundles["tint"]["bundle"], "remote": place}}
    stream = STREAM | {"style": "far", "strength": 0.0}
    with running(tmp_path, {"styles": styles, "streams": {"test": stream}}) as near:
        near.until("test", lambda facts: facts["frames"]["published"] > 3)
        change(daemon, enabled=False)
        try:
            assert abs(picture(near)[STILL] - picture(daemon)[STILL]).mean() < 1.5
        finally:
            change(daemon, enabled=True)


def test_a_viewer_sends_a_camera_and_sees_it_stylized(daemon: Daemon) -> None:
    import aiohttp

    from stylepress.runtime.serve.outputs.jpeg import encode_jpeg

    async def visit() -> dict[str, Any]:
        async with (
            aiohttp.ClientSession(daemon.url) as session,
            session.ws_connect("/api/v1/camera") as camera,
            session.ws_connect("/api/v1/live") as live,
        ):
            await camera.send_json({"style": "tint"})
            name = (await camera.receive_json())["name"]
            await live.send_json({"watch": [name], "view": "both"})
            await camera.send_bytes(b"no picture")
            await camera.send_bytes(encode_jpeg(np.full((60, 80, 3), 90, np.uint8), 90))
            data = (await live.receive(timeout=PATIENCE_S)).data
            length = int.from_bytes(data[12:16], "little")
            facts: dict[str, Any] = json.loads(data[16 : 16 + length])
            shown = Image.open(io.BytesIO(data[16 + length :])).size
            return facts | {"name": name, "size": shown}

    found = asyncio.run(visit())
    assert found["stream"] == found["name"]
    assert found["size"] == (160, 60)
    _until(lambda: len(daemon.ask("GET", "/api/v1/state")["streams"]) == 1)


def _until(holds: Any) -> None:
    until = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_whep_and_whip_carry_video_both_ways(daemon: Daemon) -> None:
    aiortc = pytest.importorskip("aiortc")
    import aiohttp

    class Gray(aiortc.VideoStreamTrack):  # type: ignore[misc, name-defined]
        async def recv(self) -> Any:
            frame = av.VideoFrame.from_ndarray(np.full((60, 80, 3), 90, np.uint8), format="rgb24")
            frame.pts, frame.time_base = await self.next_timestamp()
            return frame

    async def offered(session: Any, peer: Any, place: str) -> Any:
        await peer.setLocalDescription(await peer.createOffer())
        sdp = {"Content-Type": "application/sdp"}
        answer = await session.post(place, data=peer.localDescription.sdp, headers=sdp)
        assert answer.status == 201
        text = await answer.text()
        await peer.setRemoteDescription(aiortc.RTCSessionDescription(text, "answer"))
        return answer.headers

    async def visit() -> tuple[int, int, str]:
        watching, sending = aiortc.RTCPeerConnection(), aiortc.RTCPeerConnection()
        came: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        watching.on("track", lambda track: came.set_result(track))
        watching.addTransceiver("video", direction="recvonly")
        sending.addTrack(Gray())
        async with aiohttp.ClientSession(daemon.url) as session:
            place = (await offered(session, watching, "/streams/test/whep"))["Location"]
            frame = await asyncio.wait_for((await came).recv(), PATIENCE_S)
            assert (await session.delete(place)).status == 200
            headers = await offered(session, sending, "/whip")
            name = headers["X-Stream"]
            await asyncio.to_thread(daemon.until, name, lambda now: now["frames"]["published"] > 2)
            assert (await session.delete(headers["Location"])).status == 200
        await watching.close()
        await sending.close()
        return frame.width, frame.height, name

    width, height, name = asyncio.run(visit())
    assert (width, height) == (160, 120)
    _until(lambda: name not in str(daemon.ask("GET", "/api/v1/state")))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_takes_the_unit_and_finds_little_exposed(tmp_path: Path) -> None:
    unit = tmp_path / "stylepress.service"
    text = (ROOT / "runtime/serve/deploy/stylepress.service").read_text(encoding="utf-8")
    unit.write_text(text.replace("/opt/stylepress/bin/stylepress", "/bin/true"), encoding="utf-8")
    verify = ["systemd-analyze", "verify", str(unit)]
    made = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert (made.returncode, made.stderr) == (0, "")
    limit = ["systemd-analyze", "security", "--offline=true", "--threshold=30", str(unit)]
    assert subprocess.run(limit, capture_output=True, check=False).returncode == 0
