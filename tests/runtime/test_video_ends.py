"""Every way that a video can end: cut off, stopped, failed, and with no room on the disk."""

from __future__ import annotations

import gc
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from av.video.frame import VideoFrame

from stylepress.errors import BackendError, FrameError, OutputError, RecipeError
from stylepress.progress import Silent
from stylepress.runtime.media.encoder import Film, Quality
from stylepress.runtime.media.lanes import Styling
from stylepress.runtime.media.video import SPARE_FRAMES, VideoOptions, stylize_video
from tests.runtime.clips import (
    DEADLINE_S,
    Heard,
    Plain,
    fifty_frames,
    gray,
    leftovers,
    levels,
    play,
    run,
    write_clip,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def fifty(tmp_path: Path) -> Path:
    """Two seconds, 50 frames, with sound."""
    return fifty_frames(tmp_path)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_of_a_truncated_video_the_good_part_is_kept_and_told(suffix: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (48, 64, 3), np.uint8) for _ in range(75)]
    whole = write_clip(tmp_path / f"whole{suffix}", noise, sound="aac").read_bytes()
    (tmp_path / f"in{suffix}").write_bytes(whole[: len(whole) // 2])
    heard = Heard()
    summary = run(tmp_path / f"in{suffix}", tmp_path / f"out{suffix}", progress=heard)
    kept = play(tmp_path / f"out{suffix}")
    assert 25 < len(kept.pictures) == summary.frames < 60
    told = " ".join(heard.warnings)
    assert f"cut off: {summary.frames} frames" in told
    assert "of 3.0 s" in told


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_recordings_put_end_to_end_run_on(suffix: str, tmp_path: Path) -> None:
    pictures = [gray(level) for level in levels(50)]
    once = write_clip(tmp_path / "whole.ts", pictures, sound="aac").read_bytes()
    (tmp_path / "in.ts").write_bytes(once + once)
    summary = run(tmp_path / "in.ts", tmp_path / f"out{suffix}")
    seen, single = play(tmp_path / f"out{suffix}"), play(tmp_path / "whole.ts")
    assert np.allclose(seen.levels, levels(50) * 2, atol=2)
    assert np.all(np.diff(seen.times) > 0)
    assert seen.times[-1] == pytest.approx(2 * single.times[-1], abs=0.2)
    assert len(seen.sound) == 2 * len(single.sound)
    assert "began anew 1 times" in summary.warnings[0]


def test_a_video_without_one_whole_frame_is_a_frame_error(fifty: Path, tmp_path: Path) -> None:
    mkv = write_clip(tmp_path / "whole.mkv", [gray(60)] * 5).read_bytes()
    (tmp_path / "in.mkv").write_bytes(mkv[: mkv.index(b"\x1f\x43\xb6\x75") + 12])
    with pytest.raises(FrameError, match=r"Not one frame of .*in\.mkv"):
        run(tmp_path / "in.mkv", tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("failing", [1, 7, 50])
def test_a_failing_engine_is_one_error_and_leaves_nothing(
    failing: int, lanes: int, fifty: Path, tmp_path: Path
) -> None:
    engine = Plain(lanes)

    def fail(number: int) -> None:
        if number == failing:
            raise BackendError("The engine broke. Mend it.")

    engine.delay = fail  # type: ignore[method-assign]
    with pytest.raises(BackendError, match="The engine broke"):
        run(fifty, tmp_path / "out.mp4", engine)
    assert leftovers(tmp_path) == set()


def test_a_failing_encoder_is_one_error_and_leaves_nothing(
    fifty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, counted = Film.write, []

    def fail(film: Film, frame: VideoFrame, **times: int) -> None:
        counted.append(times)
        if len(counted) == 9:
            raise OSError(28, "No space left on device")
        write(film, frame, **times)

    monkeypatch.setattr(Film, "write", fail)
    with pytest.raises(OutputError, match="disk is full"):
        run(fifty, tmp_path / "out.mp4")
    assert leftovers(tmp_path) == set()


def test_a_slow_encoder_holds_the_decoder_back(
    fifty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, write = Plain(lanes=2), Film.write
    written, most = [0], [0]

    def slowly(film: Film, frame: VideoFrame, **times: int) -> None:
        time.sleep(0.01)
        most[0] = max(most[0], engine.calls - written[0])
        written[0] += 1
        write(film, frame, **times)

    monkeypatch.setattr(Film, "write", slowly)
    run(fifty, tmp_path / "out.mp4", engine)
    assert most[0] <= engine.lanes + 1 + SPARE_FRAMES + 1


def test_no_frame_waits_for_the_garbage_collector(fifty: Path, tmp_path: Path) -> None:
    gc.collect()
    gc.disable()
    try:
        run(fifty, tmp_path / "out.mp4")
        left = sum(type(thing) is VideoFrame for thing in gc.get_objects())
    finally:
        gc.enable()
    assert left < 10


def test_a_stop_keeps_the_playable_part_under_another_name(fifty: Path, tmp_path: Path) -> None:
    engine, stop, heard = Plain(), threading.Event(), Heard()
    engine.delay = lambda number: stop.set() if number == 20 else None  # type: ignore[method-assign]
    summary = run(fifty, tmp_path / "out.mp4", engine, stop=stop, progress=heard)
    part = tmp_path / "out.partial.mp4"
    assert (summary.stopped, summary.target) == (True, part)
    assert leftovers(tmp_path) == {part.name}
    seen = play(part)
    assert 20 <= len(seen.pictures) == summary.frames < 50
    assert np.allclose(seen.levels, levels(50)[: summary.frames], atol=2)
    assert seen.sound
    assert any(str(part) in warning for warning in heard.warnings)


def test_a_stop_while_the_engine_loads_keeps_what_was_read(fifty: Path, tmp_path: Path) -> None:
    stop = threading.Event()

    def open_and_stop(height: int, width: int) -> Styling:
        stop.set()
        return Styling(Plain())

    target, options = tmp_path / "out.mp4", VideoOptions()
    done = stylize_video(
        fifty, target, open_and_stop, options=options, progress=Silent(), stop=stop
    )
    assert done.stopped
    assert len(play(done.target).pictures) == done.frames <= 2


INTERRUPTED = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from stylepress.progress import Silent
from stylepress.runtime.media.lanes import Styling
from stylepress.runtime.media.video import VideoOptions, stylize_video
from tests.frames import frame_ports

class Slow:
    lanes, graph = 2, frame_ports()
    def run(self, feeds, out=None):
        time.sleep(0.02)
        return {"frame_out": feeds["frame"].copy()}

class Begun(Silent):
    def advance(self, steps=1, note=""):
        print("begun", flush=True)

source, target = Path(sys.argv[1]), Path(sys.argv[2])
done = stylize_video(
    source, target, lambda *_: Styling(Slow()), options=VideoOptions(), progress=Begun()
)
print("stopped", done.stopped, done.frames, flush=True)
"""


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_ends_the_program_with_a_playable_part(presses: int, tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4", [gray(level) for level in levels(400)], sound="aac")
    command = [sys.executable, "-c", INTERRUPTED, str(source), str(tmp_path / "out.mp4"), str(ROOT)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "begun\n"
        for _ in range(presses):
            child.send_signal(signal.SIGINT)
            time.sleep(0.01)
        out, error = child.communicate(timeout=DEADLINE_S)
    if presses == 1:
        word, stopped, frames = out.split()[-3:]
        assert (child.returncode, word, stopped, error) == (0, "stopped", "True", "")
        assert leftovers(tmp_path) == {"out.partial.mp4"}
        seen = play(tmp_path / "out.partial.mp4")
        assert len(seen.pictures) == int(frames) < 400
        assert np.allclose(seen.levels, levels(400)[: int(frames)], atol=2)
    else:
        assert leftovers(tmp_path) <= {"out.partial.mp4"}


LATE = """
import os, signal, sys, threading, time
from pathlib import Path
sys.path.insert(0, sys.argv[3])
import stylepress.replace
from stylepress.progress import Silent
from stylepress.runtime.backends import EngineOptions
from stylepress.runtime.media.lanes import Styling
from stylepress.runtime.media.video import VideoOptions, stylize_video
from stylepress.runtime.null import NullEngine
from tests.frames import frame_ports

sync = stylepress.replace._sync

def sync_slowly(path):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.3)
    sync(path)

stylepress.replace._sync = sync_slowly
engine = NullEngine(frame_ports(), EngineOptions(lanes=2))
done = stylize_video(Path(sys.argv[1]), Path(sys.argv[2]), lambda *_: Styling(engine),
                     options=VideoOptions(), progress=Silent())
print("stopped", done.stopped, done.frames, flush=True)
"""


def test_ctrl_c_while_the_file_gets_its_name_keeps_it(fifty: Path, tmp_path: Path) -> None:
    """All frames are encoded, the disk is still writing: nothing is left to be stopped."""
    command = [sys.executable, "-c", LATE, str(fifty), str(tmp_path / "out.mp4"), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["stopped", "False", "50"]), done.stderr
    assert leftovers(tmp_path) == {"out.mp4"}
    assert len(play(tmp_path / "out.mp4").pictures) == 50


def test_a_stopped_video_with_a_long_name_is_kept_too(fifty: Path, tmp_path: Path) -> None:
    engine, stop = Plain(), threading.Event()
    engine.delay = lambda number: stop.set() if number == 20 else None  # type: ignore[method-assign]
    summary = run(fifty, tmp_path / f"{'x' * 251}.mp4", engine, stop=stop)
    assert summary.target.name.endswith("x.partial.mp4")
    assert len(play(summary.target).pictures) == summary.frames


def test_a_place_or_suffix_that_cannot_be_written_is_refused(fifty: Path, tmp_path: Path) -> None:
    (tmp_path / "in-the-way").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        run(fifty, tmp_path / "in-the-way" / "out.mp4")
    with pytest.raises(OutputError, match=r"\.mp4, \.m4v, \.mov"):
        run(fifty, tmp_path / "out.gif")
    with pytest.raises(RecipeError, match="crf is 60"):
        Quality(crf=60)
    with pytest.raises(RecipeError, match="no preset 'quick'"):
        Quality(preset="quick")  # type: ignore[arg-type]


FULL_DISK = """
mount -t tmpfs -o size=48k tmpfs "$1" && exec "$2" -c '
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from stylepress.errors import OutputError
from stylepress.progress import Silent
from stylepress.runtime.backends import EngineOptions
from stylepress.runtime.media.lanes import Styling
from stylepress.runtime.null import NullEngine
from stylepress.runtime.media.video import VideoOptions, stylize_video
from tests.frames import frame_ports
engine = NullEngine(frame_ports(), EngineOptions(lanes=2))
for suffix in ("mp4", "mkv"):
    try:
        stylize_video(Path(sys.argv[1]), Path(sys.argv[2], "out." + suffix),
                      lambda *_: Styling(engine), options=VideoOptions(), progress=Silent())
    except OutputError as error:
        print(error, [path.name for path in Path(sys.argv[2]).iterdir()])
' "$3" "$1" "$4"
"""


@pytest.mark.skipif(shutil.which("unshare") is None, reason="a small disk needs unshare(1)")
def test_a_full_disk_is_one_error_and_leaves_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (96, 128, 3), np.uint8) for _ in range(30)]
    source, disk = write_clip(tmp_path / "in.mp4", noise), tmp_path / "disk"
    disk.mkdir()
    values = [str(disk), sys.executable, str(source), str(ROOT)]
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", FULL_DISK, "sh", *values],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    if "permitted" in done.stderr or "denied" in done.stderr:
        pytest.skip("this system lets nobody mount a small disk")
    lines = done.stdout.splitlines()
    assert len(lines) == 2, done.stderr
    for line in lines:
        assert line.startswith("The disk is full")
        assert line.endswith("[]")
