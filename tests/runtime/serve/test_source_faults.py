"""Sources that fail, by a real IP camera: what one does, no other stream notices."""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import av
import pytest

from stylepress.runtime.serve.ledger import balance
from tests.runtime.serve.running import (
    PATIENCE_S,
    Daemon,
    camera,
    free_port,
    has_camera,
    running,
)

pytestmark = pytest.mark.skipif(not has_camera(), reason="needs GStreamer's RTSP server")


@pytest.fixture
def mute() -> Iterator[int]:
    """A port that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=lambda: _accept(server), daemon=True).start()
        yield server.getsockname()[1]


@pytest.fixture
def damaging() -> Iterator[tuple[int, list[int]]]:
    """A port that passes an RTSP camera on, with one byte in a hundred of its video changed.

    Yields its own port, and the list into which the camera's port is put.
    """
    behind: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=lambda: _damage(server, behind), daemon=True).start()
        yield server.getsockname()[1], behind


def _damage(server: socket.socket, behind: list[int]) -> None:
    with suppress(OSError):
        while True:
            client, _ = server.accept()
            camera_line = socket.create_connection(("127.0.0.1", behind[0]))
            for source, sink, dice in ((client, camera_line, None), (camera_line, client, random.Random(0))):  # fmt: skip
                threading.Thread(target=_pump, args=[source, sink, dice], daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket, dice: random.Random | None) -> None:
    rest = b""
    with suppress(OSError):
        while data := source.recv(65536):
            if dice is None:
                sink.sendall(data)
                continue
            rest += data
            while rest:
                if rest[:1] != b"$":  # RTSP itself, as far as the next packet
                    end = rest.find(b"$", 1)
                    end = len(rest) if end < 0 else end
                    sink.sendall(rest[:end])
                elif len(rest) < 4 or len(rest) < (end := 4 + int.from_bytes(rest[2:4], "big")):
                    break
                else:
                    packet = bytearray(rest[:end])
                    for _ in range((end - 16) // 100 if rest[1] == 0 else 0):
                        packet[dice.randrange(16, end)] ^= 1 << dice.randrange(8)
                    sink.sendall(packet)
                rest = rest[end:]
    sink.close()


def _accept(server: socket.socket) -> None:
    held = []
    with suppress(OSError):
        while True:
            held.append(server.accept())


def config(bundle: Path, **inputs: str) -> dict[str, object]:
    return {
        "styles": {"toy": {"bundle": str(bundle), "backend": "onnxruntime"}},
        "defaults": {"size": "160x120", "timeout_s": 1.0},
        "streams": {name: {"input": text, "fps": 10} for name, text in inputs.items()},
    }


def is_live(facts: dict[str, object]) -> bool:
    return facts["state"] == "live"


def is_lost(facts: dict[str, object]) -> bool:
    return facts["state"] == "lost"


def assert_untouched(daemon: Daemon, name: str) -> None:
    facts = daemon.stream(name)
    assert facts["state"] == "live"
    assert not facts["frames"]["reconnects"]
    daemon.until(name, lambda now: now["frames"]["published"] > facts["frames"]["published"] + 3)


def test_a_camera_that_is_killed_is_live_again_when_it_is_back(
    tmp_path: Path, toy_bundle: Path
) -> None:
    port = free_port()
    values = config(toy_bundle, cam=f"rtsp://me:secret@127.0.0.1:{port}/cam", other="test://")
    with running(tmp_path, values) as daemon:
        with camera(port) as process:
            daemon.until("cam", is_live)
            process.kill()
            lost = daemon.until(
                "cam", lambda facts: is_lost(facts) and facts["frames"]["slates"] > 1
            )
            assert "secret" not in str(daemon.ask("GET", "/api/v1/state"))
        with camera(port):
            back = daemon.until("cam", is_live)
        assert sum(lost["frames"]["reconnects"].values()) >= 1
        assert balance(back["frames"]) == 0
        assert_untouched(daemon, "other")
        assert daemon.stop() == 0


def test_a_camera_that_freezes_gives_a_slate_and_goes_on(tmp_path: Path, toy_bundle: Path) -> None:
    port = free_port()
    values = config(toy_bundle, cam=f"rtsp://127.0.0.1:{port}/cam", other="test://")
    with camera(port) as process, running(tmp_path, values) as daemon:
        daemon.until("cam", is_live)
        process.send_signal(signal.SIGSTOP)
        daemon.until("cam", lambda facts: is_lost(facts) and facts["frames"]["slates"] > 1)
        process.send_signal(signal.SIGCONT)
        facts = daemon.until("cam", is_live)
        assert balance(facts["frames"]) == 0
        assert_untouched(daemon, "other")


def test_a_camera_that_says_nothing_is_given_up_and_tried_again(
    tmp_path: Path, toy_bundle: Path, mute: int
) -> None:
    values = config(toy_bundle, cam=f"rtsp://127.0.0.1:{mute}/cam", other="test://")
    with running(tmp_path, values) as daemon:
        tried = daemon.until("cam", lambda facts: sum(facts["frames"]["reconnects"].values()) >= 2)
        assert tried["frames"]["slates"]
        assert_untouched(daemon, "other")


def test_damage_is_counted_and_costs_one_stream(
    tmp_path: Path, toy_bundle: Path, damaging: tuple[int, list[int]]
) -> None:
    port, behind = damaging
    behind.append(free_port())
    values = config(toy_bundle, cam=f"rtsp://127.0.0.1:{port}/cam", other="test://")
    with camera(behind[0]), running(tmp_path, values) as daemon:
        facts = daemon.until(
            "cam", lambda now: now["frames"]["corrupt"] > 3 and now["frames"]["published"] > 3
        )
        assert balance(facts["frames"]) == 0
        assert_untouched(daemon, "other")


def test_frames_go_to_an_rtsp_server(tmp_path: Path, toy_bundle: Path) -> None:
    port = free_port()
    values = config(toy_bundle, cam="test://")
    values["defaults"]["outputs"] = [f"rtsp://127.0.0.1:{port}/push"]  # type: ignore[index]
    with camera(port) as process, running(tmp_path, values) as daemon:
        assert process.stdout is not None
        assert process.stdout.readline() == "pushed\n"
        push = next(o for o in daemon.stream("cam")["outputs"] if o["name"].startswith("rtsp"))
        assert (
            push["offered"] == push["delivered"] + sum(push["dropped"].values()) + push["waiting"]
        )


def test_players_fetch_frames_by_rtsp_with_the_password_only(
    tmp_path: Path, toy_bundle: Path
) -> None:
    port = free_port()
    values = config(toy_bundle, cam="test://")
    values["defaults"]["outputs"] = [f"rtsp://me:secret@:{port}/door"]  # type: ignore[index]
    tcp = {"rtsp_transport": "tcp"}
    with running(tmp_path, values) as daemon:
        daemon.until("cam", lambda facts: facts["outputs"][-1].get("delivered", 0) > 3)
        with pytest.raises(av.error.FFmpegError, match="401"):
            av.open(f"rtsp://me:wrong@127.0.0.1:{port}/door", options=tcp, timeout=PATIENCE_S)
        with av.open(
            f"rtsp://me:secret@127.0.0.1:{port}/door", options=tcp, timeout=PATIENCE_S
        ) as player:
            frame = next(player.decode(video=0))
        assert [frame.height, frame.width] == daemon.stream("cam")["size"]
        assert "secret" not in str(daemon.ask("GET", "/api/v1/state"))


def test_gstreamer_reads_the_same_camera(tmp_path: Path, toy_bundle: Path) -> None:
    """As on a Jetson; here the Python of the tests borrows the system's PyGObject."""
    borrowed = tmp_path / "site"
    borrowed.mkdir()
    (borrowed / "gi").symlink_to("/usr/lib/python3/dist-packages/gi")
    works = subprocess.run(
        [sys.executable, "-c", "import gi"],
        env={"PYTHONPATH": str(borrowed)},
        capture_output=True,
        check=False,
    )
    if works.returncode:
        pytest.skip("the system's PyGObject is for another Python")
    port = free_port()
    values = config(toy_bundle, cam=f"rtsp://127.0.0.1:{port}/cam")
    values["defaults"] |= {"decoder": "gstreamer", "timeout_s": 10.0}  # type: ignore[operator]
    with camera(port), running(tmp_path, values, PYTHONPATH=str(borrowed)) as daemon:
        facts = daemon.until("cam", is_live)
        assert (facts["codec"], facts["size"]) == ("gstreamer", [120, 160])
